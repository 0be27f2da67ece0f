// The committed reference pages are what the specs say now.
#include "config/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "bridge/base/error.h"
#include "bridge/transform/require.h"
#include "config/spec.h"
#include "tests/unit/config/support.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;

std::string committed(const std::string& page) {
  std::ifstream file(std::string(DRAWBRIDGE_SOURCE_DIR) + "/config/reference/" + page + ".md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Reference, CommittedPagesAreCurrent) {
  for (const std::string& page : reference_pages()) {
    const auto text = reference_page(page, test_catalogue());
    ASSERT_TRUE(text);
    EXPECT_EQ(committed(page), *text)
        << "stale: drawbridge reference " << page << " > config/reference/" << page << ".md";
  }
}

TEST(Reference, UnknownPageNamesThoseThereAre) {
  const auto page = reference_page("erros", test_catalogue());
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().message,
            "no reference page `erros`; there are configuration, errors, transforms");
}

TEST(Reference, NamesEveryErrorTransformAndKey) {
  const std::string errors = *reference_page("errors", test_catalogue());
  for (const ErrorInfo& each : all_errors()) {
    EXPECT_THAT(errors, HasSubstr("| `" + std::string(each.name) + "` |"));
  }
  const std::string transforms = *reference_page("transforms", test_catalogue());
  for (const TransformSpec& each : test_catalogue().all()) {
    EXPECT_THAT(transforms, HasSubstr("## `" + each.name + "`"));
  }
  const std::string configuration = *reference_page("configuration", test_catalogue());
  for (const config::SectionSpec* section : config::all_sections()) {
    for (const config::KeySpec& key : section->keys) {
      EXPECT_THAT(configuration, HasSubstr("| `" + key.field.name + "` |"));
    }
  }
}

TEST(Specs, EveryKeyHasASummaryAndAUsableDefault) {
  for (const config::SectionSpec* section : config::all_sections()) {
    for (const config::KeySpec& key : section->keys) {
      EXPECT_FALSE(key.field.summary.empty()) << section->title << "." << key.field.name;
      EXPECT_FALSE(key.field.required && key.field.fallback) << key.field.name;
    }
  }
}

TEST(Specs, FormatsAreThoseOfTheGuards) {
  for (const config::SectionSpec* section : config::all_sections()) {
    if (section->title != "pipelines.NAME.require") continue;
    for (const std::string& format : section->find("in")->field.choices) {
      EXPECT_TRUE(parse_formats({format})) << format;
    }
    return;
  }
  FAIL() << "no such section";
}

TEST(Schema, HasEveryTopLevelKey) {
  const std::string schema = json_schema(test_catalogue());
  for (const char* key : {"\"daemon\"", "\"clusters\"", "\"key_domains\"", "\"pipelines\"",
                          "\"rekey\"", "\"scram-sha-512\"", "\"fetch.min.bytes\""}) {
    EXPECT_THAT(schema, HasSubstr(key));
  }
  EXPECT_THAT(schema, testing::Not(HasSubstr("\"enable.auto.commit\"")));
}

TEST(List, NamesTransformsAndKeyDomains) {
  const std::string text = list_components(test_catalogue());
  EXPECT_THAT(text, HasSubstr("transform   rekey"));
  EXPECT_THAT(text, HasSubstr("key-domain  keyring"));
}

}  // namespace
}  // namespace drawbridge

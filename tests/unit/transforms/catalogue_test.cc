#include "transforms/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class CatalogueTest : public TransformsTest {};

TEST_F(CatalogueTest, every_spec_is_complete) {
  ASSERT_EQ(catalogue_.all().size(), 3u);
  for (const TransformSpec& spec : catalogue_.all()) {
    EXPECT_FALSE(spec.summary.empty()) << spec.name;
    EXPECT_FALSE(spec.description.empty()) << spec.name;
    EXPECT_TRUE(spec.make) << spec.name;
    EXPECT_TRUE(spec.validate) << spec.name;
    EXPECT_TRUE(spec.takes && spec.leaves) << spec.name;
    std::set<std::string> names;
    for (const FieldSpec& field : spec.fields) {
      EXPECT_TRUE(names.insert(field.name).second) << spec.name << "." << field.name;
      EXPECT_FALSE(field.summary.empty()) << spec.name << "." << field.name;
      EXPECT_FALSE(field.required && field.fallback) << spec.name << "." << field.name;
      EXPECT_EQ(field.type == FieldType::kChoice, !field.choices.empty()) << field.name;
      if (field.fallback && field.type == FieldType::kChoice) {
        EXPECT_NE(std::ranges::find(field.choices, *field.fallback), field.choices.end());
      }
    }
  }
}

TEST_F(CatalogueTest, the_mode_of_rekey_has_no_default) {
  for (const FieldSpec& field : catalogue_.find("rekey")->fields) {
    if (field.name == "mode") {
      EXPECT_TRUE(field.required);
      return;
    }
  }
  FAIL() << "no field `mode`";
}

TEST_F(CatalogueTest, a_name_given_twice_is_an_error) {
  TransformCatalogue catalogue = built_in_transforms();
  const auto added = catalogue.add(encrypt_spec());
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kExists);
}

// What lint says, and what make() refuses in any case.
TEST_F(CatalogueTest, fields_that_do_not_go_together) {
  const std::string long_name(255, 'x');
  const std::vector<std::string> five = {"a", "b", "c", "d", "e"};
  struct Case {
    std::string transform;
    Fields fields;
    std::string says;
  };
  const std::vector<Case> cases = {
      {"encrypt", {}, "either `domain` or `domains`"},
      {"encrypt",
       {{"domain", "dc"}, {"domains", std::vector<std::string>{"aws"}}},
       "either `domain` or `domains`"},
      {"encrypt", {{"domains", std::vector<std::string>{}}}, "1 to 4"},
      {"encrypt", {{"domains", five}}, "1 to 4"},
      {"encrypt", {{"domains", std::vector<std::string>{"dc", "dc"}}}, "twice"},
      {"encrypt", {{"domain", "dc"}, {"dataset", long_name}}, "dataset"},
      {"encrypt", {{"domain", "dc"}, {"dataset", ""}}, "dataset"},
      {"encrypt", {{"domain", "dc"}, {"tenant", long_name}}, "tenant"},
      {"decrypt", {{"domain", "dc"}, {"tenant", long_name}}, "tenant"},
      {"rekey",
       {{"from", "dc"}, {"to", "aws"}, {"mode", "rewrap"}, {"suite", "aes-256-gcm"}},
       "`suite`"},
      {"rekey", {{"from", "dc"}, {"to", "aws"}, {"mode", "rewrap"}, {"inline", true}}, "`inline`"},
      {"rekey",
       {{"from", "dc"}, {"to", "aws"}, {"mode", "reencrypt"}, {"verify", "first"}},
       "`verify`"},
  };
  for (const Case& each : cases) {
    const TransformSpec& spec = *catalogue_.find(each.transform);
    const auto checked = spec.validate(values(spec, each.fields));
    ASSERT_FALSE(checked.empty()) << each.says;
    EXPECT_NE(checked.front().message.find(each.says), std::string::npos)
        << checked.front().message;
    const auto refused = refuse(checked);
    ASSERT_FALSE(refused) << each.says;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(refused.error().message, checked.front().message);
    EXPECT_FALSE(try_make(each.transform, each.fields)) << each.says;
  }
}

TEST_F(CatalogueTest, an_unknown_domain_is_refused) {
  EXPECT_FALSE(try_make("encrypt", {{"domain", "nowhere"}}));
  EXPECT_FALSE(try_make("decrypt", {{"domain", "nowhere"}}));
  EXPECT_FALSE(try_make("rekey", {{"from", "dc"}, {"to", "nowhere"}, {"mode", "rewrap"}}));
}

}  // namespace
}  // namespace drawbridge

// Every example is linted here; tests/e2e runs each of them against brokers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "config/config.h"
#include "tests/unit/config/support.h"

namespace drawbridge {
namespace {

std::vector<std::filesystem::path> examples() {
  std::vector<std::filesystem::path> result;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(DRAWBRIDGE_SOURCE_DIR) +
                                                               "/config/examples")) {
    if (entry.path().extension() == ".yaml") result.push_back(entry.path());
  }
  return result;
}

TEST(Examples, AreAllThere) {
  std::vector<std::string> names;
  for (const auto& path : examples()) names.push_back(path.stem());
  EXPECT_THAT(names, testing::UnorderedElementsAre("mirror", "encrypt-at-the-border", "decrypt",
                                                   "rewrap", "reencrypt", "hub-and-spoke",
                                                   "tls-scram", "dead-letter", "exactly-once"));
}

TEST(Examples, AreLinted) {
  for (const auto& path : examples()) {
    const auto loaded = load_configuration(path, test_catalogue(), {.resolve_secrets = false});
    if (!loaded) {
      for (const Problem& problem : loaded.error()) ADD_FAILURE() << problem.text();
      continue;
    }
    EXPECT_TRUE(loaded->warnings.empty()) << path;
    const auto echo = echo_configuration(path, test_catalogue());
    ASSERT_TRUE(echo) << path;
    EXPECT_TRUE(echo_text(*echo, path, test_catalogue())) << *echo;
  }
}

// What a reader, and the tests that run them, replace.
TEST(Examples, HaveTheirBrokersAndPathsInObviousPlaces) {
  for (const auto& path : examples()) {
    const auto loaded = load_configuration(path, test_catalogue(), {.resolve_secrets = false});
    ASSERT_TRUE(loaded) << path;
    for (const ClusterOptions& cluster : loaded->clusters) {
      EXPECT_THAT(cluster.properties.at("bootstrap.servers"),
                  testing::MatchesRegex("(source|target)[.]example:909[23]"))
          << path;
    }
    for (const KeyDomainOptions& domain : loaded->key_domains) {
      EXPECT_THAT(domain.options.at("file"), testing::StartsWith("/etc/drawbridge/")) << path;
    }
  }
}

}  // namespace
}  // namespace drawbridge

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/emit.h"
#include "config/yaml_tree.h"
#include "tests/unit/config/support.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string echoed(const std::string& text) {
  const auto result = echo_text(text, "f", test_catalogue());
  if (result) return *result;
  for (const Problem& problem : result.error()) ADD_FAILURE() << problem.text();
  return {};
}

TEST(Echo, ShowsDefaultsAndKeepsReferences) {
  ::setenv("DRAWBRIDGE_TEST_ECHO", "hunter2", 1);
  const std::string text = echoed(R"(
daemon: {name: edge, state-directory: /s, secrets: {env: [DRAWBRIDGE_TEST_ECHO]}}
clusters:
  a: {linger.ms: 5, bootstrap.servers: "a:1", auth: {plain: {username: u, password: "${env:DRAWBRIDGE_TEST_ECHO}"}}}
  b: {bootstrap.servers: "b:1", tls: {}}
pipelines:
  p: {to: {cluster: b}, from: {cluster: a, topics: ["^o.*", x]}, max-in-flight: 8MiB}
)");
  ::unsetenv("DRAWBRIDGE_TEST_ECHO");
  EXPECT_EQ(text, R"(daemon:
  name: edge
  state-directory: /s
  log:
    format: text
    level: info
  secrets:
    env: [DRAWBRIDGE_TEST_ECHO]
  key-cache:
    keys: 2048
clusters:
  a:
    bootstrap.servers: "a:1"
    auth:
      plain:
        username: u
        password: "${env:DRAWBRIDGE_TEST_ECHO}"
    linger.ms: 5
  b:
    bootstrap.servers: "b:1"
    tls: {}
key_domains: {}
pipelines:
  p:
    from:
      cluster: a
      topics: ["^o.*", x]
      exclude: []
      start: earliest
      group: drawbridge-p
      on-gap: stop
    dataset: p
    require:
      tombstones: pass
    transforms: []
    to:
      cluster: b
      topic: "{topic}"
      partitions: error
      unsendable: stop
      create-topics: false
    on-error: stop
    delivery: at-least-once
    commit-interval: 100ms
    share: true
    session-timeout: 10s
    shards: 4
    max-in-flight:
      bytes: 8MiB
      records: 100000
    checkpoint:
      interval: 1s
      records: 100000
    refresh: 5s
    drain-timeout: 30s
)");
}

TEST(Echo, OfAnEchoIsTheSame) {
  const std::string once = echoed(kClusters + R"(
  p:
    from: {cluster: a, topics: ["^o.*"], start: "2026-01-31"}
    transforms: [{encrypt: {domains: [k, l], inline: true}}]
    to: {cluster: b, create-topics: true, topic: '{pipeline}.{topic}'}
    on-error: {dead-letter: {topic: dead, seal: k}}
)");
  EXPECT_EQ(echoed(once), once);
  EXPECT_THAT(once, HasSubstr("replication-factor: -1"));
  EXPECT_THAT(once,
              HasSubstr("      - encrypt:\n          domains: [k, l]\n          inline: true"));
}

TEST(Echo, TellsProblemsInstead) {
  const auto result = echo_text(
      "clusters: {a: {bootstrap.servers: 'a:1', sasl.password: hunter2}}\n", "f", test_catalogue());
  ASSERT_FALSE(result);
  for (const Problem& problem : result.error()) {
    EXPECT_THAT(problem.text(), Not(HasSubstr("hunter2")));
  }
}

TEST(Emit, ReadsBackAsTheSameTree) {
  const std::string awkward =
      "a: \"null\"\nb: \"1\"\nc: 1\nd: ~\ne: \"x\\n\\\"\\\\ y: # z\"\nf: [\"- a\", \"\", '*b', "
      "-1]\n"
      "g: [[a, [b]], {h: {i: []}}]\n\"j k: l\": {}\nm:\n  - n:\n      o: p\n    q: r\n  - s\n";
  const config::YamlResult first = config::parse_yaml(awkward);
  ASSERT_TRUE(first.root);
  const std::string text = config::emit_yaml(*first.root);
  const config::YamlResult second = config::parse_yaml(text);
  ASSERT_TRUE(second.root) << text << second.problems.front().message;
  EXPECT_TRUE(second.problems.empty()) << text;
  const std::function<void(const config::Node&, const config::Node&)> same =
      [&](const config::Node& a, const config::Node& b) {
        EXPECT_EQ(a.kind, b.kind) << text;
        EXPECT_EQ(a.text, b.text) << text;
        ASSERT_EQ(a.items.size(), b.items.size()) << text;
        ASSERT_EQ(a.entries.size(), b.entries.size()) << text;
        for (std::size_t i = 0; i < a.items.size(); ++i) same(*a.items[i], *b.items[i]);
        for (std::size_t i = 0; i < a.entries.size(); ++i) {
          EXPECT_EQ(a.entries[i].key, b.entries[i].key);
          same(*a.entries[i].value, *b.entries[i].value);
        }
      };
  same(*first.root, *second.root);
}

}  // namespace
}  // namespace drawbridge

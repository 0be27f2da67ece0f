// A configuration that is right: every value lands where the engine looks for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/config.h"
#include "tests/unit/config/support.h"

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

Configuration parsed(const std::string& text, const std::string& name = "f",
                     LoadOptions options = {.resolve_secrets = true}) {
  auto loaded = parse_configuration(text, name, test_catalogue(), options);
  if (!loaded) {
    for (const Problem& problem : loaded.error()) ADD_FAILURE() << problem.text();
    return {};
  }
  return std::move(*loaded);
}

constexpr const char* kMinimal = R"(
clusters:
  a: {bootstrap.servers: "a:9092"}
  b: {bootstrap.servers: "b1:9092,b2:9092"}
pipelines:
  copy:
    from: {cluster: a, topics: [orders]}
    to: {cluster: b}
)";

TEST(Load, FillsInDefaults) {
  ::unsetenv("STATE_DIRECTORY");
  const Configuration configuration = parsed(kMinimal);
  EXPECT_EQ(configuration.daemon.name, "drawbridge");
  EXPECT_EQ(configuration.daemon.state_directory, "/var/lib/drawbridge/drawbridge");
  EXPECT_EQ(configuration.daemon.log.format, LogFormat::kText);
  EXPECT_EQ(configuration.daemon.log.least, Level::kInfo);
  EXPECT_EQ(configuration.daemon.key_cache_keys, 2048u);
  EXPECT_TRUE(configuration.warnings.empty());
  ASSERT_EQ(configuration.pipelines.size(), 1u);
  const PipelineOptions& pipeline = configuration.pipelines[0];
  const PipelineOptions defaults;
  EXPECT_EQ(pipeline.name, "copy");
  EXPECT_EQ(pipeline.group, "drawbridge-copy");
  EXPECT_EQ(pipeline.dataset, "copy");
  EXPECT_EQ(pipeline.source.name, "a");
  EXPECT_THAT(pipeline.source.properties, ElementsAre(Pair("bootstrap.servers", "a:9092")));
  EXPECT_TRUE(pipeline.source_properties.empty());
  EXPECT_THAT(pipeline.topics.include, ElementsAre("orders"));
  EXPECT_TRUE(pipeline.topics.exclude.empty());
  EXPECT_EQ(pipeline.start_at, StartAt::kEarliest);
  EXPECT_EQ(pipeline.on_gap, OnGap::kStop);
  EXPECT_TRUE(pipeline.require.in.empty());
  EXPECT_TRUE(pipeline.transforms.empty());
  EXPECT_EQ(pipeline.target.name, "b");
  EXPECT_EQ(pipeline.target_topic, "{topic}");
  EXPECT_EQ(pipeline.partitions, PartitionPolicy::kError);
  EXPECT_EQ(pipeline.unsendable, Unsendable::kStop);
  EXPECT_FALSE(pipeline.create_topics.enabled);
  EXPECT_EQ(pipeline.on_error, OnError::kStop);
  EXPECT_FALSE(pipeline.dead_letter);
  // The engine's own defaults and the specs' say the same.
  EXPECT_EQ(pipeline.shards, defaults.shards);
  EXPECT_EQ(pipeline.max_in_flight_bytes, defaults.max_in_flight_bytes);
  EXPECT_EQ(pipeline.max_in_flight_records, defaults.max_in_flight_records);
  EXPECT_EQ(pipeline.checkpoint_interval, defaults.checkpoint_interval);
  EXPECT_EQ(pipeline.checkpoint_records, defaults.checkpoint_records);
  EXPECT_EQ(pipeline.refresh_interval, defaults.refresh_interval);
  EXPECT_EQ(pipeline.drain_timeout, defaults.drain_timeout);
}

TEST(Load, ReadsEveryKey) {
  const Configuration configuration = parsed(R"(
daemon:
  name: edge-1
  state-directory: /tmp/edge
  log: {format: json, level: debug}
  key-cache: {keys: 64}
clusters:
  a: {bootstrap.servers: "a:9092"}
  b: {bootstrap.servers: "b:9092"}
key_domains:
  k: {keyring: {file: /etc/k.keys, key: orders}}
  l: {keyring: {file: l.keys, key: orders}}
pipelines:
  p:
    from:
      cluster: a
      topics: ["^o.*", x]
      exclude: ["^.*[.]tmp"]
      start: 2026-01-31T12:00:00Z
      group: g
      on-gap: earliest
    dataset: d
    require: {in: [native], out: [native], tombstones: authenticated}
    transforms:
      - rekey: {from: k, to: l, mode: rewrap, verify: all, tombstones: authenticated}
    to:
      cluster: b
      topic: "{cluster}.{topic}"
      partitions: key-hash
      unsendable: adapt
      create-topics: {replication-factor: 3}
    on-error: {dead-letter: {topic: "dead.{topic}", cluster: b, seal: k}}
    delivery: at-least-once
    shards: 2
    max-in-flight: {bytes: 16MiB, records: 500}
    checkpoint: {interval: 250ms, records: 7}
    refresh: 1m
    drain-timeout: 5s
)",
                                             "/etc/drawbridge/bridge.yaml");
  EXPECT_EQ(configuration.daemon.name, "edge-1");
  EXPECT_EQ(configuration.daemon.state_directory, "/tmp/edge");
  EXPECT_EQ(configuration.daemon.log.format, LogFormat::kJson);
  EXPECT_EQ(configuration.daemon.log.least, Level::kDebug);
  EXPECT_EQ(configuration.daemon.key_cache_keys, 64u);
  ASSERT_EQ(configuration.key_domains.size(), 2u);
  EXPECT_EQ(configuration.key_domains[0].kind, "keyring");
  EXPECT_THAT(configuration.key_domains[0].options,
              UnorderedElementsAre(Pair("file", "/etc/k.keys"), Pair("key", "orders")));
  EXPECT_EQ(configuration.key_domains[1].options.at("file"), "/etc/drawbridge/l.keys");
  ASSERT_EQ(configuration.pipelines.size(), 1u);
  const PipelineOptions& pipeline = configuration.pipelines[0];
  EXPECT_EQ(pipeline.group, "g");
  EXPECT_EQ(pipeline.dataset, "d");
  EXPECT_THAT(pipeline.topics.include, ElementsAre("^o.*", "x"));
  EXPECT_THAT(pipeline.topics.exclude, ElementsAre("^.*[.]tmp"));
  EXPECT_EQ(pipeline.start_at, StartAt::kTimestamp);
  EXPECT_EQ(pipeline.start_timestamp_ms, 1'769'860'800'000);
  EXPECT_EQ(pipeline.on_gap, OnGap::kEarliest);
  EXPECT_THAT(pipeline.require.in, ElementsAre("native"));
  EXPECT_THAT(pipeline.require.out, ElementsAre("native"));
  EXPECT_EQ(pipeline.require.tombstones, Tombstones::kAuthenticated);
  ASSERT_EQ(pipeline.transforms.size(), 1u);
  EXPECT_EQ(pipeline.transforms[0].spec->name, "rekey");
  EXPECT_EQ(pipeline.transforms[0].values.text("from"), "k");
  EXPECT_EQ(pipeline.transforms[0].values.text("mode"), "rewrap");
  EXPECT_EQ(pipeline.transforms[0].values.text("verify"), "all");
  EXPECT_EQ(pipeline.target_topic, "{cluster}.{topic}");
  EXPECT_EQ(pipeline.partitions, PartitionPolicy::kKeyHash);
  EXPECT_EQ(pipeline.unsendable, Unsendable::kAdapt);
  EXPECT_TRUE(pipeline.create_topics.enabled);
  EXPECT_EQ(pipeline.create_topics.replication_factor, 3);
  EXPECT_EQ(pipeline.on_error, OnError::kDeadLetter);
  ASSERT_TRUE(pipeline.dead_letter);
  EXPECT_EQ(pipeline.dead_letter->topic, "dead.{topic}");
  EXPECT_EQ(pipeline.dead_letter->cluster, "b");
  EXPECT_EQ(pipeline.dead_letter->seal, "k");
  EXPECT_EQ(pipeline.shards, 2u);
  EXPECT_EQ(pipeline.max_in_flight_bytes, 16u << 20);
  EXPECT_EQ(pipeline.max_in_flight_records, 500u);
  EXPECT_EQ(pipeline.checkpoint_interval, 250ms);
  EXPECT_EQ(pipeline.checkpoint_records, 7u);
  EXPECT_EQ(pipeline.refresh_interval, 60s);
  EXPECT_EQ(pipeline.drain_timeout, 5s);
}

TEST(Load, TakesShortForms) {
  const Configuration configuration = parsed(kClusters + R"(
  p:
    from: {cluster: a, topics: [x], start: latest}
    transforms: []
    to: {cluster: b, create-topics: true}
    on-error: drop
    max-in-flight: 1MiB
    checkpoint: 5s
)");
  ASSERT_EQ(configuration.pipelines.size(), 1u);
  const PipelineOptions& pipeline = configuration.pipelines[0];
  EXPECT_EQ(pipeline.start_at, StartAt::kLatest);
  EXPECT_TRUE(pipeline.create_topics.enabled);
  EXPECT_EQ(pipeline.create_topics.replication_factor, -1);
  EXPECT_EQ(pipeline.on_error, OnError::kDrop);
  EXPECT_EQ(pipeline.max_in_flight_bytes, 1u << 20);
  EXPECT_EQ(pipeline.max_in_flight_records, 100'000u);
  EXPECT_EQ(pipeline.checkpoint_interval, 5s);
}

TEST(Load, TheDesignsOwnExampleLoads) {
  ::setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1);
  const Configuration configuration = parsed(
      R"(
clusters:
  dc:  {bootstrap.servers: "dc1:9093,dc2:9093", tls: {ca: /etc/drawbridge/dc-ca.pem}, auth: {scram-sha-512: {username: bridge, password: "${cred:dc-password}"}}}
  aws: {bootstrap.servers: "b-1.msk:9098"}
key_domains:
  dc-hsm:   {keyring: {file: "${cred:dc-keys}", key: orders-kek}}
  aws-prod: {keyring: {file: aws.keys, key: orders}}
pipelines:
  orders-to-aws:
    from: {cluster: dc, topics: ["^orders[.].*"], exclude: ["^.*[.]internal"]}
    require: {in: [native], out: [native]}
    transforms:
      - rekey: {from: dc-hsm, to: aws-prod, mode: rewrap}
    to: {cluster: aws, topic: "{topic}"}
    delivery: at-least-once
    on-error: {dead-letter: {topic: "orders.dead", seal: dc-hsm}}
)",
      "f", {.resolve_secrets = false});
  ::unsetenv("CREDENTIALS_DIRECTORY");
  ASSERT_EQ(configuration.pipelines.size(), 1u);
  EXPECT_EQ(configuration.pipelines[0].dead_letter->cluster, "aws") << "the target, by default";
  EXPECT_EQ(configuration.clusters[0].properties.at("sasl.password"), "${cred:dc-password}");
}

TEST(Load, TlsAndAuthBecomeProperties) {
  ::setenv("DRAWBRIDGE_TEST_PASSWORD", "s3cret", 1);
  const Configuration configuration = parsed(R"(
daemon: {secrets: {env: [DRAWBRIDGE_TEST_PASSWORD]}}
clusters:
  plain: {bootstrap.servers: "a:1", auth: {plain: {username: u, password: "${env:DRAWBRIDGE_TEST_PASSWORD}"}}}
  tls: {bootstrap.servers: "b:1", tls: {}}
  both:
    bootstrap.servers: "c:1"
    tls: {ca: ca.pem, certificate: /c.pem, key: k.pem, key-password: "${env:DRAWBRIDGE_TEST_PASSWORD}"}
    auth: {scram-sha-256: {username: u, password: "${env:DRAWBRIDGE_TEST_PASSWORD}"}}
  inline: {bootstrap.servers: "d:1", tls: {key: "${env:DRAWBRIDGE_TEST_PASSWORD}"}}
  raw: {bootstrap.servers: "e:1", security.protocol: SASL_SSL, sasl.mechanism: PLAIN, sasl.username: u, sasl.password: "${env:DRAWBRIDGE_TEST_PASSWORD}"}
pipelines:
  p: {from: {cluster: tls, topics: [x]}, to: {cluster: both}}
)",
                                             "/c/f.yaml");
  ::unsetenv("DRAWBRIDGE_TEST_PASSWORD");
  ASSERT_EQ(configuration.clusters.size(), 5u);
  EXPECT_THAT(configuration.clusters[0].properties,
              ElementsAre(Pair("bootstrap.servers", "a:1"), Pair("sasl.mechanism", "PLAIN"),
                          Pair("sasl.password", "s3cret"), Pair("sasl.username", "u"),
                          Pair("security.protocol", "sasl_plaintext")));
  EXPECT_THAT(configuration.clusters[1].properties,
              ElementsAre(Pair("bootstrap.servers", "b:1"), Pair("security.protocol", "ssl")));
  EXPECT_THAT(
      configuration.clusters[2].properties,
      ElementsAre(Pair("bootstrap.servers", "c:1"), Pair("sasl.mechanism", "SCRAM-SHA-256"),
                  Pair("sasl.password", "s3cret"), Pair("sasl.username", "u"),
                  Pair("security.protocol", "sasl_ssl"), Pair("ssl.ca.location", "/c/ca.pem"),
                  Pair("ssl.certificate.location", "/c.pem"), Pair("ssl.key.location", "/c/k.pem"),
                  Pair("ssl.key.password", "s3cret")));
  EXPECT_EQ(configuration.clusters[3].properties.at("ssl.key.pem"), "s3cret");
  EXPECT_EQ(configuration.clusters[4].properties.at("sasl.password"), "s3cret");
  ASSERT_EQ(configuration.warnings.size(), 1u);
  EXPECT_EQ(configuration.warnings[0].text(),
            "/c/f.yaml:4:44: cluster `plain` sends its password in clear: `plain` without `tls`");
  EXPECT_EQ(configuration.pipelines[0].target.properties, configuration.clusters[2].properties);
}

TEST(Load, PropertiesGoToTheClientsThatTheyAreFor) {
  const Configuration configuration = parsed(R"(
clusters:
  a: {bootstrap.servers: "a:1", client.id: c, fetch.min.bytes: 1, linger.ms: 1, fetch.wait.max.ms: 5}
  b: {bootstrap.servers: "b:1", compression.codec: lz4, linger.ms: 2, queued.min.messages: 9}
pipelines:
  p:
    from: {cluster: a, topics: [x], fetch.min.bytes: 2, socket.timeout.ms: 100}
    to: {cluster: b, queue.buffering.max.ms: 3, client.id: d}
)");
  ASSERT_EQ(configuration.pipelines.size(), 1u);
  const PipelineOptions& pipeline = configuration.pipelines[0];
  EXPECT_THAT(pipeline.source.properties,
              ElementsAre(Pair("bootstrap.servers", "a:1"), Pair("client.id", "c")));
  EXPECT_THAT(pipeline.source_properties,
              ElementsAre(Pair("fetch.min.bytes", "2"), Pair("fetch.wait.max.ms", "5"),
                          Pair("socket.timeout.ms", "100")));
  EXPECT_THAT(pipeline.target.properties, ElementsAre(Pair("bootstrap.servers", "b:1")));
  EXPECT_THAT(pipeline.target_properties,
              ElementsAre(Pair("client.id", "d"), Pair("compression.codec", "lz4"),
                          Pair("queue.buffering.max.ms", "3")))
      << "linger.ms of the cluster is the same property by its other name";
}

TEST(Load, PathsAmongThePropertiesAreRelativeToTheFileToo) {
  const Configuration configuration = parsed(R"(
clusters:
  a: {bootstrap.servers: "a:1", security.protocol: ssl, ssl.ca.location: probe}
  b: {bootstrap.servers: "b:1", security.protocol: ssl, ssl.ca.location: ca, ssl.crl.location: /c}
pipelines:
  p: {from: {cluster: a, topics: [x]}, to: {cluster: b}}
)",
                                             "/etc/x/f.yaml");
  ASSERT_EQ(configuration.clusters.size(), 2u);
  EXPECT_EQ(configuration.clusters[0].properties.at("ssl.ca.location"), "probe");
  EXPECT_EQ(configuration.clusters[1].properties.at("ssl.ca.location"), "/etc/x/ca");
  EXPECT_EQ(configuration.clusters[1].properties.at("ssl.crl.location"), "/c");
}

TEST(Load, FilesAreLookedForWhereThatIsAsked) {
  const std::string pipelines = "  p: {from: {cluster: a, topics: [x]}, to: {cluster: b}}\n";
  EXPECT_THAT(problems_of(kClusters + pipelines, {.resolve_secrets = false, .check_files = true}),
              ElementsAre("2:35: the file `k.keys` cannot be read: No such file or directory",
                          "2:75: the file `l.keys` cannot be read: No such file or directory"));
  EXPECT_THAT(problems_of(kClusters + pipelines), testing::IsEmpty());
}

TEST(Load, StateDirectoryFollowsSystemd) {
  ::setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
  EXPECT_EQ(parsed(kMinimal).daemon.state_directory, "/var/lib/one");
  ::unsetenv("STATE_DIRECTORY");
  const std::string named = "daemon: {name: x}" + std::string(kMinimal);
  EXPECT_EQ(parsed(named).daemon.state_directory, "/var/lib/drawbridge/x");
  const std::string relative = "daemon: {state-directory: state}" + std::string(kMinimal);
  EXPECT_EQ(parsed(relative, "/etc/x/f.yaml").daemon.state_directory, "/etc/x/state");
  EXPECT_EQ(parsed(relative, "f.yaml").daemon.state_directory, "state");
}

// One daemon's failures stay its own: nobody reads what another pipeline could not copy.
TEST(Load, DeadLettersAreExcludedEverywhereOnTheirCluster) {
  const Configuration configuration = parsed(kClusters + R"(
  p:
    from: {cluster: a, topics: ["^o.*"]}
    to: {cluster: b}
    on-error: {dead-letter: {topic: "{topic}.dead", cluster: a}}
  q:
    from: {cluster: a, topics: ["^.*"]}
    to: {cluster: b, topic: "q.{topic}"}
  r:
    from: {cluster: b, topics: ["^r.*"]}
    to: {cluster: a, topic: "from-r.{topic}"}
    on-error: {dead-letter: {topic: dead-r, cluster: b}}
)");
  ASSERT_EQ(configuration.pipelines.size(), 3u);
  EXPECT_THAT(configuration.pipelines[0].topics.exclude, ElementsAre("^.*\\.dead"));
  EXPECT_THAT(configuration.pipelines[1].topics.exclude, ElementsAre("^.*\\.dead"));
  EXPECT_THAT(configuration.pipelines[2].topics.exclude, ElementsAre("dead-r"));
}

TEST(Load, AnchorsAndAByteOrderMarkWork) {
  const Configuration configuration = parsed(
      "\xef\xbb\xbf"
      "clusters:\n  a: &c {bootstrap.servers: 'a:1'}\n  b: {bootstrap.servers: 'b:1'}\n"
      "pipelines:\n  p: {from: &f {cluster: a, topics: [x], group: g}, to: {cluster: b}}\n");
  EXPECT_EQ(configuration.pipelines.size(), 1u);
}

TEST(Load, ReadsAFile) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("drawbridge-load-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const std::string file = directory / "f.yaml";
  std::ofstream(file) << kMinimal;
  EXPECT_TRUE(load_configuration(file, test_catalogue(), {}));
  const auto missing = load_configuration(file + ".no", test_catalogue(), {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error()[0].text(), file + ".no:1:1: cannot be read: No such file or directory");
  const auto folder = load_configuration(directory, test_catalogue(), {});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error()[0].text(),
            directory.string() + ":1:1: is a directory, not a configuration file");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace drawbridge

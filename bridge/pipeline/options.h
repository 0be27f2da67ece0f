// A pipeline's settings, as the engine needs them: checked, defaults filled in. config/ makes them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/transform/require.h"
#include "bridge/transform/spec.h"

namespace drawbridge {

// Kafka client properties by librdkafka's own names, secrets already resolved.
using Properties = std::map<std::string, std::string>;

struct ClusterOptions {
  std::string name;
  Properties properties;
};

// The cluster as one user of it has it: `more` on top of its own properties.
inline ClusterOptions with(ClusterOptions cluster, const Properties& more) {
  for (const auto& [name, value] : more) cluster.properties[name] = value;
  return cluster;
}

enum class StartAt : std::uint8_t { kEarliest, kLatest, kTimestamp };
enum class OnGap : std::uint8_t { kStop, kEarliest };
enum class OnError : std::uint8_t { kStop, kDeadLetter, kDrop };
enum class PartitionPolicy : std::uint8_t { kError, kKeyHash };
enum class Unsendable : std::uint8_t { kStop, kAdapt };

struct TopicSelection {
  std::vector<std::string> include;  // literal, or a regular expression with a leading ^
  std::vector<std::string> exclude;
};

struct DeadLetterOptions {
  std::string cluster;              // the source's or the target's name
  std::string topic;                // template
  std::optional<std::string> seal;  // key domain; required on a target that requires envelopes
};

struct TopicCreation {
  bool enabled = false;
  std::int32_t replication_factor = -1;  // the broker's default
};

struct PipelineOptions {
  std::string name;
  std::string daemon;   // the daemon's name: one pipeline of one daemon, whatever its instances
  std::string group;    // consumer group on the source; default drawbridge-<pipeline>
  std::string dataset;  // logical stream name bound into envelopes; default: the pipeline's name

  ClusterOptions source;
  Properties source_properties;  // on top of the cluster's
  TopicSelection topics;
  StartAt start_at = StartAt::kEarliest;
  std::int64_t start_timestamp_ms = 0;
  OnGap on_gap = OnGap::kStop;

  RequireOptions require;
  std::vector<TransformStep> transforms;

  ClusterOptions target;
  Properties target_properties;
  std::string target_topic = "{topic}";  // {topic} {cluster} {pipeline}
  PartitionPolicy partitions = PartitionPolicy::kError;
  Unsendable unsendable = Unsendable::kStop;
  TopicCreation create_topics;

  OnError on_error = OnError::kStop;
  std::optional<DeadLetterOptions> dead_letter;

  bool exactly_once = false;  // into the target; otherwise at least once
  Duration commit_interval = std::chrono::milliseconds(100);  // of transactions

  bool share = true;     // with other instances of the daemon (SCALE_OUT.md)
  std::string instance;  // of the daemon: static membership in groups; empty: dynamic
  Duration session_timeout = std::chrono::seconds(10);  // a silent instance is taken for dead

  std::uint32_t shards = 4;
  std::uint64_t max_in_flight_bytes = 48 << 20;  // of the whole pipeline
  std::uint64_t max_in_flight_records = 100'000;
  Duration checkpoint_interval = std::chrono::seconds(1);
  std::uint64_t checkpoint_records = 100'000;
  Duration refresh_interval = std::chrono::seconds(5);  // topics, partitions, watermarks
  Duration drain_timeout = std::chrono::seconds(30);
};

}  // namespace drawbridge

#include "bridge/kafka/settings.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include <fmt/format.h>

#include "bridge/kafka/connector.h"

namespace drawbridge::kafka {
namespace {

constexpr std::size_t kQueueBytes = 32 << 20;      // of all shards together
constexpr std::size_t kLeastQueueBytes = 2 << 20;  // of a shard
constexpr std::size_t kQueueRecords = 20'000;      // of a shard; each costs some 400 bytes more

// An open transaction that nobody ends hides what follows it from readers for this long.
constexpr const char* kTransactionTimeoutMs = "60000";
// A partition whose topic is gone is announced to the coordinator for ever, without a word and
// without asking where it is: only metadata that are read meanwhile fail its records.
constexpr const char* kTransactionalRefreshMs = "5000";
// For as long a topic may be unknown to a new producer, by default for half a minute. The pipeline
// has waited for it to show already.
constexpr const char* kTransactionalPropagationMs = "5000";

Properties common_defaults() {
  return {
      {"client.id", "drawbridge"},
      // Nagle with delayed acknowledgements adds 40 ms to small requests.
      {"socket.nagle.disable", "true"},
      {"socket.keepalive.enable", "true"},
      // A broker that comes back is used within seconds.
      {"reconnect.backoff.max.ms", "2000"},
      // An idle connection that the broker closes is not worth a line.
      {"log.connection.close", "false"},
  };
}

Properties consumer_defaults() {
  Properties all = common_defaults();
  all.merge(Properties{
      {"fetch.min.bytes", "1"},
      // The broker answers at once when there is anything to read. But it waits this long for
      // idle partitions, and meanwhile nothing is fetched for a busy one whose queue had been
      // full when the request was made.
      {"fetch.wait.max.ms", "20"},
      // Small enough that partitions take turns and that a fetch is still in the processor's cache
      // when it is sent on.
      {"fetch.message.max.bytes", "524288"},
      {"fetch.max.bytes", "8388608"},
      {"fetch.error.backoff.ms", "100"},
      // What a disk damaged must not be given a fresh checksum on the target.
      {"check.crcs", "true"},
  });
  return all;
}

Properties consumer_owned() {
  return {
      {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", "error"},        {"enable.partition.eof", "true"},
      {"isolation.level", "read_committed"}, {"allow.auto.create.topics", "false"},
  };
}

constexpr std::int64_t kBatchSlack = 512;  // what the library does not count of a batch

// The library allows at least 1000 and at most 1e9, and measures with its worst-case overhead:
// a little more lets through what the broker would still take, and the broker has the last word.
std::int64_t record_limit(std::int64_t bytes) {
  return std::clamp<std::int64_t>(bytes, 1000, 999'000'000) + kBatchSlack;
}

std::int64_t batch_limit(std::int64_t bytes) {
  return std::max<std::int64_t>(std::min<std::int64_t>(bytes, 1'000'000) - kBatchSlack, 1);
}

constexpr std::int64_t kLeastPollIntervalMs = 60'000;

std::string instance_name(const GroupOptions& options) {
  if (!options.instance.empty()) return options.instance;
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return host.data();
}

}  // namespace

ConsumerSettings consumer_settings(const PipelineOptions& pipeline, std::size_t shards) {
  ConsumerSettings settings;
  ClientConfig& config = settings.config;
  config.role = Role::kConsumer;
  config.name = fmt::format("source {}", pipeline.source.name);
  config.user = with(pipeline.source, pipeline.source_properties).properties;
  config.defaults = consumer_defaults();
  const auto limit = [&](const char* property, std::size_t value) {
    const auto said = config.user.find(property);
    if (said != config.user.end()) return std::strtoull(said->second.c_str(), nullptr, 10);
    config.defaults.insert_or_assign(property, std::to_string(value));
    return static_cast<unsigned long long>(value);
  };
  const std::size_t of_a_shard = kQueueBytes / std::max<std::size_t>(shards, 1);
  settings.queue_bytes =
      1024 * limit("queued.max.messages.kbytes", std::max(kLeastQueueBytes, of_a_shard) / 1024);
  settings.queue_records = limit("queued.min.messages", kQueueRecords);
  config.owned = consumer_owned();
  config.owned.insert_or_assign("group.id", pipeline.group);
  config.events = RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_FETCH;
  return settings;
}

ClientConfig group_settings(const ClusterOptions& cluster, const Properties& properties,
                            const GroupOptions& options) {
  ClientConfig config;
  config.role = Role::kConsumer;
  config.name = fmt::format("member {}", cluster.name);
  config.user = with(cluster, properties).properties;
  config.defaults = common_defaults();
  const auto said = config.user.find("session.timeout.ms");
  const std::int64_t session_ms =
      said != config.user.end()
          ? std::strtoll(said->second.c_str(), nullptr, 10)
          : std::chrono::ceil<std::chrono::milliseconds>(options.session_timeout).count();
  for (const auto& [name, value] : Properties{
           // What tools show beside the member: its id begins with this.
           {"client.id", "drawbridge-" + instance_name(options)},
           {"session.timeout.ms", std::to_string(session_ms)},
           // What members hear from the group they hear in answers to these.
           {"heartbeat.interval.ms", "500"},
           // The library demands at least the session's.
           {"max.poll.interval.ms", std::to_string(std::max(kLeastPollIntervalMs, session_ms))},
           // The leader deals anew when it sees a topic grow; the pipeline looks more often.
           {"topic.metadata.refresh.interval.ms", "10000"},
       })
    config.defaults.insert_or_assign(name, value);
  config.owned = consumer_owned();
  // A lease's offset is to be read while a predecessor's transaction is open, too.
  config.owned.insert_or_assign("isolation.level", "read_uncommitted");
  config.owned.insert_or_assign("group.id", options.name);
  config.owned.insert_or_assign("partition.assignment.strategy", "roundrobin");
  if (!options.instance.empty())
    config.owned.insert_or_assign("group.instance.id", options.instance);
  config.events = RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR;
  return config;
}

ClientConfig reader_settings(const ClusterOptions& cluster) {
  ClientConfig config;
  config.role = Role::kConsumer;
  config.name = fmt::format("cluster {}", cluster.name);
  config.user = cluster.properties;
  config.defaults = consumer_defaults();
  config.owned = consumer_owned();
  config.owned.insert_or_assign("group.id", std::string(kNoGroup));
  return config;
}

ClientConfig producer_settings(const ClusterOptions& cluster, const Properties& properties,
                               const SinkOptions& options) {
  ClientConfig config;
  config.role = Role::kProducer;
  config.name = fmt::format("target {}", cluster.name);
  config.user = with(cluster, properties).properties;
  config.defaults = common_defaults();
  config.defaults.merge(Properties{
      // Requests fill while the one before is under way (see sink.h): this is for the first.
      {"linger.ms", "2"},
      // Ciphertext does not compress; what arrives compressed from other pipelines is set there.
      {"compression.codec", "none"},
      // One for each partition that the sink's lanes keep busy; idempotence allows no more.
      {"max.in.flight", "5"},
      // The engine does its own accounting; these must not get in its way.
      {"queue.buffering.max.messages", "2000000"},
      {"queue.buffering.max.kbytes", "2097151"},
      {"message.max.bytes", std::to_string(record_limit(options.largest_limit))},
      {"batch.size", std::to_string(batch_limit(options.smallest_limit))},
      {"batch.num.messages", "10000"},
      {"retry.backoff.ms", "100"},
  });
  config.owned = {
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"message.timeout.ms", "0"},  // for ever: an outage of the target fails no record
      {"retries", "2147483647"},
      {"allow.auto.create.topics", "false"},
      {"delivery.report.only.error", "false"},
  };
  if (options.transaction) {
    config.owned.insert_or_assign("transactional.id", options.transaction->transactional_id);
    config.owned.insert_or_assign("transaction.timeout.ms", kTransactionTimeoutMs);
    config.defaults.insert_or_assign("topic.metadata.refresh.interval.ms", kTransactionalRefreshMs);
    config.defaults.insert_or_assign("topic.metadata.propagation.max.ms",
                                     kTransactionalPropagationMs);
  }
  if (options.one_record_a_request) {
    config.owned.insert_or_assign("batch.num.messages", "1");
    config.owned.insert_or_assign("linger.ms", "0");
  }
  return config;
}

ClientConfig admin_settings(const ClusterOptions& cluster, const Properties& properties) {
  ClientConfig config;
  config.role = Role::kProducer;
  config.name = fmt::format("cluster {}", cluster.name);
  config.user = with(cluster, properties).properties;
  config.defaults = common_defaults();
  config.owned = {{"allow.auto.create.topics", "false"}};
  return config;
}

}  // namespace drawbridge::kafka

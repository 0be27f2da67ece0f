#include "bridge/kafka/probe.h"

#include <librdkafka/rdkafka.h>

#include "bridge/kafka/admin.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/settings.h"
#include "bridge/kafka/topic_reader.h"

namespace drawbridge::kafka {
namespace {

Instant now() { return SystemClock().now(); }

}  // namespace

Result<ClusterProbe> probe_cluster(const ClusterOptions& cluster, Duration timeout) {
  const Instant deadline = now() + timeout;
  ClientConfig config = admin_settings(cluster, {});
  // A broker that hangs up at the first word is the sign of a wrong security.protocol.
  config.defaults.insert_or_assign("log.connection.close", "true");
  DRAWBRIDGE_ASSIGN(const auto client, Client::make(config, nullptr));
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = client->persist(timeout, [&](Duration slice) {
    return rd_kafka_metadata(client->handle(), 1, nullptr, &raw, to_millis(slice));
  });
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(client->explain(error, "connecting"));
  const std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>> metadata(
      raw);
  ClusterProbe probe;
  probe.topics = static_cast<std::size_t>(raw->topic_cnt);
  for (int i = 0; i < raw->broker_cnt; ++i)
    probe.brokers.push_back({raw->brokers[i].id, raw->brokers[i].host, raw->brokers[i].port});
  for (const auto& broker : probe.brokers) {
    auto reached = reach_broker(*client, broker.id, deadline - now());
    if (!reached) {
      reached.error().message =
          fmt::format("broker {} advertises {}:{}, where it cannot be reached from here: {}",
                      broker.id, broker.host, broker.port, reached.error().message);
      return fail(std::move(reached).error());
    }
  }
  DRAWBRIDGE_ASSIGN(probe.cluster_id, client->cluster_id(deadline - now()));
  probe.controller = rd_kafka_controllerid(client->handle(), to_millis(deadline - now()));
  return probe;
}

Result<void> probe_read(const ClusterOptions& cluster, const std::string& topic, Duration timeout) {
  const Instant deadline = now() + timeout;
  DRAWBRIDGE_ASSIGN(const auto reader, TopicReader::open(cluster, topic, {.newest = 1}, timeout));
  Batch batch;
  return reader->next(batch, 1, deadline - now());
}

Result<void> probe_create(const ClusterOptions& cluster, const NewTopic& topic, Duration timeout) {
  DRAWBRIDGE_ASSIGN(const auto client, Client::make(admin_settings(cluster, {}), nullptr));
  return create_topic(*client, topic, timeout, Trial::kYes);
}

Result<void> probe_grow(const ClusterOptions& cluster, const std::string& topic,
                        std::int32_t partitions, Duration timeout) {
  DRAWBRIDGE_ASSIGN(const auto client, Client::make(admin_settings(cluster, {}), nullptr));
  return grow_topic(*client, topic, partitions, timeout, Trial::kYes);
}

Result<GroupInfo> probe_group(const ClusterOptions& cluster, const std::string& group,
                              Duration timeout) {
  DRAWBRIDGE_ASSIGN(const auto client, Client::make(admin_settings(cluster, {}), nullptr));
  return describe_group(*client, group, timeout);
}

}  // namespace drawbridge::kafka

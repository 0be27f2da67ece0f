#include "bridge/kafka/target.h"

#include "bridge/kafka/admin.h"
#include "bridge/kafka/settings.h"
#include "bridge/kafka/sink.h"

namespace drawbridge::kafka {

KafkaTarget::KafkaTarget(ClusterOptions cluster, Properties properties,
                         std::unique_ptr<Client> client)
    : cluster_(std::move(cluster)),
      properties_(std::move(properties)),
      client_(std::move(client)) {}

Result<std::unique_ptr<Target>> KafkaTarget::make(const ClusterOptions& cluster,
                                                  const Properties& properties) {
  DRAWBRIDGE_ASSIGN(auto client, Client::make(admin_settings(cluster, properties), nullptr));
  return std::unique_ptr<Target>(new KafkaTarget(cluster, properties, std::move(client)));
}

Result<std::string> KafkaTarget::cluster_id(Duration timeout) {
  return client_->cluster_id(timeout);
}

Result<std::vector<TopicInfo>> KafkaTarget::topics(Duration timeout) {
  return list_topics(*client_, timeout);
}

Result<TopicInfo> KafkaTarget::topic(const std::string& name, Duration timeout) {
  auto described = describe_topic(*client_, name, timeout);
  if (described) return described;
  const auto named = [&](Operations operations) {
    return naming_right(described.error(), client_->grantee(), operations, Resource::kTopic, name);
  };
  return fail(is_internal(name) ? named({"Read", "Write"}) : named({"Write"}));
}

Result<TopicConfig> KafkaTarget::topic_config(const std::string& topic, Duration timeout) {
  return describe_config(*client_, topic, timeout);
}

Result<void> KafkaTarget::create_topic(const NewTopic& topic, Duration timeout) {
  return kafka::create_topic(*client_, topic, timeout);
}

Result<void> KafkaTarget::grow_topic(const std::string& name, std::int32_t partitions,
                                     Duration timeout) {
  return kafka::grow_topic(*client_, name, partitions, timeout);
}

Result<std::unique_ptr<Sink>> KafkaTarget::make_sink(const SinkOptions& options, Waker& waker) {
  return KafkaSink::make(cluster_, properties_, options, waker);
}

}  // namespace drawbridge::kafka

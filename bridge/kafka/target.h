// Target on librdkafka: a client for metadata and administration, and a maker of sinks.
#pragma once

#include <memory>
#include <string>

#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

class KafkaTarget final : public Target {
 public:
  static Result<std::unique_ptr<Target>> make(const ClusterOptions& cluster,
                                              const Properties& properties);

  Result<std::string> cluster_id(Duration timeout) override;
  Result<std::vector<TopicInfo>> topics(Duration timeout) override;
  Result<TopicInfo> topic(const std::string& name, Duration timeout) override;
  Result<TopicConfig> topic_config(const std::string& topic, Duration timeout) override;
  Result<void> create_topic(const NewTopic& topic, Duration timeout) override;
  Result<void> grow_topic(const std::string& name, std::int32_t partitions,
                          Duration timeout) override;
  Result<std::unique_ptr<Sink>> make_sink(const SinkOptions& options, Waker& waker) override;

 private:
  KafkaTarget(ClusterOptions cluster, Properties properties, std::unique_ptr<Client> client);

  const ClusterOptions cluster_;
  const Properties properties_;
  const std::unique_ptr<Client> client_;
};

}  // namespace drawbridge::kafka

#include "bridge/kafka/connector.h"

#include <librdkafka/rdkafka.h>

#include "bridge/kafka/group.h"
#include "bridge/kafka/source.h"
#include "bridge/kafka/target.h"

namespace drawbridge::kafka {
namespace {

class KafkaConnector final : public Connector {
 public:
  Result<std::unique_ptr<Source>> source(const PipelineOptions& pipeline,
                                         std::span<Waker* const> shard_wakers) override {
    return KafkaSource::make(pipeline, shard_wakers);
  }
  Result<std::unique_ptr<Target>> target(const ClusterOptions& cluster,
                                         const Properties& properties) override {
    return KafkaTarget::make(cluster, properties);
  }
  Result<std::unique_ptr<Group>> group(const ClusterOptions& cluster, const Properties& properties,
                                       const GroupOptions& options) override {
    DRAWBRIDGE_ASSIGN(auto group, KafkaGroup::make(cluster, properties, options));
    return std::unique_ptr<Group>(std::move(group));
  }
};

}  // namespace

std::unique_ptr<Connector> make_connector() { return std::make_unique<KafkaConnector>(); }

std::string library_version() { return rd_kafka_version_str(); }

}  // namespace drawbridge::kafka

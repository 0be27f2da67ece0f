// The bridge's settings of its clients, each with its reason.
#pragma once

#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

struct ConsumerSettings {
  ClientConfig config;
  // Fetching for a shard stops beyond either.
  std::size_t queue_bytes = 0;
  std::size_t queue_records = 0;
};

ConsumerSettings consumer_settings(const PipelineOptions& pipeline, std::size_t shards);
// A member of a group, which fetches nothing.
ClientConfig group_settings(const ClusterOptions& cluster, const Properties& properties,
                            const GroupOptions& options);
// A consumer that belongs to nobody, for looking at a cluster.
ClientConfig reader_settings(const ClusterOptions& cluster);
ClientConfig producer_settings(const ClusterOptions& cluster, const Properties& properties,
                               const SinkOptions& options);
// For metadata and administration only.
ClientConfig admin_settings(const ClusterOptions& cluster, const Properties& properties);

}  // namespace drawbridge::kafka

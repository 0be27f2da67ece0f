// Whether a cluster can be reached, and with what words it says no: for `check`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/kafka/admin.h"
#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

struct BrokerInfo {
  std::int32_t id = -1;
  std::string host;
  std::int32_t port = 0;
};

struct ClusterProbe {
  std::string cluster_id;
  std::vector<BrokerInfo> brokers;
  std::int32_t controller = -1;
  std::size_t topics = 0;  // that this user can see
};

// Connects as a client of this cluster would. The error names the first cause found, and tells a
// refused login or certificate from a broker that does not answer. Then connects to each broker
// under the address that it advertises, which is where clients go.
Result<ClusterProbe> probe_cluster(const ClusterOptions& cluster, Duration timeout);

// Whether a topic can be read: its first record, or its end, comes back.
Result<void> probe_read(const ClusterOptions& cluster, const std::string& topic, Duration timeout);

// Whether a topic could be created, or grown to so many partitions: asked, and not done.
Result<void> probe_create(const ClusterOptions& cluster, const NewTopic& topic, Duration timeout);
Result<void> probe_grow(const ClusterOptions& cluster, const std::string& topic,
                        std::int32_t partitions, Duration timeout);

// Who is in a group, and what each was dealt.
Result<GroupInfo> probe_group(const ClusterOptions& cluster, const std::string& group,
                              Duration timeout);

}  // namespace drawbridge::kafka

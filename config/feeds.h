// Which clusters are one and the same.
#pragma once

#include "bridge/pipeline/options.h"

namespace drawbridge::config {

// The same name, or a broker in common.
bool same_cluster(const ClusterOptions& a, const ClusterOptions& b);

}  // namespace drawbridge::config

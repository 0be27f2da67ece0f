// Pipelines that feed their own source, alone or through others: records would go round for ever.
#pragma once

#include <vector>

#include "config/config.h"
#include "config/lint.h"
#include "config/problems.h"

namespace drawbridge::config {

// The same name, or a broker in common.
bool same_cluster(const ClusterOptions& a, const ClusterOptions& b);

// Reports pipelines that feed each other, each group once, with topics that show it. Whether one
// pipeline can read what another writes is decided exactly, by running the expressions' automata
// side by side; where that cannot be done in reasonable time it is assumed, and said so.
void lint_feeds(const Configuration& configuration, const std::vector<PipelinePlaces>& places,
                Problems& problems);

}  // namespace drawbridge::config

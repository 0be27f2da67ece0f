// Checks among the values of a configuration, beyond what each may be by itself.
#pragma once

#include <vector>

#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace drawbridge::config {

// Where a pipeline's settings stand in the file.
struct PipelinePlaces {
  Place name;
  Place group;
  std::vector<Place> topics;  // by entry
  Place target_topic;
  Place require;
  std::vector<Place> steps;
  Place dead_letter;
  Place dead_letter_topic;
  Place dead_letter_cluster;
};

// Chains that cannot work, dead letters that would leak or come back, groups used twice, pipelines
// that feed themselves. Adds the configuration's dead-letter topics to what pipelines exclude.
// `places` belong to `configuration.pipelines`, one each.
void lint(Configuration& configuration, const std::vector<PipelinePlaces>& places,
          Problems& problems);

}  // namespace drawbridge::config

// Can one pipeline read what another one writes?
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bridge/pipeline/options.h"
#include "bridge/pipeline/topic_template.h"

namespace drawbridge::config {

// A topic that shows it.
struct Flow {
  std::string read;     // by the writer, from its source; empty: not known
  std::string written;  // by the writer, and read by the reader
};

// Work left for a whole configuration, so that hostile expressions cannot stop the linter.
struct FlowBudget {
  std::int64_t steps = 50'000'000;
};

// nullopt: none. REQUIRES: the selections' entries compile. The topics concern one cluster: the
// writer's target, which is the reader's source. Topics need not exist.
std::optional<Flow> find_flow(const TopicSelection& writer, const TopicTemplate& name,
                              const TopicSelection& reader, FlowBudget& budget);

}  // namespace drawbridge::config

// Where a partition starts: the rules of ENGINE.md and README ("checkpoints") in one place.
#pragma once

#include <optional>
#include <string>

#include "bridge/checkpoint/store.h"
#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"
#include "bridge/pipeline/shard_core.h"

namespace drawbridge {

enum class StartReason : std::uint8_t {
  kCheckpoint,    // the store's position
  kGroupReset,    // the group's offset was moved by somebody else: an operator's reset
  kGroupAhead,    // the group's offset is ours and newer: another instance's progress
  kGroupOnly,     // no checkpoint, but the group has an offset
  kEarliest,      // neither; by policy
  kNewPartition,  // neither; a partition that appeared after the pipeline's first start: from its
                  // beginning, whatever the policy, since nothing of it was ever passed over
  kLatest,        // neither; by policy: needs the end of the log
  kTimestamp,     // neither; by policy: needs a look-up
};
std::string_view describe(StartReason reason);

struct StartDecision {
  StartReason reason = StartReason::kCheckpoint;
  PartitionStart start;  // for kLatest and kTimestamp without its position: the caller looks it up
};

// `first_start`: the pipeline has no checkpoint at all. `now` names the line of work that begins
// here; see Checkpoint::line.
StartDecision decide_start(const std::optional<Checkpoint>& stored,
                           const std::optional<GroupOffset>& group, StartAt policy,
                           bool first_start, WallMillis now);
// The line that begins now, after `before`.
[[nodiscard]] WallMillis next_line(WallMillis before, WallMillis now);

}  // namespace drawbridge

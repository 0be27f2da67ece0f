#include "bridge/pipeline/start_position.h"

namespace drawbridge {

std::string_view describe(StartReason reason) {
  switch (reason) {
    case StartReason::kCheckpoint:
      return "checkpoint";
    case StartReason::kGroupReset:
      return "consumer group's offset, moved by somebody else";
    case StartReason::kGroupOnly:
      return "consumer group's offset, no checkpoint";
    case StartReason::kEarliest:
      return "start: earliest, no checkpoint";
    case StartReason::kNewPartition:
      return "new partition, from its beginning";
    case StartReason::kLatest:
      return "start: latest, no checkpoint";
    case StartReason::kTimestamp:
      return "start: timestamp, no checkpoint";
  }
  return "";
}

StartDecision decide_start(const std::optional<Checkpoint>& stored,
                           const std::optional<Offset>& group, StartAt policy, bool first_start) {
  StartDecision decision;
  PartitionStart& start = decision.start;
  if (stored) {
    start.position = stored->position;
    start.group_committed = stored->group_committed;
    start.group_pending = stored->group_pending;
    const bool ours = !group || group == stored->group_committed ||
                      group == stored->group_pending || *group == stored->position.next;
    if (ours) {
      // What the group holds is no longer in doubt. The next checkpoint must know it as ours even
      // where it was this checkpoint's position.
      if (group) {
        start.save_now = group != stored->group_committed;
        start.group_committed = group;
        start.group_pending.reset();
      }
      return decision;
    }
    decision.reason = StartReason::kGroupReset;
  } else if (group) {
    decision.reason = StartReason::kGroupOnly;
  } else if (!first_start || policy == StartAt::kEarliest) {
    decision.reason = first_start ? StartReason::kEarliest : StartReason::kNewPartition;
    start.fresh = true;
    return decision;
  } else {
    decision.reason = policy == StartAt::kLatest ? StartReason::kLatest : StartReason::kTimestamp;
    start.save_now = true;
    return decision;
  }
  start.position = Position{*group, std::nullopt};
  start.group_committed = group;
  start.group_pending.reset();
  start.save_now = true;
  return decision;
}

}  // namespace drawbridge

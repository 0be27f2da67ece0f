#include "bridge/pipeline/start_position.h"

#include <algorithm>
#include <utility>

namespace drawbridge {
namespace {

// Does the checkpoint hold against the group's offset? One with our mark is delivered progress, as
// the checkpoint is, and never a reset, however late it reached the group: the later line counts,
// and within a line the further. One without is ours only if it is a value that we committed.
bool nothing_new(const Checkpoint& stored, const GroupOffset& group) {
  if (group.line) {
    return std::pair(*group.line, group.offset) <= std::pair(stored.line, stored.position.next);
  }
  return group.offset == stored.group_committed || group.offset == stored.group_pending ||
         group.offset == stored.position.next;
}

}  // namespace

WallMillis next_line(WallMillis before, WallMillis now) { return std::max(before + 1, now); }

std::string_view describe(StartReason reason) {
  switch (reason) {
    case StartReason::kCheckpoint:
      return "checkpoint";
    case StartReason::kGroupReset:
      return "consumer group's offset, moved by somebody else";
    case StartReason::kGroupAhead:
      return "consumer group's offset, newer than the checkpoint";
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
                           const std::optional<GroupOffset>& group, StartAt policy,
                           bool first_start, WallMillis now) {
  StartDecision decision;
  PartitionStart& start = decision.start;
  start.line =
      next_line(std::max(stored ? stored->line : 0, group ? group->line.value_or(0) : 0), now);
  if (stored) {
    start.position = stored->position;
    if (!group) return decision;  // it has lost its offset, and is told anew
    if (nothing_new(*stored, *group)) {
      // What the group holds is no longer in doubt. The next checkpoint must know it as ours even
      // where it was this checkpoint's position.
      start.save_now = group->offset != stored->group_committed;
      start.group_committed = group->offset;
      start.group_pending.reset();
      return decision;
    }
    decision.reason = group->line ? StartReason::kGroupAhead : StartReason::kGroupReset;
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
  start.position = Position{group->offset, std::nullopt};
  start.group_committed = group->offset;
  start.group_pending.reset();
  start.save_now = true;
  return decision;
}

}  // namespace drawbridge

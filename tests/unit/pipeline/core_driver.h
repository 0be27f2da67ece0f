// Drives a ShardCore by itself, without fakes: events in, commands out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "bridge/pipeline/shard_core.h"

namespace drawbridge::core_driver {

inline constexpr SlotId kSlot = 3;
inline const Instant kStart = Instant(std::chrono::hours(1));

inline ShardLimits limits() {
  ShardLimits limits;
  limits.in_flight_bytes = 1000;
  limits.in_flight_records = 10;
  return limits;
}

inline PartitionStart at_offset(std::int64_t next) {
  PartitionStart start;
  start.position.next = Offset{next};
  start.group_committed = Offset{next};
  return start;
}

// A checkpoint whose witness is the record just before it, or further back.
inline PartitionStart with_witness(std::int64_t next, std::int64_t witness) {
  PartitionStart start = at_offset(next);
  start.position.witness = Witness{Offset{witness}, 1000 + witness, 77};
  return start;
}

inline Witness seen(std::int64_t offset, std::uint64_t hash = 77) {
  return {Offset{offset}, 1000 + offset, hash};
}

// Drives a core as a worker does, keeping what it asks for.
class Shard {
 public:
  explicit Shard(OnGap on_gap = OnGap::kStop, const ShardLimits& shard_limits = limits())
      : core(shard_limits, on_gap, kStart) {}

  // A worker's step without records: releases, time, commands. Saves succeed unless told.
  void step(Duration by = Duration{0}) {
    now += by;
    release();
    core.tick(now);
    take();
    for (std::size_t i = 0; i < assigned.size(); ++i) newest_assign = assigned[i];
  }
  void take() {
    for (auto commands = core.take_commands(); !commands.empty(); commands = core.take_commands()) {
      for (Command& command : commands) {
        if (const auto* assign = std::get_if<AssignCommand>(&command)) {
          assigned.push_back(assign->start.value);
        } else if (const auto* query = std::get_if<QueryRangeCommand>(&command)) {
          queried.push_back(query->slot);
        } else if (std::get_if<PurgeCommand>(&command) != nullptr) {
          ++purged;
        } else if (std::get_if<NewSinkCommand>(&command) != nullptr) {
          ++new_sinks;
          if (sinks_can_be_made) core.sink_ready();
        } else if (const auto* commit = std::get_if<CommitCommand>(&command)) {
          commits.push_back(commit->positions);
          if (answers_commits) core.committed(save_result, now);
        } else if (std::get_if<CutCommand>(&command) != nullptr) {
          ++cuts;
          newest_cut = std::get_if<CutCommand>(&command)->how;
          core.cut(std::exchange(waits_at_cut, 0));
        } else if (std::get_if<AbortCommand>(&command) != nullptr) {
          ++aborts;
        } else if (const auto* group = std::get_if<GroupCommitCommand>(&command)) {
          auto& told = group_commits.emplace_back();
          for (const auto& [slot, offset] : group->offsets) {
            told.emplace_back(slot, offset.offset);
            newest_line = offset.line;
          }
        } else if (const auto* notice = std::get_if<NoticeCommand>(&command)) {
          notices.push_back(*notice);
        } else if (const auto* failed = std::get_if<FailCommand>(&command)) {
          failures.push_back(failed->error);
        } else {
          ++stopped;
        }
      }
    }
  }
  void release() {
    for (const auto& released : core.collect_released()) {
      released_entries.push_back(released.entry);
      if (released.newest) {
        core.witness(released.slot, seen(core.position(released.slot).value - 1, 7));
      }
    }
  }

  EntryId send(std::int64_t offset, SlotId slot = kSlot) {
    EXPECT_EQ(core.admit(slot, Offset{offset}, core.era(), now), ShardCore::Admission::kProcess);
    const EntryId entry = core.reserve();
    core.begin(entry, slot, Offset{offset});
    return entry;
  }
  ShardCore::Admission admit(std::int64_t offset, SlotId slot = kSlot) {
    return core.admit(slot, Offset{offset}, core.era(), now);
  }
  // The source says that the position is not in the log, which turns out to be `low` to `high`.
  void out_of_range(std::int64_t low, std::int64_t high) {
    core.out_of_range(kSlot, core.era());
    step();
    core.range(kSlot, Offset{low}, Offset{high});
    step();
  }
  void end(std::int64_t offset) { core.end_of_partition(kSlot, Offset{offset}, core.era(), now); }
  void refuse(EntryId entry) {
    core.undelivered(entry, Error{ErrorCode::kTooLarge, "too large"}, now);
  }

  ShardCore core;
  Instant now = kStart;
  Result<void> save_result;
  bool sinks_can_be_made = true;
  bool answers_commits = true;  // at once; else the test does

  std::vector<std::int64_t> assigned;
  std::int64_t newest_assign = -1;
  std::vector<SlotId> queried;
  int purged = 0;
  int new_sinks = 0;
  int cuts = 0;
  Cut newest_cut = Cut::kEverything;
  std::size_t waits_at_cut = 0;  // what the sink answers to the next one
  int aborts = 0;
  std::vector<std::vector<PositionUpdate>> commits;
  std::vector<std::vector<std::pair<SlotId, Offset>>> group_commits;
  std::optional<WallMillis> newest_line;  // that the group was told
  std::vector<NoticeCommand> notices;
  std::vector<Error> failures;
  int stopped = 0;
  std::vector<EntryId> released_entries;
};

}  // namespace drawbridge::core_driver

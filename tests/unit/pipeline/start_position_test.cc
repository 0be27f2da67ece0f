#include "bridge/pipeline/start_position.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

constexpr WallMillis kLine = 1000;
constexpr WallMillis kNow = 5000;

Checkpoint checkpoint(std::int64_t next, std::optional<std::int64_t> committed = std::nullopt,
                      std::optional<std::int64_t> pending = std::nullopt) {
  Checkpoint out;
  out.position = {Offset{next}, Witness{Offset{next - 1}, 5, 6}};
  if (committed) out.group_committed = Offset{*committed};
  if (pending) out.group_pending = Offset{*pending};
  out.line = kLine;
  return out;
}

GroupOffset marked(std::int64_t offset, WallMillis line = kLine) { return {Offset{offset}, line}; }
GroupOffset unmarked(std::int64_t offset) { return {Offset{offset}, std::nullopt}; }

StartDecision decide(const std::optional<Checkpoint>& stored,
                     const std::optional<GroupOffset>& group, StartAt policy = StartAt::kLatest,
                     bool first_start = false) {
  return decide_start(stored, group, policy, first_start, kNow);
}

TEST(StartPosition, ACheckpointIsGoneOnFrom) {
  const auto decision = decide(checkpoint(10, 10), marked(10));
  EXPECT_EQ(decision.reason, StartReason::kCheckpoint);
  EXPECT_EQ(decision.start.position, checkpoint(10).position);
  EXPECT_EQ(decision.start.line, kNow) << "each start begins one";
  EXPECT_FALSE(decision.start.fresh);
  EXPECT_FALSE(decision.start.save_now);
}

// ---- the group's offset has our mark: delivered progress, as the checkpoint is ---------------

TEST(StartPosition, AMarkedOffsetThatLagsIsNoReset) {
  // However old it is: a commit may reach the group after newer ones.
  for (const std::int64_t group : {0, 3, 6, 9}) {
    const auto decision = decide(checkpoint(10, 7, 8), marked(group));
    EXPECT_EQ(decision.reason, StartReason::kCheckpoint) << group;
    EXPECT_EQ(decision.start.position, checkpoint(10).position);
    EXPECT_EQ(decision.start.line, kNow);
    // Known now, so that the group is told again.
    EXPECT_EQ(decision.start.group_committed, Offset{group});
    EXPECT_EQ(decision.start.group_pending, std::nullopt);
  }
}

TEST(StartPosition, AMarkedOffsetThatIsFurtherCounts) {
  const auto decision = decide(checkpoint(10, 10), marked(15));
  EXPECT_EQ(decision.reason, StartReason::kGroupAhead);
  EXPECT_EQ(decision.start.position, (Position{Offset{15}, std::nullopt}));
  EXPECT_EQ(decision.start.group_committed, Offset{15});
  EXPECT_EQ(decision.start.line, kNow);
  EXPECT_TRUE(decision.start.save_now);
}

// Another instance has worked since: it repeats in order what this one had copied, or it carried
// out an operator's reset, or went on after a gap.
TEST(StartPosition, ALaterLineCountsThoughItsOffsetIsLower) {
  for (const std::int64_t group : {2, 10, 15}) {
    const auto decision = decide(checkpoint(10, 10), marked(group, kLine + 1));
    EXPECT_EQ(decision.reason, StartReason::kGroupAhead) << group;
    EXPECT_EQ(decision.start.position, (Position{Offset{group}, std::nullopt}));
    EXPECT_EQ(decision.start.line, kNow);
    EXPECT_TRUE(decision.start.save_now);
  }
}

// A late commit of before the gap: its offset means nothing in the log that is there now.
TEST(StartPosition, AnEarlierLineNeverCounts) {
  for (const std::int64_t group : {2, 10, 15}) {
    const auto decision = decide(checkpoint(10, 10), marked(group, kLine - 1));
    EXPECT_EQ(decision.reason, StartReason::kCheckpoint) << group;
    EXPECT_EQ(decision.start.position, checkpoint(10).position);
    EXPECT_EQ(decision.start.line, kNow);
  }
}

// ---- it has none: a value that we know, or a reset -------------------------------------------

TEST(StartPosition, EveryValueThatWeMayHaveCommittedIsOurs) {
  for (const std::int64_t group : {7, 8, 10}) {
    const auto decision = decide(checkpoint(10, 7, 8), unmarked(group));
    EXPECT_EQ(decision.reason, StartReason::kCheckpoint) << group;
    EXPECT_EQ(decision.start.position.next, Offset{10});
    // Known now: the next checkpoint must not take it for somebody else's.
    EXPECT_EQ(decision.start.group_committed, Offset{group});
    EXPECT_EQ(decision.start.group_pending, std::nullopt);
    EXPECT_EQ(decision.start.line, kNow);
  }
}

TEST(StartPosition, AnOperatorsResetWinsInBothDirections) {
  for (const std::int64_t group : {0, 6, 9, 11}) {
    const auto decision = decide(checkpoint(10, 7, 8), unmarked(group));
    EXPECT_EQ(decision.reason, StartReason::kGroupReset) << group;
    EXPECT_EQ(decision.start.position, (Position{Offset{group}, std::nullopt}));
    EXPECT_TRUE(decision.start.save_now);
    EXPECT_EQ(decision.start.group_committed, Offset{group});
    EXPECT_EQ(decision.start.line, kNow);
  }
}

TEST(StartPosition, ALineIsLaterThanThoseBeforeItWhateverTheClockSays) {
  Checkpoint stored = checkpoint(10, 7);
  stored.line = kNow + 100;
  EXPECT_EQ(decide(stored, std::nullopt).start.line, kNow + 101);
  EXPECT_EQ(decide(stored, unmarked(3)).start.line, kNow + 101);
  EXPECT_EQ(decide(stored, marked(3, kNow + 200)).start.line, kNow + 201);
  EXPECT_EQ(decide(std::nullopt, marked(3, kNow + 200)).start.line, kNow + 201);
}

// ---- one of the two, or neither --------------------------------------------------------------

TEST(StartPosition, AnAbsentOrExpiredGroupOffsetNeverWins) {
  const auto decision = decide(checkpoint(10, 10), std::nullopt);
  EXPECT_EQ(decision.reason, StartReason::kCheckpoint);
  EXPECT_EQ(decision.start.position.next, Offset{10});
  EXPECT_EQ(decision.start.line, kNow);
  EXPECT_EQ(decision.start.group_committed, std::nullopt) << "it is told anew";
}

TEST(StartPosition, TheGroupAloneIsGoneOnFrom) {
  for (const GroupOffset& group : {marked(42), unmarked(42)}) {
    const auto decision = decide(std::nullopt, group, StartAt::kLatest, true);
    EXPECT_EQ(decision.reason, StartReason::kGroupOnly);
    EXPECT_EQ(decision.start.position, (Position{Offset{42}, std::nullopt}));
    EXPECT_EQ(decision.start.line, kNow);
    EXPECT_TRUE(decision.start.save_now);
  }
}

TEST(StartPosition, WithoutAnythingThePolicyDecidesAtTheFirstStartOnly) {
  EXPECT_EQ(decide(std::nullopt, std::nullopt, StartAt::kEarliest, true).reason,
            StartReason::kEarliest);
  const auto latest = decide(std::nullopt, std::nullopt, StartAt::kLatest, true);
  EXPECT_EQ(latest.reason, StartReason::kLatest);
  EXPECT_TRUE(latest.start.save_now);
  EXPECT_EQ(latest.start.line, kNow);
  EXPECT_EQ(decide(std::nullopt, std::nullopt, StartAt::kTimestamp, true).reason,
            StartReason::kTimestamp);
  for (const StartAt policy : {StartAt::kEarliest, StartAt::kLatest, StartAt::kTimestamp}) {
    const auto later = decide(std::nullopt, std::nullopt, policy, false);
    EXPECT_EQ(later.reason, StartReason::kNewPartition);
    EXPECT_TRUE(later.start.fresh);
    EXPECT_EQ(later.start.position.next, Offset{0});
    EXPECT_EQ(later.start.line, kNow);
  }
}

}  // namespace
}  // namespace drawbridge

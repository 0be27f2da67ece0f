#include "bridge/pipeline/start_position.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

Checkpoint checkpoint(std::int64_t next, std::optional<std::int64_t> committed = std::nullopt,
                      std::optional<std::int64_t> pending = std::nullopt) {
  Checkpoint out;
  out.position = {Offset{next}, Witness{Offset{next - 1}, 5, 6}};
  if (committed) out.group_committed = Offset{*committed};
  if (pending) out.group_pending = Offset{*pending};
  return out;
}

TEST(StartPosition, ACheckpointIsGoneOnFrom) {
  const auto decision = decide_start(checkpoint(10, 10), Offset{10}, StartAt::kLatest, false);
  EXPECT_EQ(decision.reason, StartReason::kCheckpoint);
  EXPECT_EQ(decision.start.position, checkpoint(10).position);
  EXPECT_FALSE(decision.start.fresh);
  EXPECT_FALSE(decision.start.save_now);
}

TEST(StartPosition, EveryValueThatWeMayHaveCommittedIsOurs) {
  for (const std::int64_t group : {7, 8, 10}) {
    const auto decision =
        decide_start(checkpoint(10, 7, 8), Offset{group}, StartAt::kEarliest, false);
    EXPECT_EQ(decision.reason, StartReason::kCheckpoint) << group;
    EXPECT_EQ(decision.start.position.next, Offset{10});
    // Known now: the next checkpoint must not take it for somebody else's.
    EXPECT_EQ(decision.start.group_committed, Offset{group});
    EXPECT_EQ(decision.start.group_pending, std::nullopt);
  }
}

TEST(StartPosition, AnOperatorsResetWinsInBothDirections) {
  for (const std::int64_t group : {0, 6, 9, 11}) {
    const auto decision =
        decide_start(checkpoint(10, 7, 8), Offset{group}, StartAt::kEarliest, false);
    EXPECT_EQ(decision.reason, StartReason::kGroupReset) << group;
    EXPECT_EQ(decision.start.position, (Position{Offset{group}, std::nullopt}));
    EXPECT_TRUE(decision.start.save_now);
    EXPECT_EQ(decision.start.group_committed, Offset{group});
  }
}

TEST(StartPosition, AnAbsentOrExpiredGroupOffsetNeverWins) {
  const auto decision = decide_start(checkpoint(10, 10), std::nullopt, StartAt::kLatest, false);
  EXPECT_EQ(decision.reason, StartReason::kCheckpoint);
  EXPECT_EQ(decision.start.position.next, Offset{10});
}

TEST(StartPosition, TheGroupAloneIsGoneOnFrom) {
  const auto decision = decide_start(std::nullopt, Offset{42}, StartAt::kLatest, true);
  EXPECT_EQ(decision.reason, StartReason::kGroupOnly);
  EXPECT_EQ(decision.start.position, (Position{Offset{42}, std::nullopt}));
  EXPECT_TRUE(decision.start.save_now);
}

TEST(StartPosition, WithoutAnythingThePolicyDecidesAtTheFirstStartOnly) {
  EXPECT_EQ(decide_start(std::nullopt, std::nullopt, StartAt::kEarliest, true).reason,
            StartReason::kEarliest);
  const auto latest = decide_start(std::nullopt, std::nullopt, StartAt::kLatest, true);
  EXPECT_EQ(latest.reason, StartReason::kLatest);
  EXPECT_TRUE(latest.start.save_now);
  EXPECT_EQ(decide_start(std::nullopt, std::nullopt, StartAt::kTimestamp, true).reason,
            StartReason::kTimestamp);
  for (const StartAt policy : {StartAt::kEarliest, StartAt::kLatest, StartAt::kTimestamp}) {
    const auto later = decide_start(std::nullopt, std::nullopt, policy, false);
    EXPECT_EQ(later.reason, StartReason::kNewPartition);
    EXPECT_TRUE(later.start.fresh);
    EXPECT_EQ(later.start.position.next, Offset{0});
  }
}

}  // namespace
}  // namespace drawbridge

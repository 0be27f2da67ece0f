// The shard's core, rule by rule. Checkpoints, the consumer group's offsets, and how a shard ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pipeline/core_driver.h"

namespace drawbridge {
namespace {

using namespace core_driver;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;
using State = ShardCore::State;
using Admission = ShardCore::Admission;

// ---- checkpoints ----------------------------------------------------------------------------

TEST(ShardCoreCheckpoint, IsSavedEveryInterval) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.step(milliseconds(999));
  EXPECT_THAT(shard.commits, IsEmpty());
  shard.step(milliseconds(1));
  ASSERT_THAT(shard.commits, SizeIs(1));
  EXPECT_EQ(shard.core.durable(kSlot), Offset{1});
  EXPECT_FALSE(shard.core.dirty());
  shard.step(seconds(5));
  EXPECT_THAT(shard.commits, SizeIs(1)) << "nothing changed";
}

TEST(ShardCoreCheckpoint, IsSavedAfterSoManyRecords) {
  ShardLimits few = limits();
  few.checkpoint_records = 3;
  Shard shard(OnGap::kStop, few);
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  for (std::int64_t offset = 0; offset < 3; ++offset) {
    EXPECT_THAT(shard.commits, IsEmpty());
    shard.core.delivered(shard.send(offset), shard.now);
    shard.step();
  }
  EXPECT_THAT(shard.commits, SizeIs(1));
}

TEST(ShardCoreCheckpoint, AFailingStorePausesAndIsAskedAgain) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.save_result = fail(ErrorCode::kFull, "no space left");
  shard.step(seconds(1));
  EXPECT_FALSE(shard.core.may_poll());
  ASSERT_TRUE(shard.core.store_error());
  EXPECT_EQ(shard.core.durable(kSlot), Offset{0});
  EXPECT_THAT(shard.group_commits, IsEmpty()) << "the group never knows more than the disk";
  EXPECT_THAT(shard.failures, IsEmpty());
  shard.save_result = {};
  shard.step(seconds(1));
  EXPECT_TRUE(shard.core.may_poll());
  EXPECT_FALSE(shard.core.store_error());
  EXPECT_EQ(shard.core.durable(kSlot), Offset{1});
}

TEST(ShardCoreCheckpoint, ADamagedStoreFailsThePipeline) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.save_result = fail(ErrorCode::kCorrupt, "damaged");
  shard.step(seconds(1));
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].code, ErrorCode::kCorrupt);
}

TEST(ShardCoreCheckpoint, HasTheWitnessOfTheRecordBeforeIt) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99), shard.now);
  shard.core.delivered(shard.send(100), shard.now);
  // Before the release the witness is that of 99: nothing may be saved.
  shard.now += seconds(2);
  shard.core.tick(shard.now);
  shard.take();
  EXPECT_THAT(shard.commits, IsEmpty());
  shard.step();
  ASSERT_THAT(shard.commits, SizeIs(1));
  EXPECT_EQ(shard.commits[0][0].checkpoint.position, (Position{Offset{101}, seen(100, 7)}));
}

// ---- the consumer group ---------------------------------------------------------------------

class ShardCoreGroup : public testing::Test {
 protected:
  void SetUp() override {
    shard.core.add(kSlot, at_offset(0), shard.now);
    shard.step();
  }
  // Copies a record and saves.
  void copy(std::int64_t offset) {
    shard.core.delivered(shard.send(offset), shard.now);
    shard.step(seconds(1));
  }
  const Checkpoint& newest() { return shard.commits.back()[0].checkpoint; }
  void answer(std::int64_t offset, bool ok) {
    shard.core.group_committed({{kSlot, Offset{offset}}}, ok);
  }
  std::vector<std::int64_t> told() {
    std::vector<std::int64_t> out;
    for (const auto& commit : shard.group_commits) out.push_back(commit[0].second.value);
    return out;
  }

  Shard shard;
};

TEST_F(ShardCoreGroup, FollowsWhatIsDurable) {
  copy(0);
  EXPECT_THAT(told(), ElementsAre(1));
  answer(1, true);
  copy(1);
  EXPECT_THAT(told(), ElementsAre(1, 2));
  EXPECT_THAT(newest().group_committed, Optional(Offset{1}));
  EXPECT_EQ(newest().group_pending, std::nullopt);
}

// An operator's reset to the offset that was confirmed before must not look like our own.
TEST_F(ShardCoreGroup, AConfirmedOffsetIsSavedThoughNothingMoves) {
  copy(0);
  answer(1, true);
  shard.step(seconds(1));
  EXPECT_THAT(newest().group_committed, Optional(Offset{1}));
  EXPECT_EQ(newest().group_pending, std::nullopt);
  const std::size_t saved = shard.commits.size();
  shard.step(seconds(5));
  EXPECT_THAT(shard.commits, SizeIs(saved)) << "once is enough";
  EXPECT_THAT(told(), ElementsAre(1));
}

TEST_F(ShardCoreGroup, AStopWaitsForTheAnswerAndSavesIt) {
  copy(0);
  shard.core.stop(shard.now, seconds(30));
  shard.step(seconds(1));
  EXPECT_EQ(shard.stopped, 0);
  answer(1, true);
  shard.step();
  EXPECT_EQ(shard.stopped, 0);
  shard.step();
  EXPECT_EQ(shard.stopped, 1);
  EXPECT_THAT(newest().group_committed, Optional(Offset{1}));
}

TEST_F(ShardCoreGroup, AStopDoesNotWaitForAnAnswerForEver) {
  copy(0);
  shard.core.stop(shard.now, seconds(30));
  shard.step(seconds(1));
  EXPECT_LE(shard.core.deadline(), shard.now + seconds(4));
  shard.step(seconds(4));
  EXPECT_EQ(shard.stopped, 1);
}

TEST_F(ShardCoreGroup, OneCommitAtATimeAndTheNextFollows) {
  copy(0);
  copy(1);
  EXPECT_THAT(told(), ElementsAre(1));
  EXPECT_THAT(newest().group_pending, Optional(Offset{1})) << "durable while in doubt";
  answer(1, true);
  shard.step(seconds(1));
  EXPECT_THAT(told(), ElementsAre(1, 2)) << "though nothing was copied since";
}

TEST_F(ShardCoreGroup, AFailedCommitIsRepeatedThoughNothingMoves) {
  copy(0);
  answer(1, false);
  shard.step(seconds(1));
  EXPECT_THAT(told(), ElementsAre(1, 1));
  answer(1, true);
  shard.step(seconds(5));
  EXPECT_THAT(told(), ElementsAre(1, 1));
}

// Otherwise two values would be in doubt, and a checkpoint has room for one.
TEST_F(ShardCoreGroup, ACommitInDoubtIsRepeatedBeforeTheNextValue) {
  copy(0);
  answer(1, false);
  copy(1);
  EXPECT_THAT(told(), ElementsAre(1, 1));
  EXPECT_THAT(newest().group_committed, Optional(Offset{0}));
  EXPECT_THAT(newest().group_pending, Optional(Offset{1}));
  answer(1, true);
  shard.step(seconds(1));
  EXPECT_THAT(told(), ElementsAre(1, 1, 2));
}

TEST_F(ShardCoreGroup, IdlePartitionsAreCommittedAgainDaily) {
  copy(0);
  answer(1, true);
  shard.step(hours(23));
  EXPECT_THAT(told(), ElementsAre(1));
  shard.step(hours(1));
  EXPECT_THAT(told(), ElementsAre(1, 1));
  answer(1, true);
  shard.step(hours(24));
  EXPECT_THAT(told(), ElementsAre(1, 1, 1));
}

TEST_F(ShardCoreGroup, ADailyCommitThatFindsOneUnderWayIsNotPutOffForADay) {
  shard.step(hours(23));
  copy(0);  // its answer takes its time
  shard.step(hours(1));
  answer(1, true);
  shard.step(seconds(1));
  EXPECT_THAT(told(), ElementsAre(1, 1));
}

TEST_F(ShardCoreGroup, AGroupThatLagsBehindTheCheckpointIsToldAtTheStart) {
  constexpr SlotId kLate = 5;
  PartitionStart start = at_offset(50);
  start.group_committed.reset();  // expired
  shard.core.add(kLate, start, shard.now);
  shard.step(seconds(1));
  ASSERT_THAT(shard.group_commits, SizeIs(1));
  EXPECT_THAT(shard.group_commits[0], ElementsAre(std::pair(kLate, Offset{50})));
}

TEST_F(ShardCoreGroup, AnOffsetMovedBySomebodyElseIsSaidOnce) {
  copy(0);
  answer(1, true);
  shard.core.group_seen(kSlot, GroupOffset{Offset{1}});
  shard.core.group_seen(kSlot, std::nullopt);
  shard.step();
  EXPECT_THAT(shard.notices, IsEmpty());
  shard.core.group_seen(kSlot, GroupOffset{Offset{33}});
  shard.core.group_seen(kSlot, GroupOffset{Offset{33}});
  shard.step();
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_EQ(shard.notices[0].level, Level::kWarning);
  EXPECT_THAT(shard.notices[0].text,
              HasSubstr("moved to 33 by somebody else while this pipeline runs (last committed "
                        "here: 1)"));
  EXPECT_THAT(shard.notices[0].text, HasSubstr("only while the daemon is stopped"));
  shard.core.group_seen(kSlot, GroupOffset{Offset{1}});
  shard.core.group_seen(kSlot, GroupOffset{Offset{34}});
  shard.step();
  EXPECT_THAT(shard.notices, SizeIs(2)) << "said again once it was well";
}

// On a connection that was lost, and after newer ones.
TEST_F(ShardCoreGroup, ACommitThatCameLateIsOverwrittenWithoutAWord) {
  copy(0);
  answer(1, true);
  copy(1);
  answer(2, true);
  shard.step(seconds(1));
  ASSERT_THAT(told(), ElementsAre(1, 2));
  shard.core.group_seen(kSlot, GroupOffset{Offset{1}, 0});
  shard.step(seconds(1));
  EXPECT_THAT(told(), ElementsAre(1, 2, 2));
  answer(2, true);
  // Of a line that has ended, its offset says nothing.
  PartitionStart start = at_offset(2);
  start.line = 5;
  shard.core.add(kSlot, start, shard.now);
  shard.core.group_seen(kSlot, GroupOffset{Offset{50}, 4});
  shard.step(seconds(1));
  EXPECT_THAT(told(), ElementsAre(1, 2, 2, 2));
  EXPECT_EQ(shard.newest_line, 5);
  EXPECT_THAT(shard.notices, IsEmpty());
}

TEST_F(ShardCoreGroup, AnotherInstancesProgressIsSaidOnce) {
  copy(0);
  answer(1, true);
  shard.core.group_seen(kSlot, GroupOffset{Offset{33}, 0});
  shard.core.group_seen(kSlot, GroupOffset{Offset{35}, 0});
  shard.step(seconds(1));
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_THAT(shard.notices[0].text, HasSubstr("moved to 33 by another instance while"));
  EXPECT_THAT(shard.notices[0].text, HasSubstr("have to share it"));
  EXPECT_THAT(told(), ElementsAre(1)) << "it is not fought over";
}

TEST_F(ShardCoreGroup, AValueInDoubtIsOurs) {
  copy(0);
  answer(1, false);
  copy(1);
  answer(1, false);
  for (const std::int64_t ours : {0, 1, 2}) shard.core.group_seen(kSlot, GroupOffset{Offset{ours}});
  shard.step();
  EXPECT_THAT(shard.notices, IsEmpty());
}

// ---- the end --------------------------------------------------------------------------------

TEST(ShardCoreStop, DrainsThenSavesThenStops) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId entry = shard.send(0);
  shard.core.stop(shard.now, seconds(30));
  EXPECT_FALSE(shard.core.may_poll());
  EXPECT_FALSE(shard.core.may_send(kSlot));
  shard.step();
  EXPECT_EQ(shard.stopped, 0);
  EXPECT_EQ(shard.purged, 1) << "what was not sent is read again";
  shard.core.delivered(entry, shard.now);
  shard.step();
  shard.core.group_committed({{kSlot, Offset{1}}}, true);
  shard.step();
  shard.step();
  EXPECT_EQ(shard.stopped, 1);
  EXPECT_EQ(shard.core.state(), State::kStopped);
  EXPECT_TRUE(shard.core.finished());
  EXPECT_EQ(shard.core.durable(kSlot), Offset{1});
  EXPECT_THAT(shard.group_commits, SizeIs(1));
}

TEST(ShardCoreStop, LeavesAtTheDeadlineWithWhatIsAcknowledged) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId first = shard.send(0);
  shard.send(1);  // is never answered
  shard.core.stop(shard.now, seconds(30));
  shard.core.delivered(first, shard.now);
  shard.step(seconds(29));
  EXPECT_EQ(shard.stopped, 0);
  EXPECT_LE(shard.core.deadline(), kStart + seconds(30));
  shard.step(seconds(1));
  shard.step();
  EXPECT_EQ(shard.stopped, 1);
  EXPECT_EQ(shard.core.durable(kSlot), Offset{1});
}

TEST(ShardCoreStop, AsksAFailingStoreUntilTheDeadline) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.save_result = fail(ErrorCode::kFull, "no space left");
  shard.core.stop(shard.now, seconds(3));
  for (int i = 0; i < 2; ++i) {
    shard.step(seconds(1));
    EXPECT_EQ(shard.stopped, 0);
  }
  EXPECT_THAT(shard.commits, SizeIs(2));
  shard.save_result = {};
  shard.step(seconds(1));
  shard.step();
  EXPECT_EQ(shard.stopped, 1);
  EXPECT_EQ(shard.core.durable(kSlot), Offset{1});
}

TEST(ShardCoreStop, LeavesAtTheDeadlineThoughTheStoreFails) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.save_result = fail(ErrorCode::kFull, "no space left");
  shard.core.stop(shard.now, milliseconds(1500));
  shard.step();
  shard.step(milliseconds(1500));
  shard.step();
  EXPECT_EQ(shard.stopped, 1);
  EXPECT_EQ(shard.core.durable(kSlot), Offset{0});
}

TEST(ShardCoreFailure, KeepsWhatIsAcknowledgedAndWaitsALittleForTheRest) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId first = shard.send(0);
  const EntryId second = shard.send(1);
  shard.core.delivered(first, shard.now);
  shard.core.fail(Error{ErrorCode::kTransform, "unfit"});
  EXPECT_EQ(shard.core.state(), State::kFailed);
  EXPECT_LE(shard.core.deadline(), shard.now) << "the failure is not put off";
  shard.step();
  EXPECT_THAT(shard.failures, IsEmpty());
  EXPECT_EQ(shard.core.deadline(), shard.now + limits().fail_drain) << "waits without spinning";
  shard.core.delivered(second, shard.now);
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].message, "unfit");
  EXPECT_TRUE(shard.core.finished());
  EXPECT_EQ(shard.core.durable(kSlot), Offset{2});
}

TEST(ShardCoreFailure, IsSaidThoughAnswersDoNotCome) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.send(1);
  shard.core.fail(Error{ErrorCode::kTransform, "unfit"});
  shard.step();
  shard.step(limits().fail_drain);
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.core.durable(kSlot), Offset{1});
}

TEST(ShardCoreFailure, TheFirstOneCounts) {
  Shard shard;
  shard.core.fail(Error{ErrorCode::kTransform, "first"});
  shard.core.fail(Error{ErrorCode::kTransform, "second"});
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].message, "first");
}

}  // namespace
}  // namespace drawbridge

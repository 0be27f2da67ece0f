// The shard's core, rule by rule. Where a partition starts, how its log is proven to be the one
// that was copied, and what happens when it is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pipeline/core_driver.h"

namespace drawbridge {
namespace {

using namespace core_driver;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using State = ShardCore::State;
using Admission = ShardCore::Admission;

// ---- where a partition starts ---------------------------------------------------------------

TEST(ShardCoreStart, AtTheLogsStartThereIsNoWitness) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(0));
  EXPECT_TRUE(shard.core.settled(kSlot));
  EXPECT_EQ(shard.admit(0), Admission::kProcess);
}

// Another instance's position, say: a topic that is replaced before anything is copied from there
// must be noticed all the same.
TEST(ShardCoreStart, WithoutAWitnessTheRecordBeforeThePositionIsAdopted) {
  Shard shard;
  PartitionStart start = at_offset(100);
  start.line = 8;
  shard.core.add(kSlot, start, shard.now);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(99));
  EXPECT_FALSE(shard.core.settled(kSlot));
  EXPECT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99, 5), shard.now);
  EXPECT_EQ(shard.core.position(kSlot), Offset{100});
  // Saved though nothing was copied, once.
  shard.step(seconds(1));
  ASSERT_THAT(shard.commits, SizeIs(1));
  EXPECT_EQ(shard.commits[0][0].checkpoint.position, (Position{Offset{100}, seen(99, 5)}));
  EXPECT_EQ(shard.commits[0][0].checkpoint.line, 8);
  shard.step(seconds(5));
  EXPECT_THAT(shard.commits, SizeIs(1));
  EXPECT_THAT(shard.group_commits, IsEmpty()) << "the group knows no witness";
  EXPECT_EQ(shard.admit(100), Admission::kProcess);
  EXPECT_TRUE(shard.core.settled(kSlot));
  // From now on it proves the topic.
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_EQ(shard.newest_assign, 99);
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99, 6), shard.now);
  shard.step();
  EXPECT_THAT(shard.queried, SizeIs(1));
  EXPECT_THAT(shard.notices, IsEmpty());
}

TEST(ShardCoreStart, WithoutARecordBeforeThePositionItGoesOnWithoutAWitness) {
  for (const bool idle : {false, true}) {
    Shard shard;
    shard.core.add(kSlot, at_offset(100), shard.now);
    shard.step();
    // Compacted away, or a marker.
    idle ? shard.end(100) : static_cast<void>(shard.send(104));
    EXPECT_TRUE(shard.core.settled(kSlot));
    shard.step(seconds(1));
    EXPECT_THAT(shard.notices, IsEmpty());
    EXPECT_THAT(shard.commits, IsEmpty());
    EXPECT_THAT(shard.assigned, SizeIs(1));
  }
}

TEST(ShardCoreStart, AtTheStartOfALogThatBeganLaterThereIsNoWitness) {
  Shard shard;
  shard.core.add(kSlot, at_offset(100), shard.now);
  shard.step();
  shard.out_of_range(100, 400);
  EXPECT_THAT(shard.assigned, ElementsAre(99, 100));
  EXPECT_TRUE(shard.core.settled(kSlot));
  EXPECT_THAT(shard.notices, IsEmpty());
  EXPECT_THAT(shard.failures, IsEmpty());
  EXPECT_EQ(shard.admit(100), Admission::kProcess);
}

TEST(ShardCoreStart, WithoutAWitnessALogThatEndsBeforeThePositionIsAGap) {
  for (const std::int64_t high : {40, 99}) {
    Shard shard;
    shard.core.add(kSlot, at_offset(100), shard.now);
    shard.step();
    if (high == 99) {
      shard.end(99);
      shard.step();
      shard.core.range(kSlot, Offset{0}, Offset{99});
      shard.step();
    } else {
      shard.out_of_range(0, high);
    }
    ASSERT_THAT(shard.failures, SizeIs(1)) << high;
    EXPECT_EQ(shard.failures[0].code, ErrorCode::kGap);
  }
}

// A hint that comes while the record before the position is looked for.
TEST(ShardCoreStart, AdoptingIsNotForgottenInAReassignment) {
  Shard shard;
  shard.core.add(kSlot, at_offset(100), shard.now);
  shard.step();
  const std::uint64_t era = shard.core.era();
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(99, 99));
  EXPECT_EQ(shard.core.admit(kSlot, Offset{99}, era, shard.now), Admission::kSkip);
  EXPECT_EQ(shard.admit(99), Admission::kVerify);
}

// What a gap puts an end to is a line: other instances' checkpoints of it count no more, and
// neither does what the group was told of it.
TEST(ShardCoreStart, AGapBeginsANewLine) {
  Shard shard(OnGap::kEarliest);
  PartitionStart start = with_witness(100, 99);
  start.line = 8;
  start.group_committed = Offset{90};
  start.group_pending = Offset{100};
  shard.core.add(kSlot, start, shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99, 78), shard.now);
  shard.step();
  shard.core.range(kSlot, Offset{20}, Offset{500});
  shard.step(seconds(1));
  ASSERT_THAT(shard.commits, SizeIs(1));
  EXPECT_EQ(shard.commits[0][0].checkpoint.line, 9);
  EXPECT_EQ(shard.commits[0][0].checkpoint.group_pending, std::nullopt);
  ASSERT_THAT(shard.group_commits, SizeIs(1));
  EXPECT_THAT(shard.group_commits[0], ElementsAre(std::pair(kSlot, Offset{20})));
  EXPECT_EQ(shard.newest_line, 9);
}

TEST(ShardCoreStart, TheSameWitnessIsNotSentAgain) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(99));
  EXPECT_FALSE(shard.core.settled(kSlot));
  EXPECT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99), shard.now);
  EXPECT_EQ(shard.admit(100), Admission::kProcess);
  EXPECT_TRUE(shard.core.settled(kSlot));
  shard.step();
  EXPECT_THAT(shard.notices, IsEmpty());
  EXPECT_THAT(shard.assigned, SizeIs(1));
}

TEST(ShardCoreStart, AnotherRecordInTheWitnesssPlaceIsAGapThatStops) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99, 78), shard.now);
  EXPECT_EQ(shard.admit(100), Admission::kSkip);
  shard.step();
  ASSERT_THAT(shard.queried, ElementsAre(kSlot));
  shard.core.range(kSlot, Offset{0}, Offset{500});
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].code, ErrorCode::kGap);
  EXPECT_EQ(shard.failures[0].message,
            "the record at offset 99 is not the one that was copied, so the topic was deleted and "
            "recreated, or truncated; offsets 0 to 99 of the present log have not been read");
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_EQ(shard.notices[0].level, Level::kError);
  EXPECT_EQ(shard.core.state(), State::kFailed);
  // Nothing new was copied, so nothing changes on disk.
  EXPECT_THAT(shard.commits, IsEmpty());
}

TEST(ShardCoreStart, ATimestampAloneTellsAnotherRecord) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, Witness{Offset{99}, 5, 77}, shard.now);
  EXPECT_FALSE(shard.core.settled(kSlot));
  EXPECT_EQ(shard.admit(100), Admission::kSkip);
}

TEST(ShardCoreStart, AfterAGapOnGapEarliestGoesOnAtTheLogsStart) {
  Shard shard(OnGap::kEarliest);
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99, 78), shard.now);
  shard.step();
  shard.core.range(kSlot, Offset{20}, Offset{500});
  shard.step(seconds(1));
  EXPECT_THAT(shard.assigned, ElementsAre(99, 20));
  EXPECT_THAT(shard.failures, IsEmpty());
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_THAT(shard.notices[0].text, HasSubstr("going on at 20 (on-gap: earliest)"));
  // The new position is saved, without a witness of the old log.
  ASSERT_THAT(shard.commits, SizeIs(1));
  EXPECT_EQ(shard.commits[0][0].checkpoint.position, (Position{Offset{20}, std::nullopt}));
  EXPECT_EQ(shard.admit(20), Admission::kProcess);
}

TEST(ShardCoreStart, ARecordBetweenWitnessAndPositionProvesAnotherLog) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 90), shard.now);  // 91 to 99 were markers
  shard.step();
  EXPECT_EQ(shard.admit(90), Admission::kVerify);
  shard.core.verify(kSlot, seen(90), shard.now);
  EXPECT_EQ(shard.admit(95), Admission::kSkip);
  shard.step();
  shard.core.range(kSlot, Offset{0}, Offset{500});
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_THAT(shard.failures[0].message,
              HasSubstr("offset 95 is not one of those that were copied up to there"));
}

TEST(ShardCoreStart, ALogThatEndsBeforeThePositionIsAGap) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.out_of_range(0, 40);
  ASSERT_THAT(shard.queried, ElementsAre(kSlot));
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].message,
            "the log ends at offset 40, before the checkpoint at 100: the topic was truncated, or "
            "deleted and recreated; offsets 0 to 39 of the present log have not been read");
}

TEST(ShardCoreStart, AnEmptyLogBeforeThePositionHasNothingUnread) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.out_of_range(0, 0);
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_THAT(shard.failures[0].message, HasSubstr("recreated; the present log is empty"));
}

TEST(ShardCoreStart, AnEndBeforeThePositionWhileVerifyingAsksForTheRange) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.end(99);
  shard.step();
  EXPECT_THAT(shard.queried, ElementsAre(kSlot));
  EXPECT_THAT(shard.notices, IsEmpty());
}

TEST(ShardCoreStart, ALogThatStartsAfterThePositionIsAGap) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.out_of_range(150, 400);
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].message,
            "offsets 100 to 149 are gone: the log starts at 150 now, after the checkpoint at 100 "
            "(retention removed records before they were copied)");
}

TEST(ShardCoreStart, AWitnessThatAgedOutIsSaidOnceAndTheCopyGoesOn) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.out_of_range(100, 400);
  EXPECT_THAT(shard.assigned, ElementsAre(99, 100));
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_EQ(shard.notices[0].level, Level::kWarning);
  EXPECT_EQ(shard.notices[0].text,
            "that this is still the topic which was copied up to offset 100 cannot be proven: the "
            "record before it is not there, it has aged out of the log");
  EXPECT_EQ(shard.admit(100), Admission::kProcess);
}

TEST(ShardCoreStart, AWitnessThatWasCompactedAwayIsSaidOnce) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  EXPECT_EQ(shard.admit(104), Admission::kProcess);
  shard.step();
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_THAT(shard.notices[0].text, HasSubstr("it was compacted away"));
  // Once: not again after a hint.
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_EQ(shard.newest_assign, 99);
  EXPECT_EQ(shard.admit(104), Admission::kProcess);
  shard.step();
  EXPECT_THAT(shard.notices, SizeIs(1));
}

TEST(ShardCoreStart, AnEndWithoutTheWitnessIsUnproven) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.end(100);
  shard.step();
  ASSERT_THAT(shard.notices, SizeIs(1));
  EXPECT_THAT(shard.notices[0].text, HasSubstr("hidden by an open transaction"));
  EXPECT_TRUE(shard.core.settled(kSlot));
}

TEST(ShardCoreStart, AnEndAfterTheWitnessWasSeenIsSilent) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99), shard.now);
  shard.end(100);
  shard.step();
  EXPECT_THAT(shard.notices, IsEmpty());
  EXPECT_TRUE(shard.core.settled(kSlot));
}

// The witness must be in the log by its range, but does not come: a new log may hide it behind an
// open transaction. Going on at the position would skip that log's beginning.
TEST(ShardCoreStart, AWitnessThatMustBeThereIsLookedForAgain) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.end(3);
  shard.step();
  shard.core.range(kSlot, Offset{0}, Offset{200});
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(99, 99));
  EXPECT_FALSE(shard.core.settled(kSlot));
  EXPECT_THAT(shard.notices, IsEmpty());
}

TEST(ShardCoreStart, AFreshPartitionWhoseLogStartsLaterIsNoGap) {
  Shard shard;
  PartitionStart start;
  start.fresh = true;
  shard.core.add(kSlot, start, shard.now);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(0));
  shard.out_of_range(1000, 1500);
  EXPECT_THAT(shard.assigned, ElementsAre(0, 1000));
  EXPECT_THAT(shard.notices, IsEmpty());
  EXPECT_THAT(shard.failures, IsEmpty());
}

TEST(ShardCoreStart, OnceSomethingWasReadALogThatStartsLaterIsAGap) {
  Shard shard;
  PartitionStart start;
  start.fresh = true;
  shard.core.add(kSlot, start, shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.step();
  shard.core.out_of_range(kSlot, shard.core.era());
  shard.step();
  shard.core.out_of_range(kSlot, shard.core.era());  // at the witness, too
  shard.step();
  shard.core.range(kSlot, Offset{1000}, Offset{1500});
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_THAT(shard.failures[0].message, HasSubstr("offsets 1 to 999 are gone"));
}

TEST(ShardCoreStart, AChosenStartIsSavedBeforeAnythingIsPolled) {
  Shard shard;
  PartitionStart start = at_offset(500);
  start.save_now = true;
  shard.core.add(kSlot, start, shard.now);
  EXPECT_FALSE(shard.core.may_poll());
  shard.save_result = fail(ErrorCode::kFull, "disk full");
  shard.step();
  EXPECT_THAT(shard.commits, SizeIs(1));
  EXPECT_FALSE(shard.core.may_poll());
  shard.save_result = {};
  shard.step(seconds(1));
  ASSERT_THAT(shard.commits, SizeIs(2));
  EXPECT_EQ(shard.commits[1][0].checkpoint.position.next, Offset{500});
  EXPECT_TRUE(shard.core.may_poll());
}

// ---- asking for a log's range ---------------------------------------------------------------

TEST(ShardCoreRange, NoAnswerIsAskedForAgainWithBackOff) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.core.out_of_range(kSlot, shard.core.era());
  shard.step();
  ASSERT_THAT(shard.queried, SizeIs(1));
  shard.core.range_failed(kSlot, Error{ErrorCode::kUnavailable, "no broker"});
  shard.step();
  EXPECT_THAT(shard.queried, SizeIs(1)) << "asked again at once";
  EXPECT_EQ(shard.core.deadline(), shard.now + milliseconds(100));
  shard.step(milliseconds(100));
  EXPECT_THAT(shard.queried, SizeIs(2));
  shard.core.range_failed(kSlot, Error{ErrorCode::kUnavailable, "no broker"});
  shard.step(milliseconds(199));
  EXPECT_THAT(shard.queried, SizeIs(2));
  shard.step(milliseconds(1));
  EXPECT_THAT(shard.queried, SizeIs(3));
  EXPECT_THAT(shard.failures, IsEmpty());
}

TEST(ShardCoreRange, AnAnswerThatCannotPassFails) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  shard.core.out_of_range(kSlot, shard.core.era());
  shard.step();
  shard.core.range_failed(kSlot, Error{ErrorCode::kAuthentication, "who are you"});
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].code, ErrorCode::kAuthentication);
}

TEST(ShardCoreRange, OutOfRangeWithRecordsInFlightGoesBackToTheWitnessFirst) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.step();
  const EntryId waiting = shard.send(1);
  shard.core.out_of_range(kSlot, shard.core.era());
  shard.step();
  EXPECT_THAT(shard.queried, IsEmpty());
  EXPECT_EQ(shard.core.state(), State::kDraining);
  shard.core.delivered(waiting, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.state(), State::kRunning);
  EXPECT_EQ(shard.newest_assign, 1) << "the witness of position 2";
}

TEST(ShardCoreRange, AnEventOfAnOlderEraIsOld) {
  Shard shard;
  shard.core.add(kSlot, at_offset(100), shard.now);
  shard.step();
  const std::uint64_t before = shard.core.era();
  shard.core.reassign(kSlot);
  shard.step();
  shard.end(100);
  shard.core.out_of_range(kSlot, before);
  shard.core.end_of_partition(kSlot, Offset{50}, before, shard.now);
  shard.step();
  EXPECT_THAT(shard.queried, IsEmpty());
  EXPECT_TRUE(shard.core.settled(kSlot));
}

// ---- hints that the topic changed -----------------------------------------------------------

TEST(ShardCoreReassign, DrainsThenLooksAtTheWitness) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId first = shard.send(0);
  const EntryId second = shard.send(1);
  shard.core.reassign(kSlot);
  EXPECT_EQ(shard.core.state(), State::kDraining);
  EXPECT_FALSE(shard.core.may_poll());
  EXPECT_FALSE(shard.core.may_send(kSlot));
  shard.core.delivered(second, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.state(), State::kDraining) << "one is unanswered";
  shard.core.delivered(first, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.state(), State::kRunning);
  EXPECT_EQ(shard.newest_assign, 1);
  EXPECT_EQ(shard.admit(1), Admission::kVerify);
}

// What is in flight may be of the old topic, and the new one must be read from its beginning.
TEST(ShardCoreReassign, WithoutAWitnessReadsThePositionAgain) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(0, 0));
}

// The witness may have come from a batch that was read before the topic changed.
TEST(ShardCoreReassign, CountsWhileAWitnessIsBeingLookedFor) {
  Shard shard;
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  const std::uint64_t era = shard.core.era();
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(99, 99));
  EXPECT_EQ(shard.core.admit(kSlot, Offset{99}, era, shard.now), Admission::kSkip);
}

TEST(ShardCoreReassign, RecordsOfAnOlderEraAreSkippedForThatPartitionAlone) {
  Shard shard;
  constexpr SlotId kOther = 5;
  shard.core.add(kSlot, at_offset(10), shard.now);
  shard.core.add(kOther, at_offset(10), shard.now);
  shard.step();
  const std::uint64_t era = shard.core.era();
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_EQ(shard.core.admit(kSlot, Offset{10}, era, shard.now), Admission::kSkip);
  EXPECT_EQ(shard.core.admit(kOther, Offset{10}, era, shard.now), Admission::kProcess);
  EXPECT_EQ(shard.core.admit(kSlot, Offset{10}, shard.core.era(), shard.now), Admission::kProcess);
}

TEST(ShardCoreReassign, ARecordOfAnUnknownPartitionIsSkipped) {
  Shard shard;
  EXPECT_EQ(shard.admit(0, 77), Admission::kSkip);
}

}  // namespace
}  // namespace drawbridge

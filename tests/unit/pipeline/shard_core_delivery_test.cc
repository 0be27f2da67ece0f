// The shard's core, rule by rule. What deliveries do to positions, and what happens when they fail.
// Of refusals: shard_core_isolation_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/pipeline/core_driver.h"

namespace drawbridge {
namespace {

using namespace core_driver;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using State = ShardCore::State;
using Admission = ShardCore::Admission;

// ---- acknowledgements and the position ------------------------------------------------------

TEST(ShardCorePosition, MovesOverTheContiguousPrefixOnly) {
  Shard shard;
  shard.core.add(kSlot, at_offset(100), shard.now);
  shard.step();
  const EntryId first = shard.send(100);
  const EntryId second = shard.send(105);  // 101 to 104 never existed
  const EntryId third = shard.send(106);
  shard.core.delivered(third, shard.now);
  shard.core.delivered(second, shard.now);
  EXPECT_EQ(shard.core.position(kSlot), Offset{100});
  EXPECT_THAT(shard.core.collect_released(), IsEmpty());
  shard.core.delivered(first, shard.now);
  EXPECT_EQ(shard.core.position(kSlot), Offset{107});
  shard.release();
  EXPECT_THAT(shard.released_entries, ElementsAre(first, second, third));
}

TEST(ShardCorePosition, ADroppedRecordWaitsForThoseBeforeIt) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId first = shard.send(0);
  const EntryId dropped = shard.core.drop(kSlot, Offset{1}, shard.now);
  EXPECT_EQ(shard.core.position(kSlot), Offset{0});
  EXPECT_EQ(shard.core.outstanding(), 1U);
  shard.core.delivered(first, shard.now);
  EXPECT_EQ(shard.core.position(kSlot), Offset{2});
  shard.release();
  EXPECT_THAT(shard.released_entries, ElementsAre(first, dropped));
}

TEST(ShardCorePosition, AnEndBehindMarkersMovesIt) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId entry = shard.send(0);
  shard.end(4);
  EXPECT_EQ(shard.core.position(kSlot), Offset{0}) << "a record is in flight";
  shard.core.delivered(entry, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.position(kSlot), Offset{4});
  shard.step(seconds(1));
  ASSERT_THAT(shard.commits, SizeIs(1));
  const Position saved = shard.commits[0][0].checkpoint.position;
  EXPECT_EQ(saved.next, Offset{4});
  ASSERT_TRUE(saved.witness);
}

// A bug once: the end that moved the position took the partition off the list of those with
// something to release, for ever.
TEST(ShardCorePosition, AfterAnEndBehindMarkersRecordsAreReleasedStill) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  for (std::int64_t offset = 0; offset < 100; offset += 2) {
    const EntryId entry = shard.send(offset);
    shard.end(offset + 2);
    shard.core.delivered(entry, shard.now);
    shard.step();
    EXPECT_THAT(shard.released_entries, SizeIs(static_cast<std::size_t>(offset / 2 + 1)));
  }
}

TEST(ShardCorePosition, AnEndThatIsOlderThanANewRecordMovesNothing) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId first = shard.send(0);
  shard.end(1);
  const EntryId second = shard.send(7);
  shard.core.delivered(first, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.position(kSlot), Offset{1});
  shard.core.delivered(second, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.position(kSlot), Offset{8});
}

TEST(ShardCorePosition, AnIdlePartitionMovesWithItsEnd) {
  Shard shard;
  shard.core.add(kSlot, at_offset(10), shard.now);
  shard.step();
  shard.end(12);
  EXPECT_EQ(shard.core.position(kSlot), Offset{12});
  EXPECT_EQ(shard.admit(11), Admission::kSkip);
  EXPECT_EQ(shard.admit(12), Admission::kProcess);
}

TEST(ShardCorePosition, AnEndBelowIsLookedInto) {
  Shard shard;
  shard.core.add(kSlot, at_offset(10), shard.now);
  shard.step();
  shard.end(10);
  shard.end(5);
  EXPECT_EQ(shard.core.state(), State::kDraining);
  shard.step();
  EXPECT_THAT(shard.assigned, ElementsAre(9, 9));
}

// ---- caps -----------------------------------------------------------------------------------

TEST(ShardCoreCaps, BytesStopPolling) {
  Shard shard;
  shard.core.charge(999);
  EXPECT_TRUE(shard.core.may_poll());
  shard.core.charge(1);
  EXPECT_FALSE(shard.core.may_poll());
  shard.core.discharge(1);
  EXPECT_TRUE(shard.core.may_poll());
}

TEST(ShardCoreCaps, RecordsStopPollingAndDroppedOnesWeighNothing) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  EntryId entry = 0;
  for (std::int64_t offset = 0; offset < 10; ++offset) entry = shard.send(offset);
  EXPECT_FALSE(shard.core.may_poll());
  shard.core.delivered(entry, shard.now);
  EXPECT_TRUE(shard.core.may_poll());
  for (std::int64_t offset = 10; offset < 1000; ++offset) {
    shard.core.drop(kSlot, Offset{offset}, shard.now);
  }
  EXPECT_TRUE(shard.core.may_poll());
}

// ---- failures of deliveries -----------------------------------------------------------------

TEST(ShardCoreRetry, DrainsBacksOffOnceAndRewinds) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId first = shard.send(0);
  const EntryId second = shard.send(1);
  const EntryId third = shard.send(2);
  shard.core.delivered(first, shard.now);
  shard.core.undelivered(second, Error{ErrorCode::kUnavailable, "no leader"}, shard.now);
  shard.core.undelivered(third, Error{ErrorCode::kUnavailable, "no leader"}, shard.now);
  EXPECT_EQ(shard.core.unanswered(), 0U);
  shard.step();
  EXPECT_EQ(shard.core.state(), State::kDraining);
  // A request's records fail together: one back-off.
  EXPECT_EQ(shard.core.deadline(), kStart + milliseconds(100));
  shard.step(milliseconds(100));
  EXPECT_EQ(shard.core.state(), State::kRunning);
  EXPECT_EQ(shard.newest_assign, 1);
  EXPECT_EQ(shard.admit(1), Admission::kProcess);
  EXPECT_FALSE(shard.core.isolating());
}

TEST(ShardCoreRetry, BackOffGrowsUntilADelivery) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  for (const Duration wait : {milliseconds(100), milliseconds(200), milliseconds(400)}) {
    shard.core.undelivered(shard.send(0), Error{ErrorCode::kUnavailable, "no"}, shard.now);
    shard.step();
    EXPECT_EQ(shard.core.deadline(), shard.now + wait);
    shard.step(wait);
    ASSERT_EQ(shard.core.state(), State::kRunning);
  }
  shard.core.delivered(shard.send(0), shard.now);
  shard.step();
  shard.core.undelivered(shard.send(1), Error{ErrorCode::kUnavailable, "no"}, shard.now);
  EXPECT_EQ(shard.core.deadline(), shard.now + milliseconds(100));
}

// A drain that waits for answers has nothing to do before they come.
TEST(ShardCoreRetry, ADrainWithAnswersOutstandingDoesNotSpin) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId failed = shard.send(0);
  shard.send(1);
  shard.core.undelivered(failed, Error{ErrorCode::kUnavailable, "no"}, shard.now);
  shard.step(seconds(10));
  EXPECT_EQ(shard.core.state(), State::kDraining);
  EXPECT_GT(shard.core.deadline(), shard.now);
}

TEST(ShardCoreRetry, APipelinesErrorFailsIt) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.undelivered(shard.send(0), Error{ErrorCode::kAuthentication, "who"}, shard.now);
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].code, ErrorCode::kAuthentication);
}

TEST(ShardCoreRefusal, ADeadLetterThatIsRefusedFailsThePipeline) {
  Shard shard;
  shard.core.add(kSlot, at_offset(7), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(7), Admission::kProcess);
  const EntryId entry = shard.core.reserve();
  shard.core.begin(entry, kSlot, Offset{7}, true);
  shard.refuse(entry);
  shard.step();
  ASSERT_THAT(shard.failures, SizeIs(1));
  EXPECT_EQ(shard.failures[0].message, "the dead letter for offset 7 was refused: too large");
}

// ---- sinks ----------------------------------------------------------------------------------

TEST(ShardCoreSink, ALostSinkIsReplacedAndWhatItHeldIsSentAgain) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.delivered(shard.send(0), shard.now);
  shard.send(1);
  shard.send(2);
  shard.core.sink_lost(shard.now);
  EXPECT_EQ(shard.core.unanswered(), 0U);
  EXPECT_EQ(shard.core.outstanding(), 2U);
  EXPECT_FALSE(shard.core.may_send(kSlot));
  shard.step();
  EXPECT_EQ(shard.new_sinks, 0) << "backs off first";
  shard.step(milliseconds(100));
  EXPECT_EQ(shard.new_sinks, 1);
  EXPECT_EQ(shard.core.state(), State::kRunning);
  EXPECT_EQ(shard.newest_assign, 1);
  EXPECT_EQ(shard.core.outstanding(), 0U);
  EXPECT_EQ(shard.admit(1), Admission::kProcess);
}

TEST(ShardCoreSink, NothingIsSentWithoutOne) {
  Shard shard;
  shard.sinks_can_be_made = false;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.core.want_new_sink(shard.now);
  shard.step();
  EXPECT_EQ(shard.new_sinks, 1);
  EXPECT_FALSE(shard.core.may_send(kSlot));
  EXPECT_FALSE(shard.core.may_poll());
  shard.core.sink_ready();
  EXPECT_TRUE(shard.core.may_send(kSlot));
  EXPECT_TRUE(shard.core.may_poll());
}

TEST(ShardCoreSink, NewOptionsDrainFirstAndRewindNothing) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId entry = shard.send(0);
  shard.core.want_new_sink(shard.now);
  shard.step();
  EXPECT_EQ(shard.new_sinks, 0);
  shard.core.delivered(entry, shard.now);
  shard.step();
  EXPECT_EQ(shard.new_sinks, 1);
  EXPECT_THAT(shard.assigned, ElementsAre(0));
}

}  // namespace
}  // namespace drawbridge

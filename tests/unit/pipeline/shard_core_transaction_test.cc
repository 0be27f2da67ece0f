// What transactions add to ShardCore: cuts, commits, aborts, and where things go on after them.
#include <gtest/gtest.h>

#include "tests/unit/pipeline/core_driver.h"

namespace drawbridge::core_driver {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);

ShardLimits transactional() {
  ShardLimits limits = core_driver::limits();
  limits.transactional = true;
  limits.commit_interval = kInterval;
  return limits;
}

// A shard whose sink is ready, at offset 10. Transactions end when the test says so.
class TransactionalShard : public Shard {
 public:
  explicit TransactionalShard(std::int64_t start = 10) : Shard(OnGap::kStop, transactional()) {
    answers_commits = false;
    core.sink_ready();
    core.add(kSlot, with_witness(start, start - 1), now);
    core.verify(kSlot, seen(start - 1), now);
    core.end_of_partition(kSlot, Offset{start}, core.era(), now);
    step();
  }

  void deliver(EntryId entry) { core.delivered(entry, now); }
  void answer() {
    core.committed({}, now);
    step();
  }
  void abort() {
    core.aborted(std::nullopt, now);
    step();
  }
  std::int64_t committed() { return core.durable(kSlot).value; }
};

std::int64_t next_of(const std::vector<PositionUpdate>& commit) {
  EXPECT_EQ(commit.size(), 1U);
  return commit.front().checkpoint.position.next.value;
}

TEST(ShardCoreTransaction, NothingIsDoneBeforeTheLedgerIsRead) {
  Shard shard(OnGap::kStop, transactional());
  shard.core.add(kSlot, at_offset(10), shard.now);
  shard.step(2 * kInterval);
  EXPECT_FALSE(shard.core.may_poll());
  EXPECT_FALSE(shard.core.may_send(kSlot));
  EXPECT_EQ(shard.cuts, 0);
  shard.core.sink_ready();
  EXPECT_TRUE(shard.core.may_poll());
}

TEST(ShardCoreTransaction, TheIntervalCutsAndAnswersCommit) {
  TransactionalShard shard;
  const EntryId first = shard.send(10);
  shard.step();
  EXPECT_EQ(shard.cuts, 0);
  shard.step(kInterval);
  EXPECT_EQ(shard.cuts, 1);
  EXPECT_TRUE(shard.commits.empty());  // one is not answered
  shard.deliver(first);
  shard.step();
  ASSERT_EQ(shard.commits.size(), 1U);
  EXPECT_EQ(next_of(shard.commits[0]), 11);
  EXPECT_EQ(shard.committed(), 10);
  shard.answer();
  EXPECT_EQ(shard.committed(), 11);
}

TEST(ShardCoreTransaction, WhatIsSentAfterTheCutWaitsForTheNextOne) {
  TransactionalShard shard;
  const EntryId first = shard.send(10);
  shard.step(kInterval);
  ASSERT_EQ(shard.cuts, 1);
  const EntryId second = shard.send(11);
  shard.deliver(first);
  shard.step();
  ASSERT_EQ(shard.commits.size(), 1U);  // `second` is not waited for
  EXPECT_EQ(next_of(shard.commits[0]), 11);
  shard.step(2 * kInterval);
  EXPECT_EQ(shard.cuts, 1);  // one at a time
  shard.answer();
  shard.step(kInterval / 2);
  EXPECT_EQ(shard.cuts, 2);
  shard.deliver(second);
  shard.step();
  ASSERT_EQ(shard.commits.size(), 2U);
  EXPECT_EQ(next_of(shard.commits[1]), 12);
}

TEST(ShardCoreTransaction, WhatTheSinkHasNotSentYetWaitsForTheNextOne) {
  TransactionalShard shard;
  const EntryId first = shard.send(10);
  const EntryId second = shard.send(11);
  const EntryId third = shard.send(12);
  shard.waits_at_cut = 2;
  shard.step(kInterval);
  EXPECT_EQ(shard.newest_cut, Cut::kUnderWay);
  EXPECT_TRUE(shard.commits.empty());
  shard.deliver(first);
  shard.step();
  ASSERT_EQ(shard.commits.size(), 1U);
  EXPECT_EQ(next_of(shard.commits[0]), 11);
  shard.answer();
  shard.deliver(second);
  shard.step(kInterval);
  EXPECT_EQ(shard.cuts, 2);
  EXPECT_EQ(shard.commits.size(), 1U);  // the third is in it
  shard.deliver(third);
  shard.step();
  ASSERT_EQ(shard.commits.size(), 2U);
  EXPECT_EQ(next_of(shard.commits[1]), 13);
}

TEST(ShardCoreTransaction, AShardThatComesToRestTakesEverythingAlong) {
  TransactionalShard shard;
  shard.send(10);
  shard.core.stop(shard.now, std::chrono::seconds(30));
  shard.step();
  EXPECT_EQ(shard.cuts, 1);
  EXPECT_EQ(shard.newest_cut, Cut::kEverything);
}

TEST(ShardCoreTransaction, AnAbortRewindsEveryPartitionToItsAnchor) {
  TransactionalShard shard;
  constexpr SlotId kOther = kSlot + 1;
  shard.core.add(kOther, at_offset(50), shard.now);
  shard.step();
  shard.deliver(shard.send(10));
  shard.step(kInterval);
  shard.answer();
  shard.assigned.clear();
  shard.deliver(shard.send(11));  // acknowledged, and never to be seen
  shard.deliver(shard.send(50, kOther));
  const EntryId failing = shard.send(12);
  shard.step();
  shard.core.undelivered(failing, {ErrorCode::kUnavailable, "no replicas"}, shard.now);
  shard.step();
  EXPECT_EQ(shard.aborts, 1);
  EXPECT_TRUE(shard.assigned.empty());  // not before the answer
  shard.abort();
  shard.step(std::chrono::seconds(1));  // back-off
  EXPECT_EQ(shard.assigned, (std::vector<std::int64_t>{11, 49}));
  EXPECT_EQ(shard.core.position(kSlot), Offset{11});
  EXPECT_EQ(shard.core.position(kOther), Offset{50});
  EXPECT_EQ(shard.core.outstanding(), 0U);
  EXPECT_FALSE(shard.core.dirty());
  EXPECT_EQ(shard.admit(11), ShardCore::Admission::kProcess);
}

// A first start of a pipeline that delivered at least once before, say.
TEST(ShardCoreTransaction, AnAdoptedWitnessIsCommittedOnce) {
  Shard shard(OnGap::kStop, transactional());
  shard.core.sink_ready();
  PartitionStart start = at_offset(10);
  start.save_now = true;
  shard.core.add(kSlot, start, shard.now);
  shard.step(kInterval);
  ASSERT_EQ(shard.admit(9), ShardCore::Admission::kVerify);
  shard.core.verify(kSlot, seen(9), shard.now);
  shard.step(kInterval);
  ASSERT_EQ(shard.commits.size(), 2U) << "of the start, and of the witness";
  EXPECT_EQ(shard.commits[0][0].checkpoint.position, (Position{Offset{10}, std::nullopt}));
  EXPECT_EQ(shard.commits[1][0].checkpoint.position, (Position{Offset{10}, seen(9)}));
  shard.step(2 * kInterval);
  EXPECT_EQ(shard.commits.size(), 2U);
}

TEST(ShardCoreTransaction, AWitnessThatAnotherHolderAdoptedIsNotCommittedAgain) {
  Shard shard(OnGap::kStop, transactional());
  shard.core.sink_ready();
  shard.core.add(kSlot, at_offset(10), shard.now);
  shard.step();
  shard.core.sink_lost(shard.now);
  shard.step(std::chrono::seconds(1));
  shard.core.resume(kSlot, {Offset{10}, seen(9)});
  ASSERT_EQ(shard.admit(9), ShardCore::Admission::kVerify);
  shard.core.verify(kSlot, seen(9), shard.now);
  shard.step(2 * kInterval);
  EXPECT_TRUE(shard.commits.empty());
  EXPECT_EQ(shard.admit(10), ShardCore::Admission::kProcess);
}

TEST(ShardCoreTransaction, AnAdoptedWitnessOutlivesAnAbort) {
  for (const bool acknowledged : {false, true}) {
    TransactionalShard shard;
    constexpr SlotId kOther = kSlot + 1;
    shard.core.add(kOther, at_offset(50), shard.now);
    shard.step();
    ASSERT_EQ(shard.admit(49, kOther), ShardCore::Admission::kVerify);
    shard.core.verify(kOther, seen(49), shard.now);
    if (acknowledged) shard.deliver(shard.send(50, kOther));
    const EntryId failing = shard.send(51, kOther);
    shard.assigned.clear();
    shard.core.undelivered(failing, {ErrorCode::kUnavailable, "no replicas"}, shard.now);
    shard.step();
    shard.abort();
    shard.step(std::chrono::seconds(1));
    // Where it was given up for a newer one, it is read again.
    EXPECT_EQ(shard.assigned, (std::vector<std::int64_t>{acknowledged ? 49 : 50}));
    if (acknowledged) {
      ASSERT_EQ(shard.admit(49, kOther), ShardCore::Admission::kVerify);
      shard.core.verify(kOther, seen(49), shard.now);
    }
    shard.step(kInterval);
    ASSERT_FALSE(shard.commits.empty());
    EXPECT_EQ(shard.commits.back()[0].checkpoint.position, (Position{Offset{50}, seen(49)}));
  }
}

TEST(ShardCoreTransaction, TheCondemnedStayCondemnedUntilACommitPassesThem) {
  TransactionalShard shard;
  shard.refuse(shard.send(10));  // in a batch: abort, and one at a time from here
  shard.step();
  shard.abort();
  EXPECT_TRUE(shard.core.isolating());
  shard.refuse(shard.send(10));
  shard.step();
  shard.abort();
  ASSERT_EQ(shard.admit(10), ShardCore::Admission::kCondemned);
  shard.core.drop(kSlot, Offset{10}, shard.now);
  const EntryId next = shard.send(11);
  shard.step();
  shard.core.undelivered(next, {ErrorCode::kUnavailable, "no replicas"}, shard.now);
  shard.step();
  shard.abort();
  shard.step(std::chrono::seconds(1));
  EXPECT_EQ(shard.admit(10), ShardCore::Admission::kCondemned);  // still
  shard.core.drop(kSlot, Offset{10}, shard.now);
  shard.step(kInterval);
  shard.answer();
  EXPECT_EQ(shard.committed(), 11);
}

TEST(ShardCoreTransaction, AnAbortedCommitIsDoneAgain) {
  TransactionalShard shard;
  shard.deliver(shard.send(10));
  shard.step(kInterval);
  ASSERT_EQ(shard.commits.size(), 1U);
  shard.core.aborted(Error{ErrorCode::kUnavailable, "injected"}, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.state(), ShardCore::State::kDraining);  // backs off
  shard.step(std::chrono::seconds(1));
  EXPECT_EQ(shard.newest_assign, 10);
  EXPECT_EQ(shard.core.position(kSlot), Offset{10});
  shard.deliver(shard.send(10));
  shard.step(kInterval);
  ASSERT_EQ(shard.commits.size(), 2U);
  EXPECT_EQ(next_of(shard.commits[1]), 11);
}

TEST(ShardCoreTransaction, AFailureCommitsWhatCameBefore) {
  TransactionalShard shard;
  const EntryId first = shard.send(10);
  shard.core.fail({ErrorCode::kTransform, "record 11 is unfit"});
  shard.step();
  EXPECT_EQ(shard.cuts, 1);
  EXPECT_TRUE(shard.failures.empty());
  shard.deliver(first);
  shard.step();
  ASSERT_EQ(shard.commits.size(), 1U);
  EXPECT_TRUE(shard.failures.empty());
  shard.answer();
  EXPECT_EQ(shard.failures.size(), 1U);
  EXPECT_EQ(shard.committed(), 11);
}

TEST(ShardCoreTransaction, AFailureDoesNotWaitForEver) {
  TransactionalShard shard;
  shard.send(10);
  shard.core.fail({ErrorCode::kTransform, "record 11 is unfit"});
  shard.step();
  EXPECT_GT(shard.core.deadline(), shard.now);
  shard.step(transactional().fail_drain);
  EXPECT_EQ(shard.failures.size(), 1U);
}

TEST(ShardCoreTransaction, AStopCommitsAndEnds) {
  TransactionalShard shard;
  const EntryId first = shard.send(10);
  shard.core.stop(shard.now, std::chrono::seconds(30));
  shard.step();
  EXPECT_EQ(shard.purged, 0);  // a transaction is whole or nothing
  EXPECT_EQ(shard.cuts, 1);
  shard.deliver(first);
  shard.step();
  EXPECT_EQ(shard.commits.size(), 1U);
  EXPECT_EQ(shard.stopped, 0);
  shard.answer();
  ASSERT_FALSE(shard.group_commits.empty());
  shard.core.group_committed(shard.group_commits.back(), true);
  shard.step();
  EXPECT_EQ(shard.stopped, 1);
  EXPECT_EQ(shard.committed(), 11);
}

TEST(ShardCoreTransaction, AStopEndsAtItsDeadline) {
  TransactionalShard shard;
  shard.send(10);
  shard.core.stop(shard.now, std::chrono::seconds(1));
  shard.step();
  EXPECT_EQ(shard.stopped, 0);
  EXPECT_LE(shard.core.deadline(), shard.now + std::chrono::seconds(1));
  shard.step(std::chrono::seconds(1));
  EXPECT_EQ(shard.stopped, 1);
}

TEST(ShardCoreTransaction, AfterALostSinkTheLedgerDecides) {
  TransactionalShard shard;
  shard.sinks_can_be_made = false;
  shard.deliver(shard.send(10));
  shard.send(11);
  shard.step(kInterval);
  ASSERT_EQ(shard.cuts, 1);
  shard.core.sink_lost(shard.now);
  shard.step(std::chrono::seconds(1));
  EXPECT_EQ(shard.new_sinks, 1);
  EXPECT_FALSE(shard.core.may_poll());
  // The commit that nobody answered had happened, and more than this core knew of.
  shard.assigned.clear();
  shard.core.resume(kSlot, {Offset{15}, seen(14)});
  shard.core.sink_ready();
  shard.step();
  EXPECT_EQ(shard.assigned, (std::vector<std::int64_t>{14}));  // the witness
  EXPECT_EQ(shard.core.position(kSlot), Offset{15});
  EXPECT_EQ(shard.committed(), 15);
  EXPECT_EQ(shard.core.outstanding(), 0U);
  EXPECT_TRUE(shard.core.may_poll());
  EXPECT_FALSE(shard.core.dirty());
}

// Else a transaction would hold what came in the meantime only.
TEST(ShardCoreTransaction, AfterALongCommitTheNextOneIsOpenForHalfAnInterval) {
  TransactionalShard shard;
  shard.deliver(shard.send(10));
  shard.step(kInterval);
  ASSERT_EQ(shard.commits.size(), 1U);
  const EntryId second = shard.send(11);
  shard.now += 3 * kInterval;
  shard.answer();
  EXPECT_EQ(shard.cuts, 1);
  EXPECT_EQ(shard.core.deadline(), shard.now + kInterval / 2);
  shard.deliver(second);
  shard.step(kInterval / 2 - std::chrono::milliseconds(1));
  EXPECT_EQ(shard.cuts, 1);
  shard.step(std::chrono::milliseconds(1));
  EXPECT_EQ(shard.cuts, 2);
}

TEST(ShardCoreTransaction, AfterAShortCommitCutsKeepTheInterval) {
  TransactionalShard shard;
  std::int64_t next = 10;
  for (int i = 0; i < 5; ++i) {
    shard.deliver(shard.send(next++));
    shard.step(kInterval / 2);
    EXPECT_EQ(shard.cuts, i);
    shard.step(kInterval - kInterval / 2 - kInterval / 5 * (i > 0 ? 1 : 0));
    EXPECT_EQ(shard.cuts, i + 1);
    shard.now += kInterval / 5;
    shard.answer();
  }
}

TEST(ShardCoreTransaction, AfterALongAbortTheNextOneIsOpenForHalfAnInterval) {
  TransactionalShard shard;
  const EntryId failing = shard.send(10);
  shard.core.undelivered(failing, {ErrorCode::kCancelled, "taken back"}, shard.now);
  shard.step();
  ASSERT_EQ(shard.aborts, 1);
  shard.now += 3 * kInterval;
  shard.core.aborted(std::nullopt, shard.now);
  shard.core.tick(shard.now);
  shard.take();
  shard.send(10);
  shard.step();
  EXPECT_EQ(shard.cuts, 0);
  shard.step(kInterval / 2);
  EXPECT_EQ(shard.cuts, 1);
}

// Delivered records are no progress, where what they belong to comes to nothing each time.
TEST(ShardCoreTransaction, AbortsThatRepeatAreSlowedDownUntilACommit) {
  TransactionalShard shard;
  const auto abort = [&] {
    shard.core.undelivered(shard.send(10), {ErrorCode::kCancelled, "it has failed"}, shard.now);
    shard.step();
    shard.abort();
  };
  const auto rest = [&] {  // until it may be sent again
    const Instant begin = shard.now;
    while (!shard.core.may_send(kSlot)) shard.step(std::chrono::milliseconds(10));
    return shard.now - begin;
  };
  abort();
  EXPECT_EQ(rest(), Duration{0});
  Duration before{0};
  for (int i = 0; i < 4; ++i) {
    shard.deliver(shard.send(10));
    shard.core.undelivered(shard.send(11), {ErrorCode::kCancelled, "it has failed"}, shard.now);
    shard.step();
    shard.abort();
    const Duration rested = rest();
    EXPECT_GE(rested, i == 0 ? std::chrono::milliseconds(90) : before * 3 / 2);
    before = rested;
  }
  shard.deliver(shard.send(10));
  shard.step(kInterval);
  shard.answer();
  ASSERT_EQ(shard.committed(), 11);
  shard.core.undelivered(shard.send(11), {ErrorCode::kCancelled, "it has failed"}, shard.now);
  shard.step();
  shard.abort();
  EXPECT_EQ(rest(), Duration{0});
}

TEST(ShardCoreTransaction, SaysWhatTheEndWaitsFor) {
  using Awaited = ShardCore::Awaited;
  TransactionalShard shard;
  const EntryId first = shard.send(10);
  const EntryId second = shard.send(11);
  EXPECT_EQ(shard.core.awaited(), Awaited::kNothing);
  shard.step(kInterval);
  EXPECT_EQ(shard.core.awaited(), Awaited::kDeliveries);
  EXPECT_EQ(shard.core.first_unanswered(), first);
  shard.deliver(first);
  EXPECT_EQ(shard.core.first_unanswered(), second);
  shard.deliver(second);
  shard.step();
  EXPECT_EQ(shard.core.awaited(), Awaited::kCommit);
  EXPECT_EQ(shard.core.first_unanswered(), std::nullopt);
  shard.answer();
  EXPECT_EQ(shard.core.awaited(), Awaited::kNothing);
  shard.core.undelivered(shard.send(12), {ErrorCode::kCancelled, "it has failed"}, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.awaited(), Awaited::kAbort);
}

// What a refusal takes back is the round that was refused, and nothing that passed before it.
TEST(ShardCoreTransaction, WhileIsolatingEachRoundIsATransaction) {
  TransactionalShard shard;
  std::vector<EntryId> sent;
  for (std::int64_t offset = 10; offset < 14; ++offset) sent.push_back(shard.send(offset));
  for (const EntryId entry : sent) shard.refuse(entry);
  shard.step();
  shard.abort();
  ASSERT_EQ(shard.core.window(kSlot), 2U);
  const EntryId first = shard.send(10);
  const EntryId second = shard.send(11);
  shard.deliver(first);
  shard.step();
  EXPECT_EQ(shard.cuts, 0) << "the round is not over";
  shard.deliver(second);
  shard.step();
  EXPECT_EQ(shard.cuts, 1);
  ASSERT_EQ(shard.commits.size(), 1U);
  EXPECT_EQ(next_of(shard.commits[0]), 12);
  // The next round waits in the sink, alone as it is.
  EXPECT_TRUE(shard.core.may_send(kSlot));
  const EntryId third = shard.send(12);
  EXPECT_FALSE(shard.core.may_send(kSlot));
  shard.answer();
  shard.refuse(third);
  shard.step();
  EXPECT_EQ(shard.aborts, 2);
  shard.abort();
  EXPECT_EQ(shard.newest_assign, 12);
  EXPECT_EQ(shard.core.position(kSlot), Offset{12});
  EXPECT_EQ(shard.admit(12), ShardCore::Admission::kCondemned);
}

TEST(ShardCoreTransaction, AnIdleShardThatIsolatesCommitsNothing) {
  TransactionalShard shard;
  shard.refuse(shard.send(10));
  shard.step();
  shard.abort();
  ASSERT_TRUE(shard.core.isolating());
  for (int i = 0; i < 20; ++i) shard.step(kInterval);
  EXPECT_EQ(shard.cuts, 0);
  EXPECT_GT(shard.core.deadline(), shard.now);
}

TEST(ShardCoreTransaction, AnIdleShardCommitsNothing) {
  TransactionalShard shard;
  shard.deliver(shard.send(10));
  shard.step(kInterval);
  shard.answer();
  for (int i = 0; i < 20; ++i) shard.step(kInterval);
  EXPECT_EQ(shard.cuts, 1);
  EXPECT_EQ(shard.commits.size(), 1U);
}

TEST(ShardCoreTransaction, ALedgerWithoutAHeaderGetsOne) {
  TransactionalShard shard;
  shard.core.want_commit();
  shard.step();
  ASSERT_EQ(shard.commits.size(), 1U);
  EXPECT_TRUE(shard.commits[0].empty());
  shard.answer();
  shard.step(2 * kInterval);
  EXPECT_EQ(shard.commits.size(), 1U);
}

// Whatever the state: after a step, and one more at once, the next one is due later.
TEST(ShardCoreTransaction, DeadlinesMakeNoBusyLoop) {
  TransactionalShard shard;
  const auto rests = [&](const char* where) {
    shard.step();
    if (shard.core.deadline() <= shard.now) shard.step();
    EXPECT_GT(shard.core.deadline(), shard.now) << where;
  };
  rests("idle");
  shard.now += kInterval;
  rests("idle, and an interval later");
  const EntryId first = shard.send(10);
  rests("open");
  shard.now += kInterval;
  rests("cut");
  shard.now += kInterval;
  rests("cut, and the interval over");
  const EntryId second = shard.send(11);
  shard.deliver(first);
  rests("committing");
  shard.now += 2 * kInterval;
  rests("committing for long");
  shard.core.committed({}, shard.now);
  rests("the next one is cut");
  shard.core.undelivered(second, {ErrorCode::kUnavailable, "no replicas"}, shard.now);
  rests("aborting");
  shard.now += std::chrono::seconds(1);
  rests("aborting for long");
  shard.core.aborted(std::nullopt, shard.now);
  rests("aborted");
  shard.sinks_can_be_made = false;
  shard.core.sink_lost(shard.now);
  rests("without a sink, backing off");
  shard.now += std::chrono::minutes(1);
  rests("opening");
  shard.core.sink_ready();
  shard.core.stop(shard.now, std::chrono::seconds(30));
  rests("stopped");
  EXPECT_EQ(shard.stopped, 1);
}

}  // namespace
}  // namespace drawbridge::core_driver

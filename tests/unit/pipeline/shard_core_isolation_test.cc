// How the shard's core finds a record that brokers refuse: by rounds that halve, and only a record
// that was refused alone is condemned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "tests/unit/pipeline/core_driver.h"

namespace drawbridge {
namespace {

using namespace core_driver;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using State = ShardCore::State;
using Admission = ShardCore::Admission;

constexpr SlotId kOther = kSlot + 1;

// Sends the first so many records of the partition, and has all of them refused.
void refuse_together(Shard& shard, std::int64_t count) {
  std::vector<EntryId> sent;
  for (std::int64_t offset = 0; offset < count; ++offset) sent.push_back(shard.send(offset));
  for (const EntryId entry : sent) shard.refuse(entry);
  shard.step();
}

// ---- rules ----------------------------------------------------------------------------------

TEST(ShardCoreIsolation, ARefusedRequestIsDrainedRewoundAndSentByHalves) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  std::vector<EntryId> entries;
  for (std::int64_t offset = 0; offset < 7; ++offset) entries.push_back(shard.send(offset));
  shard.core.delivered(entries[0], shard.now);
  // 1 to 4 were one request; 5 was delivered, 6 taken back.
  for (std::size_t i = 1; i <= 4; ++i) shard.refuse(entries[i]);
  shard.take();
  EXPECT_EQ(shard.purged, 1);
  EXPECT_EQ(shard.core.state(), State::kDraining);
  shard.core.delivered(entries[5], shard.now);
  shard.core.undelivered(entries[6], Error{ErrorCode::kCancelled, "purged"}, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.state(), State::kRunning);
  EXPECT_EQ(shard.newest_assign, 1);
  EXPECT_THAT(shard.notices, IsEmpty()) << "cancelled is no news";

  // None of them is condemned: they were refused together. Half of them go first.
  EXPECT_TRUE(shard.core.isolating());
  EXPECT_EQ(shard.core.window(kSlot), 2U);
  const EntryId first = shard.send(1);
  EXPECT_TRUE(shard.core.may_send(kSlot));
  const EntryId second = shard.send(2);
  EXPECT_FALSE(shard.core.may_send(kSlot));
  shard.core.delivered(first, shard.now);
  EXPECT_FALSE(shard.core.may_send(kSlot)) << "a round ends when all of it is answered";
  shard.core.delivered(second, shard.now);
  shard.step();
  EXPECT_EQ(shard.core.window(kSlot), 1U);
  EXPECT_TRUE(shard.core.may_send(kSlot));
  for (std::int64_t offset = 3; offset <= 4; ++offset) {
    EXPECT_TRUE(shard.core.isolating());
    const EntryId next = shard.send(offset);
    EXPECT_FALSE(shard.core.may_send(kSlot));
    shard.core.delivered(next, shard.now);
    shard.step();
  }
  EXPECT_FALSE(shard.core.isolating()) << "the last refused offset is passed";
  for (std::int64_t offset = 5; offset < 9; ++offset) shard.send(offset);
  EXPECT_TRUE(shard.core.may_send(kSlot));
}

TEST(ShardCoreIsolation, OnlyARecordRefusedAloneIsCondemned) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  const EntryId good = shard.send(0);
  const EntryId bad = shard.send(1);
  shard.refuse(good);
  shard.refuse(bad);
  shard.step();
  ASSERT_EQ(shard.core.state(), State::kRunning);
  shard.core.delivered(shard.send(0), shard.now);
  shard.step();
  shard.refuse(shard.send(1));
  shard.step();
  EXPECT_EQ(shard.admit(1), Admission::kCondemned);
  EXPECT_EQ(shard.core.condemned(kSlot, Offset{1}).code, ErrorCode::kTooLarge);
  EXPECT_EQ(shard.purged, 1) << "alone there is nothing to take back";
  // The failure policy dropped it: the copy goes on, and no longer in rounds.
  shard.core.drop(kSlot, Offset{1}, shard.now);
  shard.step();
  EXPECT_FALSE(shard.core.isolating());
  EXPECT_EQ(shard.admit(2), Admission::kProcess);
}

TEST(ShardCoreIsolation, ARoundRefusedTogetherCondemnsNone) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  refuse_together(shard, 4);
  ASSERT_EQ(shard.core.window(kSlot), 2U);
  const EntryId first = shard.send(0);
  const EntryId second = shard.send(1);
  shard.refuse(first);
  EXPECT_EQ(shard.core.state(), State::kDraining);
  shard.take();
  EXPECT_EQ(shard.purged, 2);
  shard.refuse(second);
  shard.step();
  EXPECT_EQ(shard.newest_assign, 0);
  EXPECT_EQ(shard.core.window(kSlot), 1U);
  for (std::int64_t offset = 0; offset < 4; ++offset) {
    EXPECT_EQ(shard.admit(offset), Admission::kProcess);
  }
}

// The first of a round is alone until the second comes.
TEST(ShardCoreIsolation, WhoGotCompanyInARoundIsNotToBlame) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  refuse_together(shard, 4);
  const EntryId first = shard.send(0);
  const EntryId second = shard.send(1);
  shard.core.delivered(second, shard.now);
  shard.refuse(first);
  shard.step();
  EXPECT_EQ(shard.admit(0), Admission::kProcess);
  EXPECT_EQ(shard.core.window(kSlot), 1U);
  shard.refuse(shard.send(0));
  shard.step();
  EXPECT_EQ(shard.admit(0), Admission::kCondemned);
}

TEST(ShardCoreIsolation, WhoComesWhileAnotherIsUnansweredIsNotAlone) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.core.add(kOther, at_offset(50), shard.now);
  shard.step();
  refuse_together(shard, 6);
  ASSERT_EQ(shard.core.window(kSlot), 3U);
  const EntryId first = shard.send(0);
  shard.send(50, kOther);
  const EntryId third = shard.send(1);
  shard.core.delivered(first, shard.now);
  shard.refuse(third);  // that of the other partition is still unanswered
  shard.core.sink_lost(shard.now);
  shard.step(milliseconds(100));
  EXPECT_EQ(shard.admit(1), Admission::kProcess);
}

TEST(ShardCoreIsolation, ARecordThatGotCompanyAsIsolationEndedIsNotToBlame) {
  Shard shard;
  shard.core.add(kSlot, at_offset(10), shard.now);
  shard.core.add(kOther, at_offset(50), shard.now);
  shard.step();
  shard.refuse(shard.send(10));
  shard.step();
  ASSERT_TRUE(shard.core.isolating());
  const EntryId good = shard.send(50, kOther);  // alone
  shard.end(11);                                // the refused one was compacted away
  ASSERT_FALSE(shard.core.isolating());
  const EntryId bad = shard.send(51, kOther);  // in one request with it
  shard.refuse(good);
  shard.refuse(bad);
  shard.step();
  EXPECT_EQ(shard.admit(50, kOther), Admission::kProcess);
}

TEST(ShardCoreIsolation, HoldsForEveryPartitionOfTheShard) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.core.add(kOther, at_offset(0), shard.now);
  shard.step();
  shard.refuse(shard.send(0));
  shard.step();
  const EntryId other = shard.send(0, kOther);
  EXPECT_FALSE(shard.core.may_send(kSlot));
  shard.core.delivered(other, shard.now);
  EXPECT_TRUE(shard.core.may_send(kSlot));
  EXPECT_TRUE(shard.core.isolating());
}

TEST(ShardCoreIsolation, ARoundThatFailedForAnotherReasonTellsNothing) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  refuse_together(shard, 8);
  ASSERT_EQ(shard.core.window(kSlot), 4U);
  const EntryId first = shard.send(0);
  const EntryId second = shard.send(1);
  shard.core.delivered(first, shard.now);
  shard.core.undelivered(second, Error{ErrorCode::kUnavailable, "no leader"}, shard.now);
  shard.step(milliseconds(100));
  ASSERT_EQ(shard.core.state(), State::kRunning);
  EXPECT_EQ(shard.core.window(kSlot), 4U);
  EXPECT_TRUE(shard.core.may_send(kSlot));
}

TEST(ShardCoreIsolation, ALostSinkStartsTheRoundAgain) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  refuse_together(shard, 8);
  for (std::int64_t offset = 0; offset < 4; ++offset) shard.send(offset);
  ASSERT_FALSE(shard.core.may_send(kSlot));
  shard.core.sink_lost(shard.now);
  shard.step(milliseconds(100));
  EXPECT_EQ(shard.new_sinks, 1);
  EXPECT_TRUE(shard.core.isolating());
  EXPECT_EQ(shard.core.window(kSlot), 4U);
  for (std::int64_t offset = 0; offset < 4; ++offset) {
    EXPECT_TRUE(shard.core.may_send(kSlot));
    shard.send(offset);
  }
  EXPECT_FALSE(shard.core.may_send(kSlot));
}

TEST(ShardCoreIsolation, ACondemnedRecordThatIsGoneIsForgotten) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.refuse(shard.send(0));
  shard.step();
  shard.refuse(shard.send(0));
  shard.step();
  EXPECT_EQ(shard.admit(1), Admission::kProcess);  // 0 was compacted away meanwhile
  shard.core.delivered(shard.send(1), shard.now);
  shard.step();
  EXPECT_FALSE(shard.core.isolating());
}

TEST(ShardCoreIsolation, AnotherLogsRecordIsNotCondemnedForTheOldOnes) {
  Shard shard;
  shard.core.add(kSlot, at_offset(0), shard.now);
  shard.step();
  shard.refuse(shard.send(0));
  shard.step();
  shard.refuse(shard.send(0));
  shard.step();
  ASSERT_EQ(shard.admit(0), Admission::kCondemned);
  shard.core.reassign(kSlot);
  shard.step();
  EXPECT_EQ(shard.admit(0), Admission::kProcess);
}

TEST(ShardCoreIsolation, AGapEndsIt) {
  Shard shard(OnGap::kEarliest);
  shard.core.add(kSlot, with_witness(100, 99), shard.now);
  shard.step();
  ASSERT_EQ(shard.admit(99), Admission::kVerify);
  shard.core.verify(kSlot, seen(99), shard.now);
  shard.refuse(shard.send(100));
  shard.step();
  ASSERT_TRUE(shard.core.isolating());
  shard.core.reassign(kSlot);
  shard.step();
  shard.core.out_of_range(kSlot, shard.core.era());
  shard.step();
  shard.core.range(kSlot, Offset{0}, Offset{5});
  EXPECT_FALSE(shard.core.isolating()) << "the new log may never reach offset 100";
}

// ---- searches -------------------------------------------------------------------------------

ShardLimits search_limits(bool transactional) {
  ShardLimits limits;
  limits.transactional = transactional;
  return limits;
}

// A shard that copies logs to a target which refuses a whole request for the sake of a bad record.
// What is in the sink when answers come is one request for each partition. Its feed has `run`
// records of each partition in turn, and a record that may not be sent yet holds up all.
class Search {
 public:
  explicit Search(bool transactional)
      : shard(OnGap::kStop, search_limits(transactional)), transactional_(transactional) {
    if (transactional) shard.core.sink_ready();
  }
  void add(SlotId slot, std::int64_t end, std::set<std::int64_t> bad) {
    logs_[slot] = Log{end, 0, std::move(bad)};
    shard.core.add(slot, at_offset(0), shard.now);
    shard.step();
  }

  void run() {
    fetch();
    for (int i = 0; i < 1000 && !done(); ++i) {
      send_some();
      answer();
      settle();
    }
    EXPECT_TRUE(done());
    for (const auto& [slot, log] : logs_) {
      EXPECT_EQ(log.policy, log.bad) << "good ones are never condemned, bad ones always are";
      EXPECT_EQ(log.stored.size(), static_cast<std::size_t>(log.end) - log.bad.size());
    }
  }

  Shard shard;
  int rounds = 0;
  int refusals = 0;
  std::size_t sends = 0;
  std::int64_t run_length = 100;
  std::size_t request_most = 1'000'000;

 private:
  struct Log {
    std::int64_t end = 0;
    std::int64_t next = 0;
    std::set<std::int64_t> bad;
    std::set<std::int64_t> policy{};  // went to the failure policy
    std::set<std::int64_t> stored{};
  };

  bool done() {
    return std::ranges::all_of(logs_, [&](const auto& entry) {
      return (transactional_ ? shard.core.durable(entry.first)
                             : shard.core.position(entry.first)) == Offset{entry.second.end};
    });
  }
  // What the source has from here on.
  void fetch() {
    feed_.clear();
    for (bool more = true; more;) {
      more = false;
      for (auto& [slot, log] : logs_) {
        for (std::int64_t i = 0; i < run_length && log.next < log.end; ++i) {
          feed_.emplace_back(slot, log.next++);
          more = true;
        }
      }
    }
  }
  void send_some() {
    while (!feed_.empty()) {
      const auto [slot, offset] = feed_.front();
      if (!shard.core.may_send(slot)) return;
      feed_.pop_front();
      const Admission admission = shard.admit(offset, slot);
      if (admission == Admission::kCondemned) {
        logs_[slot].policy.insert(offset);
        shard.core.drop(slot, Offset{offset}, shard.now);
        continue;
      }
      ASSERT_EQ(admission, Admission::kProcess) << offset;
      const EntryId entry = shard.core.reserve();
      shard.core.begin(entry, slot, Offset{offset});
      in_sink_.push_back({entry, slot, offset});
      ++sends;
    }
  }
  void answer() {
    if (in_sink_.empty()) return;
    ++rounds;
    // Requests: `request_most` records of one partition each.
    std::map<SlotId, std::size_t> count;
    std::set<std::pair<SlotId, std::size_t>> refused;
    for (Sent& sent : in_sink_) {
      sent.request = count[sent.slot]++ / request_most;
      if (logs_[sent.slot].bad.contains(sent.offset)) refused.insert({sent.slot, sent.request});
    }
    for (const Sent& sent : in_sink_) {
      if (refused.contains({sent.slot, sent.request})) {
        shard.refuse(sent.entry);
      } else {
        shard.core.delivered(sent.entry, shard.now);
        logs_[sent.slot].stored.insert(sent.offset);
      }
    }
    if (!refused.empty()) ++refusals;
    in_sink_.clear();
  }
  void settle() {
    const int aborts = shard.aborts;
    const std::size_t assigned = shard.assigned.size();
    shard.step(milliseconds(10));
    if (shard.aborts > aborts) {
      shard.core.aborted(std::nullopt, shard.now);
      shard.step();
    }
    if (shard.assigned.size() == assigned) return;
    for (auto& [slot, log] : logs_) log.next = shard.core.position(slot).value;
    fetch();
  }

  struct Sent {
    EntryId entry;
    SlotId slot;
    std::int64_t offset;
    std::size_t request = 0;
  };
  bool transactional_;
  std::map<SlotId, Log> logs_;
  std::vector<Sent> in_sink_;
  std::deque<std::pair<SlotId, std::int64_t>> feed_;
};

class ShardCoreSearch : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Deliveries, ShardCoreSearch, testing::Bool(), [](const auto& which) {
  return which.param ? "ExactlyOnce" : "AtLeastOnce";
});

TEST_P(ShardCoreSearch, OneBadOfAThousandTakesAsManyRoundsAsTheirNumberHasDigits) {
  for (const std::int64_t bad : {0, 1, 313, 499, 500, 777, 998, 999}) {
    Search search(GetParam());
    search.add(kSlot, 1000, {bad});
    search.run();
    EXPECT_LE(search.refusals, 11) << bad;
    // The refused batch, the search, and the window that grows again until the batch is passed.
    EXPECT_LE(search.rounds, 1 + 10 + 11) << bad;
    EXPECT_LE(search.sends, 1000U + 2000U) << bad;
  }
}

TEST_P(ShardCoreSearch, NothingIsSentTwiceWhereNothingIsRefused) {
  Search search(GetParam());
  search.add(kSlot, 5000, {});
  search.run();
  EXPECT_EQ(search.sends, 5000U);
  EXPECT_EQ(search.refusals, 0);
}

// Brokers say of each record of a request that it was refused, and of no other.
TEST_P(ShardCoreSearch, OnlyTheRefusedRequestIsSearched) {
  for (const std::int64_t bad : {0, 313, 500, 999}) {
    Search search(GetParam());
    search.request_most = 4;
    search.add(kSlot, 1000, {bad});
    search.run();
    EXPECT_LE(search.refusals, 4) << bad;
  }
}

TEST_P(ShardCoreSearch, SeveralBadOnesAreFoundEachByItself) {
  const std::vector<std::set<std::int64_t>> sets = {
      {0, 1, 2, 3}, {0, 999}, {100, 101, 500, 501, 900}, {997, 998, 999}, {1, 3, 5, 7, 9, 600}};
  for (const std::set<std::int64_t>& bad : sets) {
    Search search(GetParam());
    search.add(kSlot, 1000, bad);
    search.run();
    EXPECT_LE(search.rounds, 2 + 22 * static_cast<int>(bad.size()));
  }
}

TEST_P(ShardCoreSearch, BadOnesOnlyAreFoundOneByOne) {
  Search search(GetParam());
  std::set<std::int64_t> bad;
  for (std::int64_t offset = 0; offset < 64; ++offset) bad.insert(offset);
  search.add(kSlot, 64, bad);
  search.run();
  EXPECT_LE(search.refusals, 64 + 6);
}

TEST_P(ShardCoreSearch, PartitionsAreSearchedAtOnce) {
  for (const std::int64_t run_length : {1, 10, 100, 1000}) {
    Search search(GetParam());
    search.run_length = run_length;
    search.add(kSlot, 700, {300, 301});
    search.add(kOther, 900, {5, 880});
    search.run();
    EXPECT_LE(search.rounds, 130) << run_length;
    EXPECT_LE(search.refusals, 4 * 11) << run_length;
    EXPECT_FALSE(search.shard.core.isolating());
  }
}

TEST_P(ShardCoreSearch, APartitionWithoutBadOnesComesAlong) {
  for (const std::int64_t run_length : {1, 10, 100, 1000}) {
    Search search(GetParam());
    search.run_length = run_length;
    search.add(kSlot, 500, {250});
    search.add(kOther, 5000, {});
    search.run();
    EXPECT_LE(search.rounds, 60) << run_length;
    EXPECT_LE(search.refusals, 11) << run_length;
  }
}

// What comes first, again and again, keeps nobody from being found.
TEST_P(ShardCoreSearch, ABusyPartitionDoesNotHideTheBadOneOfAnother) {
  Search search(GetParam());
  search.run_length = 700;
  search.add(kSlot, 100'000, {});
  search.add(kOther, 20, {9});
  search.run();
  EXPECT_LE(search.refusals, 6);
}

}  // namespace
}  // namespace drawbridge

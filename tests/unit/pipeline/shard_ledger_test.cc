#include "bridge/pipeline/shard_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drawbridge {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const TopicPartition kAt{"in", Partition{0}};

LedgerIdentity identity() { return {"daemon", "pipe", 1, 2, "cluster"}; }

LedgerHeader header() {
  LedgerHeader made;
  made.daemon = "daemon";
  made.pipeline = "pipe";
  made.shards = 2;
  made.hash_seed = 7;
  return made;
}

LedgerRecord said(const LedgerEntry& entry) { return encode_ledger(entry).value(); }

LedgerRecord position(std::int64_t next, std::uint64_t sequence = 1,
                      const std::string& cluster = "cluster") {
  LedgerPosition made;
  made.cluster_id = cluster;
  made.at = kAt;
  made.position.next = Offset{next};
  made.sequence = sequence;
  return said(made);
}

// The error of reading these; empty: none.
std::string refusal(std::vector<LedgerRecord> records, LedgerIdentity expected = identity()) {
  ShardLedger ledger(std::move(expected));
  const auto read = ledger.read(records);
  return read ? "" : read.error().message;
}

TEST(ShardLedger, TheNewestRecordOfAPartitionCounts) {
  ShardLedger ledger(identity());
  EXPECT_FALSE(ledger.known());
  ASSERT_TRUE(ledger.read(std::vector{said(header()), position(5, 1), position(9, 2)}));
  EXPECT_TRUE(ledger.begun());
  EXPECT_EQ(ledger.hash_seed(), 7U);
  ASSERT_NE(ledger.find(kAt), nullptr);
  EXPECT_EQ(ledger.find(kAt)->position.next, Offset{9});
  EXPECT_EQ(ledger.find({"in", Partition{1}}), nullptr);
}

TEST(ShardLedger, TheFirstStatementHasAHeaderAndTheNextHasNone) {
  ShardLedger ledger(identity());
  ASSERT_TRUE(ledger.read({}));
  EXPECT_FALSE(ledger.begun());
  const std::vector<LedgerStatement> positions{{kAt, {Offset{3}, {}}}};
  const auto first = ledger.state(positions, 1).value();
  ASSERT_EQ(first.size(), 2U);
  // Aborted: it has to be said again.
  const auto again = ledger.state(positions, 2).value();
  ASSERT_EQ(again.size(), 2U);
  ledger.committed();
  EXPECT_EQ(ledger.state(positions, 3).value().size(), 1U);

  ShardLedger successor(identity());
  ASSERT_TRUE(successor.read(again));
  EXPECT_EQ(successor.hash_seed(), ledger.hash_seed());
  EXPECT_EQ(successor.find(kAt)->position.next, Offset{3});
}

TEST(ShardLedger, KeepsTheSeedOfAHeaderThatWasNotCommitted) {
  ShardLedger ledger(identity());
  ASSERT_TRUE(ledger.read({}));
  const std::uint64_t seed = ledger.hash_seed();
  ASSERT_TRUE(ledger.read({}));  // by a new producer
  EXPECT_EQ(ledger.hash_seed(), seed);
}

TEST(ShardLedger, SequencesGoOnRising) {
  ShardLedger ledger(identity());
  ASSERT_TRUE(ledger.read(std::vector{said(header()), position(5, 41)}));
  const std::vector<LedgerStatement> positions{{kAt, {Offset{6}, {}}}};
  const auto stated = ledger.state(positions, 1).value();
  const auto entry = decode_ledger(stated[0].key, stated[0].value).value();
  EXPECT_EQ(std::get<LedgerPosition>(entry).sequence, 42U);
}

TEST(ShardLedger, RefusesWhatIsNotItsOwn) {
  LedgerHeader other = header();
  other.daemon = "another";
  EXPECT_THAT(refusal({said(other)}), HasSubstr("is of daemon another"));
  LedgerHeader closed = header();
  closed.moved_to = 2;
  EXPECT_THAT(refusal({said(closed)}), HasSubstr("moved to epoch 2"));
  LedgerHeader wider = header();
  wider.shards = 4;
  EXPECT_THAT(refusal({said(wider)}), HasSubstr("set shards: 4"));
  EXPECT_THAT(refusal({said(header()), position(5, 1, "elsewhere")}),
              HasSubstr("another source cluster"));
  EXPECT_THAT(refusal({position(5)}), HasSubstr("no header"));
  LedgerIdentity second = identity();
  second.epoch = 2;
  EXPECT_THAT(refusal({}, second), HasSubstr("was not finished"));
}

TEST(ShardLedger, RefusesDamage) {
  LedgerRecord torn = position(5);
  torn.value.back() ^= 1;
  EXPECT_NE(refusal({said(header()), torn}), "");
  EXPECT_NE(refusal({said(header()), {position(5).key, {}}}), "") << "a tombstone";
  const LedgerRecord stranger{{'j', 'u', 'n', 'k'}, {'x'}};
  EXPECT_THAT(refusal({said(header()), stranger, position(5)}),
              AllOf(HasSubstr("6a756e6b"), HasSubstr("without a value")));
  EXPECT_EQ(refusal({said(header()), stranger, position(5), {stranger.key, {}}}), "");
  EXPECT_EQ(refusal({said(header()), {position(5).key, {'x'}}, position(5)}), "") << "overwritten";
  EXPECT_NE(refusal({{{}, {}}}), "");
}

}  // namespace
}  // namespace drawbridge

#include "bridge/pipeline/sent_digests.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

const TopicPartition kAt{"in", Partition{1}};
const Bytes kKey(32, 7);
const Bytes kAnotherKey(32, 8);

Record record(std::int64_t offset) {
  static const Bytes value{1, 2, 3};
  Record made;
  made.partition = kAt.partition;
  made.offset = Offset{offset};
  made.value = value;
  return made;
}

RunningDigest expected(ByteView key, std::initializer_list<std::int64_t> offsets) {
  RunningDigest sum;
  auto digest = RecordDigest::create(key, "cluster", kAt.topic).value();
  for (const std::int64_t offset : offsets) {
    const Record made = record(offset);
    EXPECT_TRUE(
        digest.add({made.partition, made.offset}, made.timestamp_ms, made.key, made.value, sum));
  }
  return sum;
}

TEST(SentDigests, WhatAnAbortedTransactionHeldDoesNotCount) {
  SentDigests digests;
  ASSERT_TRUE(digests.key(kKey, "cluster"));
  ASSERT_TRUE(digests.set(0, kAt, RunningDigest{}));
  digests.add(0, digests.of(0, record(1)).value());
  EXPECT_EQ(digests.state(0), expected(kKey, {1}));
  digests.committed();
  digests.add(0, digests.of(0, record(2)).value());
  digests.state(0);
  digests.aborted();
  digests.add(0, digests.of(0, record(3)).value());
  EXPECT_EQ(digests.state(0), expected(kKey, {1, 3}));
}

TEST(SentDigests, FollowAnotherKeyOfTheLedger) {
  SentDigests digests;
  ASSERT_TRUE(digests.key(kKey, "cluster"));
  ASSERT_TRUE(digests.set(0, kAt, RunningDigest{}));
  ASSERT_TRUE(digests.key(kAnotherKey, "cluster"));
  EXPECT_EQ(digests.of(0, record(1)).value(), expected(kAnotherKey, {1}));
}

TEST(SentDigests, APartitionWhoseLedgerKeepsNoneHasNone) {
  SentDigests digests;
  ASSERT_TRUE(digests.key(kKey, "cluster"));
  ASSERT_TRUE(digests.set(0, kAt, std::nullopt));
  EXPECT_EQ(digests.of(0, record(1)).value(), RunningDigest{});
  EXPECT_EQ(digests.state(0), std::nullopt);
}

}  // namespace
}  // namespace drawbridge

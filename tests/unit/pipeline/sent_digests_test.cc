#include "bridge/pipeline/sent_digests.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

const TopicPartition kAt{"in", Partition{1}};
const DigestKey kKey{7};
const DigestKey kAnotherKey{8};

Record record(std::int64_t offset) {
  static const Bytes value{1, 2, 3};
  Record made;
  made.partition = kAt.partition;
  made.offset = Offset{offset};
  made.value = value;
  return made;
}

RunningDigest expected(const DigestKey& key, std::initializer_list<std::int64_t> offsets) {
  RunningDigest sum;
  const RecordDigest digest(key, "cluster", kAt.topic);
  for (const std::int64_t offset : offsets) {
    const Record made = record(offset);
    digest.add({made.partition, made.offset}, made.timestamp_ms, made.key, made.value, sum);
  }
  return sum;
}

TEST(SentDigests, WhatAnAbortedTransactionHeldDoesNotCount) {
  SentDigests digests;
  digests.key(kKey, "cluster");
  digests.set(0, kAt, RunningDigest{});
  digests.add(0, digests.of(0, record(1)));
  EXPECT_EQ(digests.state(0), expected(kKey, {1}));
  digests.committed();
  digests.add(0, digests.of(0, record(2)));
  digests.state(0);
  digests.aborted();
  digests.add(0, digests.of(0, record(3)));
  EXPECT_EQ(digests.state(0), expected(kKey, {1, 3}));
}

TEST(SentDigests, FollowAnotherKeyOfTheLedger) {
  SentDigests digests;
  digests.key(kKey, "cluster");
  digests.set(0, kAt, RunningDigest{});
  digests.key(kAnotherKey, "cluster");
  EXPECT_EQ(digests.of(0, record(1)), expected(kAnotherKey, {1}));
}

TEST(SentDigests, APartitionWhoseLedgerKeepsNoneHasNone) {
  SentDigests digests;
  digests.key(kKey, "cluster");
  digests.set(0, kAt, std::nullopt);
  EXPECT_EQ(digests.of(0, record(1)), RunningDigest{});
  EXPECT_EQ(digests.state(0), std::nullopt);
}

}  // namespace
}  // namespace drawbridge

#include "bridge/record/record.h"

#include <gtest/gtest.h>

#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_set>

#include "bridge/record/coordinates.h"

namespace drawbridge {
namespace {

Record record_of(std::optional<std::string_view> key, std::optional<std::string_view> value) {
  Record record;
  if (key) record.key = as_bytes(*key);
  if (value) record.value = as_bytes(*value);
  return record;
}

TEST(RecordHashTest, TheSameRecordHashesTheSame) {
  Record a = record_of("k", "v");
  a.headers.append("h", as_bytes("1"));
  Record b = record_of("k", "v");
  // Where a record is, when it was made, where it goes, and headers that a sink may have taken over
  // are no part of it.
  b.topic = "elsewhere";
  b.offset = {99};
  b.timestamp_ms = 5;
  b.target_topic = "t";
  EXPECT_EQ(record_hash(a, 7), record_hash(b, 7));
}

TEST(RecordHashTest, TheSeedKeysIt) {
  const Record record = record_of("k", "v");
  EXPECT_NE(record_hash(record, 1), record_hash(record, 2));
}

TEST(RecordHashTest, WhatDiffersHashesDifferently) {
  std::set<std::uint64_t> hashes;
  const std::optional<std::string_view> fields[] = {std::nullopt, "",   "k",
                                                    "v",          "kv", std::string_view("\0", 1)};
  for (const auto& key : fields) {
    for (const auto& value : fields) hashes.insert(record_hash(record_of(key, value), 3));
  }
  EXPECT_EQ(hashes.size(), std::size(fields) * std::size(fields));
}

TEST(RecordHashTest, StaysTheSameAcrossVersions) {
  // Stored in checkpoints: a change would make every one of them look like a gap.
  const Record record = record_of("key", "value");
  EXPECT_EQ(record_hash(record, 0x0123456789abcdef), 0x8c177049e1b52106U);
}

TEST(RecordTest, WitnessHoldsOffsetTimeAndHash) {
  Record record = record_of("k", std::nullopt);
  record.offset = {41};
  record.timestamp_ms = 1700000000000;
  const Witness witness = witness_of(record, 5);
  EXPECT_EQ(witness, (Witness{{41}, 1700000000000, record_hash(record, 5)}));
}

TEST(RecordTest, PayloadBytesCountKeyAndValue) {
  EXPECT_EQ(payload_bytes(record_of(std::nullopt, std::nullopt)), 0U);
  EXPECT_EQ(payload_bytes(record_of("abc", "")), 3U);
  EXPECT_EQ(payload_bytes(record_of("abc", "defg")), 7U);
}

TEST(CoordinatesTest, OrderAndHash) {
  EXPECT_LT((TopicPartition{"a", {9}}), (TopicPartition{"b", {0}}));
  EXPECT_LT((TopicPartition{"a", {9}}), (TopicPartition{"a", {10}}));
  EXPECT_EQ(Offset{4}.next(), Offset{5});
  std::unordered_set<TopicPartition> set{{"a", {0}}, {"a", {1}}, {"a", {0}}};
  EXPECT_EQ(set.size(), 2U);
}

}  // namespace
}  // namespace drawbridge

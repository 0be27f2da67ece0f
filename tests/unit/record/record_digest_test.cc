#include "bridge/record/record_digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace drawbridge {
namespace {

using Field = std::optional<Bytes>;

struct Sent {
  RecordId source;
  std::int64_t timestamp_ms = 0;
  Field key;
  Field value;
};

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

// 0, step, 2 * step, ... modulo 256.
Bytes pattern(std::size_t size, unsigned step) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * step);
  return bytes;
}

// 0, 1, 2, ... 31.
DigestKey counted() {
  DigestKey key;
  std::iota(key.begin(), key.end(), std::uint8_t{0});
  return key;
}

RecordDigest digest_of(std::string_view cluster_id = "c1", std::string_view topic = "orders",
                       const DigestKey& key = counted()) {
  return {key, cluster_id, topic};
}

std::optional<ByteView> view(const Field& field) {
  return field ? std::optional<ByteView>(*field) : std::nullopt;
}

void add(const RecordDigest& digest, const Sent& sent, RunningDigest& total) {
  digest.add(sent.source, sent.timestamp_ms, view(sent.key), view(sent.value), total);
}

RunningDigest total_of(const RecordDigest& digest, const std::vector<Sent>& records) {
  RunningDigest total;
  for (const Sent& sent : records) add(digest, sent, total);
  return total;
}
std::string sum_of(const RecordDigest& digest, const Sent& sent) {
  return to_hex(total_of(digest, {sent}).sum);
}

Sent a_record() { return {{{3}, {998}}, 1699999999000, bytes_of("k"), bytes_of("value")}; }

struct KnownAnswer {
  Sent sent;
  std::string digest;
};

// Made with Python's `xxhash` (xxh3_64_intdigest, xxh3_128_digest), from the header's description
// alone.
std::vector<KnownAnswer> known_answers() {
  constexpr std::int32_t kLastPartition = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kLastOffset = std::numeric_limits<std::int64_t>::max();
  return {
      {{{{3}, {998}}, 1699999999000, bytes_of("k"), bytes_of("value")},
       "31ac62a6f0506694bce011230017ff21"},
      {{{{0}, {0}}, 0, std::nullopt, std::nullopt}, "631f822ca3d61577109461298dc1b014"},
      {{{{0}, {0}}, 0, Bytes(), std::nullopt}, "20204e144382920b67ff2a547e222a6c"},
      {{{{0}, {0}}, 0, std::nullopt, Bytes()}, "d4fc0201ba69a62ae5f8fb7cd58fb7d4"},
      {{{{0}, {0}}, 0, Bytes(), Bytes()}, "47ecaee415112a32a8879fe891448d3c"},
      {{{{kLastPartition}, {kLastOffset}}, -1, Bytes(), pattern(496, 7)},
       "a7983ae2d07309d36a6c25187dde4518"},
      {{{{1}, {2}}, 3, pattern(300, 1), pattern(700, 3)}, "e084f09ae974488af4dd2d75c637e268"},
  };
}

TEST(RecordDigestTest, KnownAnswers) {
  std::vector<Sent> all;
  for (const KnownAnswer& each : known_answers()) {
    EXPECT_EQ(sum_of(digest_of(), each.sent), each.digest);
    all.push_back(each.sent);
  }
  const RunningDigest total = total_of(digest_of(), all);
  EXPECT_EQ(total.records, 7U);
  EXPECT_EQ(total.bytes, 6U + 496 + 1000);
  EXPECT_EQ(to_hex(total.sum), "a69fc803867b2ca9184536a70cd6f8c1");
}

TEST(RecordDigestTest, KnownAnswersWhereXxh3ChangesItsWay) {
  struct Case {
    std::size_t size;
    const char* digest;
  };
  const Case cases[] = {
      {0, "8da9654288d8b2defcabf3cb54a8843f"},    {1, "405f6bef2128cce2b05d9f4b362a20a5"},
      {3, "b2f4c930c952cd070f2e3bd137084ee5"},    {4, "14c056792d7ee5e86469203ff5018674"},
      {8, "ed62d19fa2f9efb6bde255205bb10210"},    {9, "c7c49cf87ba27485fd46a307a58001c2"},
      {16, "9ebd666acbfdbc269eeb402b10b71c1e"},   {17, "53a063fbf312ee1aa1f2c7c4f4d89a76"},
      {128, "d8ca3c4c4ca046ac0aef70fb643a6914"},  {129, "78ff72ce1fc9bf90ebfc7e9cc55c8d0d"},
      {240, "dae989a27163897ec0ddaad7ba7123e2"},  {241, "1f838e82a91f3061ffd56bf9dfdb8f79"},
      {1024, "dac545f71b8430b08fd0b7ff5f852980"}, {1025, "6c078dac32598890b78b29e12dde63d9"},
      {4096, "d4c87dd2928dcb3f3a179e9ae53bd265"},
  };
  for (const Case& each : cases) {
    const Sent sent{{{0}, {5}}, 0, std::nullopt, pattern(each.size, 1)};
    EXPECT_EQ(sum_of(digest_of(), sent), each.digest) << each.size;
  }
}

TEST(RecordDigestTest, KnownAnswerWithTheLongestNames) {
  const std::string name(255, 'x');
  const Sent sent{{{0}, {0}}, 0, bytes_of("k"), bytes_of("v")};
  EXPECT_EQ(sum_of(digest_of(name, name, {}), sent), "d0bbcd6b6eeb2f4024b6afe4c7bdb0cc");
}

TEST(RecordDigestTest, OrderDoesNotMatter) {
  std::vector<Sent> records;
  for (std::int64_t i = 0; i < 50; ++i) {
    records.push_back({{{0}, {i}}, i, std::nullopt, pattern(static_cast<std::size_t>(i) * 20, 3)});
  }
  const RunningDigest forward = total_of(digest_of(), records);
  std::ranges::reverse(records);
  EXPECT_EQ(total_of(digest_of(), records), forward);
  std::rotate(records.begin(), records.begin() + 17, records.end());
  EXPECT_EQ(total_of(digest_of(), records), forward);
}

TEST(RecordDigestTest, EveryPartOfARecordCounts) {
  const std::string base = sum_of(digest_of(), a_record());
  EXPECT_EQ(sum_of(digest_of(), a_record()), base);
  const std::function<void(Sent&)> changes[] = {
      [](Sent& r) { r.source.partition = {4}; },
      [](Sent& r) { r.source.offset = {999}; },
      [](Sent& r) { ++r.timestamp_ms; },
      [](Sent& r) { r.key = bytes_of("K"); },
      [](Sent& r) { r.value = bytes_of("valuE"); },
      [](Sent& r) { r.value->push_back(0); },
      [](Sent& r) { r.key = bytes_of("kv"), r.value = bytes_of("alue"); },
      [](Sent& r) { std::swap(r.key, r.value); },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    Sent changed = a_record();
    changes[i](changed);
    EXPECT_NE(sum_of(digest_of(), changed), base) << i;
  }
}

TEST(RecordDigestTest, SoDoTheTopicAndTheKey) {
  const std::string base = sum_of(digest_of(), a_record());
  EXPECT_NE(sum_of(digest_of("c2"), a_record()), base);
  EXPECT_NE(sum_of(digest_of("c1", "order"), a_record()), base);
  EXPECT_NE(sum_of(digest_of("c1o", "rders"), a_record()), base);
  for (std::size_t i = 0; i < DigestKey().size(); ++i) {
    DigestKey key = counted();
    key[i] ^= 1;
    EXPECT_NE(sum_of(digest_of("c1", "orders", key), a_record()), base) << i;
  }
}

TEST(RecordDigestTest, ChangesDoNotCancelOut) {
  // With digests that are linear, as bare GMAC tags are, both would.
  const std::vector<Sent> sent = {{{{0}, {1}}, 10, bytes_of("k1"), bytes_of("alpha")},
                                  {{{0}, {2}}, 10, bytes_of("k2"), bytes_of("bravo")}};
  std::vector<Sent> swapped = sent;
  std::swap(swapped[0].key, swapped[1].key);
  std::swap(swapped[0].value, swapped[1].value);
  EXPECT_NE(total_of(digest_of(), swapped), total_of(digest_of(), sent));
  std::vector<Sent> flipped = sent;
  for (Sent& each : flipped) each.value->front() ^= 0x20;
  EXPECT_NE(total_of(digest_of(), flipped), total_of(digest_of(), sent));
}

TEST(RecordDigestTest, NullIsNotEmpty) {
  std::vector<std::string> sums;
  for (const Field& key : {Field(), Field(Bytes())}) {
    for (const Field& value : {Field(), Field(Bytes())}) {
      sums.push_back(sum_of(digest_of(), {{{0}, {0}}, 0, key, value}));
    }
  }
  std::ranges::sort(sums);
  EXPECT_EQ(std::ranges::adjacent_find(sums), sums.end());
}

TEST(RecordDigestTest, EveryBitOfKeyAndValueCounts) {
  for (const std::size_t size : {1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 1025}) {
    Sent sent{{{0}, {5}}, 0, pattern(size, 1), pattern(size, 3)};
    const RunningDigest base = total_of(digest_of(), {sent});
    EXPECT_EQ(base.bytes, 2 * size);
    for (Field* field : {&sent.key, &sent.value}) {
      for (std::size_t bit = 0; bit < 8 * size; ++bit) {
        std::uint8_t& byte = (**field)[bit / 8];
        byte = static_cast<std::uint8_t>(byte ^ 1U << bit % 8);
        EXPECT_NE(total_of(digest_of(), {sent}), base) << size << ", " << bit;
        byte = static_cast<std::uint8_t>(byte ^ 1U << bit % 8);
      }
    }
  }
}

TEST(RecordDigestTest, AKeptValueBringsAPrefixBack) {
  const RecordDigest digest = digest_of();
  RunningDigest total;
  add(digest, a_record(), total);
  const RunningDigest committed = total;
  Sent next = a_record();
  next.source.offset = {999};
  add(digest, next, total);
  const RunningDigest both = total;
  total = committed;  // aborted, and sent again
  add(digest, next, total);
  EXPECT_EQ(total, both);
  // Twice is not none: the count tells.
  add(digest, next, total);
  EXPECT_EQ(total.sum, committed.sum);
  EXPECT_NE(total, committed);
}

}  // namespace
}  // namespace drawbridge

#include "bridge/envelope/record_digest.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

using Field = std::optional<Bytes>;

struct Sent {
  RecordId source;
  std::int64_t timestamp_ms = 0;
  Field key;
  Field value;
};

// 0, step, 2 * step, ... modulo 256.
Bytes pattern(std::size_t size, unsigned step) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * step);
  return bytes;
}

RecordDigest digest_of(std::string_view cluster_id = "c1", std::string_view topic = "orders",
                       const Bytes& key = pattern(32, 1)) {
  return RecordDigest::create(key, cluster_id, topic).value();
}

std::optional<ByteView> view(const Field& field) {
  return field ? std::optional<ByteView>(*field) : std::nullopt;
}

void add(RecordDigest& digest, const Sent& sent, RunningDigest& total) {
  EXPECT_EQ(
      outcome(digest.add(sent.source, sent.timestamp_ms, view(sent.key), view(sent.value), total)),
      "ok");
}

RunningDigest total_of(RecordDigest digest, const std::vector<Sent>& records) {
  RunningDigest total;
  for (const Sent& sent : records) add(digest, sent, total);
  return total;
}
std::string sum_of(RecordDigest digest, const Sent& sent) {
  return to_hex(total_of(std::move(digest), {sent}).sum);
}

Sent a_record() { return {{{3}, {998}}, 1699999999000, bytes_of("k"), bytes_of("value")}; }

struct KnownAnswer {
  Sent sent;
  std::string digest;
};

// Made with Python's `cryptography` (HKDF, AESGCM, AES), from the header's description alone.
std::vector<KnownAnswer> known_answers() {
  constexpr std::int32_t kLastPartition = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kLastOffset = std::numeric_limits<std::int64_t>::max();
  return {
      {{{{3}, {998}}, 1699999999000, bytes_of("k"), bytes_of("value")},
       "252a2ac7b69291897a8c696f6c88aaef"},
      {{{{0}, {0}}, 0, std::nullopt, std::nullopt}, "460577e82eeba10f67df15d2b0dd6db8"},
      {{{{0}, {0}}, 0, Bytes(), std::nullopt}, "c70e968f15c5fac8fa0e1d3929464140"},
      {{{{0}, {0}}, 0, std::nullopt, Bytes()}, "d84416744550df4d9d44b286c5ac8c48"},
      {{{{0}, {0}}, 0, Bytes(), Bytes()}, "d987e265f620998d97b00c36cd3b4a50"},
      {{{{kLastPartition}, {kLastOffset}}, -1, Bytes(), pattern(496, 7)},
       "c6dff7b758f5df52927e5ed8f2ae2afe"},
      {{{{1}, {2}}, 3, pattern(300, 1), pattern(700, 3)}, "340049b38bb46a1b5183eaba8251c61a"},
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
  EXPECT_EQ(to_hex(total.sum), "573d81b5ed8d39c72e546b568d7baceb");
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
  EXPECT_NE(sum_of(digest_of("c1", "orders", pattern(32, 3)), a_record()), base);
}

TEST(RecordDigestTest, ChangesDoNotCancelOut) {
  // With bare GMAC tags, which are linear, both would.
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

TEST(RecordDigestTest, SizesAroundTheGatheringLimit) {
  // How a message is handed to the library must not show: each size by itself, from one and the
  // same instance and from a new one.
  RecordDigest kept = digest_of();
  for (std::size_t size = 480; size < 520; ++size) {
    for (const std::size_t in_key : {std::size_t{0}, std::size_t{7}, size}) {
      const Sent sent{{{0}, {5}}, 0, pattern(in_key, 1), pattern(size - in_key, 1)};
      RunningDigest total;
      add(kept, sent, total);
      EXPECT_EQ(total, total_of(digest_of(), {sent}));
      EXPECT_EQ(total.bytes, size);
    }
  }
}

TEST(RecordDigestTest, AKeptValueBringsAPrefixBack) {
  RecordDigest digest = digest_of();
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

TEST(RecordDigestTest, WhatCannotBeDigestedIsRefused) {
  EXPECT_EQ(outcome(RecordDigest::create(Bytes(31), "c", "t")), "invalid");
  EXPECT_EQ(outcome(RecordDigest::create({}, "c", "t")), "invalid");
  const std::string name(255, 'x');
  EXPECT_EQ(outcome(RecordDigest::create(Bytes(32), name, name)), "ok");
  EXPECT_EQ(outcome(RecordDigest::create(Bytes(32), name + "x", "t")), "invalid");
  EXPECT_EQ(outcome(RecordDigest::create(Bytes(32), "c", name + "x")), "invalid");

  // Never looked at: the size alone is refused.
  const std::uint8_t byte = 0;
  const ByteView huge(&byte, format::kMaxPlaintext + 1);
  RecordDigest digest = digest_of();
  RunningDigest total{1, 2, {3}};
  EXPECT_EQ(outcome(digest.add({{0}, {0}}, 0, huge, std::nullopt, total)), "too-large");
  EXPECT_EQ(outcome(digest.add({{0}, {0}}, 0, std::nullopt, huge, total)), "too-large");
  EXPECT_EQ(total, (RunningDigest{1, 2, {3}}));
}

}  // namespace
}  // namespace drawbridge

#include "bridge/checkpoint/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/checkpoint/support.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;

CheckpointKey key_of(std::string pipeline, std::string cluster, std::string topic,
                     std::int32_t partition) {
  return {std::move(pipeline), std::move(cluster), {std::move(topic), {partition}}};
}

Checkpoint full_checkpoint() {
  return {{{1000}, Witness{{998}, 1699999999000, 0x0123456789abcdef}},
          Offset{990},
          Offset{1000},
          1700000000000,
          0};
}

Checkpoint with_line() {
  Checkpoint checkpoint = full_checkpoint();
  checkpoint.line = 1700000000123;
  return checkpoint;
}

TEST(CheckpointCodecTest, RoundTrips) {
  const CheckpointKey keys[] = {
      key_of("p", "c", "t", 0),
      key_of(std::string(120, 'p'), std::string(130, 'c'), std::string(249, 't'),
             std::numeric_limits<std::int32_t>::max()),
      key_of("Z\xc3\xbcrich \xff", "\x01", "a.b_c-d", 7),
  };
  const Checkpoint checkpoints[] = {
      {},
      full_checkpoint(),
      with_line(),
      {{{std::numeric_limits<std::int64_t>::max()}, std::nullopt}, Offset{0}, std::nullopt, -1},
      {{{1}, Witness{{0}, -1, ~std::uint64_t{0}}}, std::nullopt, Offset{0}, 0},
  };
  for (const CheckpointKey& key : keys) {
    const auto bytes = encode_checkpoint_key(key);
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_LE(bytes->size(), checkpoint_format::kMaxKeyBytes);
    EXPECT_EQ(decode_checkpoint_key(*bytes).value(), key);
    for (const Checkpoint& checkpoint : checkpoints) {
      const auto value = encode_checkpoint(*bytes, checkpoint);
      ASSERT_TRUE(value) << value.error().message;
      EXPECT_EQ(decode_checkpoint(*bytes, *value).value(), checkpoint);
    }
  }
}

TEST(CheckpointCodecTest, KeysSortAsPeopleExpect) {
  const CheckpointKey sorted[] = {
      key_of("a", "z", "z", 9),
      key_of("a b", "c", "t", 0),
      key_of("aa", "c", "orders", 0),
      key_of("aa", "c", "orders", 2),
      key_of("aa", "c", "orders", 10),
      key_of("aa", "c", "orders", 256),
      key_of("aa", "c", "orders.dead", 0),
      key_of("aa", "cc", "a", 0),
      key_of("b", "a", "a", 0),
  };
  std::vector<Bytes> encoded;
  for (const CheckpointKey& key : sorted) encoded.push_back(encode_checkpoint_key(key).value());
  EXPECT_TRUE(std::ranges::is_sorted(encoded));
  const Bytes prefix = checkpoint_key_prefix("aa").value();
  EXPECT_EQ(
      std::ranges::count_if(
          encoded, [&](const Bytes& key) { return as_text(key).starts_with(as_text(prefix)); }),
      6);
}

TEST(CheckpointCodecTest, WhatCannotBeStoredIsRefused) {
  struct Case {
    CheckpointKey key;
    std::string message;
  };
  const Case cases[] = {
      {key_of("", "c", "t", 0), "pipeline's name is empty"},
      {key_of("p", "", "t", 0), "cluster id is empty"},
      {key_of("p", "c", "", 0), "topic's name is empty"},
      {key_of(std::string(121, 'p'), "c", "t", 0), "has 121 bytes"},
      {key_of("p", std::string(131, 'c'), "t", 0), "has 131 bytes"},
      {key_of("p", "c", std::string(250, 't'), 0), "has 250 bytes"},
      {key_of(std::string("p\0q", 3), "c", "t", 0), "holds a NUL"},
      {key_of("p", "c", "t", -1), "partition -1 is negative"},
  };
  for (const Case& each : cases) {
    const auto result = encode_checkpoint_key(each.key);
    ASSERT_FALSE(result) << each.message;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(result.error().message, HasSubstr(each.message));
  }
  const Bytes key = encode_checkpoint_key(key_of("p", "c", "t", 0)).value();
  const Checkpoint bad[] = {
      {{{-1}, std::nullopt}, std::nullopt, std::nullopt, 0},
      {{{5}, Witness{{5}, 0, 0}}, std::nullopt, std::nullopt, 0},
      {{{5}, Witness{{-1}, 0, 0}}, std::nullopt, std::nullopt, 0},
      {{{5}, std::nullopt}, Offset{-1001}, std::nullopt, 0},
      {{{5}, std::nullopt}, std::nullopt, Offset{-1}, 0},
  };
  for (const Checkpoint& each : bad) {
    EXPECT_EQ(encode_checkpoint(key, each).error().code, ErrorCode::kInvalid);
  }
  EXPECT_EQ(encode_shards(key, 0).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(encode_identity({"", {}, 0, 0}).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(encode_identity({std::string(121, 'd'), {}, 0, 0}).error().code, ErrorCode::kInvalid);
}

TEST(CheckpointCodecTest, HostileKeys) {
  const std::string long_name(250, 'x');
  const std::string cases[] = {
      "",
      std::string("\0", 1),
      "\x02",
      std::string("\x01p\0c\0t\0\0\0\0\0", 11),                 // another kind
      std::string("\x02\0c\0t\0\0\0\0\0", 10),                  // no pipeline
      std::string("\x02p\0\0t\0\0\0\0\0", 10),                  // no cluster
      std::string("\x02p\0c\0\0\0\0\0\0", 10),                  // no topic
      std::string("\x02p\0c\0t", 6),                            // ends in the topic
      std::string("\x02p\0c\0t\0\0\0\0", 10),                   // partition cut
      std::string("\x02p\0c\0t\0\0\0\0\0\0", 12),               // one byte too many
      std::string("\x02p\0c\0t\0\x80\0\0\0", 11),               // negative partition
      "\x02" + long_name + std::string("\0c\0t\0\0\0\0\0", 9),  // pipeline too long
      std::string("\x02p\0c\0", 5) + long_name + std::string("\0\0\0\0\0", 5),
  };
  for (const std::string& key : cases) {
    const auto result = decode_checkpoint_key(as_bytes(key));
    ASSERT_FALSE(result) << to_hex(as_bytes(key));
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  }
  for (const std::string& key : {std::string(), std::string("\x01"), std::string("\x02p"),
                                 std::string("\x01p\0", 3), "\x01" + long_name}) {
    EXPECT_FALSE(decode_pipeline_key(as_bytes(key))) << to_hex(as_bytes(key));
  }
}

TEST(CheckpointCodecTest, EveryDamagedByteIsFound) {
  const Bytes key = encode_checkpoint_key(key_of("p", "c", "t", 0)).value();
  const Bytes value = encode_checkpoint(key, full_checkpoint()).value();
  for (std::size_t i = 0; i < value.size(); ++i) {
    for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
      Bytes damaged = value;
      damaged[i] = static_cast<std::uint8_t>(damaged[i] ^ flip);
      EXPECT_FALSE(decode_checkpoint(key, damaged)) << i;
    }
    const auto cut = decode_checkpoint(key, ByteView(value).first(i));
    ASSERT_FALSE(cut) << i;
    EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
  }
  const Bytes other = encode_checkpoint_key(key_of("p", "c", "t", 1)).value();
  EXPECT_FALSE(decode_checkpoint(other, value)) << "a value must not be valid under another key";
}

TEST(CheckpointCodecTest, HostileValuesBehindAValidChecksum) {
  const Bytes key = encode_checkpoint_key(key_of("p", "c", "t", 0)).value();
  const Bytes good = [&] {
    Bytes value = encode_checkpoint(key, full_checkpoint()).value();
    value.resize(value.size() - 8);
    return value;
  }();
  ASSERT_TRUE(decode_checkpoint(key, sealed(key, good)));
  struct Case {
    const char* what;
    std::function<void(Bytes&)> change;
    ErrorCode code = ErrorCode::kCorrupt;
  };
  const Case cases[] = {
      {"empty", [](Bytes& b) { b.clear(); }},
      {"version only", [](Bytes& b) { b.resize(1); }},
      {"version 0", [](Bytes& b) { b[0] = 0; }},
      {"newer version", [](Bytes& b) { b[0] = 3; }, ErrorCode::kForeign},
      {"line announced, not there", [](Bytes& b) { b[0] = 2; }},
      {"line 0", [](Bytes& b) { b[0] = 2, b.insert(b.begin() + 18, 8, 0); }},
      {"unknown flag", [](Bytes& b) { b[1] |= 8; }},
      {"witness announced, not there", [](Bytes& b) { b.resize(2 + 16 + 8); }},
      {"group announced, not there", [](Bytes& b) { b.resize(b.size() - 8); }},
      {"group there, not announced", [](Bytes& b) { b[1] = 5; }},
      {"a byte too many", [](Bytes& b) { b.push_back(0); }},
      {"negative offset", [](Bytes& b) { b[2] = 0x80; }},
      {"witness at the position", [](Bytes& b) { b[18 + 7] = 0xe8; }},
      {"negative witness", [](Bytes& b) { b[18] = 0xff; }},
      {"negative group offset", [](Bytes& b) { b[b.size() - 16] = 0xff; }},
      {"negative pending offset", [](Bytes& b) { b[b.size() - 8] = 0xff; }},
  };
  for (const Case& each : cases) {
    Bytes body = good;
    each.change(body);
    const auto result = decode_checkpoint(key, sealed(key, body));
    ASSERT_FALSE(result) << each.what;
    EXPECT_EQ(result.error().code, each.code) << each.what;
  }
}

TEST(CheckpointCodecTest, Shards) {
  const Bytes key = encode_pipeline_key("orders").value();
  EXPECT_EQ(decode_pipeline_key(key).value(), "orders");
  EXPECT_EQ(decode_shards(key, encode_shards(key, 4).value()).value(), 4U);
  EXPECT_FALSE(decode_shards(encode_pipeline_key("other").value(), encode_shards(key, 4).value()));
  EXPECT_EQ(decode_shards(key, sealed(key, {1, 0, 0, 0, 0})).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_shards(key, sealed(key, {1, 0, 0, 4})).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_shards(key, sealed(key, {1, 0, 0, 0, 4, 0})).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_shards(key, sealed(key, {2, 0, 0, 0, 4})).error().code, ErrorCode::kForeign);
}

TEST(CheckpointCodecTest, Identity) {
  const StoreIdentity identity{"bridge-a", {1, 2, 3}, 42, 1700000000000};
  const Bytes value = encode_identity(identity).value();
  EXPECT_EQ(decode_identity(value).value(), identity);

  const Bytes key = encode_store_key();
  Bytes body(value.begin(), value.end() - 8);
  struct Case {
    const char* what;
    Bytes value;
    ErrorCode code;
  };
  const auto changed = [&](std::size_t at, std::uint8_t to) {
    Bytes copy = body;
    copy[at] = to;
    return sealed(key, copy);
  };
  Bytes damaged = value;
  damaged[30] ^= 1;
  Bytes longer = body;
  longer.push_back(0);
  const Case cases[] = {
      {"empty", {}, ErrorCode::kForeign},
      {"another program's", changed(0, 'X'), ErrorCode::kForeign},
      {"newer schema", changed(9, 2), ErrorCode::kForeign},
      {"schema 0", changed(9, 0), ErrorCode::kCorrupt},
      {"name longer than the value", changed(11, 100), ErrorCode::kCorrupt},
      {"empty name", changed(11, 0), ErrorCode::kCorrupt},
      {"NUL in the name", changed(12, 0), ErrorCode::kCorrupt},
      {"damaged", damaged, ErrorCode::kCorrupt},
      {"cut", Bytes(value.begin(), value.end() - 1), ErrorCode::kCorrupt},
      {"magic only", Bytes(value.begin(), value.begin() + 8), ErrorCode::kCorrupt},
      {"a byte too many", sealed(key, longer), ErrorCode::kCorrupt},
  };
  for (const Case& each : cases) {
    const auto result = decode_identity(each.value);
    ASSERT_FALSE(result) << each.what;
    EXPECT_EQ(result.error().code, each.code) << each.what;
  }
}

TEST(CheckpointCodecTest, WorkedExampleOfTheDocument) {
  const Bytes key = encode_checkpoint_key(key_of("p", "c1", "orders", 3)).value();
  const auto example = [](const std::string& label, const std::string& end) {
    return document_bytes("FORMAT.md", "## Worked example", label, end);
  };
  EXPECT_EQ(to_hex(example("key ", "value")), to_hex(key));
  EXPECT_EQ(to_hex(example("value ", "```")),
            to_hex(encode_checkpoint(key, full_checkpoint()).value()));
}

}  // namespace
}  // namespace drawbridge

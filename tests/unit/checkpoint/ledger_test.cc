#include "bridge/checkpoint/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <numeric>
#include <string>

#include "bridge/checkpoint/ledger_format.h"
#include "tests/unit/checkpoint/support.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;

template <std::size_t size>
std::array<std::uint8_t, size> counted_from(std::uint8_t first) {
  std::array<std::uint8_t, size> bytes;
  std::iota(bytes.begin(), bytes.end(), first);
  return bytes;
}

// The document's examples.
LedgerHeader full_header() {
  return {"bridge", "p", 1, 4, 0x0123456789abcdef, counted_from<32>(0), 2, 1700000000000};
}
LedgerHeader renamed_header() {
  LedgerHeader header = full_header();
  header.renamed_to = {"bridge", "q"};
  return header;
}
LedgerPosition full_position() {
  return {"c1",
          {"orders", {3}},
          {{1000}, Witness{{998}, 1699999999000, 0x0123456789abcdef}},
          42,
          7,
          counted_from<16>(0x40),
          RunningDigest{990, 123456, counted_from<16>(0x80)},
          1700000000000};
}

Bytes body_of(const LedgerRecord& record) { return {record.value.begin(), record.value.end() - 8}; }

TEST(LedgerTest, RoundTrips) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  const LedgerEntry entries[] = {
      full_header(),
      renamed_header(),
      LedgerHeader{"d", "p", 1, 1, 0, {}, std::nullopt, 0},
      LedgerHeader{"d", "p", 7, 1, 0, {}, 1, 0, LedgerOwner{"d", "q"}},
      LedgerHeader{"d",
                   "p",
                   7,
                   1,
                   0,
                   {},
                   0xffffffff,
                   0,
                   LedgerOwner{std::string(120, 'd'), std::string(120, 'p')}},
      LedgerHeader{std::string(120, 'd'), std::string(120, '\xff'), 0xfffffffe, 0xffffffff, kMost,
                   counted_from<32>(0xf0), 0xffffffff, -1},
      full_position(),
      LedgerPosition{"c", {"t", {0}}, {}, 0, {}, {}, {}, 0},
      LedgerPosition{std::string(130, 'c'),
                     {std::string(249, 't'), {std::numeric_limits<std::int32_t>::max()}},
                     {{std::numeric_limits<std::int64_t>::max()}, Witness{{0}, -1, kMost}},
                     kMost,
                     std::numeric_limits<std::int32_t>::max(),
                     std::nullopt,
                     RunningDigest{kMost, kMost, {}},
                     -1},
      LedgerPosition{"c", {"t", {0}}, {{1}, std::nullopt}, 1, 0, std::nullopt, std::nullopt, 0},
      LedgerPosition{"c", {"t", {0}}, {}, 1, {}, counted_from<16>(0), std::nullopt, 0},
      LedgerPosition{"c", {"t", {0}}, {}, 1, {}, {}, RunningDigest{}, 0},
  };
  for (const LedgerEntry& entry : entries) {
    const auto record = encode_ledger(entry);
    ASSERT_TRUE(record) << record.error().message;
    const auto decoded = decode_ledger(record->key, record->value);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, entry);
  }
}

TEST(LedgerTest, OneKeyForEachSourcePartition) {
  const LedgerRecord record = encode_ledger(full_position()).value();
  LedgerPosition later = full_position();
  later.position = {{5000}, std::nullopt};
  later.sequence = 43;
  EXPECT_EQ(encode_ledger(later).value().key, record.key);
  for (const auto& change : std::initializer_list<std::function<void(LedgerPosition&)>>{
           [](LedgerPosition& p) { p.cluster_id = "c2"; },
           [](LedgerPosition& p) { p.at.topic = "order"; },
           [](LedgerPosition& p) { p.at.partition = {4}; },
       }) {
    LedgerPosition other = full_position();
    change(other);
    EXPECT_NE(encode_ledger(other).value().key, record.key);
  }
}

void expect_refused(const LedgerEntry& entry, const char* message) {
  const auto record = encode_ledger(entry);
  ASSERT_FALSE(record) << message;
  EXPECT_EQ(record.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(record.error().message, HasSubstr(message));
}

TEST(LedgerTest, WhatCannotBeWrittenIsRefused) {
  const std::string nul("a\0b", 3);
  struct HeaderCase {
    std::function<void(LedgerHeader&)> change;
    const char* message;
  };
  const HeaderCase headers[] = {
      {[](LedgerHeader& h) { h.daemon.clear(); }, "daemon's name is empty"},
      {[](LedgerHeader& h) { h.daemon = std::string(121, 'd'); }, "has 121 bytes"},
      {[&](LedgerHeader& h) { h.daemon = nul; }, "daemon's name holds a NUL"},
      {[](LedgerHeader& h) { h.pipeline.clear(); }, "pipeline's name is empty"},
      {[](LedgerHeader& h) { h.pipeline = std::string(121, 'p'); }, "has 121 bytes"},
      {[&](LedgerHeader& h) { h.pipeline = nul; }, "pipeline's name holds a NUL"},
      {[](LedgerHeader& h) { h.epoch = 0; }, "epoch is 0"},
      {[](LedgerHeader& h) { h.shards = 0; }, "number of shards is 0"},
      {[](LedgerHeader& h) { h.moved_to = 1; }, "which is not later"},
      {[](LedgerHeader& h) { h.moved_to = 0; }, "which is not later"},
      {[](LedgerHeader& h) { h = renamed_header(), h.moved_to = 0; }, "no other"},
      {[](LedgerHeader& h) { h = renamed_header(), h.moved_to.reset(); }, "no other"},
      {[](LedgerHeader& h) {
         h.renamed_to = {"bridge", "p"};
       },
       "no other"},
      {[](LedgerHeader& h) {
         h.renamed_to = {"", "q"};
       },
       "daemon's name is empty"},
      {[](LedgerHeader& h) {
         h.renamed_to = {"bridge", ""};
       },
       "pipeline's name is empty"},
      {[&](LedgerHeader& h) {
         h.renamed_to = {"bridge", nul};
       },
       "holds a NUL"},
  };
  for (const HeaderCase& each : headers) {
    LedgerHeader header = full_header();
    each.change(header);
    expect_refused(header, each.message);
  }
  struct PositionCase {
    std::function<void(LedgerPosition&)> change;
    const char* message;
  };
  const PositionCase positions[] = {
      {[](LedgerPosition& p) { p.cluster_id.clear(); }, "cluster id is empty"},
      {[](LedgerPosition& p) { p.cluster_id = std::string(131, 'c'); }, "has 131 bytes"},
      {[&](LedgerPosition& p) { p.cluster_id = nul; }, "cluster id holds a NUL"},
      {[](LedgerPosition& p) { p.at.topic.clear(); }, "topic's name is empty"},
      {[](LedgerPosition& p) { p.at.topic = std::string(250, 't'); }, "has 250 bytes"},
      {[&](LedgerPosition& p) { p.at.topic = nul; }, "topic's name holds a NUL"},
      {[](LedgerPosition& p) { p.at.partition = {-1}; }, "partition -1 is negative"},
      {[](LedgerPosition& p) { p.position.next = {-1001}; }, "offset -1001 is negative"},
      {[](LedgerPosition& p) { p.position.witness->offset = {1000}; }, "offset 1000 is not before"},
      {[](LedgerPosition& p) { p.position.witness->offset = {-1}; }, "offset -1 is not before"},
      {[](LedgerPosition& p) { p.leader_epoch = -1; }, "leader epoch -1 is negative"},
  };
  for (const PositionCase& each : positions) {
    LedgerPosition position = full_position();
    each.change(position);
    expect_refused(position, each.message);
  }
}

TEST(LedgerTest, EveryDamagedByteIsFound) {
  for (const LedgerEntry& entry :
       {LedgerEntry(full_header()), LedgerEntry(renamed_header()), LedgerEntry(full_position())}) {
    const LedgerRecord record = encode_ledger(entry).value();
    for (std::size_t i = 0; i < record.value.size(); ++i) {
      for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
        Bytes damaged = record.value;
        damaged[i] = static_cast<std::uint8_t>(damaged[i] ^ flip);
        const auto result = decode_ledger(record.key, damaged);
        ASSERT_FALSE(result) << i;
        EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << "damage is not a newer version";
      }
      const auto cut = decode_ledger(record.key, ByteView(record.value).first(i));
      ASSERT_FALSE(cut) << i;
      EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
    }
    for (std::size_t i = 0; i < record.key.size(); ++i) {
      Bytes damaged = record.key;
      damaged[i] ^= 1;
      EXPECT_EQ(decode_ledger(damaged, record.value).error().code, ErrorCode::kCorrupt) << i;
    }
  }
}

TEST(LedgerTest, AValueBelongsToItsKey) {
  const LedgerRecord header = encode_ledger(full_header()).value();
  const LedgerRecord position = encode_ledger(full_position()).value();
  LedgerPosition neighbour = full_position();
  neighbour.at.partition = {4};
  const LedgerRecord other = encode_ledger(neighbour).value();
  EXPECT_EQ(decode_ledger(other.key, position.value).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_ledger(header.key, position.value).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_ledger(position.key, header.value).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_ledger({}, header.value).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(decode_ledger(position.key, {}).error().code, ErrorCode::kCorrupt) << "a tombstone";
}

struct HostileValue {
  const char* what;
  std::function<void(Bytes&)> change;
  ErrorCode code = ErrorCode::kCorrupt;
};

void expect_refused(const LedgerRecord& record, std::span<const HostileValue> cases) {
  ASSERT_TRUE(decode_ledger(record.key, sealed(record.key, body_of(record))));
  for (const HostileValue& each : cases) {
    Bytes body = body_of(record);
    each.change(body);
    const auto result = decode_ledger(record.key, sealed(record.key, body));
    ASSERT_FALSE(result) << each.what;
    EXPECT_EQ(result.error().code, each.code) << each.what << ": " << result.error().message;
  }
}

TEST(LedgerTest, HostileHeadersBehindAValidChecksum) {
  // version 0, flags 1, daemon 2 to 8, pipeline 9 and 10, epoch 11, shards 15, seed 19,
  // digest key 27, made at 59, moved to 67, end 71.
  const auto daemon_of = [](std::size_t size) {
    return [size](Bytes& b) { b.insert(b.begin() + 2, size - 6, 'x'); };
  };
  const HostileValue cases[] = {
      {"empty", [](Bytes& b) { b.clear(); }},
      {"version only", [](Bytes& b) { b.resize(1); }},
      {"version 0", [](Bytes& b) { b[0] = 0; }},
      {"newer version", [](Bytes& b) { b[0] = 3; }, ErrorCode::kForeign},
      {"newer version of another shape", [](Bytes& b) { b = {3}; }, ErrorCode::kForeign},
      {"version 2 without a name", [](Bytes& b) { b[0] = 2; }},
      {"version 2 that announces a name", [](Bytes& b) { b[0] = 2, b[1] = 3; }},
      {"a name announced in version 1", [](Bytes& b) { b[1] |= 2; }},
      {"unknown flag", [](Bytes& b) { b[1] |= 4; }},
      {"no daemon", [](Bytes& b) { b.erase(b.begin() + 2, b.begin() + 8); }},
      {"no pipeline", [](Bytes& b) { b.erase(b.begin() + 9); }},
      {"daemon's name without its end", [](Bytes& b) { b.resize(8); }},
      {"daemon's name too long", daemon_of(121)},
      {"NUL in the daemon's name", [](Bytes& b) { b[4] = 0; }},
      {"NUL in the pipeline's name",
       [](Bytes& b) {
         b.insert(b.begin() + 10, {0, 'q'});
       }},
      {"epoch 0", [](Bytes& b) { b[14] = 0; }},
      {"no shards", [](Bytes& b) { b[18] = 0; }},
      {"cut in the digest key", [](Bytes& b) { b.resize(40); }},
      {"cut in made at", [](Bytes& b) { b.resize(60); }},
      {"move announced, not there", [](Bytes& b) { b.resize(67); }},
      {"move there, not announced", [](Bytes& b) { b[1] = 0; }},
      {"moved to itself", [](Bytes& b) { b[70] = 1; }},
      {"moved to epoch 0", [](Bytes& b) { b[70] = 0; }},
      {"a byte too many", [](Bytes& b) { b.push_back(0); }},
  };
  expect_refused(encode_ledger(full_header()).value(), cases);
}

TEST(LedgerTest, HostileRenamedHeadersBehindAValidChecksum) {
  // As above; another name's daemon 71 to 77, pipeline 78 and 79, end 80.
  const HostileValue cases[] = {
      {"version 1", [](Bytes& b) { b[0] = 1; }},
      {"name not announced", [](Bytes& b) { b[1] = 1; }},
      {"move not announced", [](Bytes& b) { b[1] = 2; }},
      {"unknown flag", [](Bytes& b) { b[1] |= 4; }},
      {"moved to epoch 0", [](Bytes& b) { b[70] = 0; }},
      {"the same name", [](Bytes& b) { b[78] = 'p'; }},
      {"no daemon", [](Bytes& b) { b.erase(b.begin() + 71, b.begin() + 77); }},
      {"no pipeline", [](Bytes& b) { b.erase(b.begin() + 78); }},
      {"cut in the daemon", [](Bytes& b) { b.resize(75); }},
      {"cut in the pipeline", [](Bytes& b) { b.resize(79); }},
      {"daemon's name too long", [](Bytes& b) { b.insert(b.begin() + 71, 115, 'x'); }},
      {"a byte too many", [](Bytes& b) { b.push_back(0); }},
  };
  expect_refused(encode_ledger(renamed_header()).value(), cases);
}

TEST(LedgerTest, HostilePositionsBehindAValidChecksum) {
  // version 0, flags 1, next 2, sequence 10, saved at 18, witness 26, 34, 42, leader epoch 50,
  // topic id 54, digest 70, 71, 79, 87, end 103.
  const HostileValue cases[] = {
      {"empty", [](Bytes& b) { b.clear(); }},
      {"version only", [](Bytes& b) { b.resize(1); }},
      {"version 0", [](Bytes& b) { b[0] = 0; }},
      {"newer version", [](Bytes& b) { b[0] = 2; }, ErrorCode::kForeign},
      {"newer version of another shape", [](Bytes& b) { b = {2}; }, ErrorCode::kForeign},
      {"unknown flag", [](Bytes& b) { b[1] |= 8; }},
      {"negative offset", [](Bytes& b) { b[2] = 0x80; }},
      {"cut in saved at", [](Bytes& b) { b.resize(25); }},
      {"witness at the position", [](Bytes& b) { b[33] = 0xe8; }},
      {"negative witness", [](Bytes& b) { b[26] = 0xff; }},
      {"cut in the witness", [](Bytes& b) { b.resize(49); }},
      // What then stands in the digest's place begins with a kind that nobody knows.
      {"witness there, not announced", [](Bytes& b) { b[1] = 6; }, ErrorCode::kForeign},
      {"negative leader epoch", [](Bytes& b) { b[50] = 0x80; }},
      {"cut in the leader epoch", [](Bytes& b) { b.resize(53); }},
      {"leader epoch there, not announced", [](Bytes& b) { b[1] = 5; }, ErrorCode::kForeign},
      {"cut in the topic id", [](Bytes& b) { b.resize(69); }},
      {"no kind of digest", [](Bytes& b) { b.resize(70); }},
      {"another kind of digest", [](Bytes& b) { b[70] = 3; }, ErrorCode::kForeign},
      {"digest there, not announced", [](Bytes& b) { b[70] = 0; }},
      {"cut in the digest", [](Bytes& b) { b.resize(102); }},
      {"cut in an earlier build's digest", [](Bytes& b) { b[70] = 1, b.resize(102); }},
      {"a byte too many after an earlier build's", [](Bytes& b) { b[70] = 1, b.push_back(0); }},
      {"a byte too many", [](Bytes& b) { b.push_back(0); }},
  };
  expect_refused(encode_ledger(full_position()).value(), cases);
}

TEST(LedgerTest, ADigestOfEarlierBuildsIsReadAsNone) {
  const LedgerRecord record = encode_ledger(full_position()).value();
  Bytes body = body_of(record);
  body[70] = 1;
  const auto decoded = decode_ledger(record.key, sealed(record.key, body));
  ASSERT_TRUE(decoded) << decoded.error().message;
  LedgerPosition without = full_position();
  without.digest.reset();
  EXPECT_EQ(*decoded, LedgerEntry(without));
}

TEST(LedgerTest, HostileKeysBehindAValidChecksum) {
  struct Case {
    const char* what;
    std::string key;
    ErrorCode code = ErrorCode::kCorrupt;
  };
  const Case cases[] = {
      {"empty", ""},
      {"another kind", "\002", ErrorCode::kForeign},
      {"kind only", "\001"},
      {"no cluster", std::string("\001\0t\0\0\0\0\0", 8)},
      {"no topic", std::string("\001c\0\0\0\0\0\0", 8)},
      {"ends in the topic", std::string("\001c\0t", 4)},
      {"partition cut", std::string("\001c\0t\0\0\0\0", 8)},
      {"a byte too many", std::string("\001c\0t\0\0\0\0\0\0", 10)},
      {"negative partition", std::string("\001c\0t\0\x80\0\0\0", 9)},
      {"cluster too long", "\001" + std::string(131, 'c') + std::string("\0t\0\0\0\0\0", 7)},
      {"topic too long",
       std::string("\001c\0", 3) + std::string(250, 't') + std::string("\0\0\0\0\0", 5)},
  };
  const Bytes position = body_of(encode_ledger(full_position()).value());
  for (const Case& each : cases) {
    const ByteView key = as_bytes(each.key);
    const auto result = decode_ledger(key, sealed(key, position));
    ASSERT_FALSE(result) << each.what;
    EXPECT_EQ(result.error().code, each.code) << each.what << ": " << result.error().message;
  }
  const Bytes header = body_of(encode_ledger(full_header()).value());
  const Bytes longer{ledger_format::kHeaderKey, 0};
  EXPECT_EQ(decode_ledger(longer, sealed(longer, header)).error().code, ErrorCode::kCorrupt);
}

TEST(LedgerTest, TopicsCarryTheEpoch) {
  EXPECT_EQ(ledger_topic("bridge-a", "orders.eu", 12).value(),
            "__drawbridge.ledger.bridge-a.orders.eu.12");
  for (const std::uint32_t epoch : {1U, 9U, 10U, 0xffffffffU}) {
    EXPECT_EQ(ledger_epoch(ledger_topic("d", "p", epoch).value(), "d", "p"), epoch);
  }
  for (const char* topic : {
           "",
           "orders",
           "__drawbridge.ledger.d.p",
           "__drawbridge.ledger.d.p.",
           "__drawbridge.ledger.d.p.0",
           "__drawbridge.ledger.d.p.01",
           "__drawbridge.ledger.d.p.+1",
           "__drawbridge.ledger.d.p.-1",
           "__drawbridge.ledger.d.p. 1",
           "__drawbridge.ledger.d.p.1x",
           "__drawbridge.ledger.d.p.1.2",
           "__drawbridge.ledger.d.p.4294967296",
           "__drawbridge.ledger.d.p.99999999999999999999",
           "__drawbridge.ledger.d.p2.1",
           "__drawbridge.ledger.d2.p.1",
           "x__drawbridge.ledger.d.p.1",
       }) {
    EXPECT_EQ(ledger_epoch(topic, "d", "p"), std::nullopt) << topic;
  }
  // Of a pipeline whose name begins like another's, and is not mistaken for it.
  EXPECT_EQ(ledger_epoch("__drawbridge.ledger.d.p.1.2", "d", "p.1"), 2U);
}

TEST(LedgerTest, TopicsThatKafkaRefusesAreRefused) {
  struct Case {
    std::string daemon;
    std::string pipeline;
    std::uint32_t epoch;
    const char* message;
  };
  const Case cases[] = {
      {"", "p", 1, "daemon's name is empty"},
      {"d", "", 1, "pipeline's name is empty"},
      {"d", "p", 0, "epoch is 0"},
      {"d", "a b", 1, "byte 0x20 cannot stand in a topic name"},
      {"d\xc3\xa9", "p", 1, "byte 0xc3 cannot stand in a topic name"},
      {"d", std::string("a\0b", 3), 1, "holds a NUL"},
      {std::string(121, 'd'), "p", 1, "has 121 bytes"},
      {std::string(120, 'd'), std::string(107, 'p'), 1, "at most 249 characters, this one 250"},
  };
  for (const Case& each : cases) {
    const auto topic = ledger_topic(each.daemon, each.pipeline, each.epoch);
    ASSERT_FALSE(topic) << each.message;
    EXPECT_EQ(topic.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(topic.error().message, HasSubstr(each.message));
  }
  EXPECT_EQ(ledger_topic(std::string(120, 'd'), std::string(106, 'p'), 1).value().size(), 249U);
}

TEST(LedgerTest, WorkedExamplesOfTheDocument) {
  const auto expect_example = [](const std::string& heading, const LedgerEntry& entry) {
    const LedgerRecord record = encode_ledger(entry).value();
    EXPECT_EQ(to_hex(document_bytes("LEDGER.md", heading, "key ", "value")), to_hex(record.key));
    EXPECT_EQ(to_hex(document_bytes("LEDGER.md", heading, "value ", "```")), to_hex(record.value));
  };
  expect_example("## Worked example: header", full_header());
  expect_example("## Worked example: renamed", renamed_header());
  expect_example("## Worked example: position", full_position());
}

}  // namespace
}  // namespace drawbridge

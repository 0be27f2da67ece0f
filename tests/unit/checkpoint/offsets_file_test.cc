#include "bridge/checkpoint/offsets_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace drawbridge {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

bool operator==(const CheckpointEntry& a, const CheckpointEntry& b) {
  return a.key == b.key && a.checkpoint == b.checkpoint;
}

const StoreIdentity kIdentity{"bridge-a", {0xab, 1, 2}, 5, 0};

std::vector<CheckpointEntry> some_entries() {
  return {
      {{"orders", "kfx-1", {"a.b", {0}}},
       {{{1000}, Witness{{998}, 1699999999000, 0x0123456789abcdef}},
        Offset{990},
        Offset{1000},
        1700000000000}},
      {{"orders", "kfx-1", {"a.b", {1}}}, {{{0}, std::nullopt}, std::nullopt, std::nullopt, 0}},
      {{"end", "c", {"t", {std::numeric_limits<std::int32_t>::max()}}},
       {{{std::numeric_limits<std::int64_t>::max()}, Witness{{0}, -1, 0}},
        std::nullopt,
        Offset{0},
        -5}},
  };
}

TEST(OffsetsFileTest, WhatIsExportedComesBack) {
  const auto text = format_offsets(kIdentity, some_entries());
  ASSERT_TRUE(text);
  const auto file = parse_offsets("f", *text);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->daemon, "bridge-a");
  EXPECT_EQ(file->store_id, kIdentity.store_id);
  ASSERT_EQ(file->entries.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(file->entries[i] == some_entries()[i]) << i;
}

TEST(OffsetsFileTest, LooksAsDocumented) {
  const auto text = format_offsets(kIdentity, std::vector{some_entries()[0], some_entries()[1]});
  EXPECT_EQ(*text,
            "drawbridge-offsets\t1\tbridge-a\tab010200000000000000000000000000\n"
            "pipeline\tcluster\ttopic\tpartition\tnext\tgroup-committed\tgroup-pending\tsaved-at\t"
            "witness-offset\twitness-timestamp\twitness-hash\n"
            "orders\tkfx-1\ta.b\t0\t1000\t990\t1000\t1700000000000\t998\t1699999999000\t"
            "0123456789abcdef\n"
            "orders\tkfx-1\ta.b\t1\t0\t-\t-\t0\t-\t-\t-\n"
            "end\t2\n");
}

TEST(OffsetsFileTest, NoEntriesAreAFileToo) {
  EXPECT_THAT(parse_offsets("f", format_offsets(kIdentity, {}).value())->entries, IsEmpty());
}

TEST(OffsetsFileTest, AnotherStoresWitnessesAreDropped) {
  const auto file = parse_offsets("f", format_offsets(kIdentity, some_entries()).value());
  EXPECT_TRUE(file->entries_for(kIdentity)[0].checkpoint.position.witness);
  StoreIdentity other = kIdentity;
  other.store_id[15] = 1;
  const auto entries = file->entries_for(other);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_FALSE(entries[0].checkpoint.position.witness);
  EXPECT_EQ(entries[0].checkpoint.position.next, Offset{1000});
}

TEST(OffsetsFileTest, NamesThatWouldBreakTheFileAreNotExported) {
  for (const std::string name : {"a\tb", "a\nb", "a\x7f"}) {
    auto entries = some_entries();
    entries[1].key.pipeline = name;
    const auto text = format_offsets(kIdentity, entries);
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, ErrorCode::kInvalid);
  }
}

TEST(OffsetsFileTest, HostileInput) {
  const std::string first = "drawbridge-offsets\t1\td\tab010200000000000000000000000000\n";
  const std::string head = first +
                           "pipeline\tcluster\ttopic\tpartition\tnext\tgroup-committed\t"
                           "group-pending\tsaved-at\twitness-offset\twitness-timestamp\t"
                           "witness-hash\n";
  const std::string good = "p\tc\tt\t0\t10\t-\t-\t5\t9\t5\t0123456789abcdef\n";
  ASSERT_TRUE(parse_offsets("f", head + good + "end\t1\n"));
  struct Case {
    std::string text;
    std::string message;
  };
  const Case cases[] = {
      {"", "f:1: the file is cut short"},
      {"hello\n", "f:1: not a file of exported offsets"},
      {"drawbridge-offsets\n", "f:1: format version ''"},
      {"drawbridge-offsets\t2\td\t00\n", "f:1: format version '2'"},
      {"drawbridge-offsets\t1\td\n", "f:1: 3 fields instead of 4"},
      {"drawbridge-offsets\t1\td\x13\tab010200000000000000000000000000\n", "the daemon's name"},
      {"drawbridge-offsets\t1\td\tab\n", "f:1: 'ab' is not a store id"},
      {"drawbridge-offsets\t1\td\tAB010200000000000000000000000000\n", "is not a store id"},
      {first, "f:2: the file is cut short"},
      {first + good + "end\t1\n", "f:2: expected the column names"},
      {head, "f:3: the file is cut short"},
      {head + good, "f:4: the file is cut short"},
      {head + good + "end\t1", "f:4: the file is cut short"},
      {head + good + "end\t2\n", "f:4: the last line counts '2' entries, the file has 1"},
      {head + good + "end\t01\n", "f:4: the last line counts"},
      {head + good + "end\t1\n\n", "f:4: more lines"},
      {head + good + "end\t1\n" + good, "f:4: more lines"},
      {head + good + good + "end\t2\n",
       "f:4: pipeline p, cluster c, topic t, partition 0 is there"},
      {head + "\nend\t0\n", "f:3: 1 fields"},
      {head + "p\tc\tt\t0\t10\n", "f:3: 5 fields apart by tabs instead of 11"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t9\t5\t0123456789abcdef\r\n", "line feed alone"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t9\t5\t0123456789abcdef\t\n", "f:3: 12 fields"},
      {head + "\tc\tt\t0\t10\t-\t-\t5\t-\t-\t-\n", "f:3: the pipeline's name is empty"},
      {head + "p\t\tt\t0\t10\t-\t-\t5\t-\t-\t-\n", "cluster id is empty"},
      {head + "p\tc\t\t0\t10\t-\t-\t5\t-\t-\t-\n", "topic's name is empty"},
      {head + "p\tc\tt\x01\t0\t10\t-\t-\t5\t-\t-\t-\n", "is no valid topic"},
      {head + "p\tc\t" + std::string(250, 't') + "\t0\t10\t-\t-\t5\t-\t-\t-\n", "250 bytes"},
      {head + "p\tc\tt\tx\t10\t-\t-\t5\t-\t-\t-\n", "f:3: 'x' is no valid partition"},
      {head + "p\tc\tt\t-1\t10\t-\t-\t5\t-\t-\t-\n", "partition -1 is negative"},
      {head + "p\tc\tt\t2147483648\t10\t-\t-\t5\t-\t-\t-\n", "is no valid partition"},
      {head + "p\tc\tt\t0\t\t-\t-\t5\t-\t-\t-\n", "f:3: '' is no valid next"},
      {head + "p\tc\tt\t0\t-\t-\t-\t5\t-\t-\t-\n", "'-' is no valid next"},
      {head + "p\tc\tt\t0\t+1\t-\t-\t5\t-\t-\t-\n", "'+1' is no valid next"},
      {head + "p\tc\tt\t0\t 1\t-\t-\t5\t-\t-\t-\n", "' 1' is no valid next"},
      {head + "p\tc\tt\t0\t01\t-\t-\t5\t-\t-\t-\n", "'01' is no valid next"},
      {head + "p\tc\tt\t0\t-0\t-\t-\t5\t-\t-\t-\n", "'-0' is no valid next"},
      {head + "p\tc\tt\t0\t1e3\t-\t-\t5\t-\t-\t-\n", "'1e3' is no valid next"},
      {head + "p\tc\tt\t0\t9223372036854775808\t-\t-\t5\t-\t-\t-\n", "is no valid next"},
      {head + "p\tc\tt\t0\t-5\t-\t-\t5\t-\t-\t-\n", "the offset -5 is negative"},
      {head + "p\tc\tt\t0\t10\t-2\t-\t5\t-\t-\t-\n", "the group's offset -2 is negative"},
      {head + "p\tc\tt\t0\t10\t-\tx\t5\t-\t-\t-\n", "is no valid group-pending"},
      {head + "p\tc\tt\t0\t10\t-\t-\tnow\t-\t-\t-\n", "'now' is no valid saved-at"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t-\t5\t0123456789abcdef\n", "no valid witness-offset"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t9\t-\t0123456789abcdef\n", "no valid witness-timestamp"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t9\t5\t-\n", "no valid witness-hash"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t9\t5\t123\n", "no valid witness-hash"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t9\t5\t0123456789ABCDEF\n", "no valid witness-hash"},
      {head + "p\tc\tt\t0\t10\t-\t-\t5\t10\t5\t0123456789abcdef\n", "not before the position 10"},
  };
  for (const Case& each : cases) {
    const auto file = parse_offsets("f", each.text);
    ASSERT_FALSE(file) << each.text;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(file.error().message, HasSubstr(each.message));
    EXPECT_THAT(file.error().message, HasSubstr("nothing was imported"));
  }
}

}  // namespace
}  // namespace drawbridge

#include "bridge/pipeline/partitioner.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace drawbridge {
namespace {

std::int32_t signed_murmur2(std::string_view text) {
  return static_cast<std::int32_t>(murmur2(as_bytes(text)));
}

// The vectors of Kafka's own UtilsTest.testMurmur2.
TEST(Partitioner, HashesAsKafkasJavaClient) {
  EXPECT_EQ(signed_murmur2("21"), -973932308);
  EXPECT_EQ(signed_murmur2("foobar"), -790332482);
  EXPECT_EQ(signed_murmur2("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(signed_murmur2("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(signed_murmur2("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(signed_murmur2("abc"), 479470107);
}

// Computed with a second implementation that agrees on the vectors above. Java's bytes are signed,
// and its client masks each with 0xff, in whole words and in the tail.
TEST(Partitioner, BytesAboveAsciiAreNotSigned) {
  EXPECT_EQ(signed_murmur2("\xff"), -311467685);
  EXPECT_EQ(signed_murmur2("\x80\xfe"), 1316928818);
  EXPECT_EQ(signed_murmur2("\xff\xfe\x80"), -160726397);
  EXPECT_EQ(signed_murmur2("\x80\x81\xf0\xff"), -1602863720);
  EXPECT_EQ(signed_murmur2("\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87"), 2122343024);
  EXPECT_EQ(signed_murmur2(""), 275646681);
}

TEST(Partitioner, ANegativeHashIsMadePositiveAsJavaDoes) {
  // toPositive clears the sign bit; it is not the absolute value.
  EXPECT_EQ(partition_for_key(as_bytes("21"), 1'000'000'000),
            static_cast<std::int32_t>((-973932308) & 0x7fffffff) % 1'000'000'000);
  EXPECT_EQ(partition_for_key(as_bytes("foobar"), 10), ((-790332482) & 0x7fffffff) % 10);
}

TEST(Partitioner, StaysWithinThePartitionsAndUsesThemAll) {
  std::set<std::int32_t> used;
  for (int i = 0; i < 200; ++i) {
    const std::int32_t partition = partition_for_key(as_bytes("key-" + std::to_string(i)), 6);
    EXPECT_GE(partition, 0);
    EXPECT_LT(partition, 6);
    used.insert(partition);
  }
  EXPECT_EQ(used.size(), 6U);
  EXPECT_EQ(partition_for_key(as_bytes(""), 1), 0);
}

}  // namespace
}  // namespace drawbridge

#include "bridge/base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace drawbridge {
namespace {

using testing::HasSubstr;

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

TEST(HexTest, RoundTrips) {
  EXPECT_EQ(to_hex({}), "");
  EXPECT_EQ(to_hex(Bytes{0x00, 0x0f, 0xa5, 0xff}), "000fa5ff");
  EXPECT_EQ(from_hex("000fa5FF").value(), (Bytes{0x00, 0x0f, 0xa5, 0xff}));
  EXPECT_EQ(from_hex("").value(), Bytes{});
}

TEST(HexTest, HostileInput) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"0"sv, "0g"sv, "g0"sv, "0x"sv, " 0"sv, "0 "sv, "00\n0"sv,
                                      "\0\0"sv, "0-"sv, "\xff\xff"sv, "000"sv}) {
    const auto result = from_hex(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
  }
  EXPECT_THAT(from_hex("00zz").error().message, HasSubstr("offset 2"));
}

TEST(Base64Test, VectorsOfRfc4648) {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [clear, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(clear)), encoded);
    EXPECT_EQ(from_base64(encoded).value(), bytes_of(clear));
  }
  EXPECT_EQ(to_base64(Bytes{0xfb, 0xff, 0xfe}), "+//+");
}

TEST(Base64Test, RandomBytesRoundTrip) {
  std::mt19937 random(1);
  for (std::size_t size = 0; size < 200; ++size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)).value(), bytes);
  }
}

TEST(Base64Test, HostileInput) {
  using namespace std::string_view_literals;
  const std::string_view cases[] = {
      "Z"sv,
      "Zg"sv,
      "Zg="sv,
      "Zm9"sv,  // length
      "Z==="sv,
      "===="sv,
      "Zg==Zg=="sv,
      "Zg=A"sv,
      "=g=="sv,  // padding
      "Zm9v\n"sv,
      "Zm 9"sv,
      "Zm9-"sv,
      "Zm9_"sv,
      "Zm9\0"sv,  // alphabet
      "\xff\xff\xff\xff"sv,
      "Zh=="sv,
      "Zm9="sv,  // stray bits: two texts for the same bytes
  };
  for (const std::string_view text : cases) {
    const auto result = from_base64(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
  }
}

TEST(ByteReaderTest, ReadsBigEndian) {
  const Bytes bytes = from_hex(
                          "01"
                          "0203"
                          "04050607"
                          "08090a0b0c0d0e0f"
                          "ff")
                          .value();
  ByteReader reader(bytes);
  std::uint8_t a = 0;
  std::uint16_t b = 0;
  std::uint32_t c = 0;
  std::uint64_t d = 0;
  ASSERT_TRUE(reader.u8(a) && reader.u16(b) && reader.u32(c) && reader.u64(d));
  EXPECT_EQ(a, 0x01);
  EXPECT_EQ(b, 0x0203);
  EXPECT_EQ(c, 0x04050607U);
  EXPECT_EQ(d, 0x08090a0b0c0d0e0fU);
  EXPECT_FALSE(reader.done());
  ByteView rest;
  ASSERT_TRUE(reader.take(1, rest));
  EXPECT_EQ(rest[0], 0xff);
  EXPECT_TRUE(reader.done());
  EXPECT_TRUE(reader.take(0, rest));
}

TEST(ByteReaderTest, WhatIsTooShortIsLeftAlone) {
  const Bytes bytes{1, 2, 3, 4, 5, 6, 7};
  ByteReader reader(bytes);
  std::uint64_t u64 = 42;
  ByteView view;
  EXPECT_FALSE(reader.u64(u64));
  EXPECT_EQ(u64, 42U);
  EXPECT_FALSE(reader.take(8, view));
  EXPECT_FALSE(reader.take(SIZE_MAX, view));
  EXPECT_EQ(reader.rest().size(), 7U);
  std::uint32_t u32 = 0;
  EXPECT_TRUE(reader.u32(u32));
  EXPECT_FALSE(reader.u32(u32));
  std::uint16_t u16 = 0;
  EXPECT_TRUE(reader.u16(u16));
  EXPECT_FALSE(reader.u16(u16));
  std::uint8_t u8 = 0;
  EXPECT_TRUE(reader.u8(u8));
  EXPECT_FALSE(reader.u8(u8));
}

TEST(ByteWriterTest, WritesWhatTheReaderReads) {
  Bytes out{0xee};
  ByteWriter writer(out);
  writer.u8(0x80);
  writer.u16(0xfffe);
  writer.u32(0x80000001);
  writer.u64(0x8000000000000001);
  writer.put(as_bytes("ab"));
  EXPECT_EQ(to_hex(out), "ee80fffe8000000180000000000000016162");
}

TEST(SpanWriterTest, WritesTheSameIntoMemoryThatIsThere) {
  Bytes out(15, 0xee);
  SpanWriter writer(out);
  writer.u8(0x80);
  writer.u32(0x80000001);
  writer.u64(0x8000000000000001);
  EXPECT_FALSE(writer.done());
  writer.put(as_bytes("ab"));
  EXPECT_TRUE(writer.done());
  EXPECT_EQ(to_hex(out), "808000000180000000000000016162");
}

TEST(BytesTest, EqualComparesContentAndLength) {
  EXPECT_TRUE(equal(as_bytes("ab"), as_bytes("ab")));
  EXPECT_TRUE(equal({}, {}));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("abc")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("ac")));
}

}  // namespace
}  // namespace drawbridge

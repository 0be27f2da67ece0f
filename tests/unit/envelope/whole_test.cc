#include "bridge/envelope/whole.h"

#include <vector>

#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

Bytes encoded(std::optional<ByteView> key, std::optional<ByteView> value,
              const std::vector<Header>& headers) {
  Bytes bytes(whole_size(key, value, headers));
  encode_whole(key, value, headers, bytes);
  return bytes;
}

void expect_same(std::optional<ByteView> a, std::optional<ByteView> b) {
  ASSERT_EQ(a.has_value(), b.has_value());
  EXPECT_TRUE(!a || equal(*a, *b));
}

TEST(WholeTest, KeepsKeyValueAndHeadersAsTheyCame) {
  const Bytes binary{0, 255, 0};
  const std::vector<Header> headers{{"trace", as_bytes("1")},  {"trace", as_bytes("2")},
                                    {"null", std::nullopt},    {"empty", ByteView()},
                                    {"", as_bytes("no name")}, {"binary", ByteView(binary)}};
  const std::vector<std::optional<ByteView>> some{std::nullopt, ByteView(), as_bytes("text")};
  for (const auto& key : some) {
    for (const auto& value : some) {
      const Bytes bytes = encoded(key, value, headers);
      const WholeRecord record = decode_whole(bytes).value();
      expect_same(record.key, key);
      expect_same(record.value, value);
      ASSERT_EQ(record.headers.size(), headers.size());
      for (std::size_t i = 0; i < headers.size(); ++i) {
        EXPECT_EQ(record.headers[i].name, headers[i].name);
        expect_same(record.headers[i].value, headers[i].value);
      }
    }
  }
}

TEST(WholeTest, NothingAtAll) {
  const Bytes bytes = encoded(std::nullopt, std::nullopt, {});
  EXPECT_EQ(to_hex(bytes), "01ffffffffffffffff00000000");
  EXPECT_EQ(outcome(decode_whole(bytes)), "ok");
}

TEST(WholeTest, HostilePlaintexts) {
  const Bytes good = encoded(as_bytes("key"), as_bytes("value"), {{"name", as_bytes("text")}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(outcome(decode_whole(ByteView(good).first(size))), "envelope-malformed") << size;
  }
  Bytes trailing = good;
  trailing.push_back(0);
  EXPECT_EQ(outcome(decode_whole(trailing)), "envelope-malformed");
  Bytes version = good;
  version[0] = 2;
  EXPECT_EQ(outcome(decode_whole(version)), "envelope-unsupported");
  // A count that would cost memory, and a header without a name.
  EXPECT_EQ(outcome(decode_whole(from_hex("01ffffffffffffffffffffffff").value())),
            "envelope-malformed");
  EXPECT_EQ(outcome(decode_whole(from_hex("01ffffffffffffffff00000001ffffffffffffffff").value())),
            "envelope-malformed");
  EXPECT_EQ(outcome(decode_whole(from_hex("01fffffffeffffffff00000000").value())),
            "envelope-malformed");
}

}  // namespace
}  // namespace drawbridge

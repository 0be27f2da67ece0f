#include "bridge/envelope/wrapped_keys.h"

#include <algorithm>
#include <vector>

#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

// One entry as the grammar writes it, without checks.
Bytes entry(std::string_view domain, std::string_view kek, std::string_view wrapped) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u8(static_cast<std::uint8_t>(domain.size()));
  writer.put(as_bytes(domain));
  writer.u16(static_cast<std::uint16_t>(kek.size()));
  writer.put(as_bytes(kek));
  writer.u16(static_cast<std::uint16_t>(wrapped.size()));
  writer.put(as_bytes(wrapped));
  return bytes;
}

Bytes block(std::uint8_t version, std::uint8_t count, const std::vector<Bytes>& entries) {
  Bytes bytes{version, count};
  for (const Bytes& one : entries) bytes.insert(bytes.end(), one.begin(), one.end());
  return bytes;
}

TEST(WrappedKeysTest, RoundTripsInOrderOfDomains) {
  const std::vector<WrappedKeyView> entries{{"dc", "local:dc/3", as_bytes("one")},
                                            {"aws", "arn:aws:kms:key", as_bytes("two")},
                                            {"aws-eu", "arn:aws:kms:eu", as_bytes("three")}};
  const Bytes encoded = encode_wrapped_keys(entries).value();
  const WrappedKeys keys = parse_wrapped_keys(encoded).value();
  ASSERT_EQ(keys.entries().size(), 3U);
  EXPECT_EQ(keys.entries()[0].domain, "aws");
  EXPECT_EQ(keys.entries()[1].domain, "aws-eu");
  EXPECT_EQ(keys.entries()[2].domain, "dc");
  EXPECT_TRUE(equal(keys.encoded(), encoded));
  ASSERT_NE(keys.find("dc"), nullptr);
  EXPECT_EQ(keys.find("dc")->kek, "local:dc/3");
  EXPECT_EQ(as_text(keys.find("dc")->wrapped), "one");
  EXPECT_EQ(keys.find("d"), nullptr);
  EXPECT_EQ(keys.find(""), nullptr);
}

TEST(WrappedKeysTest, NoneIsByReference) {
  const Bytes encoded = encode_wrapped_keys({}).value();
  EXPECT_EQ(encoded, (Bytes{1, 0}));
  EXPECT_TRUE(parse_wrapped_keys(encoded).value().entries().empty());
}

TEST(WrappedKeysTest, HostileBlocks) {
  using enum ErrorCode;
  struct Hostile {
    std::string_view name;
    Bytes bytes;
    ErrorCode error;
    std::string_view says;
  };
  const Bytes a = entry("a", "kek", "wrapped");
  const Bytes b = entry("b", "kek", "wrapped");
  const Bytes big = entry("a", std::string(1024, 'k'), std::string(4096, 'w'));
  const Bytes big_b = entry("b", std::string(1024, 'k'), std::string(4096, 'w'));
  Bytes absent_domain = a;
  absent_domain[0] = 255;
  Bytes trailing = block(1, 1, {a});
  trailing.push_back(0);
  Bytes cut = block(1, 1, {a});
  cut.pop_back();
  const std::vector<Hostile> table{
      {"empty", {}, kEnvelopeMalformed, "no wrapped keys"},
      {"version 0", block(0, 1, {a}), kEnvelopeUnsupported, "version 0"},
      {"version 2", block(2, 1, {a}), kEnvelopeUnsupported, "version 2"},
      {"no count", {1}, kEnvelopeMalformed, "end early"},
      {"five", block(1, 5, {a, b}), kEnvelopeMalformed, "5 wrapped keys"},
      {"255", block(1, 255, {}), kEnvelopeMalformed, "255 wrapped keys"},
      {"fewer than counted", block(1, 2, {a}), kEnvelopeMalformed, "wrapped key 2: bad domain"},
      {"more than counted", block(1, 1, {a, b}), kEnvelopeMalformed, "behind the wrapped keys"},
      {"trailing byte", trailing, kEnvelopeMalformed, "1 bytes behind"},
      {"cut", cut, kEnvelopeMalformed, "bad wrapped bytes"},
      {"empty domain", block(1, 1, {entry("", "k", "w")}), kEnvelopeMalformed, "bad domain"},
      {"absent domain", block(1, 1, {absent_domain}), kEnvelopeMalformed, "bad domain"},
      {"empty KEK", block(1, 1, {entry("a", "", "w")}), kEnvelopeMalformed, "bad KEK reference"},
      {"long KEK", block(1, 1, {entry("a", std::string(1025, 'k'), "w")}), kEnvelopeMalformed,
       "bad KEK reference"},
      {"no key", block(1, 1, {entry("a", "k", "")}), kEnvelopeMalformed, "bad wrapped bytes"},
      {"long key", block(1, 1, {entry("a", "k", std::string(4097, 'w'))}), kEnvelopeMalformed,
       "bad wrapped bytes"},
      {"twice one domain", block(1, 2, {a, a}), kEnvelopeMalformed, "two wrapped keys of one"},
      {"out of order", block(1, 2, {b, a}), kEnvelopeMalformed, "not in order"},
      {"signed order", block(1, 2, {entry("\xc3", "k", "w"), a}), kEnvelopeMalformed,
       "not in order"},
      {"too big together", block(1, 2, {big, big_b}), kEnvelopeMalformed, "10254 bytes"},
  };
  EXPECT_EQ(outcome(parse_wrapped_keys(block(1, 2, {a, b}))), "ok");
  EXPECT_EQ(outcome(parse_wrapped_keys(block(1, 1, {big}))), "ok");
  for (const Hostile& hostile : table) {
    const auto parsed = parse_wrapped_keys(hostile.bytes);
    ASSERT_FALSE(parsed) << hostile.name;
    EXPECT_EQ(name_of(parsed.error().code), name_of(hostile.error)) << hostile.name;
    EXPECT_THAT(parsed.error().message, ::testing::HasSubstr(hostile.says)) << hostile.name;
  }
}

TEST(WrappedKeysTest, RefusesToEncodeWhatItWouldNotParse) {
  const auto with = [](std::string_view domain, std::string_view kek, std::size_t wrapped) {
    const Bytes bytes(wrapped);
    const WrappedKeyView one{domain, kek, bytes};
    return outcome(encode_wrapped_keys({&one, 1}));
  };
  EXPECT_EQ(with("dc", "kek", 60), "ok");
  EXPECT_EQ(with(std::string(254, 'd'), std::string(1024, 'k'), 4096), "ok");
  EXPECT_EQ(with("", "kek", 60), "invalid");
  EXPECT_EQ(with(std::string(255, 'd'), "kek", 60), "invalid");
  EXPECT_EQ(with("dc", "", 60), "invalid");
  EXPECT_EQ(with("dc", std::string(1025, 'k'), 60), "invalid");
  EXPECT_EQ(with("dc", "kek", 0), "invalid");
  EXPECT_EQ(with("dc", "kek", 4097), "invalid");

  const Bytes large(4096);
  const std::vector<WrappedKeyView> twice{{"dc", "a", large}, {"dc", "b", large}};
  EXPECT_EQ(outcome(encode_wrapped_keys(twice)), "invalid");
  const std::vector<WrappedKeyView> too_big{{"a", "k", large}, {"b", "k", large}};
  EXPECT_EQ(outcome(encode_wrapped_keys(too_big)), "invalid");
  const std::vector<WrappedKeyView> five(5, WrappedKeyView{"dc", "k", large});
  EXPECT_EQ(outcome(encode_wrapped_keys(five)), "invalid");
}

TEST(WrappedKeysTest, ExactlyOneHeader) {
  const Bytes good = block(1, 1, {entry("a", "k", "w")});
  Headers headers;
  headers.append("Drawbridge-Keys", ByteView(good));
  EXPECT_EQ(outcome(find_wrapped_keys(headers)), "envelope-malformed");
  headers.append(format::kKeysHeader, ByteView(good));
  EXPECT_EQ(outcome(find_wrapped_keys(headers)), "ok");
  headers.append(format::kKeysHeader, ByteView(good));
  EXPECT_EQ(outcome(find_wrapped_keys(headers)), "envelope-malformed");
  Headers null;
  null.append(format::kKeysHeader, std::nullopt);
  EXPECT_EQ(outcome(find_wrapped_keys(null)), "envelope-malformed");
  Headers empty;
  empty.append(format::kKeysHeader, ByteView());
  EXPECT_EQ(outcome(find_wrapped_keys(empty)), "envelope-malformed");
}

TEST(WrappedKeysTest, TakesABlockFromTheFrontOfMore) {
  Bytes bytes = block(1, 1, {entry("a", "k", "w")});
  const std::size_t size = bytes.size();
  bytes.push_back(0x42);
  ByteReader reader(bytes);
  EXPECT_EQ(take_wrapped_keys(reader).value().encoded().size(), size);
  EXPECT_EQ(reader.rest().size(), 1U);
}

}  // namespace
}  // namespace drawbridge

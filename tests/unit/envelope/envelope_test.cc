#include "bridge/envelope/envelope.h"

#include <functional>
#include <vector>

#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

// Offsets into the envelope below: dataset "orders", tenant "acme", a subject reference.
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kSuiteAt = 5;
constexpr std::size_t kFlagsAt = 6;
constexpr std::size_t kDatasetAt = 39;
constexpr std::size_t kTenantAt = kDatasetAt + 7;
constexpr std::size_t kSubjectAt = kTenantAt + 5;
constexpr std::size_t kKeyTagAt = kSubjectAt + 17;
constexpr std::size_t kNonceAt = kKeyTagAt + 16;
constexpr std::size_t kBodyAt = kNonceAt + 12;

Bytes good_value(ByteView inline_keys = {}) {
  SealingKey key = SealingKey::generate(Suite::kAes256Gcm).value();
  Sealing sealing;
  sealing.associated = {as_bytes("orders"), as_bytes("acme"), SubjectReference{}};
  sealing.inline_keys = inline_keys;
  return seal(key, "plaintext", sealing);
}

struct Hostile {
  std::string_view name;
  std::function<void(Bytes&)> damage;
  ErrorCode error;
  std::string_view says;  // part of the message
};

void set(Bytes& value, std::size_t at, std::uint8_t byte) { value.at(at) = byte; }
void cut(Bytes& value, std::size_t size) { value.resize(size); }

TEST(EnvelopeTest, HostileValues) {
  using enum ErrorCode;
  const std::vector<Hostile> table{
      {"empty", [](Bytes& v) { cut(v, 0); }, kEnvelopeMissing, "not a native envelope"},
      {"part of the magic", [](Bytes& v) { cut(v, 3); }, kEnvelopeMissing, "not a native"},
      {"other magic", [](Bytes& v) { set(v, 0, 0xdc); }, kEnvelopeMissing, "not a native"},
      {"magic in lower case", [](Bytes& v) { set(v, 1, 'd'); }, kEnvelopeMissing, "not a native"},
      {"JSON", [](Bytes& v) { v = bytes_of(R"({"a":1})"); }, kEnvelopeMissing, "not a native"},
      {"magic only", [](Bytes& v) { cut(v, kVersionAt); }, kEnvelopeMalformed, "its version"},
      {"version 0", [](Bytes& v) { set(v, kVersionAt, 0); }, kEnvelopeUnsupported, "version 0"},
      {"version 2", [](Bytes& v) { set(v, kVersionAt, 2); }, kEnvelopeUnsupported, "version 2"},
      {"no suite", [](Bytes& v) { cut(v, kSuiteAt); }, kEnvelopeMalformed, "its suite"},
      {"suite 0", [](Bytes& v) { set(v, kSuiteAt, 0); }, kEnvelopeUnsupported, "suite 0"},
      {"suite SIV", [](Bytes& v) { set(v, kSuiteAt, 3); }, kEnvelopeUnsupported, "suite 3"},
      {"suite 255", [](Bytes& v) { set(v, kSuiteAt, 255); }, kEnvelopeUnsupported, "suite 255"},
      {"no flags", [](Bytes& v) { cut(v, kFlagsAt); }, kEnvelopeMalformed, "its flags"},
      {"compressed", [](Bytes& v) { set(v, kFlagsAt, 0x10); }, kEnvelopeUnsupported, "0x10"},
      {"flag 20", [](Bytes& v) { set(v, kFlagsAt, 0x20); }, kEnvelopeUnsupported, "0x20"},
      {"flag 80", [](Bytes& v) { set(v, kFlagsAt, 0x80); }, kEnvelopeUnsupported, "0x80"},
      {"tombstone flag", [](Bytes& v) { set(v, kFlagsAt, 0x08); }, kEnvelopeMalformed,
       "tombstone's envelope in a value"},
      {"no key id", [](Bytes& v) { cut(v, kFlagsAt + 1); }, kEnvelopeMalformed, "its key id"},
      {"half a key id", [](Bytes& v) { cut(v, 20); }, kEnvelopeMalformed, "its key id"},
      {"no dataset", [](Bytes& v) { cut(v, kDatasetAt); }, kEnvelopeMalformed, "its dataset"},
      {"empty dataset",
       [](Bytes& v) {
         v.erase(v.begin() + kDatasetAt + 1, v.begin() + kDatasetAt + 7);
         set(v, kDatasetAt, 0);
       },
       kEnvelopeMalformed, "names no dataset"},
      {"absent dataset", [](Bytes& v) { set(v, kDatasetAt, 255); }, kEnvelopeMalformed,
       "names no dataset"},
      {"dataset past the end", [](Bytes& v) { set(v, kDatasetAt, 254); }, kEnvelopeMalformed,
       "its dataset"},
      {"no tenant", [](Bytes& v) { cut(v, kTenantAt); }, kEnvelopeMalformed, "its tenant"},
      {"tenant past the end", [](Bytes& v) { set(v, kTenantAt, 254); }, kEnvelopeMalformed,
       "its tenant"},
      {"no subject", [](Bytes& v) { cut(v, kSubjectAt); }, kEnvelopeMalformed, "subject"},
      {"empty subject reference", [](Bytes& v) { set(v, kSubjectAt, 0); }, kEnvelopeMalformed,
       "subject reference of 0 bytes"},
      {"short subject reference", [](Bytes& v) { set(v, kSubjectAt, 15); }, kEnvelopeMalformed,
       "subject reference of 15 bytes"},
      {"long subject reference", [](Bytes& v) { set(v, kSubjectAt, 17); }, kEnvelopeMalformed,
       "subject reference of 17 bytes"},
      {"subject past the end", [](Bytes& v) { set(v, kSubjectAt, 254); }, kEnvelopeMalformed,
       "its subject reference"},
      {"no key tag", [](Bytes& v) { cut(v, kKeyTagAt); }, kEnvelopeMalformed, "its key tag"},
      {"no nonce", [](Bytes& v) { cut(v, kNonceAt); }, kEnvelopeMalformed, "its nonce"},
      {"salted without room for a salt",
       [](Bytes& v) {
         set(v, kFlagsAt, 0x04);
         cut(v, kNonceAt + 31);
       },
       kEnvelopeMalformed, "its salt"},
      {"no body", [](Bytes& v) { cut(v, kBodyAt); }, kEnvelopeMalformed, "its tag"},
      {"half a tag", [](Bytes& v) { cut(v, kBodyAt + 15); }, kEnvelopeMalformed, "its tag"},
      {"inline without keys",
       [](Bytes& v) {
         set(v, kFlagsAt, 0x01);
         cut(v, kBodyAt);
       },
       kEnvelopeMalformed, "no wrapped keys"},
      {"inline with keys of another version",
       [](Bytes& v) {
         set(v, kFlagsAt, 0x01);
         set(v, kBodyAt, 9);
       },
       kEnvelopeUnsupported, "wrapped keys of version 9"},
      {"inline with five keys",
       [](Bytes& v) {
         set(v, kFlagsAt, 0x01);
         set(v, kBodyAt, 1);
         set(v, kBodyAt + 1, 5);
       },
       kEnvelopeMalformed, "5 wrapped keys"},
      {"inline keys that eat the tag",
       [](Bytes& v) {
         set(v, kFlagsAt, 0x01);
         set(v, kBodyAt, 1);
         set(v, kBodyAt + 1, 0);
         cut(v, kBodyAt + 2 + 15);
       },
       kEnvelopeMalformed, "its tag"},
  };
  const Bytes good = good_value();
  ASSERT_EQ(outcome(parse_envelope(good)), "ok");
  for (const Hostile& hostile : table) {
    Bytes value = good;
    hostile.damage(value);
    const auto parsed = parse_envelope(value);
    ASSERT_FALSE(parsed) << hostile.name;
    EXPECT_EQ(name_of(parsed.error().code), name_of(hostile.error)) << hostile.name;
    EXPECT_THAT(parsed.error().message, ::testing::HasSubstr(hostile.says)) << hostile.name;
  }
}

TEST(EnvelopeTest, EveryCutEndsInARefusalOrInAnEnvelopeThatAccountsForEveryByte) {
  const Bytes good = good_value();
  for (std::size_t size = 0; size <= good.size(); ++size) {
    const ByteView value = ByteView(good).first(size);
    const auto parsed = parse_envelope(value);
    EXPECT_EQ(parsed.has_value(), size >= kBodyAt + 16) << size;
    if (!parsed) continue;
    EXPECT_EQ(parsed->immutable.size() + parsed->ciphertext.size() + parsed->tag.size(), size);
  }
}

TEST(EnvelopeTest, LooksLikeAnEnvelopeByItsMagicAlone) {
  EXPECT_TRUE(looks_like_envelope(good_value()));
  EXPECT_TRUE(looks_like_envelope(format::kMagic));
  EXPECT_FALSE(looks_like_envelope(ByteView(format::kMagic).first(3)));
  EXPECT_FALSE(looks_like_envelope(as_bytes("DBE\xdb")));
  EXPECT_FALSE(looks_like_envelope({}));
}

class TombstoneHeaderTest : public ::testing::Test {
 protected:
  TombstoneHeaderTest() {
    SealingKey key = SealingKey::generate(Suite::kAes256Gcm).value();
    Sealing sealing;
    sealing.associated.dataset = as_bytes("orders");
    good_ = seal_tombstone(key, sealing);
  }
  Bytes good_;
};

TEST_F(TombstoneHeaderTest, HostileHeaders) {
  using enum ErrorCode;
  const std::vector<Hostile> table{
      {"empty", [](Bytes& v) { cut(v, 0); }, kEnvelopeMalformed, "holds no envelope"},
      {"other magic", [](Bytes& v) { set(v, 3, 'F'); }, kEnvelopeMalformed, "holds no envelope"},
      {"version", [](Bytes& v) { set(v, kVersionAt, 2); }, kEnvelopeUnsupported, "version 2"},
      {"a value's envelope", [](Bytes& v) { set(v, kFlagsAt, 0); }, kEnvelopeMalformed,
       "a value's envelope in a tombstone header"},
      {"whole", [](Bytes& v) { set(v, kFlagsAt, 0x0a); }, kEnvelopeMalformed, "no whole record"},
      {"with a ciphertext", [](Bytes& v) { v.push_back(0); }, kEnvelopeMalformed, "a ciphertext"},
      {"without its tag", [](Bytes& v) { cut(v, v.size() - 1); }, kEnvelopeMalformed, "its tag"},
  };
  ASSERT_EQ(outcome(parse_tombstone(good_)), "ok");
  for (const Hostile& hostile : table) {
    Bytes header = good_;
    hostile.damage(header);
    const auto parsed = parse_tombstone(header);
    ASSERT_FALSE(parsed) << hostile.name;
    EXPECT_EQ(name_of(parsed.error().code), name_of(hostile.error)) << hostile.name;
    EXPECT_THAT(parsed.error().message, ::testing::HasSubstr(hostile.says)) << hostile.name;
  }
}

TEST_F(TombstoneHeaderTest, ExactlyOneIsFound) {
  Headers headers;
  headers.append("other", ByteView(good_));
  EXPECT_EQ(outcome(find_tombstone(headers)), "envelope-missing");
  headers.append(format::kTombstoneHeader, ByteView(good_));
  EXPECT_EQ(outcome(find_tombstone(headers)), "ok");
  headers.append(format::kTombstoneHeader, ByteView(good_));
  EXPECT_EQ(outcome(find_tombstone(headers)), "envelope-malformed");
  Headers null;
  null.append(format::kTombstoneHeader, std::nullopt);
  EXPECT_EQ(outcome(find_tombstone(null)), "envelope-malformed");
}

TEST(EnvelopeTest, WrappedKeysHaveOnePlaceOnly) {
  const WrappedKeyView entry{"dc", "local:a/1", as_bytes("wrapped")};
  const Bytes keys = encode_wrapped_keys({&entry, 1}).value();
  Headers none;
  Headers one;
  one.append(format::kKeysHeader, ByteView(keys));

  const Bytes plain = good_value();
  EXPECT_EQ(outcome(wrapped_keys_of(parse_envelope(plain).value(), one)), "ok");
  EXPECT_EQ(outcome(wrapped_keys_of(parse_envelope(plain).value(), none)), "envelope-malformed");
  const Bytes carried = good_value(keys);
  EXPECT_EQ(outcome(wrapped_keys_of(parse_envelope(carried).value(), none)), "ok");
  EXPECT_EQ(outcome(wrapped_keys_of(parse_envelope(carried).value(), one)), "envelope-malformed");
}

}  // namespace
}  // namespace drawbridge

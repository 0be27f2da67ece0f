// Test vectors in both directions. tests/vectors/envelope_bridge.json was written by this program,
// envelope_python.json and envelope_hostile.json by the second implementation
// (tests/e2e/decoder/make_vectors.py), and each is read by both.
//
//   DRAWBRIDGE_VECTORS_OUT=FILE   envelope_test --gtest_filter=VectorsTest.Writes   a fresh file
//   DRAWBRIDGE_VECTORS_IN=FILE    envelope_test --gtest_filter=VectorsTest.Reads*   another file
#include "tests/unit/envelope/vectors.h"

#include <cstdlib>

#include "bridge/envelope/whole.h"
#include "bridge/envelope/wrap.h"
#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

std::string committed(const std::string& name) {
  return std::string(DRAWBRIDGE_SOURCE_DIR) + "/tests/vectors/" + name;
}

std::optional<ByteView> view_of(const std::optional<Bytes>& bytes) {
  return bytes ? std::optional<ByteView>(*bytes) : std::nullopt;
}

// From the key-encryption key to the plaintext, as a reader goes.
Result<Bytes> read(const Vector& vector) {
  const std::string kind = vector.text("kind");
  const Bytes value = vector.hex("value");
  const auto key = vector.maybe_hex("record-key");
  const auto header = vector.maybe_hex("keys-header");
  const std::string dataset = vector.text("dataset");
  const auto tenant = vector.maybe_text("tenant");
  const std::string domain = vector.text("domain");
  Headers headers;
  if (header) headers.append(format::kKeysHeader, ByteView(*header));

  DRAWBRIDGE_ASSIGN(const EnvelopeView view,
                    kind == "tombstone" ? parse_tombstone(value) : parse_envelope(value));
  DRAWBRIDGE_ASSIGN(const WrappedKeys keys, wrapped_keys_of(view, headers));
  const WrappedKeyView* entry = keys.find(domain);
  SecretBytes dek;
  if (entry == nullptr) {  // by reference: the store gives the key itself
    dek = secret_of(vector.hex("dek"));
  } else {
    EXPECT_EQ(entry->kek, vector.text("kek-reference"));
    DRAWBRIDGE_ASSIGN(auto kek, Aes256GcmWrap::create(secret_of(vector.hex("kek"))));
    DRAWBRIDGE_ASSIGN(dek, kek.unwrap(entry->wrapped, {view.key_id, dataset, tenant, domain}));
  }
  DRAWBRIDGE_ASSIGN(OpeningKey opening, OpeningKey::create(view.suite, dek, view.salt));
  const Expected expected{
      as_bytes(dataset), tenant ? std::optional(as_bytes(*tenant)) : std::nullopt, kind == "whole"};
  Bytes plaintext(view.ciphertext.size());
  if (kind == "tombstone") {
    DRAWBRIDGE_TRY(opening.verify(view, expected, view_of(key)));
  } else {
    DRAWBRIDGE_TRY(opening.open(view, expected, view_of(key), plaintext));
  }
  EXPECT_EQ(name_of(view.suite), vector.text("suite"));
  EXPECT_EQ(revealed(dek), vector.hex("dek"));
  const auto subject = vector.maybe_hex("subject");
  EXPECT_EQ(view.subject ? to_hex(*view.subject) : "absent", subject ? to_hex(*subject) : "absent");
  return plaintext;
}

void expect_readable(const std::string& path) {
  const auto vectors = read_vectors(path);
  EXPECT_GE(vectors.size(), 20U) << path;
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(path + ": " + vector.text("name"));
    const auto plaintext = read(vector);
    ASSERT_EQ(outcome(plaintext), "ok") << plaintext.error().message;
    EXPECT_EQ(to_hex(*plaintext), vector.text("plaintext"));
    if (vector.text("kind") == "whole") {
      const WholeRecord record = decode_whole(*plaintext).value();
      Bytes again(whole_size(record.key, record.value, record.headers));
      encode_whole(record.key, record.value, record.headers, again);
      EXPECT_EQ(again, *plaintext);
    }
  }
}

TEST(VectorsTest, ReadsItsOwn) { expect_readable(committed("envelope_bridge.json")); }

TEST(VectorsTest, ReadsTheSecondImplementations) {
  const char* other = std::getenv("DRAWBRIDGE_VECTORS_IN");
  expect_readable(other != nullptr ? other : committed("envelope_python.json"));
}

TEST(VectorsTest, RefusesTheHostileOnes) {
  const auto vectors = read_vectors(committed("envelope_hostile.json"));
  EXPECT_GE(vectors.size(), 20U);
  for (const Vector& vector : vectors) {
    EXPECT_EQ(outcome(read(vector)), vector.text("error")) << vector.text("name");
  }
}

// --- Writing ----------------------------------------------------------------------------------

struct Shape {
  std::string name;
  std::string plaintext = R"({"order":4711})";
  std::optional<std::string> tenant = "acme";
  std::optional<std::string> record_key = "customer-7";
  std::optional<SubjectReference> subject;
  std::string kind = "value";
  bool inline_keys = false;
  bool by_reference = false;
};

Vector written(Suite suite, const Shape& shape) {
  const SecretBytes store_key = SecretBytes::random(32).value();
  SealingKey key = shape.by_reference ? SealingKey::derive(suite, store_key).value()
                                      : SealingKey::generate(suite).value();
  const Bytes dek = revealed(shape.by_reference ? store_key : key.dek());
  const SecretBytes kek_bytes = SecretBytes::random(32).value();
  Aes256GcmWrap kek = Aes256GcmWrap::create(kek_bytes.clone().value()).value();

  Bytes keys = encode_wrapped_keys({}).value();
  if (!shape.by_reference) {
    const Bytes wrapped = kek.wrap(key.dek(), {key.id(), "orders", shape.tenant, "dc"}).value();
    const std::vector<WrappedKeyView> entries{{"dc", "local:dc/1", wrapped},
                                              {"aws", "elsewhere", as_bytes("not ours")}};
    keys = encode_wrapped_keys(entries).value();
  }
  const auto optional_bytes = [](const std::optional<std::string>& text) {
    return text ? std::optional(as_bytes(*text)) : std::nullopt;
  };
  Sealing sealing;
  sealing.associated = {as_bytes("orders"), optional_bytes(shape.tenant), shape.subject};
  sealing.record_key = optional_bytes(shape.record_key);
  sealing.whole = shape.kind == "whole";
  if (shape.inline_keys) sealing.inline_keys = keys;
  const Bytes value = shape.kind == "tombstone" ? seal_tombstone(key, sealing)
                                                : seal(key, shape.plaintext, sealing);
  const auto hex = [](std::optional<ByteView> bytes) {
    return bytes ? std::optional(to_hex(*bytes)) : std::nullopt;
  };
  Vector vector;
  vector.set("name", shape.name + ", " + std::string(name_of(suite)));
  vector.set("kind", shape.kind);
  vector.set("suite", std::string(name_of(suite)));
  vector.set("kek", to_hex(kek_bytes.reveal(SecretAccess())));
  vector.set("kek-reference", "local:dc/1");
  vector.set("domain", "dc");
  vector.set("dek", to_hex(dek));
  vector.set("dataset", "orders");
  vector.set("tenant", shape.tenant);
  vector.set("subject", shape.subject ? hex(ByteView(*shape.subject)) : std::nullopt);
  vector.set("record-key", hex(sealing.record_key));
  vector.set("plaintext", to_hex(as_bytes(shape.plaintext)));
  vector.set("keys-header", shape.inline_keys ? std::nullopt : hex(ByteView(keys)));
  vector.set("value", to_hex(value));
  return vector;
}

std::vector<Shape> shapes() {
  std::vector<Shape> all(13);
  all[0].name = "plain";
  all[1].name = "null key";
  all[1].record_key.reset();
  all[2].name = "empty key";
  all[2].record_key = "";
  all[3].name = "empty plaintext";
  all[3].plaintext.clear();
  all[4].name = "absent tenant";
  all[4].tenant.reset();
  all[5].name = "empty tenant";
  all[5].tenant = "";
  all[6].name = "longest tenant";
  all[6].tenant = std::string(254, 't');
  all[7].name = "subject";
  all[7].subject = subject_reference(secret_of(Bytes(32, 5)), as_bytes("anna")).value();
  all[8].name = "inline keys";
  all[8].inline_keys = true;
  all[9].name = "by reference";
  all[9].by_reference = true;
  all[10].name = "by reference, inline";
  all[10].by_reference = true;
  all[10].inline_keys = true;
  all[11].name = "tombstone";
  all[11].kind = "tombstone";
  all[11].plaintext.clear();
  all[12].name = "whole record";
  all[12].kind = "whole";
  const std::vector<Header> headers{{"trace", as_bytes("1")}, {"trace", std::nullopt}};
  all[12].plaintext.resize(whole_size(as_bytes("key"), std::nullopt, headers));
  encode_whole(
      as_bytes("key"), std::nullopt, headers,
      {reinterpret_cast<std::uint8_t*>(all[12].plaintext.data()), all[12].plaintext.size()});
  return all;
}

TEST(VectorsTest, Writes) {
  std::vector<Vector> vectors;
  for (const Suite suite : kAllSuites) {
    for (const Shape& shape : shapes()) vectors.push_back(written(suite, shape));
  }
  const char* out = std::getenv("DRAWBRIDGE_VECTORS_OUT");
  const std::string path =
      out != nullptr ? out : ::testing::TempDir() + "envelope_bridge_fresh.json";
  write_vectors(path, vectors);
  expect_readable(path);
  if (out == nullptr) std::remove(path.c_str());
}

}  // namespace
}  // namespace drawbridge

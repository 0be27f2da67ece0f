// Records that nobody should let through, and the error expected of each, in every transform that
// reads envelopes, with a cold cache and with a warm one.
#include <gtest/gtest.h>

#include <functional>

#include "bridge/envelope/data_key.h"
#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class HostileTest : public TransformsTest {
 protected:
  HostileTest() { encrypt_ = make("encrypt", {{"domain", "dc"}, {"tenant", "acme"}}); }

  // The transforms that read an envelope; "rewrap" checks the first record's tag only.
  std::unique_ptr<Transform> reader(const std::string& name) {
    Fields fields = {{"tenant", "acme"}};
    if (name == "decrypt") {
      fields.emplace_back("domain", "dc");
      return make("decrypt", fields);
    }
    fields.insert(fields.end(), {{"from", "dc"}, {"to", "aws"}});
    fields.emplace_back("mode", name == "reencrypt" ? "reencrypt" : "rewrap");
    if (name == "rewrap-all") fields.emplace_back("verify", "all");
    return make("rekey", fields);
  }
  OwnedRecord good() { return through(*encrypt_, {"key", "a value of some length"}); }

  // Every reader, cold and warm. `first_warm` is what a warm rewrap with verify: first says.
  void expect_refused(const std::string& what, const OwnedRecord& record, const std::string& error,
                      std::optional<std::string> first_warm = {}) {
    for (const std::string name : {"decrypt", "reencrypt", "rewrap-all", "rewrap"}) {
      const std::size_t wraps = aws_.wrapped.size();
      auto cold = reader(name);
      EXPECT_EQ(verdict(*cold, record), error) << what << ", " << name << ", cold";
      // A re-encrypting transform has a key of its own, whatever the record.
      if (name != "reencrypt") {
        EXPECT_EQ(aws_.wrapped.size(), wraps) << what << ", " << name;
      }
      auto warm = reader(name);
      EXPECT_EQ(verdict(*warm, good_), "kept");
      const std::string expected = name == "rewrap" && first_warm ? *first_warm : error;
      EXPECT_EQ(verdict(*warm, record), expected) << what << ", " << name << ", warm";
    }
  }

  // The block with its entries changed.
  Bytes block_of(const OwnedRecord& record,
                 const std::function<void(std::vector<WrappedKeyView>&)>& change) {
    OwnedRecord copy = record;
    const Bytes block = *copy.header(format::kKeysHeader);
    const auto parsed = parse_wrapped_keys(block).value();
    std::vector<WrappedKeyView> entries(parsed.entries().begin(), parsed.entries().end());
    change(entries);
    return encode_wrapped_keys(entries).value();
  }

  std::unique_ptr<Transform> encrypt_;
  OwnedRecord good_ = (encrypt_ = make("encrypt", {{"domain", "dc"}, {"tenant", "acme"}}), good());
};

TEST_F(HostileTest, table) {
  struct Case {
    std::string what;
    std::function<void(OwnedRecord&)> damage;
    std::string error;
    std::optional<std::string> first_warm = {};
  };
  const std::string keys(format::kKeysHeader);
  const OwnedRecord other = through(*make("encrypt", {{"domain", "dc"}, {"tenant", "acme"}}),
                                    {"key", "sealed under another data key"});
  const OwnedRecord elsewhere = through(*make("encrypt", {{"domain", "aws"}, {"tenant", "acme"}}),
                                        {"key", "for another key domain"});
  const OwnedRecord bills =
      through(*make("encrypt", {{"domain", "dc"}, {"tenant", "acme"}, {"dataset", "bills"}}),
              {"key", "value"});
  const OwnedRecord rival =
      through(*make("encrypt", {{"domain", "dc"}, {"tenant", "rival"}}), {"key", "value"});
  const OwnedRecord nobody = through(*make("encrypt", {{"domain", "dc"}}), {"key", "value"});

  const std::vector<Case> cases = {
      {"text", [](auto& r) { r.value = OwnedRecord::bytes("text"); }, "envelope-missing"},
      {"text without headers",
       [](auto& r) {
         r.value = OwnedRecord::bytes("text");
         r.headers.clear();
       },
       "envelope-missing"},
      {"an empty value", [](auto& r) { r.value = Bytes{}; }, "envelope-missing"},
      {"another magic", [](auto& r) { (*r.value)[0] ^= 1; }, "envelope-missing"},
      {"a newer version", [](auto& r) { (*r.value)[4] = 2; }, "envelope-unsupported"},
      {"version 0", [](auto& r) { (*r.value)[4] = 0; }, "envelope-unsupported"},
      {"a suite that does not exist", [](auto& r) { (*r.value)[5] = 200; }, "envelope-unsupported"},
      {"the other suite", [](auto& r) { (*r.value)[5] = 2; }, "envelope-tampered"},
      {"an unknown flag", [](auto& r) { (*r.value)[6] |= 0x80; }, "envelope-unsupported"},
      {"a reserved flag", [](auto& r) { (*r.value)[6] |= format::kFlagCompressed; },
       "envelope-unsupported"},
      {"a whole record's flag", [](auto& r) { (*r.value)[6] |= format::kFlagWhole; },
       "envelope-unsupported"},
      {"no wrapped keys", [](auto& r) { r.headers.clear(); }, "envelope-malformed"},
      {"null wrapped keys", [&](auto& r) { r.header(keys).reset(); }, "envelope-malformed"},
      {"empty wrapped keys", [&](auto& r) { r.header(keys) = Bytes{}; }, "envelope-malformed"},
      {"wrapped keys twice", [](auto& r) { r.headers.push_back(r.headers[0]); },
       "envelope-malformed"},
      {"oversized wrapped keys",
       [&](auto& r) { r.header(keys)->resize(format::kMaxKeysBytes + 1); }, "envelope-malformed"},
      {"bytes behind the wrapped keys", [&](auto& r) { r.header(keys)->push_back(0); },
       "envelope-malformed"},
      {"a header's name in capitals", [](auto& r) { r.headers[0].first = "Drawbridge-Keys"; },
       "envelope-malformed"},
      {"no key by domain (by reference)",
       [&](auto& r) { r.header(keys) = block_of(r, [](auto& entries) { entries.clear(); }); },
       "envelope-foreign"},
      {"a key of another domain only",
       [&](auto& r) {
         r.header(keys) = block_of(r, [](auto& entries) { entries[0].domain = "backup"; });
       },
       "envelope-foreign"},
      {"another KEK",
       [&](auto& r) {
         r.header(keys) = block_of(r, [](auto& entries) { entries[0].kek = "arn:attacker:key"; });
       },
       "envelope-foreign"},
      {"a wrapped key that is cut",
       [&](auto& r) {
         r.header(keys) = block_of(r, [](auto& entries) {
           entries[0].wrapped = entries[0].wrapped.first(entries[0].wrapped.size() - 1);
         });
       },
       "envelope-malformed"},
      {"another record's wrapped key", [&](auto& r) { r.headers = other.headers; },
       "envelope-tampered"},
      {"another record's value", [&](auto& r) { r.value = other.value; }, "envelope-tampered"},
      {"another domain's record", [&](auto& r) { r = elsewhere; }, "envelope-foreign"},
      {"another dataset's record", [&](auto& r) { r = bills; }, "envelope-foreign"},
      {"another tenant's record", [&](auto& r) { r = rival; }, "envelope-foreign"},
      {"a record without a tenant", [&](auto& r) { r = nobody; }, "envelope-foreign"},
      {"a value cut within the tag", [](auto& r) { r.value->pop_back(); }, "envelope-tampered",
       "kept"},
      {"a value cut within the head", [](auto& r) { r.value->resize(50); }, "envelope-malformed"},
      {"a byte behind the value", [](auto& r) { r.value->push_back(0); }, "envelope-tampered",
       "kept"},
      {"another record key", [](auto& r) { r.key = OwnedRecord::bytes("kez"); },
       "envelope-tampered", "kept"},
      {"no record key", [](auto& r) { r.key.reset(); }, "envelope-tampered", "kept"},
      {"an empty record key", [](auto& r) { r.key = Bytes{}; }, "envelope-tampered", "kept"},
  };
  for (const Case& each : cases) {
    OwnedRecord record = good_;
    each.damage(record);
    expect_refused(each.what, record, each.error, each.first_warm);
  }
}

// Wherever a bit is turned over, the record is refused. A warm rewrap with verify: first lets pass
// only what that promises: key tag, nonce, ciphertext and tag, which the reader checks.
TEST_F(HostileTest, every_byte_of_the_value) {
  const EnvelopeView view = envelope(good_);
  const auto at = [&](ByteView part) {
    return static_cast<std::size_t>(part.data() - good_.value->data());
  };
  const std::size_t tag_starts = at(view.key_tag);
  for (const std::string name : {"decrypt", "reencrypt", "rewrap-all", "rewrap"}) {
    auto warm = reader(name);
    EXPECT_EQ(verdict(*warm, good_), "kept");
    for (std::size_t i = 0; i < good_.value->size(); ++i) {
      OwnedRecord damaged = good_;
      (*damaged.value)[i] ^= 1;
      EXPECT_NE(verdict(*reader(name), damaged), "kept") << name << ", cold, byte " << i;
      if (name != "rewrap" || i < tag_starts) {
        EXPECT_NE(verdict(*warm, damaged), "kept") << name << ", warm, byte " << i;
      }
    }
  }
}

TEST_F(HostileTest, every_byte_of_the_wrapped_keys) {
  for (const std::string name : {"decrypt", "reencrypt", "rewrap-all", "rewrap"}) {
    auto warm = reader(name);
    EXPECT_EQ(verdict(*warm, good_), "kept");
    for (std::size_t i = 0; i < good_.headers[0].second->size(); ++i) {
      OwnedRecord damaged = good_;
      (*damaged.headers[0].second)[i] ^= 1;
      EXPECT_NE(verdict(*warm, damaged), "kept") << name << ", byte " << i;
    }
  }
}

TEST_F(HostileTest, five_wrapped_keys_or_two_of_one_domain) {
  // Built by hand, since the encoder refuses to: version, count, entries.
  const Bytes block = *good_.headers[0].second;
  const ByteView entry = ByteView(block).subspan(2);
  for (const std::uint8_t count : {std::uint8_t{2}, std::uint8_t{5}}) {
    Bytes many = {block[0], count};
    for (int i = 0; i < count; ++i) many.insert(many.end(), entry.begin(), entry.end());
    OwnedRecord record = good_;
    record.headers[0].second = many;
    expect_refused(std::to_string(count) + " entries", record, "envelope-malformed");
  }
}

TEST_F(HostileTest, an_envelope_within_an_envelope) {
  // No transform makes one, so by hand.
  auto key = SealingKey::generate(Suite::kAes256Gcm).value();
  const auto wrapped = dc_.wrap_by_hand(key.dek(), {key.id(), "orders", "acme", "dc"});
  const WrappedKeyView entry{"dc", wrapped.kek, wrapped.bytes};
  Sealing sealing;
  sealing.associated = {as_bytes("orders"), as_bytes("acme"), {}};
  sealing.record_key = as_bytes("key");
  OwnedRecord nested = good_;
  nested.value = Bytes(key.sealed_size(sealing, good_.value->size()));
  ASSERT_TRUE(key.seal(*good_.value, sealing, *nested.value));
  nested.headers[0].second = encode_wrapped_keys({&entry, 1}).value();
  EXPECT_EQ(verdict(*reader("decrypt"), nested), "envelope-unexpected");
}

// Nothing of a refused record is half decrypted, and no message repeats what the record says.
TEST_F(HostileTest, errors_do_not_echo_the_record) {
  const OwnedRecord rival =
      through(*make("encrypt", {{"domain", "dc"}, {"tenant", "SECRET"}, {"dataset", "SECRET"}}),
              {"k", "v"});
  OwnedRecord text("k", "SECRET");
  for (OwnedRecord* each : {const_cast<OwnedRecord*>(&rival), &text}) {
    Record record = each->view();
    const Outcome outcome = apply(*reader("decrypt"), record);
    ASSERT_EQ(outcome.kind(), Outcome::Kind::kFail);
    EXPECT_EQ(outcome.error().message.find("SECRET"), std::string::npos) << outcome.error().message;
    EXPECT_FALSE(outcome.error().message.empty());
  }
}

TEST_F(HostileTest, foreign_records_never_reach_the_key_store) {
  const OwnedRecord rival =
      through(*make("encrypt", {{"domain", "dc"}, {"tenant", "rival"}}), {"key", "value"});
  const std::size_t before = dc_.unwrapped.size();
  EXPECT_EQ(verdict(*reader("decrypt"), rival), "envelope-foreign");
  EXPECT_EQ(dc_.unwrapped.size(), before);
}

}  // namespace
}  // namespace drawbridge

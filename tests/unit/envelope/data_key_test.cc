#include "bridge/envelope/data_key.h"

#include <set>
#include <thread>

#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

constexpr std::string_view kPlaintext = R"({"order":4711,"total":"12.50"})";
const SubjectReference kSubject{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

Sealing orders(std::optional<ByteView> record_key) {
  Sealing sealing;
  sealing.associated = {as_bytes("orders"), as_bytes("acme"), kSubject};
  sealing.record_key = record_key;
  return sealing;
}

Expected orders_of_acme() { return {as_bytes("orders"), as_bytes("acme"), false}; }

class DataKeyTest : public ::testing::TestWithParam<Suite> {
 protected:
  SealingKey sealing_key_ = SealingKey::generate(GetParam()).value();
  OpeningKey opening_key_ = opening_key(sealing_key_);
  const Bytes key_ = bytes_of("customer-7");
};

INSTANTIATE_TEST_SUITE_P(Suites, DataKeyTest, ::testing::ValuesIn(kAllSuites),
                         [](const auto& suite) {
                           std::string name(name_of(suite.param));
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(DataKeyTest, OpensWhatItSealed) {
  // 4095 to 4097: around the pieces in which verify() decrypts.
  for (const std::size_t size : {0, 1, 15, 16, 17, 100, 1024, 4095, 4096, 4097, 100000}) {
    const std::string plaintext(size, 'x');
    const Bytes value = seal(sealing_key_, plaintext, orders(key_));
    const auto opened = open(opening_key_, value, orders_of_acme(), key_);
    ASSERT_EQ(outcome(opened), "ok") << size;
    EXPECT_EQ(as_text(*opened), plaintext);
  }
}

TEST_P(DataKeyTest, SizesAreAsTheFormulaSays) {
  Sealing sealing = orders(key_);
  EXPECT_EQ(sealing_key_.sealed_size(sealing, 100), 100U + 86 + 6 + 4 + 16);
  sealing.associated.tenant = ByteView();
  sealing.associated.subject.reset();
  EXPECT_EQ(sealing_key_.sealed_size(sealing, 100), 100U + 86 + 6);
  EXPECT_EQ(seal(sealing_key_, kPlaintext, sealing).size(), kPlaintext.size() + 86 + 6);
}

TEST_P(DataKeyTest, AViewShowsWhatWasBound) {
  const Bytes value = seal(sealing_key_, kPlaintext, orders(key_));
  const EnvelopeView view = parse_envelope(value).value();
  EXPECT_EQ(view.suite, GetParam());
  EXPECT_EQ(view.flags, 0);
  EXPECT_EQ(view.key_id, sealing_key_.id());
  EXPECT_EQ(view.key_id, key_id_of(GetParam(), sealing_key_.dek()).value());
  EXPECT_EQ(as_text(view.dataset), "orders");
  ASSERT_TRUE(view.tenant);
  EXPECT_EQ(as_text(*view.tenant), "acme");
  EXPECT_EQ(view.subject, kSubject);
  EXPECT_FALSE(view.salt);
  EXPECT_EQ(view.ciphertext.size(), kPlaintext.size());
  EXPECT_TRUE(opening_key_.fits(view));
}

TEST_P(DataKeyTest, EveryByteOfAValueIsProtected) {
  const Bytes good = seal(sealing_key_, kPlaintext, orders(key_));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      Bytes bad = good;
      bad[i] ^= static_cast<std::uint8_t>(1 << bit);
      EXPECT_NE(outcome(open(opening_key_, bad, orders_of_acme(), key_)), "ok") << i;
      EXPECT_NE(outcome(verify(opening_key_, bad, orders_of_acme(), key_)), "ok") << i;
    }
  }
  EXPECT_EQ(outcome(open(opening_key_, good, orders_of_acme(), key_)), "ok");
}

TEST_P(DataKeyTest, EveryTruncationAndExtensionIsRefused) {
  const Bytes good = seal(sealing_key_, kPlaintext, orders(key_));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(outcome(open(opening_key_, ByteView(good).first(size), orders_of_acme(), key_)), "ok")
        << size;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(outcome(open(opening_key_, longer, orders_of_acme(), key_)), "envelope-tampered");
}

TEST_P(DataKeyTest, AnotherDataKeyIsCaughtByTheCommitmentBeforeDecryption) {
  SealingKey other = SealingKey::generate(GetParam()).value();
  OpeningKey wrong = opening_key(other);
  const Bytes value = seal(sealing_key_, kPlaintext, orders(key_));
  const auto opened = open(wrong, value, orders_of_acme(), key_);
  ASSERT_EQ(outcome(opened), "envelope-tampered");
  EXPECT_THAT(opened.error().message, ::testing::HasSubstr("does not hold the data key"));
}

TEST_P(DataKeyTest, AKeyIdSwappedToMatchAnotherDataKeyFailsAtTheTags) {
  SealingKey other = SealingKey::generate(GetParam()).value();
  OpeningKey wrong = opening_key(other);
  Bytes value = seal(sealing_key_, kPlaintext, orders(std::nullopt));
  std::ranges::copy(other.id().bytes, value.begin() + 7);
  ASSERT_TRUE(wrong.fits(parse_envelope(value).value()));
  EXPECT_EQ(outcome(open(wrong, value, orders_of_acme(), std::nullopt)), "envelope-tampered");
}

TEST_P(DataKeyTest, TheSuiteIsPartOfTheCommitment) {
  const Suite other =
      GetParam() == Suite::kAes256Gcm ? Suite::kChaCha20Poly1305 : Suite::kAes256Gcm;
  EXPECT_NE(key_id_of(other, sealing_key_.dek()).value(), sealing_key_.id());
  Bytes value = seal(sealing_key_, kPlaintext, orders(key_));
  value[5] = static_cast<std::uint8_t>(other);
  EXPECT_EQ(outcome(open(opening_key_, value, orders_of_acme(), key_)), "envelope-tampered");
  OpeningKey same_dek = OpeningKey::create(other, sealing_key_.dek()).value();
  EXPECT_EQ(outcome(open(same_dek, value, orders_of_acme(), key_)), "envelope-tampered");
}

TEST_P(DataKeyTest, TheReaderComparesDatasetAndTenant) {
  const Bytes value = seal(sealing_key_, kPlaintext, orders(key_));
  const auto with = [&](std::string_view dataset, std::optional<ByteView> tenant) {
    return outcome(open(opening_key_, value, Expected{as_bytes(dataset), tenant, false}, key_));
  };
  EXPECT_EQ(with("orders", as_bytes("acme")), "ok");
  EXPECT_EQ(with("order", as_bytes("acme")), "envelope-foreign");
  EXPECT_EQ(with("orders", as_bytes("acmf")), "envelope-foreign");
  EXPECT_EQ(with("orders", ByteView()), "envelope-foreign");
  EXPECT_EQ(with("orders", std::nullopt), "envelope-foreign");
}

TEST_P(DataKeyTest, AnAbsentTenantIsNotAnEmptyOne) {
  Sealing sealing = orders(key_);
  sealing.associated.tenant.reset();
  const Bytes absent = seal(sealing_key_, kPlaintext, sealing);
  sealing.associated.tenant = ByteView();
  const Bytes empty = seal(sealing_key_, kPlaintext, sealing);
  const Expected expects_absent{as_bytes("orders"), std::nullopt, false};
  const Expected expects_empty{as_bytes("orders"), ByteView(), false};
  EXPECT_EQ(outcome(open(opening_key_, absent, expects_absent, key_)), "ok");
  EXPECT_EQ(outcome(open(opening_key_, absent, expects_empty, key_)), "envelope-foreign");
  EXPECT_EQ(outcome(open(opening_key_, empty, expects_empty, key_)), "ok");
  EXPECT_EQ(outcome(open(opening_key_, empty, expects_absent, key_)), "envelope-foreign");
}

TEST_P(DataKeyTest, AValueIsBoundToItsRecordKey) {
  const Bytes other = bytes_of("customer-8");
  const std::vector<std::optional<ByteView>> keys{std::nullopt, ByteView(), ByteView(key_),
                                                  ByteView(other)};
  for (std::size_t sealed = 0; sealed < keys.size(); ++sealed) {
    const Bytes value = seal(sealing_key_, kPlaintext, orders(keys[sealed]));
    for (std::size_t read = 0; read < keys.size(); ++read) {
      EXPECT_EQ(outcome(open(opening_key_, value, orders_of_acme(), keys[read])),
                sealed == read ? "ok" : "envelope-tampered")
          << sealed << " read as " << read;
    }
  }
}

TEST_P(DataKeyTest, AKeyWhichFailedStillOpensTheNextRecord) {
  const Bytes good = seal(sealing_key_, kPlaintext, orders(key_));
  Bytes bad = good;
  bad.back() ^= 1;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(outcome(open(opening_key_, bad, orders_of_acme(), key_)), "envelope-tampered");
    EXPECT_EQ(outcome(verify(opening_key_, bad, orders_of_acme(), key_)), "envelope-tampered");
    EXPECT_EQ(outcome(open(opening_key_, good, orders_of_acme(), key_)), "ok");
  }
}

TEST_P(DataKeyTest, NoNonceComesTwice) {
  std::set<std::string> nonces;
  // More than one refill of the stock, on two threads at once.
  SealingKey other = SealingKey::generate(GetParam()).value();
  const auto collect = [this](SealingKey& key, std::set<std::string>& into) {
    for (int i = 0; i < 3000; ++i) {
      const Bytes value = seal(key, "", orders(key_));
      const EnvelopeView view = parse_envelope(value).value();
      into.insert(to_hex(view.nonce));
    }
  };
  std::set<std::string> others;
  std::thread thread([&] { collect(other, others); });
  collect(sealing_key_, nonces);
  thread.join();
  nonces.merge(others);
  EXPECT_EQ(nonces.size(), 6000U);
}

TEST_P(DataKeyTest, RefusesPastItsBudget) {
  SealingKey key = SealingKey::generate(GetParam(), 3).value();
  for (int i = 0; i < 2; ++i) seal(key, kPlaintext, orders(key_));
  seal_tombstone(key, orders(key_));  // spends a nonce like any other
  EXPECT_EQ(key.records_sealed(), 3U);
  EXPECT_EQ(key.bytes_sealed(), 2 * kPlaintext.size());
  Bytes out(key.sealed_size(orders(key_), kPlaintext.size()), 0xaa);
  const Bytes untouched = out;
  EXPECT_EQ(outcome(key.seal(as_bytes(kPlaintext), orders(key_), out)), "internal");
  EXPECT_EQ(out, untouched);
  EXPECT_EQ(key.records_sealed(), 3U);
}

TEST_P(DataKeyTest, RefusesFieldsOutOfBounds) {
  const std::string long_name(255, 'n');
  const auto with = [&](std::string_view dataset, std::string_view tenant, ByteView keys) {
    Sealing sealing = orders(key_);
    sealing.associated.dataset = as_bytes(dataset);
    sealing.associated.tenant = as_bytes(tenant);
    sealing.inline_keys = keys;
    Bytes out(sealing_key_.sealed_size(sealing, 1));
    return outcome(sealing_key_.seal(as_bytes("x"), sealing, out));
  };
  EXPECT_EQ(with(long_name.substr(1), long_name.substr(1), {}), "ok");
  EXPECT_EQ(with("", "acme", {}), "invalid");
  EXPECT_EQ(with(long_name, "acme", {}), "invalid");
  EXPECT_EQ(with("orders", long_name, {}), "invalid");
  EXPECT_EQ(with("orders", "acme", as_bytes("no keys")), "envelope-unsupported");
  EXPECT_EQ(with("orders", "acme", bytes_of({"\x01\x00", 2})), "ok");
}

TEST_P(DataKeyTest, RefusesMemoryOfTheWrongSize) {
  Bytes out(sealing_key_.sealed_size(orders(key_), 5) + 1);
  EXPECT_EQ(outcome(sealing_key_.seal(as_bytes("12345"), orders(key_), out)), "internal");
  const Bytes value = seal(sealing_key_, "12345", orders(key_));
  const EnvelopeView view = parse_envelope(value).value();
  Bytes small(4, 0xaa);
  EXPECT_EQ(outcome(opening_key_.open(view, orders_of_acme(), key_, small)), "internal");
  // An empty `out` must not slip through as "verify only".
  EXPECT_EQ(outcome(opening_key_.open(view, orders_of_acme(), key_, {})), "internal");
}

TEST_P(DataKeyTest, InlineKeysRideOutsideTheTagAndAreReplacedAtARewrap) {
  const WrappedKeyView old_entry{"dc", "local:a/1", as_bytes("old wrapped bytes")};
  const WrappedKeyView new_entry{"aws", "local:b/7", as_bytes("the new wrapped bytes")};
  const Bytes old_keys = encode_wrapped_keys({&old_entry, 1}).value();
  const Bytes new_keys = encode_wrapped_keys({&new_entry, 1}).value();
  Sealing sealing = orders(key_);
  sealing.inline_keys = old_keys;
  const Bytes value = seal(sealing_key_, kPlaintext, sealing);
  const EnvelopeView view = parse_envelope(value).value();
  ASSERT_TRUE(view.has_inline_keys());
  EXPECT_TRUE(equal(view.inline_keys, old_keys));

  Bytes rewrapped(rewrapped_size(view, new_keys));
  replace_inline_keys(view, new_keys, rewrapped);
  const EnvelopeView after = parse_envelope(rewrapped).value();
  EXPECT_EQ(wrapped_keys_of(after, Headers()).value().entries()[0].kek, "local:b/7");
  EXPECT_TRUE(equal(after.immutable, view.immutable));
  EXPECT_TRUE(equal(after.ciphertext, view.ciphertext));
  EXPECT_EQ(outcome(open(opening_key_, rewrapped, orders_of_acme(), key_)), "ok");
}

TEST_P(DataKeyTest, ADerivedKeySealsUnderItsOwnSalt) {
  const SecretBytes subject_key = SecretBytes::random(32).value();
  SealingKey one = SealingKey::derive(GetParam(), subject_key).value();
  SealingKey two = SealingKey::derive(GetParam(), subject_key).value();
  EXPECT_EQ(one.id(), two.id());
  EXPECT_EQ(one.dek().size(), 0U);
  const Bytes value = seal(one, kPlaintext, orders(key_));
  const Bytes other_value = seal(two, kPlaintext, orders(key_));
  EXPECT_EQ(value.size(), kPlaintext.size() + 86 + 6 + 4 + 16 + 32);
  const EnvelopeView view = parse_envelope(value).value();
  const EnvelopeView other_view = parse_envelope(other_value).value();
  ASSERT_TRUE(view.salt);
  ASSERT_TRUE(other_view.salt);
  EXPECT_FALSE(equal(*view.salt, *other_view.salt));

  OpeningKey salted = OpeningKey::create(GetParam(), subject_key, view.salt).value();
  OpeningKey unsalted = OpeningKey::create(GetParam(), subject_key).value();
  EXPECT_EQ(outcome(open(salted, value, orders_of_acme(), key_)), "ok");
  EXPECT_EQ(outcome(open(salted, other_value, orders_of_acme(), key_)), "envelope-tampered");
  EXPECT_EQ(outcome(open(unsalted, value, orders_of_acme(), key_)), "envelope-tampered");
  // A salt that somebody put in: the key it leads to does not verify.
  Bytes forged = value;
  const std::size_t salt_at = static_cast<std::size_t>(view.salt->data() - value.data());
  forged[salt_at] ^= 1;
  OpeningKey misled =
      OpeningKey::create(GetParam(), subject_key, parse_envelope(forged).value().salt).value();
  EXPECT_EQ(outcome(open(misled, forged, orders_of_acme(), key_)), "envelope-tampered");
}

TEST_P(DataKeyTest, ATombstoneIsAuthenticated) {
  const Bytes header = seal_tombstone(sealing_key_, orders(key_));
  EXPECT_EQ(outcome(verify_tombstone(opening_key_, header, orders_of_acme(), key_)), "ok");
  EXPECT_EQ(outcome(verify_tombstone(opening_key_, header, orders_of_acme(), std::nullopt)),
            "envelope-tampered");
  for (std::size_t i = 0; i < header.size(); ++i) {
    Bytes bad = header;
    bad[i] ^= 1;
    EXPECT_NE(outcome(verify_tombstone(opening_key_, bad, orders_of_acme(), key_)), "ok") << i;
  }
}

TEST_P(DataKeyTest, AnEmptyValueIsNoTombstoneAndTheOtherWayRound) {
  // An attacker holds an envelope of an empty value and wants to delete the record with it.
  const Bytes value = seal(sealing_key_, "", orders(key_));
  EXPECT_EQ(outcome(parse_tombstone(value)), "envelope-malformed");
  Bytes relabelled = value;
  relabelled[6] |= format::kFlagTombstone;
  EXPECT_EQ(outcome(verify_tombstone(opening_key_, relabelled, orders_of_acme(), key_)),
            "envelope-tampered");
  Bytes header = seal_tombstone(sealing_key_, orders(key_));
  EXPECT_EQ(outcome(parse_envelope(header)), "envelope-malformed");
  const EnvelopeView view = parse_tombstone(header).value();
  EXPECT_EQ(outcome(opening_key_.open(view, orders_of_acme(), key_, {})), "internal");
  header[6] = 0;
  EXPECT_EQ(outcome(open(opening_key_, header, orders_of_acme(), key_)), "envelope-tampered");
}

TEST_P(DataKeyTest, AWholeRecordIsNotTakenForAValue) {
  Sealing sealing = orders(key_);
  sealing.whole = true;
  const Bytes whole = seal(sealing_key_, "not looked at here", sealing);
  const Bytes value = seal(sealing_key_, "not looked at here", orders(key_));
  Expected expects_whole = orders_of_acme();
  expects_whole.whole = true;
  EXPECT_EQ(outcome(open(opening_key_, whole, expects_whole, key_)), "ok");
  EXPECT_EQ(outcome(open(opening_key_, whole, orders_of_acme(), key_)), "envelope-unsupported");
  EXPECT_EQ(outcome(open(opening_key_, value, expects_whole, key_)), "envelope-unsupported");
}

TEST_P(DataKeyTest, KeysMove) {
  SealingKey moved = std::move(sealing_key_);
  OpeningKey opened = std::move(opening_key_);
  const Bytes value = seal(moved, kPlaintext, orders(key_));
  EXPECT_EQ(outcome(open(opened, value, orders_of_acme(), key_)), "ok");
}

TEST(DataKeyTest, RefusesKeysAndSaltsOfOtherLengths) {
  const SecretBytes short_key = SecretBytes::random(31).value();
  const SecretBytes dek = SecretBytes::random(32).value();
  const Bytes short_salt(31);
  EXPECT_EQ(outcome(OpeningKey::create(Suite::kAes256Gcm, short_key)), "invalid");
  EXPECT_EQ(outcome(OpeningKey::create(Suite::kAes256Gcm, dek, short_salt)), "invalid");
  EXPECT_EQ(outcome(OpeningKey::create(Suite::kAes256Gcm, dek, ByteView())), "invalid");
  EXPECT_EQ(outcome(SealingKey::derive(Suite::kAes256Gcm, short_key)), "invalid");
  EXPECT_EQ(outcome(key_id_of(Suite::kAes256Gcm, SecretBytes())), "invalid");
}

TEST(DataKeyTest, EachGeneratedKeyIsNew) {
  std::set<KeyId> ids;
  for (int i = 0; i < 50; ++i) ids.insert(SealingKey::generate(Suite::kAes256Gcm).value().id());
  EXPECT_EQ(ids.size(), 50U);
}

}  // namespace
}  // namespace drawbridge

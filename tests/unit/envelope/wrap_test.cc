#include "bridge/envelope/wrap.h"

#include <set>
#include <vector>

#include "tests/unit/envelope/support.h"

namespace drawbridge {
namespace {

WrapContext context_of(const SecretBytes& dek) {
  return {key_id_of(Suite::kAes256Gcm, dek).value(), "orders", "acme", "dc"};
}

// `context` with one thing changed, in every way that matters.
std::vector<WrapContext> others(const WrapContext& context) {
  std::vector<WrapContext> all(7, context);
  all[0].key_id.bytes[31] ^= 1;
  all[1].dataset = "orders2";
  all[2].tenant = "acmf";
  all[3].tenant = "";
  all[4].tenant.reset();
  all[5].domain = "aws";
  // The same bytes in a row, cut elsewhere.
  all[6].dataset = "ordersac";
  all[6].tenant = "me";
  return all;
}

class WrapTest : public ::testing::Test {
 protected:
  SecretBytes dek_ = SecretBytes::random(32).value();
  Aes256GcmWrap kek_ = Aes256GcmWrap::create(SecretBytes::random(32).value()).value();
  WrapContext context_ = context_of(dek_);
};

TEST_F(WrapTest, RoundTrips) {
  const Bytes wrapped = kek_.wrap(dek_, context_).value();
  EXPECT_EQ(wrapped.size(), kLocalWrappedBytes);
  EXPECT_EQ(revealed(kek_.unwrap(wrapped, context_).value()), revealed(dek_));
  EXPECT_NE(kek_.wrap(dek_, context_).value(), wrapped) << "a nonce came twice";
}

TEST_F(WrapTest, EveryByteIsProtected) {
  const Bytes wrapped = kek_.wrap(dek_, context_).value();
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    Bytes bad = wrapped;
    bad[i] ^= 0x10;
    EXPECT_EQ(outcome(kek_.unwrap(bad, context_)), "envelope-tampered") << i;
  }
  EXPECT_EQ(outcome(kek_.unwrap(ByteView(wrapped).first(59), context_)), "envelope-malformed");
  EXPECT_EQ(outcome(kek_.unwrap({}, context_)), "envelope-malformed");
  Bytes longer = wrapped;
  longer.push_back(0);
  EXPECT_EQ(outcome(kek_.unwrap(longer, context_)), "envelope-malformed");
}

TEST_F(WrapTest, OpensUnderItsOwnContextOnly) {
  const Bytes wrapped = kek_.wrap(dek_, context_).value();
  for (const WrapContext& other : others(context_)) {
    EXPECT_EQ(outcome(kek_.unwrap(wrapped, other)), "envelope-tampered");
  }
}

TEST_F(WrapTest, OpensUnderItsOwnKekOnly) {
  const Bytes wrapped = kek_.wrap(dek_, context_).value();
  const auto other = Aes256GcmWrap::create(SecretBytes::random(32).value()).value();
  EXPECT_EQ(outcome(other.unwrap(wrapped, context_)), "envelope-tampered");
}

TEST_F(WrapTest, AWrappedKeySwappedForAnotherIsCaught) {
  // The envelope names one data key, its header carries another that this KEK wrapped too.
  SealingKey one = SealingKey::generate(Suite::kAes256Gcm).value();
  SealingKey two = SealingKey::generate(Suite::kAes256Gcm).value();
  const WrapContext context_one{one.id(), "orders", "acme", "dc"};
  const WrapContext context_two{two.id(), "orders", "acme", "dc"};
  const Bytes wrapped_two = kek_.wrap(two.dek(), context_two).value();
  EXPECT_EQ(outcome(kek_.unwrap(wrapped_two, context_one)), "envelope-tampered");

  // A store that ignores the context gives the key out; the commitment refuses it.
  Sealing sealing;
  sealing.associated.dataset = as_bytes("orders");
  const Bytes value = seal(one, "plaintext", sealing);
  const SecretBytes swapped = kek_.unwrap(wrapped_two, context_two).value();
  OpeningKey opening = OpeningKey::create(Suite::kAes256Gcm, swapped).value();
  EXPECT_EQ(outcome(open(opening, value, {as_bytes("orders"), std::nullopt, false}, std::nullopt)),
            "envelope-tampered");
}

TEST_F(WrapTest, RefusesOtherSizes) {
  EXPECT_EQ(outcome(Aes256GcmWrap::create(SecretBytes::random(16).value())), "invalid");
  EXPECT_EQ(outcome(Aes256GcmWrap::create(SecretBytes())), "invalid");
  EXPECT_EQ(outcome(kek_.wrap(SecretBytes::random(16).value(), context_)), "invalid");
}

TEST(ContextTest, HasOneEncodingEach) {
  const SecretBytes dek = SecretBytes::random(32).value();
  const WrapContext context = context_of(dek);
  std::set<std::string> encodings{to_hex(encode_context(context).value())};
  for (const WrapContext& other : others(context)) {
    EXPECT_NE(other, context);
    encodings.insert(to_hex(encode_context(other).value()));
  }
  EXPECT_EQ(encodings.size(), 8U);
  EXPECT_EQ(encode_context(context).value(), encode_context(context_of(dek)).value());
}

TEST(ContextTest, RefusesFieldsOutOfBounds) {
  const std::string longest(254, 'x');
  const auto with = [](std::string dataset, std::optional<std::string> tenant, std::string domain) {
    return outcome(
        encode_context({KeyId(), std::move(dataset), std::move(tenant), std::move(domain)}));
  };
  EXPECT_EQ(with(longest, longest, longest), "ok");
  EXPECT_EQ(with("d", "", "d"), "ok");
  EXPECT_EQ(with("", "t", "d"), "invalid");
  EXPECT_EQ(with("d", "t", ""), "invalid");
  EXPECT_EQ(with(longest + "x", "t", "d"), "invalid");
  EXPECT_EQ(with("d", longest + "x", "d"), "invalid");
  EXPECT_EQ(with("d", "t", longest + "x"), "invalid");
}

TEST(ContextTest, BindsAPayloadWhereTheStoreTakesNoContext) {
  const SecretBytes dek = SecretBytes::random(32).value();
  const WrapContext context = context_of(dek);
  SecretBytes payload = bind_context(dek, context).value();
  EXPECT_EQ(payload.size(), 64U);
  EXPECT_EQ(revealed(unbind_context(payload, context).value()), revealed(dek));
  for (const WrapContext& other : others(context)) {
    EXPECT_EQ(outcome(unbind_context(payload, other)), "envelope-tampered");
  }
  EXPECT_EQ(outcome(unbind_context(dek, context)), "envelope-tampered");
  EXPECT_EQ(outcome(unbind_context(SecretBytes(), context)), "envelope-tampered");
  EXPECT_EQ(outcome(bind_context(SecretBytes::random(33).value(), context)), "invalid");
}

}  // namespace
}  // namespace drawbridge

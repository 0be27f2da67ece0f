#include "bridge/transform/opening_keys.h"

#include <gtest/gtest.h>

#include "bridge/transform/dek_source.h"
#include "tests/unit/transform/fake_key_cache.h"

namespace drawbridge {
namespace {

using enum ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

const Scope kScope{"orders", std::nullopt};

// A sealed value with its header; each under a data key of its own.
struct Sealed {
  Bytes value;
  Bytes block;

  [[nodiscard]] SealedRecord view() const { return {parse_envelope(value).value(), block}; }
};

class OpeningKeysTest : public testing::Test {
 protected:
  Sealed seal(Suite suite = Suite::kAes256Gcm) {
    DekSource deks({dc_}, suite, {}, waker_);
    auto lookup = deks.find(kScope, now_);
    const auto dek = std::get<DekSource::Ready>(lookup);
    Sealing sealing;
    sealing.associated.dataset = as_bytes(kScope.dataset);
    const auto plaintext = as_bytes("hello");
    Sealed sealed;
    sealed.value.resize(dek.key->sealed_size(sealing, plaintext.size()));
    EXPECT_TRUE(dek.key->seal(plaintext, sealing, sealed.value));
    sealed.block.assign(dek.block.begin(), dek.block.end());
    return sealed;
  }
  OpeningKeys::Entry* entry(const SealedRecord& record, Duration at = {}) {
    auto lookup = keys_.find(record, now_ + at);
    auto* found = std::get_if<OpeningKeys::Entry*>(&lookup);
    return found != nullptr ? *found : nullptr;
  }
  Outcome refused(const SealedRecord& record, Duration at = {}) {
    auto lookup = keys_.find(record, now_ + at);
    if (auto* outcome = std::get_if<Outcome>(&lookup)) return *outcome;
    ADD_FAILURE() << "a key came";
    return Outcome::keep();
  }

  std::shared_ptr<FakeKeyCache> dc_ = std::make_shared<FakeKeyCache>("dc");
  Waker waker_;
  Instant now_{};
  OpeningKeys keys_{dc_, kScope, waker_, {.keys = 2, .recheck = seconds(1)}};
};

TEST_F(OpeningKeysTest, asks_once_per_wrapped_key) {
  const Sealed one = seal();
  const Sealed other = seal(Suite::kChaCha20Poly1305);
  for (int i = 0; i < 10; ++i) {
    ASSERT_NE(entry(one.view()), nullptr);
    ASSERT_NE(entry(other.view()), nullptr);
  }
  EXPECT_EQ(dc_->unwrapped.size(), 2u);
  EXPECT_EQ(dc_->unwrapped[0],
            (WrapContext{one.view().envelope.key_id, "orders", std::nullopt, "dc"}));
}

TEST_F(OpeningKeysTest, asks_again_after_the_recheck_interval) {
  const Sealed sealed = seal();
  auto* first = entry(sealed.view());
  ASSERT_NE(first, nullptr);
  first->verified = true;
  first->rewrapped = {1};
  ASSERT_NE(entry(sealed.view(), milliseconds(999)), nullptr);
  EXPECT_EQ(dc_->unwrapped.size(), 1u);
  auto* rechecked = entry(sealed.view(), seconds(1));
  EXPECT_EQ(dc_->unwrapped.size(), 2u);
  ASSERT_NE(rechecked, nullptr);
  EXPECT_TRUE(rechecked->verified);
  EXPECT_TRUE(rechecked->rewrapped.empty()) << "the target's answer has a life, too";
}

TEST_F(OpeningKeysTest, a_key_that_the_cache_let_go_is_not_used_even_before_the_recheck) {
  const Sealed sealed = seal();
  entry(sealed.view())->verified = true;
  dc_->release();
  dc_->unwrap_error = Error{kKeyDisabled, "disabled"};
  const Outcome outcome = refused(sealed.view(), milliseconds(1));
  EXPECT_EQ(outcome.kind(), Outcome::Kind::kWait);
  EXPECT_EQ(outcome.error().code, kKeyDisabled);
  EXPECT_EQ(keys_.size(), 0u) << "what was derived from it is gone";

  dc_->unwrap_error.reset();
  auto* again = entry(sealed.view(), milliseconds(2));
  ASSERT_NE(again, nullptr);
  EXPECT_FALSE(again->verified);
}

TEST_F(OpeningKeysTest, an_outage_at_the_recheck_waits) {
  const Sealed sealed = seal();
  entry(sealed.view());
  dc_->silent = true;
  EXPECT_EQ(refused(sealed.view(), seconds(1)).kind(), Outcome::Kind::kWait);
  dc_->silent = false;
  EXPECT_NE(entry(sealed.view(), seconds(1)), nullptr);
}

TEST_F(OpeningKeysTest, is_bounded) {
  const Sealed a = seal();
  const Sealed b = seal();
  const Sealed c = seal();
  for (const Sealed* each : {&a, &b, &c}) ASSERT_NE(entry(each->view()), nullptr);
  EXPECT_EQ(keys_.size(), 2u);
  ASSERT_NE(entry(a.view()), nullptr);
  EXPECT_EQ(dc_->unwrapped.size(), 4u);
}

TEST_F(OpeningKeysTest, a_wrapped_key_of_another_envelope_is_refused) {
  const Sealed one = seal();
  const Sealed other = seal();
  // The store binds the key id in the context.
  EXPECT_EQ(refused({one.view().envelope, other.view().key_block}).error().code, kEnvelopeTampered);
  // Where it does not, the commitment does.
  dc_->ignore_context = true;
  const Sealed third = seal();
  const Sealed fourth = seal();
  const Outcome outcome = refused({third.view().envelope, fourth.view().key_block});
  EXPECT_EQ(outcome.kind(), Outcome::Kind::kFail);
  EXPECT_EQ(outcome.error().code, kEnvelopeTampered);
  EXPECT_NE(outcome.error().message.find("commits"), std::string::npos);
  EXPECT_EQ(keys_.size(), 0u);
}

TEST_F(OpeningKeysTest, a_wrapped_key_that_is_no_data_key_is_refused) {
  dc_->ignore_context = true;
  const Sealed sealed = seal();
  dc_->unwrap_error = Error{kEnvelopeTampered, "does not unwrap"};
  EXPECT_EQ(refused(sealed.view()).kind(), Outcome::Kind::kFail);
}

TEST_F(OpeningKeysTest, an_envelope_without_a_key_for_this_domain_is_foreign) {
  OpeningKeys other(std::make_shared<FakeKeyCache>("aws"), kScope, waker_);
  const Sealed sealed = seal();
  auto lookup = other.find(sealed.view(), now_);
  ASSERT_TRUE(std::holds_alternative<Outcome>(lookup));
  EXPECT_EQ(std::get<Outcome>(lookup).error().code, kEnvelopeForeign);
  EXPECT_TRUE(dc_->unwrapped.empty());
}

}  // namespace
}  // namespace drawbridge

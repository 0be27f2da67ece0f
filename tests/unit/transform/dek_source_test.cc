#include "bridge/transform/dek_source.h"

#include <gtest/gtest.h>

#include "tests/unit/transform/fake_key_cache.h"

namespace drawbridge {
namespace {

using enum ErrorCode;
using std::chrono::minutes;

const Scope kScope{"orders", "acme"};

class DekSourceTest : public testing::Test {
 protected:
  DekSource source(RotationLimits limits = {}, std::size_t scopes = DekSource::kScopes) {
    return DekSource({dc_, dr_}, Suite::kAes256Gcm, limits, waker_, scopes);
  }
  static DekSource::Ready ready(DekSource::Lookup lookup) {
    if (auto* outcome = std::get_if<Outcome>(&lookup)) {
      ADD_FAILURE() << outcome->error().message;
      std::abort();
    }
    return std::get<DekSource::Ready>(lookup);
  }
  static Outcome refused(DekSource::Lookup lookup) {
    if (auto* outcome = std::get_if<Outcome>(&lookup)) return *outcome;
    ADD_FAILURE() << "a key came";
    return Outcome::keep();
  }
  static void seal_one(SealingKey& key, std::size_t size = 4) {
    const Bytes plaintext(size, 'x');
    Sealing sealing;
    sealing.associated.dataset = as_bytes("orders");
    Bytes out(key.sealed_size(sealing, size));
    ASSERT_TRUE(key.seal(plaintext, sealing, out));
  }

  std::shared_ptr<FakeKeyCache> dc_ = std::make_shared<FakeKeyCache>("dc");
  std::shared_ptr<FakeKeyCache> dr_ = std::make_shared<FakeKeyCache>("dr");
  Waker waker_;
  Instant now_{};
};

TEST_F(DekSourceTest, wraps_once_for_every_domain_in_its_own_context) {
  DekSource deks = source();
  const KeyId id = ready(deks.find(kScope, now_)).key->id();
  const auto again = ready(deks.find(kScope, now_ + minutes(30)));
  EXPECT_EQ(again.key->id(), id);
  ASSERT_EQ(dc_->wrapped.size(), 1u);
  ASSERT_EQ(dr_->wrapped.size(), 1u);
  EXPECT_EQ(dc_->wrapped[0], (WrapContext{id, "orders", "acme", "dc"}));
  EXPECT_EQ(dr_->wrapped[0], (WrapContext{id, "orders", "acme", "dr"}));
  const auto keys = parse_wrapped_keys(again.block);
  ASSERT_TRUE(keys);
  EXPECT_NE(keys->find("dc"), nullptr);
  EXPECT_NE(keys->find("dr"), nullptr);
}

TEST_F(DekSourceTest, two_sources_and_two_scopes_never_share_a_key) {
  DekSource one = source();
  DekSource other = source();
  const KeyId a = ready(one.find(kScope, now_)).key->id();
  const KeyId b = ready(other.find(kScope, now_)).key->id();
  const KeyId c = ready(one.find({"orders", std::nullopt}, now_)).key->id();
  const KeyId d = ready(one.find({"orders", ""}, now_)).key->id();
  EXPECT_NE(a, b);
  EXPECT_NE(a, c);
  EXPECT_NE(c, d) << "an absent tenant is not an empty one";
}

TEST_F(DekSourceTest, rotates_after_so_many_records) {
  DekSource deks = source({.records = 2});
  const KeyId first = ready(deks.find(kScope, now_)).key->id();
  seal_one(*ready(deks.find(kScope, now_)).key);
  EXPECT_EQ(ready(deks.find(kScope, now_)).key->id(), first);
  seal_one(*ready(deks.find(kScope, now_)).key);
  EXPECT_NE(ready(deks.find(kScope, now_)).key->id(), first);
}

TEST_F(DekSourceTest, rotates_after_so_many_bytes) {
  DekSource deks = source({.bytes = 1000});
  const KeyId first = ready(deks.find(kScope, now_)).key->id();
  seal_one(*ready(deks.find(kScope, now_)).key, 999);
  EXPECT_EQ(ready(deks.find(kScope, now_)).key->id(), first);
  seal_one(*ready(deks.find(kScope, now_)).key, 1);
  EXPECT_NE(ready(deks.find(kScope, now_)).key->id(), first);
}

TEST_F(DekSourceTest, rotates_with_age) {
  DekSource deks = source({.age = minutes(5)});
  const KeyId first = ready(deks.find(kScope, now_)).key->id();
  EXPECT_EQ(ready(deks.find(kScope, now_ + minutes(5) - Duration(1))).key->id(), first);
  EXPECT_NE(ready(deks.find(kScope, now_ + minutes(5))).key->id(), first);
}

TEST_F(DekSourceTest, a_key_in_use_survives_an_outage_but_a_spent_one_is_not_used) {
  DekSource deks = source({.age = minutes(5)});
  ready(deks.find(kScope, now_));
  dc_->wrap_error = Error{kKeyUnavailable, "down"};
  ready(deks.find(kScope, now_ + minutes(4)));
  const Outcome outcome = refused(deks.find(kScope, now_ + minutes(5)));
  EXPECT_EQ(outcome.kind(), Outcome::Kind::kWait);
  EXPECT_EQ(outcome.error().code, kKeyUnavailable);
}

TEST_F(DekSourceTest, waits_until_every_domain_has_wrapped) {
  DekSource deks = source();
  dr_->silent = true;
  EXPECT_EQ(refused(deks.find(kScope, now_)).kind(), Outcome::Kind::kWait);
  dr_->silent = false;
  const auto dek = ready(deks.find(kScope, now_));
  EXPECT_EQ(parse_wrapped_keys(dek.block)->entries().size(), 2u);
  EXPECT_EQ(dc_->wrapped[0].key_id, dc_->wrapped[1].key_id) << "the waiting key is kept";
}

// The key to wrap with is the configuration's, so no error of it may cost a record.
TEST_F(DekSourceTest, no_failure_to_wrap_is_a_records_fault) {
  for (const ErrorInfo& error : all_errors()) {
    if (error.error_class == ErrorClass::kStop) continue;
    DekSource deks = source();
    dc_->wrap_error = Error{error.code, "refused"};
    const bool waits =
        error.error_class == ErrorClass::kPause || error.error_class == ErrorClass::kRecord;
    if (waits) {
      EXPECT_EQ(refused(deks.find(kScope, now_)).kind(), Outcome::Kind::kWait) << error.name;
    }
  }
}

TEST_F(DekSourceTest, forgets_the_least_recently_used_scope) {
  DekSource deks = source({}, 2);
  const KeyId a = ready(deks.find({"a", {}}, now_)).key->id();
  const KeyId b = ready(deks.find({"b", {}}, now_)).key->id();
  ready(deks.find({"a", {}}, now_));
  ready(deks.find({"c", {}}, now_));
  EXPECT_EQ(ready(deks.find({"a", {}}, now_)).key->id(), a);
  EXPECT_NE(ready(deks.find({"b", {}}, now_)).key->id(), b);
}

}  // namespace
}  // namespace drawbridge

// A slow, absent or denying key store: the shard waits, the record stays as it was, and nothing
// goes out in clear. Through the daemon's cache, with a test's store behind it.
#include <gtest/gtest.h>

#include "tests/unit/keys/fake_key_provider.h"
#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

using enum ErrorCode;
using std::chrono::minutes;
using std::chrono::seconds;

class OutageTest : public TransformsTest {
 protected:
  OutageTest() {
    keys_.add("dc", make_key_cache("dc", source_, {}));
    keys_.add("aws", make_key_cache("aws", target_, {}));
    sealed_ = through(*make("encrypt", {{"domain", "dc"}}), {"key", "a marked plaintext"});
  }
  std::unique_ptr<Transform> transform(const std::string& name) {
    if (name == "encrypt") return make("encrypt", {{"domain", "aws"}});
    if (name == "decrypt") return make("decrypt", {{"domain", "dc"}});
    return make("rekey", {{"from", "dc"}, {"to", "aws"}, {"mode", name}});
  }
  OwnedRecord input(const std::string& name) {
    return name == "encrypt" ? OwnedRecord("key", "a marked plaintext") : sealed_;
  }
  // The record must be as it was, byte by byte and pointer by pointer.
  void expect_waits(Transform& transform, OwnedRecord input, std::optional<ErrorCode> code = {}) {
    Record record = input.view();
    const Outcome outcome = apply(transform, record);
    EXPECT_EQ(outcome.kind(), Outcome::Kind::kWait);
    if (code) {
      EXPECT_EQ(outcome.error().code, *code);
    }
    EXPECT_EQ(record.value->data(), input.value->data());
    EXPECT_EQ(record.key->data(), input.key->data());
    EXPECT_TRUE(record.headers.untouched());
    EXPECT_EQ(OwnedRecord(record), input);
  }

  std::shared_ptr<FakeKeyProvider> source_ = std::make_shared<FakeKeyProvider>(std::uint8_t{1});
  std::shared_ptr<FakeKeyProvider> target_ = std::make_shared<FakeKeyProvider>(std::uint8_t{2});
  OwnedRecord sealed_;
  const std::vector<std::string> all_ = {"encrypt", "decrypt", "rewrap", "reencrypt"};
};

TEST_F(OutageTest, every_kind_of_refusal_waits_and_passes) {
  for (const ErrorCode code : {kKeyDenied, kKeyDisabled, kKeyThrottled, kKeyUnavailable}) {
    for (const auto& name : all_) {
      for (auto& store : {source_, target_}) {
        if (name == "encrypt" && store == source_) continue;
        if (name == "decrypt" && store == target_) continue;
        keys_.add("dc", make_key_cache("dc", source_, {}));
        keys_.add("aws", make_key_cache("aws", target_, {}));
        auto made = transform(name);
        store->fail_with(code);
        expect_waits(*made, input(name), code);
        expect_waits(*made, input(name), code);
        store->fail_with(std::nullopt);
        now_ += seconds(2);
        EXPECT_EQ(verdict(*made, input(name)), "kept") << name << " after " << name_of(code);
      }
    }
  }
}

TEST_F(OutageTest, a_slow_store_is_asked_once_and_its_answer_used) {
  for (const auto& name : all_) {
    keys_.add("dc", make_key_cache("dc", source_, {}));
    keys_.add("aws", make_key_cache("aws", target_, {}));
    source_->answer(FakeKeyProvider::Delivery::kHeld);
    target_->answer(FakeKeyProvider::Delivery::kHeld);
    auto made = transform(name);
    const std::size_t before = source_->unwraps() + target_->wraps();
    for (int i = 0; i < 3; ++i) expect_waits(*made, input(name));
    // A rewrap needs the one answer to ask the other store.
    while (source_->release() + target_->release() > 0) {
      static_cast<void>(verdict(*made, input(name)));
    }
    EXPECT_EQ(verdict(*made, input(name)), "kept") << name;
    const bool both = name == "rewrap" || name == "reencrypt";
    EXPECT_EQ(source_->unwraps() + target_->wraps() - before, both ? 2u : 1u) << name;
  }
}

TEST_F(OutageTest, a_key_to_wrap_with_that_is_gone_costs_no_record) {
  for (const ErrorCode code : {kKeyNotFound, kEnvelopeForeign}) {
    for (const std::string name : {"encrypt", "rewrap", "reencrypt"}) {
      keys_.add("aws", make_key_cache("aws", target_, {}));
      auto made = transform(name);
      target_->fail_with(code);
      expect_waits(*made, input(name), code);
      target_->fail_with(std::nullopt);
      now_ += minutes(1);
      EXPECT_EQ(verdict(*made, input(name)), "kept") << name;
    }
  }
}

TEST_F(OutageTest, a_record_s_key_that_is_gone_is_the_record_s_failure) {
  for (const std::string name : {"decrypt", "rewrap", "reencrypt"}) {
    keys_.add("dc", make_key_cache("dc", source_, {}));
    source_->fail_with(kKeyNotFound);
    EXPECT_EQ(verdict(*transform(name), sealed_), "key-not-found") << name;
  }
}

// An unwrapped key lives ten minutes from the store's answer, however often it is used.
TEST_F(OutageTest, a_store_that_refuses_from_now_on_is_noticed) {
  for (const std::string name : {"decrypt", "rewrap", "reencrypt"}) {
    keys_.add("dc", make_key_cache("dc", source_, {}));
    source_->fail_with(std::nullopt);
    auto made = transform(name);
    EXPECT_EQ(verdict(*made, sealed_), "kept");
    source_->fail_with(kKeyDisabled);
    for (int i = 0; i < 9; ++i) {
      now_ += minutes(1);
      EXPECT_EQ(verdict(*made, sealed_), "kept") << name << " after " << i + 1;
    }
    now_ += minutes(1) + seconds(2);
    expect_waits(*made, sealed_);
  }
}

TEST_F(OutageTest, emptying_the_cache_takes_effect_at_once) {
  for (const std::string name : {"decrypt", "rewrap", "reencrypt"}) {
    auto cache = make_key_cache("dc", source_, {});
    keys_.add("dc", cache);
    source_->fail_with(std::nullopt);
    auto made = transform(name);
    EXPECT_EQ(verdict(*made, sealed_), "kept");
    source_->fail_with(kKeyDenied);
    EXPECT_EQ(verdict(*made, sealed_), "kept");
    cache->clear();
    expect_waits(*made, sealed_, kKeyDenied);
  }
}

// The data key in use needs no store; the next one does.
TEST_F(OutageTest, encrypt_goes_on_until_its_key_is_spent) {
  auto encrypt = make("encrypt", {{"domain", "aws"}, {"rotate-records", std::int64_t{3}}});
  EXPECT_EQ(verdict(*encrypt, {"key", "1"}), "kept");
  target_->fail_with(kKeyUnavailable);
  EXPECT_EQ(verdict(*encrypt, {"key", "2"}), "kept");
  EXPECT_EQ(verdict(*encrypt, {"key", "3"}), "kept");
  expect_waits(*encrypt, {"key", "4"}, kKeyUnavailable);
}

}  // namespace
}  // namespace drawbridge

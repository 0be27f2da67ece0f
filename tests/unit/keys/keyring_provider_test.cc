#include "bridge/keys/keyring_provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/keys/keyring_admin.h"
#include "tests/unit/keys/temporary_directory.h"

namespace drawbridge {
namespace {

using ::testing::HasSubstr;

constexpr WallMillis kNow = 1767323045678;

class ManualClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(now_.load()); }
  [[nodiscard]] WallMillis wall() const override { return kNow; }
  void pass(Duration duration) { now_ = now_.load() + duration; }

 private:
  std::atomic<Duration> now_{std::chrono::hours(1)};
};

class KeyringProviderTest : public ::testing::Test {
 protected:
  KeyringProviderTest() : path_(directory_.file("dc.keyring")) {
    EXPECT_TRUE(create_key(path_, "orders", kNow));
    EXPECT_TRUE(create_key(path_, "invoices", kNow));
    dek_ = SecretBytes::random(32).value();
    context_ = {KeyId{}, "orders-stream", "tenant-a", "dc"};
    context_.key_id.bytes.fill(7);
    provider_ = open().value();
  }

  Result<std::shared_ptr<KeyProvider>> open(std::uint64_t budget = format::kWrapBudget,
                                            std::string key = "orders") {
    return make_keyring_provider(
        {.file = path_, .key = std::move(key), .wrap_budget = budget, .clock = clock_});
  }

  Result<WrappedKey> wrap(KeyProvider& provider) {
    std::vector<WrapRequest> requests;
    requests.push_back({dek_.clone().value(), context_});
    std::optional<Result<WrappedKey>> answer;
    provider.wrap(std::move(requests), [&](auto results) {
      ASSERT_EQ(results.size(), 1U);
      answer = std::move(results[0]);
    });
    return *std::move(answer);
  }
  Result<SecretBytes> unwrap(KeyProvider& provider, WrappedKey wrapped, WrapContext context) {
    std::vector<UnwrapRequest> requests;
    requests.push_back({std::move(wrapped), std::move(context)});
    std::optional<Result<SecretBytes>> answer;
    provider.unwrap(std::move(requests), [&](auto results) {
      ASSERT_EQ(results.size(), 1U);
      answer = std::move(results[0]);
    });
    return *std::move(answer);
  }
  ErrorCode unwrap_error(WrappedKey wrapped) {
    const auto result = unwrap(*provider_, std::move(wrapped), context_);
    return result ? ErrorCode::kInternal : result.error().code;
  }

  TemporaryDirectory directory_;
  std::string path_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  SecretBytes dek_;
  WrapContext context_;
  std::shared_ptr<KeyProvider> provider_;
};

TEST_F(KeyringProviderTest, WrapsAndUnwraps) {
  const auto wrapped = wrap(*provider_);
  ASSERT_TRUE(wrapped) << wrapped.error().message;
  EXPECT_EQ(wrapped->kek, "orders:1");
  EXPECT_EQ(wrapped->bytes.size(), 60U);
  const auto dek = unwrap(*provider_, *wrapped, context_);
  ASSERT_TRUE(dek) << dek.error().message;
  EXPECT_TRUE(equal_secret(dek->reveal(SecretAccess{}), dek_.reveal(SecretAccess{})));
  EXPECT_TRUE(provider_->probe());
  EXPECT_TRUE(provider_->info().binds_context);
  EXPECT_EQ(provider_->info().kind, "keyring");
  EXPECT_THAT(provider_->info().description, HasSubstr(path_));
}

TEST_F(KeyringProviderTest, ABatchIsAnsweredInOrderEachForItself) {
  const WrappedKey good = wrap(*provider_).value();
  std::vector<UnwrapRequest> requests;
  requests.push_back({good, context_});
  requests.push_back({{"orders:9", good.bytes}, context_});
  requests.push_back({good, context_});
  std::vector<Result<SecretBytes>> answers;
  provider_->unwrap(std::move(requests), [&](auto results) { answers = std::move(results); });
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_TRUE(answers[0]);
  EXPECT_EQ(answers[1].error().code, ErrorCode::kKeyNotFound);
  EXPECT_TRUE(answers[2]);
}

TEST_F(KeyringProviderTest, ReferencesAreMatchedBeforeAnyUse) {
  const WrappedKey good = wrap(*provider_).value();
  for (const std::string reference :
       {"", "orders", ":1", "order:1", "orders2:1", "Orders:1", "invoices:1", "orders:", "orders:0",
        "orders:01", "orders:+1", "orders:1 ", "orders:1:1", "orders:4294967296", "orders:\xff",
        "arn:aws:kms:eu-west-1:1:key/x"}) {
    EXPECT_EQ(unwrap_error({reference, good.bytes}), ErrorCode::kEnvelopeForeign) << reference;
  }
  EXPECT_EQ(unwrap_error({std::string("orders\0:1", 9), good.bytes}), ErrorCode::kEnvelopeForeign);
  EXPECT_EQ(unwrap_error({"orders:2", good.bytes}), ErrorCode::kKeyNotFound);
  EXPECT_EQ(unwrap_error({"orders:4294967295", good.bytes}), ErrorCode::kKeyNotFound);
}

// It cannot be told from a changed byte, so the message names both.
TEST_F(KeyringProviderTest, AnotherKeyringWithAKeyOfTheSameNameIsNamedAsACause) {
  const std::string other_path = directory_.file("other.keyring");
  ASSERT_TRUE(create_key(other_path, "orders", kNow));
  const auto other = make_keyring_provider({.file = other_path,
                                            .key = "orders",
                                            .wrap_budget = format::kWrapBudget,
                                            .clock = clock_})
                         .value();
  const auto refused = unwrap(*other, wrap(*provider_).value(), context_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kEnvelopeTampered);
  EXPECT_THAT(refused.error().message, HasSubstr("version 1 of key `orders` in " + other_path));
  EXPECT_THAT(refused.error().message, HasSubstr("another keyring whose key has the same name"));
}

TEST_F(KeyringProviderTest, AnotherContextOrAChangedByteDoesNotOpen) {
  const WrappedKey good = wrap(*provider_).value();
  const auto refused = [&](const WrapContext& context) {
    const auto result = unwrap(*provider_, good, context);
    return !result && result.error().code == ErrorCode::kEnvelopeTampered;
  };
  WrapContext other = context_;
  other.tenant = "tenant-b";
  EXPECT_TRUE(refused(other));
  other.tenant = "";
  EXPECT_TRUE(refused(other));
  other.tenant = std::nullopt;
  EXPECT_TRUE(refused(other));
  other = context_;
  other.dataset = "orders-strea";
  EXPECT_TRUE(refused(other));
  other = context_;
  other.domain = "aws";
  EXPECT_TRUE(refused(other));
  other = context_;
  other.key_id.bytes[31] ^= 1;
  EXPECT_TRUE(refused(other));

  for (std::size_t i = 0; i < good.bytes.size(); ++i) {
    WrappedKey changed = good;
    changed.bytes[i] ^= 0x80;
    EXPECT_EQ(unwrap_error(changed), ErrorCode::kEnvelopeTampered) << i;
  }
  for (std::size_t size : {std::size_t{0}, std::size_t{12}, good.bytes.size() - 1}) {
    WrappedKey cut = good;
    cut.bytes.resize(size);
    EXPECT_EQ(unwrap_error(cut), ErrorCode::kEnvelopeMalformed) << size;
  }
  // The same reference in another keyring: another key.
  const TemporaryDirectory elsewhere;
  ASSERT_TRUE(create_key(elsewhere.file("k"), "orders", kNow));
  auto foreign = make_keyring_provider({.file = elsewhere.file("k"), .key = "orders"});
  const auto result = unwrap(**foreign, good, context_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kEnvelopeTampered);
}

TEST_F(KeyringProviderTest, RotationTakesEffectWithinASecond) {
  const WrappedKey old = wrap(*provider_).value();
  ASSERT_TRUE(rotate_key(path_, "orders", kNow));
  EXPECT_EQ(wrap(*provider_)->kek, "orders:1");  // not looked at again yet
  clock_->pass(std::chrono::seconds(1));
  EXPECT_EQ(wrap(*provider_)->kek, "orders:2");
  EXPECT_TRUE(unwrap(*provider_, old, context_));
}

// Records of a new version may be there before the next look at the file.
TEST_F(KeyringProviderTest, AVersionThatWasMadeJustNowIsKnownAtOnce) {
  ASSERT_TRUE(rotate_key(path_, "orders", kNow));
  auto other = open().value();
  const WrappedKey fresh = wrap(*other).value();
  ASSERT_EQ(fresh.kek, "orders:2");
  EXPECT_TRUE(unwrap(*provider_, fresh, context_));
}

TEST_F(KeyringProviderTest, DisablingTakesEffectWithinASecondAndEnablingToo) {
  const WrappedKey old = wrap(*provider_).value();
  ASSERT_TRUE(rotate_key(path_, "orders", kNow));
  ASSERT_TRUE(disable_key(path_, "orders", 1));
  clock_->pass(std::chrono::seconds(1));
  const auto refused = unwrap(*provider_, old, context_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kKeyDisabled);
  EXPECT_THAT(refused.error().message, HasSubstr("version 1 of key `orders`"));
  EXPECT_TRUE(wrap(*provider_));  // version 2

  // The newest one disabled: nothing falls back to an older version.
  ASSERT_TRUE(enable_key(path_, "orders", 1));
  ASSERT_TRUE(disable_key(path_, "orders", 2));
  EXPECT_EQ(provider_->probe().error().code, ErrorCode::kKeyDisabled);  // probing looks at once
  EXPECT_EQ(wrap(*provider_).error().code, ErrorCode::kKeyDisabled);
  EXPECT_TRUE(unwrap(*provider_, old, context_));

  ASSERT_TRUE(enable_key(path_, "orders", 2));
  clock_->pass(std::chrono::seconds(1));
  EXPECT_EQ(wrap(*provider_)->kek, "orders:2");
}

TEST_F(KeyringProviderTest, AFileGoneUnsafeOrDamagedIsAnOutage) {
  const WrappedKey good = wrap(*provider_).value();
  const std::string text = read_file(path_);
  const auto outage = [&](std::string_view message) {
    clock_->pass(std::chrono::seconds(1));
    for (int i = 0; i < 2; ++i) {  // at the look, and from memory
      const auto result = unwrap(*provider_, good, context_);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kKeyUnavailable);
      EXPECT_THAT(result.error().message, HasSubstr(message));
    }
    EXPECT_EQ(wrap(*provider_).error().code, ErrorCode::kKeyUnavailable);
  };
  std::filesystem::remove(path_);
  outage("does not exist");
  write_file(path_, text, 0644);
  outage("0644");
  write_file(path_, text.substr(0, text.size() - 4));
  outage("cut short");
  write_file(path_, "drawbridge-keyring 1\nend\n");
  outage("no key `orders`");
  EXPECT_EQ(provider_->probe().error().code, ErrorCode::kKeyUnavailable);

  write_file(path_, text);
  clock_->pass(std::chrono::seconds(1));
  EXPECT_TRUE(unwrap(*provider_, good, context_));
}

TEST_F(KeyringProviderTest, WrapsAreCountedOverTheProcess) {
  const auto first = open(5).value();
  const auto second = open(5).value();  // another domain on the same key
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(wrap(*first));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(wrap(*second));
  for (const auto& provider : {first, second}) {
    const auto refused = wrap(*provider);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kKeyThrottled);
    EXPECT_THAT(refused.error().message, HasSubstr("rotate"));
  }
  // Neither another reading of the file nor another key's change gives the budget back.
  ASSERT_TRUE(rotate_key(path_, "invoices", kNow));
  clock_->pass(std::chrono::seconds(1));
  EXPECT_EQ(wrap(*first).error().code, ErrorCode::kKeyThrottled);
  EXPECT_EQ(wrap(*open(5).value()).error().code, ErrorCode::kKeyThrottled);
  ASSERT_TRUE(rotate_key(path_, "orders", kNow));
  clock_->pass(std::chrono::seconds(1));
  EXPECT_EQ(wrap(*first)->kek, "orders:2");
}

TEST_F(KeyringProviderTest, OpeningFailsForWhatCannotWork) {
  EXPECT_EQ(open(1, "absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(open(1, "Orders").error().code, ErrorCode::kInvalid);
  EXPECT_EQ(open(1, "").error().code, ErrorCode::kInvalid);
  chmod(path_.c_str(), 0640);
  EXPECT_EQ(open().error().code, ErrorCode::kPermission);
  std::filesystem::remove(path_);
  EXPECT_EQ(open().error().code, ErrorCode::kNotFound);
}

TEST_F(KeyringProviderTest, NoSecureMemoryLeftIsSaidAsSuch) {
  const WrappedKey good = wrap(*provider_).value();
  std::vector<SecretBytes> filler;
  for (;;) {
    auto piece = SecretBytes::zeroed(32);
    if (!piece) break;
    filler.push_back(std::move(*piece));
  }
  EXPECT_EQ(unwrap_error(good), ErrorCode::kFull);
  ASSERT_TRUE(rotate_key(path_, "orders", kNow).error().code == ErrorCode::kFull);
  write_file(path_, read_file(path_));  // a new file to be read
  clock_->pass(std::chrono::seconds(1));
  EXPECT_EQ(unwrap_error(good), ErrorCode::kFull);
  filler.clear();
  EXPECT_TRUE(unwrap(*provider_, good, context_));  // at once, without waiting for a second
}

}  // namespace
}  // namespace drawbridge

#include "bridge/keys/domains.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/keys/keyring_admin.h"
#include "tests/unit/keys/temporary_directory.h"

namespace drawbridge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr WallMillis kNow = 1767323045678;

class DomainsTest : public ::testing::Test {
 protected:
  DomainsTest() : path_(directory_.file("both.keyring")) {
    EXPECT_TRUE(create_key(path_, "dc", kNow));
    EXPECT_TRUE(create_key(path_, "aws", kNow));
  }

  KeyDomainConfig domain(std::string name, std::string key) const {
    return {std::move(name), "keyring", {{"file", path_}, {"key", std::move(key)}}};
  }
  static Result<std::unique_ptr<DomainRegistry>> create(
      const std::vector<KeyDomainConfig>& configs) {
    return DomainRegistry::create(configs, KeyCacheLimits{});
  }

  TemporaryDirectory directory_;
  std::string path_;
};

TEST_F(DomainsTest, EachDomainOpensItsOwnKeysOnly) {
  const auto registry = create({domain("dc-hsm", "dc"), domain("aws-prod", "aws")});
  ASSERT_TRUE(registry) << registry.error().message;
  EXPECT_THAT((*registry)->names(), ElementsAre("aws-prod", "dc-hsm"));
  const auto dc = (*registry)->cache("dc-hsm").value();
  const auto aws = (*registry)->cache("aws-prod").value();
  EXPECT_EQ((*registry)->cache("dc-hsm").value(), dc);  // one cache a domain
  EXPECT_EQ(dc->domain(), "dc-hsm");

  Waker waker;
  const Instant now{std::chrono::hours(1)};
  const SecretBytes dek = SecretBytes::random(32).value();
  WrapContext context{KeyId{}, "orders", std::nullopt, "dc-hsm"};
  const auto lookup = dc->wrap(dek, context, waker, now);
  ASSERT_TRUE(std::holds_alternative<std::shared_ptr<const WrappedKey>>(lookup));
  const WrappedKey wrapped = *std::get<std::shared_ptr<const WrappedKey>>(lookup);
  EXPECT_EQ(wrapped.kek, "dc:1");
  EXPECT_TRUE(std::holds_alternative<KeyCache::Key>(dc->unwrap(wrapped, context, waker, now)));
  context.domain = "aws-prod";
  const auto refused = aws->unwrap(wrapped, context, waker, now);
  ASSERT_TRUE(std::holds_alternative<Error>(refused));
  EXPECT_EQ(std::get<Error>(refused).code, ErrorCode::kEnvelopeForeign);

  EXPECT_TRUE((*registry)->probe("dc-hsm"));
  ASSERT_TRUE(disable_key(path_, "dc", std::nullopt));
  EXPECT_EQ((*registry)->probe("dc-hsm").error().code, ErrorCode::kKeyDisabled);
  EXPECT_TRUE((*registry)->probe("aws-prod"));

  context.domain = "dc-hsm";
  EXPECT_TRUE(std::holds_alternative<KeyCache::Key>(dc->unwrap(wrapped, context, waker, now)));
  (*registry)->clear();
  const auto disabled = dc->unwrap(wrapped, context, waker, now);
  ASSERT_TRUE(std::holds_alternative<Error>(disabled));
  EXPECT_EQ(std::get<Error>(disabled).code, ErrorCode::kKeyDisabled);
}

TEST_F(DomainsTest, IdleDomainsForgetTheirKeys) {
  const auto registry = create({domain("dc", "dc")});
  const auto cache = (*registry)->cache("dc").value();
  Waker waker;
  const Instant now{std::chrono::hours(1)};
  const SecretBytes dek = SecretBytes::random(32).value();
  const auto lookup = cache->wrap(dek, {KeyId{}, "orders", "", "dc"}, waker, now);
  const std::weak_ptr<const WrappedKey> held = std::get<std::shared_ptr<const WrappedKey>>(lookup);
  const auto* holder = std::get_if<std::shared_ptr<const WrappedKey>>(&lookup);
  EXPECT_EQ(holder->use_count(), 2);
  (*registry)->expire(now + KeyCacheLimits{}.key_lifetime);
  EXPECT_EQ(holder->use_count(), 1);
}

TEST_F(DomainsTest, AnUnknownDomainIsNamedBesideTheKnown) {
  const auto registry = create({domain("dc", "dc"), domain("aws", "aws")});
  const auto unknown = (*registry)->cache("azure");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(unknown.error().message, HasSubstr("`azure`; configured: aws, dc"));
  EXPECT_EQ((*registry)->probe("azure").error().code, ErrorCode::kInvalid);
  EXPECT_THAT(create({}).value()->cache("dc").error().message, HasSubstr("none"));
}

TEST_F(DomainsTest, LintNamesEverythingWrong) {
  struct Case {
    KeyDomainConfig config;
    std::vector<std::string> messages;
  };
  const std::vector<Case> table{
      {domain("dc", "dc"), {}},
      {{"dc", "aws-kms", {}}, {"unknown kind `aws-kms`; there is: keyring"}},
      {{"dc", "", {}}, {"unknown kind ``"}},
      {{"", "keyring", {{"file", "f"}, {"key", "k"}}}, {"a name has 1 to 254 bytes"}},
      {{std::string(255, 'n'), "keyring", {{"file", "f"}, {"key", "k"}}}, {"1 to 254 bytes"}},
      {{"dc", "keyring", {}}, {"`file` is missing: path", "`key` is missing: name"}},
      {{"dc", "keyring", {{"file", ""}, {"key", "k"}}}, {"`file` is missing"}},
      {{"dc", "keyring", {{"file", "f"}, {"key", "k"}, {"path", "p"}}},
       {"no option `path`; it has: file, key"}},
      {{"dc", "keyring", {{"file", "f"}, {"key", "K:1"}}}, {"`key` is `K:1`"}},
  };
  for (const Case& each : table) {
    const auto errors = lint_key_domain(each.config);
    ASSERT_EQ(errors.size(), each.messages.size());
    for (std::size_t i = 0; i < errors.size(); ++i) {
      EXPECT_EQ(errors[i].code, ErrorCode::kInvalid);
      EXPECT_THAT(errors[i].message, HasSubstr(fmt::format("key domain `{}`", each.config.name)));
      EXPECT_THAT(errors[i].message, HasSubstr(each.messages[i]));
    }
    if (!errors.empty()) {
      EXPECT_EQ(create({each.config}).error().code, ErrorCode::kInvalid);
    }
  }
}

TEST_F(DomainsTest, CreationFailsNamingTheDomain) {
  const auto twice = create({domain("dc", "dc"), domain("dc", "aws")});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(twice.error().message, HasSubstr("`dc` is configured twice"));

  const auto absent = create({domain("dc", "dc"), domain("azure", "azure")});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(absent.error().message, HasSubstr("key domain `azure`"));

  chmod(path_.c_str(), 0644);
  EXPECT_EQ(create({domain("dc", "dc")}).error().code, ErrorCode::kPermission);
}

TEST(KeyDomainKinds, SayWhatTheyTake) {
  ASSERT_EQ(key_domain_kinds().size(), 1U);
  for (const KeyDomainKind& kind : key_domain_kinds()) {
    EXPECT_FALSE(kind.summary.empty());
    EXPECT_FALSE(kind.options.empty());
    for (const KeyDomainOption& option : kind.options) EXPECT_FALSE(option.help.empty());
  }
}

}  // namespace
}  // namespace drawbridge

// The whole way with the real local keyring: rotate and disable between records.
#include <gtest/gtest.h>

#include "bridge/keys/keyring_admin.h"
#include "bridge/keys/keyring_provider.h"
#include "tests/unit/keys/temporary_directory.h"
#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class FakeClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return at; }
  [[nodiscard]] WallMillis wall() const override { return 0; }
  Instant at{};
};

class KeyringWayTest : public TransformsTest {
 protected:
  KeyringWayTest() {
    for (const std::string domain : {"dc", "aws"}) {
      EXPECT_TRUE(create_key(path(domain), "orders", 0));
      auto provider =
          make_keyring_provider({.file = path(domain), .key = "orders", .clock = clock_});
      EXPECT_TRUE(provider) << provider.error().message;
      caches_.push_back(make_key_cache(domain, *provider, {}));
      keys_.add(domain, caches_.back());
    }
  }
  std::string path(const std::string& domain) { return directory_.file(domain + ".keyring"); }
  void later(Duration time) {
    now_ += time;
    clock_->at = now_;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<FakeClock> clock_ = std::make_shared<FakeClock>();
  std::vector<std::shared_ptr<KeyCache>> caches_;
};

TEST_F(KeyringWayTest, from_one_domain_to_the_other) {
  const OwnedRecord original("key", "value");
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  const OwnedRecord sealed = through(*encrypt, original);
  for (const std::string mode : {"rewrap", "reencrypt"}) {
    auto rekey = make("rekey", {{"from", "dc"}, {"to", "aws"}, {"mode", mode}});
    const OwnedRecord copy = through(*rekey, sealed);
    EXPECT_EQ(through(*make("decrypt", {{"domain", "aws"}}), copy), original);
    EXPECT_EQ(verdict(*make("decrypt", {{"domain", "dc"}}), copy), "envelope-foreign");
  }
}

TEST_F(KeyringWayTest, rotation_and_disabling_reach_running_transforms) {
  const OwnedRecord original("key", "value");
  auto encrypt = make("encrypt", {{"domain", "dc"}, {"rotate-records", std::int64_t{1}}});
  auto decrypt = make("decrypt", {{"domain", "dc"}});
  const OwnedRecord old = through(*encrypt, original);
  EXPECT_EQ(through(*decrypt, old), original);

  ASSERT_TRUE(rotate_key(path("dc"), "orders", 0));
  later(std::chrono::seconds(2));
  const OwnedRecord fresh = through(*encrypt, original);
  const auto keys = parse_wrapped_keys(*fresh.headers[0].second).value();
  EXPECT_EQ(keys.entries()[0].kek, "orders:2");
  EXPECT_EQ(through(*decrypt, fresh), original);
  EXPECT_EQ(through(*decrypt, old), original) << "the old version still opens";

  ASSERT_TRUE(disable_key(path("dc"), "orders", 1));
  later(std::chrono::minutes(10) + std::chrono::seconds(2));
  EXPECT_EQ(verdict(*decrypt, old), "wait");
  EXPECT_EQ(verdict(*decrypt, fresh), "kept");
  ASSERT_TRUE(enable_key(path("dc"), "orders", 1));
  later(std::chrono::seconds(11));
  EXPECT_EQ(verdict(*decrypt, old), "kept");
}

TEST_F(KeyringWayTest, a_version_that_never_was_is_the_record_s_failure) {
  OwnedRecord record = through(*make("encrypt", {{"domain", "dc"}}), {"key", "value"});
  const Bytes block = *record.headers[0].second;
  const auto keys = parse_wrapped_keys(block).value();
  WrappedKeyView entry = keys.entries()[0];
  entry.kek = "orders:9";
  record.headers[0].second = encode_wrapped_keys({&entry, 1}).value();
  EXPECT_EQ(verdict(*make("decrypt", {{"domain", "dc"}}), record), "key-not-found");
  entry.kek = "payroll:1";
  record.headers[0].second = encode_wrapped_keys({&entry, 1}).value();
  EXPECT_EQ(verdict(*make("decrypt", {{"domain", "dc"}}), record), "envelope-foreign");
}

}  // namespace
}  // namespace drawbridge

#include <gtest/gtest.h>

#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class EncryptTest : public TransformsTest {};

TEST_F(EncryptTest, what_goes_in_comes_out_of_decrypt) {
  const std::string large(300'000, 'L');
  const std::vector<std::optional<std::string_view>> keys = {{}, "", "k", "key\0with\xff"};
  const std::vector<std::optional<std::string>> tenants = {{}, "", "t"};
  const std::vector<std::string_view> texts = {"", "v", "value", large};
  for (const std::string suite : {"aes-256-gcm", "chacha20-poly1305"}) {
    for (const bool in_value : {false, true}) {
      for (const auto& tenant : tenants) {
        Fields both;
        if (tenant) both.emplace_back("tenant", *tenant);
        Fields sealing = both;
        sealing.insert(sealing.end(), {{"domain", "dc"}, {"suite", suite}, {"inline", in_value}});
        Fields opening = both;
        opening.emplace_back("domain", "dc");
        auto encrypt = make("encrypt", sealing);
        auto decrypt = make("decrypt", opening);
        for (const auto& key : keys) {
          for (const auto& text : texts) {
            const OwnedRecord original(key, text);
            const OwnedRecord sealed = through(*encrypt, original);
            EXPECT_EQ(sealed.key, original.key);
            EXPECT_NE(sealed.value, original.value);
            EXPECT_EQ(envelope(sealed).has_inline_keys(), in_value);
            EXPECT_EQ(sealed.headers.size(), in_value ? 0u : 1u);
            EXPECT_EQ(through(*decrypt, sealed), original);
          }
        }
      }
    }
  }
}

TEST_F(EncryptTest, no_byte_of_the_plaintext_is_in_the_record) {
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  const OwnedRecord sealed = through(*encrypt, {"key", "a marked plaintext"});
  EXPECT_EQ(as_text(*sealed.value).find("marked"), std::string_view::npos);
}

TEST_F(EncryptTest, headers_keep_order_and_duplicates_and_the_keys_come_last) {
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  auto decrypt = make("decrypt", {{"domain", "dc"}});
  OwnedRecord original("key", "value");
  original.headers = {{"a", Bytes{1}}, {"b", std::nullopt}, {"a", Bytes{}}, {"", Bytes{0, 255}}};
  const OwnedRecord sealed = through(*encrypt, original);
  ASSERT_EQ(sealed.headers.size(), 5u);
  EXPECT_TRUE(std::ranges::equal(original.headers, std::span(sealed.headers).first(4)));
  EXPECT_EQ(sealed.headers.back().first, format::kKeysHeader);
  EXPECT_EQ(through(*decrypt, sealed), original);
}

TEST_F(EncryptTest, one_wrap_for_many_records_and_nonces_that_differ) {
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  const OwnedRecord one = through(*encrypt, {"key", "value"});
  const OwnedRecord other = through(*encrypt, {"key", "value"});
  EXPECT_EQ(dc_.wrapped.size(), 1u);
  EXPECT_EQ(one.headers, other.headers);
  EXPECT_NE(one.value, other.value);
  EXPECT_FALSE(equal(envelope(one).nonce, envelope(other).nonce));
}

TEST_F(EncryptTest, every_named_domain_can_open) {
  auto encrypt = make("encrypt", {{"domains", std::vector<std::string>{"dc", "aws"}}});
  const OwnedRecord original("key", "value");
  const OwnedRecord sealed = through(*encrypt, original);
  for (const std::string domain : {"dc", "aws"}) {
    EXPECT_EQ(through(*make("decrypt", {{"domain", domain}}), sealed), original) << domain;
  }
}

TEST_F(EncryptTest, dataset_comes_from_the_transform_or_else_the_pipeline) {
  EXPECT_EQ(as_text(envelope(through(*make("encrypt", {{"domain", "dc"}}), {"k", "v"})).dataset),
            "orders");
  EXPECT_EQ(as_text(envelope(through(*make("encrypt", {{"domain", "dc"}, {"dataset", "bills"}}),
                                     {"k", "v"}))
                        .dataset),
            "bills");
}

TEST_F(EncryptTest, rotation_is_configurable) {
  auto encrypt = make("encrypt", {{"domain", "dc"}, {"rotate-records", std::int64_t{2}}});
  for (int i = 0; i < 5; ++i) through(*encrypt, {"key", "value"});
  EXPECT_EQ(dc_.wrapped.size(), 3u);
  auto by_age = make("encrypt", {{"domain", "dc"}, {"rotate-after", std::int64_t{1000}}});
  through(*by_age, {"key", "value"});
  now_ += std::chrono::seconds(1);
  through(*by_age, {"key", "value"});
  EXPECT_EQ(dc_.wrapped.size(), 5u);
  auto by_size = make("encrypt", {{"domain", "dc"}, {"rotate-bytes", std::int64_t{10}}});
  for (int i = 0; i < 3; ++i) through(*by_size, {"key", "value"});
  EXPECT_EQ(dc_.wrapped.size(), 7u);
}

TEST_F(EncryptTest, an_envelope_is_not_sealed_again) {
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  const OwnedRecord sealed = through(*encrypt, {"key", "value"});
  EXPECT_EQ(verdict(*encrypt, sealed), "envelope-unexpected");
  OwnedRecord in_value =
      through(*make("encrypt", {{"domain", "dc"}, {"inline", true}}), {"key", "value"});
  EXPECT_EQ(verdict(*encrypt, in_value), "envelope-unexpected");
  for (const auto header : {format::kKeysHeader, format::kTombstoneHeader}) {
    OwnedRecord clear("key", "value");
    clear.headers = {{std::string(header), Bytes{1}}};
    EXPECT_EQ(verdict(*encrypt, clear), "envelope-unexpected") << header;
    clear.value.reset();
    EXPECT_EQ(verdict(*encrypt, clear), "envelope-unexpected") << header << " of a null value";
  }
}

}  // namespace
}  // namespace drawbridge

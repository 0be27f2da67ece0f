#include <gtest/gtest.h>

#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class RekeyTest : public TransformsTest {
 protected:
  std::unique_ptr<Transform> rewrap(Fields more = {}) {
    more.insert(more.end(), {{"from", "dc"}, {"to", "aws"}, {"mode", "rewrap"}});
    return make("rekey", more);
  }
  std::unique_ptr<Transform> reencrypt(Fields more = {}) {
    more.insert(more.end(), {{"from", "dc"}, {"to", "aws"}, {"mode", "reencrypt"}});
    return make("rekey", more);
  }
  OwnedRecord sealed(const OwnedRecord& original, Fields more = {}) {
    more.emplace_back("domain", "dc");
    return through(*make("encrypt", more), original);
  }
  OwnedRecord opened(const std::string& domain, const OwnedRecord& record) {
    return through(*make("decrypt", {{"domain", domain}}), record);
  }
};

TEST_F(RekeyTest, either_mode_moves_records_to_the_target_alone) {
  OwnedRecord original("key", "value");
  original.headers = {{"a", Bytes{1}}, {"a", std::nullopt}};
  for (const bool in_value : {false, true}) {
    const OwnedRecord source = sealed(original, {{"inline", in_value}});
    for (auto& transform : {rewrap(), rewrap({{"verify", "all"}}), reencrypt(),
                            reencrypt({{"suite", "chacha20-poly1305"}, {"inline", true}})}) {
      const OwnedRecord copy = through(*transform, source);
      EXPECT_EQ(opened("aws", copy), original);
      EXPECT_EQ(verdict(*make("decrypt", {{"domain", "dc"}}), copy), "envelope-foreign");
    }
  }
}

TEST_F(RekeyTest, rewrap_passes_the_value_by_pointer_and_keeps_the_headers_place) {
  OwnedRecord source = sealed({"key", "value"});
  source.headers.insert(source.headers.begin(), {"before", Bytes{1}});
  source.headers.emplace_back("after", Bytes{2});
  Record record = source.view();
  auto transform = rewrap();
  ASSERT_EQ(apply(*transform, record).kind(), Outcome::Kind::kKeep);
  EXPECT_EQ(record.value->data(), source.value->data());
  EXPECT_EQ(record.value->size(), source.value->size());
  EXPECT_EQ(record.key->data(), source.key->data());
  const auto& headers = record.headers.all();
  ASSERT_EQ(headers.size(), 3u);
  EXPECT_EQ(headers[0].name, "before");
  EXPECT_EQ(headers[1].name, format::kKeysHeader);
  EXPECT_EQ(headers[2].name, "after");
  EXPECT_FALSE(equal(*headers[1].value, *source.headers[1].second));
  EXPECT_FALSE(record.headers.untouched());
}

TEST_F(RekeyTest, rewrap_of_inline_keys_changes_nothing_else) {
  const OwnedRecord source = sealed({"key", "value"}, {{"inline", true}});
  const OwnedRecord copy = through(*rewrap(), source);
  const EnvelopeView before = envelope(source);
  const EnvelopeView after = envelope(copy);
  EXPECT_TRUE(equal(before.immutable, after.immutable));
  EXPECT_TRUE(equal(before.ciphertext, after.ciphertext));
  EXPECT_TRUE(equal(before.tag, after.tag));
  EXPECT_FALSE(equal(before.inline_keys, after.inline_keys));
  EXPECT_TRUE(copy.headers.empty());
}

TEST_F(RekeyTest, rewrap_asks_each_store_once_per_distinct_key) {
  auto encrypt = make("encrypt", {{"domain", "dc"}, {"rotate-records", std::int64_t{10}}});
  auto transform = rewrap();
  for (int i = 0; i < 50; ++i) through(*transform, through(*encrypt, {"key", "value"}));
  EXPECT_EQ(dc_.unwrapped.size(), 5u);
  EXPECT_EQ(aws_.wrapped.size(), 5u);
  EXPECT_EQ(aws_.wrapped[0].domain, "aws");
}

TEST_F(RekeyTest, verify_all_checks_every_record_and_first_says_what_it_does_not) {
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  const OwnedRecord good = through(*encrypt, {"key", "value"});
  OwnedRecord damaged = through(*encrypt, {"key", "value"});
  damaged.value->back() ^= 1;
  OwnedRecord moved = through(*encrypt, {"key", "value"});
  moved.key = OwnedRecord::bytes("another");

  auto all = rewrap({{"verify", "all"}});
  EXPECT_EQ(verdict(*all, good), "kept");
  EXPECT_EQ(verdict(*all, damaged), "envelope-tampered");
  EXPECT_EQ(verdict(*all, moved), "envelope-tampered");

  auto first = rewrap();
  EXPECT_EQ(verdict(*first, damaged), "envelope-tampered") << "it is the first";
  EXPECT_EQ(verdict(*first, moved), "envelope-tampered") << "still none has verified";
  EXPECT_EQ(aws_.wrapped.size(), 1u) << "nothing is wrapped before a tag has verified";
  EXPECT_EQ(verdict(*first, good), "kept");
  // Passed on, and refused by whoever reads it.
  const OwnedRecord passed = through(*first, damaged);
  EXPECT_EQ(verdict(*make("decrypt", {{"domain", "aws"}}), passed), "envelope-tampered");
}

TEST_F(RekeyTest, rewrap_drops_the_other_domains_and_takes_new_answers_every_second) {
  keys_.fake("backup");
  auto encrypt = make("encrypt", {{"domains", std::vector<std::string>{"backup", "dc"}}});
  const OwnedRecord both = through(*encrypt, {"key", "value"});
  auto transform = rewrap();
  const OwnedRecord copy = through(*transform, both);
  const auto keys = parse_wrapped_keys(*copy.headers[0].second).value();
  ASSERT_EQ(keys.entries().size(), 1u);
  EXPECT_EQ(keys.entries()[0].domain, "aws");

  now_ += std::chrono::seconds(1);
  through(*transform, both);
  EXPECT_EQ(dc_.unwrapped.size(), 2u);
  EXPECT_EQ(aws_.wrapped.size(), 2u);
}

TEST_F(RekeyTest, rewrap_within_one_domain_moves_to_its_newest_key) {
  const OwnedRecord original("key", "value");
  auto transform = make("rekey", {{"from", "dc"}, {"to", "dc"}, {"mode", "rewrap"}});
  const OwnedRecord copy = through(*transform, sealed(original));
  EXPECT_EQ(opened("dc", copy), original);
}

TEST_F(RekeyTest, rewrapped_headers_outlive_the_key_and_the_transform) {
  OwnedRecord source = sealed({"key", "value"});
  Record record = source.view();
  auto transform = rewrap();
  ASSERT_EQ(apply(*transform, record).kind(), Outcome::Kind::kKeep);
  dc_.clear();
  transform.reset();
  EXPECT_EQ(opened("aws", OwnedRecord(record)), OwnedRecord("key", "value"));
}

TEST_F(RekeyTest, reencrypt_shares_nothing_with_the_source_copy) {
  const OwnedRecord source = sealed({"key", "value"});
  auto transform = reencrypt();
  const OwnedRecord copy = through(*transform, source);
  const EnvelopeView before = envelope(source);
  const EnvelopeView after = envelope(copy);
  EXPECT_NE(before.key_id, after.key_id);
  EXPECT_FALSE(equal(before.nonce, after.nonce));
  EXPECT_FALSE(equal(before.ciphertext, after.ciphertext));
  EXPECT_FALSE(equal(before.key_tag, after.key_tag));
  through(*transform, source);
  EXPECT_EQ(dc_.unwrapped.size(), 1u);
  EXPECT_EQ(aws_.wrapped.size(), 1u);
}

TEST_F(RekeyTest, reencrypt_handles_values_of_every_size) {
  auto encrypt = make("encrypt", {{"domain", "dc"}});
  auto transform = reencrypt();
  auto decrypt = make("decrypt", {{"domain", "aws"}});
  for (const std::size_t size : {0u, 1u, 15u, 16u, 17u, 4096u, 3'000'000u, 100u}) {
    OwnedRecord original("key", std::string(size, 's'));
    EXPECT_EQ(through(*decrypt, through(*transform, through(*encrypt, original))), original);
  }
}

TEST_F(RekeyTest, prefetch_starts_the_unwrap_and_changes_nothing) {
  OwnedRecord source = sealed({"key", "value"});
  for (auto& transform : {rewrap(), reencrypt(), make("decrypt", {{"domain", "dc"}})}) {
    const Record record = source.view();
    const std::size_t before = dc_.unwrapped.size();
    transform->prefetch(record, now_);
    EXPECT_EQ(dc_.unwrapped.size(), before + 1);
    EXPECT_TRUE(record.headers.untouched());
    EXPECT_EQ(verdict(*transform, source), "kept");
    EXPECT_EQ(dc_.unwrapped.size(), before + 1);
  }
  OwnedRecord clear("key", "in clear");
  rewrap()->prefetch(clear.view(), now_);
}

}  // namespace
}  // namespace drawbridge

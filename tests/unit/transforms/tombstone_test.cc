// A null value stays null, so that compaction works; whether it must prove itself is a policy.
#include <gtest/gtest.h>

#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class TombstoneTest : public TransformsTest {
 protected:
  std::unique_ptr<Transform> with(const std::string& transform, const std::string& policy) {
    if (transform == "encrypt" || transform == "decrypt") {
      return make(transform, {{"domain", "dc"}, {"tombstones", policy}});
    }
    return make("rekey",
                {{"from", "dc"}, {"to", "aws"}, {"mode", transform}, {"tombstones", policy}});
  }
  const std::vector<std::string> readers_ = {"decrypt", "rewrap", "reencrypt"};
  OwnedRecord bare_{"key", std::nullopt};
};

TEST_F(TombstoneTest, pass_leaves_a_bare_null_alone) {
  for (const std::string transform : {"encrypt", "decrypt", "rewrap", "reencrypt"}) {
    bare_.headers = {{"a", Bytes{1}}, {"a", std::nullopt}};
    Record record = bare_.view();
    ASSERT_EQ(apply(*with(transform, "pass"), record).kind(), Outcome::Kind::kKeep) << transform;
    EXPECT_EQ(OwnedRecord(record), bare_) << transform;
    EXPECT_TRUE(record.headers.untouched()) << transform;
  }
  EXPECT_TRUE(dc_.wrapped.empty());
  EXPECT_TRUE(dc_.unwrapped.empty());
}

TEST_F(TombstoneTest, an_empty_value_is_no_tombstone) {
  const OwnedRecord empty("key", "");
  const OwnedRecord sealed = through(*with("encrypt", "pass"), empty);
  ASSERT_TRUE(sealed.value.has_value());
  EXPECT_EQ(through(*with("decrypt", "authenticated"), sealed), empty);
  for (const auto& reader : readers_)
    EXPECT_EQ(verdict(*with(reader, "pass"), empty), "envelope-missing");
}

TEST_F(TombstoneTest, authenticated_tombstones_travel_and_end_bare) {
  bare_.headers = {{"a", Bytes{1}}};
  const OwnedRecord proven = through(*with("encrypt", "authenticated"), bare_);
  EXPECT_FALSE(proven.value.has_value());
  ASSERT_EQ(proven.headers.size(), 3u);
  for (const std::string policy : {"pass", "authenticated"}) {
    EXPECT_EQ(through(*with("decrypt", policy), proven), bare_);
    for (const std::string mode : {"rewrap", "reencrypt"}) {
      const OwnedRecord copy = through(*with(mode, policy), proven);
      EXPECT_FALSE(copy.value.has_value());
      EXPECT_EQ(copy.headers.size(), 3u);
      auto target = make("decrypt", {{"domain", "aws"}, {"tombstones", "authenticated"}});
      EXPECT_EQ(through(*target, copy), bare_) << mode;
      EXPECT_EQ(verdict(*with("decrypt", policy), copy), "envelope-foreign") << mode;
    }
  }
}

TEST_F(TombstoneTest, authenticated_with_inline_keys) {
  auto encrypt =
      make("encrypt", {{"domain", "dc"}, {"inline", true}, {"tombstones", "authenticated"}});
  const OwnedRecord proven = through(*encrypt, bare_);
  ASSERT_EQ(proven.headers.size(), 1u);
  const OwnedRecord copy = through(*with("rewrap", "authenticated"), proven);
  ASSERT_EQ(copy.headers.size(), 1u);
  EXPECT_EQ(through(*make("decrypt", {{"domain", "aws"}, {"tombstones", "authenticated"}}), copy),
            bare_);
}

TEST_F(TombstoneTest, authenticated_refuses_a_bare_null) {
  for (const auto& reader : readers_) {
    EXPECT_EQ(verdict(*with(reader, "authenticated"), bare_), "envelope-missing") << reader;
  }
}

TEST_F(TombstoneTest, a_forged_header_is_refused_whatever_the_policy) {
  auto encrypt = with("encrypt", "authenticated");
  const OwnedRecord proven = through(*encrypt, bare_);
  OwnedRecord other_key = proven;
  other_key.key = OwnedRecord::bytes("other");
  OwnedRecord damaged = proven;
  damaged.header(format::kTombstoneHeader)->back() ^= 1;
  OwnedRecord keyless = proven;
  std::erase_if(keyless.headers, [](auto& each) { return each.first == format::kKeysHeader; });
  OwnedRecord twice = proven;
  twice.headers.push_back({std::string(format::kTombstoneHeader), proven.headers.front().second});
  // The envelope of a value, moved into the header: its empty plaintext proves nothing.
  const OwnedRecord value = through(*encrypt, {"key", ""});
  OwnedRecord moved = bare_;
  moved.headers = {{std::string(format::kTombstoneHeader), value.value}, value.headers[0]};
  OwnedRecord on_value = value;
  on_value.headers.push_back(proven.headers.front());
  for (const auto& reader : readers_) {
    for (const std::string policy : {"pass", "authenticated"}) {
      EXPECT_EQ(verdict(*with(reader, policy), other_key), "envelope-tampered") << reader;
      EXPECT_EQ(verdict(*with(reader, policy), damaged), "envelope-tampered") << reader;
      EXPECT_EQ(verdict(*with(reader, policy), keyless), "envelope-malformed") << reader;
      EXPECT_EQ(verdict(*with(reader, policy), twice), "envelope-malformed") << reader;
      EXPECT_EQ(verdict(*with(reader, policy), moved), "envelope-malformed") << reader;
      EXPECT_EQ(verdict(*with(reader, policy), on_value), "envelope-malformed") << reader;
    }
  }
}

// Left behind, they would carry the source's wrapped keys to the target.
TEST_F(TombstoneTest, keys_beside_a_bare_null_are_removed) {
  const OwnedRecord value = through(*with("encrypt", "pass"), {"key", "value"});
  OwnedRecord odd = bare_;
  odd.headers = value.headers;
  for (const auto& reader : readers_)
    EXPECT_EQ(through(*with(reader, "pass"), odd), bare_) << reader;
}

}  // namespace
}  // namespace drawbridge

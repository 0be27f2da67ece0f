#include "transforms/seal.h"

#include <gtest/gtest.h>

#include "bridge/envelope/data_key.h"
#include "bridge/envelope/whole.h"
#include "bridge/transform/opening_keys.h"
#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class DeadLetterSealTest : public TransformsTest {
 protected:
  std::unique_ptr<Transform> seal() { return make_dead_letter_seal("dc", keys_).value(); }
};

TEST_F(DeadLetterSealTest, holds_the_whole_record_and_shows_none_of_it) {
  OwnedRecord refused("a marked key", "a marked value");
  refused.headers = {{"marked", Bytes{1}}, {"marked", std::nullopt}};
  for (const bool tombstone : {false, true}) {
    if (tombstone) refused.value.reset();
    const OwnedRecord sealed = through(*seal(), refused);
    EXPECT_FALSE(sealed.key.has_value());
    ASSERT_TRUE(sealed.value.has_value()) << "compaction must not take it for a delete";
    EXPECT_EQ(as_text(*sealed.value).find("marked"), std::string_view::npos);
    ASSERT_EQ(sealed.headers.size(), 1u);

    const SealedRecord view{envelope(sealed), *sealed.headers[0].second};
    EXPECT_TRUE(view.envelope.whole());
    OpeningKeys keys(keys_.domain("dc").value(), {"orders", {}}, keys_.waker());
    auto found = keys.find(view, now_);
    ASSERT_TRUE(std::holds_alternative<OpeningKeys::Entry*>(found));
    Bytes plaintext(view.envelope.ciphertext.size());
    Expected expected{as_bytes("orders"), {}, true};
    ASSERT_TRUE(
        std::get<OpeningKeys::Entry*>(found)->key.open(view.envelope, expected, {}, plaintext));
    const auto whole = decode_whole(plaintext);
    ASSERT_TRUE(whole);
    EXPECT_TRUE(equal(*whole->key, *refused.key));
    EXPECT_EQ(whole->value.has_value(), !tombstone);
    ASSERT_EQ(whole->headers.size(), 2u);
    EXPECT_FALSE(whole->headers[1].value.has_value());
  }
}

TEST_F(DeadLetterSealTest, no_transform_takes_it_for_a_value) {
  const OwnedRecord sealed = through(*seal(), {"key", "value"});
  EXPECT_EQ(verdict(*make("decrypt", {{"domain", "dc"}}), sealed), "envelope-unsupported");
}

TEST_F(DeadLetterSealTest, waits_in_an_outage_and_leaves_the_record) {
  dc_.wrap_error = Error{ErrorCode::kKeyUnavailable, "down"};
  OwnedRecord refused("key", "value");
  refused.headers = {{"a", Bytes{1}}};
  Record record = refused.view();
  EXPECT_EQ(apply(*seal(), record).kind(), Outcome::Kind::kWait);
  EXPECT_EQ(OwnedRecord(record), refused);
  EXPECT_TRUE(record.headers.untouched());
}

TEST_F(DeadLetterSealTest, an_unknown_domain_is_refused) {
  EXPECT_FALSE(make_dead_letter_seal("nowhere", keys_));
}

}  // namespace
}  // namespace drawbridge

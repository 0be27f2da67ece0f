// A writer who republishes tenant A's records under B's name must not make the bridge wrap A's data
// key for B: whoever reads B's copy could then open A's records.
#include <gtest/gtest.h>

#include "tests/unit/keys/fake_key_provider.h"
#include "tests/unit/transforms/fixture.h"

namespace drawbridge {
namespace {

class ConfusedDeputyTest : public TransformsTest {
 protected:
  // One letter each, so that the one name can be written over the other.
  std::unique_ptr<Transform> encrypt(const std::string& tenant) {
    return make("encrypt", {{"domain", "dc"}, {"tenant", tenant}});
  }
  std::unique_ptr<Transform> rewrap(const std::string& tenant, const std::string& verify) {
    return make("rekey", {{"from", "dc"},
                          {"to", "aws"},
                          {"mode", "rewrap"},
                          {"verify", verify},
                          {"tenant", tenant}});
  }
  static OwnedRecord renamed(OwnedRecord record, char tenant) {
    const EnvelopeView view = envelope(record);
    const auto at = static_cast<std::size_t>(view.tenant->data() - record.value->data());
    (*record.value)[at] = static_cast<std::uint8_t>(tenant);
    return record;
  }
  // Every way of dressing A's data key up as B's.
  static std::vector<OwnedRecord> attacks(const OwnedRecord& a, const OwnedRecord& b) {
    OwnedRecord keys_swapped = b;
    keys_swapped.headers = a.headers;
    OwnedRecord id_and_keys = keys_swapped;
    const KeyId id = envelope(a).key_id;
    const EnvelopeView view = envelope(b);
    // The key id stands where EnvelopeView's immutable part has it: after magic and three bytes.
    std::ranges::copy(id.bytes, id_and_keys.value->begin() + format::kMagic.size() + 3);
    EXPECT_EQ(envelope(id_and_keys).key_id, id);
    EXPECT_EQ(as_text(*envelope(id_and_keys).tenant), as_text(*view.tenant));
    return {a, renamed(a, 'b'), keys_swapped, id_and_keys};
  }
  void expect_no_key_of_a_for_b(const KeyId& id) {
    for (const WrapContext& context : aws_.wrapped) {
      EXPECT_FALSE(context.key_id == id && context.tenant == "b");
    }
  }
};

TEST_F(ConfusedDeputyTest, never_wraps_for_b_what_is_a_s) {
  // A store that binds the context refuses to unwrap; one that does not is the naive case, where
  // only the data tag stands between A's key and B's readers.
  for (const bool naive : {false, true}) {
    dc_.ignore_context = naive;
    for (const std::string verify : {"first", "all"}) {
      for (const bool warm : {false, true}) {
        const OwnedRecord a = through(*encrypt("a"), {"key", "of a"});
        const OwnedRecord b = through(*encrypt("b"), {"key", "of b"});
        const KeyId id = envelope(a).key_id;
        auto for_a = rewrap("a", verify);
        auto for_b = rewrap("b", verify);
        if (warm) {
          EXPECT_EQ(verdict(*for_a, a), "kept");
          EXPECT_EQ(verdict(*for_b, b), "kept");
        }
        for (const OwnedRecord& attack : attacks(a, b)) {
          const std::string said = verdict(*for_b, attack);
          EXPECT_TRUE(said == "envelope-foreign" || said == "envelope-tampered")
              << said << " naive=" << naive << " warm=" << warm;
          EXPECT_EQ(verdict(*for_b, attack), said) << "the second time, too";
        }
        expect_no_key_of_a_for_b(id);
        EXPECT_EQ(verdict(*for_b, b), "kept") << "an attack costs B nothing";
      }
    }
  }
}

TEST_F(ConfusedDeputyTest, the_data_tag_is_what_stops_it_where_the_store_does_not) {
  dc_.ignore_context = true;
  const OwnedRecord a = through(*encrypt("a"), {"key", "of a"});
  const std::size_t before = dc_.unwrapped.size();
  EXPECT_EQ(verdict(*rewrap("b", "first"), renamed(a, 'b')), "envelope-tampered");
  EXPECT_EQ(dc_.unwrapped.size(), before + 1) << "the store was asked and gave A's key out";
  expect_no_key_of_a_for_b(envelope(a).key_id);
}

// The same through the daemon's shared caches: A's key is in them when B's attack comes.
TEST_F(ConfusedDeputyTest, a_warm_shared_cache_does_not_help_the_attacker) {
  auto source = std::make_shared<FakeKeyProvider>(std::uint8_t{1});
  auto target = std::make_shared<FakeKeyProvider>(std::uint8_t{2});
  keys_.add("dc", make_key_cache("dc", source, {}));
  keys_.add("aws", make_key_cache("aws", target, {}));
  const OwnedRecord a = through(*encrypt("a"), {"key", "of a"});
  const OwnedRecord b = through(*encrypt("b"), {"key", "of b"});
  auto for_a = rewrap("a", "first");
  auto for_b = rewrap("b", "first");
  EXPECT_EQ(verdict(*for_a, a), "kept");
  EXPECT_EQ(target->wraps(), 1u);
  for (const OwnedRecord& attack : attacks(a, b)) EXPECT_NE(verdict(*for_b, attack), "kept");
  EXPECT_EQ(target->wraps(), 1u);
  EXPECT_EQ(verdict(*for_b, b), "kept");
  EXPECT_EQ(target->wraps(), 2u);
}

}  // namespace
}  // namespace drawbridge

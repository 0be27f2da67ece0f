#include "bridge/transform/require.h"

#include <gtest/gtest.h>

#include "bridge/envelope/data_key.h"
#include "bridge/transform/transform.h"

namespace drawbridge {
namespace {

using enum ErrorCode;

constexpr Formats kNative{.native = true, .clear = false};
constexpr Formats kClear{.native = false, .clear = true};
constexpr Formats kBoth{.native = true, .clear = true};

class GuardTest : public testing::Test {
 protected:
  GuardTest() {
    auto key = SealingKey::generate(Suite::kAes256Gcm).value();
    const WrappedKeyView entry{"dc", "kek:1", as_bytes("wrapped")};
    block_ = encode_wrapped_keys({&entry, 1}).value();
    Sealing sealing;
    sealing.associated.dataset = as_bytes("orders");
    value_.resize(key.sealed_size(sealing, 5));
    EXPECT_TRUE(key.seal(as_bytes("hello"), sealing, value_));
    tombstone_.resize(key.sealed_size(sealing, 0));
    EXPECT_TRUE(key.seal_tombstone(sealing, tombstone_));
    sealing.inline_keys = block_;
    inline_value_.resize(key.sealed_size(sealing, 5));
    EXPECT_TRUE(key.seal(as_bytes("hello"), sealing, inline_value_));
  }

  // The error's name, or "kept".
  std::string verdict(Formats formats, const Record& original,
                      Tombstones tombstones = Tombstones::kPass) {
    Record record = original;
    Arena arena;
    Scratch scratch{arena, Instant{}};
    const Outcome outcome = make_guard(formats, tombstones)->apply(record, scratch);
    EXPECT_EQ(record.value.has_value(), original.value.has_value());
    if (record.value) {
      EXPECT_EQ(record.value->data(), original.value->data());
    }
    EXPECT_TRUE(record.headers.untouched() || !original.headers.untouched());
    return outcome.kind() == Outcome::Kind::kKeep ? "kept"
                                                  : std::string(name_of(outcome.error().code));
  }
  static Record with(
      std::optional<ByteView> value,
      std::vector<std::pair<std::string_view, std::optional<ByteView>>> headers = {}) {
    Record record;
    record.value = value;
    for (const auto& [name, header] : headers) record.headers.append(name, header);
    return record;
  }

  Bytes block_;
  Bytes value_;
  Bytes inline_value_;
  Bytes tombstone_;
};

// What is expected and where that is configured, never what the record claims.
TEST_F(GuardTest, another_scope_is_refused_without_repeating_the_claim) {
  const EnvelopeView envelope = parse_envelope(value_).value();
  EXPECT_TRUE(match_scope(envelope, {"orders", std::nullopt}));
  const auto dataset = match_scope(envelope, {"bills", std::nullopt});
  ASSERT_FALSE(dataset);
  EXPECT_EQ(dataset.error().code, kEnvelopeForeign);
  EXPECT_EQ(dataset.error().message,
            "the envelope is not of dataset `bills` (`dataset` of the transform, else of the "
            "pipeline, else the pipeline's name)");
  const auto tenant = match_scope(envelope, {"orders", "acme"});
  ASSERT_FALSE(tenant);
  EXPECT_EQ(tenant.error().message,
            "the envelope is not of tenant `acme` (`tenant` of the transform)");
}

TEST_F(GuardTest, table_of_what_each_guard_lets_through) {
  const auto keys = format::kKeysHeader;
  const auto grave = format::kTombstoneHeader;
  Bytes newer = value_;
  newer[4] = 2;
  Bytes other_suite = value_;
  other_suite[5] = 9;
  const ByteView cut = ByteView(value_).first(value_.size() - 6);
  const Bytes huge(format::kMaxKeysBytes + 1, 1);
  const Bytes empty;

  struct Case {
    std::string_view what;
    Record record;
    std::string_view native, clear, both;
  };
  const std::vector<Case> cases = {
      {"an envelope", with(value_, {{keys, block_}}), "kept", "envelope-unexpected", "kept"},
      {"an envelope among other headers", with(value_, {{"a", {}}, {keys, block_}, {"a", empty}}),
       "kept", "envelope-unexpected", "kept"},
      {"an envelope, keys inline", with(inline_value_), "kept", "envelope-unexpected", "kept"},
      {"text", with(as_bytes("text")), "envelope-missing", "kept", "kept"},
      {"an empty value", with(empty), "envelope-missing", "kept", "kept"},
      {"null", with({}), "kept", "kept", "kept"},
      {"null, authenticated", with({}, {{keys, block_}, {grave, tombstone_}}), "kept",
       "envelope-unexpected", "kept"},
      {"text with keys", with(as_bytes("text"), {{keys, block_}}), "envelope-missing",
       "envelope-unexpected", "envelope-missing"},
      {"no keys", with(value_), "envelope-malformed", "envelope-unexpected", "envelope-malformed"},
      {"keys twice", with(value_, {{keys, block_}, {keys, block_}}), "envelope-malformed",
       "envelope-unexpected", "envelope-malformed"},
      {"keys inline and in a header", with(inline_value_, {{keys, block_}}), "envelope-malformed",
       "envelope-unexpected", "envelope-malformed"},
      {"null keys", with(value_, {{keys, {}}}), "envelope-malformed", "envelope-unexpected",
       "envelope-malformed"},
      {"oversized keys", with(value_, {{keys, huge}}), "envelope-malformed", "envelope-unexpected",
       "envelope-malformed"},
      {"a newer version", with(newer, {{keys, block_}}), "envelope-unsupported",
       "envelope-unexpected", "envelope-unsupported"},
      {"another suite", with(other_suite, {{keys, block_}}), "envelope-unsupported",
       "envelope-unexpected", "envelope-unsupported"},
      {"a value and a tombstone at once", with(value_, {{keys, block_}, {grave, tombstone_}}),
       "envelope-malformed", "envelope-unexpected", "envelope-malformed"},
      {"two tombstone headers",
       with({}, {{keys, block_}, {grave, tombstone_}, {grave, tombstone_}}), "envelope-malformed",
       "envelope-unexpected", "envelope-malformed"},
      {"a tombstone in a value", with(tombstone_, {{keys, block_}}), "envelope-malformed",
       "envelope-unexpected", "envelope-malformed"},
      {"magic and nothing else", with(cut.first(4), {{keys, block_}}), "envelope-malformed",
       "envelope-unexpected", "envelope-malformed"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(verdict(kNative, each.record), each.native) << each.what << " under native";
    EXPECT_EQ(verdict(kClear, each.record), each.clear) << each.what << " under clear";
    EXPECT_EQ(verdict(kBoth, each.record), each.both) << each.what << " under both";
  }
}

TEST_F(GuardTest, authenticated_tombstones_are_required_where_native_stands_alone) {
  const Record bare = with({});
  EXPECT_EQ(verdict(kNative, bare, Tombstones::kAuthenticated), "envelope-missing");
  EXPECT_EQ(verdict(kClear, bare, Tombstones::kAuthenticated), "kept");
  EXPECT_EQ(verdict(kBoth, bare, Tombstones::kAuthenticated), "kept");
  const Record proven =
      with({}, {{format::kKeysHeader, block_}, {format::kTombstoneHeader, tombstone_}});
  EXPECT_EQ(verdict(kNative, proven, Tombstones::kAuthenticated), "kept");
}

TEST(FormatsTest, names) {
  EXPECT_EQ(parse_formats({"native"}).value(), kNative);
  EXPECT_EQ(parse_formats({"clear", "native"}).value(), kBoth);
  EXPECT_EQ(parse_formats({"Native"}).error().code, kInvalid);
  EXPECT_NE(parse_formats({"avro"}).error().message.find("`avro`"), std::string::npos);
  EXPECT_NE(parse_formats({"clear", "clear"}).error().message.find("twice"), std::string::npos);
}

class EffectiveTest : public testing::Test {
 protected:
  TransformStep step(std::optional<Form> takes, std::optional<Form> leaves) {
    auto& spec = *specs_.emplace_back(std::make_unique<TransformSpec>());
    spec.takes = takes;
    spec.leaves = leaves;
    return {&spec, {}};
  }
  std::vector<std::unique_ptr<TransformSpec>> specs_;
};

TEST_F(EffectiveTest, defaults_follow_the_chain) {
  const auto encrypt = step(Form::kClear, Form::kEnvelope);
  const auto decrypt = step(Form::kEnvelope, Form::kClear);
  const auto either = step({}, {});
  const auto defaults = [](std::vector<TransformStep> steps, RequireOptions require = {}) {
    const auto effective = effective_formats(require, steps).value();
    return std::pair(effective.in, effective.out);
  };
  using Pair = std::pair<std::optional<Formats>, std::optional<Formats>>;
  EXPECT_EQ(defaults({}), Pair({}, {}));
  EXPECT_EQ(defaults({either}), Pair({}, {}));
  EXPECT_EQ(defaults({either, encrypt}), Pair(kClear, kNative));
  EXPECT_EQ(defaults({decrypt, either}), Pair(kNative, kClear));
  EXPECT_EQ(defaults({decrypt, encrypt}), Pair(kNative, kNative));
  EXPECT_EQ(defaults({}, {{"native"}, {}, {}}), Pair(kNative, kNative));
  EXPECT_EQ(defaults({decrypt}, {{}, {"native", "clear"}, {}}), Pair(kNative, kBoth));
  EXPECT_FALSE(effective_formats({{}, {"x"}, {}}, {}));
}

}  // namespace
}  // namespace drawbridge

#include "bridge/transform/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transform/fake_key_cache.h"

namespace drawbridge {
namespace {

using enum ErrorCode;

// A transform that does what a script says, one line a call, and notes that it was called.
class Scripted final : public Transform {
 public:
  Scripted(std::string name, std::vector<Outcome> script, std::vector<std::string>& calls)
      : name_(std::move(name)), script_(std::move(script)), calls_(calls) {}
  Outcome apply(Record& /*record*/, Scratch& /*scratch*/) override {
    calls_.push_back(name_);
    Outcome outcome = script_.empty() ? Outcome::keep() : script_.front();
    if (!script_.empty()) script_.erase(script_.begin());
    return outcome;
  }
  void prefetch(const Record& /*record*/, Instant /*now*/) override {
    calls_.push_back("prefetch " + name_);
  }

 private:
  std::string name_;
  std::vector<Outcome> script_;
  std::vector<std::string>& calls_;
};

class ChainTest : public testing::Test {
 protected:
  void add(const std::string& name, std::vector<Outcome> script = {},
           std::optional<Form> takes = {}, std::optional<Form> leaves = {}) {
    auto& spec = *specs_.emplace_back(std::make_unique<TransformSpec>());
    spec.name = name;
    spec.takes = takes;
    spec.leaves = leaves;
    spec.make = [this, name, script](const FieldValues&,
                                     KeyService&) -> Result<std::unique_ptr<Transform>> {
      return std::make_unique<Scripted>(name, script, calls_);
    };
    steps_.push_back({&spec, {}});
  }
  Chain chain(const RequireOptions& require = {}) {
    auto built = Chain::build(steps_, require, keys_);
    if (!built) throw std::runtime_error(built.error().message);
    return std::move(*built);
  }
  Outcome apply(Chain& chain, std::size_t& next) {
    Scratch scratch{arena_, Instant{}};
    return chain.apply(record_, scratch, next);
  }

  std::vector<std::unique_ptr<TransformSpec>> specs_;
  std::vector<TransformStep> steps_;
  std::vector<std::string> calls_;
  FakeKeyService keys_;
  Arena arena_;
  Record record_;
};

TEST_F(ChainTest, an_empty_chain_keeps_everything) {
  Chain empty = chain();
  EXPECT_TRUE(empty.empty());
  std::size_t next = 0;
  EXPECT_EQ(apply(empty, next).kind(), Outcome::Kind::kKeep);
}

TEST_F(ChainTest, applies_in_order) {
  add("a");
  add("b");
  Chain both = chain();
  std::size_t next = 0;
  EXPECT_EQ(apply(both, next).kind(), Outcome::Kind::kKeep);
  EXPECT_THAT(calls_, testing::ElementsAre("a", "b"));
}

TEST_F(ChainTest, resumes_at_the_one_that_waited) {
  add("a");
  add("b", {Outcome::wait(), Outcome::wait()});
  add("c");
  Chain three = chain();
  std::size_t next = 0;
  EXPECT_EQ(apply(three, next).kind(), Outcome::Kind::kWait);
  EXPECT_EQ(apply(three, next).kind(), Outcome::Kind::kWait);
  EXPECT_EQ(three.describe(next), "transform 2 (b)");
  EXPECT_EQ(apply(three, next).kind(), Outcome::Kind::kKeep);
  EXPECT_THAT(calls_, testing::ElementsAre("a", "b", "b", "b", "c"));
}

TEST_F(ChainTest, says_who_failed_or_dropped) {
  add("a");
  add("b", {Outcome::from({kTransform, "no"}), Outcome::drop()});
  Chain two = chain();
  std::size_t next = 0;
  const Outcome failed = apply(two, next);
  EXPECT_EQ(failed.kind(), Outcome::Kind::kFail);
  EXPECT_EQ(failed.error().code, kTransform);
  EXPECT_EQ(two.place(next).name, "b");
  EXPECT_EQ(two.place(next).position, 1u);

  next = 0;
  EXPECT_EQ(apply(two, next).kind(), Outcome::Kind::kDrop);
  EXPECT_EQ(two.place(next).name, "b");
}

TEST_F(ChainTest, guards_stand_at_both_ends) {
  add("a");
  const RequireOptions require{{"clear"}, {"native"}, {}};
  Chain guarded = chain(require);
  const Bytes sealed = {0xdb, 'D', 'B', 'E', 1};
  record_.value = sealed;
  std::size_t next = 0;
  EXPECT_EQ(apply(guarded, next).error().code, kEnvelopeUnexpected);
  EXPECT_EQ(guarded.describe(next), "require.in");
  EXPECT_EQ(guarded.place(next).position, std::nullopt);
  EXPECT_TRUE(calls_.empty());

  record_.value = as_bytes("text");
  next = 0;
  EXPECT_EQ(apply(guarded, next).error().code, kEnvelopeMissing);
  EXPECT_EQ(guarded.describe(next), "require.out");
  EXPECT_THAT(calls_, testing::ElementsAre("a"));
}

TEST_F(ChainTest, what_a_transform_takes_and_leaves_is_required_without_being_asked) {
  add("opens", {}, Form::kEnvelope, Form::kClear);
  Chain by_default = chain();
  record_.value = as_bytes("text");
  std::size_t next = 0;
  EXPECT_EQ(apply(by_default, next).error().code, kEnvelopeMissing);
  EXPECT_TRUE(calls_.empty());
}

TEST_F(ChainTest, no_second_look_beside_a_transform_that_guards_itself) {
  add("opens", {}, Form::kEnvelope, Form::kClear);
  specs_[0]->guards_itself = true;
  record_.value = as_bytes("text");
  const auto kept_by = [&](const RequireOptions& require) {
    Chain built = chain(require);
    std::size_t next = 0;
    const bool kept = apply(built, next).kind() == Outcome::Kind::kKeep;
    return kept ? std::string("kept") : built.describe(next);
  };
  EXPECT_EQ(kept_by({}), "kept") << "left to the transform";
  EXPECT_EQ(kept_by({{"native"}, {"clear"}, {}}), "kept");
  EXPECT_EQ(kept_by({{"clear"}, {"native"}, {}}), "require.out") << "not what it takes";
  EXPECT_EQ(kept_by({{"native"}, {}, Tombstones::kAuthenticated}), "require.in")
      << "more than it asks";
}

TEST_F(ChainTest, plain_replication_without_a_requirement_has_no_guard) {
  add("headers-only");
  Chain plain = chain();
  for (const std::string_view value : {"text",
                                       "\xdb"
                                       "DBE"}) {
    record_.value = as_bytes(value);
    std::size_t next = 0;
    EXPECT_EQ(apply(plain, next).kind(), Outcome::Kind::kKeep);
  }
}

TEST_F(ChainTest, prefetches_for_the_first_transform_only) {
  add("a");
  add("b");
  Chain two = chain();
  two.prefetch(record_, Instant{});
  EXPECT_THAT(calls_, testing::ElementsAre("prefetch a"));
  steps_.clear();
  chain().prefetch(record_, Instant{});  // nothing to call
}

TEST_F(ChainTest, a_transform_that_cannot_be_made_is_named) {
  add("a");
  add("b");
  specs_[1]->make = [](const FieldValues&, KeyService&) -> Result<std::unique_ptr<Transform>> {
    return fail(kInvalid, "no key domain `x`");
  };
  const auto built = Chain::build(steps_, {}, keys_);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().message, "transform 2 (b): no key domain `x`");
  const auto unknown = Chain::build(steps_, {{"avro"}, {}, {}}, keys_);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, kInvalid);
}

}  // namespace
}  // namespace drawbridge

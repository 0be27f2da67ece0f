#include "bridge/pipeline/topic_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drawbridge {
namespace {

using testing::ElementsAre;

TopicSelector selector(std::vector<std::string> include, std::vector<std::string> exclude = {}) {
  auto compiled = TopicSelector::compile({std::move(include), std::move(exclude)});
  EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error().message);
  return std::move(*compiled);
}

bool selects(const TopicSelector& selector, std::string_view topic) {
  return selector.selected(topic, internal_topic(topic));
}

TEST(TopicSelector, LiteralsMeanThemselves) {
  const TopicSelector topics = selector({"orders", "a.b"});
  EXPECT_TRUE(selects(topics, "orders"));
  EXPECT_TRUE(selects(topics, "a.b"));
  EXPECT_FALSE(selects(topics, "axb"));
  EXPECT_FALSE(selects(topics, "orders2"));
  EXPECT_FALSE(selects(topics, ""));
}

TEST(TopicSelector, ExpressionsMatchTheWholeName) {
  const TopicSelector topics = selector({"^orders[.].*", "^b"});
  EXPECT_TRUE(selects(topics, "orders.eu"));
  EXPECT_TRUE(selects(topics, "b"));
  EXPECT_FALSE(selects(topics, "orders"));
  EXPECT_FALSE(selects(topics, "old.orders.eu"));
  EXPECT_FALSE(selects(topics, "bb"));
}

TEST(TopicSelector, AlternativesAreAnchoredToo) {
  const TopicSelector topics = selector({"^a|b"});
  EXPECT_TRUE(selects(topics, "a"));
  EXPECT_TRUE(selects(topics, "b"));
  EXPECT_FALSE(selects(topics, "ab"));
  EXPECT_FALSE(selects(topics, "xb"));
}

TEST(TopicSelector, ExclusionsWin) {
  const TopicSelector topics = selector({"^.*", "keep"}, {"^.*[.]tmp", "keep"});
  EXPECT_TRUE(selects(topics, "a"));
  EXPECT_FALSE(selects(topics, "a.tmp"));
  EXPECT_FALSE(selects(topics, "keep"));
}

TEST(TopicSelector, InternalTopicsMustBeNamed) {
  EXPECT_FALSE(selects(selector({"^.*"}), "__consumer_offsets"));
  EXPECT_TRUE(selects(selector({"^.*", "__consumer_offsets"}), "__consumer_offsets"));
  EXPECT_FALSE(selector({"^.*"}).selected("plain", true)) << "the cluster says it is internal";
  EXPECT_TRUE(selector({"plain"}).selected("plain", true));
}

TEST(TopicSelector, TheBridgesOwnTopicsAreNeverRead) {
  EXPECT_FALSE(selects(selector({"^.*", "__drawbridge.ledger"}), "__drawbridge.ledger"));
}

TEST(TopicSelector, ListsTheLiteralsThatShouldExist) {
  EXPECT_THAT(selector({"^x.*", "b", "a", "gone"}, {"gone"}).literals(), ElementsAre("b", "a"));
}

TEST(TopicSelector, SaysWhatIsWrongWithAnEntry) {
  const struct {
    std::vector<std::string> include;
    std::string message;
  } kCases[] = {
      {{}, "no topics are named"},
      {{"a", "^("}, "`^(` is not a regular expression: missing ): ^("},
      {{"^a|*"}, "`^a|*` is not a regular expression: no argument for repetition operator: *"},
      {{"^a{1001}"}, "`^a{1001}` is not a regular expression: invalid repetition size: {1001}"},
      {{"orders.*"},
       "`orders.*` is not a topic name: `*` cannot stand in a topic name, only a-z A-Z 0-9 . _ - "
       "(a regular expression begins with ^)"},
      {{""},
       "`` is not a topic name: a topic name cannot be empty (a regular expression begins "
       "with ^)"},
  };
  for (const auto& each : kCases) {
    const auto compiled = TopicSelector::compile({each.include, {}});
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error().message, each.message);
  }
}

TEST(TopicSelector, AnExpressionThatNeedsMuchMemoryIsRefused) {
  std::string expression = "^a";
  for (int i = 0; i < 50; ++i) expression += "[a-z.]{1000}";
  const auto compiled = TopicSelector::compile({{expression}, {}});
  ASSERT_FALSE(compiled);
  EXPECT_THAT(compiled.error().message, testing::HasSubstr("pattern too large"));
}

}  // namespace
}  // namespace drawbridge

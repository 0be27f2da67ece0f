// The automata must agree with RE2, which decides at run time. Compared on many expressions and
// names, made by a seeded generator.
#include "config/topic_expression.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <random>
#include <string>

#include "config/topic_flow.h"

namespace drawbridge::config {
namespace {

bool automaton_matches(const TopicAutomaton& automaton, const std::string& name) {
  auto states = automaton.start();
  for (const char c : name) states = automaton.step(states, symbol_of(c));
  return automaton.tags(states) != 0;
}

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::string expression(int depth) {
    std::string result;
    const int parts = 1 + pick(3);
    for (int i = 0; i < parts; ++i) result += atom(depth) + repetition();
    if (depth > 0 && pick(4) == 0) result += fmt::format("|{}", expression(depth - 1));
    return result;
  }

  std::string name() {
    static constexpr std::string_view kLetters = "abcABC012._-xyz";
    std::string result;
    const int length = 1 + pick(7);
    for (int i = 0; i < length; ++i) {
      result += kLetters[static_cast<std::size_t>(pick(static_cast<int>(kLetters.size())))];
    }
    return result;
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  std::string atom(int depth) {
    static constexpr const char* kAtoms[] = {"a",
                                             "b",
                                             "c",
                                             "A",
                                             "0",
                                             "1",
                                             ".",
                                             "[.]",
                                             "\\.",
                                             "-",
                                             "_",
                                             "[a-c]",
                                             "[^a]",
                                             "[^a-c.]",
                                             "\\d",
                                             "\\D",
                                             "\\w",
                                             "\\W",
                                             "\\s",
                                             "\\S",
                                             "[[:alpha:]]",
                                             "[[:^digit:]]",
                                             "[[:upper:]_]",
                                             "[]a]",
                                             "[^]a]",
                                             "[a\\-c]",
                                             "[\\d.]",
                                             "[a-]",
                                             "\\x61",
                                             "\\x{62}",
                                             "\\Qa.b\\E",
                                             "^",
                                             "$",
                                             "\\A",
                                             "\\z",
                                             "(?i)",
                                             "(?-i)",
                                             "(?i:aB)",
                                             "(?s)",
                                             "{",
                                             "a{x}",
                                             "(?U)",
                                             "[\\x61-\\x63]",
                                             "\xc3\xa4",
                                             "x",
                                             "y",
                                             "abc",
                                             "()",
                                             "\\-",
                                             "\\C",
                                             "[[:word:]-]",
                                             "[[:punct:]]"};
    if (depth > 0 && pick(3) == 0) {
      static constexpr const char* kGroups[] = {"(", "(?:", "(?P<n>", "(?i:", "(?s:", "(?i-s:"};
      return fmt::format("{}{})", kGroups[pick(6)], expression(depth - 1));
    }
    return kAtoms[pick(static_cast<int>(std::size(kAtoms)))];
  }

  std::string repetition() {
    static constexpr const char* kRepetitions[] = {"*",   "+",    "?",     "*?",     "+?", "??",
                                                   "{2}", "{1,}", "{0,2}", "{1,3}?", "{0}"};
    return pick(3) == 0 ? kRepetitions[pick(11)] : "";
  }

  std::mt19937 random_;
};

TEST(TopicExpression, AgreesWithRe2) {
  Generator generator(7);
  int compared = 0;
  int matched = 0;
  int understood = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string expression = fmt::format("^{}", generator.expression(3));
    RE2::Options options;
    options.set_log_errors(false);
    const RE2 re2(expression, options);
    if (!re2.ok()) continue;
    TopicAutomaton automaton;
    automaton.add_expression(expression, 0, true);
    understood += automaton.exact() ? 1 : 0;
    for (int j = 0; j < 20; ++j) {
      const std::string name = generator.name();
      const bool expected = RE2::FullMatch(name, re2);
      const bool found = automaton_matches(automaton, name);
      if (automaton.exact()) {
        ASSERT_EQ(found, expected) << expression << " on " << name;
      } else {
        ASSERT_TRUE(found) << expression << " on " << name;
      }
      ++compared;
      matched += expected ? 1 : 0;
    }
  }
  EXPECT_GT(compared, 100'000);
  EXPECT_GT(matched, 5'000);
  EXPECT_GT(understood, 10'000);
}

TEST(TopicExpression, WhatIsNotUnderstoodIsAnythingOrNothing) {
  for (const char* expression : {"^\\ba", "^\\pL+", "^(?i)\xc3\xa4", "^\\101", "^\\Qab\\E*"}) {
    TopicAutomaton anything;
    anything.add_expression(expression, 0, true);
    EXPECT_FALSE(anything.exact()) << expression;
    EXPECT_TRUE(automaton_matches(anything, "whatever")) << expression;
    TopicAutomaton nothing;
    nothing.add_expression(expression, 0, false);
    EXPECT_FALSE(automaton_matches(nothing, "whatever")) << expression;
  }
  TopicAutomaton large;
  large.add_expression("^(((a{10}){10}){10}|b{1000}|(c{100}){10}|d{1000}){10}(x{1000}y{1000})*", 0,
                       true);
  EXPECT_FALSE(large.exact());
  EXPECT_TRUE(automaton_matches(large, "z"));
}

// "read -> written", "none" or "unknown".
std::string flow(const TopicSelection& writer, const std::string& name,
                 const TopicSelection& reader) {
  FlowBudget budget;
  const auto compiled = TopicTemplate::compile(name, {"dc", "p"});
  const auto found = find_flow(writer, *compiled, reader, budget);
  if (!found) return "none";
  if (found->written.empty()) return "unknown";
  return found->read + " -> " + found->written;
}

TEST(TopicFlow, FindsATopicThatShowsIt) {
  EXPECT_EQ(flow({{"a"}, {}}, "{topic}", {{"a"}, {}}), "a -> a");
  EXPECT_EQ(flow({{"a"}, {}}, "{topic}", {{"b"}, {}}), "none");
  EXPECT_EQ(flow({{"a"}, {}}, "b", {{"b"}, {}}), "a -> b");
  EXPECT_EQ(flow({{"a"}, {}}, "{cluster}.{topic}", {{"^dc[.].*"}, {}}), "a -> dc.a");
  EXPECT_EQ(flow({{"^.*"}, {}}, "copy.{topic}", {{"^.*"}, {"^copy[.].*"}}), "none");
  EXPECT_EQ(flow({{"^.*"}, {}}, "copy.{topic}", {{"^.*"}, {"^copy[.].+[.].*"}}), "a -> copy.a");
  EXPECT_EQ(flow({{"^orders.*"}, {}}, "{topic}.copy", {{"^orders.*"}, {}}),
            "orders -> orders.copy");
  EXPECT_EQ(flow({{"^orders.*"}, {"^.*copy"}}, "{topic}.copy", {{"^orders.*"}, {"^.*copy"}}),
            "none");
  EXPECT_EQ(flow({{"^[^.]+"}, {}}, "dc.{topic}", {{"^[^.]+"}, {}}), "none");
  EXPECT_EQ(flow({{"^(?i)ORDERS"}, {}}, "{topic}", {{"^[a-z]+"}, {}}), "orders -> orders");
  EXPECT_EQ(flow({{"^[0-9]{3}"}, {}}, "x-{topic}-y", {{"^x-5.*0-y"}, {}}), "500 -> x-500-y");
}

TEST(TopicFlow, InternalTopicsAreReadOnlyByName) {
  EXPECT_EQ(flow({{"^.*"}, {}}, "__{topic}", {{"^.*"}, {}}), "none");
  EXPECT_EQ(flow({{"^.*"}, {}}, "__{topic}", {{"^.*", "__x"}, {}}), "x -> __x");
  EXPECT_EQ(flow({{"^__.*"}, {}}, "{topic}", {{"^.*"}, {}}), "none");
}

TEST(TopicFlow, IsUnknownWhereItCannotBeTold) {
  EXPECT_EQ(flow({{"^\\pL+"}, {}}, "{topic}", {{"^b+"}, {}}), "b -> b") << "a guess that holds";
  EXPECT_EQ(flow({{"^\\bx\\B.*"}, {}}, "{topic}", {{"^0.*"}, {}}), "unknown");
  EXPECT_EQ(flow({{"^x.*"}, {"^\\bx.*"}}, "{topic}", {{"^x.*"}, {}}), "unknown");
}

TEST(TopicFlow, HostileExpressionsEndInTime) {
  std::string blow_up = "^[ab]*a[ab]{60}";
  EXPECT_EQ(flow({{blow_up}, {}}, "{topic}", {{"^[ab]*b[ab]{61}0"}, {}}), "unknown");
}

}  // namespace
}  // namespace drawbridge::config

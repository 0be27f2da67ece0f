#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace drawbridge::config {
namespace {

std::string first_problem(const std::string& text) {
  const YamlResult result = parse_yaml(text);
  if (result.problems.empty()) return "none";
  const YamlProblem& problem = result.problems.front();
  return fmt::format("{}:{}: {}", problem.at.line, problem.at.column, problem.message);
}

TEST(YamlTree, KeepsOrderAndPlaces) {
  const YamlResult result = parse_yaml("b: 1\na:\n  - \"x\"\n  - y\n");
  ASSERT_TRUE(result.root);
  EXPECT_TRUE(result.problems.empty());
  ASSERT_EQ(result.root->entries.size(), 2u);
  EXPECT_EQ(result.root->entries[0].key, "b");
  EXPECT_EQ(result.root->entries[1].at.line, 2);
  const NodePtr list = result.root->find("a");
  ASSERT_EQ(list->items.size(), 2u);
  EXPECT_TRUE(list->items[0]->quoted);
  EXPECT_FALSE(list->items[1]->quoted);
  EXPECT_EQ(list->items[1]->at.line, 4);
  EXPECT_EQ(list->items[1]->at.column, 5);
}

TEST(YamlTree, AliasesStandForTheirAnchors) {
  const YamlResult result = parse_yaml("a: &x {p: 1}\nb: *x\n");
  ASSERT_TRUE(result.root);
  EXPECT_TRUE(result.problems.empty());
  EXPECT_EQ(result.root->find("b")->find("p")->text, "1");
}

TEST(YamlTree, ByteOrderMarkIsSkipped) {
  const YamlResult result = parse_yaml(
      "\xef\xbb\xbf"
      "a: 1\n");
  ASSERT_TRUE(result.root);
  EXPECT_EQ(result.root->entries[0].key, "a");
}

TEST(YamlTree, RefusesWhatAConfigurationCannotMean) {
  const std::string deep = "a: " + std::string(40, '[') + std::string(40, ']');
  const struct {
    std::string text;
    std::string problem;
  } kCases[] = {
      {"", "1:1: the file is empty"},
      {"# nothing\n", "1:1: the file is empty"},
      {"---\n...\n", "1:1: the file is empty"},
      {"~\n", "1:1: the file is empty"},
      {"a: 1\nb: 2\na: 3\n", "3:1: `a` stands twice; first on line 1"},
      {"a: {b: 1, b: 2}\n", "1:11: `b` stands twice; first on line 1"},
      {"\"a\": 1\na: 2\n", "2:1: `a` stands twice; first on line 1"},
      {"a: 1\n---\nb: 2\n", "2:1: a second document; one file is one document"},
      {"a: !!int 1\n", "1:4: tags (`!...`) are not supported"},
      {"a: !secret x\n", "1:4: tags (`!...`) are not supported"},
      {"a: &x {b: 1}\nc:\n  <<: *x\n",
       "3:3: merge keys (`<<`) are not supported; write the keys out, or use an alias (`*`) for a "
       "whole section"},
      {"[a]: 1\n", "1:1: a key is a plain name, not a list or a map"},
      {"{a: 1}: 1\n", "1:1: a key is a plain name, not a list or a map"},
      {"~: 1\n", "1:1: a key is missing before `:`"},
      {"a: &x y\n*x : 1\n", "2:1: a key is a plain name, not an alias (`*`)"},
      {"a: *hunter2\n",
       "1:4: an alias (`*`) without an anchor (`&`) before it; text that begins with * needs "
       "quotes"},
      {"a: &x [*x]\n", "1:8: an alias (`*`) of something that contains it"},
      {deep, "1:35: nested deeper than 32 levels"},
      {std::string("a: \0b\n", 6), "1:4: control character U+0000"},
      {"a: \x1b[0m\n", "1:4: control character U+001B"},
      {"a: 1\nb: \xff\n", "2:4: not UTF-8 text"},
      {"\xff\xfe"
       "a\0",
       "1:1: not UTF-8 text"},
      {std::string((1 << 20) + 1, ' '), "1:1: larger than 1048576 bytes"},
      {"a: \"b\nc: d\n", "4:1: a quote that is not closed"},
      {"a: 'b", "2:1: a quote that is not closed"},
      {"a: [1, 2\n", "3:1: YAML: end of sequence flow not found"},
      {"a:\n\t- b\n", "2:1: a tab in the indentation; YAML is indented by spaces"},
      {"a: b: c\n", "1:5: YAML: illegal map value"},
      {"a: 1\n}\n", "2:1: YAML: illegal flow end"},
  };
  for (const auto& each : kCases) EXPECT_EQ(first_problem(each.text), each.problem) << each.text;
}

// Nine levels of nine aliases each would be 9^9 values.
TEST(YamlTree, AliasesCannotBlowUp) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    text += fmt::format("a{0}: &a{0} [*a{1}", i, i - 1);
    for (int j = 0; j < 8; ++j) text += fmt::format(",*a{}", i - 1);
    text += "]\n";
  }
  EXPECT_EQ(first_problem(text), "6:14: more than 100000 values, aliases written out");
}

TEST(YamlTree, DeepNestingOfEveryKindIsRefused) {
  for (const char* opening : {"[", "{a: ", "- ", "? ", "a:\n"}) {
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += opening;
    EXPECT_NE(first_problem(text), "none") << opening;
  }
  std::string indented;
  for (int i = 0; i < 1000; ++i) indented += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_EQ(first_problem(indented), "33:33: nested deeper than 32 levels");
}

}  // namespace
}  // namespace drawbridge::config

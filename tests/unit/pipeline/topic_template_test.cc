#include "bridge/pipeline/topic_template.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

const TemplateNames kNames{"dc", "orders"};

std::string expanded(std::string_view text, std::string_view topic) {
  const auto compiled = TopicTemplate::compile(text, kNames);
  if (!compiled) return "error: " + compiled.error().message;
  const auto name = compiled->expand(topic);
  return name ? *name : "error: " + name.error().message;
}

TEST(TopicTemplate, FillsInPlaceholders) {
  EXPECT_EQ(expanded("{topic}", "a.b"), "a.b");
  EXPECT_EQ(expanded("{cluster}.{topic}", "a"), "dc.a");
  EXPECT_EQ(expanded("{pipeline}-{topic}_{cluster}", "a"), "orders-a_dc");
  EXPECT_EQ(expanded("fixed", "a"), "fixed");
  EXPECT_EQ(expanded("{cluster}{pipeline}", "a"), "dcorders");
}

TEST(TopicTemplate, KnowsWhatSurroundsTheTopic) {
  const auto name = TopicTemplate::compile("{cluster}.{topic}.copy", kNames);
  ASSERT_TRUE(name);
  EXPECT_TRUE(name->has_topic());
  EXPECT_EQ(name->prefix(), "dc.");
  EXPECT_EQ(name->suffix(), ".copy");
  EXPECT_FALSE(TopicTemplate::compile("x", kNames)->has_topic());
}

TEST(TopicTemplate, RefusesWhatCannotBeATopic) {
  const struct {
    std::string text;
    std::string message;
  } kCases[] = {
      {"", "a topic name cannot be empty"},
      {"a b", "byte 0x20 cannot stand in a topic name, only a-z A-Z 0-9 . _ -"},
      {"a/b", "`/` cannot stand in a topic name, only a-z A-Z 0-9 . _ -"},
      {"a}b", "`}` cannot stand in a topic name, only a-z A-Z 0-9 . _ -"},
      {"\xc3\xa4", "byte 0xc3 cannot stand in a topic name, only a-z A-Z 0-9 . _ -"},
      {"{topic", "`{` without its `}`"},
      {"{}", "unknown placeholder `{}`; there are {topic}, {cluster} and {pipeline}"},
      {"{tpoic}", "unknown placeholder `{tpoic}`; there are {topic}, {cluster} and {pipeline}"},
      {"{{topic}}", "unknown placeholder `{{topic}`; there are {topic}, {cluster} and {pipeline}"},
      {"{topic}{topic}", "{topic} can stand only once"},
      {".", "a topic cannot be called `.`"},
      {"..", "a topic cannot be called `..`"},
      {std::string(250, 'a'), "a topic name has at most 249 characters, this one 250"},
      {std::string(249, 'a') + "{topic}", "a topic name has at most 249 characters"},
  };
  for (const auto& each : kCases) {
    const auto compiled = TopicTemplate::compile(each.text, kNames);
    ASSERT_FALSE(compiled) << each.text;
    EXPECT_EQ(compiled.error().message, each.message);
  }
}

TEST(TopicTemplate, RefusesANameThatGrowsTooLong) {
  EXPECT_EQ(expanded("{topic}", std::string(249, 'a')), std::string(249, 'a'));
  EXPECT_EQ(expanded("x{topic}", std::string(249, 'a')),
            "error: topic `" + std::string(249, 'a') + "` would become `x" + std::string(249, 'a') +
                "`: a topic name has at most 249 characters, this one 250");
}

}  // namespace
}  // namespace drawbridge

#include "bridge/record/topic_name.h"

#include <gtest/gtest.h>

#include <string>

namespace drawbridge {
namespace {

TEST(TopicName, FollowsKafkasRule) {
  EXPECT_TRUE(check_topic_name("a"));
  EXPECT_TRUE(check_topic_name("..."));
  EXPECT_TRUE(check_topic_name("A-z_0.9"));
  EXPECT_TRUE(check_topic_name(std::string(249, 'x')));
  EXPECT_FALSE(check_topic_name(""));
  EXPECT_FALSE(check_topic_name("."));
  EXPECT_FALSE(check_topic_name(".."));
  EXPECT_FALSE(check_topic_name(std::string(250, 'x')));
  EXPECT_FALSE(check_topic_name(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace drawbridge

#include "bridge/transform/lru.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

namespace drawbridge {
namespace {

struct Hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
using Map = LruMap<std::string, int, Hash, std::equal_to<>>;

TEST(LruMapTest, finds_what_was_inserted_by_view) {
  Map map(2);
  map.insert("a", 1);
  ASSERT_NE(map.find(std::string_view("a")), nullptr);
  EXPECT_EQ(*map.find(std::string_view("a")), 1);
  EXPECT_EQ(map.find(std::string_view("b")), nullptr);
}

TEST(LruMapTest, evicts_what_was_used_longest_ago) {
  Map map(2);
  map.insert("a", 1);
  map.insert("b", 2);
  map.find(std::string_view("a"));
  map.insert("c", 3);
  EXPECT_NE(map.find(std::string_view("a")), nullptr);
  EXPECT_EQ(map.find(std::string_view("b")), nullptr);
  EXPECT_EQ(map.size(), 2u);
}

TEST(LruMapTest, values_stay_where_they_are) {
  Map map(100);
  int* first = &map.insert("first", 1);
  for (int i = 0; i < 99; ++i) map.insert(std::to_string(i), i);
  EXPECT_EQ(map.find(std::string_view("first")), first);
}

TEST(LruMapTest, erases_and_takes_the_key_again) {
  Map map(1);
  map.insert("a", 1);
  map.erase(std::string_view("a"));
  map.erase(std::string_view("a"));
  EXPECT_EQ(map.size(), 0u);
  map.insert("a", 2);
  EXPECT_EQ(*map.find(std::string_view("a")), 2);
}

TEST(LruMapTest, holds_one_at_least) {
  Map map(0);
  EXPECT_EQ(map.insert("a", 1), 1);
  EXPECT_EQ(map.insert("b", 2), 2);
  EXPECT_EQ(map.size(), 1u);
}

}  // namespace
}  // namespace drawbridge

#include "bridge/record/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace drawbridge {
namespace {

TEST(ArenaTest, AllocationsAreAlignedAndApart) {
  Arena arena;
  std::mt19937 random(1);
  std::vector<MutableBytes> all;
  for (int i = 0; i < 2000; ++i) {
    const std::size_t size = random() % 3 == 0 ? random() % 20'000 : random() % 50;
    const MutableBytes memory = arena.allocate(size);
    ASSERT_EQ(memory.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 16, 0U);
    std::ranges::fill(memory, static_cast<std::uint8_t>(i));
    all.push_back(memory);
  }
  // Nothing was overwritten by what came later.
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(std::ranges::all_of(all[i], [&](std::uint8_t byte) {
      return byte == static_cast<std::uint8_t>(i);
    })) << i;
  }
}

TEST(ArenaTest, CopiesKeepTheirContent) {
  Arena arena;
  std::string_view view;
  {
    const std::string text = "some header name";
    view = arena.copy(text);
    EXPECT_NE(view.data(), text.data());
  }
  arena.allocate(100);
  EXPECT_EQ(view, "some header name");
  EXPECT_TRUE(arena.copy(std::string_view()).empty());
}

TEST(ArenaTest, ResetKeepsChunks) {
  Arena arena;
  const std::uint8_t* const first = arena.allocate(1000).data();
  for (int i = 0; i < 100; ++i) arena.allocate(10'000);
  const std::size_t held = arena.bytes_held();
  EXPECT_GE(held, 1'000'000U);
  for (int round = 0; round < 10; ++round) {
    arena.reset();
    EXPECT_EQ(arena.allocate(1000).data(), first);
    for (int i = 0; i < 100; ++i) arena.allocate(10'000);
    EXPECT_EQ(arena.bytes_held(), held);
  }
}

TEST(ArenaTest, OversizedChunksGoWithReset) {
  Arena arena;
  arena.allocate(100);
  const MutableBytes large = arena.allocate(10 << 20);
  EXPECT_EQ(large.size(), std::size_t{10} << 20);
  std::ranges::fill(large, std::uint8_t{1});
  EXPECT_GE(arena.bytes_held(), std::size_t{10} << 20);
  arena.reset();
  EXPECT_EQ(arena.bytes_held(), Arena::kChunkBytes);
}

TEST(ArenaTest, ShrinkGivesTheTailBack) {
  Arena arena;
  const MutableBytes memory = arena.allocate(1000);
  arena.shrink(memory, 100);
  const MutableBytes next = arena.allocate(10);
  EXPECT_EQ(next.data(), memory.data() + 112);  // 100, aligned
  arena.shrink(next, 0);
  EXPECT_EQ(arena.allocate(1).data(), next.data());
}

TEST(ArenaTest, ShrinkOfAFullChunkAndOfNothing) {
  Arena arena;
  arena.shrink({}, 0);
  const MutableBytes whole = arena.allocate(Arena::kChunkBytes);
  arena.shrink(whole, 16);
  const MutableBytes next = arena.allocate(Arena::kChunkBytes - 16);
  EXPECT_EQ(next.data(), whole.data() + 16);
  EXPECT_EQ(arena.bytes_held(), Arena::kChunkBytes);
}

}  // namespace
}  // namespace drawbridge

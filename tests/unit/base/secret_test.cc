#include "bridge/base/secret.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <ostream>
#include <type_traits>
#include <vector>

namespace drawbridge {
namespace {

constexpr std::size_t kHeapBytes = 1 << 16;

class SecretTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(init_secret_heap(kHeapBytes)); }
};

template <typename T>
concept Streamable = requires(std::ostream& out, const T& value) {
  out << value;
};

// Copying and printing are what must not compile.
static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes>);
static_assert(!Streamable<SecretBytes>);
static_assert(!fmt::is_formattable<SecretBytes>::value);
static_assert(!std::is_convertible_v<int, SecretAccess>);

TEST(ForbidDumpsTest, MakesTheProcessNonDumpable) {
  ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
  ASSERT_TRUE(forbid_dumps());
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);  // leak checkers attach to the process at its end
}

TEST_F(SecretTest, SettingTheHeapUpAgainChangesNothing) {
  const auto secret = SecretBytes::copy_of(as_bytes("abc"));
  EXPECT_TRUE(init_secret_heap(kHeapBytes * 2));
  EXPECT_EQ(as_text(secret->reveal(SecretAccess())), "abc");
}

TEST_F(SecretTest, HoldsBytes) {
  const auto secret = SecretBytes::copy_of(as_bytes("key material"));
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->size(), 12U);
  EXPECT_EQ(as_text(secret->reveal(SecretAccess())), "key material");
  const auto zeroed = SecretBytes::zeroed(32);
  EXPECT_TRUE(equal(zeroed->reveal(SecretAccess()), Bytes(32, 0)));
  EXPECT_EQ(SecretBytes::zeroed(0)->size(), 0U);
  EXPECT_EQ(SecretBytes().size(), 0U);
}

TEST_F(SecretTest, RandomSecretsDiffer) {
  const auto a = SecretBytes::random(32);
  const auto b = SecretBytes::random(32);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(equal_secret(a->reveal(SecretAccess()), b->reveal(SecretAccess())));
}

TEST_F(SecretTest, MovesLeaveNothingBehind) {
  auto first = SecretBytes::copy_of(as_bytes("one"));
  SecretBytes second = std::move(*first);
  EXPECT_EQ(first->size(), 0U);
  EXPECT_EQ(as_text(second.reveal(SecretAccess())), "one");
  SecretBytes third = std::move(*SecretBytes::copy_of(as_bytes("three")));
  third = std::move(second);
  EXPECT_EQ(as_text(third.reveal(SecretAccess())), "one");
}

TEST_F(SecretTest, ClonesAreIndependent) {
  auto original = SecretBytes::copy_of(as_bytes("abc"));
  auto clone = original->clone();
  ASSERT_TRUE(clone);
  clone->reveal_mutable(SecretAccess())[0] = 'x';
  EXPECT_EQ(as_text(original->reveal(SecretAccess())), "abc");
  EXPECT_EQ(as_text(clone->reveal(SecretAccess())), "xbc");
}

TEST_F(SecretTest, AFullHeapIsAnErrorAndRoomComesBack) {
  std::vector<SecretBytes> held;
  for (;;) {
    auto secret = SecretBytes::zeroed(4096);
    if (!secret) {
      EXPECT_EQ(secret.error().code, ErrorCode::kFull);
      break;
    }
    held.push_back(std::move(*secret));
    ASSERT_LE(held.size() * 4096, kHeapBytes);
  }
  EXPECT_GE(held.size(), 8U);
  EXPECT_FALSE(SecretBytes::copy_of(Bytes(4096, 1)));
  held.clear();
  EXPECT_TRUE(SecretBytes::zeroed(4096));
}

TEST_F(SecretTest, MemoryIsZeroedBeforeItIsUsedAgain) {
  const std::uint8_t* place = nullptr;
  {
    const auto secret = SecretBytes::copy_of(Bytes(64, 0xa5));
    place = secret->reveal(SecretAccess()).data();
  }
  const auto next = SecretBytes::zeroed(64);
  EXPECT_EQ(next->reveal(SecretAccess()).data(), place);  // the heap gives the same block
  EXPECT_TRUE(equal(next->reveal(SecretAccess()), Bytes(64, 0)));
}

TEST(SecretComparisonTest, ComparesContentAndLength) {
  EXPECT_TRUE(equal_secret(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(equal_secret(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal_secret(as_bytes("abc"), as_bytes("ab")));
  EXPECT_TRUE(equal_secret({}, {}));
}

TEST(CleanseTest, Overwrites) {
  Bytes bytes(32, 0x77);
  cleanse(bytes);
  EXPECT_EQ(bytes, Bytes(32, 0));
}

}  // namespace
}  // namespace drawbridge

// Every test of this program runs on a real secure heap, and some fill it.
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <vector>

#include "bridge/base/secret.h"
#include "bridge/keys/key_cache.h"

namespace drawbridge {
namespace {

class SecretHeap final : public ::testing::Environment {
 public:
  void SetUp() override {
    const auto ready = init_secret_heap(std::size_t{512} * 1024);
    ASSERT_TRUE(ready) << ready.error().message;
    prctl(PR_SET_DUMPABLE, 1);  // the leak checker attaches to the process
  }
};

[[maybe_unused]] const auto* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new SecretHeap);

TEST(SecretHeapBytes, IsAPowerOfTwoThatHoldsTheCaches) {
  for (const std::size_t keys : {1U, 100U, 2048U, 5000U, 1000000U}) {
    const std::vector<KeyCacheLimits> limits(3, KeyCacheLimits{.keys = keys});
    const std::size_t bytes = secret_heap_bytes(limits);
    EXPECT_EQ(bytes & (bytes - 1), 0U) << keys;
    EXPECT_GE(bytes, 3 * keys * 64) << keys;
    EXPECT_LE(bytes, 2 * (3 * keys * 64 + std::size_t{512} * 1024)) << keys;
  }
  EXPECT_GT(secret_heap_bytes({}), 0U);
}

}  // namespace
}  // namespace drawbridge

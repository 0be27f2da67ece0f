#include "bridge/base/waker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

namespace drawbridge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Duration time_of_wait(Waker& waker, Duration timeout) {
  const Instant before = SystemClock().now();
  waker.wait(timeout);
  return SystemClock().now() - before;
}

TEST(WakerTest, TimesOut) {
  Waker waker;
  EXPECT_GE(time_of_wait(waker, milliseconds(20)), milliseconds(20));
  EXPECT_LT(time_of_wait(waker, milliseconds(0)), seconds(5));
  EXPECT_LT(time_of_wait(waker, milliseconds(-5)), seconds(5));
}

TEST(WakerTest, AWakeUpBeforeTheWaitIsNotLost) {
  Waker waker;
  waker.wake();
  waker.wake();
  EXPECT_LT(time_of_wait(waker, seconds(20)), seconds(10));
  // Both were taken by that wait.
  EXPECT_GE(time_of_wait(waker, milliseconds(20)), milliseconds(20));
}

TEST(WakerTest, WakesASleeper) {
  Waker waker;
  std::thread other([&] {
    std::this_thread::sleep_for(milliseconds(20));
    waker.wake();
  });
  EXPECT_LT(time_of_wait(waker, seconds(20)), seconds(10));
  other.join();
}

TEST(WakerTest, LibrariesWakeByDescriptor) {
  Waker waker;
  const std::uint64_t one = 1;
  ASSERT_EQ(write(waker.fd(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_LT(time_of_wait(waker, seconds(20)), seconds(10));
}

TEST(WakerTest, NoWakeUpIsLostBetweenTwoThreads) {
  Waker waker;
  std::atomic<int> produced = 0;
  constexpr int kRounds = 5000;
  std::thread producer([&] {
    for (int i = 0; i < kRounds; ++i) {
      produced.fetch_add(1);
      waker.wake();
    }
  });
  // A lost wake-up shows as a wait that runs into its timeout.
  const Instant before = SystemClock().now();
  while (produced.load() < kRounds) waker.wait(seconds(30));
  EXPECT_LT(SystemClock().now() - before, seconds(25));
  producer.join();
}

}  // namespace
}  // namespace drawbridge

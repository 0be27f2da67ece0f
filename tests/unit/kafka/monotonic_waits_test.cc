#include "bridge/kafka/monotonic_waits.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <threads.h>

#include <chrono>
#include <ctime>
#include <thread>

namespace drawbridge::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

timespec in(milliseconds wait) {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  const auto nanos = time.tv_nsec + std::chrono::nanoseconds(wait).count();
  time.tv_sec += nanos / 1'000'000'000;
  time.tv_nsec = nanos % 1'000'000'000;
  return time;
}

class MonotonicWaits : public testing::Test {
 protected:
  MonotonicWaits() {
    cnd_init(&condition);
    mtx_init(&mutex, mtx_plain);
    mtx_lock(&mutex);
  }
  ~MonotonicWaits() override {
    mtx_unlock(&mutex);
    mtx_destroy(&mutex);
    cnd_destroy(&condition);
  }
  cnd_t condition{};
  mtx_t mutex{};
};

// Where the client library finds it.
TEST_F(MonotonicWaits, AreTheProgramsOwn) {
  use_monotonic_waits();
  Dl_info found{};
  Dl_info here{};
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "cnd_timedwait"), &found), 0);
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&use_monotonic_waits), &here), 0);
  EXPECT_STREQ(found.dli_fname, here.dli_fname);
}

TEST_F(MonotonicWaits, EndAtTheirMoment) {
  const auto began = steady_clock::now();
  const timespec moment = in(milliseconds(60));
  EXPECT_EQ(cnd_timedwait(&condition, &mutex, &moment), thrd_timedout);
  EXPECT_GE(steady_clock::now() - began, milliseconds(50));
  // It is over, whoever asks again.
  EXPECT_EQ(cnd_timedwait(&condition, &mutex, &moment), thrd_timedout);
  const timespec past = in(milliseconds(-10'000));
  EXPECT_EQ(cnd_timedwait(&condition, &mutex, &past), thrd_timedout);
}

TEST_F(MonotonicWaits, EndWithASignal) {
  std::thread other([&] {
    mtx_lock(&mutex);
    cnd_signal(&condition);
    mtx_unlock(&mutex);
  });
  const timespec moment = in(milliseconds(30'000));
  EXPECT_EQ(cnd_timedwait(&condition, &mutex, &moment), thrd_success);
  other.join();
}

}  // namespace
}  // namespace drawbridge::kafka

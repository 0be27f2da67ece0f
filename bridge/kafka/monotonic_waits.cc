#include "bridge/kafka/monotonic_waits.h"

#include <pthread.h>
#include <threads.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kRest = 1'000'000;

std::int64_t nanos(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

std::int64_t now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return nanos(time);
}

// The library computes a moment once and waits for it again after each wake-up: what it meant by
// it was fixed at the first wait.
struct Meaning {
  std::int64_t moment = 0;    // of the wall clock
  std::int64_t deadline = 0;  // of the monotonic one
};
thread_local Meaning newest;

}  // namespace

// glibc's cnd_t and mtx_t are its pthread types under another name.
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t));
static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t));

extern "C" __attribute__((visibility("default"))) int cnd_timedwait(cnd_t* condition, mtx_t* mutex,
                                                                    const timespec* until) {
  const std::int64_t moment = nanos(*until);
  if (moment != newest.moment) {
    const std::int64_t left = std::max<std::int64_t>(moment - now(CLOCK_REALTIME), 0);
    newest = {moment, now(CLOCK_MONOTONIC) + left + kRest};
  }
  const timespec deadline{newest.deadline / kSecond, newest.deadline % kSecond};
  switch (pthread_cond_clockwait(reinterpret_cast<pthread_cond_t*>(condition),
                                 reinterpret_cast<pthread_mutex_t*>(mutex), CLOCK_MONOTONIC,
                                 &deadline)) {
    case 0:
      return thrd_success;
    case ETIMEDOUT:
      return thrd_timedout;
    default:
      return thrd_error;
  }
}

namespace drawbridge::kafka {

void use_monotonic_waits() {}

}  // namespace drawbridge::kafka

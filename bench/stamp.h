// What bench_load writes at the front of a value and bench_probe reads there.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>

namespace drawbridge::bench {

struct Stamp {
  std::int64_t sent_ns = 0;  // steady clock: both programs run on one machine
  std::uint64_t number = 0;  // from 0, without gaps
};

inline std::int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace drawbridge::bench

// Time as a parameter, so that everything which depends on it can be tested.
#pragma once

#include <chrono>
#include <cstdint>

namespace drawbridge {

using Duration = std::chrono::microseconds;
// Monotonic, for intervals and deadlines.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Milliseconds since the Unix epoch, for what is stored or shown.
using WallMillis = std::int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallMillis wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
  [[nodiscard]] WallMillis wall() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace drawbridge

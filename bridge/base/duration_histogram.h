// DurationHistogram: how long something takes, as quantiles, in constant memory. Any thread may
// add; any thread may read meanwhile, and gets about what is there.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bridge/base/clock.h"

namespace drawbridge {

class DurationHistogram {
 public:
  void add(Duration duration);
  // Adds what another one holds.
  void add(const DurationHistogram& other);
  [[nodiscard]] std::uint64_t count() const;
  // The duration that a share of `quantile` (0 to 1) does not exceed, rounded up by at most an
  // eighth, up to about half an hour; zero while it is empty.
  [[nodiscard]] Duration quantile(double quantile) const;

 private:
  static constexpr unsigned kStepBits = 3;  // steps an octave, as a power of two
  static constexpr std::size_t kBuckets = (32 - kStepBits) << kStepBits;

  static std::size_t bucket_of(std::uint64_t micros);
  static std::uint64_t end_of(std::size_t bucket);

  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
};

}  // namespace drawbridge

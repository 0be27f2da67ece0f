#include "bridge/base/duration_histogram.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

namespace drawbridge {

// Below 2^kStepBits each microsecond has a bucket. From there on each octave has 2^kStepBits: the
// leading bit says which octave, the bits after it which step.
std::size_t DurationHistogram::bucket_of(std::uint64_t micros) {
  constexpr std::uint64_t kSteps = 1U << kStepBits;
  if (micros < kSteps) return micros;
  const auto octave = static_cast<unsigned>(std::bit_width(micros)) - 1 - kStepBits;
  const std::size_t bucket = ((octave + 1) << kStepBits) + ((micros >> octave) & (kSteps - 1));
  return std::min(bucket, kBuckets - 1);
}

std::uint64_t DurationHistogram::end_of(std::size_t bucket) {
  constexpr std::uint64_t kSteps = 1U << kStepBits;
  if (bucket < kSteps) return bucket;
  const std::size_t octave = (bucket >> kStepBits) - 1;
  return ((kSteps + (bucket & (kSteps - 1)) + 1) << octave) - 1;
}

void DurationHistogram::add(Duration duration) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  const auto bucket = bucket_of(static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 0)));
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
}

void DurationHistogram::add(const DurationHistogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    buckets_[i].fetch_add(other.buckets_[i].load(std::memory_order_relaxed),
                          std::memory_order_relaxed);
  }
}

std::uint64_t DurationHistogram::count() const {
  std::uint64_t count = 0;
  for (const auto& bucket : buckets_) count += bucket.load(std::memory_order_relaxed);
  return count;
}

Duration DurationHistogram::quantile(double quantile) const {
  const std::uint64_t all = count();
  if (all == 0) return Duration::zero();
  const auto wanted = static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(all)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen >= std::max<std::uint64_t>(wanted, 1)) return std::chrono::microseconds(end_of(i));
  }
  return std::chrono::microseconds(end_of(kBuckets - 1));
}

}  // namespace drawbridge

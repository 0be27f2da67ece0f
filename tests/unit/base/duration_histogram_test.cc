#include "bridge/base/duration_histogram.h"

#include <gtest/gtest.h>

#include <chrono>

namespace drawbridge {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;

TEST(DurationHistogram, TellsQuantilesWithinAnEighth) {
  DurationHistogram histogram;
  for (int i = 1; i <= 1000; ++i) histogram.add(milliseconds(i));
  EXPECT_EQ(histogram.count(), 1000U);
  for (const auto& [quantile, exact] :
       {std::pair(0.5, 500), {0.9, 900}, {0.99, 990}, {1.0, 1000}, {0.001, 1}}) {
    const auto told = histogram.quantile(quantile);
    EXPECT_GE(told, milliseconds(exact)) << quantile;
    EXPECT_LE(told, microseconds(milliseconds(exact)) * 9 / 8) << quantile;
  }
}

TEST(DurationHistogram, KnowsItsEnds) {
  DurationHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), Duration::zero());
  histogram.add(Duration(-1));  // a clock that is not what it seems
  EXPECT_EQ(histogram.quantile(1), Duration::zero());
  histogram.add(microseconds(3));
  EXPECT_EQ(histogram.quantile(1), microseconds(3));
  histogram.add(microseconds(8));
  EXPECT_EQ(histogram.quantile(1), microseconds(8));
  histogram.add(hours(1000));
  EXPECT_GT(histogram.quantile(1), minutes(30));
  EXPECT_EQ(histogram.count(), 4U);
}

TEST(DurationHistogram, AddsUp) {
  DurationHistogram one;
  DurationHistogram other;
  for (int i = 0; i < 99; ++i) one.add(milliseconds(1));
  other.add(milliseconds(500));
  one.add(other);
  EXPECT_EQ(one.count(), 100U);
  EXPECT_LT(one.quantile(0.99), milliseconds(2));
  EXPECT_GE(one.quantile(1), milliseconds(500));
}

}  // namespace
}  // namespace drawbridge

#include "bridge/app/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drawbridge {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

PipelineStatus status(std::uint64_t delivered, std::int64_t lag, std::uint64_t dropped = 0) {
  PipelineStatus total;
  total.delivered = delivered;
  total.dropped = dropped;
  total.lag = lag;
  return total;
}

const Instant kStart{std::chrono::seconds(100)};

TEST(ProgressBar, ShowsShareRateAndTimeLeft) {
  ProgressBar bar(kStart);
  const std::string line = bar.line(status(400, 600, 100), kStart + std::chrono::seconds(1), 80);
  EXPECT_THAT(line, StartsWith("[#"));
  EXPECT_THAT(line, HasSubstr(" 45 %"));  // dropped records are done, too
  EXPECT_THAT(line, HasSubstr("500 records"));
  EXPECT_THAT(line, HasSubstr("500/s"));
  EXPECT_THAT(line, HasSubstr("00:01 left"));
}

TEST(ProgressBar, IsFullAtTheEndAndEmptyAtTheBeginning) {
  ProgressBar bar(kStart);
  const std::string begin = bar.line(status(0, 1000), kStart, 80);
  EXPECT_THAT(begin, HasSubstr("  0 %"));
  EXPECT_EQ(begin.find('#'), std::string::npos);
  EXPECT_THAT(begin, HasSubstr("--:-- left"));
  const std::string end = bar.line(status(1000, 0), kStart + std::chrono::seconds(2), 80);
  EXPECT_THAT(end, HasSubstr("100 %"));
  EXPECT_EQ(end.find('.'), std::string::npos);
}

TEST(ProgressBar, NothingToDoIsNoDivisionByZero) {
  ProgressBar bar(kStart);
  EXPECT_THAT(bar.line(status(0, 0), kStart, 80), HasSubstr("0 %"));
  EXPECT_THAT(bar.line(status(0, -5), kStart, 80), HasSubstr("0 %"));
}

TEST(ProgressBar, FitsTheTerminal) {
  ProgressBar bar(kStart);
  const Instant later = kStart + std::chrono::seconds(3);
  for (const int columns : {60, 80, 120, 500}) {
    EXPECT_LE(bar.line(status(123'456, 654'321), later, columns).size(),
              static_cast<std::size_t>(columns));
  }
  EXPECT_THAT(bar.line(status(1, 1), later, 1), StartsWith("["));  // too narrow: a short bar
}

TEST(ProgressBar, SmoothesTheRate) {
  ProgressBar bar(kStart);
  bar.line(status(1000, 9000), kStart + std::chrono::seconds(1), 80);
  const std::string line = bar.line(status(1000, 9000), kStart + std::chrono::seconds(2), 80);
  EXPECT_THAT(line, HasSubstr("700/s"));
}

}  // namespace
}  // namespace drawbridge

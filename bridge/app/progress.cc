#include "bridge/app/progress.h"

#include <fmt/format.h>

#include <algorithm>

namespace drawbridge {

std::string ProgressBar::line(const PipelineStatus& total, Instant now, int columns) {
  const std::uint64_t done = total.delivered + total.dropped;
  const double seconds = std::chrono::duration<double>(now - last_).count();
  if (seconds > 0.2) {
    const double current = static_cast<double>(done - std::min(last_done_, done)) / seconds;
    rate_ = last_ == start_ ? current : 0.7 * rate_ + 0.3 * current;
    last_ = now;
    last_done_ = done;
  }
  const auto left = static_cast<double>(std::max<std::int64_t>(total.lag, 0));
  const double all = static_cast<double>(done) + left;
  const double share = all > 0 ? static_cast<double>(done) / all : 0;
  std::string time_left = "--:--";
  if (rate_ > 1) {
    const auto rest = static_cast<std::int64_t>(left / rate_);
    time_left = fmt::format("{:02}:{:02}", rest / 60, rest % 60);
  }
  const std::string tail =
      fmt::format(" {:3.0f} %  {} records  {:.0f}/s  {} left", share * 100, done, rate_, time_left);
  const int width = std::clamp(columns - static_cast<int>(tail.size()) - 3, 5, 50);
  const int filled = static_cast<int>(share * width);
  return fmt::format("[{:#<{}}{:.<{}}]{}", "", filled, "", width - filled, tail);
}

}  // namespace drawbridge

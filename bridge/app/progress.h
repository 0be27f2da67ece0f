// The progress bar of `run --until-caught-up` on a terminal.
#pragma once

#include <string>

#include "bridge/base/clock.h"
#include "bridge/pipeline/pipeline.h"

namespace drawbridge {

class ProgressBar {
 public:
  explicit ProgressBar(Instant start) : start_(start), last_(start) {}

  // One line, at most `columns` wide, without a line end: bar, share, rate, time left.
  std::string line(const PipelineStatus& total, Instant now, int columns);

 private:
  Instant start_;
  Instant last_;
  std::uint64_t last_done_ = 0;
  double rate_ = 0;  // records per second, smoothed
};

}  // namespace drawbridge

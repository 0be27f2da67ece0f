// Measures a program from within: rate and CPU between the first tenth of its records and the last,
// so that connecting, filling queues and the uneven end do not count.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace drawbridge::bench {

inline double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

class Meter {
 public:
  explicit Meter(std::uint64_t records) : records_(records) { sample(0); }

  // Call it every few milliseconds.
  void sample(std::uint64_t done) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    samples_.push_back({now(), seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime), done});
    peak_kb_ = usage.ru_maxrss;
  }

  // One line of JSON. `library` is the client library's version.
  void print(const std::string& library) const {
    const Sample& from = reached(records_ / 10);
    const Sample& to = reached(records_ - records_ / 10);
    const auto done = static_cast<double>(to.done - from.done);
    const auto all = static_cast<double>(records_);
    std::printf(
        "{\"records\":%llu,\"rate\":%.1f,\"cpu\":%.6f,\"window\":%.3f,\"whole_rate\":%.1f,"
        "\"whole_cpu\":%.6f,\"rss\":%ld,\"library\":\"%s\"}\n",
        static_cast<unsigned long long>(records_), done / (to.at - from.at),
        (to.cpu - from.cpu) / done * 1e6, to.at - from.at,
        all / (samples_.back().at - samples_.front().at), samples_.back().cpu / all * 1e6,
        peak_kb_ * 1024, library.c_str());
  }

 private:
  struct Sample {
    double at;
    double cpu;
    std::uint64_t done;
  };

  static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  [[nodiscard]] const Sample& reached(std::uint64_t done) const {
    for (const Sample& sample : samples_)
      if (sample.done >= done && sample.done > 0) return sample;
    return samples_.back();
  }

  std::uint64_t records_;
  std::vector<Sample> samples_;
  long peak_kb_ = 0;
};

}  // namespace drawbridge::bench

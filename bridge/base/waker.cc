#include "bridge/base/waker.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace drawbridge {

Waker::Waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Waker::~Waker() { close(fd_); }

void Waker::wake() {
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is full, so the sleeper is awake already.
  [[maybe_unused]] const auto written = write(fd_, &one, sizeof one);
}

void Waker::wait(Duration timeout) {
  const auto micros = std::max<Duration::rep>(timeout.count(), 0);
  const timespec limit{static_cast<time_t>(micros / 1000000),
                       static_cast<long>(micros % 1000000) * 1000};
  pollfd entry{fd_, POLLIN, 0};
  if (ppoll(&entry, 1, &limit, nullptr) > 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto taken = read(fd_, &count, sizeof count);
  }
}

}  // namespace drawbridge

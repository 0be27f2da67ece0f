// One process at a time in a state directory: flock(2) on a file that names its holder.
//
// The lock goes with the descriptor: the kernel drops it however the process ends, so a stale file
// never locks anybody out. The file stays (removing it would let two processes lock two files of
// the same name).
#pragma once

#include <string>
#include <utility>

#include "bridge/base/result.h"

namespace drawbridge {

class StateLock {
 public:
  // Errors: kLocked with the holder's process id; kPermission, kIo.
  static Result<StateLock> take(const std::string& path);

  StateLock(StateLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  StateLock& operator=(StateLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~StateLock();

 private:
  explicit StateLock(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace drawbridge

// A thread sleeps on a Waker until another one (or a library that writes to a file descriptor)
// wakes it, or a deadline passes. Wake-ups are never lost: one that comes while nobody sleeps
// makes the next wait() return at once.
#pragma once

#include "bridge/base/clock.h"

namespace drawbridge {

class Waker {
 public:
  Waker();
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  void wake();                  // any thread, async-signal-safe
  void wait(Duration timeout);  // the owning thread
  // For libraries that write 8 bytes to a descriptor to wake someone (an eventfd).
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace drawbridge

// This program, started once more: the demo's daemon, which is to be killed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"

namespace drawbridge {

// Killed when its owner goes, whichever way. Used by the thread that starts it.
class ChildProcess {
 public:
  // Runs /proc/self/exe with `arguments`; what it prints is appended to `log`. Errors: kIo.
  static Result<ChildProcess> start(const std::vector<std::string>& arguments,
                                    const std::string& log);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  // kills

  [[nodiscard]] pid_t pid() const { return pid_; }
  // kill -9, and waits for the end.
  void kill();
  // Its exit status (128 + signal where one ended it) once it has ended; nullopt when it has not
  // within `timeout`.
  std::optional<int> wait(Duration timeout);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::optional<int> status_;
};

}  // namespace drawbridge

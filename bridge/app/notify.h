// What the service manager is told (sd_notify(3)): ready, stopping, a status line, and that the
// daemon still makes progress. Without a service manager ($NOTIFY_SOCKET) all of it does nothing.
//
// One thread. A message that cannot be sent is logged once and lost: the bridge works without its
// manager knowing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bridge/base/clock.h"

namespace drawbridge {

class Notifier {
 public:
  // Reads the environment: $NOTIFY_SOCKET, and $WATCHDOG_USEC where $WATCHDOG_PID is ours.
  Notifier();

  void ready();
  void stopping();
  // One line for `systemctl status`; control characters become spaces. Sent when it changed.
  void status(std::string_view line);
  // "Alive, and work gets done". Call it as often as you like, at least every watchdog_interval();
  // it is passed on when that is due.
  void watchdog();

  // Half of what the manager waits for before it kills the daemon; none without a watchdog.
  [[nodiscard]] std::optional<Duration> watchdog_interval() const { return interval_; }

 private:
  void send(const std::string& state);

  std::optional<Duration> interval_;
  std::optional<Instant> last_watchdog_;
  std::string last_status_;
  bool complained_ = false;
};

}  // namespace drawbridge

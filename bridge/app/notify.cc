#include "bridge/app/notify.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "bridge/base/log.h"

namespace drawbridge {

Notifier::Notifier() {
  std::uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) > 0) {
    interval_ = Duration(static_cast<Duration::rep>(std::max<std::uint64_t>(limit_us / 2, 1)));
  }
}

void Notifier::ready() { send("READY=1"); }

void Notifier::stopping() { send("STOPPING=1"); }

void Notifier::status(std::string_view line) {
  // A newline would begin another assignment.
  std::string text(line);
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  if (text == last_status_) return;
  send("STATUS=" + text);
  last_status_ = std::move(text);
}

void Notifier::watchdog() {
  if (!interval_) return;
  const Instant now = SystemClock().now();
  // Half the interval: a caller that comes a little early and then late must not be too late.
  if (last_watchdog_ && now - *last_watchdog_ < *interval_ / 2) return;
  last_watchdog_ = now;
  send("WATCHDOG=1");
}

void Notifier::send(const std::string& state) {
  const int result = sd_notify(0, state.c_str());
  if (result >= 0 || complained_) return;
  complained_ = true;
  log(Level::kWarning, "cannot reach the service manager",
      {{"message", state}, {"error", std::strerror(-result)}});
}

}  // namespace drawbridge

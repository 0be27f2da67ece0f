#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/daemon.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/notify.h"
#include "bridge/app/progress.h"
#include "bridge/base/log.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

constexpr std::int64_t kTickNanos = 250'000'000;

// Blocks the signals that the main thread waits for, in it and in all threads made after.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// The signal that came within a tick, or 0.
int wait_for_signal(const sigset_t& signals) {
  const timespec tick{0, kTickNanos};
  const int signal = sigtimedwait(&signals, nullptr, &tick);
  return signal > 0 ? signal : 0;
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

PipelineStatus total_of(const Daemon& daemon) {
  PipelineStatus total;
  for (const auto& pipeline : daemon.pipelines()) {
    const PipelineStatus status = pipeline->status();
    total.delivered += status.delivered;
    total.dropped += status.dropped;
    total.lag += status.lag;
  }
  return total;
}

std::string status_line(const Daemon& daemon) {
  std::size_t running = 0;
  std::string troubled;
  for (const auto& pipeline : daemon.pipelines()) {
    const PipelineStatus status = pipeline->status();
    if (status.state == PipelineState::kRunning) {
      ++running;
    } else {
      troubled += fmt::format(", {} {}", pipeline->name(), name_of(status.state));
    }
  }
  return fmt::format("{} of {} pipelines running{}", running, daemon.pipelines().size(), troubled);
}

int run_daemon(const CommandLine& line) {
  const auto configuration = load_or_report(line.options["config"].as<std::string>());
  if (!configuration) return kExitConfiguration;
  const bool until_caught_up = line.options.contains("until-caught-up");

  LogOptions log_options = configuration->daemon.log;
  const bool terminal = isatty(STDERR_FILENO) == 1;
  log_options.colour = terminal;
  configure_log(log_options);

  const sigset_t signals = block_signals();
  auto daemon = Daemon::open(*configuration);
  if (!daemon) return report(daemon.error());
  log(Level::kInfo, "drawbridge started",
      {{"version", DRAWBRIDGE_VERSION},
       {"daemon", configuration->daemon.name},
       {"state", configuration->daemon.state_directory},
       {"pipelines", configuration->pipelines.size()}});
  (*daemon)->start(until_caught_up);

  Notifier notifier;
  notifier.ready();
  const SystemClock clock;
  const bool show_bar = until_caught_up && terminal;
  ProgressBar bar(clock.now());
  bool stopping = false;
  while (!(*daemon)->finished()) {
    const int signal = wait_for_signal(signals);
    if (signal == SIGTERM || signal == SIGINT) {
      if (stopping) {
        log(Level::kWarning, "second signal: leaving at once");
        std::_Exit(kExitInterrupted);
      }
      stopping = true;
      log(Level::kInfo, "stopping: draining what is in flight");
      notifier.stopping();
      (*daemon)->stop();
    } else if (signal == SIGHUP) {
      log(Level::kWarning, "SIGHUP is reserved for reloading, which this version cannot do yet");
    }
    if ((*daemon)->making_progress()) notifier.watchdog();
    notifier.status(status_line(**daemon));
    flush_folded_log();
    if (show_bar) {
      fmt::print(stderr, "\r\033[K{}",
                 bar.line(total_of(**daemon), clock.now(), terminal_columns()));
    }
  }
  if (show_bar) fmt::print(stderr, "\n");
  (*daemon)->join();
  flush_folded_log(FoldFlush::kAll);
  return (*daemon)->any_failed() ? kExitPipeline : kExitOk;
}

}  // namespace

CommandSpec run_command() {
  return {"run",
          "run the pipelines of a configuration",
          "-c FILE [--until-caught-up]",
          [](po::options_description& options) {
            add_config_option(options);
            options.add_options()(
                "until-caught-up",
                "stop, drained and checkpointed, once every partition has reached "
                "the end that it had at the start");
          },
          {},
          run_daemon};
}

}  // namespace drawbridge

// `drawbridge demo`: the newcomer's first minute. Nothing in it is staged: the daemon is this
// program run with the configuration shown, and what is said of the copies is read from the
// brokers.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

#include "bridge/app/child_process.h"
#include "bridge/app/commands.h"
#include "bridge/app/daemon.h"
#include "bridge/app/demo_audit.h"
#include "bridge/app/demo_show.h"
#include "bridge/app/demo_traffic.h"
#include "bridge/app/exit_codes.h"

namespace drawbridge {
namespace {

constexpr std::size_t kAtFirst = 600;     // sent before the bridge starts
constexpr std::size_t kPortion = 30;      // then so many at a time, whether a bridge runs or not
constexpr std::size_t kKillAfter = 1500;  // copies of each mode
constexpr std::size_t kMeanwhile = 900;   // sent at least while no bridge runs
constexpr std::size_t kSample = 1;        // a record of finance
constexpr Duration kPace = std::chrono::milliseconds(25);
// Long enough for a first checkpoint, which comes within a second.
constexpr Duration kRunAtLeast = std::chrono::milliseconds(1500);
constexpr Duration kStepTimeout = std::chrono::seconds(25);
constexpr Duration kTimeout = std::chrono::seconds(10);

volatile std::sig_atomic_t interrupted = 0;

// So that an impatient ^C leaves nothing behind.
void listen_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Instant now() { return SystemClock().now(); }

double seconds_since(Instant start) { return std::chrono::duration<double>(now() - start).count(); }

// How many records each mode's topics hold.
class CopyCounter {
 public:
  static Result<std::unique_ptr<CopyCounter>> make(DemoWorld& world) {
    std::unique_ptr<CopyCounter> counter(new CopyCounter());
    PipelineOptions options;
    options.name = "demo";
    options.group = "demo";
    options.source = world.target();
    DRAWBRIDGE_ASSIGN(counter->source_, world.connector().source(options, {}));
    return counter;
  }

  Result<CopyCounts> count() {
    CopyCounts counts{};
    for (std::size_t mode = 0; mode < kDemoModes.size(); ++mode) {
      for (const auto department : kDepartments) {
        for (std::int32_t i = 0; i < kDemoPartitions; ++i) {
          const TopicPartition at{demo_copy(kDemoModes[mode], department), Partition{i}};
          DRAWBRIDGE_ASSIGN(const Watermarks marks, source_->watermarks(at, kTimeout));
          counts[mode] += static_cast<std::size_t>(marks.high.value - marks.low.value);
        }
      }
    }
    return counts;
  }

 private:
  CopyCounter() = default;
  std::unique_ptr<Source> source_;
};

// What the daemon has on disk, by mode; its lock went with it.
Result<CopyCounts> checkpointed(const DemoWorld& world) {
  DRAWBRIDGE_ASSIGN(const auto store, open_state(world.configuration(), false));
  CopyCounts counts{};
  for (std::size_t mode = 0; mode < kDemoModes.size(); ++mode) {
    DRAWBRIDGE_ASSIGN(const auto entries, store->load(std::string(kDemoModes[mode])));
    for (const CheckpointEntry& entry : entries) {
      counts[mode] += static_cast<std::size_t>(entry.checkpoint.position.next.value);
    }
  }
  return counts;
}

Error daemon_failed(const DemoWorld& world, std::string_view what) {
  std::ifstream log(world.path("bridge.log"));
  std::string last;
  for (std::string line; std::getline(log, line);) last = line;
  return {ErrorCode::kInternal, fmt::format("the bridge {}; its log ends: {}", what, last)};
}

Result<void> check_interrupt() {
  if (interrupted != 0) return fail(ErrorCode::kCancelled, "interrupted");
  return {};
}

// A producer that goes its own way, on a thread of its own.
class Traffic {
 public:
  explicit Traffic(DemoProducer& producer)
      : thread_([this, &producer] { result_ = run(producer); }) {}
  ~Traffic() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  // Ends it. Errors: why it has ended by itself.
  Result<void> finish() {
    stop_ = true;
    thread_.join();
    return result_;
  }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  Result<void> run(DemoProducer& producer) {
    Result<void> sent;
    while (!stop_ && sent) {
      sent = producer.send(kPortion);
      std::this_thread::sleep_for(kPace);
    }
    ended_ = true;
    return sent;
  }

  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  Result<void> result_;
  std::thread thread_;  // last: it uses the others
};

// Until the bridge has done enough to be killed.
Result<void> await_copies(const DemoWorld& world, const DemoProducer& producer,
                          CopyCounter& counter, ChildProcess& bridge, DemoShow& show) {
  const Instant deadline = now() + kStepTimeout;
  std::optional<Instant> first_copy;
  for (;;) {
    DRAWBRIDGE_TRY(check_interrupt());
    DRAWBRIDGE_ASSIGN(const CopyCounts counts, counter.count());
    show.progress(counts, producer.sent());
    const std::size_t least = *std::min_element(counts.begin(), counts.end());
    if (least > 0 && !first_copy) first_copy = now();
    if (least >= kKillAfter && now() - *first_copy >= kRunAtLeast) return {};
    if (bridge.wait(kPace)) return fail(daemon_failed(world, "ended by itself"));
    if (now() >= deadline) return fail(daemon_failed(world, "is too slow for a demo"));
  }
}

Result<void> crash(DemoWorld& world, DemoProducer& producer, CopyCounter& counter, DemoShow& show) {
  DRAWBRIDGE_TRY(producer.send(kAtFirst));
  Traffic traffic(producer);
  DRAWBRIDGE_ASSIGN(ChildProcess bridge, ChildProcess::start({"run", "-c", world.path("demo.yaml")},
                                                             world.path("bridge.log")));
  show.started(bridge.pid(), kAtFirst);
  DRAWBRIDGE_TRY(await_copies(world, producer, counter, bridge, show));
  bridge.kill();
  const std::size_t sent = producer.sent();
  DRAWBRIDGE_ASSIGN(const CopyCounts copied, counter.count());
  show.killed(copied, sent);
  DRAWBRIDGE_ASSIGN(const CopyCounts safe, checkpointed(world));
  show.checkpoint(safe);
  while (!traffic.ended() && producer.sent() < sent + kMeanwhile) {
    DRAWBRIDGE_TRY(check_interrupt());
    std::this_thread::sleep_for(kPace);
  }
  DRAWBRIDGE_TRY(traffic.finish());
  show.meanwhile(producer.sent() - sent);
  return {};
}

Result<void> resume(DemoWorld& world, const DemoProducer& producer, CopyCounter& counter,
                    DemoShow& show) {
  const Instant began = now();
  DRAWBRIDGE_ASSIGN(ChildProcess bridge,
                    ChildProcess::start({"run", "-c", world.path("demo.yaml"), "--until-caught-up"},
                                        world.path("bridge.log")));
  show.resumed();
  std::optional<int> status;
  while (!(status = bridge.wait(kPace))) {
    DRAWBRIDGE_TRY(check_interrupt());
    DRAWBRIDGE_ASSIGN(const CopyCounts counts, counter.count());
    show.progress(counts, producer.sent());
    if (now() - began > kStepTimeout) return fail(daemon_failed(world, "does not catch up"));
  }
  if (*status != kExitOk) {
    return fail(daemon_failed(world, fmt::format("ended with status {}", *status)));
  }
  show.caught_up(seconds_since(began));
  return {};
}

// True: everything that the demo promises holds.
Result<bool> play(DemoShow& show) {
  show.title();
  DRAWBRIDGE_ASSIGN(const auto world, DemoWorld::make());
  show.stage(*world);
  show.configuration(*world);
  DRAWBRIDGE_ASSIGN(const auto producer, DemoProducer::make(*world));
  DRAWBRIDGE_ASSIGN(const auto counter, CopyCounter::make(*world));
  DRAWBRIDGE_TRY(crash(*world, *producer, *counter, show));
  DRAWBRIDGE_TRY(resume(*world, *producer, *counter, show));
  DRAWBRIDGE_TRY(check_interrupt());
  DRAWBRIDGE_ASSIGN(const Audit audit, audit_copies(*world, producer->sent(), kSample));
  bool good = show.counts(audit, producer->sent());
  show.side_by_side(audit);
  DRAWBRIDGE_ASSIGN(const bool keys_hold, show.keys(*world, audit));
  good = good && keys_hold;
  return good;
}

int demo(const CommandLine& line) {
  static_cast<void>(line);
  quiet_log();
  listen_for_interrupts();
  const Instant began = now();
  DemoShow show;
  const auto good = play(show);
  if (interrupted != 0) return kExitInterrupted;
  if (!good) {
    show.broken_off();
    static_cast<void>(report(good.error()));
    return kExitPipeline;
  }
  show.end(*good, seconds_since(began));
  return *good ? kExitOk : kExitPipeline;
}

}  // namespace

CommandSpec demo_command() {
  return {"demo", "show re-keying, a crash and the resume, on two embedded clusters", "", {}, {},
          demo};
}

}  // namespace drawbridge

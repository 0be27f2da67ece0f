#include "bridge/pipeline/pipeline.h"

#include <algorithm>

#include "bridge/base/log.h"
#include "bridge/pipeline/pipeline_run.h"

namespace drawbridge {
namespace {

constexpr Duration kLeastBackoff = std::chrono::seconds(1);
constexpr Duration kMostBackoff = std::chrono::seconds(60);

// A cause that can pass without a person changing the configuration or the data.
bool can_pass(ErrorCode code) {
  switch (class_of(code)) {
    case ErrorClass::kRetry:
    case ErrorClass::kPause:
    case ErrorClass::kPipeline:
      return true;
    case ErrorClass::kRecord:
    case ErrorClass::kStop:
      return false;
  }
  return false;
}

}  // namespace

std::string_view name_of(PipelineState state) {
  switch (state) {
    case PipelineState::kUnassigned:
      return "UNASSIGNED";
    case PipelineState::kRunning:
      return "RUNNING";
    case PipelineState::kPaused:
      return "PAUSED";
    case PipelineState::kRestarting:
      return "RESTARTING";
    case PipelineState::kFailed:
      return "FAILED";
    case PipelineState::kStopped:
      return "STOPPED";
  }
  return "FAILED";
}

PipelineTotals& PipelineTotals::operator+=(const PipelineTotals& other) {
  consumed += other.consumed;
  delivered += other.delivered;
  delivered_bytes += other.delivered_bytes;
  dropped += other.dropped;
  failed_records += other.failed_records;
  dead_letters += other.dead_letters;
  adapted += other.adapted;
  return *this;
}

Pipeline::Pipeline(const PipelineOptions& options, PipelineDependencies dependencies,
                   bool until_caught_up)
    : options_(options), deps_(std::move(dependencies)), until_caught_up_(until_caught_up) {
  beat();
}

Pipeline::~Pipeline() {
  stop();
  join();
}

void Pipeline::start() {
  thread_ = std::thread([this] { thread_main(); });
}

void Pipeline::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_signal_.notify_all();
}

void Pipeline::join() {
  if (thread_.joinable()) thread_.join();
}

void Pipeline::beat() { beat_ = deps_.clock.now().time_since_epoch().count(); }

bool Pipeline::wait_for_stop(Duration timeout) {
  const Instant until = deps_.clock.now() + timeout;
  std::unique_lock lock(mutex_);
  while (!stop_ && deps_.clock.now() < until) {
    beat();
    stop_signal_.wait_for(lock, std::chrono::milliseconds(500));
  }
  return stop_;
}

void Pipeline::set_state(PipelineState state, std::optional<Error> failure) {
  const std::lock_guard lock(mutex_);
  status_.state = state;
  status_.failure = std::move(failure);
}

void Pipeline::finish(PipelineState state, std::optional<Error> failure) {
  const std::lock_guard lock(mutex_);
  status_.state = state;
  status_.failure = std::move(failure);
  status_.final = true;
}

PipelineStatus Pipeline::status() const {
  const std::lock_guard lock(mutex_);
  PipelineStatus status = status_;
  static_cast<PipelineTotals&>(status) += before_;
  if (current_ != nullptr) current_->add_stats(status);
  return status;
}

void Pipeline::thread_main() {
  Duration backoff = kLeastBackoff;
  while (true) {
    const Instant began = deps_.clock.now();
    Result<void> result;
    {
      Run run(*this);
      result = run.begin();
      if (result) {
        {
          const std::lock_guard lock(mutex_);
          current_ = &run;
        }
        result = run.look_after();
      }
      const std::lock_guard lock(mutex_);
      if (current_ != nullptr) {
        PipelineStatus of_run;
        current_->add_stats(of_run);
        before_ += of_run;
      }
      current_ = nullptr;
    }
    if (result) {
      log(Level::kInfo, "pipeline stopped",
          {{"pipeline", options_.name}, {"state", name_of(PipelineState::kStopped)}});
      finish(PipelineState::kStopped);
      return;
    }
    const Error& error = result.error();
    if (stop_ && class_of(error.code) == ErrorClass::kRetry) {
      log(Level::kWarning, "pipeline stopped while it could not work",
          {{"pipeline", options_.name},
           {"state", name_of(PipelineState::kStopped)},
           {"error", explain(error)}});
      finish(PipelineState::kStopped);
      return;
    }
    // Someone waits for the end of `--until-caught-up`: only what passes by itself is waited for.
    const bool patient = !until_caught_up_ || class_of(error.code) == ErrorClass::kRetry;
    if (stop_ || !can_pass(error.code) || !patient) {
      log(Level::kError, "pipeline failed",
          {{"pipeline", options_.name},
           {"state", name_of(PipelineState::kFailed)},
           {"code", name_of(error.code)},
           {"error", explain(error)}});
      finish(PipelineState::kFailed, error);
      return;
    }
    if (deps_.clock.now() - began > kMostBackoff) backoff = kLeastBackoff;
    const PipelineState state = class_of(error.code) == ErrorClass::kRetry
                                    ? PipelineState::kRestarting
                                    : PipelineState::kFailed;
    log(Level::kWarning, "pipeline failed, will restart",
        {{"pipeline", options_.name},
         {"state", name_of(state)},
         {"code", name_of(error.code)},
         {"error", explain(error)},
         {"restart_in_ms",
          std::chrono::duration_cast<std::chrono::milliseconds>(backoff).count()}});
    set_state(state, error);
    if (wait_for_stop(backoff)) {
      finish(PipelineState::kStopped);
      return;
    }
    backoff = std::min(backoff * 2, kMostBackoff);
    {
      const std::lock_guard lock(mutex_);
      ++status_.restarts;
    }
    set_state(PipelineState::kRestarting, error);
  }
}

}  // namespace drawbridge

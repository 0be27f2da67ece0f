// A pipeline: one source, one target, its shards, and the thread that looks after them.
//
// The pipeline's thread makes the clients, discovers topics and partitions, decides where they
// start, runs the shards' workers, and restarts everything with back-off when it fails for a reason
// that can pass. States bear Kafka Connect's names.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/checkpoint/store.h"
#include "bridge/keys/domains.h"
#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"
#include "bridge/pipeline/shard_worker.h"

namespace drawbridge {

enum class PipelineState : std::uint8_t {
  kUnassigned,  // not started, or waits for its part of a pipeline that instances share
  kRunning,
  kPaused,  // waits for a key store or for the checkpoint store
  kRestarting,
  kFailed,   // for good, or until its next try
  kStopped,  // drained and checkpointed
};
std::string_view name_of(PipelineState state);

// What only grows, over the lives of workers and clients.
struct PipelineTotals {
  std::uint64_t consumed = 0;
  std::uint64_t delivered = 0;
  std::uint64_t delivered_bytes = 0;
  std::uint64_t dropped = 0;
  std::uint64_t failed_records = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t adapted = 0;

  PipelineTotals& operator+=(const PipelineTotals& other);
};

struct PipelineStatus : PipelineTotals {
  PipelineState state = PipelineState::kUnassigned;
  std::optional<Error> failure;  // why it failed or restarts
  bool final = false;            // stopped, or failed and will not try again
  std::uint64_t in_flight = 0;
  std::uint64_t in_flight_bytes = 0;
  std::int64_t lag = 0;
  std::uint32_t restarts = 0;
  std::size_t partitions = 0;  // that this instance works on
};

// Makes the transform that seals dead letters whole under a key domain.
using MakeSeal =
    std::function<Result<std::unique_ptr<Transform>>(const std::string& domain, KeyService& keys)>;

struct PipelineDependencies {
  Connector& connector;
  CheckpointStore& store;
  DomainRegistry& keys;
  const Clock& clock;
  MakeSeal make_seal;
};

class Pipeline {
 public:
  // `options` and dependencies outlive the pipeline. `until_caught_up`: stop by itself, drained
  // and checkpointed, once every partition has reached the end that it had at the start.
  Pipeline(const PipelineOptions& options, PipelineDependencies dependencies, bool until_caught_up);
  ~Pipeline();  // stops and joins

  void start();
  void stop();  // asks; drains within drain_timeout
  void join();

  [[nodiscard]] PipelineStatus status() const;
  [[nodiscard]] const std::string& name() const { return options_.name; }
  // When the pipeline's thread was last seen alive, for the watchdog.
  [[nodiscard]] Instant last_beat() const { return Instant(Duration(beat_.load())); }

 private:
  class Run;  // one life of the clients and shards: pipeline_run.h

  void thread_main();
  void set_state(PipelineState state, std::optional<Error> failure = std::nullopt);
  void finish(PipelineState state, std::optional<Error> failure = std::nullopt);
  bool wait_for_stop(Duration timeout);  // true: asked to stop
  void beat();

  const PipelineOptions& options_;
  PipelineDependencies deps_;
  const bool until_caught_up_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<Duration::rep> beat_{0};

  mutable std::mutex mutex_;
  std::condition_variable stop_signal_;
  // Guarded by mutex_:
  PipelineStatus status_;
  PipelineTotals before_;  // of earlier runs
  Run* current_ = nullptr;
};

}  // namespace drawbridge

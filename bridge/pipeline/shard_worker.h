// ShardWorker: carries out what ShardCore decides. Takes batches from a feed, runs the chain over
// them, hands records to a sink, reports deliveries, saves checkpoints.
//
// step() does what can be done now without waiting and says when it wants to be called again at
// the latest; the thread around it sleeps on the shard's waker meanwhile. The simulation calls
// step() itself, with fakes behind the ports. Everything but post() and stats() belongs to the
// worker's thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/duration_histogram.h"
#include "bridge/base/waker.h"
#include "bridge/checkpoint/store.h"
#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"
#include "bridge/pipeline/sent_digests.h"
#include "bridge/pipeline/shard_core.h"
#include "bridge/pipeline/shard_ledger.h"
#include "bridge/transform/chain.h"

namespace drawbridge {

// Where the records of a partition go.
struct Route {
  std::string target_topic;
  std::int32_t target_partitions = 0;
  std::string dead_letter_topic;  // empty without one
  std::int32_t dead_letter_partitions = 0;
};

// What the pipeline tells a shard.
struct AddPartitionMessage {
  SlotId slot;
  TopicPartition at;
  PartitionStart start;
  Route route;
  std::optional<Offset> goal;  // until caught up: the end to reach
};
struct RouteMessage {
  SlotId slot;
  Route route;
};
struct SuspectMessage {
  SlotId slot;
  std::string why;
};
struct ReassignMessage {
  SlotId slot;
  std::string why;
};
struct SinkMessage {  // new options: drain, then replace the sink
  SinkOptions options;
};
struct GroupCommittedMessage {
  std::vector<std::pair<SlotId, Offset>> offsets;
  std::optional<Error> error;
};
struct GroupSeenMessage {
  SlotId slot;
  std::optional<GroupOffset> group;
};
struct StopMessage {
  Duration drain;
};
using ShardMessage =
    std::variant<AddPartitionMessage, RouteMessage, SuspectMessage, ReassignMessage, SinkMessage,
                 GroupCommittedMessage, GroupSeenMessage, StopMessage>;

// What a shard tells the pipeline. Called on the worker's thread; must not block.
class ShardListener {
 public:
  virtual ~ShardListener() = default;
  virtual void on_failed(std::uint32_t shard, const Error& error) = 0;
  virtual void on_stopped(std::uint32_t shard) = 0;
  virtual void on_caught_up(std::uint32_t shard) = 0;
};

struct ShardStats {
  std::atomic<std::uint64_t> consumed{0};
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> delivered_bytes{0};
  std::atomic<std::uint64_t> dropped{0};  // by a transform
  std::atomic<std::uint64_t> failed{0};   // given to the failure policy
  std::atomic<std::uint64_t> dead_letters{0};
  std::atomic<std::uint64_t> adapted{0};  // changed because the client library cannot say it
  std::atomic<std::uint64_t> in_flight{0};
  std::atomic<std::uint64_t> in_flight_bytes{0};
  std::atomic<std::int64_t> lag{0};  // records behind the ends that were seen
  std::atomic<bool> waiting_for_keys{false};
  std::atomic<bool> store_failing{false};
  DurationHistogram commit_stall;  // of transactions: from the cut until others may be sent
};

// Everything a shard works with. All of it outlives the worker.
struct ShardDependencies {
  const PipelineOptions& options;
  std::uint32_t shard;
  std::string cluster_id;  // of the source
  Source& source;
  Target& target;
  Target* dead_letter_target = nullptr;  // null without dead letters
  CheckpointStore& store;
  const Clock& clock;
  Waker& waker;
  ShardListener& listener;
  Chain chain;
  std::unique_ptr<Transform> seal;  // for dead letters; null where they stay as they came
  // Exactly-once: null and empty otherwise.
  std::unique_ptr<ShardLedger> ledger = nullptr;
  std::optional<TransactionOptions> transaction = std::nullopt;
};

ShardLimits shard_limits(const PipelineOptions& options);

class ShardWorker {
 public:
  static constexpr std::size_t kBatchRecords = 500;

  ShardWorker(ShardDependencies dependencies, const SinkOptions& sink);
  ~ShardWorker();
  ShardWorker(const ShardWorker&) = delete;
  ShardWorker& operator=(const ShardWorker&) = delete;

  // Any thread. Wakes the worker.
  void post(ShardMessage message);
  [[nodiscard]] const ShardStats& stats() const { return stats_; }

  // Returns when to call again at the latest; not after now: at once.
  Instant step();
  // step() until stopped or failed.
  void run();

  [[nodiscard]] const ShardCore& core() const { return core_; }
  [[nodiscard]] bool finished() const;

 private:
  struct PartitionInfo {
    TopicPartition at;
    Route route;
    std::string_view target_topic;  // interned, as the route has them
    std::string_view dead_letter_topic;
    std::optional<Offset> goal;
  };

  // A record that a sink holds, or that waits for its partition's prefix.
  struct InFlight {
    Batch* batch = nullptr;
    std::uint32_t index = 0;
    std::optional<ByteView> key;  // as consumed: for the witness
    std::optional<ByteView> value;
    std::int64_t timestamp_ms = 0;
    std::uint32_t bytes = 0;
    RunningDigest digest;  // exactly-once: of what was sent
  };

  // The batch being worked on, and how far.
  struct Hand {
    Batch* batch = nullptr;
    std::uint64_t era = 0;
    std::size_t index = 0;
    bool prefetched = false;  // the batch's keys are asked for
    // Of the record at `index`:
    bool started = false;         // the chain has seen it
    std::size_t next = 0;         // where the chain goes on
    std::optional<ByteView> key;  // as consumed
    std::optional<ByteView> value;
    std::int64_t timestamp_ms = 0;
    bool ready = false;                   // through the chain, not yet taken by the sink
    std::optional<Error> failure;         // goes to the failure policy
    std::string failed_in;                // the transform's name, or where else
    std::unique_ptr<Record> dead_letter;  // built, perhaps not sealed or sent yet
    bool sealed = false;
  };

  enum class Progress : std::uint8_t { kDone, kBlocked };

  void handle_messages(Instant now);
  void handle(ShardMessage& message, Instant now);
  void handle(AddPartitionMessage& message, Instant now);
  void set_route(PartitionInfo& partition, Route route);
  void take_deliveries(Instant now);
  void take_deliveries(std::unique_ptr<Sink>& sink, Instant now);
  void release(Instant now);
  void carry_out(Instant now);
  bool work(Instant now);
  Progress work_record(Record& record, Instant now);
  Progress apply_chain(Record& record, Instant now);
  void prefetch_rest(Instant now);
  Progress send(Record& record, Instant now);
  Progress fail_record(Record& record, Instant now);
  Progress send_dead_letter(Record& record, Instant now);
  void build_dead_letter(const Record& record, const PartitionInfo& info);
  Result<std::int32_t> target_partition(const Record& record, const PartitionInfo& info) const;
  void handle_events(Instant now);
  void next_record();
  void skip_record();
  void let_go(Batch* batch);
  void recycle(Batch* batch);
  InFlight& remember(EntryId entry, std::size_t bytes);
  [[nodiscard]] RunningDigest digest(const Record& record) const;
  void lose_sinks(const Error& error, Instant now);
  void drop_sinks();
  void make_sinks();
  void save(const CommitCommand& command, Instant now);
  void state_in_ledger(const CommitCommand& command);
  void take_transaction_events(Instant now);
  void join_ledger_early();
  void ledger_ready(const TransactionEvent& event, Instant now);
  void save_cache(Instant now);
  void warn_of_late_end(Instant now) const;
  std::vector<CheckpointEntry> entries_of(std::span<const PositionUpdate> positions) const;
  Sink& sink_for_dead_letters() { return dead_letter_sink_ ? *dead_letter_sink_ : *sink_; }
  void say(const NoticeCommand& notice) const;
  void publish(Instant now);
  void check_goals();
  Batch& fresh_batch();
  [[nodiscard]] std::string where(const Record& record) const;

  ShardDependencies deps_;
  SinkOptions sink_options_;
  ShardCore core_;
  std::uint64_t hash_seed_;
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<Sink> dead_letter_sink_;
  std::vector<std::optional<PartitionInfo>> partitions_;  // by slot
  std::set<std::string> topics_;     // names that records view; only grows, so that they stay
  std::vector<InFlight> in_flight_;  // by entry
  std::vector<std::unique_ptr<Batch>> batches_;  // all that exist
  std::vector<Batch*> free_batches_;
  std::vector<Delivery> deliveries_;
  // Exactly-once:
  std::vector<ShardMessage> before_ledger_;  // what waits for the ledger
  SentDigests digests_;
  std::vector<PositionUpdate> in_commit_;
  std::map<SlotId, PositionUpdate> uncached_;  // committed, and not in the store yet
  Instant cache_at_;
  Instant cut_at_;  // or when an abort began
  Hand hand_;
  std::uint64_t adapted_before_ = 0;  // by sinks that are gone
  Instant retry_at_;                  // for what waits without a wake-up
  Instant publish_at_;
  bool goals_open_ = false;
  bool caught_up_said_ = false;

  std::mutex mailbox_mutex_;
  std::vector<ShardMessage> mailbox_;  // guarded by mailbox_mutex_
  ShardStats stats_;
};

}  // namespace drawbridge

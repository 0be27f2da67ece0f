// One life of a pipeline: from connecting to the last checkpoint. Internal to pipeline/.
//
// It knows all topics that are selected, and works on that part of them which is this instance's:
// on all of it where the pipeline is not shared, else on what the group deals out (SCALE_OUT.md).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "bridge/pipeline/ledger_place.h"
#include "bridge/pipeline/pipeline.h"
#include "bridge/pipeline/start_position.h"
#include "bridge/pipeline/target_topics.h"
#include "bridge/pipeline/topic_selector.h"

namespace drawbridge {

class Pipeline::Run final : private ShardListener {
 public:
  explicit Run(Pipeline& pipeline);
  ~Run() override;

  // Connects, discovers, starts the shards. Errors: why the pipeline cannot run.
  Result<void> begin();
  // Looks after the shards until asked to stop, caught up, or failed; then drains and joins.
  Result<void> look_after();
  // Any thread, once begin() has returned.
  void add_stats(PipelineStatus& status) const;

 private:
  struct KnownPartition {
    SlotId slot = 0;
    std::uint32_t shard = 0;
    std::optional<Offset> high = std::nullopt;  // the highest end seen
    bool from_start = false;  // known before this run began to work: `start-at` may count
    bool running = false;     // the shard's worker has it
  };
  struct KnownTopic {
    Route route;
    std::vector<KnownPartition> partitions;
    bool missing = false;
  };
  struct Shard {
    std::unique_ptr<Waker> waker;
    std::unique_ptr<KeyService> keys;
    std::unique_ptr<ShardWorker> worker;
    std::thread thread;
    bool stopped = false;    // guarded by mutex_
    bool caught_up = false;  // guarded by mutex_
  };
  // What the group has dealt to this instance: source partitions, or the ledger's.
  using Part = std::set<TopicPartition>;

  void set_failure(const Error& error);
  void meet(std::string_view what, const Error& error);
  void on_failed(std::uint32_t shard, const Error& error) override;
  void on_stopped(std::uint32_t shard) override;
  void on_caught_up(std::uint32_t shard) override;

  Result<void> connect();
  template <typename Cluster>
  Result<std::string> reach(Cluster& cluster);
  Result<void> check_shards();
  Result<void> load_checkpoints();
  Result<void> take_ledger();
  Result<void> discover(bool at_start);
  Result<void> discover_topic(const TopicInfo& topic, bool at_start);
  Result<void> see_whether_first();

  // Sharing.
  Result<void> share();
  Result<void> subscribe();
  void take_group_events();
  [[nodiscard]] bool owns(std::uint32_t shard) const;
  [[nodiscard]] bool owns(const TopicPartition& at, std::uint32_t shard) const;

  // Working.
  Result<void> take_up(std::optional<Part> part);
  void put_down(Duration drain);
  Result<void> start_worker(std::uint32_t shard);
  Result<void> start_partitions(bool taking_up);
  Result<void> decide_starts(std::vector<AddPartitionMessage>& added, bool taking_up);
  void tell(const KnownPartition& partition, ShardMessage message);
  void say_part() const;
  Result<Route> route_for(const TopicInfo& topic);
  SinkOptions sink_options() const;
  [[nodiscard]] std::unique_ptr<ShardLedger> ledger() const;
  [[nodiscard]] std::optional<TransactionOptions> transaction(std::uint32_t shard) const;
  void update_sinks();
  Duration reread_limits();
  void suspect(const std::string& topic, const std::string& why);
  void watch_watermarks();
  void take_source_events(Duration timeout);
  void check_group();
  void report_progress(Instant now);
  [[nodiscard]] KnownPartition* find(const TopicPartition& at);
  [[nodiscard]] std::optional<Error> failure() const;

  Pipeline& pipeline_;
  const PipelineOptions& options_;
  std::vector<Shard> shards_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Target> target_;
  std::unique_ptr<Group> lease_group_;  // exactly-once
  Group* group_ = nullptr;              // the one that deals out; null where nothing is shared
  std::vector<std::string> subscribed_;
  std::unique_ptr<Target> dead_letter_cluster_;  // where it is not the target itself
  Target* dead_letter_target_ = nullptr;
  std::unique_ptr<TargetTopics> target_topics_;
  std::optional<TopicSelector> selector_;
  std::optional<TopicTemplate> dead_letter_template_;
  std::string cluster_id_;
  LedgerPlace ledger_;  // exactly-once
  std::map<TopicPartition, Checkpoint> stored_;
  bool first_start_ = true;  // nothing of the pipeline was ever copied
  std::map<std::string, KnownTopic> topics_;
  std::vector<TopicPartition> by_slot_;
  std::atomic<std::size_t> partition_count_{0};
  SinkOptions sink_;          // what every shard's sink was last made with
  std::optional<Part> part_;  // nullopt: all of it
  bool working_ = false;
  std::uint64_t reported_ = 0;
  Instant reported_at_;

  mutable std::mutex mutex_;
  std::optional<Error> failure_;  // guarded by mutex_
  PipelineTotals past_;           // of workers that are gone; guarded by mutex_
};

}  // namespace drawbridge

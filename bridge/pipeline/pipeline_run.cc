#include "bridge/pipeline/pipeline_run.h"

#include <algorithm>
#include <unordered_map>

#include "bridge/base/log.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(15);
constexpr Duration kReachSlice = std::chrono::milliseconds(500);
constexpr Duration kPollInterval = std::chrono::milliseconds(100);
constexpr Duration kProgressInterval = std::chrono::seconds(30);
constexpr Duration kGroupCheckInterval = std::chrono::seconds(30);
// What a dead letter's headers may add to a record; the broker has the last word.
constexpr std::int64_t kDeadLetterRoom = 64 * 1024;
// The limits of all target topics are read again in so many refreshes, and in a minute at most.
constexpr int kRefreshesPerReading = 12;
constexpr Duration kLongestReading = std::chrono::minutes(1);
// After the workers have stopped, the last group commit is waited for this long.
constexpr Duration kGroupCommitTimeout = std::chrono::seconds(5);

class ShardKeys final : public KeyService {
 public:
  ShardKeys(DomainRegistry& domains, Waker& waker, std::string dataset)
      : domains_(domains), waker_(waker), dataset_(std::move(dataset)) {}
  ~ShardKeys() override {
    for (const auto& cache : used_) cache->forget(waker_);
  }
  ShardKeys(const ShardKeys&) = delete;
  ShardKeys& operator=(const ShardKeys&) = delete;

  Result<std::shared_ptr<KeyCache>> domain(std::string_view name) override {
    DRAWBRIDGE_ASSIGN(auto cache, domains_.cache(name));
    used_.push_back(cache);
    return cache;
  }
  Waker& waker() override { return waker_; }
  [[nodiscard]] const std::string& dataset() const override { return dataset_; }

 private:
  DomainRegistry& domains_;
  Waker& waker_;
  std::string dataset_;
  std::vector<std::shared_ptr<KeyCache>> used_;
};

}  // namespace

Pipeline::Run::Run(Pipeline& pipeline)
    : pipeline_(pipeline), options_(pipeline.options_), reported_at_(pipeline.deps_.clock.now()) {}

Pipeline::Run::~Run() {
  drain();
  // Workers hold sinks and view batches of the source's messages: they go before the clients.
  for (Shard& shard : shards_) shard.worker.reset();
}

// ---- starting -------------------------------------------------------------------------------

Result<void> Pipeline::Run::begin() {
  DRAWBRIDGE_TRY(connect());
  DRAWBRIDGE_TRY(check_shards());
  if (options_.exactly_once) DRAWBRIDGE_TRY(take_ledger());
  return discover(true);
}

// The id of a cluster that may not answer at all, asked for in slices: who waits must notice a
// stop.
template <typename Cluster>
Result<std::string> Pipeline::Run::reach(Cluster& cluster) {
  const Clock& clock = pipeline_.deps_.clock;
  const Instant until = clock.now() + kTimeout;
  for (;;) {
    pipeline_.beat();
    auto id = cluster.cluster_id(kReachSlice);
    const bool again = !id && class_of(id.error().code) == ErrorClass::kRetry && !pipeline_.stop_ &&
                       clock.now() < until;
    if (!again) return id;
  }
}

Result<void> Pipeline::Run::connect() {
  DRAWBRIDGE_ASSIGN(selector_, TopicSelector::compile(options_.topics));
  const TemplateNames names{options_.source.name, options_.name};
  DRAWBRIDGE_ASSIGN(TopicTemplate target_names,
                    TopicTemplate::compile(options_.target_topic, names));

  shards_.resize(options_.shards);
  std::vector<Waker*> wakers;
  for (Shard& shard : shards_) {
    shard.waker = std::make_unique<Waker>();
    wakers.push_back(shard.waker.get());
  }
  DRAWBRIDGE_ASSIGN(source_, pipeline_.deps_.connector.source(options_, wakers));
  DRAWBRIDGE_ASSIGN(cluster_id_, reach(*source_));
  DRAWBRIDGE_ASSIGN(target_,
                    pipeline_.deps_.connector.target(options_.target, options_.target_properties));
  DRAWBRIDGE_TRY(reach(*target_));
  target_topics_ =
      std::make_unique<TargetTopics>(options_, *source_, *target_, std::move(target_names));
  if (options_.on_error == OnError::kDeadLetter && options_.dead_letter) {
    DRAWBRIDGE_ASSIGN(dead_letter_template_,
                      TopicTemplate::compile(options_.dead_letter->topic, names));
    if (options_.dead_letter->cluster == options_.target.name) {
      dead_letter_target_ = target_.get();
    } else {
      DRAWBRIDGE_ASSIGN(dead_letter_cluster_,
                        pipeline_.deps_.connector.target(options_.source, Properties{}));
      dead_letter_target_ = dead_letter_cluster_.get();
    }
  }
  return {};
}

Result<void> Pipeline::Run::check_shards() {
  CheckpointStore& store = pipeline_.deps_.store;
  DRAWBRIDGE_ASSIGN(const auto shards, store.shards(options_.name));
  if (!shards) {
    DRAWBRIDGE_TRY(store.set_shards(options_.name, options_.shards));
  } else if (options_.exactly_once) {  // the ledger decides
    if (*shards != options_.shards)
      DRAWBRIDGE_TRY(store.set_shards(options_.name, options_.shards));
  } else if (*shards != options_.shards) {
    return fail(ErrorCode::kInvalid,
                "pipeline {} was first started with {} shards and is configured with {}: the "
                "number is fixed; set shards: {}",
                options_.name, *shards, options_.shards, *shards);
  }
  DRAWBRIDGE_ASSIGN(auto entries, store.load(options_.name));
  bool other_cluster = false;
  for (CheckpointEntry& entry : entries) {
    if (entry.key.cluster_id == cluster_id_) {
      stored_.emplace(std::move(entry.key.at), entry.checkpoint);
    } else {
      other_cluster = true;
    }
  }
  first_start_ = entries.empty();
  if (stored_.empty() && other_cluster) {
    return fail(ErrorCode::kForeign,
                "the checkpoints of pipeline {} are of another cluster; cluster {} is {} now. If "
                "that is meant, start under a new pipeline name or remove the old ones "
                "(drawbridge offsets reset)",
                options_.name, options_.source.name, cluster_id_);
  }
  return {};
}

Result<void> Pipeline::Run::take_ledger() {
  DRAWBRIDGE_ASSIGN(ledger_, find_ledger(options_, *target_, kTimeout));
  if (ledger_.exists) return {};
  DRAWBRIDGE_TRY(make_ledger(options_, *target_, ledger_, kTimeout));
  log(Level::kInfo, "ledger created",
      {{"pipeline", options_.name}, {"topic", ledger_.topic}, {"partitions", options_.shards}});
  return {};
}

std::unique_ptr<ShardLedger> Pipeline::Run::ledger() const {
  if (!options_.exactly_once) return nullptr;
  return std::make_unique<ShardLedger>(
      LedgerIdentity{options_.daemon, options_.name, ledger_.epoch, options_.shards, cluster_id_});
}

std::optional<TransactionOptions> Pipeline::Run::transaction(std::uint32_t shard) const {
  if (!options_.exactly_once) return std::nullopt;
  return TransactionOptions{transactional_id(options_, std::to_string(shard)), ledger_.topic,
                            static_cast<std::int32_t>(shard)};
}

std::uint32_t Pipeline::Run::shard_of(const TopicPartition& at) const {
  // Stable for ever: FNV-1a of the topic, so that a restart finds every partition on its shard.
  std::uint32_t hash = 2166136261U;
  for (const char c : at.topic) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return (hash + static_cast<std::uint32_t>(at.partition.value)) % options_.shards;
}

const Pipeline::Run::KnownPartition* Pipeline::Run::find(const TopicPartition& at) const {
  const auto topic = topics_.find(at.topic);
  if (topic == topics_.end()) return nullptr;
  const auto index = static_cast<std::size_t>(at.partition.value);
  return index < topic->second.partitions.size() ? &topic->second.partitions[index] : nullptr;
}

// ---- discovery ------------------------------------------------------------------------------

Result<void> Pipeline::Run::discover(bool at_start) {
  DRAWBRIDGE_ASSIGN(const auto listed, source_->topics(kTimeout));
  std::vector<AddPartitionMessage> added;
  std::map<std::string, bool> seen;
  for (const TopicInfo& topic : listed) {
    if (!selector_->selected(topic.name, topic.internal)) continue;
    seen[topic.name] = true;
    DRAWBRIDGE_TRY(discover_topic(topic, at_start, added));
  }
  for (auto& [name, topic] : topics_) {
    if (!seen.contains(name) && !std::exchange(topic.missing, true)) {
      log(Level::kWarning, "source topic is not there any more",
          {{"pipeline", options_.name}, {"topic", name}});
    }
  }
  for (const std::string& literal : selector_->literals()) {
    if (seen.contains(literal) || topics_.contains(literal)) continue;
    if (pipeline_.until_caught_up_) {
      return fail(ErrorCode::kUnknownTopic, "source topic {} does not exist on cluster {}", literal,
                  options_.source.name);
    }
    log_folded(Level::kWarning, "source topic does not exist yet",
               {{"pipeline", options_.name}, {"topic", literal}});
  }
  if (!added.empty()) DRAWBRIDGE_TRY(decide_starts(added, at_start));
  partition_count_ = by_slot_.size();
  if (at_start) return start_workers(std::move(added));
  for (AddPartitionMessage& message : added) {
    const std::uint32_t shard = find(message.at)->shard;
    shards_[shard].worker->post(std::move(message));
  }
  if (!added.empty()) update_sinks();
  return {};
}

Result<Route> Pipeline::Run::route_for(const TopicInfo& topic) {
  DRAWBRIDGE_ASSIGN(const TargetTopic* target, target_topics_->ensure(topic));
  Route route;
  route.target_topic = target->info.name;
  route.target_partitions = target->info.partitions();
  if (dead_letter_target_ != nullptr) {
    DRAWBRIDGE_ASSIGN(route.dead_letter_topic, dead_letter_template_->expand(topic.name));
    DRAWBRIDGE_ASSIGN(
        const TopicInfo dead,
        target_topics_->require(*dead_letter_target_, route.dead_letter_topic, topic.partitions()));
    route.dead_letter_partitions = dead.partitions();
  }
  return route;
}

Result<void> Pipeline::Run::discover_topic(const TopicInfo& topic, bool at_start,
                                           std::vector<AddPartitionMessage>& added) {
  const auto existing = topics_.find(topic.name);
  if (existing != topics_.end()) {
    KnownTopic& known = existing->second;
    const bool came_back = std::exchange(known.missing, false);
    const std::size_t count = topic.leaders.size();
    if (came_back) suspect(topic.name, "the topic was gone for a while");
    if (count == known.partitions.size()) return {};
    suspect(topic.name, "the number of partitions changed");
    if (count < known.partitions.size()) return {};
  }
  DRAWBRIDGE_ASSIGN(const Route route, route_for(topic));
  KnownTopic& known = topics_[topic.name];
  known.target = route.target_topic;
  for (const KnownPartition& partition : known.partitions) {
    shards_[partition.shard].worker->post(RouteMessage{partition.slot, route});
  }
  for (std::size_t i = known.partitions.size(); i < topic.leaders.size(); ++i) {
    TopicPartition at{topic.name, Partition{static_cast<std::int32_t>(i)}};
    const auto slot = static_cast<SlotId>(by_slot_.size());
    known.partitions.push_back({slot, shard_of(at), std::nullopt});
    by_slot_.push_back(at);
    added.push_back({slot, std::move(at), {}, route, std::nullopt});
  }
  log(Level::kInfo, at_start ? "topic selected" : "topic picked up",
      {{"pipeline", options_.name},
       {"topic", topic.name},
       {"target", route.target_topic},
       {"partitions", topic.partitions()}});
  return {};
}

Result<void> Pipeline::Run::decide_starts(std::vector<AddPartitionMessage>& added, bool at_start) {
  std::vector<TopicPartition> at;
  at.reserve(added.size());
  for (const auto& message : added) at.push_back(message.at);
  DRAWBRIDGE_ASSIGN(const auto group, source_->committed(at, kTimeout));
  std::map<StartReason, std::size_t> reasons;
  std::vector<TopicPartition> by_time;
  std::vector<PartitionStart*> by_time_starts;
  for (std::size_t i = 0; i < added.size(); ++i) {
    AddPartitionMessage& message = added[i];
    const auto stored = stored_.find(message.at);
    StartDecision decision =
        decide_start(stored == stored_.end() ? std::nullopt : std::optional(stored->second),
                     group[i], options_.start_at, at_start && first_start_);
    ++reasons[decision.reason];
    if (decision.reason == StartReason::kGroupReset) {
      log(Level::kWarning, "starting at the consumer group's offset, which somebody else moved",
          {{"pipeline", options_.name},
           {"topic", message.at.topic},
           {"partition", message.at.partition.value},
           {"offset", decision.start.position.next.value},
           {"checkpoint", stored->second.position.next.value}});
    }
    message.start = decision.start;
    if (decision.reason == StartReason::kLatest) {
      DRAWBRIDGE_ASSIGN(const Watermarks marks, source_->watermarks(message.at, kTimeout));
      message.start.position.next = marks.high;
    } else if (decision.reason == StartReason::kTimestamp) {
      by_time.push_back(message.at);
      by_time_starts.push_back(&message.start);
    }
    if (at_start && pipeline_.until_caught_up_) {
      DRAWBRIDGE_ASSIGN(const Watermarks marks, source_->watermarks(message.at, kTimeout));
      // An empty log has nothing to reach, wherever it starts.
      message.goal = marks.high == marks.low ? Offset{0} : marks.high;
    }
  }
  if (!by_time.empty()) {
    DRAWBRIDGE_ASSIGN(const auto offsets,
                      source_->offsets_at(by_time, options_.start_timestamp_ms, kTimeout));
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      by_time_starts[i]->position.next = offsets[i];
    }
  }
  for (const auto& [reason, count] : reasons) {
    log(Level::kInfo, "partitions start",
        {{"pipeline", options_.name}, {"from", describe(reason)}, {"partitions", count}});
  }
  return {};
}

Result<void> Pipeline::Run::start_workers(std::vector<AddPartitionMessage> added) {
  sink_ = sink_options();
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    Shard& shard = shards_[i];
    shard.keys = std::make_unique<ShardKeys>(pipeline_.deps_.keys, *shard.waker, options_.dataset);
    DRAWBRIDGE_ASSIGN(Chain chain,
                      Chain::build(options_.transforms, options_.require, *shard.keys));
    std::unique_ptr<Transform> seal;
    if (dead_letter_target_ != nullptr && options_.dead_letter->seal) {
      DRAWBRIDGE_ASSIGN(seal, pipeline_.deps_.make_seal(*options_.dead_letter->seal, *shard.keys));
    }
    shard.worker = std::make_unique<ShardWorker>(
        ShardDependencies{options_, i, cluster_id_, *source_, *target_, dead_letter_target_,
                          pipeline_.deps_.store, pipeline_.deps_.clock, *shard.waker, *this,
                          std::move(chain), std::move(seal), ledger(), transaction(i)},
        sink_);
  }
  for (AddPartitionMessage& message : added) {
    const std::uint32_t shard = find(message.at)->shard;
    shards_[shard].worker->post(std::move(message));
  }
  // A shard without partitions has nothing to catch up with.
  std::vector<bool> busy(shards_.size());
  for (const auto& [name, topic] : topics_) {
    for (const KnownPartition& partition : topic.partitions) busy[partition.shard] = true;
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) shards_[i].caught_up = !busy[i];
  for (Shard& shard : shards_) {
    shard.thread = std::thread([worker = shard.worker.get()] { worker->run(); });
  }
  running_ = true;
  return {};
}

SinkOptions Pipeline::Run::sink_options() const {
  SinkOptions options;
  options.smallest_limit = target_topics_->smallest_limit();
  options.largest_limit = target_topics_->largest_limit();
  options.unsendable = options_.unsendable;
  // One producer for all that a transaction holds.
  if (options_.exactly_once && dead_letter_target_ != nullptr) {
    options.largest_limit += kDeadLetterRoom;
  }
  return options;
}

void Pipeline::Run::update_sinks() {
  const SinkOptions wanted = sink_options();
  if (wanted == sink_) return;
  sink_ = wanted;
  for (Shard& shard : shards_) shard.worker->post(SinkMessage{sink_});
}

// One topic's, so that no stop waits for many. Returns how long it is to the next one's turn.
Duration Pipeline::Run::reread_limits() {
  const Duration round =
      std::min(options_.refresh_interval * kRefreshesPerReading, kLongestReading);
  const auto reread = target_topics_->reread_one();
  update_sinks();
  // The right to ask may be missing, the target may be away: the limits known so far hold.
  const auto topics = static_cast<std::int64_t>(target_topics_->known().size());
  return reread ? round / std::max<std::int64_t>(topics, 1) : round;
}

// ---- looking after --------------------------------------------------------------------------

void Pipeline::Run::suspect(const std::string& topic, const std::string& why) {
  for (KnownPartition& partition : topics_[topic].partitions) {
    partition.high.reset();
    shards_[partition.shard].worker->post(SuspectMessage{partition.slot, why});
  }
}

void Pipeline::Run::watch_watermarks() {
  for (auto& [name, topic] : topics_) {
    for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
      const auto marks =
          source_->cached_watermarks({name, Partition{static_cast<std::int32_t>(i)}});
      if (!marks) continue;
      KnownPartition& partition = topic.partitions[i];
      if (partition.high && marks->high < *partition.high) {
        suspect(name, "the end of the log fell");
        break;
      }
      partition.high = marks->high;
    }
  }
}

void Pipeline::Run::take_source_events(Duration timeout) {
  std::vector<SourceEvent> events;
  source_->poll(events, timeout);
  for (SourceEvent& event : events) {
    switch (event.kind) {
      case SourceEvent::Kind::kCommitted: {
        std::map<std::uint32_t, GroupCommittedMessage> by_shard;
        for (const auto& [at, offset] : event.offsets) {
          if (const KnownPartition* partition = find(at)) {
            by_shard[partition->shard].offsets.emplace_back(partition->slot, offset);
          }
        }
        for (auto& [shard, message] : by_shard) {
          message.error = event.error;
          shards_[shard].worker->post(std::move(message));
        }
        break;
      }
      case SourceEvent::Kind::kStray:
        if (event.slot < by_slot_.size()) {
          const KnownPartition* partition = find(by_slot_[event.slot]);
          shards_[partition->shard].worker->post(
              ReassignMessage{event.slot, "a record came outside of its feed"});
        }
        break;
      case SourceEvent::Kind::kError:
        if (class_of(event.error->code) == ErrorClass::kRetry) {
          log_folded(Level::kWarning, "source cluster",
                     {{"pipeline", options_.name}, {"error", event.error->message}});
        } else {
          set_failure(*event.error);
        }
        break;
    }
  }
}

void Pipeline::Run::check_group() {
  const auto group = source_->committed(by_slot_, kTimeout);
  if (!group) return;  // transport trouble shows elsewhere
  for (SlotId slot = 0; slot < by_slot_.size(); ++slot) {
    shards_[find(by_slot_[slot])->shard].worker->post(GroupSeenMessage{slot, (*group)[slot]});
  }
}

void Pipeline::Run::report_progress(Instant now) {
  PipelineStatus status;
  add_stats(status);
  const double seconds = std::chrono::duration<double>(now - reported_at_).count();
  const double rate =
      static_cast<double>(status.delivered - std::min(reported_, status.delivered)) / seconds;
  reported_ = status.delivered;
  reported_at_ = now;
  log(Level::kInfo, "progress",
      {{"pipeline", options_.name},
       {"records_per_s", static_cast<std::int64_t>(rate)},
       {"delivered", status.delivered},
       {"lag", status.lag},
       {"in_flight", status.in_flight},
       {"in_flight_bytes", status.in_flight_bytes},
       {"failed", status.failed_records},
       {"dropped", status.dropped},
       {"adapted", status.adapted}});
}

Result<void> Pipeline::Run::look_after() {
  const Clock& clock = pipeline_.deps_.clock;
  Instant refresh_at = clock.now() + options_.refresh_interval;
  Instant limits_at = clock.now();
  Instant group_at = clock.now() + kGroupCheckInterval;
  Instant progress_at = clock.now() + kProgressInterval;
  while (!pipeline_.stop_ && !failure()) {
    pipeline_.beat();
    take_source_events(kPollInterval);
    const Instant now = clock.now();
    pipeline_.deps_.keys.expire(now);
    if (now >= refresh_at) {
      refresh_at = now + options_.refresh_interval;
      watch_watermarks();
      const auto refreshed = discover(false);
      if (!refreshed) {
        // The source's outage is the fetcher's business; a target topic that cannot be had is ours.
        if (class_of(refreshed.error().code) != ErrorClass::kRetry) {
          set_failure(refreshed.error());
        } else {
          log_folded(Level::kWarning, "refreshing topics failed",
                     {{"pipeline", options_.name}, {"error", refreshed.error().message}});
        }
      }
    }
    if (now >= limits_at) limits_at = now + reread_limits();
    if (now >= group_at) {
      group_at = now + kGroupCheckInterval;
      check_group();
    }
    if (now >= progress_at) {
      progress_at = now + kProgressInterval;
      report_progress(now);
    }
    bool waiting = false;
    for (const Shard& shard : shards_) {
      const ShardStats& stats = shard.worker->stats();
      waiting = waiting || stats.waiting_for_keys || stats.store_failing;
    }
    pipeline_.set_state(waiting ? PipelineState::kPaused : PipelineState::kRunning);
    if (pipeline_.until_caught_up_) {
      const std::lock_guard lock(mutex_);
      if (std::ranges::all_of(shards_, [](const Shard& shard) { return shard.caught_up; })) break;
    }
  }
  drain();
  if (auto error = failure()) return fail(std::move(*error));
  return {};
}

void Pipeline::Run::drain() {
  if (!std::exchange(running_, false)) return;
  const Clock& clock = pipeline_.deps_.clock;
  for (Shard& shard : shards_) shard.worker->post(StopMessage{options_.drain_timeout});
  const auto all_stopped = [&] {
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(shards_, [](const Shard& shard) { return shard.stopped; });
  };
  while (!all_stopped()) {
    pipeline_.beat();
    take_source_events(kPollInterval);
  }
  for (Shard& shard : shards_) shard.thread.join();
  std::uint64_t unanswered = 0;
  for (const Shard& shard : shards_) unanswered += shard.worker->core().unanswered();
  if (unanswered > 0) {
    log(Level::kWarning, "stopped before the target had answered; the next start sends these again",
        {{"pipeline", options_.name}, {"records", unanswered}});
  }
  const Instant until = clock.now() + kGroupCommitTimeout;
  while (source_->commits_pending() > 0 && clock.now() < until) take_source_events(kPollInterval);
  report_progress(clock.now());
}

void Pipeline::Run::add_stats(PipelineStatus& status) const {
  status.partitions += partition_count_;
  for (const Shard& shard : shards_) {
    if (!shard.worker) continue;
    const ShardStats& stats = shard.worker->stats();
    status.consumed += stats.consumed;
    status.delivered += stats.delivered;
    status.delivered_bytes += stats.delivered_bytes;
    status.dropped += stats.dropped;
    status.failed_records += stats.failed;
    status.dead_letters += stats.dead_letters;
    status.adapted += stats.adapted;
    status.in_flight += stats.in_flight;
    status.in_flight_bytes += stats.in_flight_bytes;
    status.lag += stats.lag;
  }
}

// ---- what the shards say --------------------------------------------------------------------

std::optional<Error> Pipeline::Run::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Pipeline::Run::set_failure(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = error;
}

void Pipeline::Run::on_failed(std::uint32_t shard, const Error& error) {
  set_failure(error);
  on_stopped(shard);  // a failed worker ends by itself
}

void Pipeline::Run::on_stopped(std::uint32_t shard) {
  const std::lock_guard lock(mutex_);
  shards_[shard].stopped = true;
}

void Pipeline::Run::on_caught_up(std::uint32_t shard) {
  const std::lock_guard lock(mutex_);
  shards_[shard].caught_up = true;
}

}  // namespace drawbridge

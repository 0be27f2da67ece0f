#include "bridge/pipeline/pipeline_run.h"

#include <algorithm>
#include <unordered_map>

#include "bridge/base/log.h"
#include "bridge/pipeline/shard_of.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(15);
constexpr Duration kReachSlice = std::chrono::milliseconds(500);
constexpr Duration kPollInterval = std::chrono::milliseconds(100);
// Others wait while a part is put down.
constexpr Duration kPutDown = std::chrono::seconds(5);
constexpr Duration kPutDownPoll = std::chrono::milliseconds(10);
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

PipelineTotals totals_of(const ShardStats& stats) {
  return {.consumed = stats.consumed,
          .delivered = stats.delivered,
          .delivered_bytes = stats.delivered_bytes,
          .dropped = stats.dropped,
          .failed_records = stats.failed,
          .dead_letters = stats.dead_letters,
          .adapted = stats.adapted};
}

}  // namespace

Pipeline::Run::Run(Pipeline& pipeline)
    : pipeline_(pipeline), options_(pipeline.options_), reported_at_(pipeline.deps_.clock.now()) {}

Pipeline::Run::~Run() { put_down(options_.drain_timeout); }

// ---- starting -------------------------------------------------------------------------------

Result<void> Pipeline::Run::begin() {
  DRAWBRIDGE_TRY(connect());
  DRAWBRIDGE_TRY(check_shards());
  if (options_.exactly_once) DRAWBRIDGE_TRY(take_ledger());
  DRAWBRIDGE_TRY(discover(true));
  DRAWBRIDGE_TRY(see_whether_first());
  return share();
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
  DRAWBRIDGE_ASSIGN(const std::string target_id, reach(*target_));
  source_->mark_commits(commit_mark({options_.daemon, options_.name}, target_id));
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
                "pipeline {} runs with {} shards and is configured with {}: set shards: {}, or "
                "change the number with drawbridge offsets reshard",
                options_.name, *shards, options_.shards, *shards);
  }
  return load_checkpoints();
}

Result<void> Pipeline::Run::load_checkpoints() {
  stored_.clear();
  DRAWBRIDGE_ASSIGN(auto entries, pipeline_.deps_.store.load(options_.name));
  bool other_cluster = false;
  for (CheckpointEntry& entry : entries) {
    if (entry.key.cluster_id == cluster_id_) {
      stored_.emplace(std::move(entry.key.at), entry.checkpoint);
    } else {
      other_cluster = true;
    }
  }
  first_start_ = first_start_ && entries.empty();
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
  const auto before = pipeline_.deps_.store.load(options_.name);
  if (before && !before->empty()) {
    log(Level::kWarning,
        "there is no ledger yet, and the state directory has positions: right where the pipeline "
        "delivered at least once before. Where its ledger was deleted, records will be repeated",
        {{"pipeline", options_.name}, {"topic", ledger_.topic}});
  }
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
  TransactionOptions options{transactional_id(options_, std::to_string(shard)), ledger_.topic,
                             static_cast<std::int32_t>(shard)};
  if (group_ != nullptr) {
    options.lease = group_->lease({ledger_.topic, Partition{options.ledger_partition}});
  }
  return options;
}

Pipeline::Run::KnownPartition* Pipeline::Run::find(const TopicPartition& at) {
  const auto topic = topics_.find(at.topic);
  if (topic == topics_.end()) return nullptr;
  const auto index = static_cast<std::size_t>(at.partition.value);
  return index < topic->second.partitions.size() ? &topic->second.partitions[index] : nullptr;
}

// ---- discovery ------------------------------------------------------------------------------

Result<void> Pipeline::Run::discover(bool at_start) {
  DRAWBRIDGE_ASSIGN(const auto listed, source_->topics(kTimeout));
  std::set<std::string> seen;
  for (const TopicInfo& topic : listed) {
    if (!selector_->selected(topic.name, topic.internal)) continue;
    seen.insert(topic.name);
    DRAWBRIDGE_TRY(discover_topic(topic, at_start));
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
  if (at_start) return {};
  if (group_ != nullptr) DRAWBRIDGE_TRY(subscribe());
  return working_ ? start_partitions(false) : Result<void>();
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

Result<void> Pipeline::Run::discover_topic(const TopicInfo& topic, bool at_start) {
  const auto existing = topics_.find(topic.name);
  if (existing != topics_.end()) {
    KnownTopic& known = existing->second;
    const bool came_back = std::exchange(known.missing, false);
    const std::size_t count = topic.leaders.size();
    if (came_back) suspect(topic.name, "the topic was gone for a while");
    if (target_topics_->gone(known.route.target_topic)) {
      log(Level::kWarning, "target topic is not there any more",
          {{"pipeline", options_.name}, {"topic", known.route.target_topic}});
      DRAWBRIDGE_ASSIGN(known.route, route_for(topic));
      for (const KnownPartition& partition : known.partitions) {
        tell(partition, RouteMessage{partition.slot, known.route});
      }
    }
    if (count == known.partitions.size()) return {};
    suspect(topic.name, "the number of partitions changed");
    if (count < known.partitions.size()) return {};
  }
  DRAWBRIDGE_ASSIGN(const Route route, route_for(topic));
  KnownTopic& known = topics_[topic.name];
  known.route = route;
  for (const KnownPartition& partition : known.partitions) {
    tell(partition, RouteMessage{partition.slot, route});
  }
  for (std::size_t i = known.partitions.size(); i < topic.leaders.size(); ++i) {
    const TopicPartition at{topic.name, Partition{static_cast<std::int32_t>(i)}};
    const auto slot = static_cast<SlotId>(by_slot_.size());
    known.partitions.push_back(
        {.slot = slot, .shard = shard_of(at, options_.shards), .from_start = at_start});
    by_slot_.push_back(at);
  }
  log(Level::kInfo, at_start ? "topic selected" : "topic picked up",
      {{"pipeline", options_.name},
       {"topic", topic.name},
       {"target", route.target_topic},
       {"partitions", topic.partitions()}});
  return {};
}

// `start-at` is for pipelines that have copied nothing yet, wherever. Seen before the group is
// joined: until then no other instance can have been given what this one will be asked about.
Result<void> Pipeline::Run::see_whether_first() {
  if (!first_start_) return {};
  DRAWBRIDGE_ASSIGN(const auto group, source_->committed(by_slot_, kTimeout));
  first_start_ = std::ranges::none_of(group, [](const auto& offset) { return offset.has_value(); });
  return {};
}

// ---- sharing --------------------------------------------------------------------------------

Result<void> Pipeline::Run::share() {
  if (options_.share && options_.exactly_once) {
    DRAWBRIDGE_ASSIGN(lease_group_,
                      pipeline_.deps_.connector.group(
                          options_.target, Properties{},
                          {lease_group(options_), options_.instance, options_.session_timeout}));
    group_ = lease_group_.get();
  } else if (options_.share) {
    group_ = source_->group();
  }
  return group_ == nullptr ? take_up(std::nullopt) : subscribe();
}

// The topics whose partitions are dealt out: the ledger, or those selected.
Result<void> Pipeline::Run::subscribe() {
  std::vector<std::string> topics;
  if (options_.exactly_once) {
    topics.push_back(ledger_.topic);
  } else {
    for (const auto& [name, topic] : topics_) topics.push_back(name);
  }
  // With nothing to deal out there is no group to wait for.
  if (topics.empty()) return working_ ? Result<void>() : take_up(Part{});
  if (topics == subscribed_) return {};
  DRAWBRIDGE_TRY(group_->subscribe(topics));
  if (subscribed_.empty()) {
    log(Level::kInfo, "waiting for this instance's part of the pipeline",
        {{"pipeline", options_.name}, {"group", sharing_group(options_)}});
  }
  subscribed_ = std::move(topics);
  return {};
}

void Pipeline::Run::take_group_events() {
  if (group_ == nullptr) return;
  while (const auto event = group_->poll()) {
    switch (event->kind) {
      case GroupEvent::Kind::kAssigned: {
        put_down(kPutDown);
        const auto taken = take_up(Part(event->partitions.begin(), event->partitions.end()));
        if (!taken) set_failure(taken.error());
        break;
      }
      case GroupEvent::Kind::kRevoked:
        log(Level::kInfo, "the group deals the pipeline out anew", {{"pipeline", options_.name}});
        if (event->lost) {
          log(Level::kWarning, "the group took this instance for dead: others have its part by now",
              {{"pipeline", options_.name}});
        }
        put_down(event->lost ? Duration::zero() : kPutDown);
        group_->release();
        break;
      case GroupEvent::Kind::kError:
        meet("sharing the pipeline", *event->error);
        break;
    }
  }
}

bool Pipeline::Run::owns(std::uint32_t shard) const {
  if (!part_ || !options_.exactly_once) return true;
  return part_->contains({ledger_.topic, Partition{static_cast<std::int32_t>(shard)}});
}

bool Pipeline::Run::owns(const TopicPartition& at, std::uint32_t shard) const {
  return owns(shard) && (!part_ || options_.exactly_once || part_->contains(at));
}

// ---- working --------------------------------------------------------------------------------

Result<void> Pipeline::Run::take_up(std::optional<Part> part) {
  part_ = std::move(part);
  if (part_) DRAWBRIDGE_TRY(load_checkpoints());
  sink_ = sink_options();
  working_ = true;  // from here on put_down() has to be called
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    if (owns(i)) DRAWBRIDGE_TRY(start_worker(i));
  }
  DRAWBRIDGE_TRY(start_partitions(true));
  {
    // A shard without partitions has nothing to catch up with.
    std::vector<bool> busy(shards_.size());
    for (const auto& [name, topic] : topics_) {
      for (const KnownPartition& each : topic.partitions) {
        if (each.running) busy[each.shard] = true;
      }
    }
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < shards_.size(); ++i) shards_[i].caught_up = !busy[i];
  }
  for (Shard& shard : shards_) {
    if (!shard.worker) continue;
    shard.thread = std::thread([worker = shard.worker.get()] { worker->run(); });
  }
  say_part();
  return {};
}

Result<void> Pipeline::Run::start_worker(std::uint32_t i) {
  Shard& shard = shards_[i];
  shard.keys = std::make_unique<ShardKeys>(pipeline_.deps_.keys, *shard.waker, options_.dataset);
  DRAWBRIDGE_ASSIGN(Chain chain, Chain::build(options_.transforms, options_.require, *shard.keys));
  std::unique_ptr<Transform> seal;
  if (dead_letter_target_ != nullptr && options_.dead_letter->seal) {
    DRAWBRIDGE_ASSIGN(seal, pipeline_.deps_.make_seal(*options_.dead_letter->seal, *shard.keys));
  }
  auto worker = std::make_unique<ShardWorker>(
      ShardDependencies{options_, i, cluster_id_, *source_, *target_, dead_letter_target_,
                        pipeline_.deps_.store, pipeline_.deps_.clock, *shard.waker, *this,
                        std::move(chain), std::move(seal), ledger(), transaction(i)},
      sink_);
  const std::lock_guard lock(mutex_);
  shard.worker = std::move(worker);
  shard.stopped = false;
  return {};
}

// What is this instance's and has not been told to its shard.
Result<void> Pipeline::Run::start_partitions(bool taking_up) {
  std::vector<AddPartitionMessage> added;
  for (const auto& [name, topic] : topics_) {
    for (const KnownPartition& each : topic.partitions) {
      const TopicPartition& at = by_slot_[each.slot];
      if (!each.running && owns(at, each.shard)) {
        added.push_back({each.slot, at, {}, topic.route, std::nullopt});
      }
    }
  }
  if (added.empty()) return {};
  DRAWBRIDGE_TRY(decide_starts(added, taking_up));
  for (AddPartitionMessage& message : added) {
    KnownPartition& each = *find(message.at);
    each.running = true;
    shards_[each.shard].worker->post(std::move(message));
  }
  partition_count_ += added.size();
  update_sinks();
  return {};
}

// Workers finish what was sent and end. What comes next begins from what is durable.
void Pipeline::Run::put_down(Duration drain) {
  if (!std::exchange(working_, false)) return;
  const auto each_worker = [&](auto&& function) {
    for (Shard& shard : shards_) {
      if (shard.worker) function(shard);
    }
  };
  each_worker([&](Shard& shard) {
    if (shard.thread.joinable()) shard.worker->post(StopMessage{drain});
  });
  const auto all_stopped = [&] {
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(
        shards_, [](const Shard& shard) { return shard.stopped || !shard.thread.joinable(); });
  };
  while (!all_stopped()) {
    pipeline_.beat();
    take_source_events(kPutDownPoll);
  }
  std::uint64_t unanswered = 0;
  bool undecided = false;
  each_worker([&](Shard& shard) {
    if (shard.thread.joinable()) shard.thread.join();
    const ShardCore& core = shard.worker->core();
    unanswered += core.unanswered();
    undecided = undecided || core.awaited() == ShardCore::Awaited::kCommit;
  });
  if (unanswered > 0) {
    log(Level::kWarning, "stopped before the target had answered; the next start sends these again",
        {{"pipeline", options_.name}, {"records", unanswered}});
  } else if (undecided) {
    log(Level::kWarning,
        "stopped before the coordinator had answered; the next start sees what was committed",
        {{"pipeline", options_.name}});
  }
  const Clock& clock = pipeline_.deps_.clock;
  const Instant until = clock.now() + std::min(kGroupCommitTimeout, drain);
  while (source_->commits_pending() > 0 && clock.now() < until) take_source_events(kPutDownPoll);
  for (auto& [name, topic] : topics_) {
    for (KnownPartition& each : topic.partitions) {
      if (!std::exchange(each.running, false)) continue;
      if (const auto done = source_->unassign(each.slot); !done) set_failure(done.error());
    }
  }
  partition_count_ = 0;
  report_progress(clock.now());
  std::vector<std::unique_ptr<ShardWorker>> gone;
  {
    const std::lock_guard lock(mutex_);
    for (Shard& shard : shards_) {
      if (!shard.worker) continue;
      past_ += totals_of(shard.worker->stats());
      gone.push_back(std::move(shard.worker));
    }
  }
  gone.clear();  // they hold sinks, view batches of the source's messages, and use the keys
  for (Shard& shard : shards_) shard.keys.reset();
}

void Pipeline::Run::tell(const KnownPartition& partition, ShardMessage message) {
  if (partition.running) shards_[partition.shard].worker->post(std::move(message));
}

void Pipeline::Run::say_part() const {
  std::string owned;
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    if (owns(i)) owned += fmt::format("{}{}", owned.empty() ? "" : ",", i);
  }
  log(Level::kInfo, "pipeline running",
      {{"pipeline", options_.name},
       {"state", name_of(PipelineState::kRunning)},
       {"shards", fmt::format("{} of {}", owned.empty() ? "none" : owned, shards_.size())},
       {"partitions", fmt::format("{} of {}", partition_count_.load(), by_slot_.size())}});
}

Result<void> Pipeline::Run::decide_starts(std::vector<AddPartitionMessage>& added, bool taking_up) {
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
                     group[i], options_.start_at, first_start_ && find(message.at)->from_start,
                     pipeline_.deps_.clock.wall());
    ++reasons[decision.reason];
    if (decision.reason == StartReason::kGroupReset && !options_.exactly_once) {
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
    if (taking_up && pipeline_.until_caught_up_) {
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
  if (options_.exactly_once) return {};  // the ledger decides, where it has anything to say
  for (const auto& [reason, count] : reasons) {
    log(Level::kInfo, "partitions start",
        {{"pipeline", options_.name}, {"from", describe(reason)}, {"partitions", count}});
  }
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
  for (Shard& shard : shards_) {
    if (shard.worker) shard.worker->post(SinkMessage{sink_});
  }
}

// One topic's, so that no stop waits for many. Returns how long it is to the next one's turn.
Duration Pipeline::Run::reread_limits() {
  const Duration round =
      std::min(options_.refresh_interval * kRefreshesPerReading, kLongestReading);
  const auto reread = target_topics_->reread_one();
  update_sinks();
  // The right to ask may be missing, the target may be away: the limits known so far hold. A topic
  // that is gone is the next refresh's business.
  const auto topics = static_cast<std::int64_t>(target_topics_->known().size());
  return reread ? round / std::max<std::int64_t>(topics, 1) : round;
}

// ---- looking after --------------------------------------------------------------------------

void Pipeline::Run::suspect(const std::string& topic, const std::string& why) {
  for (KnownPartition& partition : topics_[topic].partitions) {
    partition.high.reset();
    tell(partition, SuspectMessage{partition.slot, why});
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
          const KnownPartition* partition = find(at);
          if (partition != nullptr && partition->running) {
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
          tell(*find(by_slot_[event.slot]),
               ReassignMessage{event.slot, "a record came outside of its feed"});
        }
        break;
      case SourceEvent::Kind::kError:
        // A topic that is gone is its shards' to look at, and may come back.
        if (event.error->code == ErrorCode::kUnknownTopic) {
          log_folded(Level::kWarning, "source cluster",
                     {{"pipeline", options_.name}, {"error", event.error->message}});
        } else {
          meet("source cluster", *event.error);
        }
        break;
    }
  }
}

void Pipeline::Run::check_group() {
  std::vector<TopicPartition> running;
  for (const TopicPartition& at : by_slot_) {
    if (find(at)->running) running.push_back(at);
  }
  const auto group = source_->committed(running, kTimeout);
  if (!group) return;  // transport trouble shows elsewhere
  for (std::size_t i = 0; i < running.size(); ++i) {
    const KnownPartition& partition = *find(running[i]);
    tell(partition, GroupSeenMessage{partition.slot, (*group)[i]});
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
  if (!options_.exactly_once) return;
  DurationHistogram stall;
  for (const Shard& shard : shards_) {
    if (shard.worker) stall.add(shard.worker->stats().commit_stall);
  }
  const auto millis = [&](double quantile) {
    return std::chrono::duration<double, std::milli>(stall.quantile(quantile)).count();
  };
  log(Level::kInfo, "transactions",
      {{"pipeline", options_.name},
       {"committed", stall.count()},
       {"stall_p50_ms", millis(0.5)},
       {"stall_p99_ms", millis(0.99)}});
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
    take_group_events();
    const Instant now = clock.now();
    pipeline_.deps_.keys.expire(now);
    if (now >= refresh_at) {
      refresh_at = now + options_.refresh_interval;
      watch_watermarks();
      // The source's outage is the fetcher's business; a target topic that cannot be had is ours.
      if (const auto refreshed = discover(false); !refreshed) {
        meet("refreshing topics failed", refreshed.error());
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
      if (!shard.worker) continue;
      const ShardStats& stats = shard.worker->stats();
      waiting = waiting || stats.waiting_for_keys || stats.store_failing;
    }
    pipeline_.set_state(!working_ ? PipelineState::kUnassigned
                        : waiting ? PipelineState::kPaused
                                  : PipelineState::kRunning);
    if (pipeline_.until_caught_up_ && working_) {
      const std::lock_guard lock(mutex_);
      if (std::ranges::all_of(shards_, [](const Shard& shard) { return shard.caught_up; })) break;
    }
  }
  // Exactly-once: a failure may be what keeps transactions from ending. All is taken back then.
  const bool briefly = options_.exactly_once && failure();
  put_down(briefly ? std::min(kPutDown, options_.drain_timeout) : options_.drain_timeout);
  if (auto error = failure()) return fail(std::move(*error));
  return {};
}

void Pipeline::Run::add_stats(PipelineStatus& status) const {
  status.partitions += partition_count_;
  const std::lock_guard lock(mutex_);
  static_cast<PipelineTotals&>(status) += past_;
  for (const Shard& shard : shards_) {
    if (!shard.worker) continue;
    const ShardStats& stats = shard.worker->stats();
    static_cast<PipelineTotals&>(status) += totals_of(stats);
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

// What passes by itself is only said.
void Pipeline::Run::meet(std::string_view what, const Error& error) {
  if (class_of(error.code) != ErrorClass::kRetry) return set_failure(error);
  log_folded(Level::kWarning, what, {{"pipeline", options_.name}, {"error", error.message}});
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

#include "bridge/pipeline/shard_worker.h"

#include <algorithm>
#include <utility>

#include "bridge/base/log.h"
#include "bridge/pipeline/dead_letter.h"
#include "bridge/pipeline/partitioner.h"

namespace drawbridge {
namespace {

// What a record costs beside its payload: the client's consumed message, produced message and
// delivery report.
constexpr std::size_t kRecordOverhead = 768;
// A batch pins the fetch responses that its records came in, however few it holds of them.
constexpr std::size_t kLeastBatchCharge = 64 * 1024;
constexpr Duration kRetry = std::chrono::milliseconds(50);
constexpr Duration kRangeTimeout = std::chrono::seconds(10);
constexpr Duration kPublishInterval = std::chrono::seconds(1);
constexpr Duration kLateEnd = std::chrono::seconds(10);  // of a transaction: is told
constexpr std::int64_t kNoLimit = 900'000'000;           // the broker has the last word
constexpr Duration kForever = std::chrono::hours(24);

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

ShardLimits shard_limits(const PipelineOptions& options) {
  ShardLimits limits;
  const std::uint32_t shards = std::max(options.shards, 1U);
  limits.in_flight_bytes = std::max<std::uint64_t>(options.max_in_flight_bytes / shards, 1);
  limits.in_flight_records = std::max<std::uint64_t>(options.max_in_flight_records / shards, 1);
  limits.checkpoint_interval = options.checkpoint_interval;
  limits.checkpoint_records = options.checkpoint_records;
  limits.transactional = options.exactly_once;
  limits.commit_interval = options.commit_interval;
  return limits;
}

ShardWorker::ShardWorker(ShardDependencies dependencies, const SinkOptions& sink)
    : deps_(std::move(dependencies)),
      sink_options_(sink),
      core_(shard_limits(deps_.options), deps_.options.on_gap, deps_.clock.now()),
      hash_seed_(deps_.store.hash_seed()),
      cache_at_(deps_.clock.now()),
      retry_at_(deps_.clock.now() + kForever),
      publish_at_(deps_.clock.now()) {
  make_sinks();
}

ShardWorker::~ShardWorker() {
  // Sinks first: they view what the batches own.
  sink_.reset();
  dead_letter_sink_.reset();
}

void ShardWorker::post(ShardMessage message) {
  {
    const std::lock_guard lock(mailbox_mutex_);
    mailbox_.push_back(std::move(message));
  }
  deps_.waker.wake();
}

bool ShardWorker::finished() const { return core_.finished(); }

void ShardWorker::run() {
  while (!finished()) {
    const Instant next = step();
    if (finished()) break;
    const Instant now = deps_.clock.now();
    if (next > now) deps_.waker.wait(next - now);
  }
  drop_sinks();  // closing one takes a while: here, beside those of the other shards
}

Instant ShardWorker::step() {
  const Instant now = deps_.clock.now();
  retry_at_ = now + kForever;
  handle_messages(now);
  take_deliveries(now);
  release(now);
  core_.tick(now);
  carry_out(now);
  const bool more = work(now);
  release(now);
  carry_out(now);
  if (now >= cache_at_ || finished()) save_cache(now);
  if (now >= publish_at_ || finished()) publish(now);
  check_goals();
  if (finished() || more) return now;
  return std::min({core_.deadline(), retry_at_, publish_at_});
}

// ---- messages -------------------------------------------------------------------------------

void ShardWorker::handle_messages(Instant now) {
  std::vector<ShardMessage> messages;
  {
    const std::lock_guard lock(mailbox_mutex_);
    messages.swap(mailbox_);
  }
  for (ShardMessage& message : messages) handle(message, now);
}

void ShardWorker::handle(ShardMessage& message, Instant now) {
  // Until the ledger is read there are no partitions to talk about.
  const bool early = deps_.ledger && !deps_.ledger->known();
  if (early && !std::holds_alternative<StopMessage>(message)) {
    before_ledger_.push_back(std::move(message));
    return;
  }
  std::visit(
      Overloaded{
          [&](AddPartitionMessage& add) { handle(add, now); },
          [&](RouteMessage& route) { set_route(*partitions_[route.slot], std::move(route.route)); },
          [&](SuspectMessage& suspect) {
            log(Level::kInfo, "looking again at what was copied",
                {{"pipeline", deps_.options.name},
                 {"topic", partitions_[suspect.slot]->at.topic},
                 {"partition", partitions_[suspect.slot]->at.partition.value},
                 {"reason", suspect.why}});
            core_.reassign(suspect.slot);
          },
          [&](ReassignMessage& reassign) {
            log_folded(Level::kWarning, "assigning a partition again",
                       {{"pipeline", deps_.options.name},
                        {"topic", partitions_[reassign.slot]->at.topic},
                        {"partition", partitions_[reassign.slot]->at.partition.value},
                        {"reason", reassign.why}});
            core_.reassign(reassign.slot);
          },
          [&](SinkMessage& sink) {
            sink_options_ = sink.options;
            core_.want_new_sink(now);
          },
          [&](GroupCommittedMessage& done) {
            if (done.error) {
              log_folded(Level::kWarning, "commit to the consumer group failed, will be repeated",
                         {{"pipeline", deps_.options.name}, {"error", done.error->message}});
            }
            core_.group_committed(done.offsets, !done.error);
          },
          [&](GroupSeenMessage& seen) { core_.group_seen(seen.slot, seen.group); },
          [&](StopMessage& stop) { core_.stop(now, stop.drain); },
      },
      message);
}

void ShardWorker::handle(AddPartitionMessage& message, Instant now) {
  if (deps_.ledger) {
    // Where nothing was ever committed, the start is what policy, store and group made it.
    PartitionStart& start = message.start;
    const LedgerPosition* said = deps_.ledger->find(message.at);
    digests_.set(message.slot, message.at, said != nullptr ? said->digest : RunningDigest{});
    if (said != nullptr) {
      start.position = said->position;
      start.fresh = start.save_now = false;
    } else if (deps_.ledger->begun()) {
      start.position = {};  // a new partition, from its beginning
      start.fresh = true;
      start.save_now = false;
    } else {
      start.save_now = !start.fresh;
      start.position.witness.reset();  // its hash is keyed by the store
    }
  }
  if (message.slot >= partitions_.size()) partitions_.resize(message.slot + 1);
  if (message.goal) {
    goals_open_ = true;
    caught_up_said_ = false;
  }
  partitions_[message.slot] = PartitionInfo{std::move(message.at), {}, {}, {}, message.goal};
  set_route(*partitions_[message.slot], std::move(message.route));
  core_.add(message.slot, message.start, now);
}

// Records view the names: those in flight keep the one that they were sent with.
void ShardWorker::set_route(PartitionInfo& partition, Route route) {
  partition.target_topic = *topics_.insert(route.target_topic).first;
  partition.dead_letter_topic = *topics_.insert(route.dead_letter_topic).first;
  partition.route = std::move(route);
}

void ShardWorker::check_goals() {
  if (!goals_open_ || caught_up_said_ || hand_.batch != nullptr || !before_ledger_.empty()) return;
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    const auto& partition = partitions_[slot];
    if (!partition || !partition->goal) continue;
    // What is acknowledged in a transaction may still come to nothing.
    const Offset reached = deps_.ledger ? core_.durable(slot) : core_.position(slot);
    if (!core_.settled(slot) || reached < *partition->goal) return;
  }
  caught_up_said_ = true;
  deps_.listener.on_caught_up(deps_.shard);
}

// ---- deliveries -----------------------------------------------------------------------------

void ShardWorker::take_deliveries(Instant now) {
  take_deliveries(sink_, now);
  take_deliveries(dead_letter_sink_, now);
  if (deps_.ledger) take_transaction_events(now);
}

void ShardWorker::take_deliveries(std::unique_ptr<Sink>& sink, Instant now) {
  if (!sink) return;
  deliveries_.clear();
  sink->poll(deliveries_);
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  for (const Delivery& delivery : deliveries_) {
    const auto entry = static_cast<EntryId>(delivery.cookie);
    if (delivery.delivered) {
      ++count;
      bytes += in_flight_[entry].bytes;
      core_.delivered(entry, now);
    } else {
      core_.undelivered(entry, delivery.error, now);
    }
  }
  stats_.delivered.fetch_add(count, std::memory_order_relaxed);
  stats_.delivered_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (const auto fatal = sink->fatal()) lose_sinks(*fatal, now);
}

void ShardWorker::lose_sinks(const Error& error, Instant now) {
  log(Level::kWarning, "the producer became unusable; making a new one from the last position",
      {{"pipeline", deps_.options.name}, {"shard", deps_.shard}, {"error", error.message}});
  drop_sinks();
  core_.sink_lost(now);
  // Refused credentials, say: a new producer would be refused as well.
  const ErrorClass error_class = class_of(error.code);
  if (error_class == ErrorClass::kPipeline || error_class == ErrorClass::kStop) core_.fail(error);
}

void ShardWorker::release(Instant /*now*/) {
  for (const ShardCore::Released& released : core_.collect_released()) {
    const InFlight& done = in_flight_[released.entry];
    if (released.newest) {
      Record& record = done.batch->records[done.index];
      record.key = done.key;
      record.value = done.value;
      record.timestamp_ms = done.timestamp_ms;
      core_.witness(released.slot, witness_of(record, hash_seed_));
    }
    if (deps_.ledger && released.passed) digests_.add(released.slot, done.digest);
    let_go(done.batch);
  }
}

void ShardWorker::let_go(Batch* batch) {
  if (--batch->unreleased == 0 && batch != hand_.batch) recycle(batch);
}

void ShardWorker::recycle(Batch* batch) {
  core_.discharge(batch->charged_bytes);
  batch->clear();
  free_batches_.push_back(batch);
}

// ---- commands -------------------------------------------------------------------------------

void ShardWorker::carry_out(Instant now) {
  for (auto commands = core_.take_commands(); !commands.empty(); commands = core_.take_commands()) {
    for (const Command& command : commands) {
      std::visit(Overloaded{
                     [&](const AssignCommand& assign) {
                       const auto done = deps_.source.assign(
                           {deps_.shard, assign.slot, partitions_[assign.slot]->at, assign.start});
                       if (!done) core_.fail(done.error());
                     },
                     [&](const QueryRangeCommand& query) {
                       const auto range =
                           deps_.source.watermarks(partitions_[query.slot]->at, kRangeTimeout);
                       if (range) {
                         core_.range(query.slot, range->low, range->high);
                       } else {
                         core_.range_failed(query.slot, range.error());
                       }
                     },
                     [&](const PurgeCommand&) {
                       if (sink_) sink_->purge();
                     },
                     [&](const NewSinkCommand&) { make_sinks(); },
                     [&](const CommitCommand& commit) {
                       if (deps_.ledger) {
                         state_in_ledger(commit);
                       } else {
                         save(commit, now);
                       }
                     },
                     [&](const CutCommand& cut) {
                       cut_at_ = deps_.clock.now();
                       core_.cut(sink_->cut(cut.how));
                     },
                     [&](const AbortCommand&) {
                       cut_at_ = deps_.clock.now();
                       sink_->abort();
                     },
                     [&](const GroupCommitCommand& commit) {
                       std::vector<std::pair<TopicPartition, GroupOffset>> offsets;
                       offsets.reserve(commit.offsets.size());
                       for (const auto& [slot, group] : commit.offsets) {
                         offsets.emplace_back(partitions_[slot]->at, group);
                       }
                       deps_.source.commit(std::move(offsets));
                     },
                     [&](const NoticeCommand& notice) { say(notice); },
                     [&](const FailCommand& failed) {
                       deps_.listener.on_failed(deps_.shard, failed.error);
                     },
                     [&](const StoppedCommand&) { deps_.listener.on_stopped(deps_.shard); },
                 },
                 command);
    }
  }
}

void ShardWorker::drop_sinks() {
  if (sink_) adapted_before_ += sink_->adapted();
  sink_.reset();
  dead_letter_sink_.reset();
}

void ShardWorker::make_sinks() {
  drop_sinks();
  sink_options_.transaction = deps_.transaction;
  auto sink = deps_.target.make_sink(sink_options_, deps_.waker);
  // In a transaction, dead letters go with it.
  if (sink && deps_.dead_letter_target != nullptr && !deps_.ledger) {
    // Few records, limits that are not known here, and no neighbour to refuse along with one.
    SinkOptions options;
    options.one_record_a_request = true;
    options.smallest_limit = kNoLimit;
    options.largest_limit = kNoLimit;
    options.unsendable = Unsendable::kAdapt;
    auto dead = deps_.dead_letter_target->make_sink(options, deps_.waker);
    if (!dead) {
      core_.fail(dead.error());
      return;
    }
    dead_letter_sink_ = std::move(*dead);
  }
  if (!sink) {
    core_.fail(sink.error());
    return;
  }
  sink_ = std::move(*sink);
  if (!deps_.ledger) core_.sink_ready();
}

// ---- exactly-once ---------------------------------------------------------------------------

void ShardWorker::take_transaction_events(Instant now) {
  while (sink_) {
    const auto event = sink_->take_transaction_event();
    if (!event) return;
    switch (event->kind) {
      case TransactionEvent::Kind::kReady:
        ledger_ready(*event, now);
        break;
      case TransactionEvent::Kind::kCommitted: {
        stats_.commit_stall.add(deps_.clock.now() - cut_at_);
        const bool first = !deps_.ledger->begun();
        deps_.ledger->committed();
        if (first) join_ledger_early();
        digests_.committed();
        for (const PositionUpdate& update : in_commit_) {
          uncached_.insert_or_assign(update.slot, update);
        }
        core_.committed({}, now);
        break;
      }
      case TransactionEvent::Kind::kAborted:
        if (event->error) {
          log_folded(Level::kWarning, "transaction aborted, will be done again",
                     {{"pipeline", deps_.options.name},
                      {"shard", deps_.shard},
                      {"error", event->error->message}});
        }
        digests_.aborted();
        core_.aborted(event->error, now);
        break;
    }
  }
}

void ShardWorker::ledger_ready(const TransactionEvent& event, Instant now) {
  if (auto read = deps_.ledger->read(event.ledger); !read) {
    Error& error = read.error();
    error.message = fmt::format("{} [{}]: {}", deps_.transaction->ledger_topic,
                                deps_.transaction->ledger_partition, error.message);
    core_.fail(std::move(error));
    return;
  }
  hash_seed_ = deps_.ledger->hash_seed();
  digests_.key(deps_.ledger->digest_key(), deps_.cluster_id);
  digests_.aborted();
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    if (const LedgerPosition* said = deps_.ledger->find(partitions_[slot]->at)) {
      core_.resume(slot, said->position);
      digests_.set(slot, said->at, said->digest);
    }
  }
  join_ledger_early();
  core_.sink_ready();
  log(Level::kInfo, deps_.ledger->begun() ? "shard resumes at its ledger" : "shard begins a ledger",
      {{"pipeline", deps_.options.name}, {"shard", deps_.shard}});
  if (!deps_.ledger->begun()) core_.want_commit();
  for (ShardMessage& message : std::exchange(before_ledger_, {})) handle(message, now);
}

void ShardWorker::join_ledger_early() {
  if (!deps_.ledger->begun()) return;
  if (auto header = deps_.ledger->header()) sink_->begin_with(std::move(*header));
}

void ShardWorker::state_in_ledger(const CommitCommand& command) {
  in_commit_ = command.positions;
  std::vector<LedgerStatement> statements;
  statements.reserve(in_commit_.size());
  for (const PositionUpdate& update : in_commit_) {
    statements.push_back(
        {partitions_[update.slot]->at, update.checkpoint.position, digests_.state(update.slot)});
  }
  auto records = deps_.ledger->state(statements, deps_.clock.wall());
  if (!records) {
    core_.fail(records.error());
    return;
  }
  sink_->commit(std::move(*records));
}

// The store follows at leisure: nothing is decided by what it holds.
void ShardWorker::save_cache(Instant now) {
  cache_at_ = now + deps_.options.checkpoint_interval;
  if (uncached_.empty()) return;
  std::vector<PositionUpdate> positions;
  for (const auto& [slot, update] : uncached_) {
    positions.push_back(update);
    positions.back().checkpoint.position.witness.reset();  // its hash is keyed by the ledger
  }
  if (const auto saved = deps_.store.save(entries_of(positions)); !saved) {
    log_folded(Level::kWarning, "the state directory cannot follow the ledger",
               {{"pipeline", deps_.options.name}, {"error", explain(saved.error())}});
    return;
  }
  uncached_.clear();
}

// Readers of the target wait behind an open transaction, and all topics of the shard with it.
void ShardWorker::warn_of_late_end(Instant now) const {
  const auto awaited = core_.awaited();
  if (awaited == ShardCore::Awaited::kNothing || now - cut_at_ < kLateEnd) return;
  std::string what = awaited == ShardCore::Awaited::kAbort ? "the coordinator's abort"
                                                           : "the coordinator's commit";
  if (awaited == ShardCore::Awaited::kDeliveries) {
    what = "the target's answers";
    if (const auto first = core_.first_unanswered()) {
      const InFlight& held = in_flight_[*first];
      const Record& record = held.batch->records[held.index];
      what += fmt::format(" for {} records, first {} for {}", core_.unanswered(), where(record),
                          record.target_topic);
    }
  }
  log_folded(Level::kWarning, "a transaction cannot be ended yet",
             {{"pipeline", deps_.options.name},
              {"shard", deps_.shard},
              {"waits_for", what},
              {"for_s", std::chrono::duration_cast<std::chrono::seconds>(now - cut_at_).count()}});
}

// ---- at least once --------------------------------------------------------------------------

std::vector<CheckpointEntry> ShardWorker::entries_of(
    std::span<const PositionUpdate> positions) const {
  std::vector<CheckpointEntry> entries;
  entries.reserve(positions.size());
  const WallMillis wall = deps_.clock.wall();
  for (const PositionUpdate& update : positions) {
    Checkpoint checkpoint = update.checkpoint;
    checkpoint.saved_at = wall;
    entries.push_back(
        {{deps_.options.name, deps_.cluster_id, partitions_[update.slot]->at}, checkpoint});
  }
  return entries;
}

void ShardWorker::save(const CommitCommand& command, Instant now) {
  const auto saved = deps_.store.save(entries_of(command.positions));
  if (!saved) {
    log_folded(Level::kError, "checkpoint not saved, the shard waits",
               {{"pipeline", deps_.options.name}, {"error", explain(saved.error())}});
  }
  stats_.store_failing.store(!saved, std::memory_order_relaxed);
  core_.committed(saved, now);
}

void ShardWorker::say(const NoticeCommand& notice) const {
  const auto& partition = partitions_[notice.slot];
  log_folded(notice.level, notice.text,
             {{"pipeline", deps_.options.name},
              {"topic", partition->at.topic},
              {"partition", partition->at.partition.value}});
}

// ---- records --------------------------------------------------------------------------------

Batch& ShardWorker::fresh_batch() {
  if (free_batches_.empty()) {
    batches_.push_back(std::make_unique<Batch>());
    free_batches_.push_back(batches_.back().get());
  }
  Batch& batch = *free_batches_.back();
  free_batches_.pop_back();
  return batch;
}

// Works on the batch in hand, or takes one. True: there may be more to do at once.
bool ShardWorker::work(Instant now) {
  if (hand_.batch == nullptr) {
    if (!core_.may_poll()) return false;
    Batch& batch = fresh_batch();
    deps_.source.feed(deps_.shard).poll(batch, kBatchRecords);
    if (batch.size == 0 && batch.events.empty()) {
      recycle(&batch);
      return false;
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < batch.size; ++i) bytes += payload_bytes(batch.records[i]);
    batch.charged_bytes = std::max(bytes + batch.size * kRecordOverhead, kLeastBatchCharge);
    batch.unreleased = batch.size;
    core_.charge(batch.charged_bytes);
    stats_.consumed.fetch_add(batch.size, std::memory_order_relaxed);
    hand_ = Hand{};
    hand_.batch = &batch;
    hand_.era = core_.era();
  }
  while (hand_.index < hand_.batch->size) {
    if (finished() || core_.state() == ShardCore::State::kStopping) return false;
    if (work_record(hand_.batch->records[hand_.index], now) == Progress::kBlocked) return false;
  }
  handle_events(now);
  Batch* done = std::exchange(hand_.batch, nullptr);
  // What transforms wrote stays as long as what was consumed.
  const std::size_t written = done->arena.bytes_held();
  done->charged_bytes += written;
  core_.charge(written);
  if (done->unreleased == 0) recycle(done);
  return true;
}

void ShardWorker::handle_events(Instant now) {
  for (const FeedEvent& event : hand_.batch->events) {
    if (event.slot >= partitions_.size() || !partitions_[event.slot]) continue;
    switch (event.kind) {
      case FeedEvent::Kind::kEnd:
        core_.end_of_partition(event.slot, event.offset, hand_.era, now);
        break;
      case FeedEvent::Kind::kOutOfRange:
        core_.out_of_range(event.slot, hand_.era);
        break;
      case FeedEvent::Kind::kUnknownTopic:
        log_folded(
            Level::kWarning, "the source topic is gone; its partition is looked at again",
            {{"pipeline", deps_.options.name}, {"topic", partitions_[event.slot]->at.topic}});
        core_.reassign(event.slot);
        break;
      case FeedEvent::Kind::kError: {
        const auto& at = partitions_[event.slot]->at;
        log_folded(Level::kWarning, "fetching reports an error",
                   {{"pipeline", deps_.options.name},
                    {"topic", at.topic},
                    {"partition", at.partition.value},
                    {"error", event.error.message}});
        const ErrorClass error_class = class_of(event.error.code);
        if (error_class == ErrorClass::kPipeline || error_class == ErrorClass::kStop) {
          core_.fail(event.error);
        }
        break;
      }
    }
  }
}

void ShardWorker::next_record() {
  ++hand_.index;
  hand_.started = false;
  hand_.next = 0;
  hand_.ready = false;
  hand_.failure.reset();
  hand_.dead_letter.reset();
  hand_.sealed = false;
}

void ShardWorker::skip_record() {
  --hand_.batch->unreleased;
  next_record();
}

ShardWorker::Progress ShardWorker::work_record(Record& record, Instant now) {
  switch (core_.admit(record.slot, record.offset, hand_.era, now)) {
    case ShardCore::Admission::kSkip:
      skip_record();
      return Progress::kDone;
    case ShardCore::Admission::kVerify:
      core_.verify(record.slot, witness_of(record, hash_seed_), now);
      skip_record();
      return Progress::kDone;
    case ShardCore::Admission::kCondemned:
      if (!hand_.failure) {
        hand_.failure = core_.condemned(record.slot, record.offset);
        hand_.failed_in = "target";
      }
      break;
    case ShardCore::Admission::kProcess:
      break;
  }
  if (!core_.may_send(record.slot)) return Progress::kBlocked;
  if (!hand_.started) {
    hand_.started = true;
    hand_.key = record.key;
    hand_.value = record.value;
    hand_.timestamp_ms = record.timestamp_ms;
  }
  if (!hand_.failure && !hand_.ready && apply_chain(record, now) == Progress::kBlocked) {
    return Progress::kBlocked;
  }
  if (!hand_.started) return Progress::kDone;  // dropped by a transform
  if (!hand_.failure && send(record, now) == Progress::kBlocked) return Progress::kBlocked;
  if (hand_.failure) return fail_record(record, now);
  return Progress::kDone;
}

ShardWorker::Progress ShardWorker::apply_chain(Record& record, Instant now) {
  record.target_topic = partitions_[record.slot]->target_topic;
  Scratch scratch{hand_.batch->arena, now};
  const Outcome outcome = deps_.chain.apply(record, scratch, hand_.next);
  const bool waits = outcome.kind() == Outcome::Kind::kWait;
  if (waits != stats_.waiting_for_keys.load(std::memory_order_relaxed)) {
    stats_.waiting_for_keys.store(waits, std::memory_order_relaxed);
  }
  switch (outcome.kind()) {
    case Outcome::Kind::kKeep:
      hand_.ready = true;
      return Progress::kDone;
    case Outcome::Kind::kDrop:
      remember(core_.drop(record.slot, record.offset, now), 0);
      stats_.dropped.fetch_add(1, std::memory_order_relaxed);
      next_record();
      return Progress::kDone;
    case Outcome::Kind::kWait:
      retry_at_ = std::min(retry_at_, now + kRetry);
      prefetch_rest(now);
      if (!outcome.error().message.empty()) {
        log_folded(Level::kWarning, "waiting for a key store",
                   {{"pipeline", deps_.options.name},
                    {"transform", deps_.chain.describe(hand_.next)},
                    {"error", explain(outcome.error())}});
      }
      return Progress::kBlocked;
    case Outcome::Kind::kFail:
      hand_.failure = outcome.error();
      hand_.failed_in = deps_.chain.describe(hand_.next);
      return Progress::kDone;
  }
  return Progress::kDone;
}

// The keys that the records behind a waiting one need are asked for together with its own.
void ShardWorker::prefetch_rest(Instant now) {
  if (std::exchange(hand_.prefetched, true)) return;
  for (std::size_t i = hand_.index + 1; i < hand_.batch->size; ++i) {
    deps_.chain.prefetch(hand_.batch->records[i], now);
  }
}

Result<std::int32_t> ShardWorker::target_partition(const Record& record,
                                                   const PartitionInfo& info) const {
  const std::int32_t count = info.route.target_partitions;
  if (record.partition.value < count) return record.partition.value;
  if (deps_.options.partitions == PartitionPolicy::kError || count <= 0) {
    return fail(ErrorCode::kPartition,
                "topic {} on the target has {} partitions and the record is of partition {}",
                info.route.target_topic, count, record.partition.value);
  }
  if (record.key) return partition_for_key(*record.key, count);
  return record.partition.value % count;
}

ShardWorker::InFlight& ShardWorker::remember(EntryId entry, std::size_t bytes) {
  if (entry >= in_flight_.size()) in_flight_.resize(entry + 1);
  in_flight_[entry] =
      InFlight{hand_.batch,        static_cast<std::uint32_t>(hand_.index), hand_.key, hand_.value,
               hand_.timestamp_ms, static_cast<std::uint32_t>(bytes),       {}};
  return in_flight_[entry];
}

RunningDigest ShardWorker::digest(const Record& record) const {
  return deps_.ledger ? digests_.of(record.slot, record) : RunningDigest{};
}

ShardWorker::Progress ShardWorker::send(Record& record, Instant now) {
  const PartitionInfo& info = *partitions_[record.slot];
  if (!record.target_partition) {
    const auto partition = target_partition(record, info);
    if (!partition) {
      hand_.failure = partition.error();
      hand_.failed_in = "partitions";
      return Progress::kDone;
    }
    record.target_partition = Partition{*partition};
  }
  const RunningDigest digested = digest(record);
  const EntryId entry = core_.reserve();
  const auto sent = sink_->send(record, entry);
  if (sent && *sent == SendStatus::kAccepted) {
    remember(entry, payload_bytes(record)).digest = digested;
    core_.begin(entry, record.slot, record.offset);
    next_record();
    return Progress::kDone;
  }
  core_.unreserve(entry);
  if (sent) {  // the queue is full: deliveries make room
    retry_at_ = std::min(retry_at_, now + kRetry);
    return Progress::kBlocked;
  }
  switch (class_of(sent.error().code)) {
    case ErrorClass::kRecord:
      hand_.failure = sent.error();
      hand_.failed_in = "target";
      return Progress::kDone;
    case ErrorClass::kRetry:
    case ErrorClass::kPause:
      if (sent.error().code == ErrorCode::kClientFatal) {
        lose_sinks(sent.error(), now);
      } else {
        log_folded(Level::kWarning, "the record cannot be sent yet",
                   {{"pipeline", deps_.options.name}, {"error", sent.error().message}});
      }
      retry_at_ = std::min(retry_at_, now + kRetry);
      return Progress::kBlocked;
    case ErrorClass::kPipeline:
    case ErrorClass::kStop:
      core_.fail(sent.error());
      return Progress::kBlocked;
  }
  return Progress::kBlocked;
}

// ---- failures -------------------------------------------------------------------------------

std::string ShardWorker::where(const Record& record) const {
  return fmt::format("{}-{}@{}", partitions_[record.slot]->at.topic, record.partition.value,
                     record.offset.value);
}

ShardWorker::Progress ShardWorker::fail_record(Record& record, Instant now) {
  const Error& error = *hand_.failure;
  const ErrorClass error_class = class_of(error.code);
  if (error_class == ErrorClass::kPipeline || error_class == ErrorClass::kStop ||
      deps_.options.on_error == OnError::kStop) {
    core_.fail(Error{error.code, fmt::format("record {} failed in {}: {}", where(record),
                                             hand_.failed_in, error.message)});
    return Progress::kBlocked;
  }
  if (deps_.options.on_error == OnError::kDeadLetter) return send_dead_letter(record, now);
  log_folded(Level::kWarning, "record dropped (on-error: drop)",
             {{"pipeline", deps_.options.name},
              {"record", where(record)},
              {"in", hand_.failed_in},
              {"code", name_of(error.code)},
              {"error", error.message}});
  stats_.failed.fetch_add(1, std::memory_order_relaxed);
  remember(core_.drop(record.slot, record.offset, now), 0);
  next_record();
  return Progress::kDone;
}

void ShardWorker::build_dead_letter(const Record& record, const PartitionInfo& info) {
  hand_.dead_letter = std::make_unique<Record>(record);
  Record& dead = *hand_.dead_letter;
  dead.key = hand_.key;
  dead.value = hand_.value;
  dead.timestamp_ms = hand_.timestamp_ms;
  dead.headers.restore();
  dead.headers.keep_native();
  dead.target_topic = info.dead_letter_topic;
  dead.target_partition =
      Partition{record.partition.value % std::max(info.route.dead_letter_partitions, 1)};
}

ShardWorker::Progress ShardWorker::send_dead_letter(Record& record, Instant now) {
  const PartitionInfo& info = *partitions_[record.slot];
  if (!hand_.dead_letter) build_dead_letter(record, info);
  Record& dead = *hand_.dead_letter;
  if (!hand_.sealed) {
    if (deps_.seal) {
      Scratch scratch{hand_.batch->arena, now};
      const Outcome outcome = deps_.seal->apply(dead, scratch);
      if (outcome.kind() == Outcome::Kind::kWait) {
        retry_at_ = std::min(retry_at_, now + kRetry);
        log_folded(Level::kWarning, "waiting for a key store to seal a dead letter",
                   {{"pipeline", deps_.options.name}, {"error", explain(outcome.error())}});
        return Progress::kBlocked;
      }
      if (outcome.kind() != Outcome::Kind::kKeep) {
        core_.fail(Error{outcome.error().code,
                         fmt::format("the dead letter for record {} cannot be sealed: {}",
                                     where(record), outcome.error().message)});
        return Progress::kBlocked;
      }
    }
    append_dead_letter_headers(dead, deps_.options, hand_.failed_in, *hand_.failure,
                               hand_.batch->arena);
    hand_.sealed = true;
  }
  const RunningDigest digested = digest(dead);
  const EntryId entry = core_.reserve();
  const auto sent = sink_for_dead_letters().send(dead, entry);
  if (sent && *sent == SendStatus::kAccepted) {
    log_folded(Level::kWarning, "record sent to the dead-letter topic",
               {{"pipeline", deps_.options.name},
                {"record", where(record)},
                {"in", hand_.failed_in},
                {"code", name_of(hand_.failure->code)},
                {"error", hand_.failure->message}});
    stats_.failed.fetch_add(1, std::memory_order_relaxed);
    stats_.dead_letters.fetch_add(1, std::memory_order_relaxed);
    remember(entry, 0).digest = digested;
    core_.begin(entry, record.slot, record.offset, true);
    next_record();
    return Progress::kDone;
  }
  core_.unreserve(entry);
  retry_at_ = std::min(retry_at_, now + kRetry);
  if (sent) return Progress::kBlocked;
  if (sent.error().code == ErrorCode::kClientFatal) {
    lose_sinks(sent.error(), now);
  } else if (class_of(sent.error().code) != ErrorClass::kRetry) {
    core_.fail(Error{sent.error().code, fmt::format("the dead letter for record {} was refused: {}",
                                                    where(record), sent.error().message)});
  }
  return Progress::kBlocked;
}

// ---- what is shown --------------------------------------------------------------------------

void ShardWorker::publish(Instant now) {
  publish_at_ = now + kPublishInterval;
  std::int64_t lag = 0;
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    if (const auto marks = deps_.source.cached_watermarks(partitions_[slot]->at)) {
      lag += std::max<std::int64_t>(0, marks->high.value - core_.position(slot).value);
    }
  }
  stats_.lag.store(lag, std::memory_order_relaxed);
  stats_.adapted.store(adapted_before_ + (sink_ ? sink_->adapted() : 0), std::memory_order_relaxed);
  stats_.in_flight.store(core_.outstanding(), std::memory_order_relaxed);
  stats_.in_flight_bytes.store(core_.in_flight_bytes(), std::memory_order_relaxed);
  warn_of_late_end(now);
}

}  // namespace drawbridge

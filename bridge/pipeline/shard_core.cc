#include "bridge/pipeline/shard_core.h"

#include <algorithm>

namespace drawbridge {

ShardCore::ShardCore(const ShardLimits& limits, OnGap on_gap, Instant now)
    : limits_(limits),
      on_gap_(on_gap),
      not_before_(now),
      next_commit_(now +
                   (limits.transactional ? limits.commit_interval : limits.checkpoint_interval)),
      next_group_refresh_(now + limits.group_refresh),
      next_group_(now) {
  sink_down_ = limits.transactional;  // until the ledger is read
}

void ShardCore::notice(Level level, SlotId slot, std::string text) {
  emit(NoticeCommand{level, slot, std::move(text)});
}

// ---- partitions -----------------------------------------------------------------------------

void ShardCore::add(SlotId slot, const PartitionStart& start, Instant now) {
  if (slot >= partitions_.size()) partitions_.resize(slot + 1);
  partitions_[slot] = std::make_unique<Partition>(start.position.next);
  Partition& partition = at(slot);
  partition.fresh = start.fresh;
  partition.witness = start.position.witness;
  partition.durable = start.position.next;
  partition.anchor = start.position;
  partition.line = partition.durable_line = start.line;
  // The group may lag behind what was saved, or have lost its offset: it is told again.
  const bool tell = !start.fresh && start.group_committed != start.position.next;
  partition.unsaved = start.save_now || (tell && !limits_.transactional);
  group_behind_ = group_behind_ || (tell && limits_.transactional);
  partition.start_unsaved = start.save_now;
  if (start.save_now) ++starts_unsaved_;
  partition.group_committed = start.group_committed;
  partition.group_pending = start.group_pending;
  partition.group_time = now;
  read_from_position(slot, partition, true);
}

// Everything that was fetched before this moment is of an older era and will be skipped.
void ShardCore::read_from_position(SlotId slot, Partition& partition, bool verify) {
  const Offset position = partition.tracker.committable();
  partition.valid_from_era = ++era_;
  partition.expected = position;
  partition.end_seen.reset();
  partition.mismatch.reset();
  partition.proven = false;
  partition.suspected = false;
  // A witness that aged out stays where it was saved.
  partition.adopting =
      verify && !partition.witness && !partition.anchor.witness && position > Offset{0};
  const bool verifying = verify && partition.witness;
  partition.phase = verifying || partition.adopting ? Phase::kVerifying : Phase::kActive;
  emit(AssignCommand{slot, verifying            ? partition.witness->offset
                           : partition.adopting ? Offset{position.value - 1}
                                                : position});
}

// Is there a witness that only has to be saved, while the position is durable?
bool ShardCore::adopted(const Partition& partition) {
  return partition.witness && !partition.anchor.witness &&
         partition.tracker.committable() == partition.anchor.next;
}

void ShardCore::reassign(SlotId slot) {
  if (!alive()) return;
  Partition& partition = at(slot);
  // A witness that is being looked for may come from a batch that was read before.
  if (partition.phase == Phase::kQuerying) return;
  partition.suspected = true;
  drain();
}

void ShardCore::query_range(Partition& partition) {
  partition.phase = Phase::kQuerying;
  partition.valid_from_era = ++era_;
  if (!std::exchange(partition.query_wanted, true)) ++queries_wanted_;
}

// The first question of a partition goes out at once; then ever more slowly, until its position
// moves: the answer and the log may go on contradicting each other.
void ShardCore::ask_ranges(Instant now) {
  if (queries_wanted_ == 0 || !alive()) return;
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    Partition& partition = at(slot);
    if (!partition.query_wanted || now < partition.query_not_before) continue;
    partition.query_wanted = false;
    --queries_wanted_;
    partition.query_backoff =
        std::clamp(partition.query_backoff * 2, limits_.retry_least, limits_.retry_most);
    partition.query_not_before = now + partition.query_backoff;
    emit(QueryRangeCommand{slot});
  }
}

void ShardCore::out_of_range(SlotId slot, std::uint64_t era) {
  Partition& partition = at(slot);
  if (!alive() || era < partition.valid_from_era || partition.phase == Phase::kQuerying) return;
  // With records in flight, or a witness to look at, go back to a known place first.
  const bool settled = partition.tracker.held() == 0;
  if (partition.phase == Phase::kActive && (!settled || partition.witness)) {
    reassign(slot);
  } else {
    query_range(partition);
  }
}

void ShardCore::range(SlotId slot, Offset low, Offset high) {
  Partition& partition = at(slot);
  if (!alive() || partition.phase != Phase::kQuerying) return;
  const Offset position = partition.tracker.committable();
  if (partition.fresh) {
    partition.tracker.reset(std::max(low, position));
    if (position > high) partition.tracker.reset(low);
    partition.anchor = {partition.tracker.committable(), std::nullopt};
    partition.unsaved = true;
    read_from_position(slot, partition, false);
  } else if (partition.mismatch) {
    gap(slot, partition,
        fmt::format("the record at offset {} is not {}, so the topic was deleted and recreated, or "
                    "truncated; offsets {} to {} of the present log have not been read",
                    partition.mismatch->value,
                    *partition.mismatch == partition.witness->offset
                        ? "the one that was copied"
                        : "one of those that were copied up to there",
                    low.value, std::max(low.value, std::min(position.value, high.value) - 1)),
        low);
  } else if (position > high) {
    gap(slot, partition,
        fmt::format("the log ends at offset {}, before the checkpoint at {}: the topic was "
                    "truncated, or deleted and recreated; {}",
                    high.value, position.value,
                    low == high
                        ? "the present log is empty"
                        : fmt::format("offsets {} to {} of the present log have not been read",
                                      low.value, high.value - 1)),
        low);
  } else if (low > position) {
    gap(slot, partition,
        fmt::format("offsets {} to {} are gone: the log starts at {} now, after the checkpoint "
                    "at {} (retention removed records before they were copied)",
                    position.value, low.value - 1, low.value, position.value),
        low);
  } else if (partition.witness && partition.witness->offset >= low) {
    // The witness must be there: look again. An open transaction may hide it in a new log.
    read_from_position(slot, partition, true);
  } else {
    if (partition.witness) unproven(slot, partition, "it has aged out of the log");
    partition.witness.reset();
    read_from_position(slot, partition, false);
  }
}

void ShardCore::range_failed(SlotId slot, const Error& error) {
  Partition& partition = at(slot);
  if (!alive() || partition.phase != Phase::kQuerying) return;
  if (class_of(error.code) != ErrorClass::kRetry) {
    fail(error);
    return;
  }
  query_range(partition);
}

void ShardCore::unproven(SlotId slot, Partition& partition, std::string_view why) {
  if (std::exchange(partition.unproven_said, true)) return;
  notice(Level::kWarning, slot,
         fmt::format("that this is still the topic which was copied up to offset {} cannot be "
                     "proven: the record before it is not there, {}",
                     partition.tracker.committable().value, why));
}

void ShardCore::gap(SlotId slot, Partition& partition, const std::string& what, Offset low) {
  if (on_gap_ == OnGap::kStop) {
    // The shell puts topic and partition in front.
    notice(Level::kError, slot, what);
    fail(Error{ErrorCode::kGap, what});
    return;
  }
  notice(Level::kError, slot,
         fmt::format("{}; going on at {} (on-gap: earliest)", what, low.value));
  partition.witness.reset();
  partition.tracker.reset(low);
  partition.anchor = {low, std::nullopt};
  ++partition.line;
  // Not to be repeated: it is of the line that ends here.
  partition.group_pending.reset();
  partition.unsaved = true;
  // What was refused was refused in another log.
  partition.condemned.clear();
  end_isolation(partition);
  read_from_position(slot, partition, false);
}

void ShardCore::end_of_partition(SlotId slot, Offset offset, std::uint64_t era, Instant /*now*/) {
  Partition& partition = at(slot);
  if (!alive() || era < partition.valid_from_era) return;
  const Offset position = partition.tracker.committable();
  partition.fresh = false;
  if (partition.phase == Phase::kVerifying) {
    if (offset < position) {  // nothing where something was copied: a shorter log
      query_range(partition);
      return;
    }
    if (partition.witness && !partition.proven) {
      unproven(slot, partition, "it was compacted away or is hidden by an open transaction");
    }
    partition.phase = Phase::kActive;
  }
  if (partition.phase != Phase::kActive) return;
  if (offset < position && partition.tracker.held() == 0) {
    reassign(slot);
    return;
  }
  partition.end_seen = offset;
  apply_end(partition);
}

void ShardCore::apply_end(Partition& partition) {
  if (!partition.end_seen || partition.tracker.outstanding() > 0) return;
  if (partition.tracker.advance_to(*partition.end_seen)) {
    partition.expected = std::max(partition.expected, *partition.end_seen);
    position_moved(partition);
  }
}

// ---- polling and records --------------------------------------------------------------------

bool ShardCore::may_poll() const {
  return state_ == State::kRunning && !sink_down_ && !store_error_ && starts_unsaved_ == 0 &&
         in_flight_bytes_ < limits_.in_flight_bytes && outstanding_ < limits_.in_flight_records;
}

ShardCore::Admission ShardCore::admit(SlotId slot, Offset offset, std::uint64_t era,
                                      Instant /*now*/) {
  if (slot >= partitions_.size() || !partitions_[slot]) return Admission::kSkip;
  Partition& partition = at(slot);
  if (era < partition.valid_from_era) return Admission::kSkip;
  if (partition.phase == Phase::kVerifying) {
    const bool before = offset < partition.tracker.committable();
    if (partition.adopting && before) return Admission::kVerify;
    if (partition.witness && offset == partition.witness->offset) return Admission::kVerify;
    if (partition.witness && offset < partition.witness->offset) return Admission::kSkip;
    if (before) {
      // The witness was the last record before the position: nothing was here.
      partition.mismatch = offset;
      query_range(partition);
      return Admission::kSkip;
    }
    if (partition.witness && !partition.proven) {
      unproven(slot, partition, "it was compacted away");
    }
    partition.phase = Phase::kActive;
  }
  if (partition.phase != Phase::kActive || offset < partition.expected) return Admission::kSkip;
  return partition.condemned.contains(offset) ? Admission::kCondemned : Admission::kProcess;
}

const Error& ShardCore::condemned(SlotId slot, Offset offset) const {
  return at(slot).condemned.at(offset);
}

void ShardCore::verify(SlotId slot, const Witness& seen, Instant /*now*/) {
  Partition& partition = at(slot);
  if (partition.phase != Phase::kVerifying) return;
  if (std::exchange(partition.adopting, false)) {
    partition.witness = seen;
    partition.proven = true;
    partition.unsaved = true;
    return;
  }
  if (seen == *partition.witness) {
    partition.proven = true;
    return;
  }
  partition.mismatch = seen.offset;
  query_range(partition);
}

bool ShardCore::may_send(SlotId slot) const {
  if (state_ != State::kRunning || sink_down_) return false;
  if (isolating_ == 0) return true;
  const std::size_t most = isolating(slot) ? window(slot) : IsolationWindow::kMost;
  return round_sent_ < std::min(round_most_, most);
}

bool ShardCore::isolating(SlotId slot) const {
  return slot < partitions_.size() && partitions_[slot] && at(slot).isolate_until;
}

EntryId ShardCore::reserve() {
  if (free_entries_.empty()) {
    free_entries_.push_back(static_cast<EntryId>(entries_.size()));
    entries_.emplace_back();
  }
  const EntryId id = free_entries_.back();
  free_entries_.pop_back();
  return id;
}

void ShardCore::track(EntryId id, SlotId slot, Offset offset) {
  Partition& partition = at(slot);
  partition.expected = offset.next();
  partition.end_seen.reset();
  partition.fresh = false;
  entries_[id] = Entry{slot, partition.tracker.track(offset, 1, id), offset};
  ++outstanding_;
}

void ShardCore::begin(EntryId id, SlotId slot, Offset offset, bool dead_letter) {
  track(id, slot, offset);
  entries_[id].in_sink = true;
  entries_[id].dead_letter = dead_letter;
  // What is sent beside a record shares its request, and its blame.
  if (alone_) entries_[*alone_].alone = false;
  alone_.reset();
  if (isolating_ > 0 && unanswered_ == 0) {
    entries_[id].alone = true;
    alone_ = id;
  }
  entries_[id].number = begun_++;
  ++unanswered_;
  ++round_sent_;
  entries_[id].nth = share(at(slot)).sent++;
  if (isolating(slot)) round_most_ = std::min(round_most_, window(slot));
}

void ShardCore::answered(const Entry& entry) {
  --unanswered_;
  if (closing_ && entry.number < cut_before_) --unanswered_closing_;
}

EntryId ShardCore::drop(SlotId slot, Offset offset, Instant /*now*/) {
  const EntryId id = reserve();
  track(id, slot, offset);
  acknowledge(id);
  return id;
}

void ShardCore::acknowledge(EntryId id) {
  Entry& entry = entries_[id];
  Partition& partition = at(entry.slot);
  entry.acknowledged = true;
  --outstanding_;
  ++since_commit_;
  if (!partition.tracker.acked(entry.tracked)) return;
  if (!std::exchange(partition.touched, true)) touched_.push_back(entry.slot);
  position_moved(partition);
}

void ShardCore::position_moved(Partition& partition) {
  partition.unsaved = true;
  partition.query_backoff = Duration{0};
  partition.query_not_before = Instant::min();
  if (partition.isolate_until && partition.tracker.committable() > *partition.isolate_until) {
    end_isolation(partition);
  }
}

void ShardCore::end_isolation(Partition& partition) {
  if (!partition.isolate_until) return;
  partition.isolate_until.reset();
  --isolating_;
}

ShardCore::Share& ShardCore::share(Partition& partition) {
  if (partition.share.round != round_) {
    partition.share = {};
    partition.share.round = round_;
  }
  return partition.share;
}

// Nothing is unanswered: what did the round tell about where refused records are?
void ShardCore::end_round() {
  const std::uint64_t round = round_++;
  const std::size_t sent = std::exchange(round_sent_, 0);
  round_most_ = IsolationWindow::kMost;
  if (isolating_ == 0) return;
  // An abort takes back what was delivered, too.
  const bool all = limits_.transactional && std::ranges::any_of(partitions_, [&](const auto& p) {
                     return p && p->share.round == round && p->share.undelivered > 0;
                   });
  for (const auto& partition : partitions_) {
    if (!partition || !partition->isolate_until || partition->share.round != round) continue;
    const Share& had = partition->share;
    if (had.first_refused) {
      search_again(*partition, all);
    } else if (had.found) {
      partition->window.found();
    } else if (had.undelivered == 0 && !all) {
      partition->window.passed(had.sent, sent - had.sent);
    }
  }
}

// What was sent before the first refused one is sent again, too, where an abort takes it back.
void ShardCore::search_again(Partition& partition, bool all) {
  const Share& had = partition.share;
  const std::size_t suspects = had.last_refused - *had.first_refused + 1;
  if (!all) {
    partition.window.refused(0, std::min(suspects, had.undelivered));
    return;
  }
  const std::int64_t most = had.first_offset.value - partition.anchor.next.value;
  const auto ahead = static_cast<std::size_t>(std::max<std::int64_t>(most, 0));
  partition.window.refused(std::min(ahead, *had.first_refused), suspects);
}

void ShardCore::delivered(EntryId id, Instant /*now*/) {
  entries_[id].in_sink = false;
  answered(entries_[id]);
  // Exactly-once: what is delivered may still come to nothing.
  if (!limits_.transactional) backoff_ = Duration{0};
  acknowledge(id);
  if (unanswered_ == 0) end_round();
}

void ShardCore::undelivered(EntryId id, const Error& error, Instant now) {
  Entry& entry = entries_[id];
  entry.in_sink = false;
  answered(entry);
  ++share(at(entry.slot)).undelivered;
  // Nothing of a transaction stays where a part of it was not delivered.
  if (limits_.transactional && !rewind_all_ && !aborting_) abort_wanted_ = true;
  not_delivered(entry, error, now);
  if (unanswered_ == 0) end_round();
}

void ShardCore::not_delivered(Entry& entry, const Error& error, Instant now) {
  switch (class_of(error.code)) {
    case ErrorClass::kRetry:
    case ErrorClass::kPause:
      if (error.code != ErrorCode::kCancelled) {
        notice(Level::kWarning, entry.slot,
               fmt::format("not delivered, will be sent again: {}", error.message));
        back_off(now);
      }
      drain();
      return;
    case ErrorClass::kRecord:
      if (entry.dead_letter) {
        fail(Error{error.code, fmt::format("the dead letter for offset {} was refused: {}",
                                           entry.offset.value, error.message)});
        return;
      }
      refused(entry, error);
      drain();
      return;
    case ErrorClass::kPipeline:
    case ErrorClass::kStop:
      fail(error);
      return;
  }
}

void ShardCore::refused(Entry& entry, const Error& error) {
  refused_ = true;
  Partition& partition = at(entry.slot);
  if (entry.alone) {
    // Nothing else was in a sink: this one is to blame. It is read again, and goes to the failure
    // policy as it came.
    partition.condemned.insert_or_assign(entry.offset, error);
    share(partition).found = true;
  } else {
    Share& share = this->share(partition);
    if (!share.first_refused || entry.nth < *share.first_refused) {
      share.first_refused = entry.nth;
      share.first_offset = entry.offset;
    }
    share.last_refused = std::max(share.last_refused, entry.nth);
    if (state_ == State::kRunning && !limits_.transactional) emit(PurgeCommand{});
  }
  if (!partition.isolate_until) {
    ++isolating_;
    partition.window = {};
  }
  partition.isolate_until = std::max(partition.isolate_until.value_or(entry.offset), entry.offset);
}

const std::vector<ShardCore::Released>& ShardCore::collect_released() {
  released_.clear();
  std::swap(released_, forgotten_);
  for (const Released& gone : released_) free_entries_.push_back(gone.entry);
  for (const SlotId slot : touched_) {
    Partition& partition = at(slot);
    partition.touched = false;
    const std::size_t released = partition.tracker.release([&](Offset, std::uint64_t id) {
      // What a lost transaction held will be passed again.
      released_.push_back({static_cast<EntryId>(id), slot, false, !rewind_all_});
      free_entries_.push_back(static_cast<EntryId>(id));
    });
    if (released > 0) released_.back().newest = true;
    apply_end(partition);
  }
  touched_.clear();
  return released_;
}

void ShardCore::witness(SlotId slot, const Witness& witness) {
  Partition& partition = at(slot);
  partition.witness = witness;
}

// ---- draining -------------------------------------------------------------------------------

void ShardCore::drain() {
  if (state_ == State::kRunning) state_ = State::kDraining;
}

void ShardCore::back_off(Instant now) {
  // Records of one request fail together: that is one failure.
  if (std::exchange(backed_off_, true)) return;
  backoff_ = std::clamp(backoff_ * 2, limits_.retry_least, limits_.retry_most);
  not_before_ = now + backoff_;
}

void ShardCore::forget(SlotId slot, Partition& partition, Offset position) {
  partition.tracker.reset(position, [&](Offset, std::uint64_t id) {
    const auto entry = static_cast<EntryId>(id);
    if (!entries_[entry].acknowledged) --outstanding_;
    forgotten_.push_back({entry, slot, false, false});
  });
}

void ShardCore::rewind(SlotId slot, Partition& partition) {
  forget(slot, partition, partition.tracker.committable());
  // Another log may have a good record in the condemned one's place: let it be refused again.
  if (partition.suspected) partition.condemned.clear();
  read_from_position(slot, partition, partition.suspected);
}

// Exactly-once: what was acknowledged in a transaction that came to nothing is sent again, too.
void ShardCore::rewind_to_anchor(SlotId slot, Partition& partition) {
  partition.unsaved =
      partition.start_unsaved || partition.anchor.next != partition.durable || adopted(partition);
  const bool at_anchor = partition.tracker.committable() == partition.anchor.next;
  const bool moved = partition.tracker.held() > 0 || !at_anchor;
  if (moved) forget(slot, partition, partition.anchor.next);
  if (!at_anchor) partition.witness = partition.anchor.witness;
  // The answer about the log's range will be seen from there.
  if (partition.phase == Phase::kQuerying) return;
  if (partition.suspected) partition.condemned.clear();
  // Without a witness, one that was adopted has to be read again.
  const bool verify = partition.suspected || !partition.witness;
  if (moved || partition.suspected) read_from_position(slot, partition, verify);
}

void ShardCore::finish_drain(Instant now) {
  if (unanswered_ > 0 || !touched_.empty() || now < not_before_) return;
  // Exactly-once: only a committed place is gone back to.
  if (transaction_busy() || abort_wanted_) return;
  if (limits_.transactional && !rewind_all_ && !sink_down_ && dirty()) return;
  state_ = State::kRunning;
  backed_off_ = false;
  if (std::exchange(new_sink_, false)) {
    sink_down_ = true;
    emit(NewSinkCommand{});
  }
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    Partition& partition = at(slot);
    if (rewind_all_) {
      rewind_to_anchor(slot, partition);
      continue;
    }
    if (partition.phase == Phase::kQuerying) continue;
    if (partition.suspected || partition.tracker.outstanding() > 0) rewind(slot, partition);
  }
  rewind_all_ = false;
}

void ShardCore::sink_lost(Instant now) {
  for (Entry& entry : entries_) {
    if (std::exchange(entry.in_sink, false)) ++share(at(entry.slot)).undelivered;
  }
  unanswered_ = 0;
  end_round();
  if (limits_.transactional) lose_transaction();
  if (!alive()) return;
  new_sink_ = true;
  sink_down_ = true;
  back_off(now);
  drain();
}

void ShardCore::sink_ready() { sink_down_ = false; }

void ShardCore::resume(SlotId slot, const Position& position) {
  Partition& partition = at(slot);
  partition.anchor = position;
  partition.durable = position.next;
  partition.fresh = false;
  if (std::exchange(partition.start_unsaved, false)) --starts_unsaved_;
  // Somebody else may have adopted the same record meanwhile.
  if (position.witness && std::exchange(partition.adopting, false)) {
    partition.witness = position.witness;
  }
  partition.unsaved = partition.tracker.held() == 0 && adopted(partition);
  if (partition.tracker.held() == 0 && partition.tracker.committable() == position.next) return;
  partition.unsaved = false;
  forget(slot, partition, position.next);
  partition.witness = position.witness;
  end_isolation(partition);
  group_behind_ = true;
  read_from_position(slot, partition, true);
}

void ShardCore::want_new_sink(Instant /*now*/) {
  if (!alive()) return;
  new_sink_ = true;
  drain();
}

// ---- committing -----------------------------------------------------------------------------

bool ShardCore::gather_commit() {
  in_commit_.clear();
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot] || !at(slot).unsaved) continue;
    const Partition& partition = at(slot);
    in_commit_.push_back(
        {slot, Checkpoint{Position{partition.tracker.committable(), partition.witness},
                          partition.group_committed, partition.group_pending, 0, partition.line}});
  }
  if (!std::exchange(commit_wanted_, false) && in_commit_.empty()) return false;
  committing_ = true;
  since_commit_ = 0;
  emit(CommitCommand{in_commit_});
  return true;
}

// Exactly-once: ends the transaction when it is time, or at once where the shard comes to rest.
void ShardCore::drive_transaction(Instant now) {
  if (sink_down_ || rewind_all_ || cutting_ || committing_ || aborting_) return;
  if (std::exchange(abort_wanted_, false)) {
    closing_ = false;
    aborting_ = true;
    emit(AbortCommand{});
    return;
  }
  if (!closing_) {
    // While isolating, each round is a transaction: a refusal takes back nothing that passed.
    const bool passed = isolating_ > 0 && unanswered_ == 0;
    const bool due = now >= next_commit_ || since_commit_ >= limits_.checkpoint_records || passed;
    if (!due && starts_unsaved_ == 0 && !commit_wanted_ && state_ == State::kRunning) return;
    next_commit_ = now + limits_.commit_interval;
    if (unanswered_ == 0 && !dirty() && !commit_wanted_) return;
    cutting_ = true;
    // Whoever waits for the shard to come to rest would wait for many small transactions.
    const bool all = starts_unsaved_ > 0 || isolating_ > 0 || state_ != State::kRunning;
    emit(CutCommand{all ? Cut::kEverything : Cut::kUnderWay});
    return;
  }
  close();
}

void ShardCore::cut(std::size_t waiting) {
  cutting_ = false;
  closing_ = true;
  cut_before_ = begun_ - waiting;
  unanswered_closing_ = unanswered_ - waiting;
  close();
}

void ShardCore::close() {
  if (unanswered_closing_ == 0 && touched_.empty()) gather_commit();
}

void ShardCore::lose_transaction() {
  cutting_ = closing_ = committing_ = aborting_ = abort_wanted_ = false;
  rewind_all_ = true;
  since_commit_ = 0;
}

// Exactly-once: what comes now is a transaction of its own. Where ending the one before took
// longer than the interval, it is due at once, and would hold a record or two.
void ShardCore::keep_open(Instant now) {
  next_commit_ = std::max(next_commit_, now + limits_.commit_interval / 2);
}

void ShardCore::aborted(const std::optional<Error>& error, Instant now) {
  lose_transaction();
  keep_open(now);
  // What a refusal leads to is another, smaller transaction; else it is the same one again.
  const bool searching = std::exchange(refused_, false);
  if (error || (!searching && std::exchange(aborted_, true))) back_off(now);
  drain();
}

void ShardCore::committed(const Result<void>& result, Instant now) {
  committing_ = closing_ = false;
  if (limits_.transactional) {
    keep_open(now);
  } else {
    next_commit_ = now + limits_.checkpoint_interval;
  }
  if (!result) {
    if (class_of(result.error().code) != ErrorClass::kPause) {
      fail(result.error());
      return;
    }
    store_error_ = result.error();
    return;
  }
  store_error_.reset();
  if (limits_.transactional) backoff_ = Duration{0};
  aborted_ = false;
  std::vector<GroupUpdate> to_group;
  for (const PositionUpdate& update : in_commit_) {
    Partition& partition = at(update.slot);
    const Offset next = update.checkpoint.position.next;
    partition.durable = next;
    partition.durable_line = update.checkpoint.line;
    partition.anchor = update.checkpoint.position;
    partition.condemned.erase(partition.condemned.begin(), partition.condemned.lower_bound(next));
    partition.unsaved = partition.tracker.committable() != next || adopted(partition);
    if (std::exchange(partition.start_unsaved, false)) --starts_unsaved_;
    if (limits_.transactional) {
      group_behind_ = true;
      continue;
    }
    if (update.checkpoint.group_committed != partition.group_committed) partition.unsaved = true;
    if (partition.group_pending) {
      to_group.push_back({update.slot, {*partition.group_pending, partition.durable_line}});
    } else if (partition.group_committed != next) {
      to_group.push_back({update.slot, {next, partition.durable_line}});
    }
  }
  // One group commit at a time, and one whose outcome is unknown is repeated before the next: at
  // most one value is in doubt.
  if (group_committing_ || to_group.empty()) {
    for (const GroupUpdate& update : to_group) {
      if (alive()) at(update.slot).unsaved = true;  // tell the group with a later commit
    }
    return;
  }
  for (const auto& [slot, group] : to_group) at(slot).group_pending = group.offset;
  tell_group(std::move(to_group), now);
}

// Exactly-once: the group is for people and their tools only, and is told at leisure.
void ShardCore::follow_group(Instant now) {
  if (!group_behind_ || group_committing_) return;
  if (now < next_group_ && state_ != State::kStopping) return;
  group_behind_ = false;
  next_group_ = now + limits_.checkpoint_interval;
  std::vector<GroupUpdate> offsets;
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot] || at(slot).start_unsaved) continue;
    Partition& partition = at(slot);
    if (partition.group_committed == partition.durable) continue;
    partition.group_pending = partition.durable;
    offsets.push_back({slot, {partition.durable, partition.durable_line}});
  }
  if (!offsets.empty()) tell_group(std::move(offsets), now);
}

void ShardCore::tell_group(std::vector<GroupUpdate> offsets, Instant now) {
  group_committing_ = true;
  group_deadline_ = now + limits_.group_wait;
  emit(GroupCommitCommand{std::move(offsets)});
}

void ShardCore::group_committed(const std::vector<std::pair<SlotId, Offset>>& offsets, bool ok) {
  group_committing_ = false;
  for (const auto& [slot, offset] : offsets) {
    Partition& partition = at(slot);
    const bool news = ok && partition.group_committed != offset;
    const bool behind = !ok || partition.durable != offset;
    if (ok) {
      partition.group_committed = offset;
      if (partition.group_pending == offset) partition.group_pending.reset();
    }
    if (limits_.transactional) {
      group_behind_ = group_behind_ || behind;
      continue;
    }
    // Saved, too: until then a reset to the offset that was confirmed before looks like ours.
    if (news && !finished()) partition.unsaved = true;
    // The next commit repeats it, or goes on from it.
    if (behind && alive()) partition.unsaved = true;
  }
}

void ShardCore::group_seen(SlotId slot, const std::optional<GroupOffset>& group) {
  if (slot >= partitions_.size() || !partitions_[slot] || !group || group_committing_) return;
  Partition& partition = at(slot);
  const Offset offset = group->offset;
  const bool known = offset == partition.group_committed || offset == partition.group_pending ||
                     offset == partition.tracker.committable();
  const bool further =
      group->line &&
      std::pair(*group->line, offset) > std::pair(partition.line, partition.tracker.committable());
  if (known || (group->line && !further)) {
    partition.foreign_group_said = false;
    if (known) return;
    // Progress that was ours once: a commit on a connection that was lost came late.
    partition.group_committed = offset;
    if (limits_.transactional) {
      group_behind_ = true;
    } else if (alive()) {
      partition.unsaved = true;
    }
    return;
  }
  if (std::exchange(partition.foreign_group_said, true)) return;
  notice(
      Level::kWarning, slot,
      fmt::format(
          "the consumer group's offset was moved to {} by {} while this pipeline runs (last "
          "committed here: {}); {}",
          offset.value, further ? "another instance" : "somebody else",
          partition.group_committed ? std::to_string(partition.group_committed->value) : "nothing",
          further                 ? "two daemons that run one pipeline have to share it"
          : limits_.transactional ? "an exactly-once pipeline goes on where its ledger says"
                                  : "a reset takes effect only while the daemon is stopped"));
}

void ShardCore::refresh_group(Instant now) {
  if (group_committing_) return;
  next_group_refresh_ = now + limits_.group_refresh;
  std::vector<GroupUpdate> offsets;
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    const Partition& partition = at(slot);
    const auto& newest =
        partition.group_pending ? partition.group_pending : partition.group_committed;
    // Another value waits to be told, and this one may be of a line that has ended.
    if (!newest || (!partition.group_pending && newest != partition.durable)) continue;
    offsets.push_back({slot, {*newest, partition.durable_line}});
  }
  if (!offsets.empty()) tell_group(std::move(offsets), now);
}

// ---- life -----------------------------------------------------------------------------------

void ShardCore::tick(Instant now) {
  if (limits_.transactional) {
    tick_transactional(now);
    return;
  }
  if (state_ == State::kDraining) finish_drain(now);
  const bool settled = touched_.empty();  // witnesses match positions
  if (state_ == State::kStopping && settled && !committing_) {
    const bool late = now >= stop_deadline_;
    if (unanswered_ == 0 || late) {
      // A store that fails is asked again until the deadline, and once then.
      const bool first_late = late && !std::exchange(asked_late_, true);
      const bool ask = !store_error_ || first_late || (!late && now >= next_commit_);
      if (ask && gather_commit()) return;
      if (store_error_ && !late && dirty()) return;
      if (!group_committing_ || late || now >= group_deadline_) {
        state_ = State::kStopped;
        emit(StoppedCommand{});
        return;
      }
    }
  }
  if (failure_) say_failure(now);
  if (state_ == State::kStopped || state_ == State::kFailed) return;
  ask_ranges(now);
  const bool start_waits = starts_unsaved_ > 0 && !store_error_;
  if (settled && !committing_ &&
      (now >= next_commit_ || since_commit_ >= limits_.checkpoint_records || start_waits)) {
    next_commit_ = now + limits_.checkpoint_interval;
    gather_commit();
  }
  if (now >= next_group_refresh_) refresh_group(now);
}

void ShardCore::tick_transactional(Instant now) {
  drive_transaction(now);
  if (state_ == State::kDraining) finish_drain(now);
  if (alive() || state_ == State::kStopping) follow_group(now);
  if (state_ == State::kStopping) {
    const bool late = now >= stop_deadline_;
    const bool told = !group_committing_ || now >= group_deadline_;
    if (late || (at_rest() && told)) {
      state_ = State::kStopped;
      emit(StoppedCommand{});
    }
  }
  if (failure_) say_failure(now);
  if (state_ == State::kStopped || state_ == State::kFailed) return;
  ask_ranges(now);
  if (now >= next_group_refresh_) refresh_group(now);
}

// Exactly-once: nothing more will be committed by waiting.
bool ShardCore::at_rest() const {
  if (sink_down_) return true;
  if (unanswered_ > 0 || !touched_.empty() || transaction_busy() || abort_wanted_) return false;
  return rewind_all_ || !dirty();
}

Instant ShardCore::deadline() const {
  if (state_ == State::kFailed && failure_) {
    const bool waits = fail_deadline_ && (limits_.transactional || unanswered_ > 0);
    return waits ? *fail_deadline_ : Instant::min();
  }
  // What ends a transaction is an answer, which wakes the shard.
  const bool answer_due =
      transaction_busy() || rewind_all_ || (limits_.transactional && sink_down_);
  Instant next = answer_due ? Instant::max() : next_commit_;
  if (group_behind_ && !group_committing_) next = std::min(next, next_group_);
  // With something unanswered, only its answer ends the drain.
  if (state_ == State::kDraining && unanswered_ == 0 && !transaction_busy()) {
    next = std::min(next, not_before_);
  }
  if (queries_wanted_ > 0 && alive()) {
    for (const auto& partition : partitions_) {
      if (partition && partition->query_wanted) next = std::min(next, partition->query_not_before);
    }
  }
  if (state_ == State::kStopping) {
    next = std::min(next, stop_deadline_);
    const bool for_the_group = group_committing_ && unanswered_ == 0 && !(store_error_ && dirty());
    if (for_the_group) next = std::min(next, group_deadline_);
  }
  return next;
}

void ShardCore::stop(Instant now, Duration drain_timeout) {
  if (!alive()) return;
  state_ = State::kStopping;
  stop_deadline_ = now + drain_timeout;
  // What was not sent yet is not worth waiting for; a transaction is whole or nothing.
  if (!limits_.transactional) emit(PurgeCommand{});
}

void ShardCore::fail(Error error) {
  if (state_ == State::kFailed || state_ == State::kStopped) return;
  state_ = State::kFailed;
  failure_ = std::move(error);
}

// What was sent before the failure may still be acknowledged: waiting for it, and keeping it,
// spares the duplicates.
void ShardCore::say_failure(Instant now) {
  if (!fail_deadline_) fail_deadline_ = now + limits_.fail_drain;
  if (limits_.transactional) {
    if (!at_rest() && !abort_wanted_ && now < *fail_deadline_) return;
    emit(FailCommand{*std::exchange(failure_, std::nullopt)});
    return;
  }
  if (!touched_.empty() || committing_) return;
  if (unanswered_ > 0 && now < *fail_deadline_) return;
  gather_commit();
  emit(FailCommand{*std::exchange(failure_, std::nullopt)});
}

ShardCore::Awaited ShardCore::awaited() const {
  if (aborting_) return Awaited::kAbort;
  if (limits_.transactional && committing_) return Awaited::kCommit;
  return closing_ ? Awaited::kDeliveries : Awaited::kNothing;
}

std::optional<EntryId> ShardCore::first_unanswered() const {
  std::optional<EntryId> first;
  for (EntryId id = 0; id < entries_.size(); ++id) {
    if (!entries_[id].in_sink) continue;
    if (!first || entries_[id].number < entries_[*first].number) first = id;
  }
  return first;
}

bool ShardCore::finished() const {
  return state_ == State::kStopped || (state_ == State::kFailed && !failure_);
}

std::vector<Command> ShardCore::take_commands() { return std::exchange(commands_, {}); }

bool ShardCore::settled(SlotId slot) const {
  return at(slot).phase == Phase::kActive && !at(slot).suspected;
}

Offset ShardCore::position(SlotId slot) const { return at(slot).tracker.committable(); }
Offset ShardCore::durable(SlotId slot) const { return at(slot).durable; }

bool ShardCore::dirty() const {
  return std::ranges::any_of(partitions_, [](const auto& p) { return p && p->unsaved; });
}

}  // namespace drawbridge

#include "bridge/pipeline/shard_core.h"

#include <algorithm>

namespace drawbridge {

ShardCore::ShardCore(const ShardLimits& limits, OnGap on_gap, Instant now)
    : limits_(limits),
      on_gap_(on_gap),
      not_before_(now),
      next_commit_(now + limits.checkpoint_interval),
      next_group_refresh_(now + limits.group_refresh) {}

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
  // The group may lag behind what was saved, or have lost its offset: it is told again.
  partition.unsaved =
      start.save_now || (!start.fresh && start.group_committed != start.position.next);
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
  const bool verifying = verify && partition.witness.has_value();
  partition.phase = verifying ? Phase::kVerifying : Phase::kActive;
  emit(AssignCommand{slot, verifying ? partition.witness->offset : position});
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
  partition.unsaved = true;
  // What was refused was refused in another log.
  partition.condemned.reset();
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
    if (!partition.proven) {
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
    if (offset == partition.witness->offset) return Admission::kVerify;
    if (offset < partition.witness->offset) return Admission::kSkip;
    if (offset < partition.tracker.committable()) {
      // The witness was the last record before the position: nothing was here.
      partition.mismatch = offset;
      query_range(partition);
      return Admission::kSkip;
    }
    if (!partition.proven) unproven(slot, partition, "it was compacted away");
    partition.phase = Phase::kActive;
  }
  if (partition.phase != Phase::kActive || offset < partition.expected) return Admission::kSkip;
  if (partition.condemned) {
    if (partition.condemned->first == offset) return Admission::kCondemned;
    if (partition.condemned->first < offset) partition.condemned.reset();
  }
  return Admission::kProcess;
}

const Error& ShardCore::condemned(SlotId slot) const { return at(slot).condemned->second; }

void ShardCore::verify(SlotId slot, const Witness& seen, Instant /*now*/) {
  Partition& partition = at(slot);
  if (partition.phase != Phase::kVerifying) return;
  if (seen == *partition.witness) {
    partition.proven = true;
    return;
  }
  partition.mismatch = seen.offset;
  query_range(partition);
}

bool ShardCore::may_send() const {
  return state_ == State::kRunning && !sink_down_ && (isolating_ == 0 || unanswered_ == 0);
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
  if (partition.condemned && partition.condemned->first == offset) partition.condemned.reset();
  entries_[id] = Entry{slot, partition.tracker.track(offset, 1, id), offset};
  ++outstanding_;
}

void ShardCore::begin(EntryId id, SlotId slot, Offset offset, bool dead_letter) {
  track(id, slot, offset);
  entries_[id].in_sink = true;
  entries_[id].dead_letter = dead_letter;
  entries_[id].alone = isolating_ > 0;
  ++unanswered_;
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

void ShardCore::delivered(EntryId id, Instant /*now*/) {
  entries_[id].in_sink = false;
  --unanswered_;
  backoff_ = Duration{0};
  acknowledge(id);
}

void ShardCore::undelivered(EntryId id, const Error& error, Instant now) {
  Entry& entry = entries_[id];
  Partition& partition = at(entry.slot);
  entry.in_sink = false;
  --unanswered_;
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
      if (entry.alone) {
        // One record at a time is in flight: this one is to blame. It is read again, and goes to
        // the failure policy as it came.
        partition.condemned.emplace(entry.offset, error);
      } else if (state_ == State::kRunning) {
        emit(PurgeCommand{});
      }
      if (!partition.isolate_until) ++isolating_;
      partition.isolate_until =
          std::max(partition.isolate_until.value_or(entry.offset), entry.offset);
      drain();
      return;
    case ErrorClass::kPipeline:
    case ErrorClass::kStop:
      fail(error);
      return;
  }
}

const std::vector<ShardCore::Released>& ShardCore::collect_released() {
  released_.clear();
  std::swap(released_, forgotten_);
  for (const Released& gone : released_) free_entries_.push_back(gone.entry);
  for (const SlotId slot : touched_) {
    Partition& partition = at(slot);
    partition.touched = false;
    const std::size_t released = partition.tracker.release([&](Offset, std::uint64_t id) {
      released_.push_back({static_cast<EntryId>(id), slot, false});
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

void ShardCore::rewind(SlotId slot, Partition& partition) {
  const Offset position = partition.tracker.committable();
  partition.tracker.reset(position, [&](Offset, std::uint64_t id) {
    const auto entry = static_cast<EntryId>(id);
    if (!entries_[entry].acknowledged) --outstanding_;
    forgotten_.push_back({entry, slot, false});
  });
  // Another log may have a good record in the condemned one's place: let it be refused again.
  if (partition.suspected) partition.condemned.reset();
  read_from_position(slot, partition, partition.suspected);
}

void ShardCore::finish_drain(Instant now) {
  if (unanswered_ > 0 || !touched_.empty() || now < not_before_) return;
  state_ = State::kRunning;
  backed_off_ = false;
  if (std::exchange(new_sink_, false)) {
    sink_down_ = true;
    emit(NewSinkCommand{});
  }
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    Partition& partition = at(slot);
    if (partition.phase == Phase::kQuerying) continue;
    if (partition.suspected || partition.tracker.outstanding() > 0) rewind(slot, partition);
  }
}

void ShardCore::sink_lost(Instant now) {
  for (Entry& entry : entries_) entry.in_sink = false;
  unanswered_ = 0;
  if (!alive()) return;
  new_sink_ = true;
  sink_down_ = true;
  back_off(now);
  drain();
}

void ShardCore::sink_ready() { sink_down_ = false; }

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
                          partition.group_committed, partition.group_pending, 0}});
  }
  if (in_commit_.empty()) return false;
  committing_ = true;
  since_commit_ = 0;
  emit(CommitCommand{in_commit_});
  return true;
}

void ShardCore::committed(const Result<void>& result, Instant now) {
  committing_ = false;
  next_commit_ = now + limits_.checkpoint_interval;
  if (!result) {
    if (class_of(result.error().code) != ErrorClass::kPause) {
      fail(result.error());
      return;
    }
    store_error_ = result.error();
    return;
  }
  store_error_.reset();
  std::vector<std::pair<SlotId, Offset>> to_group;
  for (const PositionUpdate& update : in_commit_) {
    Partition& partition = at(update.slot);
    const Offset next = update.checkpoint.position.next;
    partition.durable = next;
    partition.unsaved = partition.tracker.committable() != next ||
                        update.checkpoint.group_committed != partition.group_committed;
    if (std::exchange(partition.start_unsaved, false)) --starts_unsaved_;
    if (partition.group_pending) {
      to_group.emplace_back(update.slot, *partition.group_pending);
    } else if (partition.group_committed != next) {
      to_group.emplace_back(update.slot, next);
    }
  }
  // One group commit at a time, and one whose outcome is unknown is repeated before the next: at
  // most one value is in doubt.
  if (group_committing_ || to_group.empty()) {
    for (const auto& [slot, offset] : to_group) {
      if (alive()) at(slot).unsaved = true;  // tell the group with a later commit
    }
    return;
  }
  for (const auto& [slot, offset] : to_group) at(slot).group_pending = offset;
  tell_group(std::move(to_group), now);
}

void ShardCore::tell_group(std::vector<std::pair<SlotId, Offset>> offsets, Instant now) {
  group_committing_ = true;
  group_deadline_ = now + limits_.group_wait;
  emit(GroupCommitCommand{std::move(offsets)});
}

void ShardCore::group_committed(const std::vector<std::pair<SlotId, Offset>>& offsets, bool ok) {
  group_committing_ = false;
  for (const auto& [slot, offset] : offsets) {
    Partition& partition = at(slot);
    if (ok) {
      // Saved, too: until then a reset to the offset that was confirmed before looks like ours.
      if (partition.group_committed != offset && !finished()) partition.unsaved = true;
      partition.group_committed = offset;
      if (partition.group_pending == offset) partition.group_pending.reset();
    }
    // The next commit repeats it, or goes on from it.
    if (!ok || partition.durable != offset) partition.unsaved = partition.unsaved || alive();
  }
}

void ShardCore::group_seen(SlotId slot, std::optional<Offset> offset) {
  if (slot >= partitions_.size() || !partitions_[slot] || !offset) return;
  Partition& partition = at(slot);
  const bool ours = offset == partition.group_committed || offset == partition.group_pending ||
                    *offset == partition.tracker.committable() || group_committing_;
  if (ours) {
    partition.foreign_group_said = false;
  } else if (!std::exchange(partition.foreign_group_said, true)) {
    notice(Level::kWarning, slot,
           fmt::format("the consumer group's offset was moved to {} by somebody else while this "
                       "pipeline runs (last committed here: {}); is another daemon running it? "
                       "A reset takes effect only while the daemon is stopped",
                       offset->value,
                       partition.group_committed ? std::to_string(partition.group_committed->value)
                                                 : "nothing"));
  }
}

void ShardCore::refresh_group(Instant now) {
  if (group_committing_) return;
  next_group_refresh_ = now + limits_.group_refresh;
  std::vector<std::pair<SlotId, Offset>> offsets;
  for (SlotId slot = 0; slot < partitions_.size(); ++slot) {
    if (!partitions_[slot]) continue;
    const Partition& partition = at(slot);
    const auto& newest =
        partition.group_pending ? partition.group_pending : partition.group_committed;
    if (newest) offsets.emplace_back(slot, *newest);
  }
  if (!offsets.empty()) tell_group(std::move(offsets), now);
}

// ---- life -----------------------------------------------------------------------------------

void ShardCore::tick(Instant now) {
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

Instant ShardCore::deadline() const {
  if (state_ == State::kFailed && failure_) {
    const bool waits = fail_deadline_ && unanswered_ > 0;
    return waits ? *fail_deadline_ : Instant::min();
  }
  Instant next = next_commit_;
  // With something unanswered, only its answer ends the drain.
  if (state_ == State::kDraining && unanswered_ == 0) next = std::min(next, not_before_);
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
  emit(PurgeCommand{});  // what was not sent yet is not worth waiting for
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
  if (!touched_.empty() || committing_) return;
  if (unanswered_ > 0 && now < *fail_deadline_) return;
  gather_commit();
  emit(FailCommand{*std::exchange(failure_, std::nullopt)});
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

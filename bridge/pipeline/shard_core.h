// ShardCore: the deterministic heart of a shard. See ENGINE.md for the state machine, and
// EXACTLY_ONCE.md for what transactions add.
//
// Events go in as method calls, commands come out of take_commands(), time is a parameter.
// No I/O, no clock, no thread. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/log.h"
#include "bridge/base/result.h"
#include "bridge/checkpoint/ack_tracker.h"
#include "bridge/checkpoint/store.h"
#include "bridge/pipeline/isolation_window.h"
#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"
#include "bridge/record/coordinates.h"

namespace drawbridge {

using SlotId = std::uint32_t;   // a partition of this shard, the engine's number for it
using EntryId = std::uint32_t;  // a record in flight; reused after its release

struct ShardLimits {
  std::uint64_t in_flight_bytes = 16 << 20;
  std::uint64_t in_flight_records = 25'000;
  Duration checkpoint_interval = std::chrono::seconds(1);
  std::uint64_t checkpoint_records = 100'000;
  Duration group_refresh = std::chrono::hours(24);  // idle partitions are committed again
  Duration group_wait = std::chrono::seconds(5);    // for the group's answer, when stopping
  Duration fail_drain = std::chrono::seconds(5);    // for answers, before a failure is said
  // Exactly-once: positions become durable with a transaction on the target, every commit_interval.
  bool transactional = false;
  Duration commit_interval = std::chrono::milliseconds(100);
  Duration retry_least = std::chrono::milliseconds(100);
  Duration retry_most = std::chrono::seconds(30);
};

// Where a partition starts, and what is known about the group.
struct PartitionStart {
  Position position;
  bool fresh = false;  // no checkpoint: a log that starts later is no gap
  std::optional<Offset> group_committed;
  std::optional<Offset> group_pending;
  bool save_now = false;  // the choice of the start reaches the store before any record is polled
  WallMillis line = 0;    // see Checkpoint::line
};

// ---- commands -------------------------------------------------------------------------------

struct AssignCommand {  // (re)assign the source at `start`
  SlotId slot;
  Offset start;
};
struct QueryRangeCommand {  // ask for the log's range; answered by range()
  SlotId slot;
};
struct PurgeCommand {};    // take back what the sink has not sent
struct NewSinkCommand {};  // destroy the sink and make one with the current options
struct PositionUpdate {
  SlotId slot;
  Checkpoint checkpoint;  // saved_at is filled in by the shell
};
// Make these durable, then answer with committed(). Exactly-once: as records of the ledger, with
// which the transaction is then committed; a commit that became an abort is answered by aborted().
struct CommitCommand {
  std::vector<PositionUpdate> positions;
};
// What is sent from now on belongs to the next transaction; answered by cut().
struct CutCommand {
  Cut how;
};
struct AbortCommand {};  // take back all that is not committed; answered by aborted()
struct GroupUpdate {
  SlotId slot;
  GroupOffset group;  // always marked
};
struct GroupCommitCommand {  // tell the source's group; answered by group_committed()
  std::vector<GroupUpdate> offsets;
};
struct NoticeCommand {  // say it once
  Level level;
  SlotId slot;
  std::string text;
};
struct FailCommand {  // the pipeline fails
  Error error;
};
struct StoppedCommand {};  // drained and committed

using Command = std::variant<AssignCommand, QueryRangeCommand, PurgeCommand, NewSinkCommand,
                             CommitCommand, CutCommand, AbortCommand, GroupCommitCommand,
                             NoticeCommand, FailCommand, StoppedCommand>;

class ShardCore {
 public:
  enum class State : std::uint8_t { kRunning, kDraining, kStopping, kStopped, kFailed };
  enum class Admission : std::uint8_t {
    kProcess,    // run its transforms, then reserve(), send, begin()
    kSkip,       // already copied, or from before a rewind
    kVerify,     // it is the witness, or may become it: give it to verify(), do not send
    kCondemned,  // the target refused it alone: condemned() goes to the failure policy
  };

  struct Released {
    EntryId entry;
    SlotId slot;
    bool newest;         // the last one of its partition in this round: its witness is wanted
    bool passed = true;  // its partition's position; otherwise a rewind dropped it
  };

  ShardCore(const ShardLimits& limits, OnGap on_gap, Instant now);

  // ---- partitions ----
  void add(SlotId slot, const PartitionStart& start, Instant now);
  // Something hints that the topic is not the one that was read, or that the source has lost its
  // place: drain, then verify and read from the position again.
  void reassign(SlotId slot);
  void range(SlotId slot, Offset low, Offset high);
  void range_failed(SlotId slot, const Error& error);
  void out_of_range(SlotId slot, std::uint64_t era);
  void end_of_partition(SlotId slot, Offset offset, std::uint64_t era, Instant now);

  // ---- polling ----
  [[nodiscard]] bool may_poll() const;
  // Batches taken now belong to this era; after a rewind, older ones are skipped for the slot.
  [[nodiscard]] std::uint64_t era() const { return era_; }
  void charge(std::uint64_t bytes) { in_flight_bytes_ += bytes; }
  void discharge(std::uint64_t bytes) { in_flight_bytes_ -= bytes; }

  // ---- records ----
  Admission admit(SlotId slot, Offset offset, std::uint64_t era, Instant now);
  void verify(SlotId slot, const Witness& seen, Instant now);
  [[nodiscard]] const Error& condemned(SlotId slot, Offset offset) const;
  // A record of this partition. False while draining, without a sink, or isolating with as many
  // records sent as a round with one of it may have.
  [[nodiscard]] bool may_send(SlotId slot) const;
  [[nodiscard]] bool isolating() const { return isolating_ > 0; }
  [[nodiscard]] bool isolating(SlotId slot) const;
  // How many records a round may have that has one of this partition, which isolates.
  [[nodiscard]] std::size_t window(SlotId slot) const { return at(slot).window.size(); }
  // A number for a record that is about to be handed to a sink; it is the delivery's cookie.
  EntryId reserve();
  void unreserve(EntryId entry) { free_entries_.push_back(entry); }
  // The sink took it (`dead_letter`: in its dead-letter form). REQUIRES: rising offsets.
  void begin(EntryId entry, SlotId slot, Offset offset, bool dead_letter = false);
  // Deliberately not copied: acknowledged at once. Takes no reservation.
  EntryId drop(SlotId slot, Offset offset, Instant now);
  void delivered(EntryId entry, Instant now);
  void undelivered(EntryId entry, const Error& error, Instant now);
  // Entries whose records are done with, in order; their memory may go after their witness was
  // taken. The vector is valid until the next call.
  const std::vector<Released>& collect_released();
  void witness(SlotId slot, const Witness& witness);

  // ---- sink, store, group ----
  void sink_lost(Instant now);  // fatal: what was sent has no answer any more
  // A NewSinkCommand was carried out. Exactly-once: resume() was called for every partition of
  // which the ledger tells.
  void sink_ready();
  // Exactly-once: what the ledger says, read after the predecessor was fenced. It alone decides.
  void resume(SlotId slot, const Position& position);
  // Exactly-once: the ledger has to say something although no position moved.
  void want_commit() { commit_wanted_ = true; }
  void want_new_sink(Instant now);  // its options changed: drain, then replace
  // The CutCommand was carried out: the `waiting` records that were begun last are not in it.
  void cut(std::size_t waiting);
  void committed(const Result<void>& result, Instant now);
  // Exactly-once: nothing of the transaction will ever be visible. `error`: why, where it was not
  // asked for.
  void aborted(const std::optional<Error>& error, Instant now);
  void group_committed(const std::vector<std::pair<SlotId, Offset>>& offsets, bool ok);
  // What the group says now. Warns when somebody else moved it; tells it again where a commit of
  // ours reached it late.
  void group_seen(SlotId slot, const std::optional<GroupOffset>& group);

  // ---- life ----
  void tick(Instant now);
  [[nodiscard]] Instant deadline() const;  // tick() again by then
  void stop(Instant now, Duration drain);
  // REQUIRES before take_commands(): released entries were collected and their witnesses given, so
  // that what is acknowledged can be committed together with the failure.
  void fail(Error error);
  std::vector<Command> take_commands();

  // ---- what is known ----
  [[nodiscard]] State state() const { return state_; }
  // Stopped or failed, and the last command was taken.
  [[nodiscard]] bool finished() const;
  [[nodiscard]] std::size_t unanswered() const { return unanswered_; }
  [[nodiscard]] std::size_t outstanding() const { return outstanding_; }
  // Exactly-once: what the end of the transaction waits for.
  enum class Awaited : std::uint8_t { kNothing, kDeliveries, kCommit, kAbort };
  [[nodiscard]] Awaited awaited() const;
  // That of the sink which was begun first, and has no answer.
  [[nodiscard]] std::optional<EntryId> first_unanswered() const;
  [[nodiscard]] std::uint64_t in_flight_bytes() const { return in_flight_bytes_; }
  [[nodiscard]] Offset position(SlotId slot) const;
  // Is the log known to be the one that the position is about?
  [[nodiscard]] bool settled(SlotId slot) const;
  [[nodiscard]] const std::optional<Error>& store_error() const { return store_error_; }
  // Committed durably: what a restart resumes from.
  [[nodiscard]] Offset durable(SlotId slot) const;
  [[nodiscard]] bool dirty() const;  // positions that are not durable yet
  [[nodiscard]] bool has_work() const { return outstanding_ > 0; }

 private:
  enum class Phase : std::uint8_t { kQuerying, kVerifying, kActive };

  // What a round, which lasts until nothing is unanswered, has of one partition.
  struct Share {
    std::uint64_t round = 0;
    std::size_t sent = 0;
    std::size_t undelivered = 0;
    bool found = false;  // its only record was refused
    // The first and the last that was refused beside others, counted from 0.
    std::optional<std::size_t> first_refused;
    std::size_t last_refused = 0;
    Offset first_offset;
  };

  struct Partition {
    explicit Partition(Offset start) : tracker(start) {}

    Phase phase = Phase::kActive;
    bool fresh = false;
    bool suspected = false;  // verify again after the drain
    bool proven = false;     // the witness was read again, and is the same
    // kVerifying, and there is no witness: the record right before the position becomes it.
    bool adopting = false;
    // kVerifying: this offset holds another record than the witness, or one where there was none.
    std::optional<Offset> mismatch;
    bool query_wanted = false;  // kQuerying: ask for the range, but not before:
    Instant query_not_before = Instant::min();
    Duration query_backoff{0};
    AckTracker tracker;
    std::optional<Witness> witness;  // of the newest record before tracker.committable()
    Offset expected;                 // offsets only rise: the next record is this one or later
    std::uint64_t valid_from_era = 0;
    std::optional<Offset> isolate_until;  // refused in a batch up to here
    IsolationWindow window;               // of the search for it
    Share share;
    std::map<Offset, Error> condemned;  // refused alone, and not passed durably yet
    std::optional<Offset> end_seen;
    bool touched = false;  // in touched_

    bool unsaved = false;        // differs from what is durable, or the group does
    bool start_unsaved = false;  // nothing is polled before it is durable
    Offset durable;
    Position anchor;  // what is durable; exactly-once: where an abort goes back to
    WallMillis line = 0;
    WallMillis durable_line = 0;
    std::optional<Offset> group_committed;
    std::optional<Offset> group_pending;
    Instant group_time;
    bool unproven_said = false;
    bool foreign_group_said = false;
  };

  struct Entry {
    SlotId slot = 0;
    AckTracker::Slot tracked = 0;
    Offset offset;
    bool in_sink = false;
    bool acknowledged = false;
    bool dead_letter = false;
    bool alone = false;        // nothing else was in a sink: a refusal can only mean this one
    std::uint64_t number = 0;  // of those that were begun
    std::size_t nth = 0;       // of its partition in the round
  };

  void drain();
  void finish_drain(Instant now);
  void back_off(Instant now);
  void forget(SlotId slot, Partition& partition, Offset position);
  void rewind(SlotId slot, Partition& partition);
  void rewind_to_anchor(SlotId slot, Partition& partition);
  void read_from_position(SlotId slot, Partition& partition, bool verify);
  void position_moved(Partition& partition);
  void apply_end(Partition& partition);
  void query_range(Partition& partition);
  void ask_ranges(Instant now);
  void end_isolation(Partition& partition);
  Share& share(Partition& partition);
  void end_round();
  void search_again(Partition& partition, bool all);
  void unproven(SlotId slot, Partition& partition, std::string_view why);
  void gap(SlotId slot, Partition& partition, const std::string& what, Offset low);
  void acknowledge(EntryId id);
  void track(EntryId id, SlotId slot, Offset offset);
  bool gather_commit();
  void drive_transaction(Instant now);
  void close();
  void lose_transaction();
  void keep_open(Instant now);
  void follow_group(Instant now);
  void tick_transactional(Instant now);
  [[nodiscard]] bool at_rest() const;
  void say_failure(Instant now);
  void refresh_group(Instant now);
  void tell_group(std::vector<GroupUpdate> offsets, Instant now);
  [[nodiscard]] static bool adopted(const Partition& partition);
  Partition& at(SlotId slot) { return *partitions_[slot]; }
  [[nodiscard]] const Partition& at(SlotId slot) const { return *partitions_[slot]; }
  void emit(Command command) { commands_.push_back(std::move(command)); }
  void notice(Level level, SlotId slot, std::string text);
  void answered(const Entry& entry);
  void not_delivered(Entry& entry, const Error& error, Instant now);
  void refused(Entry& entry, const Error& error);
  [[nodiscard]] bool transaction_busy() const {
    return limits_.transactional && (cutting_ || closing_ || committing_ || aborting_);
  }
  [[nodiscard]] bool alive() const {
    return state_ == State::kRunning || state_ == State::kDraining;
  }

  // Constant after construction.
  const ShardLimits limits_;
  const OnGap on_gap_;

  State state_ = State::kRunning;
  std::vector<std::unique_ptr<Partition>> partitions_;  // by slot; null where not ours
  std::vector<Entry> entries_;
  std::vector<EntryId> free_entries_;
  std::vector<SlotId> touched_;  // partitions whose prefix moved since collect_released()
  std::vector<Released> released_;
  std::vector<Released> forgotten_;  // dropped by a rewind: released with the next round
  std::vector<Command> commands_;

  std::uint64_t era_ = 0;
  std::uint64_t in_flight_bytes_ = 0;
  std::size_t outstanding_ = 0;  // begun and not acknowledged
  std::size_t unanswered_ = 0;   // in a sink
  int isolating_ = 0;            // partitions with isolate_until
  std::uint64_t round_ = 0;      // its number
  std::size_t round_sent_ = 0;
  std::size_t round_most_ = IsolationWindow::kMost;  // the smallest window of those it has
  std::optional<EntryId> alone_;                     // the newest entry that was begun alone
  int queries_wanted_ = 0;                           // partitions with query_wanted
  int starts_unsaved_ = 0;                           // partitions with start_unsaved
  bool new_sink_ = false;                            // wanted after the drain
  bool sink_down_ = false;                           // none until sink_ready()

  Duration backoff_{0};
  bool backed_off_ = false;  // during this drain
  Instant not_before_;       // the drain does not end before: back-off
  Instant next_commit_;
  Instant next_group_refresh_;
  Instant stop_deadline_;
  std::uint64_t since_commit_ = 0;
  bool committing_ = false;
  bool asked_late_ = false;  // the store failed, and was asked again at the stop's deadline
  std::vector<PositionUpdate> in_commit_;

  // Exactly-once (EXACTLY_ONCE.md).
  std::uint64_t begun_ = 0;             // records, ever
  bool cutting_ = false;                // the cut is not answered yet
  bool closing_ = false;                // cut, not committed yet
  std::uint64_t cut_before_ = 0;        // the first number that the cut left out
  std::size_t unanswered_closing_ = 0;  // of what was sent before the cut
  bool commit_wanted_ = false;
  bool abort_wanted_ = false;
  bool aborting_ = false;
  bool refused_ = false;       // a record, since the last abort: the search for it goes on
  bool aborted_ = false;       // not for that, since the last commit
  bool rewind_all_ = false;    // the drain ends with every partition at its anchor
  bool group_behind_ = false;  // the group has not been told of the newest commit
  Instant next_group_;

  bool group_committing_ = false;
  Instant group_deadline_;
  std::optional<Error> store_error_;
  std::optional<Error> failure_;  // failed, and not said yet
  std::optional<Instant> fail_deadline_;
};

}  // namespace drawbridge

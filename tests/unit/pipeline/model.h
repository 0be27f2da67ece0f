// The simulation's model: what every source record is, what became of it, and what must hold.
//
// It sees what reaches the outside (the source's assignments, what is sent, stored and reported,
// what the checkpoint store holds) and never trusts the engine's own account of it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bridge/pipeline/dead_letter.h"
#include "bridge/pipeline/partitioner.h"
#include "bridge/pipeline/shard_core.h"
#include "tests/unit/pipeline/fakes.h"

namespace drawbridge::fakes {

inline constexpr const char* kPipeline = "sim";
inline constexpr const char* kDeadTopic = "dead";
inline constexpr const char* kLedgerTopic = "ledger";

// What a record runs into.
enum class Fate : std::uint8_t {
  kGood,
  kDropped,       // by a transform
  kUnfit,         // a transform fails it
  kNoPartition,   // the target lacks its partition and the policy is `error`
  kUnsendable,    // the client refuses it
  kTooLarge,      // the broker refuses it, and with it its whole request
  kBadTimestamp,  // the same
};

inline bool is_bad(Fate fate) { return fate != Fate::kGood && fate != Fate::kDropped; }

inline ErrorCode code_of(Fate fate) {
  switch (fate) {
    case Fate::kUnfit:
      return ErrorCode::kTransform;
    case Fate::kNoPartition:
      return ErrorCode::kPartition;
    case Fate::kUnsendable:
      return ErrorCode::kUnsendable;
    case Fate::kTooLarge:
      return ErrorCode::kTooLarge;
    case Fate::kBadTimestamp:
      return ErrorCode::kBadTimestamp;
    case Fate::kGood:
    case Fate::kDropped:
      break;
  }
  return ErrorCode::kInternal;
}

struct Truth {
  TopicPartition at;
  FakeRecord source;
  Fate fate = Fate::kGood;
  bool gone = false;     // the log lost it: nobody can ask for it any more
  bool skipped = false;  // an operator's reset went over it
  std::uint32_t stored = 0;
  std::uint32_t dead_stored = 0;
  std::uint32_t visible = 0;    // exactly-once: copies and dead letters
  std::uint64_t done_life = 0;  // the life in which its delivery was last reported
  std::optional<std::pair<TopicPartition, std::size_t>> newest;  // where it was stored last
};

// A source partition.
struct Side {
  TopicPartition at;
  SlotId slot = 0;
  std::vector<std::uint64_t> ids;  // of the log's present generation, by rising offset
  std::uint64_t epoch = 0;         // one for each assignment
  std::int64_t sent = -1;          // newest offset sent in this epoch
  std::int64_t life_start = 0;
  WallMillis start_line = 0;
  std::vector<std::uint64_t> asked_for;  // by an operator's reset; skipped before
  std::int64_t checked = 0;              // everything below was found to be done
  std::optional<std::int64_t> durable;   // the newest seen
  bool gap_possible = false;             // its log lost something
  bool replaced = false;                 // its log was truncated or recreated
  bool live = false;                     // added to the present worker
  bool must_be_saved_before_sending = false;
  // Exactly-once: where it starts if the ledger says nothing.
  Offset given;
  bool given_fresh = false;
  bool starting = false;  // not assigned in this life yet
};

class Model final : public Observer {
 public:
  Model(World& world, FakeCluster& source, FakeStore& store)
      : world_(world), source_(source), store_(store) {}

  // The present worker's.
  FakeTarget* target = nullptr;
  FakeTarget* dead = nullptr;

  // Exactly-once: see exactly_once_model.h.
  bool exactly_once = false;
  std::function<std::optional<Position>(const TopicPartition&)> committed_position;
  std::function<void(Side& side, Offset start)> assigned_at;

  // ---- the plan ----
  OnError on_error = OnError::kStop;
  OnGap on_gap = OnGap::kStop;
  PartitionPolicy policy = PartitionPolicy::kError;
  bool transforms = false;
  bool sealed_dead_letters = false;
  std::set<std::int32_t> target_counts;  // that the target had so far
  // Group offsets that an operator moved and no checkpoint knows of yet.
  std::set<TopicPartition> operator_reset;
  // Whose checkpoint is gone, or an older one: as another instance's is. The group knows more.
  std::set<TopicPartition> store_lost;

  std::vector<Truth> truths;  // by id
  std::vector<Side> sides;
  std::uint64_t life = 0;
  const ShardCore* core = nullptr;
  std::string violation;  // the first one
  std::uint64_t duplicates = 0;
  std::uint64_t checks = 0;

  template <typename... Args>
  void violate(fmt::format_string<Args...> format, Args&&... args) {
    if (!violation.empty()) return;
    violation = fmt::format("life {}, {} ms: {}", life,
                            world_.clock.now().time_since_epoch().count() / 1000,
                            fmt::format(format, std::forward<Args>(args)...));
  }

  bool tracing = false;
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print(stderr, "{:>8} ms, life {}: {}\n",
               world_.clock.now().time_since_epoch().count() / 1000, life,
               fmt::format(format, std::forward<Args>(args)...));
  }

  Side& side(const TopicPartition& at) { return *std::ranges::find(sides, at, &Side::at); }
  static std::string name(const Truth& truth) {
    return fmt::format("{}-{}@{}", truth.at.topic, truth.at.partition.value, truth.source.offset);
  }

  // ---- what must come out ----
  static std::string marked(const std::string& value) { return "1:" + value; }
  static std::string sealed(const std::string& value) { return "sealed(" + value + ")"; }
  static std::string whole(const std::string& value) { return "whole(" + value + ")"; }
  static constexpr std::int64_t kShift = 7;  // what the transform adds to the timestamp

  [[nodiscard]] FakeRecord expected(const Truth& truth) const {
    FakeRecord record = truth.source;
    if (!transforms) return record;
    record.timestamp_ms += kShift;
    if (record.key) record.key = *record.key + "'";
    if (record.value) record.value = sealed(marked(*record.value));
    record.headers.emplace_back("sealed", "yes");
    return record;
  }

  // ---- Observer ----
  void polling(std::uint32_t /*shard*/) override {
    if (core->state() != ShardCore::State::kRunning) violate("polled while draining");
    if (store_.failing && world_.power && !exactly_once)
      violate("polled though the store cannot save");
  }

  void assigned(std::uint32_t slot, Offset start) override {
    Side& side = sides[slot];
    ++side.epoch;
    if (tracing) say("{}: assigned at {}", slot, start.value);
    side.sent = -1;
    if (!world_.power) return;
    if (assigned_at) assigned_at(side, start);
    for (const FakeTarget* to : {target, dead}) {
      for (const FakeSink* sink : to->sinks) {
        if (sink->unanswered_of(slot) > 0) {
          violate("slot {} was rewound with {} records unanswered", slot,
                  sink->unanswered_of(slot));
        }
      }
    }
  }

  void sending(const Record& record, std::uint64_t /*sink*/) override {
    Side& side = sides[record.slot];
    const Truth& truth = truths[FakeMessage::id_of(record)];
    if (core->state() != ShardCore::State::kRunning) violate("{} sent while draining", name(truth));
    if (record.offset.value <= side.sent) {
      violate("{} sent after offset {} without a rewind", name(truth), side.sent);
    }
    side.sent = record.offset.value;
    if (core->isolating() && unanswered() >= round_most(side)) {
      violate("{} sent beside {} others while isolating", name(truth), unanswered());
    }
    if (side.must_be_saved_before_sending && world_.power && !checkpoint(side)) {
      violate("{} sent before the choice of its start was saved", name(truth));
    }
  }

  std::uint64_t send_epoch(std::uint32_t slot) override {
    return life * 1'000'000 + sides[slot].epoch;
  }

  void stored(const Stored& what) override {
    Truth& truth = truths[what.id];
    const bool to_dead = what.topic == kDeadTopic;
    const TopicPartition place{std::string(what.topic), Partition{what.partition}};
    const FakeRecord& record = cluster_of(place)->log(place)->records[what.index];
    if (to_dead) {
      check_dead_letter(truth, record);
      ++truth.dead_stored;
    } else {
      check_copy(truth, record, what.partition);
      if (truth.stored++ > 0) ++duplicates;
    }
    if (tracing) {
      say("{} stored at {}-{}, epoch {}", name(truth), what.topic, what.partition, what.epoch);
    }
    if (!to_dead || is_bad(truth.fate)) truth.newest = {place, what.index};
    if (exactly_once) return;
    auto& newest = order_[{place, truth.at}];
    const std::pair<std::uint64_t, std::int64_t> here{what.epoch, truth.source.offset};
    if (here <= newest) {
      violate("{} stored after offset {} of a {} run", name(truth), newest.second,
              newest.first == what.epoch ? "same" : "newer");
    }
    newest = std::max(newest, here);
  }

  void reported(std::uint64_t id, std::string_view topic, bool delivered) override {
    if (!delivered) return;
    Truth& truth = truths[id];
    if ((topic == kDeadTopic ? truth.dead_stored : truth.stored) == 0) {
      violate("{} reported as delivered and is not there", name(truth));
    }
    truth.done_life = life;
  }

  // ---- what must hold ----
  [[nodiscard]] std::size_t unanswered() const {
    std::size_t sum = 0;
    for (const FakeTarget* to : {target, dead}) {
      for (const FakeSink* sink : to->sinks) sum += sink->unanswered();
    }
    return sum;
  }
  // How many records may be in the sinks together with one of `next`.
  [[nodiscard]] std::size_t round_most(const Side& next) const {
    std::size_t most = IsolationWindow::kMost;
    for (const Side& side : sides) {
      if (!core->isolating(side.slot)) continue;
      bool there = &side == &next;
      for (const FakeTarget* to : {target, dead}) {
        for (const FakeSink* sink : to->sinks) there = there || sink->unanswered_of(side.slot) > 0;
      }
      if (there) most = std::min(most, core->window(side.slot));
    }
    return most;
  }

  CheckpointKey key(const Side& side) const { return {kPipeline, source_.id(), side.at}; }
  // What a restart has to resume from.
  std::optional<Checkpoint> checkpoint(const Side& side) const {
    if (!exactly_once) return store_.find(key(side));
    const auto position = committed_position(side.at);
    if (!position) return std::nullopt;
    return Checkpoint{*position, std::nullopt, std::nullopt, 0};
  }

  // Done in this life, or needs nothing.
  [[nodiscard]] bool done(const Truth& truth) const {
    if (truth.skipped || truth.fate == Fate::kDropped) return true;
    if (truth.gone && on_gap == OnGap::kEarliest) return true;
    if (is_bad(truth.fate) && on_error == OnError::kDrop) return true;
    if (exactly_once) return truth.visible > 0;
    if (is_bad(truth.fate) && on_error == OnError::kDeadLetter && truth.dead_stored == 0) {
      return false;
    }
    return truth.done_life == life;
  }

  // After every step.
  void check_durable() {
    ++checks;
    if (exactly_once) return;
    for (Side& side : sides) {
      const auto stored = checkpoint(side);
      if (stored) check_position(side, stored->position.next.value);
    }
  }

  void check_position(Side& side, std::int64_t next) {
    if (side.durable == next) return;
    side.durable = next;
    if (tracing) say("{}: saved {}", side.slot, next);
    if (next < side.checked) {
      if (!side.gap_possible) {
        violate("{}-{}: the checkpoint fell from {} to {}", side.at.topic, side.at.partition.value,
                side.checked, next);
      }
      side.checked = next;
      return;
    }
    auto id = std::ranges::lower_bound(side.ids, side.checked, {}, [&](std::uint64_t candidate) {
      return truths[candidate].source.offset;
    });
    for (; id != side.ids.end() && truths[*id].source.offset < next; ++id) {
      // A log that was replaced: the position may still be one of the old log, until the witness
      // is looked at. The outcome tells whether the new one was read.
      if (side.replaced) continue;
      if (!done(truths[*id])) {
        const Truth& truth = truths[*id];
        violate("the checkpoint {} passes {} (fate {}, stored {}, dead {}), which is not done: {}",
                next, name(truth), static_cast<int>(truth.fate), truth.stored, truth.dead_stored,
                truth.gone ? "its log lost it and nobody said so" : "it is in the log");
      }
    }
    side.checked = next;
  }

  // The group's offset must be one that a restart knows as ours: by its mark, and then it says no
  // more than the checkpoint, or by its value.
  void check_group() {
    if (exactly_once) return;  // it is for people only
    for (const Side& side : sides) {
      const auto group = source_.group.find(side.at);
      if (group == source_.group.end()) continue;
      const Offset offset = group->second.offset;
      const auto stored = checkpoint(side);
      if (!stored) {
        if (store_lost.contains(side.at)) continue;
        violate("{}-{}: the group is at {} without a checkpoint", side.at.topic,
                side.at.partition.value, offset.value);
        continue;
      }
      if (group->second.line) {
        if (stored->line >= side.start_line) operator_reset.erase(side.at);  // carried out
        const bool knows_more =
            std::pair(*group->second.line, offset) > std::pair(stored->line, stored->position.next);
        if (!knows_more) {
          if (source_.late_commits.empty()) store_lost.erase(side.at);
        } else if (!store_lost.contains(side.at)) {
          violate("{}-{}: the group is at {} of line {}, the checkpoint at {} of line {}",
                  side.at.topic, side.at.partition.value, offset.value, *group->second.line,
                  stored->position.next.value, stored->line);
        }
        continue;
      }
      if (offset == stored->group_committed || offset == stored->group_pending ||
          offset == stored->position.next) {
        operator_reset.erase(side.at);
        continue;
      }
      if (operator_reset.contains(side.at) || store_lost.contains(side.at)) continue;
      violate(
          "{}-{}: the group is at {} and the checkpoint knows next {}, committed {}, pending {}",
          side.at.topic, side.at.partition.value, offset.value, stored->position.next.value,
          show(stored->group_committed), show(stored->group_pending));
    }
  }

  // Whatever a start made of a position, and though nothing is copied from there: the topic can be
  // recognised. The record right before the position, if the log has it, is the witness.
  void check_witnesses() {
    if (core->dirty()) return;
    for (const Side& side : sides) {
      const auto stored = checkpoint(side);
      if (!stored || stored->position.next.value == 0 || side.replaced || side.starting) continue;
      if (!core->settled(side.slot) || core->position(side.slot) != stored->position.next) continue;
      const Offset before{stored->position.next.value - 1};
      const FakeLog* log = source_.log(side.at);
      if (log == nullptr || log->find(before.value) == nullptr) continue;
      const auto& witness = stored->position.witness;
      if (witness && witness->offset == before) continue;
      violate("{}-{}: position {} is saved without the record before it as its witness",
              side.at.topic, side.at.partition.value, stored->position.next.value);
    }
  }

  // At the end: nothing lost, order kept.
  void check_outcome() {
    for (const Truth& truth : truths) {
      if (truth.gone || truth.skipped) continue;
      const bool to_dead = is_bad(truth.fate) && on_error == OnError::kDeadLetter;
      const bool copied = exactly_once ? truth.visible > 0 : truth.stored > 0;
      const bool buried = exactly_once ? truth.visible > 0 : truth.dead_stored > 0;
      if (truth.fate == Fate::kGood && !copied) violate("{} is lost", name(truth));
      if (to_dead && !buried) violate("{} has no dead letter", name(truth));
      if (is_bad(truth.fate) && on_error == OnError::kStop) {
        violate("{} was passed though on-error is stop", name(truth));
      }
    }
    if (!exactly_once) check_final_order();
  }

  void misused(std::string_view how) override { violate("a sink is misused: {}", how); }

  // ---- what a copy must be ----
  void check_copy(const Truth& truth, const FakeRecord& record, std::int32_t partition) {
    if (truth.fate != Fate::kGood) {
      violate("{} was stored and must not be (fate {})", name(truth), static_cast<int>(truth.fate));
    }
    const FakeRecord wanted = expected(truth);
    if (record.value != wanted.value) {
      violate("{} stored with value {}", name(truth), record.value.value_or("null"));
    }
    if (record.key != wanted.key || record.headers != wanted.headers ||
        record.timestamp_ms != wanted.timestamp_ms) {
      violate("{} stored with another key, headers or timestamp", name(truth));
    }
    const bool fits = std::ranges::any_of(target_counts, [&](std::int32_t count) {
      const std::int32_t from = truth.at.partition.value;
      if (from < count) return partition == from;
      return partition ==
             (wanted.key ? partition_for_key(as_bytes(*wanted.key), count) : from % count);
    });
    if (!fits) violate("{} stored in partition {}", name(truth), partition);
  }

  void check_dead_letter(const Truth& truth, const FakeRecord& record) {
    if (!is_bad(truth.fate) || on_error != OnError::kDeadLetter) {
      violate("{} went to the dead letters and is good", name(truth));
      return;
    }
    FakeRecord wanted = truth.source;
    if (sealed_dead_letters && wanted.value) wanted.value = whole(*wanted.value);
    std::vector<FakeHeader> headers = wanted.headers;
    const auto add = [&](std::string_view header, std::string text) {
      headers.emplace_back(header, std::move(text));
    };
    add(kDeadLetterCluster, "here");
    add(kDeadLetterTopic, truth.at.topic);
    add(kDeadLetterPartition, std::to_string(truth.at.partition.value));
    add(kDeadLetterOffset, std::to_string(truth.source.offset));
    add(kDeadLetterPipeline, kPipeline);
    const std::size_t compared = headers.size();
    if (record.key != wanted.key || record.value != wanted.value ||
        record.timestamp_ms != wanted.timestamp_ms || record.headers.size() != compared + 3 ||
        !std::equal(headers.begin(), headers.end(), record.headers.begin())) {
      violate("the dead letter of {} is not as it came", name(truth));
      return;
    }
    const FakeHeader& code = record.headers[compared + 1];
    if (code.first != kDeadLetterError || code.second != name_of(code_of(truth.fate))) {
      violate("the dead letter of {} says {}", name(truth), code.second.value_or("nothing"));
    }
  }

 private:
  FakeCluster* cluster_of(const TopicPartition& place) const {
    return &(place.topic == kDeadTopic ? dead : target)->cluster();
  }

  static std::string show(const std::optional<Offset>& offset) {
    return offset ? std::to_string(offset->value) : "none";
  }

  // The last deliveries of a source partition's records stand in order.
  void check_final_order() {
    for (const auto& [path, newest] : order_) {
      const auto& [place, from] = path;
      std::optional<std::uint64_t> next;
      const auto& records = cluster_of(place)->log(place)->records;
      for (auto record = records.rbegin(); record != records.rend(); ++record) {
        const Truth& truth = truths[record->id];
        const auto index = static_cast<std::size_t>(records.rend() - record - 1);
        if (truth.at != from || truth.newest != std::pair(place, index)) continue;
        if (truth.gone || truth.skipped) continue;  // perhaps not sent again after a rewind
        // Ids rise with offsets, across generations of a log too.
        if (next && record->id > *next) {
          violate("the last delivery of {} comes before that of {}", name(truths[record->id]),
                  name(truths[*next]));
        }
        next = record->id;
      }
    }
  }

  World& world_;
  FakeCluster& source_;
  FakeStore& store_;
  // By place and source partition: epoch and offset of the newest record stored.
  std::map<std::pair<TopicPartition, TopicPartition>, std::pair<std::uint64_t, std::int64_t>>
      order_;
};

}  // namespace drawbridge::fakes

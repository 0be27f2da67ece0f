// What exactly-once adds to the model: the invariants 5 to 9 of EXACTLY_ONCE.md, in one place.
//
//   5  of each source record at most one copy or dead letter is visible, in its partition's order;
//   6  below a committed position everything is visible, dropped on purpose or was never there, and
//      what a transaction holds lies below the positions that it states;
//   7  a new holder resumes at the committed position;
//   8  nothing of a fenced producer is visible: the coordinator refuses it, and if what a successor
//      did went past it all the same, 5 and 6 break;
//   9  every transaction that is committed says something new;
//   10 a committed position's digest is that of all that is visible of its source partition.
//
// It sees the transactions as the target's readers do, and what the source is asked for.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bridge/record/record_digest.h"
#include "tests/unit/pipeline/model.h"

namespace drawbridge::fakes {

class ExactlyOnceModel {
 public:
  explicit ExactlyOnceModel(Model& model) : model_(model) {
    model.exactly_once = true;
    model.committed_position = [this](const TopicPartition& at) -> std::optional<Position> {
      const auto found = said_.find(at);
      return found == said_.end() ? std::nullopt : std::optional(found->second.position);
    };
    model.assigned_at = [this](Side& side, Offset start) { assigned(side, start); };
  }

  // The shard has committed before.
  [[nodiscard]] bool begun() const { return begun_; }
  // Whether the present worker's sink is the one that may write.
  std::function<bool()> holds;

  // A transaction, once its markers are written.
  void committed(const std::vector<FakeCoordinator::Written>& written) {
    bool news = false;
    for (const auto& [at, record] : written) {
      if (at.topic == kLedgerTopic) learn_key(record);
    }
    std::map<TopicPartition, std::uint64_t> newest;  // of the transaction, by source partition
    for (const auto& [at, record] : written) {
      if (at.topic == kLedgerTopic) continue;
      news = true;
      see(at, record);
      digest(record);
      const TopicPartition& from = model_.truths[record.id].at;
      const auto before = newest_.find(from);
      if (before != newest_.end() && record.id <= before->second && !model_.side(from).replaced) {
        model_.violate("{} is visible in a later transaction than {}",
                       Model::name(model_.truths[record.id]),
                       Model::name(model_.truths[before->second]));
      }
      newest[from] = std::max(newest[from], record.id);
    }
    for (const auto& [from, id] : newest) newest_[from] = id;
    for (const auto& [at, record] : written) {
      if (at.topic == kLedgerTopic) news = state(record) || news;
    }
    for (const auto& [from, id] : newest) {
      const Truth& truth = model_.truths[id];
      const auto said = said_.find(from);
      const bool below =
          said != said_.end() && truth.source.offset < said->second.position.next.value;
      if (!below && !model_.side(from).gap_possible) {
        model_.violate("{} is visible, and its transaction states no position after it",
                       Model::name(truth));
      }
    }
    if (!news) model_.violate("a transaction was committed that says nothing new");
  }

 private:
  void learn_key(const FakeRecord& record) {
    const auto entry = decode_ledger(as_bytes(*record.key), as_bytes(*record.value));
    if (const auto* header = entry ? std::get_if<LedgerHeader>(&*entry) : nullptr) {
      digest_key_ = header->digest_key;
    }
  }

  void digest(const FakeRecord& record) {
    const Truth& truth = model_.truths[record.id];
    if (!digest_key_) {
      model_.violate("{} is visible before a header", Model::name(truth));
      return;
    }
    const RecordDigest digester(*digest_key_, "here-id", truth.at.topic);
    const auto view = [](const std::optional<std::string>& field) {
      return field ? std::optional(as_bytes(*field)) : std::nullopt;
    };
    const RecordId source{truth.at.partition, Offset{truth.source.offset}};
    digester.add(source, record.timestamp_ms, view(record.key), view(record.value),
                 sums_[truth.at]);
  }

  void see(const TopicPartition& at, const FakeRecord& record) {
    Truth& truth = model_.truths[record.id];
    if (model_.tracing)
      model_.say("{} visible at {}-{}", Model::name(truth), at.topic, at.partition.value);
    // A log that is replaced under the reader is noticed with a delay, and then read again.
    const bool replaced = model_.side(truth.at).replaced;
    if (truth.visible++ > 0 && !replaced) model_.violate("{} is visible twice", Model::name(truth));
    if (at.topic == kDeadTopic) {
      model_.check_dead_letter(truth, record);
    } else {
      model_.check_copy(truth, record, at.partition.value);
    }
    const auto [newest, first] = order_.try_emplace({at, truth.at}, record.id);
    if (!first && record.id <= newest->second && !replaced) {
      model_.violate("{} is visible after {}", Model::name(truth),
                     Model::name(model_.truths[newest->second]));
    }
    newest->second = record.id;
  }

  // Whether it is news.
  bool state(const FakeRecord& record) {
    const auto entry = decode_ledger(as_bytes(*record.key), as_bytes(*record.value));
    if (!entry) {
      model_.violate("the ledger has a record that nobody can read: {}", entry.error().message);
      return false;
    }
    const auto* position = std::get_if<LedgerPosition>(&*entry);
    if (position == nullptr) return !std::exchange(begun_, true);
    const auto before = said_.find(position->at);
    if (before != said_.end() && position->sequence <= before->second.sequence) {
      model_.violate("commit {} comes after commit {}", position->sequence,
                     before->second.sequence);
    }
    if (position->digest != sums_[position->at]) {
      model_.violate(
          "the digest of slot {} at {} is not of what is visible: {} records, and {} are",
          model_.side(position->at).slot, position->position.next.value,
          position->digest ? position->digest->records : 0, sums_[position->at].records);
    }
    const bool adopted = before != said_.end() && !before->second.position.witness &&
                         position->position.witness.has_value();
    const bool news =
        before == said_.end() || adopted || before->second.position.next != position->position.next;
    if (model_.tracing) {
      model_.say("{}: committed {}, witness {}", model_.side(position->at).slot,
                 position->position.next.value,
                 position->position.witness ? position->position.witness->offset.value : -1);
    }
    said_.insert_or_assign(position->at, *position);
    model_.check_position(model_.side(position->at), position->position.next.value);
    return news;
  }

  void assigned(Side& side, Offset start) {
    const bool first = std::exchange(side.starting, false);
    const auto said = said_.find(side.at);
    // Fenced, and not told yet. A predecessor's late request does that, too, and then the start
    // holds.
    const bool fenced = !holds();
    if (fenced && (!first || said != said_.end())) return;
    if (said != said_.end()) {
      side.must_be_saved_before_sending = false;
      const Position& position = said->second.position;
      const bool there =
          start == position.next ||
          start == (position.witness ? position.witness->offset : before(position.next));
      const bool further = !first && (start > position.next || side.gap_possible);
      if (!there && !further) {
        model_.violate("slot {} resumes at {}, and {} is committed", side.slot, start.value,
                       position.next.value);
      }
      return;
    }
    if (!first) return;
    const std::int64_t begin = begun_ ? 0 : side.given.value;
    const bool fresh = begun_ || side.given_fresh;
    // Where it does not begin at the log's start, the record before it is looked at first.
    if (!fenced && start.value != begin && start != before(Offset{begin})) {
      model_.violate("slot {} starts at {} instead of {}", side.slot, start.value, begin);
    }
    for (const std::uint64_t id : side.ids) {
      Truth& truth = model_.truths[id];
      truth.skipped = truth.source.offset < begin || (fresh && truth.gone);
    }
    side.checked = side.life_start = begin;
    side.must_be_saved_before_sending = !fresh;
  }

  static Offset before(Offset position) { return {std::max<std::int64_t>(position.value - 1, 0)}; }

  Model& model_;
  bool begun_ = false;
  std::optional<DigestKey> digest_key_;
  std::map<TopicPartition, RunningDigest> sums_;  // of what is visible
  std::map<TopicPartition, LedgerPosition> said_;
  std::map<TopicPartition, std::uint64_t> newest_;  // visible, by source partition; ids rise
  std::map<std::pair<TopicPartition, TopicPartition>, std::uint64_t> order_;  // by place, too
};

}  // namespace drawbridge::fakes

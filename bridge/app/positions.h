// Positions of a pipeline as its operator sees and sets them: in its ledger, where it delivers
// exactly once, in the checkpoint store, and in the source's consumer group.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bridge/checkpoint/store.h"
#include "bridge/pipeline/ledger_hold.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge {

// Where a position stands, and what the log still holds.
struct PositionView {
  TopicPartition at;
  std::optional<Offset> next;  // where it goes on: the ledger's, or the store's
  std::optional<Offset> group;
  Watermarks log;
};

// A place in a log, as written on a command line.
struct PlaceInLog {
  enum class Kind : std::uint8_t { kEarliest, kLatest, kOffset, kTime };
  Kind kind = Kind::kEarliest;
  std::int64_t number = 0;  // kOffset: the offset; kTime: milliseconds since 1970

  // "earliest", "latest", an offset, or a time ("2026-01-31T12:00:00Z"). Errors: kInvalid.
  static Result<PlaceInLog> parse(const std::string& text);
};

// Commits as nobody's member, and waits for the answer; also for members that were stopped and
// count until their session is over. Errors: those of the cluster; kLocked, there are members.
Result<void> commit_to_group(Source& source, const PipelineOptions& pipeline,
                             std::vector<std::pair<TopicPartition, GroupOffset>> offsets);

// One pipeline's positions on its source, while its daemon is stopped. Used by one thread; the
// store outlives it. Every call is bounded in time.
class Positions {
 public:
  // For setting, an exactly-once pipeline's ledger is taken, which takes it from whoever works on
  // it; for looking, there is only what the store knows of it.
  enum class For : std::uint8_t { kLooking, kSetting };
  // Connects. Errors: those of the clusters and of LedgerHold.
  static Result<std::unique_ptr<Positions>> open(const PipelineOptions& pipeline,
                                                 CheckpointStore& store, Connector& connector,
                                                 For purpose);

  [[nodiscard]] const std::string& cluster_id() const { return cluster_id_; }
  // Where `PositionView::next` comes from, as a heading.
  [[nodiscard]] std::string where() const;

  // Is the topic this pipeline's: selected by it, or by an earlier configuration that left a
  // checkpoint? Errors: kInvalid, naming what the pipeline selects.
  Result<void> check_topic(const std::string& topic);
  // The topic's partitions, or one of them. Errors: kUnknownTopic.
  Result<std::vector<PositionView>> look(const std::string& topic,
                                         std::optional<std::int32_t> partition);
  // What a place is in each partition. Errors: kInvalid, an offset that a log does not hold,
  // naming what it holds.
  Result<std::vector<Offset>> resolve(const PlaceInLog& place,
                                      const std::vector<PositionView>& views);

  // Sets ledger, group and store: what decides first, so that the store never says less than what
  // a start would do. `entries` hold the positions; what they say of the group is replaced. Errors:
  // those of the clusters and the store; what was set before one holds by itself.
  Result<void> set(std::vector<CheckpointEntry> entries);
  // The same without the group.
  Result<void> keep(const std::vector<CheckpointEntry>& entries);

 private:
  Positions(const PipelineOptions& pipeline, CheckpointStore& store)
      : pipeline_(pipeline), store_(store) {}
  Result<void> take_ledger(Connector& connector);
  Result<void> set_ledger(const std::vector<CheckpointEntry>& entries);

  const PipelineOptions& pipeline_;
  CheckpointStore& store_;
  std::unique_ptr<Source> source_;
  std::string cluster_id_;
  SystemClock clock_;
  std::unique_ptr<Target> target_;  // exactly-once, for setting
  std::unique_ptr<LedgerHold> hold_;
};

}  // namespace drawbridge

// A pipeline's ledger in the hands of a command, while no instance runs it: to move it, or to set
// what it says. Who is kept out and how: RESHARD.md. Used by one thread; every call is bounded in
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/pipeline/ledger_place.h"
#include "bridge/pipeline/ports.h"
#include "bridge/pipeline/shard_ledger.h"

namespace drawbridge {

// One producer of a ledger's records.
class LedgerWriter {
 public:
  // Called while it waits; an error ends the waiting.
  using Beat = std::function<Result<void>()>;

  static Result<std::unique_ptr<LedgerWriter>> open(Target& target, const Clock& clock,
                                                    TransactionOptions options, Beat beat);

  // Waits until nobody else can write as this transactional id, and until what its holder before
  // had left open is decided. Returns what the ledger's partition holds then.
  Result<std::vector<LedgerRecord>> take_over();
  // Writes to partitions of the ledger's topic, all or nothing; final when it returns. Errors:
  // kFenced, somebody has taken over; kUnavailable, it is not known whether it was done.
  Result<void> write(const std::map<std::uint32_t, std::vector<LedgerRecord>>& records);

 private:
  LedgerWriter(const Clock& clock, TransactionOptions options, Beat beat)
      : clock_(clock), options_(std::move(options)), beat_(std::move(beat)) {}
  Result<TransactionEvent> await_event(std::string_view what);
  Result<void> deliver(std::vector<Record>& records);
  Result<void> wait(Instant until, std::string_view what);

  const Clock& clock_;
  const TransactionOptions options_;
  const Beat beat_;
  Waker waker_;
  std::vector<Delivery> deliveries_;
  std::unique_ptr<Sink> sink_;
};

class LedgerHold {
 public:
  // Takes all shards: their leases, where instances share, and their transactional ids; then reads
  // what they say. `pipeline` names whose the ledger is. `target` and `clock` outlive it. Errors:
  // kLocked, other instances run it; kInvalid, a shard that has not begun; those of the cluster.
  static Result<std::unique_ptr<LedgerHold>> take(const PipelineOptions& pipeline,
                                                  const LedgerTopic& topic, Connector& connector,
                                                  Target& target, const Clock& clock);

  [[nodiscard]] const LedgerTopic& topic() const { return topic_; }
  // By shard, each with a header.
  [[nodiscard]] const std::vector<LedgerContents>& contents() const { return contents_; }
  // nullptr: none.
  [[nodiscard]] const LedgerPosition* find(const std::string& cluster_id,
                                           const TopicPartition& at) const;
  // Whether it has a position of the topic.
  [[nodiscard]] bool knows(const std::string& cluster_id, const std::string& topic) const;

  // In the shard's own name, so that it fails if anybody has taken the shard over.
  Result<void> write(std::uint32_t shard, std::vector<LedgerRecord> records);
  // States these positions, a transaction a shard. After an error it is not known of which shards
  // that was done; it can be done again. Errors: those of check_header(), too.
  Result<void> set(const std::string& cluster_id,
                   std::span<const std::pair<TopicPartition, Position>> positions);

 private:
  LedgerHold(const PipelineOptions& pipeline, LedgerTopic topic, const Clock& clock)
      : pipeline_(pipeline), topic_(std::move(topic)), clock_(clock) {}
  Result<void> join(Connector& connector);
  Result<void> beat();
  Result<void> take_shards(Target& target);

  const PipelineOptions pipeline_;
  const LedgerTopic topic_;
  const Clock& clock_;
  std::unique_ptr<Group> group_;
  std::vector<std::unique_ptr<LedgerWriter>> writers_;  // by shard
  std::vector<std::vector<LedgerRecord>> records_;
  std::vector<LedgerContents> contents_;
};

}  // namespace drawbridge

// A Kafka cluster in memory: topics, partitions, logs with gaps, a consumer group's offsets.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/pipeline/ports.h"
#include "tests/unit/pipeline/fake_world.h"

namespace drawbridge::fakes {

using FakeHeader = std::pair<std::string, std::optional<std::string>>;

struct FakeRecord {
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<FakeHeader> headers;
  // Names the record in a test. On a target: that of the source's record.
  std::uint64_t id = 0;
  std::uint64_t transaction = 0;  // on a target, see fake_coordinator.h; 0: none
};

// One partition. Offsets rise; some hold no record (markers, compacted and aborted ones).
struct FakeLog {
  std::vector<FakeRecord> records;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::optional<std::int64_t> open_transaction;  // the last stable offset, where it is lower

  [[nodiscard]] std::int64_t end() const { return open_transaction.value_or(high); }
  [[nodiscard]] std::vector<FakeRecord>::const_iterator from(std::int64_t offset) const {
    return std::lower_bound(
        records.begin(), records.end(), offset,
        [](const FakeRecord& record, std::int64_t value) { return record.offset < value; });
  }
  [[nodiscard]] const FakeRecord* find(std::int64_t offset) const {
    const auto at = from(offset);
    return at != records.end() && at->offset == offset ? &*at : nullptr;
  }

  std::int64_t append(FakeRecord record) {
    record.offset = high++;
    records.push_back(std::move(record));
    return records.back().offset;
  }
  void append_marker() { ++high; }
  void begin_transaction() {
    if (!open_transaction) open_transaction = high;
  }
  // Its marker takes an offset; the records of an aborted one can never be read.
  void end_transaction(bool commit) {
    if (!open_transaction) return;
    if (!commit) {
      records.erase(records.begin() + (from(*open_transaction) - records.begin()), records.end());
    }
    open_transaction.reset();
    append_marker();
  }
  void compact(std::int64_t offset) {
    std::erase_if(records, [&](const FakeRecord& record) { return record.offset == offset; });
  }
  void delete_before(std::int64_t offset) {  // retention
    low = std::clamp(offset, low, high);
    std::erase_if(records, [&](const FakeRecord& record) { return record.offset < low; });
  }
  void truncate(std::int64_t offset) {
    high = std::clamp(offset, low, high);
    std::erase_if(records, [&](const FakeRecord& record) { return record.offset >= high; });
    if (open_transaction && *open_transaction >= high) open_transaction.reset();
  }
};

class FakeCluster {
 public:
  FakeCluster(World& world, std::string id) : world_(world), id_(std::move(id)) {}

  [[nodiscard]] const std::string& id() const { return id_; }
  World& world() { return world_; }

  void create(const std::string& topic, std::int32_t partitions, TopicConfig config = {}) {
    const std::lock_guard lock(world_.mutex);
    topics_[topic] = {std::vector<FakeLog>(static_cast<std::size_t>(partitions)),
                      std::move(config)};
    changed();
  }
  void grow(const std::string& topic, std::int32_t partitions) {
    const std::lock_guard lock(world_.mutex);
    topics_.at(topic).logs.resize(static_cast<std::size_t>(partitions));
    changed();
  }
  void configure(const std::string& topic, TopicConfig config) {
    const std::lock_guard lock(world_.mutex);
    topics_.at(topic).config = std::move(config);
  }
  void remove(const std::string& topic) {
    const std::lock_guard lock(world_.mutex);
    topics_.erase(topic);
    changed();
  }
  // nullptr: no such topic or partition.
  FakeLog* log(const TopicPartition& at) {
    const auto topic = topics_.find(at.topic);
    if (topic == topics_.end()) return nullptr;
    auto& logs = topic->second.logs;
    const auto index = static_cast<std::size_t>(at.partition.value);
    return index < logs.size() ? &logs[index] : nullptr;
  }
  std::int64_t append(const TopicPartition& at, FakeRecord record) {
    const std::lock_guard lock(world_.mutex);
    const std::int64_t offset = log(at)->append(std::move(record));
    changed();
    return offset;
  }

  [[nodiscard]] std::optional<TopicInfo> info(const std::string& topic) const {
    const auto found = topics_.find(topic);
    if (found == topics_.end()) return std::nullopt;
    return TopicInfo{topic, topic.starts_with("__"),
                     std::vector<std::int32_t>(found->second.logs.size(), 1)};
  }
  [[nodiscard]] std::vector<TopicInfo> all() const {
    std::vector<TopicInfo> out;
    for (const auto& [name, topic] : topics_) out.push_back(*info(name));
    return out;
  }
  [[nodiscard]] const TopicConfig& config(const std::string& topic) const {
    return topics_.at(topic).config;
  }

  // The consumer group (one is enough).
  std::map<TopicPartition, GroupOffset> group;
  // Commits on connections that were lost: the broker reads them after newer ones.
  struct LateCommit {
    Instant arrives;
    std::vector<std::pair<TopicPartition, GroupOffset>> offsets;
  };
  std::vector<LateCommit> late_commits;
  void take_late_commits(Instant until) {
    std::erase_if(late_commits, [&](const LateCommit& late) {
      if (late.arrives > until) return false;
      for (const auto& [at, offset] : late.offsets) group[at] = offset;
      return true;
    });
  }

  // Decides about a record that is produced to a topic here; an error refuses its whole request.
  std::function<std::optional<Error>(const std::string& topic, const FakeRecord& record)> refuse;

  // What its newest sink was made with.
  SinkOptions newest_sink;

  // Called after every change, for those who wait for one.
  std::vector<std::function<void()>> watchers;
  void changed() {
    for (const auto& watcher : watchers) watcher();
  }

 private:
  struct Topic {
    std::vector<FakeLog> logs;
    TopicConfig config;
  };

  World& world_;
  const std::string id_;
  std::map<std::string, Topic> topics_;
};

}  // namespace drawbridge::fakes

// Source and Feed over a FakeCluster, as seen from one process: destroy it, and what was fetched
// and the commits under way are gone.
#pragma once

#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/pipeline/fake_cluster.h"
#include "tests/unit/pipeline/fake_group.h"

namespace drawbridge::fakes {

// What a consumed record's views point into. Freed with its batch, so that a sanitizer sees whoever
// looks too late.
struct FakeMessage {
  FakeRecord record;

  static void free(void* message) { delete static_cast<FakeMessage*>(message); }
  static void decode(void* native, std::vector<Header>& out) {
    for (const auto& [name, value] : static_cast<FakeMessage*>(native)->record.headers) {
      out.push_back({name, value ? std::optional(as_bytes(*value)) : std::nullopt});
    }
  }
  static std::uint64_t id_of(const Record& record) {
    return static_cast<const FakeMessage*>(record.native)->record.id;
  }
};

class FakeSource final : public Source {
 public:
  FakeSource(FakeCluster& cluster, std::vector<Waker*> wakers,
             std::unique_ptr<FakeGroup> member = nullptr)
      : cluster_(cluster),
        world_(cluster.world()),
        wakers_(std::move(wakers)),
        member_(std::move(member)) {
    const std::lock_guard lock(world_.mutex);
    for (std::uint32_t shard = 0; shard < wakers_.size(); ++shard) {
      feeds_.push_back(std::make_unique<FakeFeed>(*this, shard));
    }
    watcher_ = cluster_.watchers.size();
    cluster_.watchers.emplace_back([this] { wake(); });
  }
  ~FakeSource() override {
    const std::lock_guard lock(world_.mutex);
    cluster_.watchers[watcher_] = [] {};
    for (const Commit& commit : commits_) {  // already on the wire, or not
      if (world_.random.chance(world_.weather.group_late)) {
        be_late(commit);
      } else if (world_.random.chance(0.5)) {
        apply(commit);
      }
    }
  }
  FakeSource(const FakeSource&) = delete;
  FakeSource& operator=(const FakeSource&) = delete;

  Result<std::string> cluster_id(Duration) override { return cluster_.id(); }
  Result<std::vector<TopicInfo>> topics(Duration) override {
    const std::lock_guard lock(world_.mutex);
    return cluster_.all();
  }
  Result<Watermarks> watermarks(const TopicPartition& at, Duration) override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    if (world_.random.chance(world_.weather.watermarks_fail)) {
      return fail(ErrorCode::kUnavailable, "injected: no answer about the log's range");
    }
    const FakeLog* log = cluster_.log(at);
    if (log == nullptr) return fail(ErrorCode::kUnavailable, "injected: the topic is gone");
    return Watermarks{{log->low}, {log->high}};
  }
  Result<std::vector<Offset>> offsets_at(std::span<const TopicPartition> at, std::int64_t timestamp,
                                         Duration) override {
    const std::lock_guard lock(world_.mutex);
    std::vector<Offset> out;
    for (const TopicPartition& partition : at) {
      const FakeLog& log = *cluster_.log(partition);
      Offset found{log.high};
      for (auto i = log.records.rbegin(); i != log.records.rend(); ++i) {
        if (i->timestamp_ms >= timestamp) found = Offset{i->offset};
      }
      out.push_back(found);
    }
    return out;
  }
  Result<std::vector<std::optional<GroupOffset>>> committed(std::span<const TopicPartition> at,
                                                            Duration) override {
    const std::lock_guard lock(world_.mutex);
    cluster_.take_late_commits(now());
    std::vector<std::optional<GroupOffset>> out;
    for (const TopicPartition& partition : at) {
      const auto found = cluster_.group.find(partition);
      out.push_back(found == cluster_.group.end() ? std::nullopt : std::optional(found->second));
    }
    return out;
  }
  Result<TopicConfig> topic_config(const std::string& topic, Duration) override {
    const std::lock_guard lock(world_.mutex);
    return cluster_.config(topic);
  }

  Group* group() override { return member_.get(); }
  void mark_commits(const std::string& /*mark*/) override {}
  void commit(std::vector<std::pair<TopicPartition, GroupOffset>> offsets) override {
    const std::lock_guard lock(world_.mutex);
    if (!world_.call()) return;
    if (member_ && !member_->may_commit()) {
      commits_.push_back({std::move(offsets), now(), false, false});
      return;
    }
    Commit commit{std::move(offsets), now() + world_.random.up_to(world_.weather.group_delay), true,
                  true};
    if (world_.random.chance(world_.weather.group_fails)) {
      commit.answered_well = false;
      commit.carried_out = world_.random.chance(0.5);
    }
    if (world_.random.chance(world_.weather.group_late)) {
      be_late(commit);
      commit.answered_well = commit.carried_out = false;
    }
    commits_.push_back(std::move(commit));
  }
  [[nodiscard]] std::size_t commits_pending() const override {
    const std::lock_guard lock(world_.mutex);
    return commits_.size();
  }
  void poll(std::vector<SourceEvent>& out, Duration timeout) override {
    poll(out);
    if (out.empty() && timeout.count() > 0) {  // somebody's thread
      std::this_thread::sleep_for(std::min<Duration>(timeout, std::chrono::milliseconds(1)));
    }
  }
  void poll(std::vector<SourceEvent>& out) {
    const std::lock_guard lock(world_.mutex);
    for (SourceEvent& event : events_) out.push_back(std::move(event));
    events_.clear();
    cluster_.take_late_commits(now());
    while (!commits_.empty() && commits_.front().at <= now()) {
      const Commit& commit = commits_.front();
      if (world_.power) apply(commit);
      SourceEvent event{SourceEvent::Kind::kCommitted, {}, 0, std::nullopt};
      for (const auto& [at, group] : commit.offsets) event.offsets.emplace_back(at, group.offset);
      if (!commit.answered_well) {
        event.error = Error{ErrorCode::kUnavailable, "injected: the coordinator moved"};
      }
      out.push_back(std::move(event));
      commits_.pop_front();
    }
  }

  Result<void> assign(const Assignment& assignment) override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    if (world_.observer != nullptr) world_.observer->assigned(assignment.slot, assignment.start);
    Reader& reader = readers_[assignment.slot];
    reader = Reader{};
    reader.at = assignment.at;
    reader.shard = assignment.shard;
    reader.next = assignment.start.value;
    reader.topic = &*names_.insert(assignment.at.topic).first;
    reader.ready_at = now() + world_.random.up_to(world_.weather.fetch_delay);
    reader.unknown_at = now() + std::chrono::seconds(1);
    wake();
    return {};
  }
  Result<void> unassign(std::uint32_t slot) override {
    const std::lock_guard lock(world_.mutex);
    readers_.erase(slot);
    return {};
  }
  Feed& feed(std::uint32_t shard) override { return *feeds_[shard]; }

  [[nodiscard]] std::optional<Watermarks> cached_watermarks(
      const TopicPartition& at) const override {
    const std::lock_guard lock(world_.mutex);
    const FakeLog* log = cluster_.log(at);
    if (log == nullptr) return std::nullopt;
    return Watermarks{{log->low}, {log->high}};
  }

  // ---- for tests ----
  // When something arrives that is not there yet; the far future if nothing does.
  [[nodiscard]] Instant next_event() const {
    Instant next = Instant::max();
    for (const auto& [slot, reader] : readers_) {
      if (reader.ready_at > now() && has_something(reader)) next = std::min(next, reader.ready_at);
      if (reader.unknown_at > now()) next = std::min(next, reader.unknown_at);
    }
    if (!commits_.empty()) next = std::min(next, commits_.front().at);
    return next;
  }
  // Whether something arrived at an empty feed since the last question: a wake-up.
  bool take_wake_up(std::uint32_t shard) {
    FakeFeed& feed = *feeds_[shard];
    const bool has = feed.has_something();
    const bool woken = has && !feed.noticed;
    feed.noticed = has;
    return woken;
  }

 private:
  // A partition that is assigned.
  struct Reader {
    TopicPartition at;
    std::uint32_t shard = 0;
    std::int64_t next = 0;
    const std::string* topic = nullptr;
    Instant ready_at;
    Instant unknown_at;  // a client looks for a missing topic for a while
    std::optional<std::int64_t> end_said;
    bool out_of_range_said = false;
    bool unknown_said = false;
    bool muted = false;  // a record strayed: nothing more until it is assigned again
  };
  struct Commit {
    std::vector<std::pair<TopicPartition, GroupOffset>> offsets;
    Instant at;
    bool answered_well;
    bool carried_out;
  };

  class FakeFeed final : public Feed {
   public:
    FakeFeed(FakeSource& source, std::uint32_t shard) : source_(source), shard_(shard) {}

    void poll(Batch& batch, std::size_t most) override {
      const std::lock_guard lock(source_.world_.mutex);
      batch.free_message = &FakeMessage::free;
      Observer* observer = source_.world_.observer;
      if (observer != nullptr) observer->polling(shard_);
      std::vector<std::uint32_t> slots;
      for (const auto& [slot, reader] : source_.readers_) {
        if (reader.shard == shard_) slots.push_back(slot);
      }
      Random& random = source_.world_.random;
      for (std::size_t i = slots.size(); i > 1; --i)
        std::swap(slots[i - 1], slots[random.below(i)]);
      for (const std::uint32_t slot : slots) {
        if (batch.size >= most) break;
        source_.read(slot, source_.readers_[slot], batch, most);
      }
      noticed = has_something();
    }
    [[nodiscard]] bool has_something() const {
      for (const auto& [slot, reader] : source_.readers_) {
        if (reader.shard == shard_ && reader.ready_at <= source_.now() &&
            source_.has_something(reader)) {
          return true;
        }
      }
      return false;
    }
    bool noticed = false;

   private:
    FakeSource& source_;
    const std::uint32_t shard_;
  };

  [[nodiscard]] Instant now() const { return world_.clock.now(); }

  [[nodiscard]] bool has_something(const Reader& reader) const {
    if (reader.muted) return false;
    const FakeLog* log = cluster_.log(reader.at);
    if (log == nullptr) return !reader.unknown_said && reader.unknown_at <= now();
    if (reader.next < log->low || reader.next > log->high) return !reader.out_of_range_said;
    if (reader.next > log->end()) return false;
    return reader.next < log->end() || reader.end_said != log->end();
  }

  void read(std::uint32_t slot, Reader& reader, Batch& batch, std::size_t most) {
    if (reader.ready_at > now() || !has_something(reader)) return;
    const FakeLog* log = cluster_.log(reader.at);
    reader.unknown_said = log == nullptr;
    if (log == nullptr) {
      batch.events.push_back(
          {FeedEvent::Kind::kUnknownTopic, slot, {}, {ErrorCode::kUnknownTopic, {}}});
      return;
    }
    reader.out_of_range_said = reader.next < log->low || reader.next > log->high;
    if (reader.out_of_range_said) {
      batch.events.push_back(
          {FeedEvent::Kind::kOutOfRange, slot, {reader.next}, {ErrorCode::kGap, {}}});
      return;
    }
    std::size_t room =
        std::min(most - batch.size,
                 static_cast<std::size_t>(1 + world_.random.below(world_.weather.fetch_most)));
    auto record = log->from(reader.next);
    for (; record != log->records.end() && record->offset < log->end() && room > 0; ++record) {
      reader.next = record->offset + 1;
      if (world_.random.chance(world_.weather.stray)) {
        reader.muted = true;
        events_.push_back({SourceEvent::Kind::kStray, {}, slot, std::nullopt});
        return;
      }
      add(batch, slot, reader, *record);
      --room;
    }
    reader.ready_at = now() + world_.random.up_to(world_.weather.fetch_delay);
    if (record != log->records.end() && record->offset < log->end()) return;
    reader.next = log->end();
    if (reader.end_said != log->end()) {
      reader.end_said = log->end();
      batch.events.push_back(
          {FeedEvent::Kind::kEnd, slot, {reader.next}, {ErrorCode::kInternal, {}}});
    }
  }

  static void add(Batch& batch, std::uint32_t slot, const Reader& reader,
                  const FakeRecord& consumed) {
    auto* message = new FakeMessage{consumed};
    batch.messages.push_back(message);
    Record& record = batch.add();
    record.topic = *reader.topic;
    record.partition = reader.at.partition;
    record.offset = Offset{consumed.offset};
    record.slot = slot;
    record.timestamp_ms = consumed.timestamp_ms;
    record.timestamp_type = TimestampType::kCreateTime;
    const FakeRecord& kept = message->record;
    if (kept.key) record.key = as_bytes(*kept.key);
    if (kept.value) record.value = as_bytes(*kept.value);
    record.headers.reset(message, &FakeMessage::decode);
    record.native = message;
  }

  void apply(const Commit& commit) {
    if (!commit.carried_out) return;
    for (const auto& [at, offset] : commit.offsets) cluster_.group[at] = offset;
  }
  void be_late(const Commit& commit) {
    cluster_.late_commits.push_back(
        {now() + world_.random.up_to(std::chrono::seconds(3)), commit.offsets});
  }
  void wake() {
    for (Waker* waker : wakers_) {
      if (waker != nullptr) waker->wake();
    }
  }

  FakeCluster& cluster_;
  World& world_;
  const std::vector<Waker*> wakers_;  // null: nobody sleeps
  const std::unique_ptr<FakeGroup> member_;
  std::size_t watcher_ = 0;
  std::map<std::uint32_t, Reader> readers_;
  std::vector<std::unique_ptr<FakeFeed>> feeds_;
  std::set<std::string> names_;
  std::deque<Commit> commits_;
  std::vector<SourceEvent> events_;
};

}  // namespace drawbridge::fakes

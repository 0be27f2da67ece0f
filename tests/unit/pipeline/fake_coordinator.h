// Transactions of a FakeCluster, as Kafka has them: a transactional id belongs to the producer with
// its newest epoch; what that wrote becomes visible with the markers of a commit, or never.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/pipeline/fake_cluster.h"

namespace drawbridge::fakes {

class FakeCoordinator {
 public:
  using Epoch = std::int64_t;
  struct Written {
    TopicPartition at;
    FakeRecord record;
  };

  explicit FakeCoordinator(FakeCluster& cluster) : cluster_(cluster), world_(cluster.world()) {}

  // ---- what producers ask for ----
  // Fences whoever has the id, and decides what that left open. nullopt: not yet, ask again.
  std::optional<Epoch> take_over(const std::string& id) {
    advance();
    Holder& holder = holders_[id];
    if (holder.state == State::kOpen) {
      ++holder.epoch;
      decide(holder, State::kAborting);
    }
    if (holder.state != State::kEmpty) return std::nullopt;
    return ++holder.epoch;
  }
  [[nodiscard]] bool holds(const std::string& id, Epoch epoch) const {
    const auto found = holders_.find(id);
    return found != holders_.end() && found->second.epoch == epoch;
  }
  // False: fenced.
  bool write(const std::string& id, Epoch epoch, const TopicPartition& at,
             std::vector<FakeRecord> records) {
    Holder& holder = holders_[id];
    if (holder.epoch != epoch || holder.state == State::kCommitting ||
        holder.state == State::kAborting) {
      return false;
    }
    if (holder.state == State::kEmpty) {
      holder.state = State::kOpen;
      holder.number = ++newest_;
      holder.times_out = world_.clock.now() + world_.weather.transaction_timeout;
    }
    FakeLog& log = *cluster_.log(at);
    for (FakeRecord& record : records) {
      record.transaction = holder.number;
      log.append(record);
      record.offset = log.high - 1;
      holder.written.push_back({at, std::move(record)});
    }
    cluster_.changed();
    return true;
  }
  // From here on it will be visible, whoever asks. False: fenced.
  bool commit(const std::string& id, Epoch epoch) { return end(id, epoch, State::kCommitting); }
  bool abort(const std::string& id, Epoch epoch) { return end(id, epoch, State::kAborting); }
  [[nodiscard]] bool ended(const std::string& id) const {
    return holders_.at(id).state == State::kEmpty;
  }

  // What a read_committed reader gets.
  [[nodiscard]] std::vector<FakeRecord> committed(const TopicPartition& at) const {
    std::vector<FakeRecord> out;
    for (const FakeRecord& record : cluster_.log(at)->records) {
      if (undecided(record.transaction)) break;  // the last stable offset
      if (!aborted_.contains(record.transaction)) out.push_back(record);
    }
    return out;
  }

  // ---- for tests ----
  // Only the newest committed record of a key stays.
  void compact(const TopicPartition& at) {
    std::map<std::optional<std::string>, std::int64_t> newest;
    for (const FakeRecord& record : committed(at)) newest[record.key] = record.offset;
    std::erase_if(cluster_.log(at)->records, [&](const FakeRecord& record) {
      const auto found = newest.find(record.key);
      return found != newest.end() && record.offset < found->second;
    });
  }
  // Each transaction that is committed, in order.
  std::function<void(const std::vector<Written>& written)> on_visible;
  std::uint64_t commits = 0;
  std::uint64_t aborts = 0;
  std::uint64_t fenced = 0;  // requests of former holders
  std::uint64_t timeouts = 0;

  // A request that is on the wire, whatever becomes of who sent it.
  void later(Duration after, std::function<void()> request) {
    wire_.emplace(world_.clock.now() + after, std::move(request));
  }
  void advance() {
    while (!wire_.empty() && wire_.begin()->first <= world_.clock.now()) {
      const auto request = std::move(wire_.begin()->second);
      wire_.erase(wire_.begin());
      request();
    }
    for (auto& [id, holder] : holders_) {
      const bool closing = holder.state == State::kCommitting || holder.state == State::kAborting;
      if (closing && holder.markers_at <= world_.clock.now()) write_markers(holder);
      if (holder.state == State::kOpen && holder.times_out <= world_.clock.now()) {
        ++timeouts;
        ++holder.epoch;
        decide(holder, State::kAborting);
      }
    }
  }
  [[nodiscard]] Instant next_event() const {
    Instant next = wire_.empty() ? Instant::max() : wire_.begin()->first;
    for (const auto& [id, holder] : holders_) {
      if (holder.state == State::kOpen) {
        next = std::min(next, holder.times_out);
      } else if (holder.state != State::kEmpty) {
        next = std::min(next, holder.markers_at);
      }
    }
    return next;
  }

 private:
  enum class State : std::uint8_t { kEmpty, kOpen, kCommitting, kAborting };
  struct Holder {
    Epoch epoch = 0;
    State state = State::kEmpty;
    std::uint64_t number = 0;
    std::vector<Written> written;
    Instant markers_at;
    Instant times_out;
  };

  bool end(const std::string& id, Epoch epoch, State how) {
    Holder& holder = holders_[id];
    if (holder.epoch != epoch) {
      ++fenced;
      return false;
    }
    if (holder.state == State::kOpen) decide(holder, how);
    return true;
  }
  void decide(Holder& holder, State how) {
    holder.state = how;
    holder.markers_at = world_.clock.now() + world_.random.up_to(world_.weather.marker_delay);
    if (holder.markers_at <= world_.clock.now()) write_markers(holder);
  }
  void write_markers(Holder& holder) {
    const bool commit = holder.state == State::kCommitting;
    if (!commit) aborted_.insert(holder.number);
    std::set<TopicPartition> places;
    for (const Written& written : holder.written) places.insert(written.at);
    for (const TopicPartition& at : places) cluster_.log(at)->append_marker();
    holder.state = State::kEmpty;
    ++(commit ? commits : aborts);
    const auto written = std::exchange(holder.written, {});
    if (commit && on_visible) on_visible(written);
    cluster_.changed();
  }
  [[nodiscard]] bool undecided(std::uint64_t number) const {
    return std::ranges::any_of(holders_, [&](const auto& entry) {
      return entry.second.state != State::kEmpty && entry.second.number == number;
    });
  }

  FakeCluster& cluster_;
  World& world_;
  std::map<std::string, Holder> holders_;
  std::uint64_t newest_ = 0;
  std::set<std::uint64_t> aborted_;
  std::multimap<Instant, std::function<void()>> wire_;
};

}  // namespace drawbridge::fakes

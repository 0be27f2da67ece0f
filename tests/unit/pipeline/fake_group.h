// A consumer group in memory, with the eager protocol: before anything is dealt anew, each member
// has released what it had.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/pipeline/fake_cluster.h"

namespace drawbridge::fakes {

class FakeGroupCoordinator {
 public:
  using MemberId = int;

  explicit FakeGroupCoordinator(FakeCluster& cluster)
      : cluster_(cluster), world_(cluster.world()) {}

  MemberId enter() {
    const std::lock_guard lock(world_.mutex);
    return ++newest_;
  }
  void subscribe(MemberId id, std::vector<std::string> topics) {
    const std::lock_guard lock(world_.mutex);
    members_[id].topics = std::move(topics);
    deal_anew();
  }
  void leave(MemberId id) {
    const std::lock_guard lock(world_.mutex);
    if (members_.erase(id) > 0) deal_anew();
  }
  void release(MemberId id) {
    const std::lock_guard lock(world_.mutex);
    const auto found = members_.find(id);
    if (found == members_.end()) return;
    const bool returns = std::exchange(found->second.dead, false);
    found->second.holds = found->second.asked = false;
    if (returns) {
      deal_anew();
    } else {
      deal_if_released();
    }
  }
  std::optional<GroupEvent> poll(MemberId id) {
    const std::lock_guard lock(world_.mutex);
    const auto found = members_.find(id);
    // Members look after the topics that they subscribed to.
    if (found != members_.end() && found->second.holds && partitions() != dealt_) deal_anew();
    if (found == members_.end() || frozen == id || found->second.events.empty()) {
      return std::nullopt;
    }
    GroupEvent event = std::move(found->second.events.front());
    found->second.events.pop_front();
    return event;
  }
  [[nodiscard]] int generation() const {
    const std::lock_guard lock(world_.mutex);
    return generation_;
  }
  // Whether what a member was given in a generation is its own still.
  [[nodiscard]] bool valid(MemberId id, int generation) const {
    const std::lock_guard lock(world_.mutex);
    const auto found = members_.find(id);
    return found != members_.end() && !found->second.dead && found->second.holds &&
           generation == generation_;
  }

  // ---- for tests ----
  // Takes a member for dead that does not know it yet.
  void expire(MemberId id) {
    const std::lock_guard lock(world_.mutex);
    Member& member = members_.at(id);
    member.dead = true;
    member.events.clear();
    member.events.push_back({GroupEvent::Kind::kRevoked, {}, true, std::nullopt});
    deal_anew();
  }
  std::optional<MemberId> frozen;  // hears nothing
  [[nodiscard]] MemberId newest() const {
    const std::lock_guard lock(world_.mutex);
    return newest_;
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(world_.mutex);
    return members_.size();
  }

 private:
  struct Member {
    std::vector<std::string> topics;
    std::deque<GroupEvent> events;
    bool holds = false;
    bool asked = false;  // to release
    bool dead = false;   // not dealt to until it joins again
  };

  [[nodiscard]] std::size_t partitions() const {
    std::set<TopicPartition> all;
    for (const auto& [id, member] : members_) {
      for (const std::string& topic : member.topics) {
        const auto info = cluster_.info(topic);
        for (std::int32_t i = 0; info && i < info->partitions(); ++i) {
          all.insert({topic, Partition{i}});
        }
      }
    }
    return all.size();
  }

  void deal_anew() {
    for (auto& [id, member] : members_) {
      if (member.dead || !member.holds || member.asked) continue;
      member.asked = true;
      member.events.push_back({GroupEvent::Kind::kRevoked, {}, false, std::nullopt});
    }
    deal_if_released();
  }
  void deal_if_released() {
    std::vector<Member*> living;
    for (auto& [id, member] : members_) {
      if (member.dead) continue;
      if (member.holds) return;
      living.push_back(&member);
    }
    if (living.empty()) return;
    ++generation_;
    dealt_ = partitions();
    std::vector<GroupEvent> events(living.size(), {GroupEvent::Kind::kAssigned, {}, false, {}});
    std::size_t next = 0;
    for (const std::string& topic : living.front()->topics) {
      const auto info = cluster_.info(topic);
      for (std::int32_t i = 0; info && i < info->partitions(); ++i) {
        events[next++ % living.size()].partitions.push_back({topic, Partition{i}});
      }
    }
    for (std::size_t i = 0; i < living.size(); ++i) {
      living[i]->holds = true;
      living[i]->events.push_back(std::move(events[i]));
    }
  }

  FakeCluster& cluster_;
  World& world_;
  MemberId newest_ = 0;
  int generation_ = 0;
  std::size_t dealt_ = 0;
  std::map<MemberId, Member> members_;
};

class FakeLease final : public Lease {
 public:
  FakeLease(FakeGroupCoordinator& coordinator, FakeGroupCoordinator::MemberId member)
      : coordinator_(coordinator),
        member_(member),
        generation_(coordinator.generation()),
        token_(std::to_string(generation_)) {}
  [[nodiscard]] bool valid() const { return coordinator_.valid(member_, generation_); }
  Result<void> confirm(Duration /*timeout*/) override {
    if (valid()) return {};
    return fail(ErrorCode::kFenced, "injected: the lease is over");
  }
  [[nodiscard]] ByteView token() const override { return as_bytes(token_); }

 private:
  FakeGroupCoordinator& coordinator_;
  const FakeGroupCoordinator::MemberId member_;
  const int generation_;
  const std::string token_;
};

class FakeGroup final : public Group {
 public:
  explicit FakeGroup(FakeGroupCoordinator& coordinator)
      : coordinator_(coordinator), member_(coordinator.enter()) {}
  ~FakeGroup() override { coordinator_.leave(member_); }
  FakeGroup(const FakeGroup&) = delete;
  FakeGroup& operator=(const FakeGroup&) = delete;

  Result<void> subscribe(const std::vector<std::string>& topics) override {
    coordinator_.subscribe(member_, topics);
    return {};
  }
  std::optional<GroupEvent> poll() override { return coordinator_.poll(member_); }
  void release() override { coordinator_.release(member_); }
  std::shared_ptr<Lease> lease(const TopicPartition& /*at*/) override {
    return std::make_shared<FakeLease>(coordinator_, member_);
  }
  [[nodiscard]] bool may_commit() const {
    return coordinator_.valid(member_, coordinator_.generation());
  }

 private:
  FakeGroupCoordinator& coordinator_;
  const FakeGroupCoordinator::MemberId member_;
};

}  // namespace drawbridge::fakes

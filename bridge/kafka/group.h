// Group on librdkafka: a consumer that joins with subscribe(), and never fetches.
//
// What the library does with a member that assigns nothing, by the states of its group handler:
//
//   STEADY --heartbeat says so--> WAIT_UNASSIGN_CALL --assign(null)--> joins, syncs
//      ^                            kRevoked | release()                   |
//      +---------assign(empty)---- WAIT_ASSIGN_CALL <----------------------+
//                                    kAssigned
//
// It keeps what the group assigned apart from what the application assigned: with an empty list it
// is content, heartbeats, takes part in each rebalance, and has no partition to fetch. In both
// WAIT states it goes on heartbeating. What it finds out meanwhile, say that the group has taken
// it for dead, it does not tell until it is STEADY again; Lease::confirm() does.
//
// A follower that joins anew with the topics that it had gets its assignment back, under the same
// generation: only the leader makes the group deal anew over a topic that has grown. So each member
// has to subscribe() again, and one of them is the leader.
//
// A static member that starts again gets the assignment that its former self had, whatever it
// subscribes to now: brokers compare the assignor's name only. So where the first assignment leaves
// out a topic that nobody else has either, it joins once more with another subscription, which they
// do compare, and tells its user of none of this.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bridge/base/bytes.h"
#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

// The client of a member, which leases share with their group.
struct Member {
  GroupOptions options;
  std::unique_ptr<Client> client;
  std::atomic<bool> left{false};

  // Group, generation and member id as they are now, in the library's serialization; empty where
  // this is no member.
  [[nodiscard]] Bytes metadata() const;
  // What the coordinator said, with the right that is missing where that is it.
  [[nodiscard]] Error explain(rd_kafka_resp_err_t error, std::string_view what) const;
};

class KafkaGroup final : public Group {
 public:
  // Errors: those of Client::make.
  static Result<std::unique_ptr<KafkaGroup>> make(const ClusterOptions& cluster,
                                                  const Properties& properties,
                                                  const GroupOptions& options);
  // Leaves, in a few seconds even where no broker answers. Leases are over.
  ~KafkaGroup() override;

  // Without topics: leaves, after a kRevoked where there was something.
  Result<void> subscribe(const std::vector<std::string>& topics) override;
  std::optional<GroupEvent> poll() override;
  void release() override;
  std::shared_ptr<Lease> lease(const TopicPartition& at) override;

  // For what is to be done in the member's name: its commits carry the generation. Enabled events:
  // RD_KAFKA_EVENT_OFFSET_COMMIT.
  [[nodiscard]] Client& client() { return *member_->client; }

 private:
  explicit KafkaGroup(std::shared_ptr<Member> member) : member_(std::move(member)) {}
  std::optional<GroupEvent> take(rd_kafka_event_t& event);
  std::optional<GroupEvent> rebalance(rd_kafka_event_t& event);
  std::optional<GroupEvent> refusal(rd_kafka_event_t& event) const;
  [[nodiscard]] bool outdated(const std::vector<TopicPartition>& assigned);
  Result<std::set<std::string>> dealt_topics();
  rd_kafka_resp_err_t join(bool again);

  const std::shared_ptr<Member> member_;
  QueuePtr queue_;                   // the consumer's own: rebalances, errors
  Bytes token_;                      // of the assignment that is held
  bool revoked_ = false;             // and not released
  bool dead_ = false;                // the library has given up, which was told
  std::set<std::string> topics_;     // subscribed
  bool first_ = true;                // no assignment yet
  bool again_ = false;               // joining once more: the next revocation is not told
  std::deque<GroupEvent> troubles_;  // for the next poll()
};

}  // namespace drawbridge::kafka

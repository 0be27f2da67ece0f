// Source on librdkafka: one consumer with manual assignment, which never joins its group. Where
// instances share the source's partitions a KafkaGroup beside it does, and commits go through that
// member, so that the group refuses those of a former owner.
//
// Each assigned partition's queue is forwarded to its shard's feed. What the library does to a
// forward: it is lost on unassign, and an assigned partition without one keeps its records to
// itself, without an error. So it is set before and after each assign, and once more every
// second, which is idempotent and brings stuck records along.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "bridge/kafka/client.h"
#include "bridge/kafka/feed.h"
#include "bridge/kafka/fetch_kick.h"
#include "bridge/kafka/group.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

class KafkaSource final : public Source, private ClientListener {
 public:
  // Joins nothing where there is no waker: it feeds nobody. Errors: those of Client::make. Batches
  // filled by its feeds must be cleared before it ends.
  static Result<std::unique_ptr<Source>> make(const PipelineOptions& pipeline,
                                              std::span<Waker* const> shard_wakers);
  ~KafkaSource() override;

  Result<std::string> cluster_id(Duration timeout) override;
  Result<std::vector<TopicInfo>> topics(Duration timeout) override;
  Result<Watermarks> watermarks(const TopicPartition& at, Duration timeout) override;
  Result<std::vector<Offset>> offsets_at(std::span<const TopicPartition> at,
                                         std::int64_t timestamp_ms, Duration timeout) override;
  Result<std::vector<std::optional<GroupOffset>>> committed(std::span<const TopicPartition> at,
                                                            Duration timeout) override;
  Result<TopicConfig> topic_config(const std::string& topic, Duration timeout) override;
  Group* group() override { return group_.get(); }
  void mark_commits(const std::string& mark) override;
  void commit(std::vector<std::pair<TopicPartition, GroupOffset>> offsets) override;
  [[nodiscard]] std::size_t commits_pending() const override { return commits_pending_; }
  void poll(std::vector<SourceEvent>& out, Duration timeout) override;
  Result<void> assign(const Assignment& assignment) override;
  Result<void> unassign(std::uint32_t slot) override;
  Feed& feed(std::uint32_t shard) override;
  [[nodiscard]] std::optional<Watermarks> cached_watermarks(
      const TopicPartition& at) const override;

 private:
  struct Assigned {
    TopicPartition at;
    std::uint32_t shard = 0;
    QueuePtr queue;  // the partition's own, forwarded to the feed
  };

  KafkaSource() = default;
  void on_error(rd_kafka_resp_err_t error, std::string_view reason) override;
  Result<void> unassign_now(const TopicPartition& at);
  QueuePtr forward(const TopicPartition& at, KafkaFeed& feed);
  void forward_again();
  void take_events(rd_kafka_queue_t& queue, Duration wait, std::vector<SourceEvent>& out);
  void take_event(rd_kafka_event_t& event, std::vector<SourceEvent>& out);
  // `error` with the right that it takes to read the topic, where that is missing.
  [[nodiscard]] Error readable(Error error, const std::string& topic) const;
  std::optional<Error> group_error();
  bool has_group_ = true;
  std::optional<std::uint32_t> slot_of(const char* topic, std::int32_t partition);
  void note_leaders(const std::vector<TopicInfo>& topics);
  std::vector<TopicPartition> one_per_broker();
  std::string_view intern(const std::string& topic);  // under mutex_

  // Members are destroyed in reverse: the kick's thread uses what is above it and is used by the
  // feeds; what holds the library's objects goes before the client.
  std::unique_ptr<KafkaGroup> group_;
  QueuePtr member_commits_;  // results of commits through the member
  std::unique_ptr<Client> client_;
  std::atomic<std::size_t> commits_pending_{0};
  std::string group_name_;
  std::string mark_;  // set before there is a second thread
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Assigned> assigned_;  // by slot
  std::set<std::string, std::less<>> names_;              // never shrinks: records view them
  std::vector<SourceEvent> pending_;                      // for the next poll()
  Instant forwarded_at_{};
  std::map<TopicPartition, std::int32_t> leaders_;  // as topics() last told
  std::optional<std::vector<TopicPartition>> one_per_broker_;

  std::unique_ptr<FetchKick> kick_;
  std::vector<std::unique_ptr<KafkaFeed>> feeds_;
  QueuePtr events_;  // the consumer's own queue: commits' results, errors, strays
};

// TOPIC [PARTITION] lists for the library.
PartitionsPtr to_list(std::span<const TopicPartition> at);
// nullptr: none.
std::vector<TopicPartition> from_list(const rd_kafka_topic_partition_list_t* list);

}  // namespace drawbridge::kafka

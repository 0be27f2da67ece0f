// The stream of one shard: a queue of the consumer to which the shard's partitions are forwarded.
//
// Used by the shard's worker thread alone, but for what says otherwise.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "bridge/kafka/client.h"
#include "bridge/kafka/fetch_kick.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

// A partition that is assigned to a shard.
struct FeedSlot {
  std::uint32_t slot = 0;
  std::string_view topic;  // interned by the source
  Partition partition;
  Offset start;
  Offset next;        // nothing below it is let through
  bool fresh = true;  // no record since start
  bool at_end = false;
  bool broken = false;  // records are missing from here on: none is let through
};

class KafkaFeed final : public Feed {
 public:
  // Wakes `waker` when something arrives at an empty queue. Beyond `queue_bytes` of values, or
  // `queue_records`, the client stops fetching for this queue.
  KafkaFeed(const Client& client, Waker& waker, std::size_t queue_bytes, std::size_t queue_records,
            Appetite& appetite);
  ~KafkaFeed() override;  // the waker is not touched any more

  void poll(Batch& batch, std::size_t most) override;

  [[nodiscard]] rd_kafka_queue_t* queue() const { return queue_.get(); }
  void add(const FeedSlot& slot);  // replaces the partition's former state
  void remove(std::string_view topic, Partition partition);

  // Slots that must be assigned again, since the client dropped them without telling the feed's
  // user: taken by the source. Thread-safe.
  std::vector<std::uint32_t> take_stray();

  // The client's error callback, when it runs within poll(): errors of a partition come without
  // any other sign of where they belong. False when none of this feed's partitions is meant.
  static bool error_in_poll(rd_kafka_resp_err_t error, std::string_view reason);

 private:
  struct Key {
    std::string_view topic;
    std::int32_t partition;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::string_view>{}(key.topic) * 31 +
             static_cast<std::size_t>(key.partition);
    }
  };

  FeedSlot* find(const rd_kafka_message_t& message);
  void take(rd_kafka_message_t& message, FeedSlot& slot, Batch& batch);
  void take_error(const rd_kafka_message_t& message, FeedSlot* slot, Batch& batch);
  bool take_partition_error(rd_kafka_resp_err_t error, std::string_view reason);
  void set_at_end(FeedSlot& slot, bool at_end);
  void note_stray(std::uint32_t slot);
  void measure(std::size_t taken, std::size_t most);

  [[nodiscard]] Error error_of(const FeedSlot& slot, rd_kafka_resp_err_t error,
                               std::string_view reason) const;

  const Client& client_;
  QueuePtr queue_;
  const double queue_bytes_;
  const double queue_records_;
  Appetite& appetite_;
  std::vector<rd_kafka_message_t*> scratch_;
  std::unordered_map<Key, FeedSlot, KeyHash> slots_;
  std::size_t behind_ = 0;      // slots that are not at their end
  double average_bytes_ = 256;  // of a queued record
  bool filled_ = false;         // the queue has been near its limit since it was last low
  std::atomic<bool> hungry_{false};

  // Within one poll().
  Batch* batch_ = nullptr;
  const rd_kafka_topic_t* last_topic_ = nullptr;
  std::int32_t last_partition_ = -1;
  FeedSlot* last_slot_ = nullptr;

  std::mutex stray_mutex_;
  std::vector<std::uint32_t> stray_;
};

}  // namespace drawbridge::kafka

#include "bridge/pipeline/sent_digests.h"

#include <utility>

namespace drawbridge {

Result<void> SentDigests::key(ByteView digest_key, std::string cluster_id) {
  key_.assign(digest_key.begin(), digest_key.end());
  cluster_id_ = std::move(cluster_id);
  // In place: partitions point to them.
  for (auto& [topic, digest] : by_topic_) {
    DRAWBRIDGE_ASSIGN(*digest, RecordDigest::create(key_, cluster_id_, topic));
  }
  return {};
}

Result<void> SentDigests::set(Slot slot, const TopicPartition& at,
                              const std::optional<RunningDigest>& committed) {
  auto& of_topic = by_topic_[at.topic];
  if (of_topic == nullptr) {
    DRAWBRIDGE_ASSIGN(RecordDigest made, RecordDigest::create(key_, cluster_id_, at.topic));
    of_topic = std::make_unique<RecordDigest>(std::move(made));
  }
  if (slot >= partitions_.size()) partitions_.resize(slot + 1);
  Partition& partition = partitions_[slot];
  partition.digest = of_topic.get();
  partition.kept = committed.has_value();
  partition.final = partition.running = committed.value_or(RunningDigest{});
  partition.stated.reset();
  return {};
}

Result<RunningDigest> SentDigests::of(Slot slot, const Record& record) {
  RunningDigest one;
  if (!partitions_[slot].kept) return one;
  DRAWBRIDGE_TRY(partitions_[slot].digest->add({record.partition, record.offset},
                                               record.timestamp_ms, record.key, record.value, one));
  return one;
}

void SentDigests::add(Slot slot, const RunningDigest& record) {
  partitions_[slot].running += record;
}

std::optional<RunningDigest> SentDigests::state(Slot slot) {
  Partition& partition = partitions_[slot];
  if (!partition.kept) return std::nullopt;
  partition.stated = partition.running;
  return partition.stated;
}

void SentDigests::committed() {
  for (Partition& partition : partitions_) {
    if (partition.stated) partition.final = *std::exchange(partition.stated, std::nullopt);
  }
}

void SentDigests::aborted() {
  for (Partition& partition : partitions_) {
    partition.stated.reset();
    partition.running = partition.final;
  }
}

}  // namespace drawbridge

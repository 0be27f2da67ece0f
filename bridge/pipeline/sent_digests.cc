#include "bridge/pipeline/sent_digests.h"

#include <utility>

namespace drawbridge {

void SentDigests::key(const DigestKey& digest_key, std::string cluster_id) {
  key_ = digest_key;
  cluster_id_ = std::move(cluster_id);
  for (Partition& partition : partitions_) {
    if (partition.digest) partition.digest.emplace(key_, cluster_id_, partition.topic);
  }
}

void SentDigests::set(Slot slot, const TopicPartition& at,
                      const std::optional<RunningDigest>& committed) {
  if (slot >= partitions_.size()) partitions_.resize(slot + 1);
  Partition& partition = partitions_[slot];
  partition.topic = at.topic;
  partition.digest.reset();
  if (committed) partition.digest.emplace(key_, cluster_id_, at.topic);
  partition.final = partition.running = committed.value_or(RunningDigest{});
  partition.stated.reset();
}

RunningDigest SentDigests::of(Slot slot, const Record& record) const {
  RunningDigest one;
  if (const auto& digest = partitions_[slot].digest) {
    digest->add({record.partition, record.offset}, record.timestamp_ms, record.key, record.value,
                one);
  }
  return one;
}

void SentDigests::add(Slot slot, const RunningDigest& record) {
  partitions_[slot].running += record;
}

std::optional<RunningDigest> SentDigests::state(Slot slot) {
  Partition& partition = partitions_[slot];
  if (!partition.digest) return std::nullopt;
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

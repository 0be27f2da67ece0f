#include "bridge/pipeline/shard_of.h"

namespace drawbridge {

std::uint32_t shard_of(const TopicPartition& at, std::uint32_t shards) {
  // FNV-1a of the topic.
  std::uint32_t hash = 2166136261U;
  for (const char c : at.topic) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return (hash + static_cast<std::uint32_t>(at.partition.value)) % shards;
}

}  // namespace drawbridge

// Where positions are kept.
//
// A store belongs to one daemon. save() returns only when its positions are durable, all of them
// or none; a position that is not on disk is never reported. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/record/coordinates.h"

namespace drawbridge {

struct CheckpointKey {
  std::string pipeline;
  std::string cluster_id;  // of the source, as its brokers report it
  TopicPartition at;

  auto operator<=>(const CheckpointKey&) const = default;
};

struct Checkpoint {
  Position position;
  // The offset last committed to the source's consumer group and confirmed, and the one that may
  // have been committed since. A group offset without our mark that is neither (nor
  // `position.next`) was set by somebody else: an operator's reset.
  std::optional<Offset> group_committed;
  std::optional<Offset> group_pending;
  WallMillis saved_at = 0;
  // The line of work that the position belongs to, named by when it began: each start of a
  // partition begins one, by whatever instance, and so does a gap. Within a line positions only
  // rise; of two lines the later counts, whatever its offset. 0: from before there were lines.
  WallMillis line = 0;

  auto operator<=>(const Checkpoint&) const = default;
};

struct CheckpointEntry {
  CheckpointKey key;
  Checkpoint checkpoint;
};

class CheckpointStore {
 public:
  virtual ~CheckpointStore() = default;

  // Random, made with the store; keys record_hash() so that hashes mean nothing elsewhere.
  [[nodiscard]] virtual std::uint64_t hash_seed() const = 0;

  // Errors: kIo, kCorrupt. An unknown pipeline has no entries.
  virtual Result<std::vector<CheckpointEntry>> load(const std::string& pipeline) = 0;
  virtual Result<std::vector<CheckpointEntry>> load_all() = 0;
  // Errors: kFull (disk or map), kIo. Nothing was changed then; call again later.
  virtual Result<void> save(std::span<const CheckpointEntry> entries) = 0;
  virtual Result<void> erase(std::span<const CheckpointKey> keys) = 0;

  // A pipeline's shard count is fixed at its first start.
  virtual Result<std::optional<std::uint32_t>> shards(const std::string& pipeline) = 0;
  virtual Result<void> set_shards(const std::string& pipeline, std::uint32_t shards) = 0;
};

}  // namespace drawbridge

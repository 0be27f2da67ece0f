// Which shard a source partition is on.
#pragma once

#include <cstdint>

#include "bridge/record/coordinates.h"

namespace drawbridge {

// Stable for ever: a restart finds every partition on its shard, and so does its ledger.
std::uint32_t shard_of(const TopicPartition& at, std::uint32_t shards);

}  // namespace drawbridge

// Kafka's key hash, so that keyed records land where a Java producer would put them.
#pragma once

#include "bridge/base/bytes.h"

namespace drawbridge {

// MurmurHash2 as in Kafka's org.apache.kafka.common.utils.Utils.murmur2.
std::uint32_t murmur2(ByteView data);

// toPositive(murmur2(key)) % partitions. REQUIRES: partitions > 0.
inline std::int32_t partition_for_key(ByteView key, std::int32_t partitions) {
  return static_cast<std::int32_t>(murmur2(key) & 0x7fffffffU) % partitions;
}

}  // namespace drawbridge

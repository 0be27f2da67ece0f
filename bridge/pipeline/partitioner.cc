#include "bridge/pipeline/partitioner.h"

namespace drawbridge {

std::uint32_t murmur2(ByteView data) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  constexpr int kShift = 24;

  const std::size_t length = data.size();
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(length);
  std::size_t i = 0;
  for (; i + 4 <= length; i += 4) {
    std::uint32_t word = static_cast<std::uint32_t>(data[i]) |
                         static_cast<std::uint32_t>(data[i + 1]) << 8 |
                         static_cast<std::uint32_t>(data[i + 2]) << 16 |
                         static_cast<std::uint32_t>(data[i + 3]) << 24;
    word *= kMultiplier;
    word ^= word >> kShift;
    word *= kMultiplier;
    hash *= kMultiplier;
    hash ^= word;
  }
  const std::size_t rest = length - i;
  if (rest >= 3) hash ^= static_cast<std::uint32_t>(data[i + 2]) << 16;
  if (rest >= 2) hash ^= static_cast<std::uint32_t>(data[i + 1]) << 8;
  if (rest >= 1) {
    hash ^= static_cast<std::uint32_t>(data[i]);
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

}  // namespace drawbridge

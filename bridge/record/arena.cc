#include "bridge/record/arena.h"

#include <algorithm>

namespace drawbridge {

MutableBytes Arena::allocate(std::size_t size) {
  const std::size_t aligned = (size + 15) & ~std::size_t{15};
  while (current_ < chunks_.size() && used_ + aligned > chunks_[current_].size) {
    ++current_;
    used_ = 0;
  }
  if (current_ == chunks_.size()) {
    const std::size_t capacity = std::max(aligned, kChunkBytes);
    chunks_.push_back({std::make_unique_for_overwrite<std::uint8_t[]>(capacity), capacity});
    held_ += capacity;
  }
  std::uint8_t* start = chunks_[current_].data.get() + used_;
  used_ += aligned;
  return {start, size};
}

ByteView Arena::copy(ByteView bytes) {
  const MutableBytes memory = allocate(bytes.size());
  std::ranges::copy(bytes, memory.begin());
  return memory;
}

void Arena::shrink(MutableBytes newest, std::size_t kept) {
  if (current_ >= chunks_.size()) return;
  const std::uint8_t* base = chunks_[current_].data.get();
  if (newest.data() < base || newest.data() >= base + used_) return;
  used_ = static_cast<std::size_t>(newest.data() - base) + ((kept + 15) & ~std::size_t{15});
}

void Arena::reset() {
  // One oversized record must not hold its memory for ever.
  for (auto& chunk : chunks_) {
    if (chunk.size > kChunkBytes) held_ -= chunk.size;
  }
  std::erase_if(chunks_, [](const Chunk& chunk) { return chunk.size > kChunkBytes; });
  current_ = 0;
  used_ = 0;
}

}  // namespace drawbridge

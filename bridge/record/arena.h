// Memory for what transforms write: bump allocation in chunks, freed as a whole.
//
// One Arena a batch. Views into it stay valid until reset(). Chunks are kept across resets.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "bridge/base/bytes.h"

namespace drawbridge {

class Arena {
 public:
  static constexpr std::size_t kChunkBytes = 256 * 1024;

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised memory, 16-byte aligned. Larger than a chunk: a chunk of its own.
  MutableBytes allocate(std::size_t size);
  ByteView copy(ByteView bytes);
  std::string_view copy(std::string_view text) { return as_text(copy(as_bytes(text))); }
  // Gives back the tail of the newest allocation, `kept` bytes of which stay.
  void shrink(MutableBytes newest, std::size_t kept);
  void reset();
  [[nodiscard]] std::size_t bytes_held() const { return held_; }

 private:
  struct Chunk {
    std::unique_ptr<std::uint8_t[]> data;
    std::size_t size = 0;
  };
  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;  // index of the chunk in use
  std::size_t used_ = 0;     // bytes used of it
  std::size_t held_ = 0;
};

}  // namespace drawbridge

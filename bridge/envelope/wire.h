// Cursors for the envelope's own field shapes. Internal to this room.
#pragma once

#include <algorithm>
#include <cassert>
#include <optional>

#include "bridge/base/bytes.h"
#include "bridge/envelope/format.h"

namespace drawbridge {

// A short field: one length byte, then the bytes; 255 says absent.
[[nodiscard]] inline bool take_short(ByteReader& reader, std::optional<ByteView>& out) {
  std::uint8_t size = 0;
  ByteView bytes;
  if (!reader.u8(size)) return false;
  if (size == format::kAbsent) {
    out.reset();
    return true;
  }
  if (!reader.take(size, bytes)) return false;
  out = bytes;
  return true;
}

inline std::size_t short_size(std::optional<ByteView> bytes) {
  return 1 + (bytes ? bytes->size() : 0);
}

// Writes forward into memory whose size was computed beforehand.
class SpanWriter {
 public:
  explicit SpanWriter(MutableBytes out) : rest_(out) {}

  MutableBytes take(std::size_t size) {
    assert(size <= rest_.size());
    const MutableBytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  void put(ByteView bytes) { std::ranges::copy(bytes, take(bytes.size()).begin()); }
  void u8(std::uint8_t value) { take(1)[0] = value; }
  void u32(std::uint32_t value) { integer(value); }
  void u64(std::uint64_t value) { integer(value); }
  // REQUIRES: at most format::kMaxShort bytes.
  void put_short(std::optional<ByteView> bytes) {
    u8(bytes ? static_cast<std::uint8_t>(bytes->size()) : format::kAbsent);
    if (bytes) put(*bytes);
  }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  template <typename T>
  void integer(T value) {
    const MutableBytes out = take(sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      out[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
    }
  }

  MutableBytes rest_;
};

}  // namespace drawbridge

// Cursors for the envelope's own field shapes. Internal to this room.
#pragma once

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

// REQUIRES: at most format::kMaxShort bytes.
inline void put_short(SpanWriter& writer, std::optional<ByteView> bytes) {
  writer.u8(bytes ? static_cast<std::uint8_t>(bytes->size()) : format::kAbsent);
  if (bytes) writer.put(*bytes);
}

}  // namespace drawbridge

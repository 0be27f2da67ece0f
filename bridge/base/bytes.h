// Bytes and cursors over them. All integers on the wire are big-endian.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"

namespace drawbridge {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
bool equal(ByteView a, ByteView b);  // not constant-time: for secrets see secret.h

std::string to_hex(ByteView bytes);
std::string to_base64(ByteView bytes);
Result<Bytes> from_hex(std::string_view text);     // errors: kInvalid
Result<Bytes> from_base64(std::string_view text);  // standard alphabet, padded; errors: kInvalid

// Reads forward over a view; every read says whether it had enough bytes, and takes none if not.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : rest_(bytes) {}

  [[nodiscard]] bool u8(std::uint8_t& out) { return read(out); }
  [[nodiscard]] bool u16(std::uint16_t& out) { return read(out); }
  [[nodiscard]] bool u32(std::uint32_t& out) { return read(out); }
  [[nodiscard]] bool u64(std::uint64_t& out) { return read(out); }
  [[nodiscard]] bool take(std::size_t count, ByteView& out) {
    if (rest_.size() < count) return false;
    out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return true;
  }
  [[nodiscard]] ByteView rest() const { return rest_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }

 private:
  template <typename T>
  bool read(T& out) {
    ByteView bytes;
    if (!take(sizeof(T), bytes)) return false;
    std::uint64_t value = 0;
    for (const std::uint8_t byte : bytes) value = value << 8 | byte;
    out = static_cast<T>(value);
    return true;
  }

  ByteView rest_;
};

// Appends to a vector.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void put(ByteView bytes);

 private:
  Bytes& out_;
};

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

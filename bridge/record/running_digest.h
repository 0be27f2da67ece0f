// What the records of a source partition add up to.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace drawbridge {

inline constexpr std::size_t kDigestBytes = 16;

// What a source partition's records add up to, for a later verify. Order does not matter. Records
// are added by RecordDigest (record_digest.h). It is a value: the sum of a prefix is brought back
// by keeping the old one.
struct RunningDigest {
  std::uint64_t records = 0;                     // sent to the target; dropped ones do not count
  std::uint64_t bytes = 0;                       // of key and value as sent
  std::array<std::uint8_t, kDigestBytes> sum{};  // XOR of the records' digests

  // What both hold together.
  RunningDigest& operator+=(const RunningDigest& other) {
    records += other.records;
    bytes += other.bytes;
    for (std::size_t i = 0; i < kDigestBytes; ++i) sum[i] ^= other.sum[i];
    return *this;
  }
  auto operator<=>(const RunningDigest&) const = default;
};

}  // namespace drawbridge

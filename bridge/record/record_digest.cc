#include "bridge/record/record_digest.h"

#include <xxhash.h>

#include <algorithm>

namespace drawbridge {
namespace {

constexpr std::uint32_t kNull = 0xffffffff;
constexpr std::size_t kHeadBytes = 28;

using Hash = std::array<std::uint8_t, kDigestBytes>;

Hash hash_of(ByteView bytes, std::uint64_t seed) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed));
  Hash hash;
  std::ranges::copy(canonical.digest, hash.begin());
  return hash;
}

std::uint32_t length_of(std::optional<ByteView> field) {
  return field ? static_cast<std::uint32_t>(field->size()) : kNull;
}

}  // namespace

RecordDigest::RecordDigest(const DigestKey& key, std::string_view cluster_id,
                           std::string_view topic) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.put(key);
  for (const std::string_view name : {cluster_id, topic}) {
    writer.u8(static_cast<std::uint8_t>(name.size()));
    writer.put(as_bytes(name));
  }
  seed_ = XXH3_64bits(bytes.data(), bytes.size());
}

void RecordDigest::add(RecordId source, std::int64_t timestamp_ms, std::optional<ByteView> key,
                       std::optional<ByteView> value, RunningDigest& total) const {
  const ByteView key_bytes = key.value_or(ByteView());
  const ByteView value_bytes = value.value_or(ByteView());
  std::array<std::uint8_t, kHeadBytes + 2 * kDigestBytes> message;
  SpanWriter writer(message);
  writer.u32(static_cast<std::uint32_t>(source.partition.value));
  writer.u64(static_cast<std::uint64_t>(source.offset.value));
  writer.u64(static_cast<std::uint64_t>(timestamp_ms));
  writer.u32(length_of(key));
  writer.u32(length_of(value));
  writer.put(hash_of(key_bytes, seed_));
  writer.put(hash_of(value_bytes, seed_));
  total += {1, key_bytes.size() + value_bytes.size(), hash_of(message, seed_)};
}

}  // namespace drawbridge

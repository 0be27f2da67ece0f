#include "bridge/checkpoint/value.h"

#include <xxhash.h>

#include <limits>

#include "bridge/checkpoint/format.h"

namespace drawbridge {
namespace {

using namespace checkpoint_format;  // NOLINT: the constants of this very format

constexpr std::uint32_t kMaxPartition = std::numeric_limits<std::int32_t>::max();

bool before(const Witness& witness, Offset next) {
  return witness.offset.value >= 0 && witness.offset < next;
}

}  // namespace

std::uint64_t value_checksum(ByteView key, ByteView body) {
  const std::uint64_t seed = XXH3_64bits(key.data(), key.size());
  return XXH3_64bits_withSeed(body.data(), body.size(), seed);
}

void seal_value(ByteView key, Bytes& value) { ByteWriter(value).u64(value_checksum(key, value)); }

Result<ByteView> open_value(ByteView key, ByteView value) {
  if (value.size() < kChecksumBytes) {
    return fail(ErrorCode::kCorrupt, "a value of {} bytes is cut short", value.size());
  }
  const ByteView body = value.first(value.size() - kChecksumBytes);
  std::uint64_t stored = 0;
  if (!ByteReader(value.last(kChecksumBytes)).u64(stored) || stored != value_checksum(key, body)) {
    return fail(ErrorCode::kCorrupt, "the checksum does not match");
  }
  return body;
}

Result<std::uint8_t> read_version(ByteReader& reader, std::uint8_t newest) {
  std::uint8_t version = 0;
  if (!reader.u8(version)) return fail(ErrorCode::kCorrupt, "a value without a version");
  if (version > newest) {
    return fail(ErrorCode::kForeign, "a value of version {}, which is newer than this program's {}",
                version, newest);
  }
  if (version == 0) return fail(ErrorCode::kCorrupt, "a value of version 0");
  return version;
}

Result<void> check_version(ByteReader& reader, std::uint8_t only) {
  DRAWBRIDGE_ASSIGN(const std::uint8_t version, read_version(reader, only));
  if (version != only) return fail(ErrorCode::kCorrupt, "a value of version {}", version);
  return {};
}

Result<void> check_name(std::string_view what, std::string_view name, std::size_t limit) {
  if (name.empty()) return fail(ErrorCode::kInvalid, "the {} is empty", what);
  if (name.size() > limit) {
    return fail(ErrorCode::kInvalid, "the {} '{}...' has {} bytes; at most {} are kept", what,
                name.substr(0, 40), name.size(), limit);
  }
  if (name.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kInvalid, "the {} holds a NUL", what);
  }
  return {};
}

void write_name(ByteWriter& writer, std::string_view name) {
  writer.put(as_bytes(name));
  writer.u8(0);
}

Result<std::string> read_name(ByteReader& reader, std::string_view what, std::size_t limit) {
  const std::string_view rest = as_text(reader.rest());
  const std::size_t size = rest.find('\0');
  if (size == std::string_view::npos || size == 0 || size > limit) {
    return fail(ErrorCode::kCorrupt, "no well-formed {}", what);
  }
  ByteView name;
  std::uint8_t end = 0;
  if (!reader.take(size, name) || !reader.u8(end)) {
    return fail(ErrorCode::kCorrupt, "cut short within the {}", what);
  }
  return std::string(as_text(name));
}

Result<void> write_source(ByteWriter& writer, std::string_view cluster_id,
                          const TopicPartition& at) {
  DRAWBRIDGE_TRY(check_name("source's cluster id", cluster_id, kMaxClusterBytes));
  DRAWBRIDGE_TRY(check_name("topic's name", at.topic, kMaxTopicBytes));
  if (at.partition.value < 0) {
    return fail(ErrorCode::kInvalid, "topic {}: partition {} is negative", at.topic,
                at.partition.value);
  }
  write_name(writer, cluster_id);
  write_name(writer, at.topic);
  writer.u32(static_cast<std::uint32_t>(at.partition.value));
  return {};
}

Result<void> read_source(ByteReader& reader, std::string& cluster_id, TopicPartition& at) {
  DRAWBRIDGE_ASSIGN(cluster_id, read_name(reader, "cluster id", kMaxClusterBytes));
  DRAWBRIDGE_ASSIGN(at.topic, read_name(reader, "topic", kMaxTopicBytes));
  std::uint32_t partition = 0;
  if (!reader.u32(partition) || !reader.done() || partition > kMaxPartition) {
    return fail(ErrorCode::kCorrupt, "the key of topic {} has no well-formed partition", at.topic);
  }
  at.partition = {static_cast<std::int32_t>(partition)};
  return {};
}

void write_i64(ByteWriter& writer, std::int64_t value) {
  writer.u64(static_cast<std::uint64_t>(value));
}

bool read_i64(ByteReader& reader, std::int64_t& out) {
  std::uint64_t value = 0;
  if (!reader.u64(value)) return false;
  out = static_cast<std::int64_t>(value);
  return true;
}

Result<void> check_position(const Position& position) {
  if (position.next.value < 0) {
    return fail(ErrorCode::kInvalid, "the offset {} is negative", position.next.value);
  }
  if (position.witness && !before(*position.witness, position.next)) {
    return fail(ErrorCode::kInvalid, "the last record's offset {} is not before the position {}",
                position.witness->offset.value, position.next.value);
  }
  return {};
}

void write_witness(ByteWriter& writer, const Witness& witness) {
  write_i64(writer, witness.offset.value);
  write_i64(writer, witness.timestamp_ms);
  writer.u64(witness.hash);
}

bool read_witness(ByteReader& reader, Offset next, Witness& out) {
  return read_i64(reader, out.offset.value) && read_i64(reader, out.timestamp_ms) &&
         reader.u64(out.hash) && before(out, next);
}

}  // namespace drawbridge

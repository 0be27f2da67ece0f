#include "bridge/checkpoint/codec.h"

#include <xxhash.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace drawbridge {
namespace {

using namespace checkpoint_format;  // NOLINT: the constants of this very file

constexpr std::uint32_t kMaxPartition = std::numeric_limits<std::int32_t>::max();

Result<void> check_name(std::string_view what, std::string_view name, std::size_t limit) {
  if (name.empty()) return fail(ErrorCode::kInvalid, "the {} is empty", what);
  if (name.size() > limit) {
    return fail(ErrorCode::kInvalid, "the {} '{}...' has {} bytes; a checkpoint holds at most {}",
                what, name.substr(0, 40), name.size(), limit);
  }
  if (name.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kInvalid, "the {} holds a NUL", what);
  }
  return {};
}

Result<std::string> read_name(ByteReader& reader, std::string_view what, std::size_t limit) {
  const std::string_view rest = as_text(reader.rest());
  const std::size_t size = rest.find('\0');
  if (size == std::string_view::npos || size == 0 || size > limit) {
    return fail(ErrorCode::kCorrupt, "a key has no well-formed {}", what);
  }
  ByteView name;
  std::uint8_t end = 0;
  if (!reader.take(size, name) || !reader.u8(end)) {
    return fail(ErrorCode::kCorrupt, "a key ends within its {}", what);
  }
  return std::string(as_text(name));
}

void write_i64(ByteWriter& writer, std::int64_t value) {
  writer.u64(static_cast<std::uint64_t>(value));
}

[[nodiscard]] bool read_i64(ByteReader& reader, std::int64_t& out) {
  std::uint64_t value = 0;
  if (!reader.u64(value)) return false;
  out = static_cast<std::int64_t>(value);
  return true;
}

void seal(ByteView key, Bytes& value) { ByteWriter(value).u64(value_checksum(key, value)); }

// The value without its checksum, which holds.
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

Result<void> check_version(ByteReader& reader, std::uint8_t newest) {
  std::uint8_t version = 0;
  if (!reader.u8(version)) return fail(ErrorCode::kCorrupt, "a value without a version");
  if (version > newest) {
    return fail(ErrorCode::kForeign, "a value of version {}, which is newer than this program's {}",
                version, newest);
  }
  if (version != newest) return fail(ErrorCode::kCorrupt, "a value of version {}", version);
  return {};
}

}  // namespace

std::uint64_t value_checksum(ByteView key, ByteView body) {
  const std::uint64_t seed = XXH3_64bits(key.data(), key.size());
  return XXH3_64bits_withSeed(body.data(), body.size(), seed);
}

Result<Bytes> checkpoint_key_prefix(std::string_view pipeline) {
  DRAWBRIDGE_TRY(check_name("pipeline's name", pipeline, kMaxPipelineBytes));
  Bytes prefix;
  ByteWriter writer(prefix);
  writer.u8(kCheckpointKey);
  writer.put(as_bytes(pipeline));
  writer.u8(0);
  return prefix;
}

Result<Bytes> encode_checkpoint_key(const CheckpointKey& key) {
  DRAWBRIDGE_TRY(check_name("source's cluster id", key.cluster_id, kMaxClusterBytes));
  DRAWBRIDGE_TRY(check_name("topic's name", key.at.topic, kMaxTopicBytes));
  if (key.at.partition.value < 0) {
    return fail(ErrorCode::kInvalid, "topic {}: partition {} is negative", key.at.topic,
                key.at.partition.value);
  }
  DRAWBRIDGE_ASSIGN(Bytes bytes, checkpoint_key_prefix(key.pipeline));
  ByteWriter writer(bytes);
  writer.put(as_bytes(key.cluster_id));
  writer.u8(0);
  writer.put(as_bytes(key.at.topic));
  writer.u8(0);
  writer.u32(static_cast<std::uint32_t>(key.at.partition.value));
  return bytes;
}

Result<CheckpointKey> decode_checkpoint_key(ByteView key) {
  ByteReader reader(key);
  std::uint8_t kind = 0;
  if (!reader.u8(kind) || kind != kCheckpointKey) {
    return fail(ErrorCode::kCorrupt, "not the key of a checkpoint");
  }
  CheckpointKey out;
  DRAWBRIDGE_ASSIGN(out.pipeline, read_name(reader, "pipeline", kMaxPipelineBytes));
  DRAWBRIDGE_ASSIGN(out.cluster_id, read_name(reader, "cluster id", kMaxClusterBytes));
  DRAWBRIDGE_ASSIGN(out.at.topic, read_name(reader, "topic", kMaxTopicBytes));
  std::uint32_t partition = 0;
  if (!reader.u32(partition) || !reader.done() || partition > kMaxPartition) {
    return fail(ErrorCode::kCorrupt, "the key of topic {} has no well-formed partition",
                out.at.topic);
  }
  out.at.partition = {static_cast<std::int32_t>(partition)};
  return out;
}

Result<Bytes> encode_checkpoint(ByteView key, const Checkpoint& checkpoint) {
  const Position& position = checkpoint.position;
  if (position.next.value < 0) {
    return fail(ErrorCode::kInvalid, "the offset {} is negative", position.next.value);
  }
  if (position.witness &&
      (position.witness->offset.value < 0 || position.witness->offset >= position.next)) {
    return fail(ErrorCode::kInvalid, "the last record's offset {} is not before the position {}",
                position.witness->offset.value, position.next.value);
  }
  for (const auto& group : {checkpoint.group_committed, checkpoint.group_pending}) {
    if (group && group->value < 0) {
      return fail(ErrorCode::kInvalid, "the group's offset {} is negative", group->value);
    }
  }
  Bytes value;
  ByteWriter writer(value);
  writer.u8(kCheckpointVersion);
  writer.u8(static_cast<std::uint8_t>((position.witness ? kHasWitness : 0) |
                                      (checkpoint.group_committed ? kHasGroupCommitted : 0) |
                                      (checkpoint.group_pending ? kHasGroupPending : 0)));
  write_i64(writer, position.next.value);
  write_i64(writer, checkpoint.saved_at);
  if (position.witness) {
    write_i64(writer, position.witness->offset.value);
    write_i64(writer, position.witness->timestamp_ms);
    writer.u64(position.witness->hash);
  }
  if (checkpoint.group_committed) write_i64(writer, checkpoint.group_committed->value);
  if (checkpoint.group_pending) write_i64(writer, checkpoint.group_pending->value);
  seal(key, value);
  return value;
}

Result<Checkpoint> decode_checkpoint(ByteView key, ByteView value) {
  DRAWBRIDGE_ASSIGN(const ByteView body, open_value(key, value));
  ByteReader reader(body);
  DRAWBRIDGE_TRY(check_version(reader, kCheckpointVersion));
  const auto malformed = [] { return fail(ErrorCode::kCorrupt, "a malformed checkpoint"); };
  Checkpoint out;
  std::uint8_t flags = 0;
  if (!reader.u8(flags) || (flags & ~(kHasWitness | kHasGroupCommitted | kHasGroupPending)) != 0 ||
      !read_i64(reader, out.position.next.value) || !read_i64(reader, out.saved_at)) {
    return malformed();
  }
  if ((flags & kHasWitness) != 0) {
    Witness& witness = out.position.witness.emplace();
    if (!read_i64(reader, witness.offset.value) || !read_i64(reader, witness.timestamp_ms) ||
        !reader.u64(witness.hash)) {
      return malformed();
    }
    if (witness.offset.value < 0 || witness.offset >= out.position.next) return malformed();
  }
  if ((flags & kHasGroupCommitted) != 0) {
    Offset& committed = out.group_committed.emplace();
    if (!read_i64(reader, committed.value) || committed.value < 0) return malformed();
  }
  if ((flags & kHasGroupPending) != 0) {
    Offset& pending = out.group_pending.emplace();
    if (!read_i64(reader, pending.value) || pending.value < 0) return malformed();
  }
  if (!reader.done() || out.position.next.value < 0) return malformed();
  return out;
}

Result<Bytes> encode_pipeline_key(std::string_view pipeline) {
  DRAWBRIDGE_TRY(check_name("pipeline's name", pipeline, kMaxPipelineBytes));
  Bytes key;
  ByteWriter writer(key);
  writer.u8(kPipelineKey);
  writer.put(as_bytes(pipeline));
  return key;
}

Result<std::string> decode_pipeline_key(ByteView key) {
  if (key.size() < 2 || key.size() > 1 + kMaxPipelineBytes || key[0] != kPipelineKey ||
      std::ranges::count(key, 0) > 0) {
    return fail(ErrorCode::kCorrupt, "not the key of a pipeline");
  }
  return std::string(as_text(key.subspan(1)));
}

Result<Bytes> encode_shards(ByteView key, std::uint32_t shards) {
  if (shards == 0) return fail(ErrorCode::kInvalid, "a pipeline needs at least one shard");
  Bytes value;
  ByteWriter writer(value);
  writer.u8(kPipelineVersion);
  writer.u32(shards);
  seal(key, value);
  return value;
}

Result<std::uint32_t> decode_shards(ByteView key, ByteView value) {
  DRAWBRIDGE_ASSIGN(const ByteView body, open_value(key, value));
  ByteReader reader(body);
  DRAWBRIDGE_TRY(check_version(reader, kPipelineVersion));
  std::uint32_t shards = 0;
  if (!reader.u32(shards) || !reader.done() || shards == 0) {
    return fail(ErrorCode::kCorrupt, "a malformed number of shards");
  }
  return shards;
}

Bytes encode_store_key() { return {kStoreKey}; }

Result<Bytes> encode_identity(const StoreIdentity& identity) {
  DRAWBRIDGE_TRY(check_name("daemon's name", identity.daemon, kMaxDaemonBytes));
  Bytes value;
  ByteWriter writer(value);
  writer.put(as_bytes(kMagic));
  writer.u16(kSchema);
  writer.u16(static_cast<std::uint16_t>(identity.daemon.size()));
  writer.put(as_bytes(identity.daemon));
  writer.put(identity.store_id);
  writer.u64(identity.hash_seed);
  write_i64(writer, identity.made_at);
  seal(encode_store_key(), value);
  return value;
}

Result<StoreIdentity> decode_identity(ByteView value) {
  if (!as_text(value).starts_with(kMagic)) {
    return fail(ErrorCode::kForeign, "not a checkpoint store of drawbridge");
  }
  DRAWBRIDGE_ASSIGN(const ByteView body, open_value(encode_store_key(), value));
  const auto malformed = [] { return fail(ErrorCode::kCorrupt, "a malformed identity"); };
  ByteReader reader(body);
  ByteView magic;
  ByteView daemon;
  ByteView store_id;
  std::uint16_t schema = 0;
  std::uint16_t length = 0;
  if (!reader.take(kMagic.size(), magic) || !reader.u16(schema)) return malformed();
  if (schema > kSchema) {
    return fail(ErrorCode::kForeign, "schema {} is newer than this program's {}", schema, kSchema);
  }
  StoreIdentity out;
  if (schema != kSchema || !reader.u16(length) || length == 0 || length > kMaxDaemonBytes ||
      !reader.take(length, daemon) || std::ranges::count(daemon, 0) > 0 ||
      !reader.take(kStoreIdBytes, store_id) || !reader.u64(out.hash_seed) ||
      !read_i64(reader, out.made_at) || !reader.done()) {
    return malformed();
  }
  out.daemon = as_text(daemon);
  std::ranges::copy(store_id, out.store_id.begin());
  return out;
}

}  // namespace drawbridge

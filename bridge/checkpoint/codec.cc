#include "bridge/checkpoint/codec.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "bridge/checkpoint/value.h"

namespace drawbridge {

using namespace checkpoint_format;  // NOLINT: the constants of this very file

Result<Bytes> checkpoint_key_prefix(std::string_view pipeline) {
  DRAWBRIDGE_TRY(check_name("pipeline's name", pipeline, kMaxPipelineBytes));
  Bytes prefix;
  ByteWriter writer(prefix);
  writer.u8(kCheckpointKey);
  write_name(writer, pipeline);
  return prefix;
}

Result<Bytes> encode_checkpoint_key(const CheckpointKey& key) {
  DRAWBRIDGE_ASSIGN(Bytes bytes, checkpoint_key_prefix(key.pipeline));
  ByteWriter writer(bytes);
  DRAWBRIDGE_TRY(write_source(writer, key.cluster_id, key.at));
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
  DRAWBRIDGE_TRY(read_source(reader, out.cluster_id, out.at));
  return out;
}

Result<Bytes> encode_checkpoint(ByteView key, const Checkpoint& checkpoint) {
  const Position& position = checkpoint.position;
  DRAWBRIDGE_TRY(check_position(position));
  if (checkpoint.line < 0)
    return fail(ErrorCode::kInvalid, "the line {} is negative", checkpoint.line);
  for (const auto& group : {checkpoint.group_committed, checkpoint.group_pending}) {
    if (group && group->value < 0) {
      return fail(ErrorCode::kInvalid, "the group's offset {} is negative", group->value);
    }
  }
  Bytes value;
  ByteWriter writer(value);
  writer.u8(checkpoint.line == 0 ? kCheckpointWithoutLine : kCheckpointVersion);
  writer.u8(static_cast<std::uint8_t>((position.witness ? kHasWitness : 0) |
                                      (checkpoint.group_committed ? kHasGroupCommitted : 0) |
                                      (checkpoint.group_pending ? kHasGroupPending : 0)));
  write_i64(writer, position.next.value);
  write_i64(writer, checkpoint.saved_at);
  if (checkpoint.line != 0) write_i64(writer, checkpoint.line);
  if (position.witness) write_witness(writer, *position.witness);
  if (checkpoint.group_committed) write_i64(writer, checkpoint.group_committed->value);
  if (checkpoint.group_pending) write_i64(writer, checkpoint.group_pending->value);
  seal_value(key, value);
  return value;
}

Result<Checkpoint> decode_checkpoint(ByteView key, ByteView value) {
  DRAWBRIDGE_ASSIGN(const ByteView body, open_value(key, value));
  ByteReader reader(body);
  DRAWBRIDGE_ASSIGN(const std::uint8_t version, read_version(reader, kCheckpointVersion));
  const auto malformed = [] { return fail(ErrorCode::kCorrupt, "a malformed checkpoint"); };
  Checkpoint out;
  std::uint8_t flags = 0;
  if (!reader.u8(flags) || (flags & ~(kHasWitness | kHasGroupCommitted | kHasGroupPending)) != 0 ||
      !read_i64(reader, out.position.next.value) || !read_i64(reader, out.saved_at)) {
    return malformed();
  }
  if (version != kCheckpointWithoutLine && (!read_i64(reader, out.line) || out.line <= 0)) {
    return malformed();
  }
  if ((flags & kHasWitness) != 0 &&
      !read_witness(reader, out.position.next, out.position.witness.emplace())) {
    return malformed();
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
  seal_value(key, value);
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
  seal_value(encode_store_key(), value);
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

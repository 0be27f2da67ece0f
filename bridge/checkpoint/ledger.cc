#include "bridge/checkpoint/ledger.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "bridge/checkpoint/format.h"
#include "bridge/checkpoint/ledger_format.h"
#include "bridge/checkpoint/value.h"
#include "bridge/record/topic_name.h"

namespace drawbridge {
namespace {

using namespace ledger_format;  // NOLINT: the constants of this very file
using checkpoint_format::kMaxDaemonBytes;
using checkpoint_format::kMaxPipelineBytes;

template <std::size_t size>
[[nodiscard]] bool read_array(ByteReader& reader, std::array<std::uint8_t, size>& out) {
  ByteView bytes;
  if (!reader.take(size, bytes)) return false;
  std::ranges::copy(bytes, out.begin());
  return true;
}

void write_digest(ByteWriter& writer, const std::optional<RunningDigest>& digest) {
  writer.u8(digest ? kXxh3Digest : kNoDigest);
  if (!digest) return;
  writer.u64(digest->records);
  writer.u64(digest->bytes);
  writer.put(digest->sum);
}

Result<std::optional<RunningDigest>> read_digest(ByteReader& reader) {
  std::uint8_t kind = 0;
  if (!reader.u8(kind)) return fail(ErrorCode::kCorrupt, "a position without a kind of digest");
  if (kind == kNoDigest) return std::nullopt;
  if (kind != kGmacDigest && kind != kXxh3Digest) {
    return fail(ErrorCode::kForeign, "a digest of kind {}, which this program does not know", kind);
  }
  RunningDigest digest;
  if (!reader.u64(digest.records) || !reader.u64(digest.bytes) || !read_array(reader, digest.sum)) {
    return fail(ErrorCode::kCorrupt, "a malformed digest");
  }
  if (kind == kGmacDigest) return std::nullopt;  // nothing can be added to it any more
  return digest;
}

Result<void> check_owner(const LedgerOwner& owner) {
  DRAWBRIDGE_TRY(check_name("daemon's name", owner.daemon, kMaxDaemonBytes));
  return check_name("pipeline's name", owner.pipeline, kMaxPipelineBytes);
}

Result<LedgerOwner> read_owner(ByteReader& value) {
  LedgerOwner owner;
  DRAWBRIDGE_ASSIGN(owner.daemon, read_name(value, "daemon's name", kMaxDaemonBytes));
  DRAWBRIDGE_ASSIGN(owner.pipeline, read_name(value, "pipeline's name", kMaxPipelineBytes));
  return owner;
}

void write_owner(ByteWriter& writer, const LedgerOwner& owner) {
  write_name(writer, owner.daemon);
  write_name(writer, owner.pipeline);
}

// Where a closed ledger's pipeline went on: later under its own name, in any epoch under another.
bool is_move(const LedgerHeader& header) {
  if (!header.moved_to) return !header.renamed_to;
  if (!header.renamed_to) return *header.moved_to > header.epoch;
  return *header.moved_to > 0 && *header.renamed_to != header.owner();
}

Result<LedgerRecord> encode(const LedgerHeader& header) {
  DRAWBRIDGE_TRY(check_owner({header.daemon, header.pipeline}));
  if (header.epoch == 0) return fail(ErrorCode::kInvalid, "the ledger's epoch is 0");
  if (header.shards == 0) return fail(ErrorCode::kInvalid, "the number of shards is 0");
  if (header.renamed_to) DRAWBRIDGE_TRY(check_owner(*header.renamed_to));
  if (!is_move(header)) {
    return fail(ErrorCode::kInvalid,
                "epoch {} is said to go on in epoch {}, which is not later, or under a name that "
                "is no other",
                header.epoch, header.moved_to.value_or(0));
  }
  LedgerRecord record{{kHeaderKey}, {}};
  ByteWriter writer(record.value);
  writer.u8(header.renamed_to ? kRenamedHeaderVersion : kHeaderVersion);
  writer.u8(static_cast<std::uint8_t>((header.moved_to ? kHasMovedTo : 0) |
                                      (header.renamed_to ? kHasRenamedTo : 0)));
  write_owner(writer, {header.daemon, header.pipeline});
  writer.u32(header.epoch);
  writer.u32(header.shards);
  writer.u64(header.hash_seed);
  writer.put(header.digest_key);
  write_i64(writer, header.made_at);
  if (header.moved_to) writer.u32(*header.moved_to);
  if (header.renamed_to) write_owner(writer, *header.renamed_to);
  seal_value(record.key, record.value);
  return record;
}

Result<LedgerRecord> encode(const LedgerPosition& entry) {
  LedgerRecord record;
  ByteWriter key(record.key);
  key.u8(kPositionKey);
  DRAWBRIDGE_TRY(write_source(key, entry.cluster_id, entry.at));
  DRAWBRIDGE_TRY(check_position(entry.position));
  if (entry.leader_epoch && *entry.leader_epoch < 0) {
    return fail(ErrorCode::kInvalid, "the leader epoch {} is negative", *entry.leader_epoch);
  }
  const std::optional<Witness>& witness = entry.position.witness;
  ByteWriter writer(record.value);
  writer.u8(kPositionVersion);
  writer.u8(static_cast<std::uint8_t>((witness ? kHasWitness : 0) |
                                      (entry.leader_epoch ? kHasLeaderEpoch : 0) |
                                      (entry.topic_id ? kHasTopicId : 0)));
  write_i64(writer, entry.position.next.value);
  writer.u64(entry.sequence);
  write_i64(writer, entry.saved_at);
  if (witness) write_witness(writer, *witness);
  if (entry.leader_epoch) writer.u32(static_cast<std::uint32_t>(*entry.leader_epoch));
  if (entry.topic_id) writer.put(*entry.topic_id);
  write_digest(writer, entry.digest);
  seal_value(record.key, record.value);
  return record;
}

Result<LedgerEntry> decode_header(ByteReader& value) {
  const auto malformed = [] { return fail(ErrorCode::kCorrupt, "a malformed header"); };
  DRAWBRIDGE_ASSIGN(const std::uint8_t version, read_version(value, kRenamedHeaderVersion));
  const bool renamed = version == kRenamedHeaderVersion;
  LedgerHeader out;
  std::uint8_t flags = 0;
  if (!value.u8(flags) ||
      (renamed ? flags != (kHasMovedTo | kHasRenamedTo) : (flags & ~kHasMovedTo) != 0)) {
    return malformed();
  }
  DRAWBRIDGE_ASSIGN(LedgerOwner owner, read_owner(value));
  out.daemon = std::move(owner.daemon);
  out.pipeline = std::move(owner.pipeline);
  if (!value.u32(out.epoch) || out.epoch == 0 || !value.u32(out.shards) || out.shards == 0 ||
      !value.u64(out.hash_seed) || !read_array(value, out.digest_key) ||
      !read_i64(value, out.made_at)) {
    return malformed();
  }
  if ((flags & kHasMovedTo) != 0 && !value.u32(out.moved_to.emplace())) return malformed();
  if (renamed) {
    DRAWBRIDGE_ASSIGN(out.renamed_to, read_owner(value));
  }
  if (!is_move(out) || !value.done()) return malformed();
  return out;
}

Result<LedgerEntry> decode_position(ByteReader& key, ByteReader& value) {
  const auto malformed = [] { return fail(ErrorCode::kCorrupt, "a malformed position"); };
  DRAWBRIDGE_TRY(check_version(value, kPositionVersion));
  LedgerPosition out;
  DRAWBRIDGE_TRY(read_source(key, out.cluster_id, out.at));
  Position& position = out.position;
  std::uint8_t flags = 0;
  if (!value.u8(flags) || (flags & ~(kHasWitness | kHasLeaderEpoch | kHasTopicId)) != 0 ||
      !read_i64(value, position.next.value) || position.next.value < 0 ||
      !value.u64(out.sequence) || !read_i64(value, out.saved_at)) {
    return malformed();
  }
  if ((flags & kHasWitness) != 0 &&
      !read_witness(value, position.next, position.witness.emplace())) {
    return malformed();
  }
  if ((flags & kHasLeaderEpoch) != 0) {
    std::uint32_t epoch = 0;
    if (!value.u32(epoch) || !std::in_range<std::int32_t>(epoch)) return malformed();
    out.leader_epoch = static_cast<std::int32_t>(epoch);
  }
  if ((flags & kHasTopicId) != 0 && !read_array(value, out.topic_id.emplace())) return malformed();
  DRAWBRIDGE_ASSIGN(out.digest, read_digest(value));
  if (!value.done()) return malformed();
  return out;
}

// All of a ledger's name before its epoch.
std::string topic_prefix(std::string_view daemon, std::string_view pipeline) {
  return fmt::format("{}{}.{}.", kTopicPrefix, daemon, pipeline);
}

}  // namespace

Result<LedgerRecord> encode_ledger(const LedgerEntry& entry) {
  return std::visit([](const auto& which) { return encode(which); }, entry);
}

bool is_ledger_key(ByteView key) {
  return !key.empty() && (key.front() == kHeaderKey || key.front() == kPositionKey);
}

Result<LedgerEntry> decode_ledger(ByteView key, ByteView value) {
  // First of all: what does not hold says nothing, not even that it is newer.
  DRAWBRIDGE_ASSIGN(const ByteView body, open_value(key, value));
  ByteReader key_reader(key);
  ByteReader value_reader(body);
  std::uint8_t kind = 0;
  if (!key_reader.u8(kind)) return fail(ErrorCode::kCorrupt, "a ledger's record without a key");
  switch (kind) {
    case kHeaderKey:
      if (!key_reader.done()) return fail(ErrorCode::kCorrupt, "not the key of a header");
      return decode_header(value_reader);
    case kPositionKey:
      return decode_position(key_reader, value_reader);
    default:
      return fail(ErrorCode::kForeign,
                  "a ledger's record of kind {}, which this program does not know", kind);
  }
}

Result<std::string> ledger_topic(std::string_view daemon, std::string_view pipeline,
                                 std::uint32_t epoch) {
  DRAWBRIDGE_TRY(check_name("daemon's name", daemon, kMaxDaemonBytes));
  DRAWBRIDGE_TRY(check_name("pipeline's name", pipeline, kMaxPipelineBytes));
  if (epoch == 0) return fail(ErrorCode::kInvalid, "the ledger's epoch is 0");
  std::string name = topic_prefix(daemon, pipeline) + std::to_string(epoch);
  if (auto legal = check_topic_name(name); !legal) {
    return fail(ErrorCode::kInvalid, "the ledger of pipeline {} would be topic `{}`: {}", pipeline,
                name, legal.error().message);
  }
  return name;
}

std::optional<std::uint32_t> ledger_epoch(std::string_view topic, std::string_view daemon,
                                          std::string_view pipeline) {
  const std::string prefix = topic_prefix(daemon, pipeline);
  if (!topic.starts_with(prefix)) return std::nullopt;
  const std::string_view digits = topic.substr(prefix.size());
  std::uint32_t epoch = 0;
  // The number is only read here; the comparison below holds it to the one way it is written.
  std::from_chars(digits.data(), digits.data() + digits.size(), epoch);
  const auto name = ledger_topic(daemon, pipeline, epoch);
  if (!name || *name != topic) return std::nullopt;
  return epoch;
}

}  // namespace drawbridge

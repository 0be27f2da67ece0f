// Records of the ledger topic, by the grammar in LEDGER.md. Pure functions.
//
// An exactly-once pipeline writes its positions to a compacted topic on the target, in the
// transaction that holds the data: one topic a pipeline and epoch, one partition a shard. Each
// partition has one header, and one position for every source partition of the shard.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "bridge/base/bytes.h"
#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/record/coordinates.h"
#include "bridge/record/record_digest.h"
#include "bridge/record/running_digest.h"

namespace drawbridge {

// Whose a ledger is.
struct LedgerOwner {
  std::string daemon;
  std::string pipeline;

  bool operator==(const LedgerOwner&) const = default;
};

// Whose ledger it is. The same in all partitions of the topic; written when the ledger is made.
struct LedgerHeader {
  std::string daemon;
  std::string pipeline;
  std::uint32_t epoch = 1;      // not 0
  std::uint32_t shards = 1;     // not 0
  std::uint64_t hash_seed = 0;  // keys record_hash() of witnesses
  DigestKey digest_key{};       // keys the record digests
  // Set once, and closes the ledger: the pipeline went on in this epoch, a later one where it kept
  // its name.
  std::optional<std::uint32_t> moved_to;
  WallMillis made_at = 0;
  // With moved_to, where daemon or pipeline has another name there.
  std::optional<LedgerOwner> renamed_to = std::nullopt;

  [[nodiscard]] LedgerOwner owner() const { return {daemon, pipeline}; }
  bool operator==(const LedgerHeader&) const = default;
};

// How far a source partition has been copied, in the transaction that wrote this.
struct LedgerPosition {
  std::string cluster_id;  // of the source
  TopicPartition at;
  Position position;
  std::uint64_t sequence = 0;                // of the shard's commit that wrote it, rising
  std::optional<std::int32_t> leader_epoch;  // of the source partition, where known; not negative
  std::optional<std::array<std::uint8_t, 16>> topic_id;  // of the source topic, where known
  std::optional<RunningDigest> digest;                   // of what was sent below position.next
  WallMillis saved_at = 0;

  bool operator==(const LedgerPosition&) const = default;
};

using LedgerEntry = std::variant<LedgerHeader, LedgerPosition>;

// A record of the ledger topic as it is produced and read.
struct LedgerRecord {
  Bytes key;
  Bytes value;
};

// Whether it could be the key of a ledger's record, going by its kind.
bool is_ledger_key(ByteView key);

// Errors: kInvalid, naming the field.
Result<LedgerRecord> encode_ledger(const LedgerEntry& entry);

// Takes exactly what encode_ledger() makes. A null key or value counts as an empty one, which is
// refused. Errors: kCorrupt; kForeign for what a newer program wrote.
Result<LedgerEntry> decode_ledger(ByteView key, ByteView value);

// `__drawbridge.ledger.<daemon>.<pipeline>.<epoch>`. Names may hold dots, so that two pipelines of
// two daemons can come to one topic: the header tells whose it is. Errors: kInvalid, an empty name,
// epoch 0, or no legal topic name comes out.
Result<std::string> ledger_topic(std::string_view daemon, std::string_view pipeline,
                                 std::uint32_t epoch);

// The epoch in such a name of this daemon and pipeline; nullopt: another topic.
std::optional<std::uint32_t> ledger_epoch(std::string_view topic, std::string_view daemon,
                                          std::string_view pipeline);

}  // namespace drawbridge

// Digests of records, for telling later whether a target holds what was sent to it: no record lost,
// changed or twice. What a position's RunningDigest adds up.
//
//   digest     = XXH3-128(seed, head key-hash value-hash)   ; of 60 bytes
//   head       = u32 partition, u64 offset                  ; of the source
//                i64 timestamp, u32 key length, u32 value length
//   key-hash   = XXH3-128(seed, key)
//   value-hash = XXH3-128(seed, value)
//   seed       = XXH3-64(digest-key u8 cluster-id u8 topic) ; without a seed, as a u64
//
// Integers and hashes are big-endian, which for hashes is xxHash's canonical form. Cluster id and
// topic are the source's; u8 is the length of the name after it. A null has the length 0xffffffff
// and the hash of nothing, so that null, empty and the border between key and value are told apart.
//
// The digest key stands in clear in the ledger, so digests find loss and damage, and are no
// evidence against an attacker, whichever function makes them (LEDGER.md). So speed decides. XXH3
// is not linear as GMAC is: where two records swap their contents, or the same bits change in both,
// the XOR of their digests changes too, and nothing more need be done to a digest. The key is
// random all the same: digests of different pipelines or topics do not compare, and who has not
// seen the ledger has nothing to aim at.
//
// Timestamp, key and value count as they were sent. Headers are left out: a sink may have taken
// them over by the time a record is counted. A topic whose broker stamps records (LogAppendTime)
// gives other timestamps back than were sent.
//
// The sum is XOR, so order does not matter, and a record that is added twice leaves only its
// count. There is no taking away: keep the RunningDigest of what is committed, it is a value of 32
// bytes, and go back to it when a transaction is aborted.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "bridge/base/bytes.h"
#include "bridge/record/coordinates.h"
#include "bridge/record/running_digest.h"

namespace drawbridge {

// What a ledger's header has for it.
using DigestKey = std::array<std::uint8_t, 32>;

// Which record of its source topic one is.
struct RecordId {
  Partition partition;
  Offset offset;
};

// For the records of one source topic. A value.
class RecordDigest {
 public:
  // `key`: the ledger's. REQUIRES: cluster id and topic have at most 255 bytes each, as in a
  // ledger.
  RecordDigest(const DigestKey& key, std::string_view cluster_id, std::string_view topic);

  // Adds a record to `total`, with its timestamp in ms since 1970. REQUIRES: key and value have at
  // most 2^31 - 1 bytes each, as in Kafka.
  void add(RecordId source, std::int64_t timestamp_ms, std::optional<ByteView> key,
           std::optional<ByteView> value, RunningDigest& total) const;

 private:
  std::uint64_t seed_;
};

}  // namespace drawbridge

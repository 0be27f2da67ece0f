// Digests of records, for telling later whether a target holds what was sent to it: no record lost,
// changed or twice. What a position's RunningDigest adds up.
//
//   digest    = AES-256(block key, tag)                  ; one block, 16 bytes
//   tag       = GMAC(gmac key, nonce, message)           ; 16 bytes
//   nonce     = u32 partition, u64 offset                ; of the source
//   message   = i64 timestamp, u32 key length, u32 value length, key, value
//   gmac key  = HKDF-SHA512(key, no salt, "drawbridge record digest gmac" names), 32 bytes
//   block key = HKDF-SHA512(key, no salt, "drawbridge record digest block" names), 32 bytes
//   names     = u8 cluster-id u8 topic %x01 %x01         ; of the source
//
// Integers are big-endian; u8 is the length of the name after it; the two last bytes are
// derive_key()'s version and suite (kdf.h); the length of a null is 0xffffffff, so that null, empty
// and the border between key and value are told apart. GMAC is AES-256-GCM without plaintext (NIST
// SP 800-38D). It needs a nonce for each message: a topic has keys of its own, and a partition and
// offset name one record of it.
//
// The tag is encrypted because GMAC is linear: the XOR of two tags stays the same when two records
// of a length swap their contents, or the same bits change in both. XOR wants digests that look
// random (Clarke et al., "Incremental Multiset Hash Functions", ASIACRYPT 2003).
//
// Timestamp, key and value count as they were sent. Headers are left out: a sink may have taken
// them over by the time a record is counted. A topic whose broker stamps records (LogAppendTime)
// gives other timestamps back than were sent.
//
// The sum is XOR, so order does not matter, and a record that is added twice leaves only its
// count. There is no taking away: keep the RunningDigest of what is committed, it is a value of 32
// bytes, and go back to it when a transaction is aborted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "bridge/base/bytes.h"
#include "bridge/base/result.h"
#include "bridge/record/coordinates.h"
#include "bridge/record/running_digest.h"

namespace drawbridge {

// Which record of its source topic one is.
struct RecordId {
  Partition partition;
  Offset offset;
};

// For the records of one source topic: the caller keeps one for each. Its contexts are keyed once;
// a record costs no allocation. Not thread-safe. Movable.
class RecordDigest {
 public:
  // `key`: the ledger's, 32 bytes. The source's cluster id and topic: at most 255 bytes each.
  // Errors: kInvalid, another length; kFull, no secure memory left; kInternal.
  static Result<RecordDigest> create(ByteView key, std::string_view cluster_id,
                                     std::string_view topic);

  RecordDigest(RecordDigest&&) noexcept;
  RecordDigest& operator=(RecordDigest&&) noexcept;
  ~RecordDigest();

  // Adds a record to `total`, with its timestamp in ms since 1970. Errors, which leave `total` as
  // it was: kTooLarge, key or value beyond 1 GiB; kInternal.
  Result<void> add(RecordId source, std::int64_t timestamp_ms, std::optional<ByteView> key,
                   std::optional<ByteView> value, RunningDigest& total);

 private:
  struct Contexts;
  explicit RecordDigest(std::unique_ptr<Contexts> contexts);

  std::unique_ptr<Contexts> contexts_;
};

}  // namespace drawbridge

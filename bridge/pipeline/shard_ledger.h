// ShardLedger: what the ledger says of one shard, and what the next transaction will say in it.
// See EXACTLY_ONCE.md; the records' bytes are checkpoint/ledger.h's matter. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/checkpoint/ledger.h"
#include "bridge/record/coordinates.h"

namespace drawbridge {

// Whose ledger it has to be.
struct LedgerIdentity {
  std::string daemon;
  std::string pipeline;
  std::uint32_t epoch = 1;
  std::uint32_t shards = 1;
  std::string cluster_id;  // of the source
};

// All that a ledger's partition says; of each key the newest record.
struct LedgerContents {
  std::optional<LedgerHeader> header;
  std::vector<LedgerPosition> positions;
  std::uint64_t sequence = 0;  // the highest
};

// Of each key the newest record counts. One that is not ours at all is passed over once it has been
// deleted, which is how it is got rid of. Errors: kLedger, naming the key; kForeign (a newer
// program); kLedger, too, for positions without a header.
Result<LedgerContents> decode_contents(std::span<const LedgerRecord> records);

// "epoch 2", "epoch 2 of pipeline p of daemon d": where a closed ledger was moved to.
std::string moved_where(const LedgerHeader& header);

// Refuses a header that is of somebody else, closed, or of another number of shards. Errors:
// kForeign, kInvalid; they say what to do.
Result<void> check_header(const LedgerHeader& header, const LedgerIdentity& expected);

// What a transaction says of a source partition.
struct LedgerStatement {
  TopicPartition at;
  Position position;
  std::optional<RunningDigest> digest = std::nullopt;  // of what was sent below it
};

class ShardLedger {
 public:
  explicit ShardLedger(LedgerIdentity identity) : identity_(std::move(identity)) {}

  // What the shard's partition holds, in order, read when nobody else could write any more. May be
  // called again, with a new producer. Errors: kLedger, kForeign (a newer program; another
  // cluster), those of check_header().
  Result<void> read(std::span<const LedgerRecord> records);
  [[nodiscard]] bool known() const { return known_; }

  // REQUIRES of the rest: known().
  // False before the shard's first commit ever.
  [[nodiscard]] bool begun() const { return header_written_; }
  // nullptr: never committed.
  [[nodiscard]] const LedgerPosition* find(const TopicPartition& at) const;
  [[nodiscard]] std::uint64_t hash_seed() const { return header_.hash_seed; }
  [[nodiscard]] const DigestKey& digest_key() const { return header_.digest_key; }

  // The header's record. REQUIRES: begun().
  [[nodiscard]] Result<LedgerRecord> header() const { return encode_ledger(header_); }
  // The records that say this; with the first of all, the header. Errors: kInvalid.
  Result<std::vector<LedgerRecord>> state(std::span<const LedgerStatement> statements,
                                          WallMillis now);
  // The transaction with the newest state()ment is final.
  void committed();

 private:
  Result<void> make_header();

  const LedgerIdentity identity_;
  bool known_ = false;
  LedgerHeader header_;
  bool header_written_ = false;
  std::uint64_t sequence_ = 0;  // of the newest commit
  std::map<TopicPartition, LedgerPosition> positions_;
};

}  // namespace drawbridge

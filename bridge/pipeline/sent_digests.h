// SentDigests: what an exactly-once shard has sent, added up by source partition, for the ledger
// (LEDGER.md, digest) and a later verify. Follows the transactions: what an aborted one held does
// not count. Not thread-safe.
//
// A sum goes on over a source log that was replaced by another one (on-gap: earliest): it says what
// was sent, not what the source holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bridge/record/coordinates.h"
#include "bridge/record/record.h"
#include "bridge/record/record_digest.h"

namespace drawbridge {

class SentDigests {
 public:
  using Slot = std::uint32_t;

  // The ledger's, whenever it has been read: a ledger that nothing was committed to may have got
  // another one from somebody else meanwhile.
  void key(const DigestKey& digest_key, std::string cluster_id);
  // A partition, with what the ledger says of it. nullopt: it is in the ledger, which keeps none.
  // REQUIRES: key().
  void set(Slot slot, const TopicPartition& at, const std::optional<RunningDigest>& committed);

  // REQUIRES of the rest: set().
  // One record as it is sent.
  [[nodiscard]] RunningDigest of(Slot slot, const Record& record) const;
  // It has been passed: it belongs to the next statement.
  void add(Slot slot, const RunningDigest& record);
  // What the transaction that is committed next says.
  std::optional<RunningDigest> state(Slot slot);
  // What was stated last is final.
  void committed();
  // All that is not final will be sent again.
  void aborted();

 private:
  struct Partition {
    std::string topic;
    std::optional<RecordDigest> digest;  // none: none is kept
    RunningDigest running;
    std::optional<RunningDigest> stated;
    RunningDigest final;
  };

  DigestKey key_{};
  std::string cluster_id_;
  std::vector<Partition> partitions_;  // by slot
};

}  // namespace drawbridge

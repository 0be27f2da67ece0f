// Moves an exactly-once pipeline's ledger to a new epoch: to another number of shards, to another
// name, or both. States, and what a crash leads to: RESHARD.md.
#pragma once

#include <cstdint>
#include <vector>

#include "bridge/pipeline/ledger_hold.h"

namespace drawbridge {

struct ReshardReport {
  enum class Done : std::uint8_t {
    kNothing,  // the pipeline has this name and number already
    kBefore,   // the move was finished by an earlier command
    kMoved,
  };
  Done done = Done::kNothing;
  LedgerOwner owner_before;
  LedgerTopic from;
  LedgerTopic to;                         // where not kNothing
  std::vector<LedgerPosition> positions;  // that were moved
};

// `pipeline` is configured as it shall be; `from` is whose ledger it is now. Errors: those of
// LedgerHold; kNotFound, there is no ledger to move; kInvalid, kExists, what is there forbids it.
Result<ReshardReport> reshard(const PipelineOptions& pipeline, const LedgerOwner& from,
                              Connector& connector, Target& target, const Clock& clock);

}  // namespace drawbridge

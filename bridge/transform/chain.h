// Chain: the transforms of one shard in order, between the two guards of `require`.
//
// A record's state in the chain is the record and an index, so a record that waits for a key store
// goes on where it stopped. One instance serves one shard's worker. Movable.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/transform/key_service.h"
#include "bridge/transform/require.h"
#include "bridge/transform/spec.h"
#include "bridge/transform/transform.h"

namespace drawbridge {

// A place in the chain, for errors and dead letters.
struct ChainPlace {
  std::string_view name;                // a transform's, "require.in" or "require.out"
  std::optional<std::size_t> position;  // among the configured transforms; none for a guard
};

class Chain {
 public:
  // Calls every spec's make(). `keys` outlives the chain. Errors: kInvalid, naming the transform
  // and its position.
  static Result<Chain> build(std::span<const TransformStep> steps, const RequireOptions& require,
                             KeyService& keys);

  // Applies what follows from `next` on. kKeep: all were applied. kWait: `next` names the one to
  // resume at; the record is as that one found it. kFail and kDrop: `next` names who decided.
  // REQUIRES: `next` is 0 for a new record, or as a kWait of the same record left it.
  Outcome apply(Record& record, Scratch& scratch, std::size_t& next);

  // Starts the key requests of a record that apply() has not seen yet: worth calling for those
  // behind one that waits. Reaches the first transform only, since later ones would see a record
  // that is not made yet.
  void prefetch(const Record& record, Instant now);

  [[nodiscard]] ChainPlace place(std::size_t next) const;
  // "transform 2 (rekey)", "require.in".
  [[nodiscard]] std::string describe(std::size_t next) const;
  [[nodiscard]] bool empty() const { return steps_.empty(); }

 private:
  struct Step {
    std::string name;
    std::optional<std::size_t> position;
    std::unique_ptr<Transform> transform;
  };

  std::vector<Step> steps_;
  Transform* first_ = nullptr;  // the first configured transform
};

}  // namespace drawbridge

// Opener: reads a record's envelope and finds the key that opens it. Shared by decrypt and rekey,
// so that both refuse the same records in the same order: not an envelope, not of this scope, not
// for this key domain, not the key that it commits to.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "bridge/transform/opening_keys.h"

namespace drawbridge {

class Opener {
 public:
  struct BareTombstone {};  // a null value that passes
  struct Found {
    const SealedRecord* sealed;  // views into the record
    OpeningKeys::Entry* entry;
  };
  // Valid until the next find().
  using Lookup = std::variant<Found, BareTombstone, Outcome>;

  Opener(std::shared_ptr<KeyCache> cache, Scope scope, Tombstones tombstones, Waker& waker)
      : tombstones_(tombstones), keys_(std::move(cache), std::move(scope), waker) {}

  // An Outcome is kWait or kFail. Nothing of the record is changed.
  Lookup find(const Record& record, Instant now);

  [[nodiscard]] Expected expected() const;
  [[nodiscard]] const Scope& scope() const { return keys_.scope(); }

 private:
  const Tombstones tombstones_;
  OpeningKeys keys_;
  SealedRecord sealed_;  // of the last find()
};

}  // namespace drawbridge

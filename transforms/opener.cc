#include "transforms/opener.h"

namespace drawbridge {

Opener::Lookup Opener::find(const Record& record, Instant now) {
  auto sealed = read_sealed(record, tombstones_);
  if (!sealed) return Outcome::from(std::move(sealed).error());
  if (!*sealed) return BareTombstone{};
  if (auto matched = match_scope((*sealed)->envelope, scope()); !matched) {
    return Outcome::from(std::move(matched).error());
  }
  auto found = keys_.find(**sealed, now);
  if (auto* outcome = std::get_if<Outcome>(&found)) return std::move(*outcome);
  return Found{**sealed, std::get<OpeningKeys::Entry*>(found)};
}

Expected Opener::expected() const {
  Expected expected;
  expected.dataset = as_bytes(scope().dataset);
  if (scope().tenant) expected.tenant = as_bytes(*scope().tenant);
  return expected;
}

}  // namespace drawbridge

#include "transforms/opener.h"

namespace drawbridge {

Opener::Lookup Opener::find(const Record& record, Instant now) {
  auto read = read_sealed(record, tombstones_, sealed_);
  if (!read) return Outcome::from(std::move(read).error());
  if (!*read) return BareTombstone{};
  if (auto matched = match_scope(sealed_.envelope, scope()); !matched) {
    return Outcome::from(std::move(matched).error());
  }
  auto found = keys_.find(sealed_, now);
  if (auto* outcome = std::get_if<Outcome>(&found)) return std::move(*outcome);
  return Found{&sealed_, std::get<OpeningKeys::Entry*>(found)};
}

Expected Opener::expected() const {
  Expected expected;
  expected.dataset = as_bytes(scope().dataset);
  if (scope().tenant) expected.tenant = as_bytes(*scope().tenant);
  return expected;
}

}  // namespace drawbridge

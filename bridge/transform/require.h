// Guards: what a value must be where a pipeline takes it in and where it lets it out. Fail closed:
// a value in no listed format is refused, and nothing is guessed.
//
// native  a well-formed native envelope of the current version and a known suite, whose wrapped
//         keys ride in exactly one header, or inline and in none. A null value passes (tombstones:
//         pass), or needs its one well-formed authentication header (tombstones: authenticated).
// clear   no envelope: neither its magic nor one of its headers. Null is clear.
//
// Both may be listed: then a value that shows any sign of an envelope must be a good one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/transform/sealed_record.h"
#include "bridge/transform/spec.h"

namespace drawbridge {

// As configured, formats by name. An empty list: the default for the chain, see effective_formats.
struct RequireOptions {
  std::vector<std::string> in;
  std::vector<std::string> out;
  Tombstones tombstones = Tombstones::kPass;  // where `native` stands alone
};

struct Formats {
  bool native = false;
  bool clear = false;

  [[nodiscard]] bool any() const { return native && clear; }
  bool operator==(const Formats&) const = default;
};

// Errors: kInvalid, an unknown format or one listed twice, naming it.
Result<Formats> parse_formats(const std::vector<std::string>& names);

// What `require` stands for where it says nothing. In: what the first transform that looks at the
// value takes. Out: what the last transform that changes the form leaves, else what came in.
// nullopt: nothing in the chain decides it, so there is no guard (plain replication).
struct EffectiveFormats {
  std::optional<Formats> in;
  std::optional<Formats> out;
};
Result<EffectiveFormats> effective_formats(const RequireOptions& require,
                                           std::span<const TransformStep> steps);

// A guard, as a transform that changes nothing. Errors it fails records with: kEnvelopeMissing,
// kEnvelopeMalformed, kEnvelopeUnsupported, kEnvelopeUnexpected (an envelope where only clear
// values are accepted).
std::unique_ptr<Transform> make_guard(Formats formats, Tombstones tombstones);

}  // namespace drawbridge

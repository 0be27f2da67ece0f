// A record's native envelope with its wrapped keys, wherever they stand: in the value, or for an
// authenticated tombstone in a header. Shared by the guards and the transforms, so that all of them
// refuse the same records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bridge/base/result.h"
#include "bridge/envelope/envelope.h"
#include "bridge/record/record.h"

namespace drawbridge {

// What a null value may be.
enum class Tombstones : std::uint8_t {
  kPass,           // a bare null passes: whoever can write to the topic can delete
  kAuthenticated,  // it needs a header that proves it
};

// The names "pass" and "authenticated". Errors: kInvalid.
Result<Tombstones> parse_tombstones(std::string_view name);

// Views into the record. What it says is the writer's claim until an OpeningKey has verified it.
struct SealedRecord {
  EnvelopeView envelope;
  // The encoded block of wrapped keys, not looked into: most records bring one that is known.
  ByteView key_block;
};

// Fills `out`; false: a bare null value that passes, which has no envelope. A tombstone header is
// looked at whatever the policy. The wrapped keys are found, not parsed. (A parameter, since it is
// large and every record comes by here.)
// Errors: kEnvelopeMissing, kEnvelopeMalformed, kEnvelopeUnsupported.
Result<bool> read_sealed(const Record& record, Tombstones tombstones, SealedRecord& out);

// Does the record carry a header of the native format?
bool has_native_headers(const Headers& headers);
// Removes them all.
void remove_native_headers(Headers& headers);

// Whose records a transform handles: from the configuration, never from a record.
struct Scope {
  std::string dataset;
  std::optional<std::string> tenant;

  bool operator==(const Scope&) const = default;
};

// Errors: kInvalid, a dataset or tenant out of the format's bounds.
Result<void> check_scope(const Scope& scope);

// Does the envelope claim to be of this scope? Asked before any key store is. Errors:
// kEnvelopeForeign (the message does not repeat what the record claims).
Result<void> match_scope(const EnvelopeView& envelope, const Scope& scope);

}  // namespace drawbridge

// The native envelope as it stands in a value, taken apart without keys and without copies.
// Grammar: bridge/envelope/FORMAT.md; numbers: format.h; keys: data_key.h.
//
// A view says what the writer claims. Nothing in it is trustworthy before OpeningKey::open() or
// verify() has said so, and dataset and tenant are compared with what the reader expects, never
// taken from here.
#pragma once

#include <optional>

#include "bridge/base/result.h"
#include "bridge/envelope/format.h"
#include "bridge/envelope/key_id.h"
#include "bridge/envelope/wrapped_keys.h"
#include "bridge/record/record.h"

namespace drawbridge {

// Views into the parsed value, valid as long as its bytes are.
struct EnvelopeView {
  Suite suite = Suite::kAes256Gcm;
  std::uint8_t flags = 0;
  KeyId key_id;
  ByteView dataset;
  std::optional<ByteView> tenant;
  std::optional<SubjectReference> subject;
  ByteView key_tag;
  std::optional<ByteView> salt;
  ByteView nonce;

  ByteView immutable;    // from the magic to the nonce: the AAD
  ByteView inline_keys;  // the encoded block; empty: the keys ride in the header
  ByteView ciphertext;   // as long as the plaintext
  ByteView tag;

  [[nodiscard]] bool has_inline_keys() const { return (flags & format::kFlagInline) != 0; }
  [[nodiscard]] bool whole() const { return (flags & format::kFlagWhole) != 0; }
  [[nodiscard]] bool tombstone() const { return (flags & format::kFlagTombstone) != 0; }
};

// Does the value start like an envelope? For refusing to encrypt one again; not a promise that it
// parses.
bool looks_like_envelope(ByteView value);

// Strict: every length checked, unknown flags refused, no trailing bytes. No allocation on success.
// Errors: kEnvelopeMissing (no magic), kEnvelopeUnsupported (version, suite, flag),
// kEnvelopeMalformed (anything else, a tombstone's envelope in a value among them).
Result<EnvelopeView> parse_envelope(ByteView value);
// The same for the value of a `drawbridge-tombstone` header.
Result<EnvelopeView> parse_tombstone(ByteView header);

// The encoded block of a record's wrapped keys, wherever the envelope says that they ride; not
// looked into. Errors as find_key_block(); kEnvelopeMalformed when they ride inline and a header is
// there too.
Result<ByteView> key_block_of(const EnvelopeView& view, const Headers& headers);
// The same, parsed. Errors as parse_wrapped_keys(), too.
Result<WrappedKeys> wrapped_keys_of(const EnvelopeView& view, const Headers& headers);

// The record's one tombstone header, parsed. Errors as parse_tombstone(); kEnvelopeMissing when
// there is none, kEnvelopeMalformed when it is null or there more than once.
Result<EnvelopeView> find_tombstone(const Headers& headers);

// Rewrap of inline keys: the value again with `keys` (an encoded block) in place of the old ones.
// Everything else is copied as it is. REQUIRES: view.has_inline_keys(); out.size() is
// rewrapped_size(view, keys).
std::size_t rewrapped_size(const EnvelopeView& view, ByteView keys);
void replace_inline_keys(const EnvelopeView& view, ByteView keys, MutableBytes out);

}  // namespace drawbridge

// The block of wrapped keys: who may open a record, and with what. It rides in one record header
// (`drawbridge-keys`) or inside the value, and is replaced at a rewrap without touching anything
// else. Grammar: bridge/envelope/FORMAT.md, "Wrapped keys".
//
// Everything in it is the writer's to choose: match the KEK reference against the allow-list
// before any call, and compare the key id of what comes out (OpeningKey does).
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "bridge/base/result.h"
#include "bridge/envelope/format.h"
#include "bridge/record/headers.h"

namespace drawbridge {

// One domain's copy of the data key.
struct WrappedKeyView {
  std::string_view domain;  // 1 to 254 bytes
  std::string_view kek;     // KEK reference, 1 to 1024 bytes, in the store's own terms
  ByteView wrapped;         // 1 to 4096 bytes
};

// A parsed block: views into it, at most four, ascending by domain. None: the key is kept by a key
// store, by reference.
class WrappedKeys {
 public:
  [[nodiscard]] std::span<const WrappedKeyView> entries() const { return {items_.data(), count_}; }
  [[nodiscard]] const WrappedKeyView* find(std::string_view domain) const;  // nullptr: none
  // The encoded block itself: equal bytes are equal keys, so that callers can compare cheaply.
  [[nodiscard]] ByteView encoded() const { return encoded_; }

 private:
  friend Result<WrappedKeys> parse_wrapped_keys(ByteView block);
  friend Result<WrappedKeys> take_wrapped_keys(ByteReader& reader);
  std::array<WrappedKeyView, format::kMaxWrappedKeys> items_{};
  std::size_t count_ = 0;
  ByteView encoded_;
};

// Strict: canonical order, limits, no trailing bytes. No allocation on success.
// Errors: kEnvelopeMalformed (also: two of one domain, more than four), kEnvelopeUnsupported
// (version).
Result<WrappedKeys> parse_wrapped_keys(ByteView block);
// The same from the front of `reader`, which is left behind the block (for inline keys).
Result<WrappedKeys> take_wrapped_keys(ByteReader& reader);

// The block for `entries`, given in any order. Errors: kInvalid, limits or a domain given twice.
Result<Bytes> encode_wrapped_keys(std::span<const WrappedKeyView> entries);

// The value of the record's one wrapped-keys header: an encoded block, not looked into.
// Errors: kEnvelopeMalformed, the header is absent, null or there more than once.
Result<ByteView> find_key_block(const Headers& headers);
// The same, parsed. Errors as parse_wrapped_keys(), too.
Result<WrappedKeys> find_wrapped_keys(const Headers& headers);

}  // namespace drawbridge

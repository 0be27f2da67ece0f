// A whole record as one plaintext: key, value and headers, for dead letters that must not weaken
// protection. Sealed in a value whose `whole` flag is set. Grammar: FORMAT.md, "Whole records".
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/record/headers.h"

namespace drawbridge {

// Views into the decoded plaintext.
struct WholeRecord {
  std::optional<ByteView> key;
  std::optional<ByteView> value;
  std::vector<Header> headers;
};

// REQUIRES for encode_whole: out.size() is whole_size() of the same arguments.
std::size_t whole_size(std::optional<ByteView> key, std::optional<ByteView> value,
                       std::span<const Header> headers);
void encode_whole(std::optional<ByteView> key, std::optional<ByteView> value,
                  std::span<const Header> headers, MutableBytes out);

// Strict: no trailing bytes. Errors: kEnvelopeMalformed, kEnvelopeUnsupported (version).
Result<WholeRecord> decode_whole(ByteView plaintext);

}  // namespace drawbridge

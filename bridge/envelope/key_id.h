// The two identifiers that an envelope shows: of its data key, and of the subject it is about.
#pragma once

#include <array>
#include <compare>
#include <cstring>
#include <functional>
#include <string>

#include "bridge/base/bytes.h"
#include "bridge/base/secret.h"
#include "bridge/envelope/format.h"

namespace drawbridge {

// Names a data key and commits to it: HKDF-SHA512 of the DEK, the format's version and the suite.
// Public; two DEKs with one key id cannot be found.
struct KeyId {
  std::array<std::uint8_t, format::kKeyIdBytes> bytes{};

  auto operator<=>(const KeyId&) const = default;
  [[nodiscard]] ByteView view() const { return bytes; }
  [[nodiscard]] std::string hex() const { return to_hex(bytes); }
};

// The key id of `dek` under `suite`. Errors: kInvalid, a DEK that is not 32 bytes; kInternal.
Result<KeyId> key_id_of(Suite suite, const SecretBytes& dek);

// A pseudonym of the person or thing that a record is about. Never the raw subject, since it
// appears in clear in values and in key stores' logs.
using SubjectReference = std::array<std::uint8_t, format::kSubjectReferenceBytes>;

// HMAC-SHA-256(key, subject), its first 16 bytes. `key` is a named key of the dataset, 16 to
// 64 bytes. Errors: kInvalid, a key of another length; kInternal.
Result<SubjectReference> subject_reference(const SecretBytes& key, ByteView subject);

}  // namespace drawbridge

template <>
struct std::hash<drawbridge::KeyId> {
  std::size_t operator()(const drawbridge::KeyId& id) const noexcept {
    // Key ids that verify are pseudorandom; an attacker who picks them gains collisions in a
    // bounded cache and nothing else.
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};

// The wrap context: under what a data key is wrapped. A key moved to another dataset, tenant or
// domain does not unwrap there. Grammar: bridge/envelope/FORMAT.md, "Wrap context".
//
// It appears in clear in key stores' logs, so it never holds a raw subject.
#pragma once

#include <compare>
#include <optional>
#include <string>

#include "bridge/base/result.h"
#include "bridge/base/secret.h"
#include "bridge/envelope/key_id.h"

namespace drawbridge {

// dataset and domain: 1 to 254 bytes; tenant: 0 to 254, absent told from empty.
struct WrapContext {
  KeyId key_id;
  std::string dataset;
  std::optional<std::string> tenant;
  std::string domain;

  auto operator<=>(const WrapContext&) const = default;
};

// The canonical bytes: two contexts are equal exactly when these are. The AAD of a store that
// takes one, and part of a cache key. Errors: kInvalid, naming the field out of bounds.
Result<Bytes> encode_context(const WrapContext& context);

// For stores that take no context (RSA-OAEP, AES-KW): what is wrapped is
// DEK[32] || SHA-256(canonical context)[32].
Result<SecretBytes> bind_context(const SecretBytes& dek, const WrapContext& context);
// The DEK of such a payload. Errors: kEnvelopeTampered, another length or context.
Result<SecretBytes> unbind_context(const SecretBytes& payload, const WrapContext& context);

}  // namespace drawbridge

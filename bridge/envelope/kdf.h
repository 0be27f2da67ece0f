// HKDF-SHA512 (RFC 5869) and HMAC-SHA-256 (RFC 2104) as the envelope uses them. Internal to this
// room.
#pragma once

#include <array>
#include <span>

#include "bridge/base/bytes.h"
#include "bridge/base/secret.h"
#include "bridge/envelope/openssl.h"

namespace drawbridge {

inline constexpr std::size_t kSha256Bytes = 32;
using Sha256 = std::array<std::uint8_t, kSha256Bytes>;

// 32 bytes for `info` || version || suite. An empty salt is RFC 5869's "not provided".
// REQUIRES: out.size() == 32. Errors: kInvalid, a DEK that is not 32 bytes; kInternal.
Result<void> derive_key(Suite suite, const SecretBytes& dek, ByteView salt, std::string_view info,
                        MutableBytes out);

Result<Sha256> sha256_of(ByteView bytes);  // errors: kInternal

// HMAC-SHA-256 with its key absorbed once. A message then costs two copies of a digest state, less
// than half of what re-initialising EVP_MAC costs in OpenSSL 3.0. Not thread-safe.
class Hmac {
 public:
  // `key` is at most a block, 64 bytes. Errors: kInternal.
  static Result<Hmac> create(ByteView key);
  // HMAC of `head` || `body`. Errors: kInternal.
  Result<void> digest(ByteView head, ByteView body, Sha256& out);

 private:
  Hmac() = default;
  OpensslPtr<EVP_MD_CTX> inner_;  // after key ^ ipad
  OpensslPtr<EVP_MD_CTX> outer_;  // after key ^ opad
  OpensslPtr<EVP_MD_CTX> work_;
};

}  // namespace drawbridge

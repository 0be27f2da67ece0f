// One AEAD context, keyed once; only the nonce is reset per message. Internal to this room.
//
// Generic over the suites: both take a 12-byte nonce and give a 16-byte tag. Not thread-safe.
#pragma once

#include "bridge/base/bytes.h"
#include "bridge/envelope/openssl.h"

namespace drawbridge {

class Aead {
 public:
  enum class Direction : std::uint8_t { kSeal, kOpen };

  // REQUIRES: key.size() == 32. Errors: kInternal.
  static Result<Aead> create(Suite suite, Direction direction, ByteView key);

  // `label` and `aad` are authenticated one after the other; either may be empty.
  // REQUIRES: direction kSeal; out.size() == plaintext.size(). Errors: kInternal.
  Result<void> seal(ByteView nonce, ByteView label, ByteView aad, ByteView plaintext,
                    MutableBytes out, MutableBytes tag);

  // REQUIRES: direction kOpen. `out` holds the plaintext (out.size() == ciphertext.size()), which
  // counts for nothing unless the result is true, or it is empty: then the tag is checked and the
  // plaintext thrown away in pieces. False: the tag does not verify. Errors: kInternal.
  Result<bool> open(ByteView nonce, ByteView label, ByteView aad, ByteView ciphertext, ByteView tag,
                    MutableBytes out);

 private:
  explicit Aead(OpensslPtr<EVP_CIPHER_CTX> context) : context_(std::move(context)) {}
  bool feed(ByteView aad);

  OpensslPtr<EVP_CIPHER_CTX> context_;
};

}  // namespace drawbridge

// AES-256-GCM key wrapping under a key-encryption key that this process holds, for the local
// keyring. wrapped = nonce[12] || ciphertext[32] || tag[16], AAD = the canonical wrap context.
#pragma once

#include <atomic>
#include <cstdint>

#include "bridge/envelope/context.h"

namespace drawbridge {

inline constexpr std::size_t kLocalWrappedBytes =
    format::kNonceBytes + format::kDekBytes + format::kTagBytes;

// Holds one KEK. Thread-safe.
class Aes256GcmWrap {
 public:
  // Errors: kInvalid, a KEK that is not 32 bytes.
  static Result<Aes256GcmWrap> create(SecretBytes kek);
  Aes256GcmWrap(Aes256GcmWrap&& other) noexcept;  // no call may be under way in `other`

  // Under a fresh random nonce. Errors: kInvalid (a DEK that is not 32 bytes, a context out of
  // bounds); kInternal once the KEK has spent its budget of wraps (rotate it).
  Result<Bytes> wrap(const SecretBytes& dek, const WrapContext& context);
  // Errors: kEnvelopeMalformed, wrong length; kEnvelopeTampered, another KEK, another context, or
  // changed bytes; kFull, no secure memory left.
  Result<SecretBytes> unwrap(ByteView wrapped, const WrapContext& context) const;

 private:
  explicit Aes256GcmWrap(SecretBytes kek) : kek_(std::move(kek)) {}

  SecretBytes kek_;
  std::atomic<std::uint64_t> wraps_{0};
};

}  // namespace drawbridge

#include "bridge/envelope/wrap.h"

#include "bridge/envelope/aead.h"
#include "bridge/envelope/nonce.h"

namespace drawbridge {

Result<Aes256GcmWrap> Aes256GcmWrap::create(SecretBytes kek) {
  if (kek.size() != 32) {
    return fail(ErrorCode::kInvalid, "an AES-256 key-encryption key has 32 bytes, not {}",
                kek.size());
  }
  return Aes256GcmWrap(std::move(kek));
}

Aes256GcmWrap::Aes256GcmWrap(Aes256GcmWrap&& other) noexcept
    : kek_(std::move(other.kek_)), wraps_(other.wraps_.load()) {}

Result<Bytes> Aes256GcmWrap::wrap(const SecretBytes& dek, const WrapContext& context) {
  if (dek.size() != format::kDekBytes) {
    return fail(ErrorCode::kInvalid, "a data key has {} bytes, not {}", format::kDekBytes,
                dek.size());
  }
  DRAWBRIDGE_ASSIGN(const Bytes aad, encode_context(context));
  if (wraps_.fetch_add(1) >= format::kWrapBudget) {
    wraps_.store(format::kWrapBudget);  // stays spent
    return fail(ErrorCode::kInternal, "the key-encryption key has spent its {} wraps: rotate it",
                format::kWrapBudget);
  }
  // A context of its own per call: wraps are rare, and this keeps the object thread-safe.
  DRAWBRIDGE_ASSIGN(Aead aead, Aead::create(Suite::kAes256Gcm, Aead::Direction::kSeal,
                                            kek_.reveal(SecretAccess())));
  Bytes wrapped(kLocalWrappedBytes);
  const MutableBytes out(wrapped);
  const MutableBytes nonce = out.first(format::kNonceBytes);
  DRAWBRIDGE_TRY(next_nonce(nonce.first<format::kNonceBytes>()));
  DRAWBRIDGE_TRY(aead.seal(nonce, {}, aad, dek.reveal(SecretAccess()),
                           out.subspan(format::kNonceBytes, format::kDekBytes),
                           out.last(format::kTagBytes)));
  return wrapped;
}

Result<SecretBytes> Aes256GcmWrap::unwrap(ByteView wrapped, const WrapContext& context) const {
  if (wrapped.size() != kLocalWrappedBytes) {
    return fail(ErrorCode::kEnvelopeMalformed, "a wrapped key of {} bytes, not {}", wrapped.size(),
                kLocalWrappedBytes);
  }
  DRAWBRIDGE_ASSIGN(const Bytes aad, encode_context(context));
  DRAWBRIDGE_ASSIGN(Aead aead, Aead::create(Suite::kAes256Gcm, Aead::Direction::kOpen,
                                            kek_.reveal(SecretAccess())));
  DRAWBRIDGE_ASSIGN(SecretBytes dek, SecretBytes::zeroed(format::kDekBytes));
  DRAWBRIDGE_ASSIGN(const bool good,
                    aead.open(wrapped.first(format::kNonceBytes), {}, aad,
                              wrapped.subspan(format::kNonceBytes, format::kDekBytes),
                              wrapped.last(format::kTagBytes), dek.reveal_mutable(SecretAccess())));
  if (!good) {
    return fail(ErrorCode::kEnvelopeTampered,
                "the wrapped key does not open under this key-encryption key and context");
  }
  return dek;
}

}  // namespace drawbridge

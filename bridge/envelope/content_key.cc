#include "bridge/envelope/content_key.h"

#include <algorithm>

namespace drawbridge {
namespace {

constexpr std::uint8_t kKeyAbsent = 0;
constexpr std::uint8_t kKeyPresent = 1;

}  // namespace

Result<KeyId> key_id_of(Suite suite, const SecretBytes& dek) {
  KeyId id;
  DRAWBRIDGE_TRY(derive_key(suite, dek, {}, format::kCommitInfo, id.bytes));
  return id;
}

Result<SubjectReference> subject_reference(const SecretBytes& key, ByteView subject) {
  if (key.size() < 16 || key.size() > 64) {
    return fail(ErrorCode::kInvalid, "a key for subject references has 16 to 64 bytes, not {}",
                key.size());
  }
  DRAWBRIDGE_ASSIGN(Hmac hmac, Hmac::create(key.reveal(SecretAccess())));
  Sha256 full;
  DRAWBRIDGE_TRY(hmac.digest({}, subject, full));
  SubjectReference reference;
  std::copy_n(full.begin(), reference.size(), reference.begin());
  return reference;
}

Result<std::unique_ptr<ContentKey>> ContentKey::create(Suite suite, Aead::Direction direction,
                                                       const SecretBytes& dek, ByteView salt) {
  DRAWBRIDGE_ASSIGN(const KeyId id, key_id_of(suite, dek));
  // One piece of secure memory serves both derived keys in turn; the contexts keep their own.
  DRAWBRIDGE_ASSIGN(SecretBytes derived, SecretBytes::zeroed(format::kDekBytes));
  const MutableBytes bytes = derived.reveal_mutable(SecretAccess());
  DRAWBRIDGE_TRY(derive_key(suite, dek, salt, format::kContentInfo, bytes));
  DRAWBRIDGE_ASSIGN(Aead aead, Aead::create(suite, direction, bytes));
  DRAWBRIDGE_TRY(derive_key(suite, dek, {}, format::kBindInfo, bytes));
  DRAWBRIDGE_ASSIGN(Hmac bind, Hmac::create(bytes));
  Sha256 absent_tag;
  DRAWBRIDGE_TRY(bind.digest(ByteView(&kKeyAbsent, 1), {}, absent_tag));
  return std::unique_ptr<ContentKey>(
      new ContentKey(suite, id, std::move(aead), std::move(bind), absent_tag));
}

Result<void> ContentKey::key_tag(std::optional<ByteView> record_key,
                                 std::span<std::uint8_t, format::kKeyTagBytes> out) {
  if (!record_key) {
    std::copy_n(absent_tag_.begin(), out.size(), out.begin());
    return {};
  }
  Sha256 full;
  DRAWBRIDGE_TRY(bind_.digest(ByteView(&kKeyPresent, 1), *record_key, full));
  std::copy_n(full.begin(), out.size(), out.begin());
  return {};
}

}  // namespace drawbridge

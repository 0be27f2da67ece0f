#include "bridge/envelope/context.h"

#include <algorithm>

#include "bridge/envelope/kdf.h"
#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

Result<void> check_field(std::string_view name, std::string_view text, std::size_t least) {
  if (text.size() < least || text.size() > format::kMaxShort) {
    return fail(ErrorCode::kInvalid, "wrap context: {} has {} to {} bytes, not {}", name, least,
                format::kMaxShort, text.size());
  }
  return {};
}

}  // namespace

Result<Bytes> encode_context(const WrapContext& context) {
  DRAWBRIDGE_TRY(check_field("dataset", context.dataset, 1));
  if (context.tenant) DRAWBRIDGE_TRY(check_field("tenant", *context.tenant, 0));
  DRAWBRIDGE_TRY(check_field("domain", context.domain, 1));
  const auto tenant =
      context.tenant ? std::optional(as_bytes(*context.tenant)) : std::optional<ByteView>();
  Bytes bytes(format::kContextLabel.size() + 1 + format::kKeyIdBytes +
              short_size(as_bytes(context.dataset)) + short_size(tenant) +
              short_size(as_bytes(context.domain)));
  SpanWriter writer(bytes);
  writer.put(as_bytes(format::kContextLabel));
  writer.u8(format::kContextVersion);
  writer.put(context.key_id.view());
  put_short(writer, as_bytes(context.dataset));
  put_short(writer, tenant);
  put_short(writer, as_bytes(context.domain));
  assert(writer.done());
  return bytes;
}

Result<SecretBytes> bind_context(const SecretBytes& dek, const WrapContext& context) {
  if (dek.size() != format::kDekBytes) {
    return fail(ErrorCode::kInvalid, "a data key has {} bytes, not {}", format::kDekBytes,
                dek.size());
  }
  DRAWBRIDGE_ASSIGN(const Bytes encoded, encode_context(context));
  DRAWBRIDGE_ASSIGN(const Sha256 hash, sha256_of(encoded));
  DRAWBRIDGE_ASSIGN(SecretBytes payload, SecretBytes::zeroed(dek.size() + hash.size()));
  SpanWriter writer(payload.reveal_mutable(SecretAccess()));
  writer.put(dek.reveal(SecretAccess()));
  writer.put(hash);
  return payload;
}

Result<SecretBytes> unbind_context(const SecretBytes& payload, const WrapContext& context) {
  DRAWBRIDGE_ASSIGN(const Bytes encoded, encode_context(context));
  DRAWBRIDGE_ASSIGN(const Sha256 hash, sha256_of(encoded));
  const ByteView bytes = payload.reveal(SecretAccess());
  if (bytes.size() != format::kDekBytes + hash.size() ||
      !equal_secret(bytes.last(hash.size()), hash)) {
    return fail(ErrorCode::kEnvelopeTampered, "the wrapped key belongs to another wrap context");
  }
  return SecretBytes::copy_of(bytes.first(format::kDekBytes));
}

}  // namespace drawbridge

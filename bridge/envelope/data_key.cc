#include "bridge/envelope/data_key.h"

#include <algorithm>

#include "bridge/envelope/content_key.h"
#include "bridge/envelope/nonce.h"
#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

std::optional<ByteView> optional_view(const std::optional<SubjectReference>& subject) {
  return subject ? std::optional<ByteView>(*subject) : std::nullopt;
}

bool same(std::optional<ByteView> a, std::optional<ByteView> b) {
  return a.has_value() == b.has_value() && (!a || equal(*a, *b));
}

Result<void> check_fields(ByteView plaintext, const Sealing& sealing) {
  const Associated& associated = sealing.associated;
  if (associated.dataset.empty() || associated.dataset.size() > format::kMaxShort) {
    return fail(ErrorCode::kInvalid, "a dataset's name has 1 to {} bytes, not {}",
                format::kMaxShort, associated.dataset.size());
  }
  if (associated.tenant && associated.tenant->size() > format::kMaxShort) {
    return fail(ErrorCode::kInvalid, "a tenant's name has at most {} bytes, not {}",
                format::kMaxShort, associated.tenant->size());
  }
  if (plaintext.size() > format::kMaxPlaintext) {
    return fail(ErrorCode::kTooLarge, "an envelope holds at most {} bytes, not {}",
                format::kMaxPlaintext, plaintext.size());
  }
  if (!sealing.inline_keys.empty()) DRAWBRIDGE_TRY(parse_wrapped_keys(sealing.inline_keys));
  return {};
}

}  // namespace

SealingKey::SealingKey(std::unique_ptr<ContentKey> content, SecretBytes dek,
                       std::optional<Bytes> salt, std::uint64_t budget)
    : content_(std::move(content)),
      dek_(std::move(dek)),
      salt_(std::move(salt)),
      budget_(std::min(budget, format::kNonceBudget)) {}
SealingKey::SealingKey(SealingKey&&) noexcept = default;
SealingKey& SealingKey::operator=(SealingKey&&) noexcept = default;
SealingKey::~SealingKey() = default;

Result<SealingKey> SealingKey::generate(Suite suite, std::uint64_t budget) {
  DRAWBRIDGE_ASSIGN(SecretBytes dek, SecretBytes::random(format::kDekBytes));
  DRAWBRIDGE_ASSIGN(auto content,
                    ContentKey::create(suite, Aead::Direction::kSeal, dek, ByteView()));
  return SealingKey(std::move(content), std::move(dek), std::nullopt, budget);
}

Result<SealingKey> SealingKey::derive(Suite suite, const SecretBytes& dek, std::uint64_t budget) {
  // The salt is public, but made by the same generator as keys are: it must never repeat.
  DRAWBRIDGE_ASSIGN(const SecretBytes random, SecretBytes::random(format::kSaltBytes));
  const ByteView salt = random.reveal(SecretAccess());
  DRAWBRIDGE_ASSIGN(auto content, ContentKey::create(suite, Aead::Direction::kSeal, dek, salt));
  return SealingKey(std::move(content), SecretBytes(), Bytes(salt.begin(), salt.end()), budget);
}

const KeyId& SealingKey::id() const { return content_->id(); }
Suite SealingKey::suite() const { return content_->suite(); }

std::size_t SealingKey::sealed_size(const Sealing& sealing, std::size_t plaintext_size) const {
  const Associated& associated = sealing.associated;
  return format::kFixedOverhead + associated.dataset.size() +
         (associated.tenant ? associated.tenant->size() : 0) +
         (associated.subject ? associated.subject->size() : 0) + (salt_ ? salt_->size() : 0) +
         sealing.inline_keys.size() + plaintext_size;
}

Result<void> SealingKey::seal(ByteView plaintext, const Sealing& sealing, MutableBytes out) {
  return write(plaintext, sealing, sealing.whole ? format::kFlagWhole : std::uint8_t{0}, out);
}

Result<void> SealingKey::seal_tombstone(const Sealing& sealing, MutableBytes out) {
  if (sealing.whole) return fail(ErrorCode::kInternal, "a tombstone holds no whole record");
  return write({}, sealing, format::kFlagTombstone, out);
}

Result<void> SealingKey::write(ByteView plaintext, const Sealing& sealing, std::uint8_t flags,
                               MutableBytes out) {
  DRAWBRIDGE_TRY(check_fields(plaintext, sealing));
  if (out.size() != sealed_size(sealing, plaintext.size())) {
    return fail(ErrorCode::kInternal, "{} bytes of memory for an envelope of {}", out.size(),
                sealed_size(sealing, plaintext.size()));
  }
  if (records_ >= budget_) {
    return fail(ErrorCode::kInternal, "the data key has sealed {} records, its limit: rotate it",
                records_);
  }
  if (!sealing.inline_keys.empty()) flags |= format::kFlagInline;
  if (salt_) flags |= format::kFlagSalted;

  SpanWriter writer(out);
  writer.put(format::kMagic);
  writer.u8(format::kVersion);
  writer.u8(static_cast<std::uint8_t>(content_->suite()));
  writer.u8(flags);
  writer.put(content_->id().view());
  put_short(writer, sealing.associated.dataset);
  put_short(writer, sealing.associated.tenant);
  put_short(writer, optional_view(sealing.associated.subject));
  DRAWBRIDGE_TRY(content_->key_tag(
      sealing.record_key, writer.take(format::kKeyTagBytes).first<format::kKeyTagBytes>()));
  if (salt_) writer.put(*salt_);
  const MutableBytes nonce = writer.take(format::kNonceBytes);
  DRAWBRIDGE_TRY(next_nonce(nonce.first<format::kNonceBytes>()));
  // Counted before it is used: a failure below spends it too.
  ++records_;
  const ByteView immutable(out.data(), nonce.data() + nonce.size());

  writer.put(sealing.inline_keys);
  const MutableBytes ciphertext = writer.take(plaintext.size());
  const MutableBytes tag = writer.take(format::kTagBytes);
  assert(writer.done());
  const ByteView label =
      (flags & format::kFlagTombstone) != 0 ? as_bytes(format::kTombstoneLabel) : ByteView();
  DRAWBRIDGE_TRY(content_->aead().seal(nonce, label, immutable, plaintext, ciphertext, tag));
  bytes_ += plaintext.size();
  return {};
}

OpeningKey::OpeningKey(std::unique_ptr<ContentKey> content, std::optional<Bytes> salt)
    : content_(std::move(content)), salt_(std::move(salt)) {}
OpeningKey::OpeningKey(OpeningKey&&) noexcept = default;
OpeningKey& OpeningKey::operator=(OpeningKey&&) noexcept = default;
OpeningKey::~OpeningKey() = default;

Result<OpeningKey> OpeningKey::create(Suite suite, const SecretBytes& dek,
                                      std::optional<ByteView> salt) {
  if (salt && salt->size() != format::kSaltBytes) {
    return fail(ErrorCode::kInvalid, "a salt has {} bytes, not {}", format::kSaltBytes,
                salt->size());
  }
  DRAWBRIDGE_ASSIGN(auto content, ContentKey::create(suite, Aead::Direction::kOpen, dek,
                                                     salt.value_or(ByteView())));
  return OpeningKey(std::move(content),
                    salt ? std::optional(Bytes(salt->begin(), salt->end())) : std::nullopt);
}

const KeyId& OpeningKey::id() const { return content_->id(); }
Suite OpeningKey::suite() const { return content_->suite(); }

bool OpeningKey::fits(const EnvelopeView& view) const {
  const bool same_salt = same(view.salt, salt_ ? std::optional(ByteView(*salt_)) : std::nullopt);
  return equal_secret(view.key_id.view(), id().view()) && view.suite == suite() && same_salt;
}

Result<void> OpeningKey::check_binding(const EnvelopeView& view, const Expected& expected,
                                       std::optional<ByteView> record_key) {
  if (!fits(view)) {
    return fail(ErrorCode::kEnvelopeTampered,
                "the wrapped key does not hold the data key that the envelope names");
  }
  if (!equal(view.dataset, expected.dataset)) {
    return fail(ErrorCode::kEnvelopeForeign, "the envelope is of another dataset");
  }
  if (!same(view.tenant, expected.tenant)) {
    return fail(ErrorCode::kEnvelopeForeign, "the envelope is of another tenant");
  }
  if (view.whole() != expected.whole) {
    return fail(ErrorCode::kEnvelopeUnsupported, "{}",
                view.whole() ? "the envelope holds a whole record (a dead letter), not a value"
                             : "the envelope holds a value, not a whole record");
  }
  std::array<std::uint8_t, format::kKeyTagBytes> key_tag;
  DRAWBRIDGE_TRY(content_->key_tag(record_key, key_tag));
  if (!equal_secret(key_tag, view.key_tag)) {
    return fail(ErrorCode::kEnvelopeTampered, "the envelope belongs to another record key");
  }
  return {};
}

Result<void> OpeningKey::open(const EnvelopeView& view, const Expected& expected,
                              std::optional<ByteView> record_key, MutableBytes out) {
  // An empty `out` would mean "verify only" below; sizes that differ are the caller's bug.
  if (out.size() != view.ciphertext.size() || view.tombstone()) {
    cleanse(out);
    return fail(ErrorCode::kInternal, "{} bytes of memory for a plaintext of {}", out.size(),
                view.ciphertext.size());
  }
  if (auto bound = check_binding(view, expected, record_key); !bound) {
    std::ranges::fill(out, std::uint8_t{0});
    return bound;
  }
  const auto good =
      content_->aead().open(view.nonce, {}, view.immutable, view.ciphertext, view.tag, out);
  if (good && *good) return {};
  // What does not verify is never shown.
  cleanse(out);
  if (!good) return fail(good.error());
  return fail(ErrorCode::kEnvelopeTampered, "the envelope's tag does not verify");
}

Result<void> OpeningKey::verify(const EnvelopeView& view, const Expected& expected,
                                std::optional<ByteView> record_key) {
  DRAWBRIDGE_TRY(check_binding(view, expected, record_key));
  const ByteView label = view.tombstone() ? as_bytes(format::kTombstoneLabel) : ByteView();
  DRAWBRIDGE_ASSIGN(const bool good, content_->aead().open(view.nonce, label, view.immutable,
                                                           view.ciphertext, view.tag, {}));
  if (!good) return fail(ErrorCode::kEnvelopeTampered, "the envelope's tag does not verify");
  return {};
}

}  // namespace drawbridge

#include "bridge/envelope/record_digest.h"

#include <array>
#include <limits>
#include <string>
#include <utility>

#include "bridge/envelope/aead.h"
#include "bridge/envelope/kdf.h"
#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

// Neither is how the other begins, whatever names follow.
constexpr std::string_view kGmacInfo = "drawbridge record digest gmac";
constexpr std::string_view kBlockInfo = "drawbridge record digest block";
constexpr std::size_t kHeadBytes = 16;  // timestamp and lengths: a block of GMAC's
// Up to this many bytes a message is put together first: OpenSSL's price is by the call.
constexpr std::size_t kGatherBytes = 512;

std::string info_of(std::string_view label, std::string_view cluster_id, std::string_view topic) {
  std::string info(label);
  for (const std::string_view name : {cluster_id, topic}) {
    info.push_back(static_cast<char>(name.size()));
    info += name;
  }
  return info;
}

std::uint32_t length_of(std::optional<ByteView> field) {
  return field ? static_cast<std::uint32_t>(field->size()) : format::kNull;
}

Result<OpensslPtr<EVP_CIPHER_CTX>> block_context(ByteView key) {
  OpensslPtr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  if (context == nullptr || aes256_block() == nullptr ||
      EVP_EncryptInit_ex2(context.get(), aes256_block(), key.data(), nullptr, nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1) {
    return openssl_failed("block cipher set-up");
  }
  return context;
}

}  // namespace

struct RecordDigest::Contexts {
  Aead gmac;
  OpensslPtr<EVP_CIPHER_CTX> block;
};

RecordDigest::RecordDigest(std::unique_ptr<Contexts> contexts) : contexts_(std::move(contexts)) {}
RecordDigest::RecordDigest(RecordDigest&&) noexcept = default;
RecordDigest& RecordDigest::operator=(RecordDigest&&) noexcept = default;
RecordDigest::~RecordDigest() = default;

Result<RecordDigest> RecordDigest::create(ByteView key, std::string_view cluster_id,
                                          std::string_view topic) {
  constexpr std::size_t kMaxName = std::numeric_limits<std::uint8_t>::max();
  if (cluster_id.size() > kMaxName || topic.size() > kMaxName) {
    return fail(ErrorCode::kInvalid, "a cluster id or topic has more than {} bytes", kMaxName);
  }
  DRAWBRIDGE_ASSIGN(const SecretBytes ledger_key, SecretBytes::copy_of(key));
  // One piece of secure memory serves both derived keys in turn; the contexts keep their own.
  DRAWBRIDGE_ASSIGN(SecretBytes derived, SecretBytes::zeroed(format::kDekBytes));
  const MutableBytes bytes = derived.reveal_mutable(SecretAccess());
  DRAWBRIDGE_TRY(
      derive_key(Suite::kAes256Gcm, ledger_key, {}, info_of(kGmacInfo, cluster_id, topic), bytes));
  DRAWBRIDGE_ASSIGN(Aead gmac, Aead::create(Suite::kAes256Gcm, Aead::Direction::kSeal, bytes));
  DRAWBRIDGE_TRY(
      derive_key(Suite::kAes256Gcm, ledger_key, {}, info_of(kBlockInfo, cluster_id, topic), bytes));
  DRAWBRIDGE_ASSIGN(auto block, block_context(bytes));
  return RecordDigest(std::unique_ptr<Contexts>(new Contexts{std::move(gmac), std::move(block)}));
}

Result<void> RecordDigest::add(RecordId source, std::int64_t timestamp_ms,
                               std::optional<ByteView> key, std::optional<ByteView> value,
                               RunningDigest& total) {
  const ByteView key_bytes = key.value_or(ByteView());
  const ByteView value_bytes = value.value_or(ByteView());
  if (key_bytes.size() > format::kMaxPlaintext || value_bytes.size() > format::kMaxPlaintext) {
    return fail(ErrorCode::kTooLarge, "a key of {} and a value of {} bytes; {} are digested",
                key_bytes.size(), value_bytes.size(), format::kMaxPlaintext);
  }
  std::array<std::uint8_t, format::kNonceBytes> nonce;
  SpanWriter id(nonce);
  id.u32(static_cast<std::uint32_t>(source.partition.value));
  id.u64(static_cast<std::uint64_t>(source.offset.value));

  std::array<std::uint8_t, kGatherBytes> gathered;
  const std::size_t payload = key_bytes.size() + value_bytes.size();
  const bool gather = payload <= kGatherBytes - kHeadBytes;
  const MutableBytes head = MutableBytes(gathered).first(kHeadBytes + (gather ? payload : 0));
  SpanWriter message(head);
  message.u64(static_cast<std::uint64_t>(timestamp_ms));
  message.u32(length_of(key));
  message.u32(length_of(value));
  if (gather) {
    message.put(key_bytes);
    message.put(value_bytes);
  }
  const std::array<ByteView, 3> parts{head, key_bytes, value_bytes};
  std::array<std::uint8_t, kDigestBytes> tag;
  DRAWBRIDGE_TRY(contexts_->gmac.authenticate(nonce, std::span(parts).first(gather ? 1 : 3), tag));
  RunningDigest one{.records = 1, .bytes = payload};
  int written = 0;
  if (EVP_EncryptUpdate(contexts_->block.get(), one.sum.data(), &written, tag.data(),
                        kDigestBytes) != 1 ||
      written != kDigestBytes) {
    return openssl_failed("digesting a record");
  }

  total += one;
  return {};
}

}  // namespace drawbridge

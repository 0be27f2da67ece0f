#include "bridge/envelope/record_digest.h"

#include <array>
#include <limits>
#include <string>

#include "bridge/envelope/kdf.h"
#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

constexpr std::string_view kInfo = "drawbridge record digest";
constexpr std::size_t kHeadBytes = 16;  // timestamp and lengths: a block of GMAC's
// Up to this many bytes a message is put together first: OpenSSL's price is by the call.
constexpr std::size_t kGatherBytes = 512;

void put_name(std::string& info, std::string_view name) {
  info.push_back(static_cast<char>(name.size()));
  info += name;
}

std::uint32_t length_of(std::optional<ByteView> field) {
  return field ? static_cast<std::uint32_t>(field->size()) : format::kNull;
}

}  // namespace

Result<RecordDigest> RecordDigest::create(ByteView key, std::string_view cluster_id,
                                          std::string_view topic) {
  constexpr std::size_t kMaxName = std::numeric_limits<std::uint8_t>::max();
  if (cluster_id.size() > kMaxName || topic.size() > kMaxName) {
    return fail(ErrorCode::kInvalid, "a cluster id or topic has more than {} bytes", kMaxName);
  }
  std::string info(kInfo);
  put_name(info, cluster_id);
  put_name(info, topic);
  DRAWBRIDGE_ASSIGN(const SecretBytes ledger_key, SecretBytes::copy_of(key));
  DRAWBRIDGE_ASSIGN(SecretBytes topic_key, SecretBytes::zeroed(format::kDekBytes));
  const MutableBytes bytes = topic_key.reveal_mutable(SecretAccess());
  DRAWBRIDGE_TRY(derive_key(Suite::kAes256Gcm, ledger_key, {}, info, bytes));
  DRAWBRIDGE_ASSIGN(Aead gmac, Aead::create(Suite::kAes256Gcm, Aead::Direction::kSeal, bytes));
  return RecordDigest(std::move(gmac));
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
  std::array<std::uint8_t, kDigestBytes> digest;
  DRAWBRIDGE_TRY(gmac_.authenticate(nonce, std::span(parts).first(gather ? 1 : 3), digest));

  for (std::size_t i = 0; i < digest.size(); ++i) total.sum[i] ^= digest[i];
  ++total.records;
  total.bytes += payload;
  return {};
}

}  // namespace drawbridge

#include "bridge/transform/opening_keys.h"

#include <functional>

namespace drawbridge {
namespace {

using enum ErrorCode;

// The block is hashed whole: two wraps of one DEK share their key id. Who can make blocks that
// collide must also make them unwrap before they are entered here.
std::size_t hash_of(ByteView block, const KeyId& id) {
  return std::hash<std::string_view>{}(as_text(block)) ^ std::hash<KeyId>{}(id);
}

bool same_bytes(const std::optional<Bytes>& a, const std::optional<ByteView>& b) {
  return a.has_value() == b.has_value() && (!a || equal(*a, *b));
}

}  // namespace

std::size_t OpeningKeys::Hash::operator()(const Key& key) const {
  return hash_of(key.block, key.id);
}

std::size_t OpeningKeys::Hash::operator()(const SealedRecord& record) const {
  return hash_of(record.key_block, record.envelope.key_id);
}

bool OpeningKeys::Same::operator()(const Key& a, const Key& b) const {
  return a.block == b.block && a.id == b.id && a.suite == b.suite && a.salt == b.salt;
}

bool OpeningKeys::Same::operator()(const Key& key, const SealedRecord& record) const {
  const EnvelopeView& envelope = record.envelope;
  return equal(key.block, record.key_block) && key.id == envelope.key_id &&
         key.suite == envelope.suite && same_bytes(key.salt, envelope.salt);
}

OpeningKeys::OpeningKeys(std::shared_ptr<KeyCache> cache, Scope scope, Waker& waker,
                         OpeningKeysLimits limits)
    : cache_(std::move(cache)),
      scope_(std::move(scope)),
      limits_(limits),
      waker_(waker),
      entries_(limits.keys) {}

OpeningKeys::Lookup OpeningKeys::find(const SealedRecord& record, Instant now) {
  Entry* known = entries_.find(record);
  if (known != nullptr && now < known->recheck_at && !known->dek.expired()) return known;
  return ask(record, known, now);
}

OpeningKeys::Lookup OpeningKeys::ask(const SealedRecord& record, Entry* known, Instant now) {
  auto keys = parse_wrapped_keys(record.key_block);
  if (!keys) return Outcome::from(std::move(keys).error());
  const WrappedKeyView* wrapped = keys->find(cache_->domain());
  if (wrapped == nullptr) {
    return Outcome::from({kEnvelopeForeign, fmt::format("no key in the envelope is wrapped for "
                                                        "domain `{}`",
                                                        cache_->domain())});
  }
  const EnvelopeView& envelope = record.envelope;
  auto answer = cache_->unwrap(
      {std::string(wrapped->kek), Bytes(wrapped->wrapped.begin(), wrapped->wrapped.end())},
      {envelope.key_id, scope_.dataset, scope_.tenant, cache_->domain()}, waker_, now);
  const auto* dek = std::get_if<KeyCache::Key>(&answer);
  if (known != nullptr) {
    if (dek != nullptr && known->dek.lock() == *dek) {
      known->recheck_at = now + limits_.recheck;
      known->rewrapped.clear();
      return known;
    }
    // Another answer, or none: what was derived from the old one goes, and is made and compared
    // with the commitment anew.
    entries_.erase(record);
  }
  if (std::holds_alternative<KeyCache::Pending>(answer)) return Outcome::wait();
  if (auto* error = std::get_if<Error>(&answer)) return Outcome::from(std::move(*error));
  return enter(record, *dek, now);
}

OpeningKeys::Lookup OpeningKeys::enter(const SealedRecord& record, const KeyCache::Key& dek,
                                       Instant now) {
  const EnvelopeView& envelope = record.envelope;
  auto key = OpeningKey::create(envelope.suite, *dek, envelope.salt);
  if (!key && key.error().code == kInvalid) {
    return Outcome::from({kEnvelopeTampered, "the wrapped key holds no data key"});
  }
  if (!key) return Outcome::from(std::move(key).error());
  if (!key->fits(envelope)) {
    return Outcome::from({kEnvelopeTampered,
                          "the wrapped key is not the one that the envelope "
                          "commits to (key id)"});
  }
  std::optional<Bytes> salt;
  if (envelope.salt) salt.emplace(envelope.salt->begin(), envelope.salt->end());
  const ByteView block = record.key_block;
  return &entries_.insert(
      {Bytes(block.begin(), block.end()), envelope.key_id, envelope.suite, std::move(salt)},
      {std::move(*key), dek, now + limits_.recheck, false, {}});
}

}  // namespace drawbridge

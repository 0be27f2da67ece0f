#include "bridge/transform/dek_source.h"

#include <array>
#include <functional>

namespace drawbridge {

using enum ErrorCode;

Result<Bytes> wrap_for(std::span<const std::shared_ptr<KeyCache>> domains, const SecretBytes& dek,
                       const KeyId& id, const Scope& scope, Waker& waker, Instant now) {
  std::array<std::shared_ptr<const WrappedKey>, format::kMaxWrappedKeys> answers;
  if (domains.size() > answers.size()) {
    return fail(kInvalid, "a data key is wrapped for at most {} domains", answers.size());
  }
  std::vector<WrappedKeyView> entries;
  entries.reserve(domains.size());
  // Every domain is asked before any answer is missed, so that the calls overlap.
  bool pending = false;
  std::optional<Error> failed;
  for (std::size_t i = 0; i < domains.size(); ++i) {
    auto answer =
        domains[i]->wrap(dek, {id, scope.dataset, scope.tenant, domains[i]->domain()}, waker, now);
    if (std::holds_alternative<KeyCache::Pending>(answer)) {
      pending = true;
    } else if (auto* error = std::get_if<Error>(&answer)) {
      if (!failed) failed = std::move(*error);
    } else {
      answers[i] = std::get<std::shared_ptr<const WrappedKey>>(std::move(answer));
      entries.push_back({domains[i]->domain(), answers[i]->kek, answers[i]->bytes});
    }
  }
  if (failed) return fail(std::move(*failed));
  if (pending) return Bytes{};
  return encode_wrapped_keys(entries);
}

Outcome wrap_failure(Error error) {
  // "Not found" of a record's KEK is the record's fault; of the key that we were told to wrap with
  // it is the store's or the configuration's, and no record may be lost for it.
  if (class_of(error.code) == ErrorClass::kRecord) return Outcome::wait(std::move(error));
  return Outcome::from(std::move(error));
}

DekSource::DekSource(std::vector<std::shared_ptr<KeyCache>> domains, Suite suite,
                     RotationLimits limits, Waker& waker, std::size_t scopes)
    : domains_(std::move(domains)), suite_(suite), limits_(limits), waker_(waker), deks_(scopes) {}

std::size_t DekSource::Hash::operator()(const Scope& scope) const {
  const std::hash<std::string> hash;
  return hash(scope.dataset) * 31 + (scope.tenant ? hash(*scope.tenant) + 1 : 0);
}

bool DekSource::spent(const Dek& dek, Instant now) const {
  return dek.key.records_sealed() >= limits_.records || dek.key.bytes_sealed() >= limits_.bytes ||
         now - dek.made >= limits_.age;
}

DekSource::Lookup DekSource::find(const Scope& scope, Instant now) {
  Dek* dek = deks_.find(scope);
  if (dek != nullptr && spent(*dek, now)) {
    deks_.erase(scope);
    dek = nullptr;
  }
  if (dek == nullptr) {
    auto key = SealingKey::generate(suite_, limits_.records);
    if (!key) return Outcome::from(std::move(key).error());
    dek = &deks_.insert(scope, {std::move(*key), now, {}});
  }
  if (dek->block.empty()) {
    auto block = wrap_for(domains_, dek->key.dek(), dek->key.id(), scope, waker_, now);
    if (!block) return wrap_failure(std::move(block).error());
    if (block->empty()) return Outcome::wait();
    dek->block = std::move(*block);
  }
  return Ready{&dek->key, dek->block};
}

}  // namespace drawbridge

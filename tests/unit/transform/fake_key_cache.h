// A key domain in memory behind the real interface, whose answers a test decides: at once, later,
// or refused. Wrapping is real (AES-256-GCM under the wrap context) unless a test asks for a store
// that ignores the context. Remembers nothing but what is handed out, so that every call counts.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/envelope/wrap.h"
#include "bridge/keys/key_cache.h"
#include "bridge/transform/key_service.h"

namespace drawbridge {

class FakeKeyCache final : public KeyCache {
 public:
  explicit FakeKeyCache(std::string domain)
      : domain_(std::move(domain)),
        kek_(Aes256GcmWrap::create(SecretBytes::random(format::kDekBytes).value()).value()) {}

  // What the store does from here on.
  std::optional<Error> unwrap_error;
  std::optional<Error> wrap_error;
  bool silent = false;          // every answer is still pending
  bool ignore_context = false;  // as a store that takes no context and does not bind it either

  // What it was asked.
  std::vector<WrapContext> unwrapped;
  std::vector<WrapContext> wrapped;

  // As when keys have reached the end of their life.
  void release() { held_.clear(); }
  void clear() override { release(); }
  void expire(Instant /*now*/) override {}

  [[nodiscard]] const std::string& domain() const override { return domain_; }
  [[nodiscard]] KeyProviderInfo info() const override {
    KeyProviderInfo info{};
    info.kind = "fake";
    return info;
  }

  Lookup unwrap(const WrappedKey& key, const WrapContext& context, Waker& /*waker*/,
                Instant /*now*/) override {
    unwrapped.push_back(context);
    if (silent) return Pending{};
    if (unwrap_error) return *unwrap_error;
    if (key.kek != kek_name()) return Error{ErrorCode::kEnvelopeForeign, "KEK not allowed"};
    if (auto held = held_.find({key, bound(context)}); held != held_.end()) return held->second;
    auto dek = kek_.unwrap(key.bytes, bound(context));
    if (!dek) return dek.error();
    return held_[{key, bound(context)}] = std::make_shared<const SecretBytes>(std::move(*dek));
  }

  WrapLookup wrap(const SecretBytes& dek, const WrapContext& context, Waker& /*waker*/,
                  Instant /*now*/) override {
    wrapped.push_back(context);
    if (silent) return Pending{};
    if (wrap_error) return *wrap_error;
    auto bytes = kek_.wrap(dek, bound(context));
    if (!bytes) return bytes.error();
    return std::make_shared<const WrappedKey>(WrappedKey{kek_name(), std::move(*bytes)});
  }

  void forget(Waker& /*waker*/) override {}

  // As a store's own tool would, for records that a test makes by hand.
  WrappedKey wrap_by_hand(const SecretBytes& dek, const WrapContext& context) {
    return {kek_name(), kek_.wrap(dek, bound(context)).value()};
  }

 private:
  [[nodiscard]] std::string kek_name() const { return domain_ + "-kek:1"; }
  [[nodiscard]] WrapContext bound(const WrapContext& context) const {
    return ignore_context ? WrapContext{{}, "any", {}, "any"} : context;
  }

  const std::string domain_;
  Aes256GcmWrap kek_;
  std::map<std::pair<WrappedKey, WrapContext>, Key> held_;
};

class FakeKeyService final : public KeyService {
 public:
  explicit FakeKeyService(std::string dataset = "orders") : dataset_(std::move(dataset)) {}

  Result<std::shared_ptr<KeyCache>> domain(std::string_view name) override {
    const auto found = caches_.find(name);
    if (found == caches_.end()) return fail(ErrorCode::kInvalid, "no key domain `{}`", name);
    return found->second;
  }
  Waker& waker() override { return waker_; }
  [[nodiscard]] const std::string& dataset() const override { return dataset_; }

  // A new fake domain, or the one that is there.
  FakeKeyCache& fake(const std::string& name) {
    auto& cache = fakes_[name];
    if (cache == nullptr) {
      cache = std::make_shared<FakeKeyCache>(name);
      caches_[name] = cache;
    }
    return *cache;
  }
  void add(const std::string& name, std::shared_ptr<KeyCache> cache) { caches_[name] = cache; }

 private:
  std::string dataset_;
  Waker waker_;
  std::map<std::string, std::shared_ptr<FakeKeyCache>> fakes_;
  std::map<std::string, std::shared_ptr<KeyCache>, std::less<>> caches_;
};

}  // namespace drawbridge

// KeyCache: unwrapped keys of one key domain, shared by every shard of the daemon.
//
// Answers at once: here is the key, not yet, or why not. A miss starts one store call however many
// ask (single flight), and wakes every asker when the answer is there. Entries are keyed by the
// KEK reference, the wrapped bytes and the whole wrap context: a hit under another context is a
// miss. A key lives `key_lifetime` from the store's answer, use does not extend it; a negative
// answer lives `negative_lifetime`. Bounded by count; the least recently used goes first, and a
// full secure heap evicts too. Negative answers have a bound of their own, so that garbage evicts
// no key. Thread-safe.
//
// Outages (answers of class kPause, and calls that are not answered in time) stay known: from the
// first one until the store answers otherwise, askers get its Error at once, while the store is
// asked again behind their backs after `retry`, then twice that, up to eight times. An asker that
// waits asks again at least every `retry`: time passes in the cache by the `now` it is given.
//
// Garbage cannot spend the store's quota: a KEK reference that the store does not know or allow is
// refused without a call for `negative_lifetime`, and a dataset whose keys keep failing to open is
// slowed down to `dead_per_second` calls (kKeyThrottled) where the store's calls are metered.
//
// The longest that a key can be used after the store would refuse it: `key_lifetime`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "bridge/base/clock.h"
#include "bridge/base/waker.h"
#include "bridge/keys/provider.h"

namespace drawbridge {

struct KeyCacheLimits {
  std::size_t keys = 2048;
  Duration key_lifetime = std::chrono::minutes(10);
  Duration negative_lifetime = std::chrono::seconds(10);
  // Outage answers (denied, disabled, throttled, unavailable) are asked again this soon.
  Duration retry = std::chrono::seconds(1);
  Duration call_timeout = std::chrono::seconds(30);  // no answer: kKeyUnavailable
  // Of one dataset: negative answers in a row before the cap holds, and how many a second then.
  std::size_t dead_burst = 100;
  std::size_t dead_per_second = 10;
};

// What init_secret_heap() needs for caches of these limits, one per key domain, and the keyrings
// behind them: a power of two.
std::size_t secret_heap_bytes(std::span<const KeyCacheLimits> limits);

class KeyCache {
 public:
  using Key = std::shared_ptr<const SecretBytes>;
  struct Pending {};
  using Lookup = std::variant<Key, Pending, Error>;
  using WrapLookup = std::variant<std::shared_ptr<const WrappedKey>, Pending, Error>;

  virtual ~KeyCache() = default;

  [[nodiscard]] virtual const std::string& domain() const = 0;
  [[nodiscard]] virtual KeyProviderInfo info() const = 0;

  // The DEK inside `wrapped`, whose key id is not yet compared: the caller checks the commitment.
  // `waker` is woken when a pending answer arrives; it must outlive the call's answer or be
  // dropped with forget(). Errors: the provider's; kInternal, a context of another domain.
  virtual Lookup unwrap(const WrappedKey& wrapped, const WrapContext& context, Waker& waker,
                        Instant now) = 0;

  // `dek` wrapped for this domain under `context` by the newest KEK version; remembered by key id
  // and whole context like unwrapped keys are, so that a rewrap asks once per distinct key.
  virtual WrapLookup wrap(const SecretBytes& dek, const WrapContext& context, Waker& waker,
                          Instant now) = 0;

  virtual void forget(Waker& waker) = 0;  // no wake-ups from here on
  // Drops every key and answer, for an operator's command. Calls under way count for nothing.
  virtual void clear() = 0;
  // Drops what has outlived its lifetime, so that an idle domain keeps no keys. Call it about once
  // a second; lookups do it too.
  virtual void expire(Instant now) = 0;
};

std::shared_ptr<KeyCache> make_key_cache(std::string domain, std::shared_ptr<KeyProvider> provider,
                                         KeyCacheLimits limits);

}  // namespace drawbridge

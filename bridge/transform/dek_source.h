// DekSource: makes and owns the data keys that one transform of one shard encrypts under.
//
// Per scope one fresh random DEK, wrapped for every domain that may read, used from the moment that
// all wraps have arrived until it is rotated: by records (nonces), bytes or age. Never shared with
// another shard, pipeline, instance or run, so that a nonce has one owner. A DEK in use needs no
// key store until it is rotated. Bounded by the number of scopes; the least recently used goes
// first. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "bridge/base/waker.h"
#include "bridge/envelope/data_key.h"
#include "bridge/keys/key_cache.h"
#include "bridge/transform/lru.h"
#include "bridge/transform/sealed_record.h"
#include "bridge/transform/transform.h"

namespace drawbridge {

struct RotationLimits {
  std::uint64_t records = std::uint64_t{1} << 24;
  std::uint64_t bytes = std::uint64_t{64} << 30;  // of plaintext
  Duration age = std::chrono::hours(1);
};

// The encoded block of `dek` wrapped for every one of `domains` in `scope`; empty: not all answers
// are there yet. Errors: as KeyCache::wrap(). A store that refuses or lacks the key to wrap with is
// never a record's fault: see wrap_failure().
Result<Bytes> wrap_for(std::span<const std::shared_ptr<KeyCache>> domains, const SecretBytes& dek,
                       const KeyId& id, const Scope& scope, Waker& waker, Instant now);
// What becomes of a record whose key could not be wrapped: it waits.
Outcome wrap_failure(Error error);

class DekSource {
 public:
  struct Ready {
    SealingKey* key;
    ByteView block;  // the encoded wrapped keys, for a header or inline; valid until the next call
  };
  using Lookup = std::variant<Ready, Outcome>;

  static constexpr std::size_t kScopes = 64;

  // `domains`: 1 to 4, distinct. `waker` outlives this object.
  DekSource(std::vector<std::shared_ptr<KeyCache>> domains, Suite suite, RotationLimits limits,
            Waker& waker, std::size_t scopes = kScopes);

  // The key to seal the next record of `scope` with. An Outcome is never kKeep; a store that cannot
  // be used makes the shard wait.
  Lookup find(const Scope& scope, Instant now);

 private:
  struct Dek {
    SealingKey key;
    Instant made;
    Bytes block;  // empty until every wrap has arrived
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Scope& scope) const;
  };

  [[nodiscard]] bool spent(const Dek& dek, Instant now) const;

  const std::vector<std::shared_ptr<KeyCache>> domains_;
  const Suite suite_;
  const RotationLimits limits_;
  Waker& waker_;
  LruMap<Scope, Dek, Hash, std::equal_to<>> deks_;
};

}  // namespace drawbridge

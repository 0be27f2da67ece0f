// OpeningKeys: the keys that open the records of one scope, ready to use, for one worker.
//
// In front of the daemon's KeyCache, which holds bare DEKs under a lock: here stand the derived
// keys with their cipher contexts. An entry is found by everything that made it: the encoded block
// of wrapped keys (so that only an unknown one is parsed), key id, suite and salt; scope and domain
// are this object's own, so a hit under another wrap context cannot be. Bounded; the least recently
// used goes first.
//
// An entry lives no longer than the KeyCache's key: it is dropped as soon as the cache has let the
// key go, and asked for again every `recheck`, so that a key whose life is over in the cache, or a
// store that now refuses, is noticed within that time. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "bridge/base/waker.h"
#include "bridge/envelope/data_key.h"
#include "bridge/keys/key_cache.h"
#include "bridge/transform/lru.h"
#include "bridge/transform/sealed_record.h"
#include "bridge/transform/transform.h"

namespace drawbridge {

struct OpeningKeysLimits {
  std::size_t keys = 512;
  Duration recheck = std::chrono::seconds(1);
};

class OpeningKeys {
 public:
  struct Entry {
    OpeningKey key;
    // The key cache's own; expired when it let the key go.
    std::weak_ptr<const SecretBytes> dek;
    Instant recheck_at;
    // For rewrap, kept here because it has the same key and the same life. `verified`: the tag of
    // a record that brought this wrapped key has verified in this scope. `rewrapped`: the encoded
    // block for the target; empty until known, and emptied by every recheck.
    bool verified = false;
    Bytes rewrapped;
  };
  using Lookup = std::variant<Entry*, Outcome>;

  // `waker` is woken when a pending answer has arrived; it outlives this object.
  OpeningKeys(std::shared_ptr<KeyCache> cache, Scope scope, Waker& waker,
              OpeningKeysLimits limits = {});

  // The key of a record whose scope has been matched (match_scope()). Valid until the next call.
  // An Outcome is never kKeep: kWait (no answer yet, or the store cannot be used) or kFail
  // (as parse_wrapped_keys(); kEnvelopeForeign: no key for this domain, or a KEK that is not
  // allowed; kEnvelopeTampered: it does not unwrap in this context, or is not the key that the
  // envelope commits to; kKeyNotFound).
  Lookup find(const SealedRecord& record, Instant now);

  [[nodiscard]] const Scope& scope() const { return scope_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Key {
    Bytes block;
    KeyId id;
    Suite suite;
    std::optional<Bytes> salt;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Key& key) const;
    std::size_t operator()(const SealedRecord& record) const;
  };
  struct Same {
    using is_transparent = void;
    bool operator()(const Key& a, const Key& b) const;
    bool operator()(const Key& key, const SealedRecord& record) const;
    bool operator()(const SealedRecord& record, const Key& key) const {
      return operator()(key, record);
    }
  };

  Lookup ask(const SealedRecord& record, Entry* known, Instant now);
  Lookup enter(const SealedRecord& record, const KeyCache::Key& dek, Instant now);

  const std::shared_ptr<KeyCache> cache_;
  const Scope scope_;
  const OpeningKeysLimits limits_;
  Waker& waker_;
  LruMap<Key, Entry, Hash, Same> entries_;
};

}  // namespace drawbridge

// KeyProvider: what a key store can do, local or remote.
//
// Asynchronous: a call hands over a batch and returns at once; the callback is called exactly once
// per batch, on any thread, possibly before the call returns (a local store answers inline).
// Results stand in the order of the requests. Providers do not cache; KeyCache does. A provider may
// be called by several threads at once. Its destructor returns when no callback is running any
// more; callbacks that have not run by then never do.
//
// Errors are told apart, because they decide who suffers (the shard waits, or the record fails):
// kKeyDenied, kKeyDisabled, kKeyThrottled, kKeyUnavailable, kKeyNotFound, kEnvelopeForeign (the
// KEK reference is not on this domain's allow-list), kEnvelopeTampered (the wrapped key does not
// open under this context), kEnvelopeMalformed (not bytes of this store), kFull (no secure memory
// left for the answer: the cache makes room and asks again).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/base/secret.h"
#include "bridge/envelope/context.h"

namespace drawbridge {

// A data key as a key store wrapped it. `kek` names the key-encryption key and its version in the
// store's own terms.
struct WrappedKey {
  std::string kek;
  Bytes bytes;

  auto operator<=>(const WrappedKey&) const = default;
};

struct UnwrapRequest {
  WrappedKey wrapped;
  WrapContext context;
};

struct WrapRequest {
  SecretBytes dek;
  WrapContext context;
};

struct KeyProviderInfo {
  std::string kind;         // "keyring", "aws-kms", ...
  std::string description;  // for `check` and logs: never a secret
  bool binds_context;       // the store itself enforces the wrap context ("bound by the store");
                            // otherwise it is bound in the wrapped payload
  bool metered = true;      // calls spend a quota: answers about dead keys are rate-capped
};

class KeyProvider {
 public:
  using UnwrapCallback = std::function<void(std::vector<Result<SecretBytes>>)>;
  using WrapCallback = std::function<void(std::vector<Result<WrappedKey>>)>;

  virtual ~KeyProvider() = default;

  [[nodiscard]] virtual KeyProviderInfo info() const = 0;
  virtual void unwrap(std::vector<UnwrapRequest> requests, UnwrapCallback done) = 0;
  virtual void wrap(std::vector<WrapRequest> requests, WrapCallback done) = 0;  // newest version
  // Can the store be used right now? For `check`. Errors as above.
  virtual Result<void> probe() = 0;
};

}  // namespace drawbridge

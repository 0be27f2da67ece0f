// KeyProvider over a local keyring file: the first back end, and the pattern for the remote ones.
//
// It answers inline, within the call. A KEK reference is `NAME:VERSION` and is matched against the
// one configured key before any use. Wrapped keys are AES-256-GCM with the canonical wrap context
// as additional data, so the context is bound by the store. The file is looked at again at most
// once a second while keys are asked for; an unreadable or damaged one is an outage
// (kKeyUnavailable), never a reason to go on with what was read before. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "bridge/base/clock.h"
#include "bridge/envelope/format.h"
#include "bridge/keys/provider.h"

namespace drawbridge {

struct KeyringProviderOptions {
  std::string file;
  std::string key;
  // Wraps under one version, counted over the whole process; past it kKeyThrottled until the key
  // is rotated.
  std::uint64_t wrap_budget = format::kWrapBudget;
  std::shared_ptr<const Clock> clock = nullptr;  // null: the system's
};

// Reads the file once, so that a wrong one is found at start. Errors: those of load_keyring();
// kInvalid, a malformed key name; kNotFound, the file has no such key.
Result<std::shared_ptr<KeyProvider>> make_keyring_provider(KeyringProviderOptions options);

}  // namespace drawbridge

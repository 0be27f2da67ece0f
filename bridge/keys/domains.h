// The configured key domains: each a name, a provider and the one cache in front of it, which all
// pipelines of the daemon share.
//
//   key_domains:
//     dc: {keyring: {file: /etc/drawbridge/dc.keyring, key: orders}}
//
// A kind of store is a row in domains.cc's table: its name, its options (each with a line of help,
// for lint and the reference page) and a function that makes the provider. Remote stores add rows
// (aws-kms: region, key, endpoint; vault: address, mount, key; pkcs11: module, token, key ...) with
// providers that start a call and answer on a thread of their own. What they may count on: calls
// come in batches of up to 256 and at most four at a time per direction; call_timeout is the
// cache's, so a hanging store needs none of its own; a retry within a call is theirs, across calls
// the cache's; `metered` and `binds_context` in info() say what the cache and `check` must know.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/keys/key_cache.h"

namespace drawbridge {

struct KeyDomainConfig {
  std::string name;
  std::string kind;
  std::map<std::string, std::string> options;  // secrets resolved
};

struct KeyDomainOption {
  std::string_view name;
  std::string_view help;
};

struct KeyDomainKind {
  std::string_view name;
  std::string_view summary;
  std::span<const KeyDomainOption> options;  // all of them required
};

// The kinds that this build knows, for lint, `list` and the reference page.
std::span<const KeyDomainKind> key_domain_kinds();

// Everything wrong with a domain that can be seen without touching its store. Each is kInvalid and
// names the domain.
std::vector<Error> lint_key_domain(const KeyDomainConfig& config);

class DomainRegistry {
 public:
  // Makes every provider, so that an unusable store is found at start. Errors: kInvalid, as
  // lint_key_domain() and a name given twice; the provider's own. Each names the domain.
  static Result<std::unique_ptr<DomainRegistry>> create(
      std::span<const KeyDomainConfig> configs, const KeyCacheLimits& limits,
      std::shared_ptr<const Clock> clock = nullptr);

  // Errors: kInvalid, no such domain; the message names those there are.
  Result<std::shared_ptr<KeyCache>> cache(std::string_view domain) const;
  // Can the domain's store be used right now? May block. Errors: kInvalid; the provider's.
  Result<void> probe(std::string_view domain) const;
  [[nodiscard]] std::vector<std::string> names() const;  // sorted

  void clear();              // empties every cache
  void expire(Instant now);  // once a second or so: KeyCache::expire() of each

 private:
  struct Domain {
    std::shared_ptr<KeyProvider> provider;
    std::shared_ptr<KeyCache> cache;
  };

  Result<const Domain*> find(std::string_view domain) const;

  std::map<std::string, Domain, std::less<>> domains_;  // constant after create()
};

}  // namespace drawbridge

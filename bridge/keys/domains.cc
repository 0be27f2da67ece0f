#include "bridge/keys/domains.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "bridge/envelope/format.h"
#include "bridge/keys/keyring.h"
#include "bridge/keys/keyring_provider.h"

namespace drawbridge {
namespace {

using Options = std::map<std::string, std::string>;
using MakeProvider = Result<std::shared_ptr<KeyProvider>> (*)(const Options&,
                                                              std::shared_ptr<const Clock>);
using LintOptions = Result<void> (*)(const Options&);

Result<void> lint_keyring(const Options& options) {
  if (!valid_key_name(options.at("key"))) {
    return fail(ErrorCode::kInvalid,
                "`key` is `{}`: 1 to {} of a-z 0-9 . _ -, beginning with a letter or digit",
                options.at("key"), kMaxKeyName);
  }
  return {};
}

Result<std::shared_ptr<KeyProvider>> make_keyring(const Options& options,
                                                  std::shared_ptr<const Clock> clock) {
  return make_keyring_provider({.file = options.at("file"),
                                .key = options.at("key"),
                                .wrap_budget = format::kWrapBudget,
                                .clock = std::move(clock)});
}

constexpr std::array kKeyringOptions{
    KeyDomainOption{"file", "path of the keyring file, mode 0600"},
    KeyDomainOption{"key", "name of the key-encryption key in it"},
};

// One row per kind, in two tables of the same order: what people see, and what it does.
constexpr std::array kKinds{
    KeyDomainKind{"keyring", "a local file of AES-256 keys (drawbridge keys)", kKeyringOptions},
};
struct Behaviour {
  LintOptions lint;
  MakeProvider make;
};
constexpr std::array<Behaviour, kKinds.size()> kBehaviours{{
    {lint_keyring, make_keyring},
}};

std::size_t kind_index(std::string_view kind) {
  const auto found = std::ranges::find(kKinds, kind, &KeyDomainKind::name);
  return static_cast<std::size_t>(found - kKinds.begin());
}

std::string names_of(auto&& things) {
  std::vector<std::string_view> names;
  names.reserve(things.size());
  for (const auto& thing : things) names.push_back(thing.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::span<const KeyDomainKind> key_domain_kinds() { return kKinds; }

std::vector<Error> lint_key_domain(const KeyDomainConfig& config) {
  std::vector<Error> errors;
  const auto add = [&](std::string_view text) {
    errors.push_back({ErrorCode::kInvalid, fmt::format("key domain `{}`: {}", config.name, text)});
  };
  if (config.name.empty() || config.name.size() > format::kMaxShort) {
    add(fmt::format("a name has 1 to {} bytes", format::kMaxShort));
  }
  const std::size_t index = kind_index(config.kind);
  if (index == kKinds.size()) {
    add(fmt::format("unknown kind `{}`; there is: {}", config.kind, names_of(kKinds)));
    return errors;
  }
  const KeyDomainKind& kind = kKinds[index];
  for (const KeyDomainOption& option : kind.options) {
    const auto found = config.options.find(std::string(option.name));
    if (found == config.options.end() || found->second.empty()) {
      add(fmt::format("`{}` is missing: {}", option.name, option.help));
    }
  }
  for (const auto& [name, value] : config.options) {
    if (std::ranges::find(kind.options, name, &KeyDomainOption::name) == kind.options.end()) {
      add(fmt::format("kind `{}` has no option `{}`; it has: {}", kind.name, name,
                      names_of(kind.options)));
    }
  }
  if (errors.empty()) {
    if (const auto checked = kBehaviours[index].lint(config.options); !checked) {
      add(checked.error().message);
    }
  }
  return errors;
}

Result<std::unique_ptr<DomainRegistry>> DomainRegistry::create(
    std::span<const KeyDomainConfig> configs, const KeyCacheLimits& limits,
    std::shared_ptr<const Clock> clock) {
  auto registry = std::make_unique<DomainRegistry>();
  for (const KeyDomainConfig& config : configs) {
    if (auto errors = lint_key_domain(config); !errors.empty()) return fail(errors.front());
    if (registry->domains_.contains(config.name)) {
      return fail(ErrorCode::kInvalid, "key domain `{}` is configured twice", config.name);
    }
    auto provider = kBehaviours[kind_index(config.kind)].make(config.options, clock);
    if (!provider) {
      return fail(provider.error().code, "key domain `{}`: {}", config.name,
                  provider.error().message);
    }
    auto cache = make_key_cache(config.name, *provider, limits);
    registry->domains_.emplace(config.name, Domain{std::move(*provider), std::move(cache)});
  }
  return registry;
}

Result<const DomainRegistry::Domain*> DomainRegistry::find(std::string_view domain) const {
  const auto found = domains_.find(domain);
  if (found == domains_.end()) {
    return fail(ErrorCode::kInvalid, "unknown key domain `{}`; configured: {}", domain,
                domains_.empty() ? "none" : fmt::format("{}", fmt::join(names(), ", ")));
  }
  return &found->second;
}

Result<std::shared_ptr<KeyCache>> DomainRegistry::cache(std::string_view domain) const {
  DRAWBRIDGE_ASSIGN(const Domain* found, find(domain));
  return found->cache;
}

Result<void> DomainRegistry::probe(std::string_view domain) const {
  DRAWBRIDGE_ASSIGN(const Domain* found, find(domain));
  return found->provider->probe();
}

std::vector<std::string> DomainRegistry::names() const {
  std::vector<std::string> all;
  for (const auto& [name, domain] : domains_) all.push_back(name);
  return all;
}

void DomainRegistry::clear() {
  for (auto& [name, domain] : domains_) domain.cache->clear();
}

void DomainRegistry::expire(Instant now) {
  for (auto& [name, domain] : domains_) domain.cache->expire(now);
}

}  // namespace drawbridge

#include "bridge/keys/keyring_provider.h"

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "bridge/envelope/wrap.h"
#include "bridge/keys/keyring_file.h"

namespace drawbridge {
namespace {

constexpr Duration kLookAgain = std::chrono::seconds(1);

// Wraps spent by this process, by KEK: nonces are random, so their number per key is what counts,
// whichever domain, provider or reading of the file the key came through. The check identifies the
// material, since a name and number can stand for another key after an edit.
class WrapLedger {
 public:
  static std::shared_ptr<std::atomic<std::uint64_t>> of(const KekCheck& check) {
    static WrapLedger ledger;
    const std::scoped_lock lock(ledger.mutex_);
    auto& count = ledger.counts_[check];
    if (count == nullptr) count = std::make_shared<std::atomic<std::uint64_t>>(0);
    return count;
  }

 private:
  std::mutex mutex_;
  std::map<KekCheck, std::shared_ptr<std::atomic<std::uint64_t>>> counts_;  // guarded by mutex_
};

struct Kek {
  KeyState state;
  Aes256GcmWrap cipher;
  std::shared_ptr<std::atomic<std::uint64_t>> wraps;
};

// One reading of the file: immutable but for the counters, shared by the calls that use it.
struct Versions {
  FileStamp stamp;
  std::map<std::uint32_t, Kek> keks;  // never empty
};

class KeyringProvider final : public KeyProvider {
 public:
  explicit KeyringProvider(KeyringProviderOptions options) : options_(std::move(options)) {}

  Result<void> open() {
    DRAWBRIDGE_ASSIGN(versions_, read());
    look_again_ = options_.clock->now() + kLookAgain;
    return {};
  }

  [[nodiscard]] KeyProviderInfo info() const override {
    return {.kind = "keyring",
            .description = fmt::format("key `{}` of {}", options_.key, options_.file),
            .binds_context = true,
            .metered = false};
  }

  void unwrap(std::vector<UnwrapRequest> requests, UnwrapCallback done) override {
    std::vector<Result<SecretBytes>> results;
    results.reserve(requests.size());
    for (const UnwrapRequest& request : requests) {
      results.push_back(unwrap_by(current(false), request));
      // A version that was made since the last look: not a record's fault.
      if (!results.back() && results.back().error().code == ErrorCode::kKeyNotFound) {
        results.back() = unwrap_by(current(true), request);
      }
    }
    done(std::move(results));
  }

  void wrap(std::vector<WrapRequest> requests, WrapCallback done) override {
    const auto versions = current(false);
    std::vector<Result<WrappedKey>> results;
    results.reserve(requests.size());
    for (const WrapRequest& request : requests) {
      results.push_back(versions ? wrap_one(**versions, request)
                                 : Result<WrappedKey>(fail(versions.error())));
    }
    done(std::move(results));
  }

  Result<void> probe() override {
    DRAWBRIDGE_ASSIGN(const auto versions, current(true));
    const auto& [number, kek] = *versions->keks.rbegin();
    if (kek.state == KeyState::kDisabled) return fail(disabled(number));
    return {};
  }

 private:
  Result<std::shared_ptr<Versions>> read() const {
    DRAWBRIDGE_ASSIGN(auto loaded, load_keyring(options_.file));
    KeyringKey* key = loaded.keyring.find(options_.key);
    if (key == nullptr) {
      return fail(ErrorCode::kNotFound, "{} has no key `{}` (drawbridge keys list shows them)",
                  options_.file, options_.key);
    }
    auto versions = std::make_shared<Versions>();
    versions->stamp = loaded.stamp;
    for (KeyVersion& version : key->versions) {
      DRAWBRIDGE_ASSIGN(auto cipher, Aes256GcmWrap::create(std::move(version.material)));
      versions->keks.emplace(version.number,
                             Kek{version.state, std::move(cipher), WrapLedger::of(version.check)});
    }
    return versions;
  }

  // What the file says, as known a second ago at most (`at_once`: now).
  Result<std::shared_ptr<Versions>> current(bool at_once) {
    const std::scoped_lock lock(mutex_);
    const Instant now = options_.clock->now();
    if (!at_once && now < look_again_) return versions_;
    look_again_ = now + kLookAgain;
    const auto stamp = stamp_of(options_.file);
    if (versions_ && stamp && (*versions_)->stamp == *stamp) return versions_;
    versions_ = read();
    if (!versions_ && versions_.error().code == ErrorCode::kFull) {
      look_again_ = now;  // the cache makes room and asks again at once
    } else if (!versions_) {
      versions_ = fail(ErrorCode::kKeyUnavailable, "keyring: {}", versions_.error().message);
    }
    return versions_;
  }

  Error disabled(std::uint32_t number) const {
    return {ErrorCode::kKeyDisabled, fmt::format("version {} of key `{}` in {} is disabled", number,
                                                 options_.key, options_.file)};
  }

  Result<SecretBytes> unwrap_by(const Result<std::shared_ptr<Versions>>& versions,
                                const UnwrapRequest& request) const {
    if (!versions) return fail(versions.error());
    return unwrap_one(**versions, request);
  }

  Result<SecretBytes> unwrap_one(const Versions& versions, const UnwrapRequest& request) const {
    // The reference is the record's writer's to choose: not quoted unless it is well-formed.
    const std::string_view reference = request.wrapped.kek;
    const std::size_t colon = reference.find(':');
    if (colon == std::string_view::npos || reference.substr(0, colon) != options_.key) {
      return fail(ErrorCode::kEnvelopeForeign,
                  "the wrapped key names another KEK than `{}`, which this domain allows",
                  options_.key);
    }
    const auto number = parse_version_number(reference.substr(colon + 1));
    if (!number) {
      return fail(ErrorCode::kEnvelopeForeign, "malformed KEK reference: expected `{}:VERSION`",
                  options_.key);
    }
    const auto found = versions.keks.find(*number);
    if (found == versions.keks.end()) {
      return fail(ErrorCode::kKeyNotFound, "key `{}` in {} has no version {}", options_.key,
                  options_.file, *number);
    }
    if (found->second.state == KeyState::kDisabled) return fail(disabled(*number));
    auto dek = found->second.cipher.unwrap(request.wrapped.bytes, request.context);
    if (!dek && dek.error().code == ErrorCode::kEnvelopeTampered) {
      return fail(
          ErrorCode::kEnvelopeTampered,
          "the wrapped key does not open under version {} of key `{}` in {}: it was "
          "changed, or wrapped for another record, dataset or tenant, or by another keyring "
          "whose key has the same name",
          *number, options_.key, options_.file);
    }
    return dek;
  }

  Result<WrappedKey> wrap_one(Versions& versions, const WrapRequest& request) const {
    auto& [number, kek] = *versions.keks.rbegin();
    if (kek.state == KeyState::kDisabled) return fail(disabled(number));
    if (kek.wraps->fetch_add(1) >= options_.wrap_budget) {
      kek.wraps->fetch_sub(1);
      return fail(ErrorCode::kKeyThrottled,
                  "version {} of key `{}` in {} has wrapped {} keys in this process: rotate it",
                  number, options_.key, options_.file, options_.wrap_budget);
    }
    DRAWBRIDGE_ASSIGN(auto bytes, kek.cipher.wrap(request.dek, request.context));
    return WrappedKey{fmt::format("{}:{}", options_.key, number), std::move(bytes)};
  }

  const KeyringProviderOptions options_;

  std::mutex mutex_;
  // Guarded by mutex_:
  Result<std::shared_ptr<Versions>> versions_;
  Instant look_again_;
};

}  // namespace

Result<std::shared_ptr<KeyProvider>> make_keyring_provider(KeyringProviderOptions options) {
  if (!valid_key_name(options.key)) {
    return fail(ErrorCode::kInvalid, "bad key name `{}`: 1 to {} of a-z 0-9 . _ -", options.key,
                kMaxKeyName);
  }
  if (options.clock == nullptr) options.clock = std::make_shared<SystemClock>();
  auto provider = std::make_shared<KeyringProvider>(std::move(options));
  DRAWBRIDGE_TRY(provider->open());
  return provider;
}

}  // namespace drawbridge

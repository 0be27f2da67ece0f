#include "bridge/keys/key_cache.h"

#include <bit>
#include <string_view>
#include <utility>

#include "bridge/keys/key_lane.h"
#include "bridge/keys/keyring.h"

namespace drawbridge {
namespace {

struct UnwrapOp {
  using Id = UnwrapRequest;
  using Request = UnwrapRequest;
  using Answer = SecretBytes;
  struct Ask {
    const WrappedKey& wrapped;
    const WrapContext& context;
  };

  // The wrapped bytes and the key id are random unless somebody forges them, and who does gains a
  // longer chain in a bounded table. Equality looks at everything.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Ask& ask) const {
      return std::hash<std::string_view>()(as_text(ask.wrapped.bytes)) ^
             std::hash<KeyId>()(ask.context.key_id);
    }
    std::size_t operator()(const Id& id) const { return (*this)(Ask{id.wrapped, id.context}); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Id& a, const Id& b) const {
      return a.wrapped == b.wrapped && a.context == b.context;
    }
    bool operator()(const Ask& a, const Id& b) const {
      return a.wrapped == b.wrapped && a.context == b.context;
    }
    bool operator()(const Id& a, const Ask& b) const { return (*this)(b, a); }
  };

  static Id id_of(const Ask& ask) { return {ask.wrapped, ask.context}; }
  template <typename T>
  static const std::string* reference_of(const T& asked) {
    return &asked.wrapped.kek;
  }
  template <typename T>
  static const std::string& dataset_of(const T& asked) {
    return asked.context.dataset;
  }
  static void call(KeyProvider& provider, std::vector<Request> requests,
                   KeyProvider::UnwrapCallback done) {
    provider.unwrap(std::move(requests), std::move(done));
  }
};

struct WrapOp {
  using Id = WrapContext;
  using Request = WrapRequest;
  using Answer = WrappedKey;
  using Ask = WrapContext;

  struct Hash {
    std::size_t operator()(const Id& id) const { return std::hash<KeyId>()(id.key_id); }
  };
  using Equal = std::equal_to<Id>;

  static Id id_of(const Ask& ask) { return ask; }
  static const std::string* reference_of(const Id&) { return nullptr; }
  static const std::string& dataset_of(const Id& id) { return id.dataset; }
  static void call(KeyProvider& provider, std::vector<Request> requests,
                   KeyProvider::WrapCallback done) {
    provider.wrap(std::move(requests), std::move(done));
  }
};

class KeyCacheImpl final : public KeyCache {
 public:
  KeyCacheImpl(std::string domain, std::shared_ptr<KeyProvider> provider,
               const KeyCacheLimits& limits)
      : domain_(std::move(domain)),
        provider_(std::move(provider)),
        unwraps_(std::make_shared<KeyLane<UnwrapOp>>(*provider_, limits)),
        wraps_(std::make_shared<KeyLane<WrapOp>>(
            *provider_, limits, [unwraps = unwraps_] { return unwraps->shrink(); })) {}

  ~KeyCacheImpl() override {
    unwraps_->close();
    wraps_->close();
  }

  [[nodiscard]] const std::string& domain() const override { return domain_; }
  [[nodiscard]] KeyProviderInfo info() const override { return provider_->info(); }

  Lookup unwrap(const WrappedKey& wrapped, const WrapContext& context, Waker& waker,
                Instant now) override {
    if (context.domain != domain_) return wrong_domain(context);
    return unwraps_->lookup({wrapped, context}, waker, now, [&]() -> Result<UnwrapRequest> {
      return UnwrapRequest{wrapped, context};
    });
  }

  WrapLookup wrap(const SecretBytes& dek, const WrapContext& context, Waker& waker,
                  Instant now) override {
    if (context.domain != domain_) return wrong_domain(context);
    return wraps_->lookup(context, waker, now, [&]() -> Result<WrapRequest> {
      for (;;) {
        auto copy = dek.clone();
        if (copy) return WrapRequest{std::move(*copy), context};
        if (copy.error().code != ErrorCode::kFull || !unwraps_->shrink()) {
          return fail(std::move(copy.error()));
        }
      }
    });
  }

  void forget(Waker& waker) override {
    unwraps_->forget(waker);
    wraps_->forget(waker);
  }

  void clear() override {
    unwraps_->clear();
    wraps_->clear();
  }

  void expire(Instant now) override {
    unwraps_->advance(now);
    wraps_->advance(now);
  }

 private:
  // A wrapped key remembered under another domain's name would be another domain's to read.
  [[nodiscard]] Error wrong_domain(const WrapContext& context) const {
    return {ErrorCode::kInternal, fmt::format("key domain `{}` asked under the context of `{}`",
                                              domain_, context.domain)};
  }

  const std::string domain_;
  const std::shared_ptr<KeyProvider> provider_;
  const std::shared_ptr<KeyLane<UnwrapOp>> unwraps_;
  const std::shared_ptr<KeyLane<WrapOp>> wraps_;
};

// The heap's smallest piece is 32 bytes, a key. Twice the cache's keys leaves room for those that
// left the cache while in use, those being wrapped and those that seal; the rest is for keyrings
// (every version of a file while it is read, two domains at once) and for OpenSSL's generators.
constexpr std::size_t kBytesPerKey = 2 * kKekBytes;
constexpr std::size_t kOtherBytes = 2 * kMaxKeyringVersions * kKekBytes;
constexpr std::size_t kOpensslBytes = 64 * 1024;

}  // namespace

std::shared_ptr<KeyCache> make_key_cache(std::string domain, std::shared_ptr<KeyProvider> provider,
                                         KeyCacheLimits limits) {
  return std::make_shared<KeyCacheImpl>(std::move(domain), std::move(provider), limits);
}

std::size_t secret_heap_bytes(std::span<const KeyCacheLimits> limits) {
  std::size_t bytes = kOtherBytes + kOpensslBytes;
  for (const KeyCacheLimits& each : limits) bytes += each.keys * kBytesPerKey;
  return std::bit_ceil(bytes);
}

}  // namespace drawbridge

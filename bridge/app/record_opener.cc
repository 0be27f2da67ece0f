#include "bridge/app/record_opener.h"

#include <algorithm>
#include <variant>

#include "bridge/app/configuration.h"
#include "bridge/envelope/data_key.h"
#include "bridge/envelope/whole.h"

namespace drawbridge {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(20);

Instant now() { return SystemClock().now(); }

std::optional<Bytes> copy(const std::optional<ByteView>& bytes) {
  if (!bytes) return std::nullopt;
  return Bytes(bytes->begin(), bytes->end());
}

Error late(const std::string& domain) {
  return {ErrorCode::kKeyUnavailable,
          fmt::format("the key store of domain {} did not answer in time", domain)};
}

// The envelope of a record's value, if there is a well-formed one.
std::optional<EnvelopeView> envelope_in(const Record& record) {
  if (!record.value || !looks_like_envelope(*record.value)) return std::nullopt;
  const auto parsed = parse_envelope(*record.value);
  return parsed ? std::optional(*parsed) : std::nullopt;
}

}  // namespace

RecordOpener::RecordOpener(DomainRegistry& domains, std::string domain, Scope scope)
    : domains_(domains), domain_(std::move(domain)), scope_(std::move(scope)) {}

RecordOpener::~RecordOpener() {
  if (cache_) cache_->forget(waker_);
}

Result<std::shared_ptr<KeyCache>> RecordOpener::domain(std::string_view name) {
  return domains_.cache(name);
}

Result<std::unique_ptr<RecordOpener>> RecordOpener::make(DomainRegistry& domains,
                                                         const std::string& domain, Scope scope) {
  DRAWBRIDGE_TRY(check_scope(scope));
  std::unique_ptr<RecordOpener> opener(new RecordOpener(domains, domain, std::move(scope)));
  DRAWBRIDGE_ASSIGN(opener->cache_, domains.cache(domain));
  FieldValues values;
  values.set("domain", domain);
  values.set("dataset", opener->scope_.dataset);
  if (opener->scope_.tenant) values.set("tenant", *opener->scope_.tenant);
  values.set("tombstones", std::string("pass"));
  DRAWBRIDGE_ASSIGN(opener->decrypt_, catalogue().find("decrypt")->make(values, *opener));
  return opener;
}

Result<KeptRecord> RecordOpener::open(const Record& record, Duration timeout) {
  const auto envelope = envelope_in(record);
  if (envelope && envelope->whole()) return open_whole(record, *envelope, timeout);
  const KeptRecord original = KeptRecord::of(record);
  Record opened = original.view();
  Arena arena;
  const Instant deadline = now() + timeout;
  for (;;) {
    Scratch scratch{arena, now()};
    const Outcome outcome = decrypt_->apply(opened, scratch);
    if (outcome.kind() == Outcome::Kind::kKeep) return KeptRecord::of(opened);
    if (outcome.kind() == Outcome::Kind::kFail) return fail(outcome.error());
    if (now() >= deadline) {
      return outcome.error().message.empty() ? fail(late(domain_)) : fail(outcome.error());
    }
    waker_.wait(kLook);
  }
}

Result<KeyCache::Key> RecordOpener::data_key(const Record& record, Duration timeout) {
  if (!record.value) return fail(ErrorCode::kEnvelopeMissing, "a null value has no envelope");
  DRAWBRIDGE_ASSIGN(const EnvelopeView envelope, parse_envelope(*record.value));
  DRAWBRIDGE_ASSIGN(const WrappedKeys keys, wrapped_keys_of(envelope, record.headers));
  const WrappedKeyView* wrapped = keys.find(domain_);
  if (wrapped == nullptr) {
    return fail(ErrorCode::kEnvelopeForeign,
                "no key in the envelope is wrapped for key domain `{}`", domain_);
  }
  const WrappedKey ours{std::string(wrapped->kek),
                        Bytes(wrapped->wrapped.begin(), wrapped->wrapped.end())};
  const WrapContext context{envelope.key_id, scope_.dataset, scope_.tenant, domain_};
  const Instant deadline = now() + timeout;
  for (;;) {
    auto found = cache_->unwrap(ours, context, waker_, now());
    if (auto* key = std::get_if<KeyCache::Key>(&found)) return std::move(*key);
    if (auto* error = std::get_if<Error>(&found)) {
      if (class_of(error->code) != ErrorClass::kPause || now() >= deadline) {
        return fail(std::move(*error));
      }
    } else if (now() >= deadline) {
      return fail(late(domain_));
    }
    waker_.wait(kLook);
  }
}

Result<KeptRecord> RecordOpener::open_whole(const Record& record, const EnvelopeView& envelope,
                                            Duration timeout) {
  DRAWBRIDGE_ASSIGN(const KeyCache::Key dek, data_key(record, timeout));
  DRAWBRIDGE_ASSIGN(OpeningKey key, OpeningKey::create(envelope.suite, *dek, envelope.salt));
  Expected expected{as_bytes(scope_.dataset), std::nullopt, true};
  if (scope_.tenant) expected.tenant = as_bytes(*scope_.tenant);
  Bytes plaintext(envelope.ciphertext.size());
  DRAWBRIDGE_TRY(key.open(envelope, expected, record.key, plaintext));
  DRAWBRIDGE_ASSIGN(const WholeRecord whole, decode_whole(plaintext));
  KeptRecord opened{std::string(record.topic),
                    record.partition,
                    record.offset,
                    record.timestamp_ms,
                    copy(whole.key),
                    copy(whole.value),
                    {}};
  for (const Header& header : whole.headers) {
    opened.headers.emplace_back(header.name, copy(header.value));
  }
  return opened;
}

}  // namespace drawbridge

// Opens single records of one dataset and tenant under one key domain, by the transforms' own
// rules. Waits for the key store, where the engine would go on with other work.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bridge/app/kept_record.h"
#include "bridge/base/clock.h"
#include "bridge/base/waker.h"
#include "bridge/keys/domains.h"
#include "bridge/transform/key_service.h"
#include "bridge/transform/sealed_record.h"
#include "bridge/transform/transform.h"

namespace drawbridge {

// Used by one thread.
class RecordOpener final : private KeyService {
 public:
  // `domains` outlives the opener. Errors: kInvalid, an unknown domain or a scope out of bounds.
  static Result<std::unique_ptr<RecordOpener>> make(DomainRegistry& domains,
                                                    const std::string& domain, Scope scope);
  ~RecordOpener() override;
  RecordOpener(const RecordOpener&) = delete;
  RecordOpener& operator=(const RecordOpener&) = delete;

  // The record in clear, without the envelope's headers. A sealed dead letter gives the record that
  // it holds, at the dead letter's own place. Errors: those of `decrypt`; kKeyUnavailable when the
  // key store does not answer within `timeout`.
  Result<KeptRecord> open(const Record& record, Duration timeout);

  // The bare data key that a record's envelope brings for this domain, as whoever may open the
  // record can have it. Errors as open().
  Result<KeyCache::Key> data_key(const Record& record, Duration timeout);

 private:
  RecordOpener(DomainRegistry& domains, std::string domain, Scope scope);

  Result<std::shared_ptr<KeyCache>> domain(std::string_view name) override;
  Waker& waker() override { return waker_; }
  [[nodiscard]] const std::string& dataset() const override { return scope_.dataset; }

  Result<KeptRecord> open_whole(const Record& record, const EnvelopeView& envelope,
                                Duration timeout);

  DomainRegistry& domains_;
  const std::string domain_;
  const Scope scope_;
  Waker waker_;
  std::shared_ptr<KeyCache> cache_;
  std::unique_ptr<Transform> decrypt_;
};

}  // namespace drawbridge

// decrypt: native envelopes become clear values.
#include "bridge/transform/opening_keys.h"
#include "bridge/transform/transform.h"
#include "transforms/catalogue.h"
#include "transforms/fields.h"
#include "transforms/opener.h"

namespace drawbridge {
namespace {

class Decrypt final : public Transform {
 public:
  explicit Decrypt(Opener opener) : opener_(std::move(opener)) {}

  Outcome apply(Record& record, Scratch& scratch) override {
    auto found = opener_.find(record, scratch.now);
    if (auto* outcome = std::get_if<Outcome>(&found)) return std::move(*outcome);
    if (auto* opened = std::get_if<Opener::Found>(&found)) {
      Outcome outcome = open(record, *opened, scratch);
      if (outcome.kind() != Outcome::Kind::kKeep) return outcome;
    }
    remove_native_headers(record.headers);
    return Outcome::keep();
  }

  void prefetch(const Record& record, Instant now) override {
    static_cast<void>(opener_.find(record, now));
  }

 private:
  Outcome open(Record& record, const Opener::Found& found, Scratch& scratch) {
    const EnvelopeView& envelope = found.sealed->envelope;
    if (envelope.tombstone()) {
      auto verified = found.entry->key.verify(envelope, opener_.expected(), record.key);
      return verified ? Outcome::keep() : Outcome::from(std::move(verified).error());
    }
    const MutableBytes out = scratch.arena.allocate(envelope.ciphertext.size());
    auto opened = found.entry->key.open(envelope, opener_.expected(), record.key, out);
    if (!opened) {
      scratch.arena.shrink(out, 0);
      return Outcome::from(std::move(opened).error());
    }
    if (looks_like_envelope(out)) {
      // What follows takes it for a clear value; whoever sealed twice must open twice elsewhere.
      return Outcome::from({ErrorCode::kEnvelopeUnexpected, "in the envelope is another one"});
    }
    record.value = out;
    return Outcome::keep();
  }

  Opener opener_;
};

Result<std::unique_ptr<Transform>> make(const FieldValues& values, KeyService& keys) {
  DRAWBRIDGE_ASSIGN(auto scope, scope_of(values, keys));
  DRAWBRIDGE_ASSIGN(auto cache, keys.domain(values.text("domain")));
  return std::make_unique<Decrypt>(
      Opener(std::move(cache), std::move(scope), tombstones_of(values), keys.waker()));
}

}  // namespace

TransformSpec decrypt_spec() {
  TransformSpec spec;
  spec.name = "decrypt";
  spec.summary = "open native envelopes";
  spec.description =
      "Opens each value with the data key that its envelope brings, wrapped for `domain`. Refused, "
      "and left to the pipeline's failure policy: values in clear, envelopes of another dataset, "
      "tenant or key domain, and whatever does not verify (wrapped key, key id, record key, "
      "ciphertext). Headers of the envelope are removed. What follows in the chain, the client's "
      "buffers and the target see values in clear.";

  FieldSpec domain;
  domain.name = "domain";
  domain.type = FieldType::kKeyDomain;
  domain.summary = "key domain that opens the records";
  domain.required = true;
  spec.fields = {std::move(domain), dataset_field(), tenant_field(),
                 tombstones_field("null values: `pass`, or `authenticated`, where one without a "
                                  "valid header is refused; a header that is there is verified "
                                  "either way")};
  spec.takes = Form::kEnvelope;
  spec.leaves = Form::kClear;
  spec.guards_itself = true;
  spec.validate = check_scope_fields;
  spec.make = make;
  return spec;
}

}  // namespace drawbridge

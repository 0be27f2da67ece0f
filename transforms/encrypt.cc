// encrypt: clear values become native envelopes.
#include <algorithm>

#include "bridge/transform/transform.h"
#include "transforms/catalogue.h"
#include "transforms/fields.h"
#include "transforms/sealer.h"

namespace drawbridge {
namespace {

using enum ErrorCode;

class Encrypt final : public Transform {
 public:
  Encrypt(Sealer sealer, Tombstones tombstones)
      : sealer_(std::move(sealer)), tombstones_(tombstones) {}

  Outcome apply(Record& record, Scratch& scratch) override {
    // What looks sealed is refused: sealing it again would hide from every reader that the inner
    // envelope exists, and two sets of wrapped keys cannot stand side by side.
    if (record.value && looks_like_envelope(*record.value)) {
      return Outcome::from({kEnvelopeUnexpected, "the value is an envelope already"});
    }
    if (has_native_headers(record.headers)) {
      return Outcome::from({kEnvelopeUnexpected, "the record carries headers of an envelope"});
    }
    if (!record.value && tombstones_ == Tombstones::kPass) return Outcome::keep();

    auto dek = sealer_.ready(scratch.now);
    if (auto* outcome = std::get_if<Outcome>(&dek)) return std::move(*outcome);
    return sealer_.seal(record, record.value, std::get<DekSource::Ready>(dek), scratch);
  }

  void prefetch(const Record& /*record*/, Instant now) override {
    static_cast<void>(sealer_.ready(now));
  }

 private:
  Sealer sealer_;
  const Tombstones tombstones_;
};

std::vector<std::string> domains_in(const FieldValues& values) {
  if (values.has("domain")) return {values.text("domain")};
  return values.has("domains") ? values.list("domains") : std::vector<std::string>{};
}

std::vector<FieldProblem> validate(const FieldValues& values) {
  std::vector<FieldProblem> problems = check_scope_fields(values);
  if (values.has("domain") == values.has("domains")) {
    problems.push_back({values.has("domains") ? "domains" : "", std::nullopt,
                        "give either `domain` or `domains`"});
  }
  if (!values.has("domains")) return problems;
  const auto& domains = values.list("domains");
  if (domains.empty() || domains.size() > format::kMaxWrappedKeys) {
    problems.push_back({"domains", std::nullopt,
                        fmt::format("`domains`: 1 to {} names", format::kMaxWrappedKeys)});
  }
  for (auto at = domains.begin(); at != domains.end(); ++at) {
    if (std::find(domains.begin(), at, *at) == at) continue;
    problems.push_back({"domains", static_cast<std::size_t>(at - domains.begin()),
                        fmt::format("`domains` names `{}` twice", *at)});
  }
  return problems;
}

Result<std::unique_ptr<Transform>> make(const FieldValues& values, KeyService& keys) {
  DRAWBRIDGE_TRY(refuse(validate(values)));
  DRAWBRIDGE_ASSIGN(auto scope, scope_of(values, keys));
  DRAWBRIDGE_ASSIGN(auto caches, caches_of(domains_in(values), keys));
  Sealer sealer(std::move(caches), std::move(scope),
                {suite_of(values), rotation_of(values), inline_of(values)}, keys.waker());
  return std::make_unique<Encrypt>(std::move(sealer), tombstones_of(values));
}

}  // namespace

TransformSpec encrypt_spec() {
  TransformSpec spec;
  spec.name = "encrypt";
  spec.summary = "seal clear values in native envelopes";
  spec.description =
      "Every value is sealed under a data key that this shard makes for itself, keeps in memory "
      "and rotates; the data key travels with the record, wrapped for each key domain named. The "
      "record key stays readable and is bound to its value, as are dataset and tenant. A value "
      "that is an envelope already is refused. While the key store cannot wrap, the shard waits "
      "and nothing goes out in clear.";

  FieldSpec domain;
  domain.name = "domain";
  domain.type = FieldType::kKeyDomain;
  domain.summary = "key domain that can open the records; this or `domains`";
  FieldSpec domains;
  domains.name = "domains";
  domains.type = FieldType::kList;
  domains.summary = "up to four key domains, each of which can open the records";
  domains.names_key_domains = true;

  spec.fields = {std::move(domain), std::move(domains), dataset_field(), tenant_field()};
  for (FieldSpec& field : sealing_fields("")) spec.fields.push_back(std::move(field));
  spec.fields.push_back(tombstones_field(
      "what becomes of null values: `pass` as they are (a forged delete is possible), or "
      "`authenticated` by a header, the value staying null"));
  spec.takes = Form::kClear;
  spec.leaves = Form::kEnvelope;
  spec.guards_itself = true;
  spec.validate = validate;
  spec.make = make;
  return spec;
}

}  // namespace drawbridge

// rekey: envelopes of one key domain become envelopes of another.
#include <algorithm>

#include "bridge/transform/transform.h"
#include "transforms/catalogue.h"
#include "transforms/fields.h"
#include "transforms/opener.h"
#include "transforms/sealer.h"

namespace drawbridge {
namespace {

using enum ErrorCode;

Result<void> verify(const Opener& opener, const Opener::Found& found, const Record& record) {
  return found.entry->key.verify(found.sealed->envelope, opener.expected(), record.key);
}

// Swaps the wrapped keys; ciphertext, data key and the value's bytes stay.
class Rewrap final : public Transform {
 public:
  Rewrap(Opener opener, std::shared_ptr<KeyCache> target, bool verify_all, Waker& waker)
      : opener_(std::move(opener)),
        target_{std::move(target)},
        verify_all_(verify_all),
        waker_(waker) {}

  Outcome apply(Record& record, Scratch& scratch) override {
    auto found = opener_.find(record, scratch.now);
    if (auto* outcome = std::get_if<Outcome>(&found)) return std::move(*outcome);
    if (std::holds_alternative<Opener::BareTombstone>(found)) {
      remove_native_headers(record.headers);
      return Outcome::keep();
    }
    auto& opened = std::get<Opener::Found>(found);
    Outcome outcome = prepare(record, opened, verify_all_, scratch.now);
    if (outcome.kind() != Outcome::Kind::kKeep) return outcome;
    swap_keys(record, opened, scratch.arena);
    return Outcome::keep();
  }

  void prefetch(const Record& record, Instant now) override {
    auto found = opener_.find(record, now);
    if (auto* opened = std::get_if<Opener::Found>(&found)) {
      static_cast<void>(prepare(record, *opened, false, now));
    }
  }

 private:
  // Not to be a confused deputy: before a data key is wrapped for the target, the tag of the record
  // that brought it must verify in the very scope that the target's wrap context will name.
  Outcome prepare(const Record& record, Opener::Found& found, bool always_verify, Instant now) {
    OpeningKeys::Entry& entry = *found.entry;
    if (always_verify || !entry.verified) {
      if (auto verified = verify(opener_, found, record); !verified) {
        return Outcome::from(std::move(verified).error());
      }
      entry.verified = true;
    }
    if (!entry.rewrapped.empty()) return Outcome::keep();
    const auto dek = entry.dek.lock();
    if (dek == nullptr) return Outcome::wait();  // emptied meanwhile, by an operator
    auto block = wrap_for(target_, *dek, entry.key.id(), opener_.scope(), waker_, now);
    if (!block) return wrap_failure(std::move(block).error());
    if (block->empty()) return Outcome::wait();
    entry.rewrapped = std::move(*block);
    return Outcome::keep();
  }

  static void swap_keys(Record& record, const Opener::Found& found, Arena& arena) {
    const EnvelopeView& envelope = found.sealed->envelope;
    const ByteView block = found.entry->rewrapped;
    if (!envelope.has_inline_keys()) {
      set_header(record.headers, format::kKeysHeader, arena.copy(block));
      return;
    }
    const MutableBytes out = arena.allocate(rewrapped_size(envelope, block));
    replace_inline_keys(envelope, block, out);
    if (envelope.tombstone()) {
      set_header(record.headers, format::kTombstoneHeader, out);
    } else {
      record.value = out;
    }
  }

  // REQUIRES: the header is there, once (wrapped_keys_of() has seen to it).
  static void set_header(Headers& headers, std::string_view name, ByteView value) {
    const auto& all = headers.all();
    const auto at = std::ranges::find(all, name, &Header::name) - all.begin();
    headers.set_value(static_cast<std::size_t>(at), value);
  }

  Opener opener_;
  const std::vector<std::shared_ptr<KeyCache>> target_;  // one
  const bool verify_all_;
  Waker& waker_;
};

// Opens and seals again under a new data key.
class Reencrypt final : public Transform {
 public:
  Reencrypt(Opener opener, Sealer sealer)
      : opener_(std::move(opener)), sealer_(std::move(sealer)) {}

  Outcome apply(Record& record, Scratch& scratch) override {
    auto found = opener_.find(record, scratch.now);
    if (auto* outcome = std::get_if<Outcome>(&found)) return std::move(*outcome);
    if (std::holds_alternative<Opener::BareTombstone>(found)) {
      remove_native_headers(record.headers);
      return Outcome::keep();
    }
    auto dek = sealer_.ready(scratch.now);
    if (auto* outcome = std::get_if<Outcome>(&dek)) return std::move(*outcome);
    return reseal(record, std::get<Opener::Found>(found), std::get<DekSource::Ready>(dek), scratch);
  }

  void prefetch(const Record& record, Instant now) override {
    static_cast<void>(opener_.find(record, now));
    static_cast<void>(sealer_.ready(now));
  }

 private:
  static constexpr std::size_t kKeptPlaintext = std::size_t{1} << 20;

  Outcome reseal(Record& record, const Opener::Found& found, const DekSource::Ready& dek,
                 Scratch& scratch) {
    const EnvelopeView& envelope = found.sealed->envelope;
    if (envelope.tombstone()) {
      if (auto verified = verify(opener_, found, record); !verified) {
        return Outcome::from(std::move(verified).error());
      }
      remove_native_headers(record.headers);
      return sealer_.seal(record, std::nullopt, dek, scratch);
    }
    // The plaintext stands in a buffer of this transform's own: warm in the processor's cache,
    // overwritten by zeros before the next record, and never in memory that outlives the call.
    const std::size_t size = envelope.ciphertext.size();
    if (plaintext_.size() < size) plaintext_.resize(size);
    const MutableBytes plaintext = MutableBytes(plaintext_).first(size);
    auto opened = found.entry->key.open(envelope, opener_.expected(), record.key, plaintext);
    if (!opened) return Outcome::from(std::move(opened).error());
    remove_native_headers(record.headers);
    Outcome outcome = sealer_.seal(record, plaintext, dek, scratch);
    cleanse(plaintext);
    if (plaintext_.size() > kKeptPlaintext) plaintext_ = Bytes();
    return outcome;
  }

  Opener opener_;
  Sealer sealer_;
  Bytes plaintext_;
};

std::vector<FieldProblem> validate(const FieldValues& values) {
  std::vector<FieldProblem> problems = check_scope_fields(values);
  if (values.text("mode") == "rewrap") {
    for (const std::string_view name : sealing_field_names()) {
      if (!values.has(name)) continue;
      problems.push_back(
          {std::string(name), std::nullopt,
           fmt::format("`{}` has no meaning with mode: rewrap, which keeps the ciphertext", name)});
    }
  } else if (values.has("verify")) {
    problems.push_back({"verify", std::nullopt,
                        "`verify` has no meaning with mode: reencrypt, which verifies all"});
  }
  return problems;
}

Result<std::unique_ptr<Transform>> make(const FieldValues& values, KeyService& keys) {
  DRAWBRIDGE_TRY(refuse(validate(values)));
  DRAWBRIDGE_ASSIGN(auto scope, scope_of(values, keys));
  DRAWBRIDGE_ASSIGN(auto from, keys.domain(values.text("from")));
  DRAWBRIDGE_ASSIGN(auto to, keys.domain(values.text("to")));
  Opener opener(std::move(from), scope, tombstones_of(values), keys.waker());
  if (values.text("mode") == "rewrap") {
    const bool verify_all = values.has("verify") && values.text("verify") == "all";
    return std::make_unique<Rewrap>(std::move(opener), std::move(to), verify_all, keys.waker());
  }
  Sealer sealer({std::move(to)}, std::move(scope),
                {suite_of(values), rotation_of(values), inline_of(values)}, keys.waker());
  return std::make_unique<Reencrypt>(std::move(opener), std::move(sealer));
}

FieldSpec domain_field(std::string name, std::string summary) {
  FieldSpec field;
  field.name = std::move(name);
  field.type = FieldType::kKeyDomain;
  field.summary = std::move(summary);
  field.required = true;
  return field;
}

}  // namespace

TransformSpec rekey_spec() {
  TransformSpec spec;
  spec.name = "rekey";
  spec.summary = "move native envelopes from one key domain to another";
  spec.description =
      "mode: rewrap unwraps each data key once and wraps it for the target; values pass through "
      "byte by byte. It is not revocation: the data key stays, so whoever could open the source "
      "copy can open the target copy. mode: reencrypt opens every value and seals it under a new "
      "data key, which the source's readers never had. Either way the copy can be opened by `to` "
      "alone, whatever domains the source record named. With rewrap, `verify: first` checks the "
      "tag of the first record of each wrapped key, so that no key is wrapped for the wrong "
      "dataset or tenant, and a value damaged later arrives and is refused by its reader; "
      "`verify: all` checks every record, as reencrypt does.";

  FieldSpec mode;
  mode.name = "mode";
  mode.type = FieldType::kChoice;
  mode.summary = "keep the data keys and ciphertext (`rewrap`), or make new ones (`reencrypt`)";
  mode.required = true;
  mode.choices = {"rewrap", "reencrypt"};
  FieldSpec verify_field;
  verify_field.name = "verify";
  verify_field.type = FieldType::kChoice;
  verify_field.summary =
      "with mode: rewrap, whose tags are checked: the `first` record's of each wrapped key, or "
      "`all`; first when absent";
  verify_field.choices = {"first", "all"};

  spec.fields = {domain_field("from", "key domain that opens the source's records"),
                 domain_field("to", "key domain that opens the target's records"),
                 std::move(mode),
                 std::move(verify_field),
                 dataset_field(),
                 tenant_field()};
  for (FieldSpec& field : sealing_fields("; with mode: reencrypt only")) {
    spec.fields.push_back(std::move(field));
  }
  spec.fields.push_back(tombstones_field(
      "null values: `pass`, or `authenticated`, where one without a valid header is refused; a "
      "header that is there is verified and re-keyed either way"));
  spec.takes = Form::kEnvelope;
  spec.leaves = Form::kEnvelope;
  spec.guards_itself = true;
  spec.validate = validate;
  spec.make = make;
  return spec;
}

}  // namespace drawbridge

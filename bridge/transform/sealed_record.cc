#include "bridge/transform/sealed_record.h"

namespace drawbridge {
namespace {

using enum ErrorCode;

bool is_native_header(const Header& header) {
  return header.name == format::kKeysHeader || header.name == format::kTombstoneHeader;
}

bool same_tenant(const std::optional<ByteView>& claimed, const std::optional<std::string>& tenant) {
  if (claimed.has_value() != tenant.has_value()) return false;
  return !claimed || equal(*claimed, as_bytes(*tenant));
}

}  // namespace

Result<Tombstones> parse_tombstones(std::string_view name) {
  if (name == "pass") return Tombstones::kPass;
  if (name == "authenticated") return Tombstones::kAuthenticated;
  return fail(kInvalid, "`{}` is no policy for tombstones: pass or authenticated", name);
}

Result<bool> read_sealed(const Record& record, Tombstones tombstones, SealedRecord& out) {
  if (record.value) {
    DRAWBRIDGE_ASSIGN(out.envelope, parse_envelope(*record.value));
    if (record.headers.find(format::kTombstoneHeader) != nullptr) {
      return fail(kEnvelopeMalformed, "a value that is not null carries a {} header",
                  format::kTombstoneHeader);
    }
  } else {
    const bool bare = record.headers.find(format::kTombstoneHeader) == nullptr;
    if (bare && tombstones == Tombstones::kPass) return false;
    if (bare) {
      return fail(kEnvelopeMissing, "a null value without the {} header that would prove it",
                  format::kTombstoneHeader);
    }
    DRAWBRIDGE_ASSIGN(out.envelope, find_tombstone(record.headers));
  }
  DRAWBRIDGE_ASSIGN(out.key_block, key_block_of(out.envelope, record.headers));
  return true;
}

bool has_native_headers(const Headers& headers) {
  for (const Header& header : headers.all()) {
    if (is_native_header(header)) return true;
  }
  return false;
}

void remove_native_headers(Headers& headers) {
  headers.remove_all(format::kKeysHeader);
  headers.remove_all(format::kTombstoneHeader);
}

Result<void> check_scope(const Scope& scope) {
  if (scope.dataset.empty() || scope.dataset.size() > format::kMaxShort) {
    return fail(kInvalid, "dataset: 1 to {} bytes, not {}", format::kMaxShort,
                scope.dataset.size());
  }
  if (scope.tenant && scope.tenant->size() > format::kMaxShort) {
    return fail(kInvalid, "tenant: at most {} bytes, not {}", format::kMaxShort,
                scope.tenant->size());
  }
  return {};
}

Result<void> match_scope(const EnvelopeView& envelope, const Scope& scope) {
  if (!equal(envelope.dataset, as_bytes(scope.dataset))) {
    return fail(kEnvelopeForeign,
                "the envelope is not of dataset `{}` (`dataset` of the transform, else of the "
                "pipeline, else the pipeline's name)",
                scope.dataset);
  }
  if (!same_tenant(envelope.tenant, scope.tenant)) {
    if (!scope.tenant) {
      return fail(kEnvelopeForeign,
                  "the envelope names a tenant; none is set (`tenant` of the transform)");
    }
    return fail(kEnvelopeForeign, "the envelope is not of tenant `{}` (`tenant` of the transform)",
                *scope.tenant);
  }
  if (envelope.whole()) {
    return fail(kEnvelopeUnsupported, "the envelope holds a whole record (a sealed dead letter)");
  }
  return {};
}

}  // namespace drawbridge

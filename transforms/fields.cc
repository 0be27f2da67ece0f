#include "transforms/fields.h"

namespace drawbridge {
namespace {

constexpr std::int64_t kMostRecords = std::int64_t{1} << 24;
constexpr std::int64_t kMostBytes = std::int64_t{64} << 30;
constexpr std::int64_t kMostAgeMs = 60 * 60 * 1000;

FieldSpec limit_field(std::string name, FieldType type, std::int64_t most, std::string summary) {
  FieldSpec field;
  field.name = std::move(name);
  field.type = type;
  field.summary = std::move(summary);
  field.least = 1;
  field.most = most;
  return field;
}

}  // namespace

FieldSpec dataset_field() {
  FieldSpec field;
  field.name = "dataset";
  field.summary =
      "logical stream name bound into the envelope, 1 to 254 bytes; the pipeline's `dataset` when "
      "absent";
  return field;
}

FieldSpec tenant_field() {
  FieldSpec field;
  field.name = "tenant";
  field.summary = "tenant bound into the envelope, at most 254 bytes; none when absent";
  return field;
}

FieldSpec tombstones_field(std::string summary) {
  FieldSpec field;
  field.name = "tombstones";
  field.type = FieldType::kChoice;
  field.summary = std::move(summary);
  field.fallback = "pass";
  field.choices = {"pass", "authenticated"};
  return field;
}

std::vector<FieldSpec> sealing_fields(std::string_view note) {
  FieldSpec suite;
  suite.name = "suite";
  suite.type = FieldType::kChoice;
  suite.summary = fmt::format("AEAD suite; aes-256-gcm when absent{}", note);
  for (const Suite each : kAllSuites) suite.choices.emplace_back(name_of(each));

  FieldSpec in_value;
  in_value.name = "inline";
  in_value.type = FieldType::kBool;
  in_value.summary = fmt::format(
      "put the wrapped keys into the value, for consumers that lose headers; false when absent{}",
      note);

  return {
      std::move(suite), std::move(in_value),
      limit_field("rotate-records", FieldType::kInteger, kMostRecords,
                  fmt::format("new data key after so many records; 16777216 when absent{}", note)),
      limit_field("rotate-bytes", FieldType::kSize, kMostBytes,
                  fmt::format("new data key after so many bytes of plaintext; 64GiB when "
                              "absent{}",
                              note)),
      limit_field("rotate-after", FieldType::kDuration, kMostAgeMs,
                  fmt::format("new data key after this time; 1h when absent{}", note))};
}

std::vector<std::string_view> sealing_field_names() {
  return {"suite", "inline", "rotate-records", "rotate-bytes", "rotate-after"};
}

Result<Scope> scope_of(const FieldValues& values, const KeyService& keys) {
  Scope scope{values.has("dataset") ? values.text("dataset") : keys.dataset(), std::nullopt};
  if (values.has("tenant")) scope.tenant = values.text("tenant");
  DRAWBRIDGE_TRY(check_scope(scope));
  return scope;
}

std::vector<FieldProblem> check_scope_fields(const FieldValues& values) {
  std::vector<FieldProblem> problems;
  const auto check = [&](const char* field, const Scope& scope) {
    if (const auto good = check_scope(scope); !good) {
      problems.push_back({field, std::nullopt, good.error().message});
    }
  };
  if (values.has("dataset")) check("dataset", {values.text("dataset"), std::nullopt});
  if (values.has("tenant")) check("tenant", {"any", values.text("tenant")});
  return problems;
}

Tombstones tombstones_of(const FieldValues& values) {
  return values.text("tombstones") == "authenticated" ? Tombstones::kAuthenticated
                                                      : Tombstones::kPass;
}

Suite suite_of(const FieldValues& values) {
  if (values.has("suite")) {
    for (const Suite suite : kAllSuites) {
      if (name_of(suite) == values.text("suite")) return suite;
    }
  }
  return Suite::kAes256Gcm;
}

RotationLimits rotation_of(const FieldValues& values) {
  RotationLimits limits;
  const auto number = [&](std::string_view name) {
    return static_cast<std::uint64_t>(values.number(name));
  };
  if (values.has("rotate-records")) limits.records = number("rotate-records");
  if (values.has("rotate-bytes")) limits.bytes = number("rotate-bytes");
  if (values.has("rotate-after")) {
    limits.age = std::chrono::milliseconds(values.number("rotate-after"));
  }
  return limits;
}

bool inline_of(const FieldValues& values) { return values.has("inline") && values.flag("inline"); }

Result<std::vector<std::shared_ptr<KeyCache>>> caches_of(const std::vector<std::string>& domains,
                                                         KeyService& keys) {
  std::vector<std::shared_ptr<KeyCache>> caches;
  for (const std::string& domain : domains) {
    DRAWBRIDGE_ASSIGN(auto cache, keys.domain(domain));
    caches.push_back(std::move(cache));
  }
  return caches;
}

}  // namespace drawbridge

// Specs: the single description of a configurable thing. Parsing, defaults, lint, `list`, help
// texts and the reference pages all come from it, so that they cannot drift apart.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/transform/transform.h"

namespace drawbridge {

enum class FieldType : std::uint8_t {
  kString,
  kInteger,  // with min/max
  kBool,
  kDuration,   // "250ms", "1s", "10m", "24h" -> milliseconds
  kSize,       // "64MiB", "1GB", 1000 -> bytes
  kChoice,     // one of `choices`
  kList,       // of strings
  kKeyDomain,  // a name under key_domains
};

struct FieldSpec {
  std::string name;
  FieldType type = FieldType::kString;
  std::string summary;  // one line for the reference page
  // The default as written in YAML; nullopt: none, and FieldValues::has() says if it was written.
  std::optional<std::string> fallback;
  bool required = false;
  std::vector<std::string> choices;
  std::int64_t least = 0;
  std::int64_t most = INT64_MAX;
  bool names_key_domains = false;  // kList: each string is a name under key_domains
};

// Checked values of a spec's fields, defaults filled in.
class FieldValues {
 public:
  using Value = std::variant<std::string, std::int64_t, bool, std::vector<std::string>>;

  void set(std::string name, Value value) {
    values_.insert_or_assign(std::move(name), std::move(value));
  }
  [[nodiscard]] bool has(std::string_view name) const { return values_.contains(name); }
  [[nodiscard]] const std::string& text(std::string_view name) const {
    return get<std::string>(name);
  }
  [[nodiscard]] std::int64_t number(std::string_view name) const { return get<std::int64_t>(name); }
  [[nodiscard]] bool flag(std::string_view name) const { return get<bool>(name); }
  [[nodiscard]] const std::vector<std::string>& list(std::string_view name) const {
    return get<std::vector<std::string>>(name);
  }

 private:
  template <typename T>
  const T& get(std::string_view name) const {
    return std::get<T>(values_.find(name)->second);
  }
  std::map<std::string, Value, std::less<>> values_;
};

// What is wrong with a field beside others, and where it stands.
struct FieldProblem {
  std::string field;                // empty: with the transform as a whole
  std::optional<std::size_t> item;  // of a list, from 0
  std::string message;
};

// The first of them, kInvalid.
Result<void> refuse(const std::vector<FieldProblem>& problems);

// Whether values are readable at a point of the chain; lint follows it through the transforms.
enum class Form : std::uint8_t { kClear, kEnvelope };

class KeyService;  // bridge/transform/key_service.h: what transforms need of key stores

struct TransformSpec {
  std::string name;
  std::string summary;
  std::string description;
  std::vector<FieldSpec> fields;
  // The form that it needs of a value and the form that it leaves; nullopt: either, unchanged.
  std::optional<Form> takes;
  std::optional<Form> leaves;
  bool changes_key = false;
  // It refuses by itself whatever `native` or `clear` under `require` would (tombstones: pass), of
  // what it takes as of what it leaves, so that no guard needs to look again beside it.
  bool guards_itself = false;
  // All that is wrong with fields beyond single types (one of two needed, ...).
  std::function<std::vector<FieldProblem>(const FieldValues&)> validate;
  // Called once per shard. Never blocks on a key store.
  std::function<Result<std::unique_ptr<Transform>>(const FieldValues&, KeyService&)> make;
};

// One transform of a pipeline as it is configured. The spec belongs to the catalogue.
struct TransformStep {
  const TransformSpec* spec = nullptr;
  FieldValues values;
};

// The explicit catalogue of what can stand in a chain. A duplicate name is an error at start-up.
class TransformCatalogue {
 public:
  Result<void> add(TransformSpec spec);
  [[nodiscard]] const TransformSpec* find(std::string_view name) const;
  [[nodiscard]] const std::vector<TransformSpec>& all() const { return specs_; }

 private:
  std::vector<TransformSpec> specs_;
};

}  // namespace drawbridge

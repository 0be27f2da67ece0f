// The JSON schema and the listings of config/reference.h.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "config/json.h"
#include "config/kafka_properties.h"
#include "config/reference.h"
#include "config/spec.h"

namespace drawbridge {
namespace {

using namespace config;  // NOLINT(google-build-using-namespace): this file is about nothing else

constexpr std::string_view kDurationPattern = R"("^([0-9]+(ms|s|m|h|d)|0)$")";
constexpr std::string_view kSizePattern = R"("^[0-9]+(B|kB|KB|MB|GB|KiB|MiB|GiB)?$")";

std::string number(std::int64_t value) { return fmt::format("{}", value); }

JsonMembers field_members(const FieldSpec& field) {
  switch (field.type) {
    case FieldType::kString:
    case FieldType::kKeyDomain:
      return {{"type", R"(["string","number","boolean"])"}};
    case FieldType::kInteger: {
      JsonMembers members{{"type", R"("integer")"}, {"minimum", number(field.least)}};
      if (field.most != INT64_MAX) members.emplace_back("maximum", number(field.most));
      return members;
    }
    case FieldType::kBool:
      return {{"type", R"("boolean")"}};
    case FieldType::kDuration:
      return {{"type", R"(["string","integer"])"}, {"pattern", std::string(kDurationPattern)}};
    case FieldType::kSize:
      return {{"type", R"(["string","integer"])"}, {"pattern", std::string(kSizePattern)}};
    case FieldType::kChoice:
      return {{"enum", json_strings(field.choices)}};
    case FieldType::kList: {
      JsonMembers items{{"type", R"("string")"}};
      if (!field.choices.empty()) items = {{"enum", json_strings(field.choices)}};
      JsonMembers members{{"type", R"("array")"}, {"items", json_object(items)}};
      if (field.required) members.emplace_back("minItems", "1");
      return members;
    }
  }
  return {};
}

class Schema {
 public:
  explicit Schema(const TransformCatalogue& catalogue) : catalogue_(catalogue) {}

  std::string write() {
    JsonMembers members = section_members(configuration_spec());
    members.insert(members.begin(),
                   {{"$schema", R"("https://json-schema.org/draft/2020-12/schema")"},
                    {"title", R"("drawbridge configuration")"}});
    return json_indented(json_object(members));
  }

 private:
  JsonMembers section_members(const SectionSpec& section) {
    JsonMembers properties;
    std::vector<std::string> required;
    for (const KeySpec& key : section.keys) {
      properties.emplace_back(key.field.name, key_schema(key));
      if (key.field.required) required.push_back(key.field.name);
    }
    for (const KafkaProperty& property : kafka_properties()) {
      if (passes(property, section.properties) && section.find(property.name) == nullptr) {
        properties.emplace_back(property.name, R"({"type":["string","number","boolean"]})");
      }
    }
    JsonMembers members{{"type", R"("object")"},
                        {"properties", json_object(properties)},
                        {"additionalProperties", "false"}};
    if (!required.empty()) members.emplace_back("required", json_strings(required));
    if (section.one_of) {
      members.emplace_back("minProperties", "1");
      members.emplace_back("maxProperties", "1");
    }
    return members;
  }

  std::string section_schema(const SectionSpec& section) {
    std::string object = json_object(section_members(section));
    if (section.shorthand.empty()) return object;
    const std::string plain = json_object(field_members(section.find(section.shorthand)->field));
    return json_object({{"anyOf", json_array({plain, object})}});
  }

  std::string key_schema(const KeySpec& key) {
    JsonMembers members;
    switch (key.shape) {
      case Shape::kField:
        members = field_members(key.field);
        break;
      case Shape::kSection:
        members = {{"allOf", json_array({section_schema(*key.section)})}};
        break;
      case Shape::kSwitch:
        members = {{"anyOf", json_array({R"({"type":"boolean"})", section_schema(*key.section)})}};
        break;
      case Shape::kNamed:
        members = {{"type", R"("object")"}, {"additionalProperties", section_schema(*key.section)}};
        break;
      case Shape::kVariant:
        members = {{"anyOf", variants_schema(key)}};
        break;
      case Shape::kSteps:
        members = {{"type", R"("array")"}, {"items", step_schema()}};
        break;
    }
    members.emplace_back("description", json_string(key.field.summary));
    return json_object(members);
  }

  std::string variants_schema(const KeySpec& key) {
    std::vector<std::string> words;
    std::vector<std::string> forms;
    for (const VariantSpec& each : key.variants) {
      if (each.section == nullptr) {
        words.push_back(each.name);
      } else {
        forms.push_back(one_entry(each.name, section_schema(*each.section), each.summary));
      }
    }
    if (!words.empty()) forms.insert(forms.begin(), json_object({{"enum", json_strings(words)}}));
    return json_array(forms);
  }

  std::string step_schema() {
    std::vector<std::string> forms;
    for (const TransformSpec& spec : catalogue_.all()) {
      SectionSpec section{.title = spec.name, .summary = spec.summary, .keys = {}};
      for (const FieldSpec& field : spec.fields) section.keys.push_back({.field = field});
      forms.push_back(one_entry(spec.name, section_schema(section), spec.summary));
    }
    return json_object({{"anyOf", json_array(forms)}});
  }

  static std::string one_entry(const std::string& name, const std::string& schema,
                               const std::string& summary) {
    return json_object({{"type", R"("object")"},
                        {"description", json_string(summary)},
                        {"properties", json_object({{name, schema}})},
                        {"required", json_strings({name})},
                        {"additionalProperties", "false"}});
  }

  static bool passes(const KafkaProperty& property, PropertiesFor where) {
    return where != PropertiesFor::kNone && !why_owned(property.name) &&
           property_belongs(property, where);
  }

  const TransformCatalogue& catalogue_;
};

struct Component {
  std::string kind;
  std::string name;
  std::string summary;
  std::vector<std::string> fields;
};

std::vector<Component> components(const TransformCatalogue& catalogue) {
  std::vector<Component> result;
  for (const TransformSpec& spec : catalogue.all()) {
    Component& component = result.emplace_back(Component{"transform", spec.name, spec.summary, {}});
    for (const FieldSpec& field : spec.fields) component.fields.push_back(field.name);
  }
  for (const KeySpec& kind : configuration_spec().find("key_domains")->section->keys) {
    Component& component =
        result.emplace_back(Component{"key-domain", kind.field.name, kind.field.summary, {}});
    for (const KeySpec& key : kind.section->keys) component.fields.push_back(key.field.name);
  }
  return result;
}

}  // namespace

std::string json_schema(const TransformCatalogue& catalogue) { return Schema(catalogue).write(); }

std::string list_components(const TransformCatalogue& catalogue) {
  std::string out;
  for (const Component& each : components(catalogue)) {
    fmt::format_to(std::back_inserter(out), "{:<12}{:<12}{}\n", each.kind, each.name, each.summary);
  }
  return out;
}

std::string list_components_json(const TransformCatalogue& catalogue) {
  std::vector<std::string> items;
  for (const Component& each : components(catalogue)) {
    items.push_back(json_object({{"kind", json_string(each.kind)},
                                 {"name", json_string(each.name)},
                                 {"summary", json_string(each.summary)},
                                 {"fields", json_strings(each.fields)}}));
  }
  return json_indented(json_array(items));
}

}  // namespace drawbridge

// `drawbridge list`: what this build knows, from the specs that also read the configuration.
#include <fmt/format.h>

#include <iterator>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/json.h"
#include "bridge/app/terminal.h"
#include "bridge/base/error.h"
#include "bridge/keys/domains.h"
#include "config/reference.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

std::string_view name_of(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "text";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kBool:
      return "true or false";
    case FieldType::kDuration:
      return "duration";
    case FieldType::kSize:
      return "size";
    case FieldType::kChoice:
      return "choice";
    case FieldType::kList:
      return "list";
    case FieldType::kKeyDomain:
      return "key domain";
  }
  return "";
}

std::string type_of(const FieldSpec& field) {
  if (field.choices.empty()) return std::string(name_of(field.type));
  return fmt::format("{}", fmt::join(field.choices, " | "));
}

// ---- for people -----------------------------------------------------------------------------

void print_transforms(const Style& style) {
  for (const TransformSpec& spec : catalogue().all()) {
    fmt::print("{}  {}\n", style(Colour::kBold, spec.name), spec.summary);
    std::vector<std::vector<std::string>> rows;
    for (const FieldSpec& field : spec.fields) {
      const std::string note = field.required   ? "required"
                               : field.fallback ? "default " + *field.fallback
                                                : "";
      rows.push_back({"  " + field.name, type_of(field), note, field.summary});
    }
    fmt::print("{}\n", table(rows));
  }
}

void print_key_domains(const Style& style) {
  for (const KeyDomainKind& kind : key_domain_kinds()) {
    fmt::print("{}  {}\n", style(Colour::kBold, kind.name), kind.summary);
    std::vector<std::vector<std::string>> rows;
    for (const KeyDomainOption& option : kind.options) {
      rows.push_back({fmt::format("  {}", option.name), std::string(option.help)});
    }
    fmt::print("{}\n", table(rows));
  }
}

void print_errors() {
  std::vector<std::vector<std::string>> rows{{"ERROR", "CLASS", "MEANING", "WHAT TO DO"}};
  for (const ErrorInfo& error : all_errors()) {
    rows.push_back({std::string(error.name), std::string(drawbridge::name_of(error.error_class)),
                    std::string(error.meaning), std::string(error.remedy)});
  }
  fmt::print("{}", table(rows));
}

std::string steps_of(const PipelineOptions& pipeline) {
  std::vector<std::string_view> names;
  for (const TransformStep& step : pipeline.transforms) names.push_back(step.spec->name);
  return names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", "));
}

void print_pipelines(const Configuration& configuration) {
  std::vector<std::vector<std::string>> rows{{"PIPELINE", "FROM", "TOPICS", "TRANSFORMS", "TO"}};
  for (const PipelineOptions& pipeline : configuration.pipelines) {
    rows.push_back({pipeline.name, pipeline.source.name,
                    fmt::format("{}", fmt::join(pipeline.topics.include, ", ")), steps_of(pipeline),
                    fmt::format("{}: {}", pipeline.target.name, pipeline.target_topic)});
  }
  fmt::print("{}", table(rows));
}

// ---- for programs ---------------------------------------------------------------------------

void write_names(JsonWriter& json, std::string_view key, const std::vector<std::string>& names) {
  json.key(key).array();
  for (const std::string& name : names) json.value(name);
  json.end();
}

void write_transforms(JsonWriter& json) {
  json.array();
  for (const TransformSpec& spec : catalogue().all()) {
    json.object().field("name", spec.name).field("summary", spec.summary);
    json.field("description", spec.description).key("fields").array();
    for (const FieldSpec& field : spec.fields) {
      json.object().field("name", field.name).field("type", name_of(field.type));
      json.field("summary", field.summary).field("required", field.required);
      if (field.fallback) json.field("default", *field.fallback);
      if (!field.choices.empty()) write_names(json, "choices", field.choices);
      json.end();
    }
    json.end().end();
  }
  json.end();
}

void write_key_domains(JsonWriter& json) {
  json.array();
  for (const KeyDomainKind& kind : key_domain_kinds()) {
    json.object().field("name", kind.name).field("summary", kind.summary).key("options").array();
    for (const KeyDomainOption& option : kind.options) {
      json.object().field("name", option.name).field("summary", option.help).end();
    }
    json.end().end();
  }
  json.end();
}

void write_errors(JsonWriter& json) {
  json.array();
  for (const ErrorInfo& error : all_errors()) {
    json.object().field("name", error.name);
    json.field("class", drawbridge::name_of(error.error_class));
    json.field("meaning", error.meaning).field("remedy", error.remedy).end();
  }
  json.end();
}

void write_pipelines(JsonWriter& json, const Configuration& configuration) {
  json.array();
  for (const PipelineOptions& pipeline : configuration.pipelines) {
    json.object().field("name", pipeline.name).field("group", pipeline.group);
    json.field("dataset", pipeline.dataset);
    json.key("from").object().field("cluster", pipeline.source.name);
    write_names(json, "topics", pipeline.topics.include);
    write_names(json, "exclude", pipeline.topics.exclude);
    json.end().key("transforms").array();
    for (const TransformStep& step : pipeline.transforms) json.value(step.spec->name);
    json.end().key("to").object().field("cluster", pipeline.target.name);
    json.field("topic", pipeline.target_topic).end();
    json.field("shards", pipeline.shards).end();
  }
  json.end();
}

// ---- the command ----------------------------------------------------------------------------

int usage_error(const std::string& message) {
  fmt::print(stderr, "drawbridge: list: {}\n", message);
  return kExitUsage;
}

int list(const CommandLine& line) {
  const std::string what =
      line.options.contains("what") ? line.options["what"].as<std::string>() : "";
  const std::string format = line.options["format"].as<std::string>();
  if (format == "jsonschema") {
    if (!what.empty()) return usage_error("--format jsonschema is of the whole configuration");
    fmt::print("{}\n", json_schema(catalogue()));
    return kExitOk;
  }
  if (format != "text" && format != "json") {
    return usage_error(fmt::format("--format {}: text, json or jsonschema", format));
  }
  std::optional<Configuration> configuration;
  if (what == "pipelines") {
    if (!line.options.contains("config")) return usage_error("pipelines: needs -c FILE");
    configuration =
        load_or_report(line.options["config"].as<std::string>(), {.resolve_secrets = false});
    if (!configuration) return kExitConfiguration;
  } else if (!what.empty() && what != "transforms" && what != "key-domains" && what != "errors") {
    return usage_error(
        fmt::format("cannot list `{}`: transforms, key-domains, errors or pipelines", what));
  }
  if (format == "json") {
    if (what.empty()) {
      fmt::print("{}\n", list_components_json(catalogue()));
      return kExitOk;
    }
    JsonWriter json(2);
    if (what == "transforms") write_transforms(json);
    if (what == "key-domains") write_key_domains(json);
    if (what == "errors") write_errors(json);
    if (what == "pipelines") write_pipelines(json, *configuration);
    fmt::print("{}\n", json.take());
    return kExitOk;
  }
  const Style style = Style::of_stdout();
  if (what.empty()) fmt::print("{}", list_components(catalogue()));
  if (what == "transforms") print_transforms(style);
  if (what == "key-domains") print_key_domains(style);
  if (what == "errors") print_errors();
  if (what == "pipelines") print_pipelines(*configuration);
  return kExitOk;
}

}  // namespace

CommandSpec list_command() {
  return {"list",
          "list what this build knows, or a configuration's pipelines",
          "[transforms | key-domains | errors | pipelines -c FILE] [--format text|json|jsonschema]",
          [](po::options_description& options) {
            options.add_options()(
                "what", po::value<std::string>()->value_name("WHAT"),
                "transforms, key-domains, errors or pipelines, with their details");
            options.add_options()("config,c", po::value<std::string>()->value_name("FILE"),
                                  "configuration file, for pipelines");
            options.add_options()("format", po::value<std::string>()->default_value("text"),
                                  "text, json, or the configuration's jsonschema for editors");
          },
          {"what"},
          list};
}

}  // namespace drawbridge

#include "config/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "bridge/base/error.h"
#include "config/kafka_properties.h"
#include "config/spec.h"
#include "config/text.h"

namespace drawbridge {
namespace {

using config::KeySpec;
using config::SectionSpec;
using config::Shape;
using config::VariantSpec;

constexpr std::string_view kGenerated =
    "<!-- Generated from the specs: `drawbridge reference {0} > config/reference/{0}.md`. -->\n";

std::string code(std::string_view text) { return fmt::format("`{}`", text); }

std::string codes(const std::vector<std::string>& texts) {
  std::vector<std::string> result;
  result.reserve(texts.size());
  for (const std::string& text : texts) result.push_back(code(text));
  return config::joined(result);
}

// A table's cell: one line, no bars.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string range(const FieldSpec& field) {
  if (field.most == INT64_MAX) {
    return field.least == 0 ? std::string() : fmt::format(", at least {}", field.least);
  }
  return fmt::format(", {} to {}", field.least, field.most);
}

std::string type_of(const FieldSpec& field) {
  switch (field.type) {
    case FieldType::kString:
      return "text";
    case FieldType::kInteger:
      return "whole number" + range(field);
    case FieldType::kBool:
      return "`true` or `false`";
    case FieldType::kDuration:
      return "duration";
    case FieldType::kSize:
      return "size";
    case FieldType::kChoice:
      return "one of " + codes(field.choices);
    case FieldType::kList:
      if (field.names_key_domains) return "list of key domains";
      return field.choices.empty() ? "list of texts" : "list of " + codes(field.choices);
    case FieldType::kKeyDomain:
      return "a key domain";
  }
  return {};
}

// A text that is more than text.
std::string type_of(const FieldSpec& field, config::Rule rule) {
  using config::Rule;
  switch (rule) {
    case Rule::kNone:
      return type_of(field);
    case Rule::kName:
      return "name";
    case Rule::kServers:
      return "`host:port,host:port`";
    case Rule::kCluster:
      return "a cluster";
    case Rule::kTopics:
      return "list of topics and `^` expressions";
    case Rule::kTemplate:
      return "topic template";
    case Rule::kStart:
      return "`earliest`, `latest` or a time";
    case Rule::kSecret:
      return "secret reference";
    case Rule::kSecretable:
      return "text or secret reference";
    case Rule::kCredential:
      return "path or `${cred:NAME}`";
    case Rule::kVariables:
      return "list of names";
  }
  return {};
}

std::string type_of(const KeySpec& key) {
  switch (key.shape) {
    case Shape::kField:
      return type_of(key.field, key.rule);
    case Shape::kSection:
      return fmt::format("map, see `{}`", key.section->title);
    case Shape::kSwitch:
      return fmt::format("`true`, `false` or a map, see `{}`", key.section->title);
    case Shape::kNamed:
      return fmt::format("map of names, see `{}`", key.section->title);
    case Shape::kVariant: {
      std::vector<std::string> forms;
      for (const VariantSpec& each : key.variants) {
        forms.push_back(code(each.section == nullptr ? each.name : each.name + ": {...}"));
      }
      return "one of " + config::joined(forms);
    }
    case Shape::kSteps:
      return "list of transforms";
  }
  return {};
}

std::string default_of(const KeySpec& key) {
  if (key.field.required) return "**required**";
  if (!key.computed_text.empty()) return key.computed_text;
  if (!key.field.fallback || *key.field.fallback == "{}") return "";
  return code(*key.field.fallback);
}

void write_keys(const SectionSpec& section, std::string& out) {
  out += "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const KeySpec& key : section.keys) {
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {} |\n", key.field.name,
                   cell(type_of(key)), cell(default_of(key)), cell(key.field.summary));
  }
  for (const KeySpec& key : section.keys) {
    if (key.shape != Shape::kVariant) continue;
    fmt::format_to(std::back_inserter(out), "\n`{}`:\n\n", key.field.name);
    for (const VariantSpec& each : key.variants) {
      fmt::format_to(
          std::back_inserter(out), "- `{}`: {}{}\n", each.name, each.summary,
          each.section == nullptr ? std::string() : fmt::format(" See `{}`.", each.section->title));
    }
  }
}

constexpr std::string_view kConfigurationHead = R"(
# Configuration

One YAML file, read by every command with `-c FILE`. `drawbridge lint` checks it, `drawbridge echo` prints it in full with all defaults. Every error is told with its place, `FILE:LINE:COL: message`, all at once.

- Unknown and repeated keys are errors.
- Names (clusters, key domains, pipelines) are 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit.
- Durations are whole numbers with a unit: `250ms`, `1s`, `10m`, `24h`, `7d`. Sizes are bytes or have a unit: `64MiB`, `1GB`.
- A relative path is relative to the configuration file. Lint opens no connection, yet looks whether the certificates and keyrings that the file names can be read; `--elsewhere` makes those that are not here warnings, for a configuration of another machine. Secrets that are not here are warnings, with `--secrets` errors.
- Anchors and aliases (`&name`, `*name`) work for whole values; merge keys (`<<`) and tags (`!name`) are refused.

## Secrets

Passwords and private keys never stand in the file. They are given by reference, which must be the whole value:

| reference | reads |
|---|---|
| `${file:PATH}` | the file's content, without the newline at its end |
| `${file:PATH:KEY}` | the value of KEY in a file of `KEY=VALUE` lines |
| `${cred:NAME}` | the systemd credential NAME (`LoadCredential=`) |
| `${env:NAME}` | the environment variable NAME, if `daemon.secrets.env` lists it |

References stand where the tables say so, and in the client library's properties that hold secrets. They are read when the configuration is loaded, and never printed.

## Topics

Topic lists hold names and, with a leading `^`, regular expressions in [RE2's syntax](https://github.com/google/re2/wiki/Syntax) that must match the whole name. Topics that begin with `__` are internal: read only where a list names them literally. Topics that begin with `__drawbridge`, and the dead-letter topics of every pipeline in the file, are never read. A pipeline that would read what it writes, by itself or through other pipelines, is an error.

)";

constexpr std::string_view kPropertiesHead = R"(
## The client library's properties

Properties of librdkafka 2.0.2 pass through by their own names: under a cluster for all of its clients, under `from` for the consumer, under `to` for the producer. A property under `from` or `to` wins over the cluster's. Connection, TLS and SASL properties stand under the cluster only. `ssl.key.password`, `ssl.key.pem`, `ssl.keystore.password`, `sasl.password` and `sasl.oauthbearer.client.secret` are taken as secret references only.

The bridge sets these itself and refuses them:

| property | why |
|---|---|
)";

std::string configuration_page() {
  std::string out(kConfigurationHead.substr(1));
  for (const SectionSpec* section : config::all_sections()) {
    fmt::format_to(std::back_inserter(out), "## {}\n\n{}\n\n",
                   section->title == "The file" ? section->title : code(section->title),
                   section->summary);
    write_keys(*section, out);
    out += '\n';
  }
  out.pop_back();
  out += kPropertiesHead;
  for (const config::KafkaProperty& property : config::kafka_properties()) {
    const auto reason = config::why_owned(property.name);
    if (!reason || property.type == config::PropertyType::kApi) continue;
    fmt::format_to(std::back_inserter(out), "| `{}` | {} |\n", property.name, cell(*reason));
  }
  out += "\nProperties that only a program can set (callbacks and the like) are refused too.\n";
  return out;
}

std::string_view form_name(Form form) {
  return form == Form::kClear ? "in clear" : "sealed in an envelope";
}

std::string transforms_page(const TransformCatalogue& catalogue) {
  std::string out =
      "# Transforms\n\nThe steps of a pipeline's `transforms`, in the order in which they are "
      "written: `- name: {field: value}`. Lint follows the form of values through the chain and "
      "refuses a step that could not read what it gets.\n";
  for (const TransformSpec& spec : catalogue.all()) {
    fmt::format_to(std::back_inserter(out), "\n## `{}`\n\n{}\n", spec.name, spec.summary);
    if (!spec.description.empty()) {
      fmt::format_to(std::back_inserter(out), "\n{}\n", spec.description);
    }
    if (spec.takes || spec.leaves) {
      fmt::format_to(std::back_inserter(out), "\nTakes values {}; leaves them {}.\n",
                     spec.takes ? form_name(*spec.takes) : "of either form",
                     spec.leaves ? form_name(*spec.leaves) : "as they were");
    }
    if (spec.fields.empty()) continue;
    out += "\n| field | value | default | meaning |\n|---|---|---|---|\n";
    for (const FieldSpec& field : spec.fields) {
      KeySpec key;
      key.field = field;
      fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {} |\n", field.name,
                     cell(type_of(key)), cell(default_of(key)), cell(field.summary));
    }
  }
  return out;
}

std::string_view consequence(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kRetry:
      return "tried again for ever, with back-off and a log line";
    case ErrorClass::kPause:
      return "the shard pauses, consumes nothing, and tries again";
    case ErrorClass::kRecord:
      return "the record goes to the pipeline's failure policy (`on-error`)";
    case ErrorClass::kPipeline:
      return "the pipeline fails and is restarted with back-off";
    case ErrorClass::kStop:
      return "the pipeline fails and stays failed until a person acts";
  }
  return {};
}

std::string errors_page() {
  std::string out =
      "# Errors\n\nEvery error has a name, which stands in logs, in dead letters and in metrics, "
      "and a class, which decides what happens next.\n\n| class | what happens |\n|---|---|\n";
  for (const ErrorClass each : {ErrorClass::kRetry, ErrorClass::kPause, ErrorClass::kRecord,
                                ErrorClass::kPipeline, ErrorClass::kStop}) {
    fmt::format_to(std::back_inserter(out), "| {} | {} |\n", name_of(each), consequence(each));
  }
  out += "\n| error | class | meaning | what to do |\n|---|---|---|---|\n";
  for (const ErrorInfo& each : all_errors()) {
    fmt::format_to(std::back_inserter(out), "| `{}` | {} | {} | {} |\n", each.name,
                   name_of(each.error_class), cell(each.meaning), cell(each.remedy));
  }
  return out;
}

}  // namespace

const std::vector<std::string>& reference_pages() {
  static const std::vector<std::string> pages{"configuration", "errors", "transforms"};
  return pages;
}

Result<std::string> reference_page(std::string_view name, const TransformCatalogue& catalogue) {
  const std::string head = fmt::format(fmt::runtime(kGenerated), name);
  if (name == "configuration") return head + configuration_page();
  if (name == "errors") return head + errors_page();
  if (name == "transforms") return head + transforms_page(catalogue);
  return fail(ErrorCode::kNotFound, "no reference page `{}`; there are {}", name,
              config::joined(reference_pages()));
}

}  // namespace drawbridge

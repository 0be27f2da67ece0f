#include "config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "bridge/pipeline/topic_selector.h"
#include "bridge/pipeline/topic_template.h"
#include "config/kafka_properties.h"
#include "config/secrets.h"
#include "config/text.h"

namespace drawbridge::config {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::string_view kNameRule =
    "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit";

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Names become part of group ids, topic names and paths.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && letter_or_digit(text.front()) &&
         std::ranges::all_of(
             text, [](char c) { return letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_variable(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return letter_or_digit(c) || c == '_'; });
}

// One of a list of brokers: [PROTOCOL://]HOST[:PORT].
bool is_server(std::string_view text) {
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    if (scheme == 0) return false;
    text.remove_prefix(scheme + 3);
  }
  const std::size_t colon = text.rfind(':');
  std::string_view host = text;
  if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
    const auto port = parse_integer(text.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) return false;
    host = text.substr(0, colon);
  }
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    return letter_or_digit(c) || c == '.' || c == '_' || c == '-' || c == ':' || c == '[' ||
           c == ']' || c == '%';
  });
}

bool are_servers(std::string_view text) {
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (!is_server(one)) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

std::string under(const std::string& path, std::string_view key) {
  return path.empty() ? printable(key) : path + "." + printable(key);
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const auto near = nearest(word, known);
  return near ? fmt::format("; did you mean `{}`?", *near) : std::string();
}

std::string describe(const Node& node, bool secret) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kScalar:
      if (secret) return "a plain value";
      return node.quoted ? fmt::format("the text \"{}\"", printable(node.text))
                         : fmt::format("`{}`", printable(node.text));
  }
  return "this";
}

std::vector<std::string> key_names(const SectionSpec& spec) {
  std::vector<std::string> names;
  for (const KeySpec& key : spec.keys) names.push_back(key.field.name);
  return names;
}

// Not secrets, yet often kept with them.
bool may_be_reference(std::string_view property) {
  return property == "sasl.username" || property == "ssl.ca.pem" ||
         property == "ssl.certificate.pem" || property == "sasl.oauthbearer.config" ||
         property == "sasl.oauthbearer.client.id";
}

// The short key that sets a property too, where it stands in the cluster's section.
const char* set_by(std::string_view property, const Node& cluster) {
  const bool tls = cluster.entry("tls") != nullptr;
  const bool auth = cluster.entry("auth") != nullptr;
  if (property == "security.protocol") return tls ? "tls" : auth ? "auth" : nullptr;
  if (auth && (property == "sasl.mechanism" || property == "sasl.mechanisms" ||
               property == "sasl.username" || property == "sasl.password")) {
    return "auth";
  }
  if (tls && (property.starts_with("ssl.ca.") || property.starts_with("ssl.certificate.") ||
              property.starts_with("ssl.key.") || property.starts_with("ssl.keystore."))) {
    return "tls";
  }
  return nullptr;
}

// Moves every node of a default to the place of the section that it stands in.
void move_to(Node& node, Place at) {
  node.at = at;
  for (const NodePtr& item : node.items) move_to(*item, at);
  for (Node::Entry& entry : node.entries) {
    entry.at = at;
    move_to(*entry.value, at);
  }
}

std::string text_of(const NodePtr& map, std::string_view key) {
  if (!map) return {};
  const NodePtr value = map->find(key);
  return value && value->kind == Node::Kind::kScalar ? value->text : std::string();
}

std::vector<std::string> declared(const NodePtr& map) {
  std::vector<std::string> names;
  if (map) {
    for (const Node::Entry& entry : map->entries) names.push_back(entry.key);
  }
  return names;
}

}  // namespace

Reader::Reader(const TransformCatalogue& catalogue, Problems& problems)
    : catalogue_(catalogue), problems_(problems) {}

NodePtr Reader::read(const NodePtr& root) {
  if (root->kind != Node::Kind::kMap) {
    problems_.error(root->at, fmt::format("a configuration is a map with the keys {}",
                                          joined(key_names(configuration_spec()))));
    return nullptr;
  }
  clusters_ = declared(root->find("clusters"));
  key_domains_ = declared(root->find("key_domains"));
  daemon_name_ = text_of(root->find("daemon"), "name");
  if (!is_name(daemon_name_))
    daemon_name_ = *configuration_spec().find("daemon")->section->find("name")->field.fallback;
  return section(*root, configuration_spec(), "");
}

NodePtr Reader::section(const Node& node, const SectionSpec& spec, const std::string& path) {
  if (node.kind == Node::Kind::kScalar && !spec.shorthand.empty()) {
    Node written;
    written.kind = Node::Kind::kMap;
    written.at = node.at;
    written.entries.push_back({node.at, spec.shorthand, std::make_shared<Node>(node)});
    return section(written, spec, path);
  }
  if (node.kind != Node::Kind::kMap && node.kind != Node::Kind::kNull) {
    expected(node, path, fmt::format("a map with the keys {}", joined(key_names(spec))), true);
    return nullptr;
  }
  Node read;
  for (const Node::Entry& each : node.entries) entry(each, spec, path, read);
  if (spec.one_of && node.entries.size() != 1) {
    problems_.error(node.at,
                    fmt::format("`{}` needs exactly one of {}", path, joined(key_names(spec))));
    return nullptr;
  }
  NodePtr result = make_map(node.at);
  for (const KeySpec& key : spec.keys) {
    if (const Node::Entry* given = read.entry(key.field.name)) {
      result->entries.push_back(*given);
    } else if (node.entry(key.field.name) == nullptr && !spec.one_of) {
      absent(key, node, path, *result);
    }
  }
  std::map<std::string_view, std::string_view> canonical;
  for (const Node::Entry& each : read.entries) {
    if (spec.find(each.key) != nullptr) continue;
    const char* short_key =
        spec.properties == PropertiesFor::kCluster ? set_by(each.key, node) : nullptr;
    if (short_key != nullptr) {
      problems_.error(each.at, fmt::format("`{}` cannot be set: `{}` sets it",
                                           under(path, each.key), short_key));
    }
    const auto [first, fresh] =
        canonical.emplace(find_kafka_property(each.key)->canonical(), each.key);
    if (!fresh) {
      problems_.error(each.at,
                      fmt::format("`{}` and `{}` are the same property", each.key, first->second));
    }
    result->entries.push_back(each);
  }
  return result;
}

void Reader::entry(const Node::Entry& entry, const SectionSpec& spec, const std::string& path,
                   Node& result) {
  NodePtr read;
  if (const KeySpec* key = spec.find(entry.key)) {
    read = value(entry.value, *key, under(path, entry.key));
  } else if (spec.properties != PropertiesFor::kNone && find_kafka_property(entry.key) != nullptr) {
    read = property(entry, spec, path);
  } else {
    unknown(entry, spec, path);
  }
  if (read) result.entries.push_back({entry.at, entry.key, std::move(read)});
}

void Reader::absent(const KeySpec& key, const Node& node, const std::string& path, Node& result) {
  if (key.field.required) {
    problems_.error(node.at,
                    fmt::format("{} lacks `{}`: {}",
                                path.empty() ? "the configuration" : fmt::format("`{}`", path),
                                key.field.name, key.field.summary));
    return;
  }
  NodePtr fallback;
  if (const auto text = computed(key.computed)) {
    fallback = make_scalar(*text, node.at);
  } else if (key.field.fallback) {
    fallback = parse_yaml(*key.field.fallback).root;
    move_to(*fallback, node.at);
    fallback = value(fallback, key, under(path, key.field.name));
  }
  if (fallback) result.entries.push_back({node.at, key.field.name, std::move(fallback)});
}

void Reader::unknown(const Node::Entry& entry, const SectionSpec& spec, const std::string& path) {
  const std::string where =
      path.empty() ? std::string("the configuration") : fmt::format("`{}`", path);
  for (const KeySpec& key : spec.keys) {
    if (key.shape == Shape::kSection && key.section->find(entry.key) != nullptr) {
      return problems_.error(entry.at, fmt::format("unknown key `{}` in {}; it stands under `{}`",
                                                   printable(entry.key), where, key.field.name));
    }
  }
  std::vector<std::string> known = key_names(spec);
  const std::string listed = joined(known);
  for (const KafkaProperty& property : kafka_properties()) {
    if (property_belongs(property, spec.properties) && !why_owned(property.name)) {
      known.emplace_back(property.name);
    }
  }
  const std::string hint = did_you_mean(entry.key, known);
  problems_.error(
      entry.at,
      fmt::format("unknown key `{}` in {}{}", printable(entry.key), where,
                  !hint.empty() ? hint
                  : spec.properties == PropertiesFor::kNone
                      ? fmt::format("; there are {}", listed)
                      : fmt::format("; there are {} and the client library's properties", listed)));
}

NodePtr Reader::value(const NodePtr& node, const KeySpec& key, const std::string& path) {
  switch (key.shape) {
    case Shape::kField:
      return field(node, key.field, key.rule, path);
    case Shape::kSection:
      return section(*node, *key.section, path);
    case Shape::kSwitch: {
      if (node->kind == Node::Kind::kMap) return section(*node, *key.section, path);
      const auto on = node->quoted ? std::nullopt : parse_bool(node->text);
      if (!on) {
        expected(*node, path, "true, false or a map");
        return nullptr;
      }
      if (*on) return section(*make_map(node->at), *key.section, path);
      return make_scalar("false", node->at);
    }
    case Shape::kNamed:
      return named(*node, key, path);
    case Shape::kVariant:
      return variant(*node, key, path);
    case Shape::kSteps:
      return steps(*node, path);
  }
  return nullptr;
}

NodePtr Reader::named(const Node& node, const KeySpec& key, const std::string& path) {
  const bool empty =
      node.kind == Node::Kind::kNull || (node.kind == Node::Kind::kMap && node.entries.empty());
  if ((node.kind != Node::Kind::kMap && !empty) || (empty && key.field.required)) {
    expected(node, path, "a map of names, each with its section", true);
    return nullptr;
  }
  NodePtr result = make_map(node.at);
  for (const Node::Entry& each : node.entries) {
    const std::size_t before = problems_.errors();
    if (!is_name(each.key)) {
      problems_.error(each.at, fmt::format("`{}` is not a name in `{}`: {}", printable(each.key),
                                           path, kNameRule));
    }
    pipeline_ = each.key;
    source_cluster_ = text_of(each.value->find("from"), "cluster");
    target_cluster_ = text_of(each.value->find("to"), "cluster");
    NodePtr read = section(*each.value, *key.section, under(path, each.key));
    if (read && problems_.errors() == before) {
      result->entries.push_back({each.at, each.key, std::move(read)});
    }
  }
  return result;
}

NodePtr Reader::variant(const Node& node, const KeySpec& key, const std::string& path) {
  std::vector<std::string> names;
  std::vector<std::string> forms;
  for (const VariantSpec& each : key.variants) {
    names.push_back(each.name);
    forms.push_back(each.section == nullptr ? each.name : fmt::format("{{{}: ...}}", each.name));
  }
  const bool word = node.kind == Node::Kind::kScalar;
  const bool map = node.kind == Node::Kind::kMap && node.entries.size() == 1;
  if (!word && !map) {
    expected(node, path, fmt::format("one of {}", joined(forms)), true);
    return nullptr;
  }
  const std::string& name = word ? node.text : node.entries.front().key;
  const Place at = word ? node.at : node.entries.front().at;
  const auto found = std::ranges::find(key.variants, name, &VariantSpec::name);
  if (found == key.variants.end()) {
    problems_.error(
        at, fmt::format("`{}` is one of {}{}", path, joined(forms), did_you_mean(name, names)));
    return nullptr;
  }
  if (found->section == nullptr) {
    if (word) return make_scalar(name, node.at);
    problems_.error(at, fmt::format("`{}` stands alone: `{}: {}`", name, key.field.name, name));
    return nullptr;
  }
  if (word) {
    problems_.error(
        at, fmt::format("`{}` needs its keys: `{}: {{{}: {{...}}}}`", name, key.field.name, name));
    return nullptr;
  }
  NodePtr inside = section(*node.entries.front().value, *found->section, under(path, name));
  if (!inside) return nullptr;
  NodePtr result = make_map(node.at);
  result->entries.push_back({at, name, std::move(inside)});
  return result;
}

NodePtr Reader::steps(const Node& node, const std::string& path) {
  if (node.kind != Node::Kind::kList && node.kind != Node::Kind::kNull) {
    expected(node, path, "a list of transforms, `- name: {...}`");
    return nullptr;
  }
  auto result = std::make_shared<Node>();
  result->kind = Node::Kind::kList;
  result->at = node.at;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    if (NodePtr read = step(*node.items[i], fmt::format("{}[{}]", path, i + 1))) {
      result->items.push_back(std::move(read));
    }
  }
  return result;
}

NodePtr Reader::step(const Node& node, const std::string& path) {
  const bool word = node.kind == Node::Kind::kScalar;
  const bool map = node.kind == Node::Kind::kMap && node.entries.size() == 1;
  if (!word && !map) {
    expected(node, path, "a transform, `name: {...}`");
    return nullptr;
  }
  const std::string& name = word ? node.text : node.entries.front().key;
  const Place at = word ? node.at : node.entries.front().at;
  const TransformSpec* spec = catalogue_.find(name);
  if (spec == nullptr) {
    std::vector<std::string> names;
    for (const TransformSpec& each : catalogue_.all()) names.push_back(each.name);
    const std::string hint = did_you_mean(name, names);
    problems_.error(at, fmt::format("unknown transform `{}`{}", printable(name),
                                    hint.empty() ? "; there are " + joined(names) : hint));
    return nullptr;
  }
  SectionSpec fields{.title = name, .summary = spec->summary, .keys = {}};
  for (const FieldSpec& each : spec->fields) fields.keys.push_back({.field = each});
  const NodePtr given = word ? make_map(at) : node.entries.front().value;
  NodePtr read = section(*given, fields, under(path, name));
  if (!read) return nullptr;
  NodePtr result = make_map(node.at);
  result->entries.push_back({at, name, std::move(read)});
  return result;
}

NodePtr Reader::field(const NodePtr& node, const FieldSpec& spec, Rule rule,
                      const std::string& path) {
  if (!check_type(*node, spec, rule, path)) return nullptr;
  bool good = true;
  if (node->kind == Node::Kind::kList) {
    for (const NodePtr& item : node->items) {
      if (item->kind != Node::Kind::kScalar || item->text.empty()) {
        expected(*item, path, "a list of texts");
        good = false;
        continue;
      }
      if (!spec.choices.empty() &&
          std::ranges::find(spec.choices, item->text) == spec.choices.end()) {
        expected(*item, path, fmt::format("some of {}", joined(spec.choices)));
        good = false;
      }
      if (spec.names_key_domains) good &= check_reference(*item, key_domains_, "key domain", path);
      good &= check_rule(*item, rule, path);
    }
  } else {
    if (spec.type == FieldType::kKeyDomain) {
      good = check_reference(*node, key_domains_, "key domain", path);
    }
    good &= check_rule(*node, rule, path);
  }
  return good ? node : nullptr;
}

bool Reader::check_type(const Node& node, const FieldSpec& spec, Rule rule,
                        const std::string& path) {
  const bool secret = rule == Rule::kSecret;
  const auto wrong = [&](const std::string& what) {
    expected(node, path, what, secret);
    return false;
  };
  const bool scalar = node.kind == Node::Kind::kScalar;
  const bool plain = scalar && !node.quoted;
  const auto in_range = [&](std::optional<std::int64_t> number) {
    return number && *number >= spec.least && *number <= spec.most;
  };
  switch (spec.type) {
    case FieldType::kString:
    case FieldType::kKeyDomain:
      if (!scalar || node.text.empty()) return wrong("text");
      return true;
    case FieldType::kInteger:
      if (plain && in_range(parse_integer(node.text))) return true;
      if (spec.most == INT64_MAX) {
        return wrong(fmt::format("a whole number of at least {}", spec.least));
      }
      return wrong(fmt::format("a whole number from {} to {}", spec.least, spec.most));
    case FieldType::kBool:
      if (plain && parse_bool(node.text)) return true;
      return wrong("true or false");
    case FieldType::kDuration:
      if (scalar && in_range(parse_duration(node.text))) return true;
      if (scalar && parse_duration(node.text)) {
        return wrong(fmt::format("a duration from {}ms to {}ms", spec.least, spec.most));
      }
      return wrong("a duration such as 250ms, 1s, 10m or 24h");
    case FieldType::kSize:
      if (scalar && in_range(parse_size(node.text))) return true;
      if (scalar && parse_size(node.text)) {
        return wrong(fmt::format("a size from {} to {} bytes", spec.least, spec.most));
      }
      return wrong("a size such as 64MiB, 1GB or 1000");
    case FieldType::kChoice:
      if (scalar && std::ranges::find(spec.choices, node.text) != spec.choices.end()) return true;
      if (scalar) {
        problems_.error(node.at,
                        fmt::format("`{}` expects one of {}, not {}{}", path, joined(spec.choices),
                                    describe(node, false), did_you_mean(node.text, spec.choices)));
        return false;
      }
      return wrong("one of " + joined(spec.choices));
    case FieldType::kList:
      if (node.kind != Node::Kind::kList) return wrong("a list, `[a, b]`");
      if (spec.required && node.items.empty()) return wrong("a list of at least one");
      return true;  // field() looks at its items
  }
  return false;
}

bool Reader::check_rule(const Node& node, Rule rule, const std::string& path) {
  const std::string& text = node.text;
  const auto wrong = [&](std::string_view what) {
    problems_.error(node.at, fmt::format("`{}`: {}", path, what));
    return false;
  };
  switch (rule) {
    case Rule::kNone:
      return true;
    case Rule::kName:
      return is_name(text) ||
             wrong(fmt::format("`{}` is not a name: {}", printable(text), kNameRule));
    case Rule::kServers:
      return are_servers(text) ||
             wrong(fmt::format("`{}` is not a list of brokers, `host:port,host:port`",
                               printable(text)));
    case Rule::kCluster:
      return check_reference(node, clusters_, "cluster", path);
    case Rule::kTopics: {
      const auto compiled = TopicEntries::compile({text});
      if (!compiled) return wrong(compiled.error().message);
      if (!is_pattern(text) && own_topic(text)) {
        return wrong(
            fmt::format("`{}` is a topic of the bridge itself, which no pipeline reads", text));
      }
      return true;
    }
    case Rule::kTemplate: {
      const auto compiled = TopicTemplate::compile(text, {source_cluster_, pipeline_});
      if (!compiled) return wrong(compiled.error().message);
      if (own_topic(compiled->prefix())) {
        return wrong(fmt::format("topics that begin with `{}` belong to the bridge itself",
                                 kOwnTopicPrefix));
      }
      return true;
    }
    case Rule::kStart:
      return text == "earliest" || text == "latest" || parse_time(text) ||
             wrong(fmt::format("`{}` is neither `earliest` nor `latest` nor a time such as "
                               "2026-01-31T00:00:00Z",
                               printable(text)));
    case Rule::kSecret:
      if (!is_reference(text)) {
        return wrong(
            "a secret cannot stand in the configuration; put it into a file and refer to "
            "it: ${file:PATH}, ${cred:NAME} or ${env:NAME}");
      }
      [[fallthrough]];
    case Rule::kSecretable: {
      if (text.find("PRIVATE KEY-----") != std::string::npos) {
        return wrong("a private key cannot stand in the configuration; give its path");
      }
      if (!is_reference(text)) return true;
      const auto reference = parse_reference(text);
      return reference || wrong(reference.error().message);
    }
    case Rule::kCredential: {
      if (!is_reference(text)) return true;
      const auto reference = parse_reference(text);
      if (reference && reference->kind == SecretKind::kCredential) return true;
      return wrong("a path, or ${cred:NAME}");
    }
    case Rule::kVariables:
      return is_variable(text) ||
             wrong(fmt::format("`{}` is not the name of an environment variable", printable(text)));
  }
  return false;
}

bool Reader::check_reference(const Node& node, const Names& names, std::string_view what,
                             const std::string& path) {
  if (std::ranges::find(names, node.text) != names.end()) return true;
  const std::string hint = did_you_mean(node.text, names);
  problems_.error(node.at, fmt::format("`{}`: unknown {} `{}`{}", path, what, printable(node.text),
                                       !hint.empty()   ? hint
                                       : names.empty() ? fmt::format("; none is configured")
                                                       : "; there are " + joined(names)));
  return false;
}

NodePtr Reader::property(const Node::Entry& entry, const SectionSpec& spec,
                         const std::string& path) {
  const KafkaProperty& property = *find_kafka_property(entry.key);
  const std::string at = under(path, entry.key);
  const auto refuse = [&](const std::string& why) -> NodePtr {
    problems_.error(entry.at, fmt::format("`{}` cannot be set: {}", at, why));
    return nullptr;
  };
  if (const auto reason = why_owned(property.name)) return refuse(std::string(*reason));
  if (!property_belongs(property, spec.properties)) {
    switch (property.scope) {
      case PropertyScope::kBoth:
        return refuse("it belongs to the cluster, so that all of its clients are alike");
      case PropertyScope::kProducer:
        return refuse("it is a producer's; it stands under `to` or a cluster");
      case PropertyScope::kConsumer:
        return refuse("it is a consumer's; it stands under `from` or a cluster");
    }
  }
  const Node& node = *entry.value;
  if (node.kind != Node::Kind::kScalar) {
    expected(node, at, "text or a number", property.secret);
    return nullptr;
  }
  const Rule rule = property.secret                   ? Rule::kSecret
                    : may_be_reference(property.name) ? Rule::kSecretable
                                                      : Rule::kNone;
  if (rule != Rule::kNone) return check_rule(node, rule, at) ? entry.value : nullptr;
  if (is_reference(node.text)) {
    return refuse("references are for secrets; write the value itself");
  }
  if (const auto wrong = check_property(property, node.text)) {
    problems_.error(node.at,
                    fmt::format("`{}` {}, not {}", at, *wrong, describe(node, property.secret)));
    return nullptr;
  }
  return entry.value;
}

std::optional<std::string> Reader::computed(Computed how) const {
  switch (how) {
    case Computed::kNone:
      return std::nullopt;
    case Computed::kGroup:
      return "drawbridge-" + pipeline_;
    case Computed::kDataset:
      return pipeline_;
    case Computed::kDeadLetterCluster:
      return target_cluster_;
    case Computed::kStateDirectory: {
      const char* directory = std::getenv("STATE_DIRECTORY");
      if (directory != nullptr && *directory != '\0') {
        const std::string all = directory;  // systemd separates several by colons
        return all.substr(0, all.find(':'));
      }
      return "/var/lib/drawbridge/" + daemon_name_;
    }
  }
  return std::nullopt;
}

void Reader::expected(const Node& node, const std::string& path, const std::string& what,
                      bool secret) {
  problems_.error(node.at,
                  fmt::format("`{}` expects {}, not {}", path, what, describe(node, secret)));
}

}  // namespace drawbridge::config

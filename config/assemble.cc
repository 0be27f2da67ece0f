#include "config/assemble.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "bridge/keys/domains.h"
#include "config/kafka_properties.h"
#include "config/lint.h"
#include "config/secrets.h"
#include "config/text.h"

namespace drawbridge::config {
namespace {

// The Reader has checked and completed the tree: what a key must hold, it holds.
const Node& at(const Node& map, std::string_view key) { return *map.find(key); }
const std::string& text(const Node& map, std::string_view key) { return at(map, key).text; }
std::int64_t integer(const Node& map, std::string_view key) {
  return parse_integer(text(map, key)).value_or(0);
}
Duration duration(const Node& map, std::string_view key) {
  return std::chrono::milliseconds(parse_duration(text(map, key)).value_or(0));
}
std::vector<std::string> texts(const Node& list) {
  std::vector<std::string> result;
  for (const NodePtr& item : list.items) result.push_back(item->text);
  return result;
}
std::vector<std::string> texts(const Node& map, std::string_view key) {
  const NodePtr list = map.find(key);
  return list ? texts(*list) : std::vector<std::string>();
}

template <typename T>
T chosen(const Node& map, std::string_view key,
         std::initializer_list<std::pair<std::string_view, T>> choices) {
  const std::string& word = text(map, key);
  for (const auto& [name, choice] : choices) {
    if (word == name) return choice;
  }
  return choices.begin()->second;
}

// Properties by the client that they are for.
struct SortedProperties {
  Properties both;
  Properties consumer;
  Properties producer;
};

struct Cluster {
  std::string name;
  SortedProperties properties;
};

class Assembler {
 public:
  Assembler(const TransformCatalogue& catalogue, const std::string& directory,
            const LoadOptions& options, Problems& problems)
      : catalogue_(catalogue), options_(options), problems_(problems) {
    sources_.directory = directory;
  }

  Configuration run(const Node& root) {
    Configuration result;
    const NodePtr daemon = root.find("daemon");
    if (daemon) result.daemon = read_daemon(*daemon);
    daemon_name_ = result.daemon.name;
    instance_ = result.daemon.instance;
    for_each(root, "clusters", [&](const Node::Entry& each) {
      clusters_.push_back({each.key, read_cluster(each)});
      result.clusters.push_back({each.key, clusters_.back().properties.both});
    });
    for_each(root, "key_domains",
             [&](const Node::Entry& each) { result.key_domains.push_back(read_key_domain(each)); });
    std::vector<PipelinePlaces> places;
    for_each(root, "pipelines", [&](const Node::Entry& each) {
      places.push_back(places_of(each));
      result.pipelines.push_back(read_pipeline(each));
    });
    lint(result, places, problems_);
    return result;
  }

 private:
  template <typename Function>
  static void for_each(const Node& root, std::string_view key, Function&& function) {
    if (const NodePtr map = root.find(key)) {
      for (const Node::Entry& each : map->entries) function(each);
    }
  }

  std::string secret(const Node& node) {
    if (!is_reference(node.text) || !options_.resolve_secrets) return node.text;
    auto value = parse_reference(node.text).and_then(
        [&](const SecretReference& reference) { return resolve_secret(reference, sources_); });
    if (value) return std::move(*value);
    problems_.error(node.at, value.error().message);
    return {};
  }

  static std::string instance(const std::string& written) {
    if (written != "hostname") return written;
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : std::string();
  }

  std::string path(const std::string& written) const {
    return path_in(sources_.directory, written);
  }

  void check_file(const Node& node, const std::string& file) {
    if (!options_.check_files || access(file.c_str(), R_OK) == 0) return;
    const int error = errno;
    problems_.error(node.at,
                    fmt::format("the file `{}` cannot be read: {}", file, std::strerror(error)));
  }

  // The path of a file that a node names.
  std::string file(const Node& node) {
    std::string result = path(node.text);
    check_file(node, result);
    return result;
  }

  DaemonOptions read_daemon(const Node& node) {
    DaemonOptions daemon;
    // Invalid parts were left out by the reader, which has said why.
    if (node.find("name")) daemon.name = text(node, "name");
    if (node.find("state-directory")) daemon.state_directory = path(text(node, "state-directory"));
    if (node.find("instance")) daemon.instance = instance(text(node, "instance"));
    if (const NodePtr log = node.find("log")) {
      if (log->find("format")) {
        daemon.log.format = chosen<LogFormat>(
            *log, "format", {{"text", LogFormat::kText}, {"json", LogFormat::kJson}});
      }
      if (log->find("level")) {
        daemon.log.least = chosen<Level>(*log, "level",
                                         {{"debug", Level::kDebug},
                                          {"info", Level::kInfo},
                                          {"warning", Level::kWarning},
                                          {"error", Level::kError}});
      }
    }
    if (const NodePtr secrets = node.find("secrets")) {
      for (std::string& name : texts(*secrets, "env")) sources_.variables.insert(std::move(name));
    }
    if (const NodePtr cache = node.find("key-cache"); cache && cache->find("keys")) {
      daemon.key_cache_keys = static_cast<std::size_t>(integer(*cache, "keys"));
    }
    return daemon;
  }

  SortedProperties read_cluster(const Node::Entry& cluster) {
    SortedProperties result = read_properties(*cluster.value);
    result.both["bootstrap.servers"] = text(*cluster.value, "bootstrap.servers");
    const NodePtr tls = cluster.value->find("tls");
    const NodePtr auth = cluster.value->find("auth");
    if (tls) read_tls(*tls, result.both);
    if (auth) {
      const Node::Entry& mechanism = auth->entries.front();
      std::string name = mechanism.key;
      std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      });
      result.both["sasl.mechanism"] = name;
      result.both["sasl.username"] = secret(at(*mechanism.value, "username"));
      result.both["sasl.password"] = secret(at(*mechanism.value, "password"));
      if (name == "PLAIN" && !tls) {
        problems_.warning(mechanism.at, fmt::format("cluster `{}` sends its password in clear: "
                                                    "`plain` without `tls`",
                                                    cluster.key));
      }
    }
    if (tls || auth) {
      result.both["security.protocol"] = !auth ? "ssl" : tls ? "sasl_ssl" : "sasl_plaintext";
    }
    for (const char* check :
         {"enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"}) {
      const NodePtr value = cluster.value->find(check);
      if (value && (value->text == "false" || value->text == "none")) {
        problems_.warning(value->at,
                          fmt::format("cluster `{}` does not verify who it talks to: `{}: {}`",
                                      cluster.key, check, value->text));
      }
    }
    return result;
  }

  // Content by reference, or a path.
  void read_tls(const Node& tls, Properties& properties) {
    const auto read = [&](std::string_view key, const std::string& property) {
      const NodePtr value = tls.find(key);
      if (!value) return;
      if (is_reference(value->text)) {
        properties[property + ".pem"] = secret(*value);
      } else {
        properties[property + ".location"] = file(*value);
      }
    };
    read("ca", "ssl.ca");
    read("certificate", "ssl.certificate");
    read("key", "ssl.key");
    if (const NodePtr password = tls.find("key-password")) {
      properties["ssl.key.password"] = secret(*password);
    }
  }

  std::string property_value(const Node::Entry& entry) {
    return names_file(entry.key, entry.value->text) ? file(*entry.value) : secret(*entry.value);
  }

  // The client library's properties among a section's keys.
  SortedProperties read_properties(const Node& node) {
    SortedProperties result;
    for (const Node::Entry& entry : node.entries) {
      const KafkaProperty* property = find_kafka_property(entry.key);
      if (property == nullptr || entry.key == "bootstrap.servers") continue;
      switch (property->scope) {
        case PropertyScope::kBoth:
          result.both[entry.key] = property_value(entry);
          break;
        case PropertyScope::kConsumer:
          result.consumer[entry.key] = property_value(entry);
          break;
        case PropertyScope::kProducer:
          result.producer[entry.key] = property_value(entry);
          break;
      }
    }
    return result;
  }

  KeyDomainOptions read_key_domain(const Node::Entry& domain) {
    const Node::Entry& kind = domain.value->entries.front();
    KeyDomainOptions result{domain.key, kind.key, {}};
    for (const Node::Entry& option : kind.value->entries) {
      result.options[option.key] = option.value->text;
    }
    for (const Error& error : lint_key_domain({result.name, result.kind, result.options})) {
      problems_.error(kind.at, error.message);
    }
    if (!result.options.contains("file")) return result;
    const Node& written = at(*kind.value, "file");
    if (!is_reference(written.text)) {
      result.options["file"] = file(written);
    } else if (options_.resolve_secrets) {
      const auto credential =
          parse_reference(written.text).and_then([](const SecretReference& reference) {
            return credential_path(reference.name);
          });
      if (credential) {
        check_file(written, *credential);
        result.options["file"] = *credential;
      } else {
        problems_.error(written.at, credential.error().message);
      }
    }
    return result;
  }

  const Cluster* find_cluster(const std::string& name) const {
    const auto found = std::ranges::find(clusters_, name, &Cluster::name);
    return found == clusters_.end() ? nullptr : &*found;
  }

  PipelineOptions read_pipeline(const Node::Entry& pipeline) {
    const Node& node = *pipeline.value;
    PipelineOptions result;
    result.name = pipeline.key;
    result.daemon = daemon_name_;
    result.instance = instance_;
    result.dataset = text(node, "dataset");
    read_from(at(node, "from"), result);
    read_require(at(node, "require"), result.require);
    for (const NodePtr& step : at(node, "transforms").items) {
      result.transforms.push_back(read_step(step->entries.front()));
    }
    read_to(at(node, "to"), result);
    read_on_error(at(node, "on-error"), result);
    result.exactly_once = text(node, "delivery") == "exactly-once";
    result.commit_interval = duration(node, "commit-interval");
    result.share = text(node, "share") == "true";
    result.session_timeout = duration(node, "session-timeout");
    result.shards = static_cast<std::uint32_t>(integer(node, "shards"));
    const Node& in_flight = at(node, "max-in-flight");
    result.max_in_flight_bytes =
        static_cast<std::uint64_t>(parse_size(text(in_flight, "bytes")).value_or(0));
    result.max_in_flight_records = static_cast<std::uint64_t>(integer(in_flight, "records"));
    const Node& checkpoint = at(node, "checkpoint");
    result.checkpoint_interval = duration(checkpoint, "interval");
    result.checkpoint_records = static_cast<std::uint64_t>(integer(checkpoint, "records"));
    result.refresh_interval = duration(node, "refresh");
    result.drain_timeout = duration(node, "drain-timeout");
    return result;
  }

  void read_from(const Node& from, PipelineOptions& result) {
    result.group = text(from, "group");
    result.topics = {texts(from, "topics"), texts(from, "exclude")};
    const std::string& start = text(from, "start");
    if (start == "latest") {
      result.start_at = StartAt::kLatest;
    } else if (start != "earliest") {
      result.start_at = StartAt::kTimestamp;
      result.start_timestamp_ms = parse_time(start).value_or(0);
    }
    result.on_gap =
        chosen<OnGap>(from, "on-gap", {{"stop", OnGap::kStop}, {"earliest", OnGap::kEarliest}});
    SortedProperties own = read_properties(from);
    result.source_properties = std::move(own.both);
    result.source_properties.merge(own.consumer);
    result.source =
        with_cluster(text(from, "cluster"), &SortedProperties::consumer, result.source_properties);
  }

  void read_require(const Node& require, RequireOptions& result) {
    result.in = texts(require, "in");
    result.out = texts(require, "out");
    result.tombstones = chosen<Tombstones>(
        require, "tombstones",
        {{"pass", Tombstones::kPass}, {"authenticated", Tombstones::kAuthenticated}});
  }

  void read_to(const Node& to, PipelineOptions& result) {
    result.target_topic = text(to, "topic");
    result.partitions = chosen<PartitionPolicy>(
        to, "partitions",
        {{"error", PartitionPolicy::kError}, {"key-hash", PartitionPolicy::kKeyHash}});
    result.unsendable = chosen<Unsendable>(
        to, "unsendable", {{"stop", Unsendable::kStop}, {"adapt", Unsendable::kAdapt}});
    const Node& create = at(to, "create-topics");
    if (create.kind == Node::Kind::kMap) {
      result.create_topics = {true,
                              static_cast<std::int32_t>(integer(create, "replication-factor"))};
    }
    SortedProperties own = read_properties(to);
    result.target_properties = std::move(own.both);
    result.target_properties.merge(own.producer);
    result.target =
        with_cluster(text(to, "cluster"), &SortedProperties::producer, result.target_properties);
  }

  // The cluster, its properties for one kind of client put below what the pipeline has.
  ClusterOptions with_cluster(const std::string& name, Properties SortedProperties::*kind,
                              Properties& below) const {
    const Cluster* cluster = find_cluster(name);
    if (cluster == nullptr) return {name, {}};  // it has problems of its own
    for (const auto& [property, value] : cluster->properties.*kind) {
      // The same property by its other name counts as given.
      const std::string_view canonical = find_kafka_property(property)->canonical();
      const bool given = std::ranges::any_of(below, [&](const auto& each) {
        return find_kafka_property(each.first)->canonical() == canonical;
      });
      if (!given) below.emplace(property, value);
    }
    return {name, cluster->properties.both};
  }

  void read_on_error(const Node& on_error, PipelineOptions& result) {
    if (on_error.kind == Node::Kind::kScalar) {
      result.on_error = on_error.text == "drop" ? OnError::kDrop : OnError::kStop;
      return;
    }
    const Node& dead_letter = *on_error.entries.front().value;
    result.on_error = OnError::kDeadLetter;
    result.dead_letter = DeadLetterOptions{.cluster = text(dead_letter, "cluster"),
                                           .topic = text(dead_letter, "topic"),
                                           .seal = std::nullopt};
    if (dead_letter.find("seal")) result.dead_letter->seal = text(dead_letter, "seal");
  }

  TransformStep read_step(const Node::Entry& step) {
    TransformStep result{catalogue_.find(step.key), {}};
    for (const FieldSpec& field : result.spec->fields) {
      const NodePtr value = step.value->find(field.name);
      if (value) result.values.set(field.name, field_value(*value, field));
    }
    if (result.spec->validate) {
      for (const FieldProblem& problem : result.spec->validate(result.values)) {
        problems_.error(place_of(problem, step),
                        fmt::format("`{}`: {}", step.key, problem.message));
      }
    }
    return result;
  }

  static Place place_of(const FieldProblem& problem, const Node::Entry& step) {
    const Node::Entry* field = step.value->entry(problem.field);
    if (field == nullptr) return step.at;
    return problem.item ? field->value->items[*problem.item]->at : field->at;
  }

  static FieldValues::Value field_value(const Node& node, const FieldSpec& field) {
    switch (field.type) {
      case FieldType::kString:
      case FieldType::kChoice:
      case FieldType::kKeyDomain:
        return node.text;
      case FieldType::kInteger:
        return parse_integer(node.text).value_or(0);
      case FieldType::kBool:
        return parse_bool(node.text).value_or(false);
      case FieldType::kDuration:
        return parse_duration(node.text).value_or(0);
      case FieldType::kSize:
        return parse_size(node.text).value_or(0);
      case FieldType::kList:
        return texts(node);
    }
    return node.text;
  }

  static PipelinePlaces places_of(const Node::Entry& pipeline) {
    PipelinePlaces places;
    const Node& from = at(*pipeline.value, "from");
    const Node& to = at(*pipeline.value, "to");
    const Node& on_error = at(*pipeline.value, "on-error");
    places.name = pipeline.at;
    places.group = at(from, "group").at;
    for (const NodePtr& item : at(from, "topics").items) places.topics.push_back(item->at);
    places.target_topic = at(to, "topic").at;
    places.require = at(*pipeline.value, "require").at;
    places.dead_letter = on_error.at;
    if (on_error.kind == Node::Kind::kMap) {
      places.dead_letter_topic = at(*on_error.entries.front().value, "topic").at;
      places.dead_letter_cluster = at(*on_error.entries.front().value, "cluster").at;
    }
    for (const NodePtr& step : at(*pipeline.value, "transforms").items) {
      places.steps.push_back(step->entries.front().at);
    }
    return places;
  }

  const TransformCatalogue& catalogue_;
  const LoadOptions& options_;
  Problems& problems_;
  std::string daemon_name_;
  std::string instance_;
  SecretSources sources_;
  std::vector<Cluster> clusters_;
};

}  // namespace

Configuration assemble(const Node& root, const TransformCatalogue& catalogue,
                       const std::string& directory, const LoadOptions& options,
                       Problems& problems) {
  return Assembler(catalogue, directory, options, problems).run(root);
}

}  // namespace drawbridge::config

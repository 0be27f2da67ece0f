#include "config/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>

#include "bridge/keys/domains.h"

namespace drawbridge::config {
namespace {

FieldSpec field(std::string name, FieldType type, std::string summary,
                std::optional<std::string> fallback = std::nullopt) {
  FieldSpec result;
  result.name = std::move(name);
  result.type = type;
  result.summary = std::move(summary);
  result.fallback = std::move(fallback);
  return result;
}

KeySpec required(KeySpec key) {
  key.field.required = true;
  return key;
}

KeySpec text(std::string name, std::string summary, Rule rule,
             std::optional<std::string> fallback = std::nullopt) {
  return {
      .field = field(std::move(name), FieldType::kString, std::move(summary), std::move(fallback)),
      .rule = rule};
}

KeySpec list(std::string name, std::string summary, Rule rule,
             std::optional<std::string> fallback = std::nullopt) {
  return {
      .field = field(std::move(name), FieldType::kList, std::move(summary), std::move(fallback)),
      .rule = rule};
}

// The first is the default, unless `fallback` names another.
KeySpec choice(std::string name, std::string summary, std::vector<std::string> choices,
               const std::string& fallback = {}) {
  KeySpec key{.field = field(std::move(name), FieldType::kChoice, std::move(summary))};
  key.field.fallback = fallback.empty() ? choices.front() : fallback;
  key.field.choices = std::move(choices);
  return key;
}

KeySpec number(std::string name, FieldType type, std::string summary, std::string fallback,
               std::int64_t least, std::int64_t most) {
  KeySpec key{.field = field(std::move(name), type, std::move(summary), std::move(fallback))};
  key.field.least = least;
  key.field.most = most;
  return key;
}

KeySpec computed(KeySpec key, Computed how, std::string as_written) {
  key.computed = how;
  key.computed_text = std::move(as_written);
  return key;
}

KeySpec section(std::string name, std::string summary, const SectionSpec& of,
                std::optional<std::string> fallback = std::nullopt, Shape shape = Shape::kSection) {
  return {
      .field = field(std::move(name), FieldType::kString, std::move(summary), std::move(fallback)),
      .shape = shape,
      .section = &of};
}

KeySpec formats(std::string name, std::string summary) {
  KeySpec key = list(std::move(name), std::move(summary), Rule::kNone);
  key.field.choices = {"native", "clear"};
  return key;
}

KeySpec variant(std::string name, std::string summary, std::vector<VariantSpec> variants,
                std::optional<std::string> fallback = std::nullopt) {
  return {
      .field = field(std::move(name), FieldType::kString, std::move(summary), std::move(fallback)),
      .shape = Shape::kVariant,
      .variants = std::move(variants)};
}

// Who a client is and whom it talks to is the cluster's, so that all its clients are alike.
bool of_the_cluster(std::string_view property) {
  return property == "bootstrap.servers" || property == "security.protocol" ||
         property.starts_with("ssl.") || property.starts_with("sasl.") ||
         property.starts_with("enable.ssl.") || property.starts_with("enable.sasl.");
}

// "the file" -> "The file"
std::string sentence(std::string_view words) {
  std::string result(words);
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') {
    result[0] = static_cast<char>(result[0] - 'a' + 'A');
  }
  return result;
}

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kMiB = 1 << 20;

const SectionSpec& log_section() {
  static const SectionSpec spec{
      .title = "daemon.log",
      .summary = "Log lines go to standard error, one line an event.",
      .keys = {choice("format", "For people, or one JSON object a line.", {"text", "json"}),
               choice("level", "The least level that is written.",
                      {"debug", "info", "warning", "error"}, "info")}};
  return spec;
}

const SectionSpec& secrets_section() {
  static const SectionSpec spec{
      .title = "daemon.secrets",
      .summary = "What secret references may read beside files and systemd credentials.",
      .keys = {list("env", "Environment variables that `${env:NAME}` may read.", Rule::kVariables,
                    "[]")}};
  return spec;
}

const SectionSpec& key_cache_section() {
  static const SectionSpec spec{
      .title = "daemon.key-cache",
      .summary = "Unwrapped data keys, kept in locked memory.",
      .keys = {number("keys", FieldType::kInteger,
                      "How many data keys are kept, of all key domains together.", "2048", 16,
                      65536)}};
  return spec;
}

const SectionSpec& daemon_section() {
  static const SectionSpec spec{
      .title = "daemon",
      .summary = "The daemon itself.",
      .keys = {
          text("name",
               "The daemon's identity: its checkpoint store belongs to it, and so do the "
               "ledgers of its exactly-once pipelines. Give each daemon its own.",
               Rule::kName, "drawbridge"),
          computed(text("state-directory",
                        "Where checkpoints are kept. A relative path is relative to the "
                        "configuration file.",
                        Rule::kNone),
                   Computed::kStateDirectory,
                   "`$STATE_DIRECTORY` (systemd sets it), else `/var/lib/drawbridge/NAME`"),
          text("instance",
               "This instance's name among those that share the daemon's pipelines, or "
               "`hostname`. With it, membership in consumer groups is static: a restart within "
               "`session-timeout` moves nothing and goes on at once, and leaving for good takes "
               "`session-timeout`. Without it, membership is dynamic.",
               Rule::kName),
          section("log", "Logging.", log_section(), "{}"),
          section("secrets", "Limits of secret references.", secrets_section(), "{}"),
          section("key-cache", "The cache of data keys.", key_cache_section(), "{}")}};
  return spec;
}

const SectionSpec& tls_section() {
  static const SectionSpec spec{
      .title = "clusters.NAME.tls",
      .summary =
          "TLS towards the brokers; an empty map (`tls: {}`) trusts the system's authorities. "
          "Files are PEM; a relative path is relative to the configuration file. Each of them can "
          "be a secret reference instead of a path, whose content is then used.",
      .keys = {text("ca", "Certificates of the authorities to trust.", Rule::kSecretable),
               text("certificate", "The client's certificate, for mutual TLS.", Rule::kSecretable),
               text("key", "The client certificate's private key.", Rule::kSecretable),
               text("key-password", "The private key's passphrase, as a secret reference.",
                    Rule::kSecret)}};
  return spec;
}

const SectionSpec& password_section() {
  static const SectionSpec spec{
      .title = "clusters.NAME.auth.*",
      .summary = "The fields of `plain`, `scram-sha-256` and `scram-sha-512`.",
      .keys = {required(text("username", "The user's name.", Rule::kSecretable)),
               required(text("password", "The user's password, as a secret reference.",
                             Rule::kSecret))}};
  return spec;
}

const SectionSpec& cluster_section() {
  static const SectionSpec spec{
      .title = "clusters.NAME",
      .summary =
          "A Kafka cluster. The name is what pipelines call it, and what `{cluster}` stands for in "
          "topic names. Properties of the client library can stand beside these keys.",
      .keys = {required(text("bootstrap.servers", "Brokers to begin with: `host:port,host:port`.",
                             Rule::kServers)),
               section("tls", "Encrypt the connection. Absent: no TLS.", tls_section()),
               variant("auth", "Authenticate with SASL. Absent: no SASL.",
                       {{"plain", "SASL/PLAIN; the password goes to the broker as it is, use TLS.",
                         &password_section()},
                        {"scram-sha-256", "SASL/SCRAM-SHA-256.", &password_section()},
                        {"scram-sha-512", "SASL/SCRAM-SHA-512.", &password_section()}})},
      .properties = PropertiesFor::kCluster};
  return spec;
}

// The kinds of key domains are the key stores' own table; their sections are made from it.
const SectionSpec& key_domain_kind(const KeyDomainKind& kind) {
  static std::map<std::string_view, SectionSpec> sections;
  SectionSpec& spec = sections[kind.name];
  if (!spec.title.empty()) return spec;
  spec.title = fmt::format("key_domains.NAME.{}", kind.name);
  spec.summary = fmt::format("{}.", sentence(kind.summary));
  for (const KeyDomainOption& option : kind.options) {
    // A relative path is relative to the configuration file, like every other.
    const Rule rule = option.name == "file" ? Rule::kCredential : Rule::kNone;
    spec.keys.push_back(
        required(text(std::string(option.name), sentence(option.help) + ".", rule)));
  }
  return spec;
}

const SectionSpec& key_domain_section() {
  static const SectionSpec spec = [] {
    SectionSpec result{.title = "key_domains.NAME",
                       .summary =
                           "A key domain: whoever has its key can open what is sealed "
                           "under it.",
                       .keys = {},
                       .one_of = true};
    for (const KeyDomainKind& kind : key_domain_kinds()) {
      result.keys.push_back(
          section(std::string(kind.name), sentence(kind.summary) + ".", key_domain_kind(kind)));
    }
    return result;
  }();
  return spec;
}

const SectionSpec& from_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.from",
      .summary =
          "The source. Consumer properties of the client library can stand beside these keys.",
      .keys =
          {required(
               text("cluster", "The source cluster, a name under `clusters`.", Rule::kCluster)),
           required(list("topics",
                         "What to read: names, or regular expressions (RE2) that begin with `^` "
                         "and match the whole name. Internal topics are read only where they are "
                         "named; the bridge's own and its dead-letter topics never.",
                         Rule::kTopics)),
           list("exclude", "What not to read, in the same form; wins over `topics`.", Rule::kTopics,
                "[]"),
           text(
               "start",
               "Where to start a partition that has no checkpoint and no group offset: `earliest`, "
               "`latest`, or a time such as `2026-01-31T00:00:00Z`.",
               Rule::kStart, "earliest"),
           computed(text("group",
                         "Consumer group that positions are committed to, for lag tools and "
                         "operators.",
                         Rule::kNone),
                    Computed::kGroup, "`drawbridge-` and the pipeline's name"),
           choice("on-gap",
                  "When records between checkpoint and log are gone (deleted, truncated, topic "
                  "recreated): fail and say which, or go on at the earliest one left.",
                  {"stop", "earliest"})},
      .properties = PropertiesFor::kSource};
  return spec;
}

const SectionSpec& require_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.require",
      .summary =
          "Formats that values must have: `native` (the bridge's envelope) or `clear`. A value in "
          "no listed format goes to the failure policy, never through. Where a list is absent, it "
          "follows from the transforms: in, what the first of them takes; out, what the last of "
          "them leaves. Without transforms and lists, nothing is checked.",
      .keys = {formats("in", "Formats accepted from the source."),
               formats("out", "Formats that may reach the target."),
               choice("tombstones",
                      "Null values where `native` alone is accepted: let pass, or only with a "
                      "header that authenticates them.",
                      {"pass", "authenticated"})}};
  return spec;
}

const SectionSpec& create_topics_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.to.create-topics",
      .summary =
          "Missing target topics are made with the source's partition count, clean-up "
          "policy and retention.",
      .keys = {number("replication-factor", FieldType::kInteger,
                      "Replicas of a new topic; -1: the cluster's default.", "-1", -1, 32767)}};
  return spec;
}

const SectionSpec& to_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.to",
      .summary =
          "The target. Producer properties of the client library can stand beside these keys.",
      .keys = {required(
                   text("cluster", "The target cluster, a name under `clusters`.", Rule::kCluster)),
               text("topic",
                    "The target topic's name. `{topic}` is the source's, `{cluster}` the source "
                    "cluster's name, `{pipeline}` the pipeline's.",
                    Rule::kTemplate, "\"{topic}\""),
               choice("partitions",
                      "Records keep their partition number. Where the target lacks it: fail the "
                      "record, or choose by the key's murmur2 hash, as Kafka's Java client does.",
                      {"error", "key-hash"}),
               choice("unsendable",
                      "What the client library cannot send as it is (timestamp 0, a NUL in a "
                      "header's name): fail the record, or send the nearest that it can.",
                      {"stop", "adapt"}),
               section("create-topics",
                       "Make missing target topics: `false`, `true`, or a map. Off, a missing "
                       "topic is an error.",
                       create_topics_section(), "false", Shape::kSwitch)},
      .properties = PropertiesFor::kTarget};
  return spec;
}

const SectionSpec& dead_letter_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.on-error.dead-letter",
      .summary =
          "Failed records go to a topic, with headers that say where they came from and why they "
          "failed. On the source cluster a record is kept as it came. On the target cluster, where "
          "an envelope is required, it is sealed whole.",
      .keys = {required(text("topic", "The dead-letter topic's name, a template as `to.topic`.",
                             Rule::kTemplate)),
               computed(text("cluster", "The source's or the target's cluster.", Rule::kCluster),
                        Computed::kDeadLetterCluster, "`to.cluster`"),
               {.field = field("seal", FieldType::kKeyDomain,
                               "Key domain under which dead letters are sealed, one that the "
                               "source's side can read. Needed on a target that requires "
                               "envelopes.")}}};
  return spec;
}

const SectionSpec& in_flight_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.max-in-flight",
      .summary =
          "What a pipeline holds between source and target at most, all shards together. A "
          "plain size stands for `bytes`.",
      .keys = {number("bytes", FieldType::kSize, "Memory of records in flight.", "48MiB", kMiB,
                      64 * 1024 * kMiB),
               number("records", FieldType::kInteger, "Records in flight.", "100000", 1,
                      100'000'000)},
      .shorthand = "bytes"};
  return spec;
}

const SectionSpec& checkpoint_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME.checkpoint",
      .summary =
          "How often positions are made durable; what came after is read again after a "
          "crash. A plain duration stands for `interval`.",
      .keys = {number("interval", FieldType::kDuration, "At least this often.", "1s", 10, kHour),
               number("records", FieldType::kInteger, "After so many records, if that is sooner.",
                      "100000", 1, 1'000'000'000)},
      .shorthand = "interval"};
  return spec;
}

const SectionSpec& pipeline_section() {
  static const SectionSpec spec{
      .title = "pipelines.NAME",
      .summary =
          "One way from a source to a target. Pipelines do not affect each other: one that "
          "fails leaves the others running.",
      .keys = {
          required(section("from", "The source.", from_section())),
          computed(text("dataset",
                        "Logical name of the stream, bound into envelopes. It must be the same "
                        "wherever a record is sealed and opened; topics and clusters may change.",
                        Rule::kNone),
                   Computed::kDataset, "the pipeline's name"),
          section("require", "Formats that values must have.", require_section(), "{}"),
          {.field = field("transforms", FieldType::kList,
                          "What is done to each record, in order; see the reference of "
                          "transforms. Empty: plain replication.",
                          "[]"),
           .shape = Shape::kSteps},
          required(section("to", "The target.", to_section())),
          variant(
              "on-error",
              "What happens to a record that fails for good: stop the pipeline before it, drop "
              "it (counted), or put it aside.",
              {{"stop", "The pipeline fails; nothing is lost.", nullptr},
               {"drop", "The record is lost, on purpose.", nullptr},
               {"dead-letter", "The record goes to a topic of its own.", &dead_letter_section()}},
              "stop"),
          choice("delivery",
                 "At least once: after a crash, records may arrive twice, none is lost. Exactly "
                 "once: readers of the target with `isolation.level=read_committed` see each "
                 "record once; positions are kept in a ledger topic on the target.",
                 {"at-least-once", "exactly-once"}),
          number("commit-interval", FieldType::kDuration,
                 "With `delivery: exactly-once`, how often a transaction is committed: records "
                 "are seen that much later.",
                 "100ms", 1, 10 * kSecond),
          choice("share",
                 "Whether daemons of the same `daemon.name` share this pipeline, each working on a "
                 "part of it and taking over from one another, through a consumer group. `false`: "
                 "no group is joined, and only one daemon may run the pipeline.",
                 {"true", "false"}),
          number("session-timeout", FieldType::kDuration,
                 "With `share`, how long an instance may be silent before the others take its part "
                 "over. Brokers allow 6s to 30min unless told otherwise.",
                 "10s", kSecond, 30 * 60 * kSecond),
          number("shards", FieldType::kInteger,
                 "Parallel workers, each with its own producer; a partition stays on one. Fixed at "
                 "the pipeline's first start; `drawbridge offsets reshard` changes it.",
                 "4", 1, 64),
          section("max-in-flight", "Memory limits.", in_flight_section(), "{}"),
          section("checkpoint", "How often positions are made durable.", checkpoint_section(),
                  "{}"),
          number("refresh", FieldType::kDuration,
                 "How often new topics and partitions are looked for. Limits of target topics are "
                 "read again in twelve times as long, a minute at most.",
                 "5s", 100, 24 * kHour),
          number("drain-timeout", FieldType::kDuration,
                 "How long a stop waits for records in flight.", "30s", kSecond, kHour)}};
  return spec;
}

}  // namespace

bool property_belongs(const KafkaProperty& property, PropertiesFor where) {
  switch (where) {
    case PropertiesFor::kNone:
      return false;
    case PropertiesFor::kCluster:
      return true;
    case PropertiesFor::kSource:
      return property.scope != PropertyScope::kProducer && !of_the_cluster(property.name);
    case PropertiesFor::kTarget:
      return property.scope != PropertyScope::kConsumer && !of_the_cluster(property.name);
  }
  return false;
}

const KeySpec* SectionSpec::find(std::string_view name) const {
  const auto found =
      std::ranges::find(keys, name, [](const KeySpec& key) { return key.field.name; });
  return found == keys.end() ? nullptr : &*found;
}

const SectionSpec& configuration_spec() {
  static const SectionSpec spec{
      .title = "The file",
      .summary = "One YAML document. Unknown and repeated keys are errors.",
      .keys = {section("daemon", "The daemon itself.", daemon_section(), "{}"),
               required(section("clusters", "Kafka clusters by name.", cluster_section(),
                                std::nullopt, Shape::kNamed)),
               {.field = field("key_domains", FieldType::kString,
                               "Key domains by name: who can open an envelope.", "{}"),
                .shape = Shape::kNamed,
                .section = &key_domain_section()},
               required(section("pipelines", "Pipelines by name.", pipeline_section(), std::nullopt,
                                Shape::kNamed))}};
  return spec;
}

std::vector<const SectionSpec*> all_sections() {
  std::vector<const SectionSpec*> result;
  const std::function<void(const SectionSpec*)> add = [&](const SectionSpec* spec) {
    if (spec == nullptr || std::ranges::find(result, spec) != result.end()) return;
    result.push_back(spec);
    for (const KeySpec& key : spec->keys) {
      add(key.section);
      for (const VariantSpec& each : key.variants) add(each.section);
    }
  };
  add(&configuration_spec());
  return result;
}

}  // namespace drawbridge::config

#include "config/kafka_properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string>

#include "config/text.h"

namespace drawbridge::config {
namespace {

struct Owned {
  std::string_view name;
  std::string_view reason;
};

constexpr std::string_view kCommits =
    "offsets are committed with the checkpoint, after the target's acknowledgement";
constexpr std::string_view kStoredOffsets = "positions are kept in the checkpoint store";
constexpr std::string_view kAcks =
    "every record waits for all in-sync replicas; less could lose what a checkpoint covers";
constexpr std::string_view kTimeout =
    "an outage must delay records, never fail them: there is no time limit";
constexpr std::string_view kInFlight =
    "requests of one partition follow one another, those of several go side by side: order and "
    "throughput hold as they are";
constexpr std::string_view kRetries = "transport errors are tried again for ever";
constexpr std::string_view kAssignment = "the bridge assigns partitions itself";
constexpr std::string_view kOrder = "it would change the order of records";
constexpr std::string_view kBrokers = "use `bootstrap.servers`";
constexpr std::string_view kCalls = "it is set by the program, not by a configuration";
constexpr std::string_view kForeign =
    "code of others in the daemon could read, lose or change records";
constexpr std::string_view kReports = "checkpoints rest on the delivery report of every record";

// Sorted by name.
constexpr Owned kOwned[] = {
    {"acks", kAcks},
    {"allow.auto.create.topics", "a mistyped name would become a topic; use `to.create-topics`"},
    {"auto.commit.enable", kCommits},
    {"auto.commit.interval.ms", kCommits},
    {"auto.offset.reset",
     "a position is never chosen silently; use `from.start` and `from.on-gap`"},
    {"builtin.features", "it can only be read"},
    {"delivery.report.only.error", kReports},
    {"delivery.timeout.ms", kTimeout},
    {"enable.auto.commit", kCommits},
    {"enable.auto.offset.store", kCommits},
    {"enable.gapless.guarantee", "gaps are found and healed by the bridge itself"},
    {"enable.idempotence", "it is always on: without it a retry duplicates and reorders records"},
    {"enable.partition.eof", "it is always on: it tells the end of a partition"},
    {"enabled_events", kCalls},
    {"group.id", "use `from.group`"},
    {"group.instance.id", "use `daemon.instance`"},
    {"group.protocol.type", kAssignment},
    {"interceptors", kForeign},
    {"internal.termination.signal", kCalls},
    {"isolation.level", "it is always read_committed: aborted records are never copied"},
    {"log.queue", kCalls},
    {"log_level", "use `daemon.log.level`"},
    {"max.in.flight", kInFlight},
    {"max.in.flight.requests.per.connection", kInFlight},
    {"message.send.max.retries", kRetries},
    {"message.timeout.ms", kTimeout},
    {"metadata.broker.list", kBrokers},
    {"offset.store.method", kStoredOffsets},
    {"offset.store.path", kStoredOffsets},
    {"offset.store.sync.interval.ms", kStoredOffsets},
    {"partition.assignment.strategy", kAssignment},
    {"partitioner", "records keep their partition; use `to.partitions`"},
    {"plugin.library.paths", kForeign},
    {"produce.offset.report", kReports},
    {"queuing.strategy", kOrder},
    {"request.required.acks", kAcks},
    {"retries", kRetries},
    {"sasl.kerberos.kinit.cmd", "it is a shell command"},
    {"ssl.engine.id", kForeign},
    {"ssl.engine.location", kForeign},
    {"statistics.interval.ms", "the bridge keeps its own statistics"},
    {"topic.blacklist", "it would hide topics silently; use `from.exclude`"},
    {"transaction.timeout.ms", "transactions belong to the bridge"},
    {"transactional.id", "transactions belong to the bridge"},
};
static_assert(std::ranges::is_sorted(kOwned, {}, &Owned::name));

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// Is `word` one of "a, b, c"?
bool listed(std::string_view word, std::string_view choices) {
  while (!choices.empty()) {
    const std::size_t comma = choices.find(", ");
    if (lower(word) == choices.substr(0, comma)) return true;
    if (comma == std::string_view::npos) break;
    choices.remove_prefix(comma + 2);
  }
  return false;
}

bool all_listed(std::string_view words, std::string_view choices) {
  while (true) {
    const std::size_t comma = words.find(',');
    std::string_view word = words.substr(0, comma);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    if (!listed(word, choices)) return false;
    if (comma == std::string_view::npos) return true;
    words.remove_prefix(comma + 1);
  }
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

const KafkaProperty* find_kafka_property(std::string_view name) {
  const auto all = kafka_properties();
  const auto found = std::ranges::lower_bound(all, name, {}, &KafkaProperty::name);
  return found == all.end() || found->name != name ? nullptr : &*found;
}

std::optional<std::string_view> why_owned(std::string_view name) {
  const auto found = std::ranges::lower_bound(kOwned, name, {}, &Owned::name);
  if (found != std::end(kOwned) && found->name == name) return found->reason;
  const KafkaProperty* property = find_kafka_property(name);
  if (property != nullptr && property->type == PropertyType::kApi) return kCalls;
  return std::nullopt;
}

bool names_file(std::string_view name, std::string_view value) {
  static constexpr std::array<std::string_view, 6> kFiles{
      "sasl.kerberos.keytab", "ssl.ca.location",  "ssl.certificate.location",
      "ssl.crl.location",     "ssl.key.location", "ssl.keystore.location"};
  // The library looks for the authorities of the system itself.
  if (value.empty() || (name == "ssl.ca.location" && value == "probe")) return false;
  return std::ranges::find(kFiles, name) != kFiles.end();
}

std::optional<std::string> check_property(const KafkaProperty& property, std::string_view value) {
  switch (property.type) {
    case PropertyType::kText:
      return std::nullopt;
    case PropertyType::kInteger: {
      const auto number = parse_integer(value);
      if (number && *number >= property.least && *number <= property.most) return std::nullopt;
      return fmt::format("expects a whole number from {} to {}", property.least, property.most);
    }
    case PropertyType::kNumber: {
      const auto number = parse_number(value);
      if (number && *number >= static_cast<double>(property.least) &&
          *number <= static_cast<double>(property.most)) {
        return std::nullopt;
      }
      return fmt::format("expects a number from {} to {}", property.least, property.most);
    }
    case PropertyType::kBool:
      if (parse_bool(value)) return std::nullopt;
      return "expects true or false";
    case PropertyType::kChoice:
      if (listed(value, property.choices)) return std::nullopt;
      return fmt::format("expects one of {}", property.choices);
    case PropertyType::kFlags:
      if (all_listed(value, property.choices)) return std::nullopt;
      return fmt::format("expects some of {}", property.choices);
    case PropertyType::kApi:
      return std::string(kCalls);
  }
  return std::nullopt;
}

}  // namespace drawbridge::config

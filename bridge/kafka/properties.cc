#include "bridge/kafka/properties.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

namespace drawbridge::kafka {
namespace {

using ScopeMap = std::map<std::string, PropertyScope, std::less<>>;

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(' ');
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The library has no call that asks for a property's scope, but prints its reference as a table:
// "name | C/P | Range | ...".
ScopeMap read_scopes() {
  ScopeMap scopes;
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* stream = open_memstream(&text, &size);
  if (stream == nullptr) return scopes;
  rd_kafka_conf_properties_show(stream);
  std::fclose(stream);

  std::string_view rest(text, size);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto bar = line.find('|');
    if (bar == line.npos) continue;
    const std::string_view name = trim(line.substr(0, bar));
    const std::string_view scope = trim(line.substr(bar + 1, line.find('|', bar + 1) - bar - 1));
    if (name.empty() || (scope != "*" && scope != "C" && scope != "P")) continue;
    // A name in both the global and the topic table keeps its first, global row.
    scopes.emplace(name, scope == "*"   ? PropertyScope::kBoth
                         : scope == "C" ? PropertyScope::kConsumer
                                        : PropertyScope::kProducer);
  }
  std::free(text);
  return scopes;
}

const ScopeMap& scopes() {
  static const ScopeMap map = read_scopes();
  return map;
}

constexpr std::string_view kOffsets = "the bridge's checkpoints decide where reading starts";
constexpr std::string_view kOrder = "order and at-least-once delivery depend on it";
constexpr std::string_view kCode = "it would load or call foreign code";
constexpr std::string_view kEvents = "the bridge's own event handling depends on it";

using Owned = std::pair<std::string_view, std::string_view>;
constexpr Owned kOwned[] = {
    {"enable.auto.commit", kOffsets},
    {"auto.commit.enable", kOffsets},
    {"auto.commit.interval.ms", kOffsets},
    {"enable.auto.offset.store", kOffsets},
    {"auto.offset.reset", kOffsets},
    {"offset.store.method", kOffsets},
    {"offset.store.path", kOffsets},
    {"offset.store.sync.interval.ms", kOffsets},
    {"group.id", "the pipeline's group is set by `group`"},
    {"group.instance.id", "`daemon.instance` sets it"},
    {"group.protocol.type", "instances join as consumers do"},
    {"partition.assignment.strategy", "instances deal out partitions in one way"},
    {"enable.partition.eof", kEvents},
    {"isolation.level", "aborted records must never be copied"},
    {"acks", kOrder},
    {"request.required.acks", kOrder},
    {"enable.idempotence", kOrder},
    {"enable.gapless.guarantee", kOrder},
    {"queuing.strategy", kOrder},
    {"msg_order_cmp", kOrder},
    {"retries", kOrder},
    {"message.send.max.retries", kOrder},
    {"transactional.id", "delivery: exactly-once sets it"},
    {"transaction.timeout.ms", "delivery: exactly-once sets it"},
    {"message.timeout.ms", "an outage of the target must not fail records"},
    {"delivery.timeout.ms", "an outage of the target must not fail records"},
    {"delivery.report.only.error", kEvents},
    {"produce.offset.report", kEvents},
    {"partitioner", "the pipeline's `partitions` decides"},
    {"allow.auto.create.topics", "topics come into being by `create-topics` only"},
    {"enabled_events", kEvents},
    {"log.queue", kEvents},
    {"log_level", kEvents},
    {"statistics.interval.ms", kEvents},
    {"plugin.library.paths", kCode},
    {"ssl.engine.location", kCode},
    {"ssl.engine.id", kCode},
    {"sasl.kerberos.kinit.cmd", "it is a shell command"},
    {"interceptors", kCode},
    {"opaque", kCode},
    {"default_topic_conf", kCode},
    {"internal.termination.signal", kEvents},
};

}  // namespace

std::optional<PropertyScope> property_scope(std::string_view name) {
  const auto found = scopes().find(name);
  if (found == scopes().end()) return std::nullopt;
  return found->second;
}

std::string value_of(const Properties& properties, const std::string& name) {
  const auto found = properties.find(name);
  return found == properties.end() ? std::string() : found->second;
}

const std::vector<std::string>& property_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, scope] : scopes())
      if (why_owned(name).empty()) all.push_back(name);
    return all;
  }();
  return names;
}

std::string_view why_owned(std::string_view name) {
  for (const auto& [owned, reason] : kOwned)
    if (owned == name) return reason;
  if (name.ends_with("_cb")) return kCode;
  return {};
}

}  // namespace drawbridge::kafka

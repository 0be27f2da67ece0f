#include "bridge/pipeline/target_topics.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "bridge/base/log.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(15);
// Stopping waits for it.
constexpr Duration kRereadTimeout = std::chrono::seconds(2);
// Room for an envelope with four wrapped keys, its headers, and the batch around it.
constexpr std::int64_t kEnvelopeRoom = 64 * 1024;
constexpr std::int64_t kDefaultMaxMessageBytes = 1'048'588;  // Kafka's own default

std::int64_t number_or(const TopicConfig& config, const std::string& name, std::int64_t fallback) {
  const auto found = config.find(name);
  if (found == config.end()) return fallback;
  std::int64_t value = fallback;
  const std::string& text = found->second;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int64_t limit_of(const TopicConfig& config) {
  return number_or(config, "max.message.bytes", kDefaultMaxMessageBytes);
}

}  // namespace

TargetTopics::TargetTopics(const PipelineOptions& options, Source& source, Target& target,
                           TopicTemplate name_template)
    : options_(options), source_(source), target_(target), template_(std::move(name_template)) {}

Result<std::string> TargetTopics::name_for(const std::string& source_topic) const {
  return template_.expand(source_topic);
}

Result<TopicInfo> TargetTopics::await(Target& cluster, const std::string& name,
                                      std::int32_t partitions) const {
  // A created topic shows in the metadata a moment later.
  for (int attempt = 0; attempt < 50; ++attempt) {
    auto info = cluster.topic(name, kTimeout);
    const bool there = info && info->partitions() >= partitions &&
                       std::ranges::none_of(info->leaders, [](auto id) { return id < 0; });
    if (there) return info;
    if (!info && info.error().code != ErrorCode::kUnknownTopic) return info;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return fail(ErrorCode::kUnavailable, "topic {} was created but does not show up", name);
}

Result<void> TargetTopics::create(const TopicInfo& source_topic, const std::string& name) {
  DRAWBRIDGE_ASSIGN(const TopicConfig source_config,
                    source_.topic_config(source_topic.name, kTimeout));
  NewTopic topic;
  topic.name = name;
  topic.partitions = source_topic.partitions();
  topic.replication_factor = options_.create_topics.replication_factor;
  for (const char* kept : {"cleanup.policy", "retention.ms", "retention.bytes"}) {
    if (const auto found = source_config.find(kept); found != source_config.end()) {
      topic.config[kept] = found->second;
    }
  }
  topic.config["max.message.bytes"] = std::to_string(limit_of(source_config) + kEnvelopeRoom);
  // LogAppendTime would destroy the original time.
  topic.config["message.timestamp.type"] = "CreateTime";
  topic.config["message.timestamp.after.max.ms"] = std::to_string(INT64_MAX);
  auto created = target_.create_topic(topic, kTimeout);
  if (!created && created.error().code == ErrorCode::kInvalid) {
    // Brokers before 3.6 do not know it, and do not bound timestamps either.
    topic.config.erase("message.timestamp.after.max.ms");
    created = target_.create_topic(topic, kTimeout);
  }
  if (!created && created.error().code != ErrorCode::kExists) return created;
  log(Level::kInfo, "created target topic",
      {{"pipeline", options_.name}, {"topic", name}, {"partitions", topic.partitions}});
  return {};
}

Result<const TargetTopic*> TargetTopics::ensure(const TopicInfo& source_topic) {
  DRAWBRIDGE_ASSIGN(const std::string name, name_for(source_topic.name));
  auto info = target_.topic(name, kTimeout);
  if (!info) {
    if (info.error().code != ErrorCode::kUnknownTopic) return fail(info.error());
    if (!options_.create_topics.enabled) {
      return fail(ErrorCode::kUnknownTopic,
                  "topic {} does not exist on cluster {}: create it with {} partitions, or set "
                  "create-topics under `to`",
                  name, options_.target.name, source_topic.partitions());
    }
    DRAWBRIDGE_TRY(create(source_topic, name));
    info = await(target_, name, source_topic.partitions());
    if (!info) return fail(info.error());
  } else if (info->partitions() < source_topic.partitions()) {
    if (options_.create_topics.enabled) {
      DRAWBRIDGE_TRY(target_.grow_topic(name, source_topic.partitions(), kTimeout));
      log(Level::kInfo, "added partitions to target topic",
          {{"pipeline", options_.name},
           {"topic", name},
           {"partitions", source_topic.partitions()}});
      info = await(target_, name, source_topic.partitions());
      if (!info) return fail(info.error());
    } else if (options_.partitions == PartitionPolicy::kError) {
      log_folded(Level::kWarning,
                 "target topic has fewer partitions than its source; records of the missing ones "
                 "will fail (partitions: error)",
                 {{"pipeline", options_.name},
                  {"topic", name},
                  {"partitions", info->partitions()},
                  {"source_partitions", source_topic.partitions()}});
    }
  }
  TargetTopic& topic = topics_[name];
  const bool first_time = topic.info.name.empty();
  topic.info = std::move(*info);
  topic.info.name = name;
  topic.gone = false;
  if (first_time) {
    // A missing right to describe is no reason not to replicate.
    const auto config = target_.topic_config(name, kTimeout);
    if (config) {
      topic.max_message_bytes = limit_of(*config);
      const auto type = config->find("message.timestamp.type");
      if (type != config->end() && type->second == "LogAppendTime") {
        log(Level::kWarning,
            "target topic replaces timestamps (message.timestamp.type=LogAppendTime); the "
            "original ones are lost there",
            {{"pipeline", options_.name}, {"topic", name}});
      }
    } else {
      topic.max_message_bytes = kDefaultMaxMessageBytes;
    }
  }
  return &topic;
}

Result<TopicInfo> TargetTopics::require(Target& cluster, const std::string& name,
                                        std::int32_t partitions) {
  auto info = cluster.topic(name, kTimeout);
  if (info || info.error().code != ErrorCode::kUnknownTopic) return info;
  if (!options_.create_topics.enabled) {
    return fail(ErrorCode::kUnknownTopic,
                "dead-letter topic {} does not exist: create it, or set create-topics under `to`",
                name);
  }
  NewTopic topic{name, partitions, options_.create_topics.replication_factor, {}};
  topic.config["max.message.bytes"] =
      std::to_string(std::max(largest_limit(), kDefaultMaxMessageBytes) + kEnvelopeRoom);
  topic.config["message.timestamp.type"] = "CreateTime";
  topic.config["message.timestamp.after.max.ms"] = std::to_string(INT64_MAX);
  auto created = cluster.create_topic(topic, kTimeout);
  if (!created && created.error().code == ErrorCode::kInvalid) {
    topic.config.erase("message.timestamp.after.max.ms");
    created = cluster.create_topic(topic, kTimeout);
  }
  if (!created && created.error().code != ErrorCode::kExists) return fail(created.error());
  log(Level::kInfo, "created dead-letter topic",
      {{"pipeline", options_.name}, {"topic", name}, {"partitions", partitions}});
  return await(cluster, name, partitions);
}

Result<void> TargetTopics::reread_one() {
  if (topics_.empty()) return {};
  auto next = topics_.upper_bound(reread_);
  if (next == topics_.end()) next = topics_.begin();
  auto& [name, topic] = *next;
  reread_ = name;
  const auto config = target_.topic_config(name, kRereadTimeout);
  if (!config) {
    topic.gone = topic.gone || config.error().code == ErrorCode::kUnknownTopic;
    return fail(config.error());
  }
  const std::int64_t limit = limit_of(*config);
  if (limit == topic.max_message_bytes) return {};
  log(Level::kInfo, "target topic has another max.message.bytes now",
      {{"pipeline", options_.name},
       {"topic", name},
       {"bytes", limit},
       {"before", topic.max_message_bytes}});
  topic.max_message_bytes = limit;
  return {};
}

bool TargetTopics::gone(const std::string& name) const {
  const auto found = topics_.find(name);
  return found != topics_.end() && found->second.gone;
}

std::int64_t TargetTopics::smallest_limit() const {
  std::int64_t limit = INT64_MAX;
  for (const auto& [name, topic] : topics_) limit = std::min(limit, topic.max_message_bytes);
  return topics_.empty() ? kDefaultMaxMessageBytes : limit;
}

std::int64_t TargetTopics::largest_limit() const {
  std::int64_t limit = 0;
  for (const auto& [name, topic] : topics_) limit = std::max(limit, topic.max_message_bytes);
  return topics_.empty() ? kDefaultMaxMessageBytes : limit;
}

}  // namespace drawbridge

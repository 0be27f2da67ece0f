#include "bridge/pipeline/ledger_place.h"

#include <algorithm>
#include <charconv>

namespace drawbridge {
namespace {

// The first epoch of a pipeline that had another name before.
constexpr std::uint32_t kFirstAfterRenaming = 2;

// The highest epoch among the topics that can be seen; 0: none. Somebody may have tidied up closed
// ones below it.
Result<std::uint32_t> highest_epoch(const LedgerOwner& owner, Target& target, Duration timeout) {
  DRAWBRIDGE_ASSIGN(std::string prefix, ledger_topic(owner.daemon, owner.pipeline, 1));
  prefix.pop_back();  // the epoch
  DRAWBRIDGE_ASSIGN(const auto topics, target.topics(timeout));
  std::uint32_t highest = 0;
  for (const TopicInfo& topic : topics) {
    if (!topic.name.starts_with(prefix)) continue;
    const char* end = topic.name.data() + topic.name.size();
    std::uint32_t epoch = 0;
    const auto parsed = std::from_chars(topic.name.data() + prefix.size(), end, epoch);
    if (parsed.ec == std::errc() && parsed.ptr == end) highest = std::max(highest, epoch);
  }
  return highest;
}

}  // namespace

Result<std::optional<LedgerTopic>> ledger_of(const LedgerOwner& owner, std::uint32_t epoch,
                                             Target& target, Duration timeout) {
  DRAWBRIDGE_ASSIGN(std::string name, ledger_topic(owner.daemon, owner.pipeline, epoch));
  const auto info = target.topic(name, timeout);
  if (info) {
    return LedgerTopic{std::move(name), epoch, static_cast<std::uint32_t>(info->partitions())};
  }
  if (info.error().code == ErrorCode::kUnknownTopic) return std::nullopt;
  return fail(info.error());
}

Result<std::optional<LedgerTopic>> newest_ledger(const LedgerOwner& owner, Target& target,
                                                 Duration timeout) {
  DRAWBRIDGE_ASSIGN(const std::uint32_t highest, highest_epoch(owner, target, timeout));
  std::optional<LedgerTopic> newest;
  // One that may not be described is not seen, and is an error here.
  for (std::uint32_t epoch = std::max(highest, 1U);; ++epoch) {
    DRAWBRIDGE_ASSIGN(auto found, ledger_of(owner, epoch, target, timeout));
    if (!found && epoch >= kFirstAfterRenaming) return newest;
    if (found) newest = std::move(found);
  }
}

Result<void> check_compacted(Target& target, const std::string& topic, Duration timeout) {
  const auto config = target.topic_config(topic, timeout);
  if (!config) return {};  // a missing right to describe is no reason not to work
  const auto policy = config->find("cleanup.policy");
  if (policy != config->end() && policy->second != "compact") {
    return fail(ErrorCode::kInvalid,
                "the ledger {} has cleanup.policy={}: it would lose positions. Set "
                "cleanup.policy=compact",
                topic, policy->second);
  }
  return {};
}

Result<LedgerPlace> find_ledger(const PipelineOptions& pipeline, Target& target, Duration timeout) {
  DRAWBRIDGE_ASSIGN(auto newest, newest_ledger({pipeline.daemon, pipeline.name}, target, timeout));
  if (!newest) {
    DRAWBRIDGE_ASSIGN(std::string topic, ledger_topic(pipeline.daemon, pipeline.name, 1));
    return LedgerPlace{std::move(topic), 1, false};
  }
  if (newest->partitions != pipeline.shards) {
    return fail(ErrorCode::kInvalid,
                "the ledger {} has {} partitions, one a shard, and pipeline {} is configured with "
                "{} shards: set shards: {}, or change the number with drawbridge offsets reshard",
                newest->name, newest->partitions, pipeline.name, pipeline.shards,
                newest->partitions);
  }
  DRAWBRIDGE_TRY(check_compacted(target, newest->name, timeout));
  return LedgerPlace{std::move(newest->name), newest->epoch, true};
}

Result<void> make_ledger(const PipelineOptions& pipeline, Target& target, const LedgerPlace& place,
                         Duration timeout) {
  NewTopic topic{place.topic, static_cast<std::int32_t>(pipeline.shards),
                 pipeline.create_topics.replication_factor, ledger_config()};
  const auto created = target.create_topic(topic, timeout);
  if (!created && created.error().code == ErrorCode::kAuthorization) {
    return fail(ErrorCode::kAuthorization,
                "the ledger {} does not exist and may not be created: create it with {} partitions "
                "and cleanup.policy=compact, or allow CREATE on it: {}",
                place.topic, pipeline.shards, created.error().message);
  }
  if (!created && created.error().code != ErrorCode::kExists) return fail(created.error());
  return {};
}

const TopicConfig& ledger_config() {
  // Brokers do not compact the newest segment, and a start reads all of it. Hosted ones refuse
  // smaller ones than this.
  static const TopicConfig config{{"cleanup.policy", "compact"}, {"segment.bytes", "52428800"}};
  return config;
}

std::string lease_group(const PipelineOptions& pipeline) {
  return fmt::format("__drawbridge.lease.{}.{}", pipeline.daemon, pipeline.name);
}

std::string sharing_group(const PipelineOptions& pipeline) {
  return pipeline.exactly_once ? lease_group(pipeline) : pipeline.group;
}

std::string commit_mark(const LedgerOwner& owner, const std::string& target_cluster_id) {
  return fmt::format("{}/{} to {}", owner.daemon, owner.pipeline, target_cluster_id);
}

std::string transactional_id(const PipelineOptions& pipeline, const std::string& part) {
  return fmt::format("{}.{}.{}", pipeline.daemon, pipeline.name, part);
}

}  // namespace drawbridge

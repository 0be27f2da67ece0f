#include "bridge/pipeline/ledger_place.h"

namespace drawbridge {
namespace {

Result<void> check_ledger(const PipelineOptions& pipeline, Target& target, const std::string& topic,
                          std::int32_t partitions, Duration timeout) {
  if (partitions != static_cast<std::int32_t>(pipeline.shards)) {
    return fail(ErrorCode::kInvalid,
                "the ledger {} has {} partitions, one a shard, and pipeline {} is configured with "
                "{} shards: the number is fixed; set shards: {}",
                topic, partitions, pipeline.name, pipeline.shards, partitions);
  }
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

}  // namespace

Result<LedgerPlace> find_ledger(const PipelineOptions& pipeline, Target& target, Duration timeout) {
  LedgerPlace place;
  std::int32_t partitions = 0;
  for (std::uint32_t epoch = 1;; ++epoch) {
    DRAWBRIDGE_ASSIGN(std::string topic, ledger_topic(pipeline.daemon, pipeline.name, epoch));
    const auto info = target.topic(topic, timeout);
    if (!info && info.error().code == ErrorCode::kUnknownTopic) {
      if (epoch == 1) place.topic = std::move(topic);
      break;
    }
    if (!info) return fail(info.error());
    place = {std::move(topic), epoch, true};
    partitions = info->partitions();
  }
  if (place.exists) {
    DRAWBRIDGE_TRY(check_ledger(pipeline, target, place.topic, partitions, timeout));
  }
  return place;
}

Result<void> make_ledger(const PipelineOptions& pipeline, Target& target, const LedgerPlace& place,
                         Duration timeout) {
  NewTopic topic{place.topic,
                 static_cast<std::int32_t>(pipeline.shards),
                 pipeline.create_topics.replication_factor,
                 {{"cleanup.policy", "compact"}}};
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

std::string lease_group(const PipelineOptions& pipeline) {
  return fmt::format("__drawbridge.lease.{}.{}", pipeline.daemon, pipeline.name);
}

std::string transactional_id(const PipelineOptions& pipeline, const std::string& part) {
  return fmt::format("{}.{}.{}", pipeline.daemon, pipeline.name, part);
}

}  // namespace drawbridge

// Where a pipeline's ledger is on its target, and by what name its shards write to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bridge/checkpoint/ledger.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge {

struct LedgerPlace {
  std::string topic;
  std::uint32_t epoch = 1;
  bool exists = false;
};

// A ledger topic that is there.
struct LedgerTopic {
  std::string name;
  std::uint32_t epoch = 1;
  std::uint32_t partitions = 1;  // one a shard
};

// The newest epoch's; nullopt: there is none. Errors: those of the cluster.
Result<std::optional<LedgerTopic>> newest_ledger(const LedgerOwner& owner, Target& target,
                                                 Duration timeout);
// Of one epoch.
Result<std::optional<LedgerTopic>> ledger_of(const LedgerOwner& owner, std::uint32_t epoch,
                                             Target& target, Duration timeout);

// The newest epoch's; where there is none, where it would be. Errors: those of the cluster;
// kInvalid, a topic that does not fit: not one partition a shard, or not compacted.
Result<LedgerPlace> find_ledger(const PipelineOptions& pipeline, Target& target, Duration timeout);

// A topic that would lose positions: kInvalid.
Result<void> check_compacted(Target& target, const std::string& topic, Duration timeout);

// Makes what find_ledger() did not find. Errors: those of the cluster, with what to do.
Result<void> make_ledger(const PipelineOptions& pipeline, Target& target, const LedgerPlace& place,
                         Duration timeout);

// The group on the target that deals out the shards (SCALE_OUT.md).
std::string lease_group(const PipelineOptions& pipeline);
// The group that deals the pipeline out among its instances.
std::string sharing_group(const PipelineOptions& pipeline);

// What a ledger is created with.
const TopicConfig& ledger_config();

// The mark of a pipeline's commits to its group on the source (Source::mark_commits).
std::string commit_mark(const LedgerOwner& owner, const std::string& target_cluster_id);

// `<daemon>.<pipeline>.<part>`: a shard's number, or the name of something that is no shard.
std::string transactional_id(const PipelineOptions& pipeline, const std::string& part);

}  // namespace drawbridge

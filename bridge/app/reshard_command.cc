// `drawbridge offsets reshard`: another number of shards for a pipeline, or another name.
#include "bridge/pipeline/reshard.h"

#include <fmt/format.h>

#include <set>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/daemon.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/positions.h"
#include "bridge/app/terminal.h"
#include "bridge/kafka/connector.h"
#include "bridge/pipeline/shard_of.h"
#include "bridge/pipeline/start_position.h"
#include "bridge/pipeline/topic_selector.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

constexpr Duration kTimeout = std::chrono::seconds(10);

std::string default_group(const std::string& pipeline) { return "drawbridge-" + pipeline; }

// What the store holds of a pipeline, under its new name.
Result<void> rename_in_store(CheckpointStore& store, const std::string& from,
                             const std::string& to) {
  DRAWBRIDGE_ASSIGN(std::vector<CheckpointEntry> entries, store.load(from));
  std::vector<CheckpointKey> old;
  for (CheckpointEntry& entry : entries) {
    old.push_back(entry.key);
    entry.key.pipeline = to;
  }
  DRAWBRIDGE_TRY(store.save(entries));
  return store.erase(old);
}

// ---- exactly-once ---------------------------------------------------------------------------

void print_move(const PipelineOptions& pipeline, const ReshardReport& report) {
  std::vector<std::vector<std::string>> rows{{"TOPIC", "PARTITION", "NEXT", "SHARD", "NOW"}};
  for (const LedgerPosition& each : report.positions) {
    rows.push_back({each.at.topic, fmt::to_string(each.at.partition.value),
                    fmt::to_string(each.position.next.value),
                    fmt::to_string(shard_of(each.at, report.from.partitions)),
                    fmt::to_string(shard_of(each.at, report.to.partitions))});
  }
  if (!report.positions.empty()) fmt::print("{}", table(rows));
  fmt::print(
      "pipeline {}: {} positions moved from {} ({} shards) to {} ({} shards)\n"
      "Now start every instance with this configuration; with the one before, they refuse to run. "
      "Keep the old ledger: it says where the pipeline has gone.\n",
      pipeline.name, report.positions.size(), report.from.name, report.from.partitions,
      report.to.name, report.to.partitions);
}

std::vector<TopicPartition> partitions_of(const TopicSelector& selector,
                                          const std::vector<TopicInfo>& topics) {
  std::vector<TopicPartition> all;
  for (const TopicInfo& topic : topics) {
    if (!selector.selected(topic.name, topic.internal)) continue;
    for (std::int32_t i = 0; i < topic.partitions(); ++i) all.push_back({topic.name, Partition{i}});
  }
  return all;
}

// A group that keeps its name bears the mark of the pipeline before, which the one after would take
// for somebody else's. What a third one has marked is left alone.
Result<void> mark_group(const PipelineOptions& pipeline, const LedgerOwner& from,
                        Connector& connector, Target& target) {
  DRAWBRIDGE_ASSIGN(const std::string target_id, target.cluster_id(kTimeout));
  DRAWBRIDGE_ASSIGN(const auto source, connector.source(pipeline, {}));
  DRAWBRIDGE_ASSIGN(const auto selector, TopicSelector::compile(pipeline.topics));
  DRAWBRIDGE_ASSIGN(const auto topics, source->topics(kTimeout));
  const std::vector<TopicPartition> at = partitions_of(selector, topics);
  source->mark_commits(commit_mark(from, target_id));
  const auto group = source->committed(at, kTimeout);
  if (!group && group.error().code == ErrorCode::kForeign) return {};
  if (!group) return fail(group.error());
  std::vector<std::pair<TopicPartition, GroupOffset>> offsets;
  for (std::size_t i = 0; i < at.size(); ++i) {
    if ((*group)[i]) offsets.emplace_back(at[i], *(*group)[i]);
  }
  if (offsets.empty()) return {};
  source->mark_commits(commit_mark({pipeline.daemon, pipeline.name}, target_id));
  return commit_to_group(*source, pipeline, std::move(offsets));
}

Result<void> move_ledger(const PipelineOptions& pipeline, const LedgerOwner& from,
                         CheckpointStore& store, Connector& connector) {
  const SystemClock clock;
  DRAWBRIDGE_ASSIGN(const auto target,
                    connector.target(pipeline.target, pipeline.target_properties));
  DRAWBRIDGE_ASSIGN(const ReshardReport report, reshard(pipeline, from, connector, *target, clock));
  switch (report.done) {
    case ReshardReport::Done::kNothing:
      fmt::print("nothing to do: pipeline {} has {} shards, in {}\n", pipeline.name,
                 report.from.partitions, report.from.name);
      break;
    case ReshardReport::Done::kBefore:
      fmt::print("nothing to do: pipeline {} was moved from {} to {} already\n", pipeline.name,
                 report.from.name, report.to.name);
      break;
    case ReshardReport::Done::kMoved:
      print_move(pipeline, report);
      break;
  }
  if (from != LedgerOwner{pipeline.daemon, pipeline.name}) {
    if (const auto marked = mark_group(pipeline, from, connector, *target); !marked) {
      fmt::print(stderr,
                 "drawbridge: group {} on {} could not be looked at; where it bears the old name's "
                 "mark, the pipeline will refuse it: run this again then. {}\n",
                 pipeline.group, pipeline.source.name, marked.error().message);
    }
  }
  // Only a cache, which shows in `offsets list`.
  if (from.daemon == pipeline.daemon && from.pipeline != pipeline.name) {
    DRAWBRIDGE_TRY(rename_in_store(store, from.pipeline, pipeline.name));
  }
  return store.set_shards(pipeline.name, pipeline.shards);
}

// ---- at least once --------------------------------------------------------------------------

// Where the pipeline would go on under its old name: what the store knows, and what its group does,
// in which other instances may have come further.
Result<std::vector<CheckpointEntry>> positions_of(const PipelineOptions& old,
                                                  CheckpointStore& store, Connector& connector) {
  DRAWBRIDGE_ASSIGN(const auto source, connector.source(old, {}));
  DRAWBRIDGE_ASSIGN(const std::string cluster, source->cluster_id(kTimeout));
  DRAWBRIDGE_ASSIGN(const auto selector, TopicSelector::compile(old.topics));
  DRAWBRIDGE_ASSIGN(const auto topics, source->topics(kTimeout));
  DRAWBRIDGE_ASSIGN(const auto stored, store.load(old.name));
  std::map<TopicPartition, std::optional<Checkpoint>> known;
  for (TopicPartition& each : partitions_of(selector, topics)) known[std::move(each)] = {};
  for (const CheckpointEntry& entry : stored) {
    // Of a topic that is gone, nothing can be told to the group.
    const auto found = known.find(entry.key.at);
    if (entry.key.cluster_id == cluster && found != known.end()) found->second = entry.checkpoint;
  }
  std::vector<TopicPartition> at;
  at.reserve(known.size());
  for (const auto& [partition, checkpoint] : known) at.push_back(partition);
  DRAWBRIDGE_ASSIGN(const auto group, source->committed(at, kTimeout));
  std::vector<CheckpointEntry> entries;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto& checkpoint = known[at[i]];
    if (!checkpoint && !group[i]) continue;
    Checkpoint there;
    there.position =
        decide_start(checkpoint, group[i], StartAt::kEarliest, false, SystemClock().wall())
            .start.position;
    entries.push_back({{old.name, cluster, at[i]}, there});
  }
  return entries;
}

Result<void> move_checkpoints(const PipelineOptions& pipeline, const std::string& from,
                              CheckpointStore& store, Connector& connector) {
  PipelineOptions old = pipeline;
  old.name = from;
  if (pipeline.group == default_group(pipeline.name)) old.group = default_group(from);
  DRAWBRIDGE_ASSIGN(const auto own, store.load(pipeline.name));
  DRAWBRIDGE_ASSIGN(const auto stored, store.load(from));
  if (stored.empty() && !own.empty()) {
    fmt::print("nothing to do: pipeline {} has checkpoints, and {} has none\n", pipeline.name,
               from);
    return {};
  }
  if (!own.empty()) {
    return fail(ErrorCode::kExists,
                "pipeline {} has checkpoints of its own: choose another name, or remove the state "
                "directory's pipeline first",
                pipeline.name);
  }
  DRAWBRIDGE_ASSIGN(auto entries, positions_of(old, store, connector));
  if (entries.empty()) {
    return fail(ErrorCode::kNotFound,
                "neither the state directory nor group {} knows of pipeline {}", old.group, from);
  }
  DRAWBRIDGE_ASSIGN(const auto positions,
                    Positions::open(pipeline, store, connector, Positions::For::kSetting));
  const std::size_t count = entries.size();
  for (CheckpointEntry& entry : entries) entry.key.pipeline = pipeline.name;
  DRAWBRIDGE_TRY(positions->set(std::move(entries)));
  std::vector<CheckpointKey> gone;
  for (const CheckpointEntry& entry : stored) gone.push_back(entry.key);
  DRAWBRIDGE_TRY(store.erase(gone));
  fmt::print("pipeline {}: {} positions moved from pipeline {}, and set in group {}\n",
             pipeline.name, count, from, pipeline.group);
  return {};
}

Result<void> change_state(const PipelineOptions& pipeline, const LedgerOwner& from,
                          CheckpointStore& store, Connector& connector) {
  if (from.daemon != pipeline.daemon) {
    return fail(ErrorCode::kInvalid,
                "pipeline {} delivers at least once: its checkpoints are in the state directory of "
                "daemon {}. Its group's offsets say where another daemon goes on",
                pipeline.name, from.daemon);
  }
  DRAWBRIDGE_ASSIGN(const auto before, store.shards(from.pipeline));
  if (from.pipeline != pipeline.name) {
    DRAWBRIDGE_TRY(move_checkpoints(pipeline, from.pipeline, store, connector));
  } else if (!before) {
    return fail(ErrorCode::kNotFound,
                "the state directory knows nothing of pipeline {}: it starts with any number of "
                "shards; if its name was another, say --from-pipeline",
                pipeline.name);
  } else if (*before == pipeline.shards) {
    fmt::print("nothing to do: pipeline {} has {} shards\n", pipeline.name, *before);
    return {};
  }
  DRAWBRIDGE_TRY(store.set_shards(pipeline.name, pipeline.shards));
  fmt::print(
      "pipeline {} has {} shards now; its positions are by partition, and stay. Each instance has "
      "a state directory of its own: run this there, too\n",
      pipeline.name, pipeline.shards);
  return {};
}

// ---- the command ----------------------------------------------------------------------------

Result<void> run(const Configuration& configuration, const po::variables_map& options) {
  DRAWBRIDGE_ASSIGN(const PipelineOptions* pipeline,
                    pipeline_named(configuration, options["pipeline"].as<std::string>()));
  LedgerOwner from{pipeline->daemon, pipeline->name};
  if (options.contains("from-daemon")) from.daemon = options["from-daemon"].as<std::string>();
  if (options.contains("from-pipeline")) {
    from.pipeline = options["from-pipeline"].as<std::string>();
  }
  DRAWBRIDGE_ASSIGN(const auto store, open_state(configuration, true));
  const auto connector = kafka::make_connector();
  return pipeline->exactly_once ? move_ledger(*pipeline, from, *store, *connector)
                                : change_state(*pipeline, from, *store, *connector);
}

int reshard_now(const CommandLine& line) {
  quiet_log();
  const auto configuration =
      load_or_report(line.options["config"].as<std::string>(), {.resolve_secrets = true});
  if (!configuration) return kExitConfiguration;
  const auto done = run(*configuration, line.options);
  return done ? static_cast<int>(kExitOk) : report(done.error());
}

}  // namespace

CommandSpec reshard_command() {
  const auto describe = [](po::options_description& options) {
    add_config_option(options);
    options.add_options()("pipeline", po::value<std::string>()->required()->value_name("NAME"),
                          "which one, by its name in FILE")(
        "from-pipeline", po::value<std::string>()->value_name("OLD"),
        "its name before, where that was another")(
        "from-daemon", po::value<std::string>()->value_name("OLD"),
        "its daemon's name before, where that was another (exactly-once)");
  };
  return {"offsets reshard",
          "give a stopped pipeline the number of shards, or the name, that FILE says",
          "-c FILE --pipeline NAME [--from-pipeline OLD] [--from-daemon OLD]",
          describe,
          {},
          reshard_now};
}

}  // namespace drawbridge

// `drawbridge owners`: which instance works on which part of a shared pipeline, as the clusters'
// groups have it. Asks, and changes nothing; the daemons need not be on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/json.h"
#include "bridge/app/terminal.h"
#include "bridge/kafka/probe.h"
#include "bridge/pipeline/ledger_place.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

constexpr Duration kTimeout = std::chrono::seconds(15);

struct Owner {
  std::string instance;
  std::string host;
};

// What a pipeline's group says. Exactly-once: the partitions are shards.
struct Ownership {
  const PipelineOptions* pipeline = nullptr;
  bool settled = true;
  std::map<TopicPartition, Owner> owners;
};

Result<Ownership> ask(const PipelineOptions& pipeline) {
  Ownership found{&pipeline, true, {}};
  if (!pipeline.share) return found;
  const ClusterOptions cluster = pipeline.exactly_once
                                     ? with(pipeline.target, pipeline.target_properties)
                                     : with(pipeline.source, pipeline.source_properties);
  DRAWBRIDGE_ASSIGN(const kafka::GroupInfo group,
                    kafka::probe_group(cluster, sharing_group(pipeline), kTimeout));
  found.settled = group.settled;
  for (const kafka::GroupMember& member : group.members) {
    for (const TopicPartition& at : member.dealt) {
      found.owners.insert_or_assign(at, Owner{member.instance, member.host});
    }
  }
  return found;
}

// One row a part; a shard that nobody has shows as such.
std::vector<std::pair<std::string, Owner>> parts_of(const Ownership& found) {
  std::vector<std::pair<std::string, Owner>> parts;
  if (!found.pipeline->exactly_once) {
    for (const auto& [at, owner] : found.owners) {
      parts.emplace_back(fmt::format("{} [{}]", printable(at.topic), at.partition.value), owner);
    }
    return parts;
  }
  for (std::uint32_t shard = 0; shard < found.pipeline->shards; ++shard) {
    const auto owner = std::ranges::find_if(found.owners, [&](const auto& each) {
      return each.first.partition.value == static_cast<std::int32_t>(shard);
    });
    parts.emplace_back(fmt::format("shard {}", shard),
                       owner == found.owners.end() ? Owner{} : owner->second);
  }
  return parts;
}

void print_text(const std::vector<Ownership>& all) {
  std::vector<std::vector<std::string>> rows{{"PIPELINE", "PART", "INSTANCE", "HOST"}};
  for (const Ownership& found : all) {
    const std::string& name = found.pipeline->name;
    if (!found.pipeline->share) {
      rows.push_back({name, "all", "whoever runs it (share: false)", "-"});
      continue;
    }
    const auto parts = parts_of(found);
    if (parts.empty()) rows.push_back({name, "-", "nobody", "-"});
    for (const auto& [part, owner] : parts) {
      rows.push_back({name, part, owner.instance.empty() ? "nobody" : printable(owner.instance),
                      owner.host.empty() ? "-" : printable(owner.host)});
    }
  }
  fmt::print("{}", table(rows));
  for (const Ownership& found : all) {
    if (found.settled) continue;
    fmt::print(stderr, "drawbridge: {} is being dealt anew just now: ask again\n",
               found.pipeline->name);
  }
}

void print_json(const std::vector<Ownership>& all) {
  JsonWriter json(2);
  json.array();
  for (const Ownership& found : all) {
    json.object().field("pipeline", found.pipeline->name);
    json.field("shared", found.pipeline->share).field("settled", found.settled);
    if (found.pipeline->share) json.field("group", sharing_group(*found.pipeline));
    json.key("parts").array();
    for (const auto& [at, owner] : found.owners) {
      json.object();
      if (found.pipeline->exactly_once) {
        json.field("shard", at.partition.value);
      } else {
        json.field("topic", at.topic).field("partition", at.partition.value);
      }
      json.field("instance", owner.instance).field("host", owner.host).end();
    }
    json.end().end();
  }
  fmt::print("{}\n", json.end().take());
}

int owners(const CommandLine& line) {
  const auto json = wants_json(line);
  if (!json) return kExitUsage;
  quiet_log();
  const auto configuration =
      load_or_report(line.options["config"].as<std::string>(), {.resolve_secrets = true});
  if (!configuration) return kExitConfiguration;
  std::vector<const PipelineOptions*> pipelines;
  if (line.options.contains("pipeline")) {
    const auto one = pipeline_named(*configuration, line.options["pipeline"].as<std::string>());
    if (!one) return report(one.error());
    pipelines.push_back(*one);
  } else {
    for (const PipelineOptions& pipeline : configuration->pipelines) pipelines.push_back(&pipeline);
  }
  std::vector<Ownership> all;
  for (const PipelineOptions* pipeline : pipelines) {
    auto found = ask(*pipeline);
    if (!found) return report(found.error());
    all.push_back(std::move(*found));
  }
  *json ? print_json(all) : print_text(all);
  return kExitOk;
}

}  // namespace

CommandSpec owners_command() {
  return {"owners",
          "show which instance works on which part of each pipeline",
          "-c FILE [--pipeline NAME] [--format text|json]",
          [](po::options_description& options) {
            add_config_option(options);
            options.add_options()("pipeline", po::value<std::string>()->value_name("NAME"),
                                  "this one (default: all)");
            add_format_option(options);
          },
          {},
          owners};
}

}  // namespace drawbridge

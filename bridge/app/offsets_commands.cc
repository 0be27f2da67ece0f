// `drawbridge offsets`: positions, while the daemon is stopped.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/daemon.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/json.h"
#include "bridge/app/positions.h"
#include "bridge/app/terminal.h"
#include "bridge/checkpoint/offsets_file.h"
#include "bridge/kafka/connector.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

std::string shown(const std::optional<Offset>& offset) {
  return offset ? fmt::to_string(offset->value) : "-";
}

std::optional<Configuration> configuration_of(const CommandLine& line, bool secrets) {
  quiet_log();
  return load_or_report(line.options["config"].as<std::string>(), {.resolve_secrets = secrets});
}

// ---- list, export ---------------------------------------------------------------------------

void print_entries(const std::vector<CheckpointEntry>& entries) {
  std::vector<std::vector<std::string>> rows{
      {"PIPELINE", "TOPIC", "PARTITION", "NEXT", "GROUP", "SAVED", "CLUSTER"}};
  for (const auto& [key, checkpoint] : entries) {
    rows.push_back({key.pipeline, key.at.topic, fmt::to_string(key.at.partition.value),
                    fmt::to_string(checkpoint.position.next.value),
                    shown(checkpoint.group_committed), utc_time(checkpoint.saved_at),
                    key.cluster_id});
  }
  fmt::print("{}", table(rows));
}

void print_json(const std::vector<CheckpointEntry>& entries) {
  JsonWriter json(2);
  json.array();
  for (const auto& [key, checkpoint] : entries) {
    json.object().field("pipeline", key.pipeline).field("cluster", key.cluster_id);
    json.field("topic", key.at.topic).field("partition", key.at.partition.value);
    json.field("next", checkpoint.position.next.value).key("group");
    if (checkpoint.group_committed) {
      json.value(checkpoint.group_committed->value);
    } else {
      json.null();
    }
    json.field("saved", utc_time(checkpoint.saved_at)).end();
  }
  fmt::print("{}\n", json.end().take());
}

void say_what_decides(const Configuration& configuration) {
  for (const PipelineOptions& pipeline : configuration.pipelines) {
    if (!pipeline.exactly_once) continue;
    fmt::print(stderr,
               "drawbridge: {} delivers exactly once: its ledger decides, and may be further "
               "than what this state directory knows. Importing a position that lies before the "
               "ledger's has records copied again\n",
               pipeline.name);
  }
}

int list(const CommandLine& line) {
  const auto json = wants_json(line);
  if (!json) return kExitUsage;
  const auto configuration = configuration_of(line, false);
  if (!configuration) return kExitConfiguration;
  const auto store = open_state(*configuration, false);
  if (!store) return report(store.error());
  const auto entries = (*store)->load_all();
  if (!entries) return report(entries.error());
  if (*json) {
    print_json(*entries);
  } else {
    print_entries(*entries);
  }
  say_what_decides(*configuration);
  return kExitOk;
}

int export_all(const CommandLine& line) {
  const auto configuration = configuration_of(line, false);
  if (!configuration) return kExitConfiguration;
  const auto store = open_state(*configuration, false);
  if (!store) return report(store.error());
  const auto entries = (*store)->load_all();
  if (!entries) return report(entries.error());
  const auto text = format_offsets((*store)->identity(), *entries);
  if (!text) return report(text.error());
  fmt::print("{}", *text);
  say_what_decides(*configuration);
  return kExitOk;
}

// ---- import ---------------------------------------------------------------------------------

Result<std::string> read_file(const std::string& file) {
  if (file == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fail(ErrorCode::kNotFound, "cannot read {}: {}", file, std::strerror(errno));
  std::string text(std::istreambuf_iterator<char>(stream), {});
  if (stream.bad()) return fail(ErrorCode::kIo, "cannot read {}", file);
  return text;
}

// What a file says of one pipeline, and where to put it.
struct PipelineImport {
  std::unique_ptr<Positions> positions;
  std::vector<CheckpointEntry> set;        // everywhere
  std::vector<CheckpointEntry> only_kept;  // topics that are gone: not in the group
};

// Holds the file's positions against what the source has. Nothing is changed.
Result<PipelineImport> prepare(const PipelineOptions& pipeline,
                               const std::vector<CheckpointEntry>& entries, CheckpointStore& store,
                               Connector& connector) {
  PipelineImport import;
  DRAWBRIDGE_ASSIGN(import.positions,
                    Positions::open(pipeline, store, connector, Positions::For::kSetting));
  std::map<std::string, std::map<std::int32_t, PositionView>> topics;
  for (const CheckpointEntry& entry : entries) {
    const auto& at = entry.key.at;
    if (entry.key.cluster_id != import.positions->cluster_id()) {
      return fail(ErrorCode::kForeign,
                  "the file's positions of pipeline {} are of cluster {}, and {} is {}",
                  pipeline.name, printable(entry.key.cluster_id), pipeline.source.name,
                  import.positions->cluster_id());
    }
    if (!topics.contains(at.topic)) {
      auto views = import.positions->look(at.topic, std::nullopt);
      if (!views && views.error().code != ErrorCode::kUnknownTopic) return fail(views.error());
      auto& known = topics[at.topic];
      if (views) {
        for (PositionView& view : *views) known.emplace(view.at.partition.value, std::move(view));
      }
    }
    const auto& known = topics[at.topic];
    const auto view = known.find(at.partition.value);
    if (view == known.end()) {
      fmt::print(stderr, "drawbridge: {} [{}] is not there any more: its position is only kept\n",
                 printable(at.topic), at.partition.value);
      import.only_kept.push_back(entry);
      continue;
    }
    const Offset next = entry.checkpoint.position.next;
    const Watermarks& log = view->second.log;
    if (next > log.high) {
      return fail(ErrorCode::kInvalid,
                  "position {} of {} [{}] lies past the log's end, {}: the topic is not the one "
                  "that the file was made of. Nothing was changed",
                  next.value, at.topic, at.partition.value, log.high.value);
    }
    if (next < log.low) {
      fmt::print(stderr,
                 "drawbridge: {} [{}]: records {} to {} are gone from the log; the pipeline's "
                 "on-gap decides at its start\n",
                 at.topic, at.partition.value, next.value, log.low.value - 1);
    }
    const bool back = view->second.next && next < *view->second.next;
    fmt::print("{}  {} [{}]  {} -> {}{}\n", pipeline.name, at.topic, at.partition.value,
               shown(view->second.next), next.value, back ? "  (back: copied again)" : "");
    import.set.push_back(entry);
  }
  return import;
}

Result<void> import_file(const Configuration& configuration, const std::string& file) {
  DRAWBRIDGE_ASSIGN(const std::string text, read_file(file));
  DRAWBRIDGE_ASSIGN(const OffsetsFile parsed, parse_offsets(file, text));
  DRAWBRIDGE_ASSIGN(const auto store, open_state(configuration, true));
  std::map<std::string, std::vector<CheckpointEntry>> by_pipeline;
  for (CheckpointEntry& entry : parsed.entries_for(store->identity())) {
    by_pipeline[entry.key.pipeline].push_back(std::move(entry));
  }
  for (const auto& [name, entries] : by_pipeline) {
    DRAWBRIDGE_TRY(pipeline_named(configuration, name));
  }
  const auto connector = kafka::make_connector();
  std::vector<PipelineImport> imports;
  for (const auto& [name, entries] : by_pipeline) {
    DRAWBRIDGE_ASSIGN(const PipelineOptions* pipeline, pipeline_named(configuration, name));
    DRAWBRIDGE_ASSIGN(PipelineImport import, prepare(*pipeline, entries, *store, *connector));
    imports.push_back(std::move(import));
  }
  std::size_t count = 0;
  for (PipelineImport& import : imports) {
    count += import.set.size() + import.only_kept.size();
    DRAWBRIDGE_TRY(import.positions->set(std::move(import.set)));
    DRAWBRIDGE_TRY(import.positions->keep(import.only_kept));
  }
  fmt::print("{} positions imported\n", count);
  return {};
}

int import_all(const CommandLine& line) {
  const auto configuration = configuration_of(line, true);
  if (!configuration) return kExitConfiguration;
  const auto done = import_file(*configuration, line.options["file"].as<std::string>());
  return done ? static_cast<int>(kExitOk) : report(done.error());
}

// ---- reset ----------------------------------------------------------------------------------

struct ResetRequest {
  std::string pipeline;
  std::string topic;
  std::optional<std::int32_t> partition;
  PlaceInLog to;
  bool dry_run = false;
};

Result<void> reset(const Configuration& configuration, const ResetRequest& request) {
  DRAWBRIDGE_ASSIGN(const PipelineOptions* pipeline,
                    pipeline_named(configuration, request.pipeline));
  DRAWBRIDGE_ASSIGN(const auto store, open_state(configuration, true));
  const auto connector = kafka::make_connector();
  DRAWBRIDGE_ASSIGN(
      const auto positions,
      Positions::open(*pipeline, *store, *connector,
                      request.dry_run ? Positions::For::kLooking : Positions::For::kSetting));
  DRAWBRIDGE_TRY(positions->check_topic(request.topic));
  DRAWBRIDGE_ASSIGN(const auto views, positions->look(request.topic, request.partition));
  DRAWBRIDGE_ASSIGN(const auto offsets, positions->resolve(request.to, views));

  std::vector<CheckpointEntry> entries;
  std::vector<std::vector<std::string>> rows{
      {"TOPIC", "PARTITION", "LOG", positions->where(), "GROUP", "NOW"}};
  for (std::size_t i = 0; i < views.size(); ++i) {
    const PositionView& view = views[i];
    Checkpoint checkpoint;
    checkpoint.position.next = offsets[i];
    entries.push_back({{pipeline->name, positions->cluster_id(), view.at}, checkpoint});
    rows.push_back({view.at.topic, fmt::to_string(view.at.partition.value),
                    fmt::format("{} to {}", view.log.low.value, view.log.high.value),
                    shown(view.next), shown(view.group), fmt::to_string(offsets[i].value)});
  }
  if (!request.dry_run) DRAWBRIDGE_TRY(positions->set(std::move(entries)));
  fmt::print("{}", table(rows));
  fmt::print("{}\n", request.dry_run          ? "nothing was changed (--dry-run)"
                     : pipeline->exactly_once ? "ledger, checkpoint and consumer group are set"
                                              : "checkpoint and consumer group are set");
  return {};
}

int reset_command(const CommandLine& line) {
  ResetRequest request;
  request.pipeline = line.options["pipeline"].as<std::string>();
  request.topic = line.options["topic"].as<std::string>();
  if (line.options.contains("partition")) {
    request.partition = line.options["partition"].as<std::int32_t>();
  }
  request.dry_run = line.options.contains("dry-run");
  const auto to = PlaceInLog::parse(line.options["to"].as<std::string>());
  if (!to) {
    fmt::print(stderr, "drawbridge: offsets reset: --to: {}\n", to.error().message);
    return kExitUsage;
  }
  request.to = *to;
  const auto configuration = configuration_of(line, true);
  if (!configuration) return kExitConfiguration;
  const auto done = reset(*configuration, request);
  return done ? static_cast<int>(kExitOk) : report(done.error());
}

}  // namespace

std::vector<CommandSpec> offsets_commands() {
  const auto with_format = [](po::options_description& options) {
    add_config_option(options);
    add_format_option(options);
  };
  const auto with_file = [](po::options_description& options) {
    add_config_option(options);
    options.add_options()("file", po::value<std::string>()->required()->value_name("FILE"),
                          "what `offsets export` wrote; - reads standard input");
  };
  const auto with_place = [](po::options_description& options) {
    add_config_option(options);
    options.add_options()("pipeline", po::value<std::string>()->required()->value_name("NAME"),
                          "whose position")(
        "topic", po::value<std::string>()->required()->value_name("TOPIC"), "source topic")(
        "partition", po::value<std::int32_t>()->value_name("N"), "one partition (default: all)")(
        "to", po::value<std::string>()->required()->value_name("PLACE"),
        "earliest, latest, an offset, or a time (2026-01-31T12:00:00Z)")(
        "dry-run", "show what would become of it, change nothing");
  };
  return {{"offsets list",
           "show every position that is checkpointed",
           "-c FILE [--format text|json]",
           with_format,
           {},
           list},
          {"offsets export",
           "print all positions as text that can be kept and imported",
           "-c FILE > POSITIONS",
           add_config_option,
           {},
           export_all},
          {"offsets import",
           "set positions from an export, in ledgers, store and groups",
           "-c FILE POSITIONS",
           with_file,
           {"file"},
           import_all},
          {"offsets reset",
           "set a topic's position, in ledger, store and consumer group",
           "-c FILE --pipeline NAME --topic TOPIC [--partition N] --to PLACE [--dry-run]",
           with_place,
           {},
           reset_command}};
}

}  // namespace drawbridge

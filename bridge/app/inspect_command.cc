// `drawbridge inspect`: a topic's records and their envelopes. Values in clear are shown only where
// they are asked for and a key opens them; a value that was never sealed is not shown at all.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/daemon.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/json.h"
#include "bridge/app/positions.h"
#include "bridge/app/record_opener.h"
#include "bridge/app/record_view.h"
#include "bridge/app/terminal.h"
#include "bridge/kafka/connector.h"
#include "bridge/kafka/topic_reader.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr std::size_t kBatch = 200;

struct Request {
  std::string cluster;
  std::string topic;
  std::optional<Partition> partition;
  std::optional<PlaceInLog> from;  // none: the newest
  std::int64_t count = 10;         // of each partition
  bool json = false;
  bool decrypt = false;
  std::optional<std::string> domain;
  std::optional<std::string> dataset;
  std::optional<std::string> tenant;
};

std::optional<std::string> text_of(const CommandLine& line, const char* name) {
  if (!line.options.contains(name)) return std::nullopt;
  return line.options[name].as<std::string>();
}

Result<Request> request_of(const CommandLine& line) {
  Request request;
  request.cluster = line.options["cluster"].as<std::string>();
  request.topic = line.options["topic"].as<std::string>();
  if (line.options.contains("partition")) {
    request.partition = Partition{line.options["partition"].as<std::int32_t>()};
  }
  if (const auto from = text_of(line, "from")) {
    DRAWBRIDGE_ASSIGN(request.from, PlaceInLog::parse(*from));
    if (request.from->kind == PlaceInLog::Kind::kLatest) {
      return fail(ErrorCode::kInvalid,
                  "--from latest would show nothing; without --from the newest records are shown");
    }
  }
  request.count = line.options["count"].as<std::int64_t>();
  if (request.count < 1) return fail(ErrorCode::kInvalid, "--count {}: at least 1", request.count);
  const std::string format = line.options["format"].as<std::string>();
  if (format != "table" && format != "json") {
    return fail(ErrorCode::kInvalid, "--format {}: table or json", format);
  }
  request.json = format == "json";
  request.decrypt = line.options.contains("decrypt");
  request.domain = text_of(line, "domain");
  request.dataset = text_of(line, "dataset");
  request.tenant = text_of(line, "tenant");
  if (request.decrypt != request.domain.has_value()) {
    return fail(ErrorCode::kInvalid, "--decrypt and --domain NAME go together");
  }
  return request;
}

// What the configuration expects, never what a record claims.
Result<Scope> scope_of(const Request& request, const Configuration& configuration) {
  if (request.dataset) return Scope{*request.dataset, request.tenant};
  std::set<std::string> datasets;
  for (const PipelineOptions& pipeline : configuration.pipelines) datasets.insert(pipeline.dataset);
  if (datasets.size() == 1) return Scope{*datasets.begin(), request.tenant};
  return fail(ErrorCode::kInvalid, "say which dataset the records are of: --dataset {}",
              fmt::join(datasets, " | "));
}

Result<const ClusterOptions*> find_cluster(const Configuration& configuration,
                                           const std::string& name) {
  std::vector<std::string_view> names;
  for (const ClusterOptions& cluster : configuration.clusters) {
    if (cluster.name == name) return &cluster;
    names.push_back(cluster.name);
  }
  return fail(ErrorCode::kInvalid, "the configuration has no cluster `{}`; it has {}",
              printable(name), fmt::join(names, ", "));
}

// The stretches of the topic to read: from a place on, one a partition, so that each can be left
// when enough of it has been seen.
Result<std::vector<kafka::ReadRange>> ranges_of(const Request& request,
                                                const ClusterOptions& cluster) {
  if (!request.from) {
    kafka::ReadRange range;
    range.partition = request.partition;
    range.newest = request.count;
    return std::vector{range};
  }
  const auto connector = kafka::make_connector();
  DRAWBRIDGE_ASSIGN(const auto target, connector->target(cluster, {}));
  DRAWBRIDGE_ASSIGN(const TopicInfo topic, target->topic(request.topic, kTimeout));
  std::vector<TopicPartition> at;
  for (std::int32_t i = 0; i < topic.partitions(); ++i) {
    if (!request.partition || request.partition->value == i) {
      at.push_back({request.topic, Partition{i}});
    }
  }
  std::vector<Offset> by_time;
  if (request.from->kind == PlaceInLog::Kind::kTime) {
    PipelineOptions options;
    options.name = "inspect";
    options.group = kafka::kNoGroup;
    options.source = cluster;
    DRAWBRIDGE_ASSIGN(const auto source, connector->source(options, {}));
    DRAWBRIDGE_ASSIGN(by_time, source->offsets_at(at, request.from->number, kTimeout));
  }
  std::vector<kafka::ReadRange> ranges;
  for (std::size_t i = 0; i < at.size(); ++i) {
    kafka::ReadRange range;
    range.partition = at[i].partition;
    if (request.from->kind == PlaceInLog::Kind::kOffset) range.from = Offset{request.from->number};
    if (!by_time.empty()) range.from = by_time[i];
    ranges.push_back(range);
  }
  return ranges;
}

class Inspection {
 public:
  Inspection(const Request& request, RecordOpener* opener)
      : request_(request), opener_(opener), rows_{record_columns(opener != nullptr)} {}

  Result<void> read(const ClusterOptions& cluster, const kafka::ReadRange& range) {
    DRAWBRIDGE_ASSIGN(const auto reader,
                      kafka::TopicReader::open(cluster, request_.topic, range, kTimeout));
    Batch batch;
    std::map<Partition, std::int64_t> shown;
    const auto enough = [&] {
      return range.partition && shown[*range.partition] >= request_.count;
    };
    while (!reader->done() && !enough()) {
      DRAWBRIDGE_TRY(reader->next(batch, kBatch, kTimeout));
      for (std::size_t i = 0; i < batch.size; ++i) {
        const Record& record = batch.records[i];
        if (++shown[record.partition] <= request_.count) show(record);
      }
      batch.clear();
    }
    return {};
  }

  // Prints what was collected for a table.
  void finish() {
    if (request_.json) return;
    // The column of dead letters, where there are any.
    if (std::all_of(rows_.begin() + 1, rows_.end(),
                    [](const auto& row) { return row.back().empty(); })) {
      for (auto& row : rows_) row.pop_back();
    }
    fmt::print("{}", table(rows_));
  }

  [[nodiscard]] bool any() const { return rows_.size() > 1; }
  [[nodiscard]] bool refused() const { return refused_; }

 private:
  void show(const Record& record) {
    std::optional<Result<KeptRecord>> opened;
    if (opener_ != nullptr) opened = opener_->open(record, kTimeout);
    refused_ = refused_ || (opened && !*opened);
    const RecordView view = RecordView::of(record);
    if (request_.json) {
      fmt::print("{}\n", record_json(view, opened ? &*opened : nullptr));
    } else {
      rows_.push_back(record_row(view, opened ? &*opened : nullptr));
    }
  }

  const Request& request_;
  RecordOpener* opener_;
  std::vector<std::vector<std::string>> rows_;
  bool refused_ = false;
};

Result<bool> inspect(const Configuration& configuration, const Request& request) {
  DRAWBRIDGE_ASSIGN(const ClusterOptions* cluster, find_cluster(configuration, request.cluster));
  std::unique_ptr<DomainRegistry> keys;
  std::unique_ptr<RecordOpener> opener;
  if (request.decrypt) {
    DRAWBRIDGE_ASSIGN(Scope scope, scope_of(request, configuration));
    DRAWBRIDGE_ASSIGN(keys, open_key_domains(configuration));
    DRAWBRIDGE_ASSIGN(opener, RecordOpener::make(*keys, *request.domain, std::move(scope)));
  }
  DRAWBRIDGE_ASSIGN(const auto ranges, ranges_of(request, *cluster));
  Inspection inspection(request, opener.get());
  for (const kafka::ReadRange& range : ranges) {
    if (auto read = inspection.read(*cluster, range); !read) {
      if (inspection.any()) inspection.finish();
      return fail(std::move(read).error());
    }
  }
  inspection.finish();
  return !inspection.refused();
}

int run_inspect(const CommandLine& line) {
  const auto request = request_of(line);
  if (!request) {
    fmt::print(stderr, "drawbridge: inspect: {}\n", request.error().message);
    return kExitUsage;
  }
  quiet_log();
  const auto configuration = load_or_report(line.options["config"].as<std::string>());
  if (!configuration) return kExitConfiguration;
  const auto all_opened = inspect(*configuration, *request);
  if (!all_opened) return report(all_opened.error());
  return *all_opened ? kExitOk : kExitPipeline;
}

}  // namespace

CommandSpec inspect_command() {
  return {
      "inspect",
      "read a topic and show each record's envelope",
      "-c FILE --cluster NAME --topic TOPIC [--partition N] [--from PLACE] [--count N]\n"
      "         [--format table|json] [--decrypt --domain NAME [--dataset NAME] [--tenant NAME]]",
      [](po::options_description& options) {
        add_config_option(options);
        const auto text = [] { return po::value<std::string>(); };
        options.add_options()("cluster", text()->required()->value_name("NAME"),
                              "a cluster of the configuration")(
            "topic", text()->required()->value_name("TOPIC"), "what to read")(
            "partition", po::value<std::int32_t>()->value_name("N"),
            "one partition (default: all)")(
            "from", text()->value_name("PLACE"),
            "earliest, an offset or a time (2026-01-31T12:00:00Z); default: the newest records")(
            "count", po::value<std::int64_t>()->default_value(10)->value_name("N"),
            "records of each partition")("format", text()->default_value("table"),
                                         "table, or json: one object a line")(
            "decrypt", "show values in clear; exit status 3 where one cannot be opened")(
            "domain", text()->value_name("NAME"), "key domain that opens them")(
            "dataset", text()->value_name("NAME"),
            "dataset that they must be of (default: the pipelines', where they have one)")(
            "tenant", text()->value_name("NAME"), "tenant that they must be of");
      },
      {},
      run_inspect};
}

}  // namespace drawbridge

// `drawbridge check`: every connection, topic, right and key that a configuration needs.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <map>
#include <vector>

#include "bridge/app/check_pipeline.h"
#include "bridge/app/check_report.h"
#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/daemon.h"
#include "bridge/app/exit_codes.h"
#include "bridge/base/secret.h"
#include "bridge/kafka/connector.h"
#include "bridge/kafka/probe.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(10);

class Check {
 public:
  Check(const Configuration& configuration, CheckReport& report)
      : configuration_(configuration), report_(report), connector_(kafka::make_connector()) {}

  void run() {
    // All at once, since each may take its time.
    std::vector<std::future<Result<kafka::ClusterProbe>>> probes;
    for (const ClusterOptions& cluster : configuration_.clusters) {
      probes.push_back(std::async(std::launch::async,
                                  [&cluster] { return kafka::probe_cluster(cluster, kTimeout); }));
    }
    check_keys();
    check_state();
    for (std::size_t i = 0; i < probes.size(); ++i) {
      check_cluster(configuration_.clusters[i], probes[i].get());
    }
    for (const PipelineOptions& pipeline : configuration_.pipelines) check(pipeline);
  }

 private:
  // ---- keys ---------------------------------------------------------------------------------

  void check_keys() {
    KeyCacheLimits limits;
    limits.keys = configuration_.daemon.key_cache_keys;
    const std::vector<KeyCacheLimits> all(
        std::max<std::size_t>(configuration_.key_domains.size(), 1), limits);
    const std::size_t bytes = secret_heap_bytes(all);
    if (const auto heap = init_secret_heap(bytes); !heap) {
      report_.failure("secret heap", heap.error());
      return;
    }
    report_.ok("secret heap", fmt::format("{} KiB of locked memory for keys", bytes / 1024));
    for (const KeyDomainOptions& domain : configuration_.key_domains) check(domain, limits);
  }

  void check(const KeyDomainOptions& domain, const KeyCacheLimits& limits) {
    const std::string subject = fmt::format("key domain {}", domain.name);
    const std::vector<KeyDomainConfig> alone{{domain.name, domain.kind, domain.options}};
    const auto registry = DomainRegistry::create(alone, limits);
    if (!registry) {
      report_.failure(subject, registry.error());
      return;
    }
    const auto cache = (*registry)->cache(domain.name);
    if (!cache) {
      report_.failure(subject, cache.error());
      return;
    }
    if (const auto probed = (*registry)->probe(domain.name); !probed) {
      report_.failure(subject, probed.error());
      return;
    }
    const KeyProviderInfo info = (*cache)->info();
    const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(limits.key_lifetime);
    report_.ok(subject,
               fmt::format("{}; the context is bound {}; a key stays in use at most {} min after "
                           "the store would refuse it",
                           info.description, info.binds_context ? "by the store" : "in the payload",
                           minutes.count()));
  }

  // ---- state --------------------------------------------------------------------------------

  void check_state() {
    const std::string& directory = configuration_.daemon.state_directory;
    auto store = open_state(configuration_, false);
    if (store) {
      store_ = std::move(*store);
      report_.ok("state", fmt::format("{} can be used", directory));
      return;
    }
    if (store.error().code == ErrorCode::kLocked) {
      report_.warning("state", store.error().message,
                      "checkpoints are not looked at while the daemon runs");
      return;
    }
    if (store.error().code != ErrorCode::kNotFound) {
      report_.failure("state", store.error());
      return;
    }
    // The first start makes it in the nearest directory that is there.
    std::filesystem::path parent = std::filesystem::absolute(directory);
    std::error_code ignored;
    while (!std::filesystem::exists(parent, ignored) && parent.has_relative_path()) {
      parent = parent.parent_path();
    }
    if (access(parent.c_str(), W_OK | X_OK) == 0) {
      report_.ok("state", fmt::format("{} will be made at the first start", directory));
    } else {
      report_.failure(
          "state",
          fmt::format("{} cannot be made: no right to write in {}", directory, parent.string()),
          "set daemon.state-directory, or make it for this user");
    }
  }

  // ---- clusters and pipelines ---------------------------------------------------------------

  void check_cluster(const ClusterOptions& cluster, const Result<kafka::ClusterProbe>& probe) {
    const std::string subject = fmt::format("cluster {}", cluster.name);
    reached_[cluster.name] = probe.has_value();
    if (!probe) {
      const ErrorCode code = probe.error().code;
      report_.failure(subject, probe.error().message,
                      code == ErrorCode::kAuthentication
                          ? "correct the cluster's tls and auth"
                          : "check bootstrap.servers, the listener's security and the network");
      return;
    }
    report_.ok(subject, fmt::format("{} broker{} reached, cluster id {}, {} topics shown to us",
                                    probe->brokers.size(), probe->brokers.size() == 1 ? "" : "s",
                                    probe->cluster_id, probe->topics));
  }

  void check(const PipelineOptions& pipeline) {
    for (const std::string& cluster : {pipeline.source.name, pipeline.target.name}) {
      if (reached_[cluster]) continue;
      report_.failure(fmt::format("pipeline {}", pipeline.name),
                      fmt::format("was not checked: cluster {} cannot be used", cluster),
                      "see above");
      return;
    }
    check_pipeline(pipeline, *connector_, store_.get(), report_);
  }

  const Configuration& configuration_;
  CheckReport& report_;
  std::unique_ptr<Connector> connector_;
  std::unique_ptr<LmdbStore> store_;
  std::map<std::string, bool> reached_;
};

int check(const CommandLine& line) {
  quiet_log();
  const std::string file = line.options["config"].as<std::string>();
  const auto configuration = load_or_report(file);
  if (!configuration) return kExitConfiguration;
  CheckReport report(Style::of_stdout());
  report.ok("configuration", file);
  Check(*configuration, report).run();
  fmt::print("{}\n", report.summary());
  fmt::print("Not tried, since it would leave traces: writing to topics and committing offsets.\n");
  return report.failed() ? kExitPipeline : kExitOk;
}

}  // namespace

CommandSpec check_command() {
  return {"check",   "try every connection, topic, right and key that a configuration needs",
          "-c FILE", add_config_option,
          {},        check};
}

}  // namespace drawbridge

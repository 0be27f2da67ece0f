#include "bridge/app/daemon.h"

#include <algorithm>
#include <filesystem>

#include "bridge/base/log.h"
#include "bridge/base/secret.h"
#include "bridge/kafka/connector.h"
#include "transforms/seal.h"

namespace drawbridge {
namespace {

// A worker may wait for a broker's answer this long; beyond it, something hangs.
constexpr Duration kHanging = std::chrono::seconds(60);

}  // namespace

Result<std::unique_ptr<DomainRegistry>> open_key_domains(const Configuration& configuration) {
  KeyCacheLimits limits;
  limits.keys = configuration.daemon.key_cache_keys;
  const std::vector<KeyCacheLimits> all(std::max<std::size_t>(configuration.key_domains.size(), 1),
                                        limits);
  DRAWBRIDGE_TRY(init_secret_heap(secret_heap_bytes(all)));
  std::vector<KeyDomainConfig> domains;
  for (const KeyDomainOptions& domain : configuration.key_domains) {
    domains.push_back({domain.name, domain.kind, domain.options});
  }
  return DomainRegistry::create(domains, limits);
}

Result<std::unique_ptr<LmdbStore>> open_state(const Configuration& configuration, bool create) {
  const std::string& directory = configuration.daemon.state_directory;
  const auto parent = std::filesystem::path(directory).parent_path();
  if (create && !parent.empty()) {
    std::error_code error;
    std::filesystem::create_directories(parent, error);
    if (error) {
      return fail(ErrorCode::kPermission, "cannot create {}: {}; set daemon.state-directory",
                  directory, error.message());
    }
  }
  LmdbStoreOptions options;
  options.create = create;
  return LmdbStore::open(directory, configuration.daemon.name, options);
}

Result<std::unique_ptr<Daemon>> Daemon::open(const Configuration& configuration) {
  std::unique_ptr<Daemon> daemon(new Daemon(configuration));
  DRAWBRIDGE_ASSIGN(daemon->keys_, open_key_domains(configuration));
  DRAWBRIDGE_ASSIGN(daemon->store_, open_state(configuration, true));
  daemon->connector_ = kafka::make_connector();
  return daemon;
}

void Daemon::start(bool until_caught_up) {
  for (const PipelineOptions& options : configuration_.pipelines) {
    pipelines_.push_back(std::make_unique<Pipeline>(
        options, PipelineDependencies{*connector_, *store_, *keys_, clock_, make_dead_letter_seal},
        until_caught_up));
  }
  for (const auto& pipeline : pipelines_) pipeline->start();
}

void Daemon::stop() {
  for (const auto& pipeline : pipelines_) pipeline->stop();
}

void Daemon::join() {
  for (const auto& pipeline : pipelines_) pipeline->join();
}

bool Daemon::finished() const {
  return std::ranges::all_of(pipelines_, [](const auto& p) { return p->status().final; });
}

bool Daemon::any_failed() const {
  return std::ranges::any_of(
      pipelines_, [](const auto& p) { return p->status().state == PipelineState::kFailed; });
}

bool Daemon::making_progress() const {
  const Instant now = clock_.now();
  return std::ranges::all_of(pipelines_, [&](const auto& p) {
    return p->status().final || now - p->last_beat() < kHanging;
  });
}

}  // namespace drawbridge

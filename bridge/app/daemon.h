// The daemon: pipelines from a configuration, until a signal or the end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/checkpoint/lmdb_store.h"
#include "bridge/keys/domains.h"
#include "bridge/pipeline/pipeline.h"
#include "config/config.h"

namespace drawbridge {

// Everything that pipelines share in one process, in the order it must be made and unmade.
class Daemon {
 public:
  // Opens the state directory and the key domains. Sets up the secret heap. `configuration`
  // outlives the daemon. Errors: each with what to do.
  static Result<std::unique_ptr<Daemon>> open(const Configuration& configuration);

  // Makes and starts the pipelines.
  void start(bool until_caught_up);
  void stop();  // asks all to drain; returns at once
  void join();

  [[nodiscard]] const std::vector<std::unique_ptr<Pipeline>>& pipelines() const {
    return pipelines_;
  }
  [[nodiscard]] CheckpointStore& store() { return *store_; }
  // Has every pipeline ended (stopped, or failed for good)?
  [[nodiscard]] bool finished() const;
  [[nodiscard]] bool any_failed() const;
  // Is every pipeline's thread alive? For the watchdog.
  [[nodiscard]] bool making_progress() const;

 private:
  explicit Daemon(const Configuration& configuration) : configuration_(configuration) {}

  const Configuration& configuration_;
  SystemClock clock_;
  std::unique_ptr<LmdbStore> store_;
  std::unique_ptr<DomainRegistry> keys_;
  std::unique_ptr<Connector> connector_;
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
};

// Opens the key domains of a configuration, with the secret heap under them.
Result<std::unique_ptr<DomainRegistry>> open_key_domains(const Configuration& configuration);
// Opens the checkpoint store of a configuration, making its directory where it may.
Result<std::unique_ptr<LmdbStore>> open_state(const Configuration& configuration, bool create);

}  // namespace drawbridge

// What `drawbridge demo` plays on: two embedded clusters, two keyrings, a configuration, all in a
// temporary directory that goes with this object.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/kafka/embedded.h"
#include "bridge/keys/domains.h"
#include "bridge/pipeline/ports.h"
#include "config/config.h"

namespace drawbridge {

inline constexpr std::array<std::string_view, 3> kDepartments{"sales", "finance", "hr"};
inline constexpr std::int32_t kDemoPartitions = 2;
inline constexpr std::string_view kDemoDataset = "departments";
inline constexpr std::string_view kSourceDomain = "dc-keys";
inline constexpr std::string_view kTargetDomain = "cloud-keys";
// The pipelines, which are the beginning of their topics' names, too.
inline constexpr std::array<std::string_view, 2> kDemoModes{"reencrypted", "rewrapped"};

std::string demo_copy(std::string_view mode, std::string_view department);

// Made and removed with everything in it.
class TemporaryDirectory {
 public:
  // Under $TMPDIR or /tmp. Errors: kIo.
  static Result<TemporaryDirectory> make(const std::string& prefix);
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class DemoWorld {
 public:
  // Errors: each of its parts'. REQUIRES: the secret heap is not set up yet, or large enough.
  static Result<std::unique_ptr<DemoWorld>> make();

  [[nodiscard]] const std::string& directory() const { return directory_.path(); }
  [[nodiscard]] std::string path(std::string_view name) const;
  // The configuration as a person would write it, and as it was read.
  [[nodiscard]] const std::string& configuration_text() const { return text_; }
  [[nodiscard]] const Configuration& configuration() const { return configuration_; }
  [[nodiscard]] const ClusterOptions& source() const { return configuration_.clusters[0]; }
  [[nodiscard]] const ClusterOptions& target() const { return configuration_.clusters[1]; }
  [[nodiscard]] DomainRegistry& keys() { return *keys_; }
  [[nodiscard]] Connector& connector() { return *connector_; }
  [[nodiscard]] const kafka::EmbeddedCluster& source_cluster() const { return *dc_; }
  [[nodiscard]] const kafka::EmbeddedCluster& target_cluster() const { return *cloud_; }

 private:
  explicit DemoWorld(TemporaryDirectory directory) : directory_(std::move(directory)) {}
  Result<void> start_clusters();
  Result<void> make_keys();
  Result<void> write_configuration();

  TemporaryDirectory directory_;
  std::unique_ptr<kafka::EmbeddedCluster> dc_;
  std::unique_ptr<kafka::EmbeddedCluster> cloud_;
  std::string text_;
  Configuration configuration_;
  std::unique_ptr<DomainRegistry> keys_;
  std::unique_ptr<Connector> connector_;
};

}  // namespace drawbridge

// The daemon's configuration as a value, and how to get one from YAML.
#pragma once

#include <string>
#include <vector>

#include "bridge/base/log.h"
#include "bridge/base/result.h"
#include "bridge/pipeline/options.h"

namespace drawbridge {

struct KeyDomainOptions {
  std::string name;
  std::string kind;  // "keyring"
  std::map<std::string, std::string> options;
};

struct DaemonOptions {
  std::string name = "drawbridge";  // the daemon's identity: checkpoint store, later transactions
  std::string state_directory;      // default: $STATE_DIRECTORY, else /var/lib/drawbridge/NAME
  LogOptions log;
  std::size_t key_cache_keys = 2048;
};

struct Configuration {
  DaemonOptions daemon;
  std::vector<ClusterOptions> clusters;
  std::vector<KeyDomainOptions> key_domains;
  std::vector<PipelineOptions> pipelines;
};

// One finding of the linter, at a place in the file.
struct Problem {
  std::string file;
  int line = 0;    // 1-based
  int column = 0;  // 1-based
  std::string message;

  [[nodiscard]] std::string text() const;  // FILE:LINE:COL: message
};

struct LoadOptions {
  bool resolve_secrets = true;  // lint without access to secrets: false
};

// Reads and checks a configuration; all problems at once.
tl::expected<Configuration, std::vector<Problem>> load_configuration(
    const std::string& file, const TransformCatalogue& catalogue, const LoadOptions& options);

// The same from a string, for tests; `name` stands for the file in messages.
tl::expected<Configuration, std::vector<Problem>> parse_configuration(
    const std::string& text, const std::string& name, const TransformCatalogue& catalogue,
    const LoadOptions& options);

// The normalised configuration as YAML, defaults included, secrets as references.
std::string echo_configuration(const std::string& file);

}  // namespace drawbridge

// The daemon's configuration as a value, and how to get one from YAML.
//
// Reference: config/reference/configuration.md, generated from the specs that also read the file.
// A relative path in a configuration is relative to the configuration file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bridge/base/log.h"
#include "bridge/base/result.h"
#include "bridge/pipeline/options.h"

namespace drawbridge {

struct KeyDomainOptions {
  std::string name;
  std::string kind;                            // "keyring"
  std::map<std::string, std::string> options;  // keyring: "file" (a path), "key"
};

// One finding of the linter, at a place in the file.
struct Problem {
  std::string file;
  int line = 0;    // 1-based
  int column = 0;  // 1-based
  std::string message;

  [[nodiscard]] std::string text() const;  // FILE:LINE:COL: message
};

struct DaemonOptions {
  std::string name = "drawbridge";  // the daemon's identity: checkpoint store, later transactions
  std::string state_directory;      // default: $STATE_DIRECTORY, else /var/lib/drawbridge/NAME
  std::string instance;             // among those that share pipelines; empty: none
  LogOptions log;
  std::size_t key_cache_keys = 2048;
};

// Client properties are sorted by the client that they are for, so that no client is given what it
// would complain of: `properties` of a ClusterOptions holds what suits every client (connection,
// TLS, SASL); a cluster's consumer and producer properties stand in the pipelines'
// `source_properties` and `target_properties`, below those of `from` and `to`.
struct Configuration {
  DaemonOptions daemon;
  std::vector<ClusterOptions> clusters;
  std::vector<KeyDomainOptions> key_domains;
  std::vector<PipelineOptions> pipelines;  // their steps point into the catalogue
  std::vector<Problem> warnings;           // allowed, but look again
};

struct LoadOptions {
  // Lint without access to secrets: false. References then stand where their secrets would.
  bool resolve_secrets = true;
  // Whether files that it names (certificates, keyrings) must be there and readable.
  bool check_files = false;
};

// Reads and checks a configuration; all problems at once, in the order of the file. The catalogue
// must outlive the result. Never throws.
tl::expected<Configuration, std::vector<Problem>> load_configuration(
    const std::string& file, const TransformCatalogue& catalogue, const LoadOptions& options);

// The same from a string, for tests; `name` stands for the file in messages and relative paths.
tl::expected<Configuration, std::vector<Problem>> parse_configuration(
    const std::string& text, const std::string& name, const TransformCatalogue& catalogue,
    const LoadOptions& options);

// The normalised configuration as YAML, defaults included, secrets as references. Checks it as
// load_configuration does, without resolving secrets.
tl::expected<std::string, std::vector<Problem>> echo_configuration(
    const std::string& file, const TransformCatalogue& catalogue);
tl::expected<std::string, std::vector<Problem>> echo_text(const std::string& text,
                                                          const std::string& name,
                                                          const TransformCatalogue& catalogue);

}  // namespace drawbridge

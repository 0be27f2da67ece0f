// From the checked tree to the Configuration: values as the engine needs them, secrets resolved.
#pragma once

#include <string>

#include "bridge/transform/spec.h"
#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace drawbridge::config {

// `root` is a Reader's result; `directory` is what relative paths are relative to. Problems:
// secrets that cannot be had, transforms' own checks, and what the linter finds among pipelines.
Configuration assemble(const Node& root, const TransformCatalogue& catalogue,
                       const std::string& directory, const LoadOptions& options,
                       Problems& problems);

}  // namespace drawbridge::config

// Loading a configuration for a command, with its problems printed.
#pragma once

#include <optional>
#include <string>

#include "config/config.h"

namespace drawbridge {

// The built-in transforms, for the whole run of the program.
const TransformCatalogue& catalogue();

// Prints every problem as FILE:LINE:COL: message; nullopt when there is one.
std::optional<Configuration> load_or_report(const std::string& file,
                                            const LoadOptions& options = {});

// Errors: kInvalid, naming those that there are.
Result<const PipelineOptions*> pipeline_named(const Configuration& configuration,
                                              const std::string& name);

void print_problems(const std::vector<Problem>& problems);

}  // namespace drawbridge

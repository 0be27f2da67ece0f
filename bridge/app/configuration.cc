#include "bridge/app/configuration.h"

#include <fmt/format.h>

#include "bridge/app/terminal.h"
#include "transforms/catalogue.h"

namespace drawbridge {

const TransformCatalogue& catalogue() {
  static const TransformCatalogue built_in = built_in_transforms();
  return built_in;
}

Result<const PipelineOptions*> pipeline_named(const Configuration& configuration,
                                              const std::string& name) {
  std::vector<std::string_view> names;
  for (const PipelineOptions& pipeline : configuration.pipelines) {
    if (pipeline.name == name) return &pipeline;
    names.push_back(pipeline.name);
  }
  return fail(ErrorCode::kInvalid, "the configuration has no pipeline `{}`; it has {}",
              printable(name), fmt::join(names, ", "));
}

void print_problems(const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) fmt::print(stderr, "{}\n", problem.text());
}

std::optional<Configuration> load_or_report(const std::string& file, const LoadOptions& options) {
  auto configuration = load_configuration(file, catalogue(), options);
  if (!configuration) {
    print_problems(configuration.error());
    return std::nullopt;
  }
  for (const Problem& warning : configuration->warnings) {
    fmt::print(stderr, "{} (warning)\n", warning.text());
  }
  return std::move(*configuration);
}

}  // namespace drawbridge

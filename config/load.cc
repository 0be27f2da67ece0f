#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

#include "config/assemble.h"
#include "config/config.h"
#include "config/emit.h"
#include "config/problems.h"
#include "config/reader.h"
#include "config/yaml_tree.h"

namespace drawbridge {
namespace {

using config::NodePtr;
using config::Problems;

std::string directory_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  if (slash == std::string::npos) return {};
  return slash == 0 ? "/" : file.substr(0, slash);
}

std::optional<std::string> read_file(const std::string& file, Problems& problems) {
  const auto wrong = [&](std::string what) {
    problems.error({}, std::move(what));
    return std::nullopt;
  };
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return wrong(fmt::format("cannot be read: {}", std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) return wrong("is a directory, not a configuration file");
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return wrong(fmt::format("cannot be read: {}", std::strerror(errno)));
  // One byte more than allowed is enough for the parser to refuse it.
  std::string text(config::kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return wrong("cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

// The checked and completed tree, and the configuration that comes from it.
struct Reading {
  NodePtr tree;
  Configuration configuration;
};

tl::expected<Reading, std::vector<Problem>> read_text(const std::optional<std::string>& text,
                                                      const std::string& name,
                                                      const TransformCatalogue& catalogue,
                                                      const LoadOptions& options,
                                                      Problems& problems) {
  Reading result;
  if (text) {
    config::YamlResult yaml = config::parse_yaml(*text);
    for (config::YamlProblem& problem : yaml.problems) {
      problems.error(problem.at, std::move(problem.message));
    }
    if (yaml.root) result.tree = config::Reader(catalogue, problems).read(yaml.root);
    if (result.tree) {
      result.configuration =
          config::assemble(*result.tree, catalogue, directory_of(name), options, problems);
    }
  }
  if (problems.errors() > 0) return tl::make_unexpected(problems.take_errors());
  result.configuration.warnings = problems.take_warnings();
  return result;
}

Configuration take_configuration(Reading reading) { return std::move(reading.configuration); }
std::string write_out(const Reading& reading) { return config::emit_yaml(*reading.tree); }

}  // namespace

tl::expected<Configuration, std::vector<Problem>> load_configuration(
    const std::string& file, const TransformCatalogue& catalogue, const LoadOptions& options) {
  Problems problems(file);
  const auto text = read_file(file, problems);
  return read_text(text, file, catalogue, options, problems).map(take_configuration);
}

tl::expected<Configuration, std::vector<Problem>> parse_configuration(
    const std::string& text, const std::string& name, const TransformCatalogue& catalogue,
    const LoadOptions& options) {
  Problems problems(name);
  return read_text(text, name, catalogue, options, problems).map(take_configuration);
}

tl::expected<std::string, std::vector<Problem>> echo_configuration(
    const std::string& file, const TransformCatalogue& catalogue) {
  Problems problems(file);
  const auto text = read_file(file, problems);
  return read_text(text, file, catalogue, {.resolve_secrets = false}, problems).map(write_out);
}

tl::expected<std::string, std::vector<Problem>> echo_text(const std::string& text,
                                                          const std::string& name,
                                                          const TransformCatalogue& catalogue) {
  Problems problems(name);
  return read_text(text, name, catalogue, {.resolve_secrets = false}, problems).map(write_out);
}

}  // namespace drawbridge

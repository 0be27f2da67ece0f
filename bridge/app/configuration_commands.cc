// `drawbridge lint`, `echo` and `reference`: a configuration seen without running it.
#include <fmt/format.h>

#include "bridge/app/commands.h"
#include "bridge/app/configuration.h"
#include "bridge/app/exit_codes.h"
#include "config/reference.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

int lint(const CommandLine& line) {
  const std::string file = line.options["config"].as<std::string>();
  const bool secrets = line.options.contains("secrets");
  const bool elsewhere = line.options.contains("elsewhere");
  if (secrets && elsewhere) {
    fmt::print(stderr, "drawbridge: lint: --secrets and --elsewhere exclude each other\n");
    return kExitUsage;
  }
  // First without secrets, so that a configuration can be linted where they must not be.
  if (!load_or_report(file, {.resolve_secrets = false, .check_files = !elsewhere})) {
    return kExitConfiguration;
  }
  const auto all_there =
      load_configuration(file, catalogue(), {.resolve_secrets = true, .check_files = true});
  if (!all_there && secrets) {
    print_problems(all_there.error());
    return kExitConfiguration;
  }
  fmt::print("{}: ok\n", file);
  if (!all_there) {
    for (const Problem& missing : all_there.error()) {
      fmt::print(stderr, "{} (warning: not on this machine)\n", missing.text());
    }
  }
  return kExitOk;
}

int echo(const CommandLine& line) {
  const auto text = echo_configuration(line.options["config"].as<std::string>(), catalogue());
  if (!text) {
    print_problems(text.error());
    return kExitConfiguration;
  }
  fmt::print("{}", *text);
  return kExitOk;
}

int reference(const CommandLine& line) {
  if (!line.options.contains("page")) {
    fmt::print("{}\n", fmt::join(reference_pages(), "\n"));
    return kExitOk;
  }
  const auto page = reference_page(line.options["page"].as<std::string>(), catalogue());
  if (!page) return report(page.error());
  fmt::print("{}", *page);
  return kExitOk;
}

}  // namespace

CommandSpec lint_command() {
  return {"lint",
          "find every problem of a configuration, without connecting to anything",
          "-c FILE [--secrets | --elsewhere]",
          [](po::options_description& options) {
            add_config_option(options);
            options.add_options()("secrets",
                                  "a secret that is not there is an error, not a warning")(
                "elsewhere",
                "it is for another machine: a certificate or keyring that is not here is a "
                "warning, not an error");
          },
          {},
          lint};
}

CommandSpec echo_command() {
  return {"echo",    "print a configuration in full, defaults included, secrets as references",
          "-c FILE", add_config_option,
          {},        echo};
}

CommandSpec reference_command() {
  return {"reference",
          "print a page of the reference (Markdown), or the pages' names",
          "[PAGE]",
          [](po::options_description& options) {
            options.add_options()("page", po::value<std::string>()->value_name("PAGE"),
                                  "configuration, transforms or errors");
          },
          {"page"},
          reference};
}

}  // namespace drawbridge

// A command of the command line: name, help, options, and what it does. `--help` and the usage page
// come from these.
#pragma once

#include <boost/program_options.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"

namespace drawbridge {

struct CommandLine {
  std::string command;  // "offsets reset"
  boost::program_options::variables_map options;
};

struct CommandSpec {
  std::string name;     // with its verb, if it has one: "keys create"
  std::string summary;  // one line
  std::string usage;    // what follows the name: "-c FILE [--until-caught-up]"
  std::function<void(boost::program_options::options_description&)> describe;
  // Names of positional arguments, in order; each is an option, too.
  std::vector<std::string> positional;
  std::function<int(const CommandLine&)> run;  // an ExitCode
};

// Finds the command that `arguments` (without the program's name) name, parses its options, runs
// it. Prints help and usage errors itself.
int run_command_line(const std::vector<CommandSpec>& commands,
                     const std::vector<std::string>& arguments);

// `-c FILE`, shared by most commands.
void add_config_option(boost::program_options::options_description& description);

// `--format text|json`. nullopt: neither, which has been said; the command ends with kExitUsage.
void add_format_option(boost::program_options::options_description& description);
std::optional<bool> wants_json(const CommandLine& line);

// Errors only: of a command that says itself what happens below it.
void quiet_log();

// Prints "drawbridge: message" and returns the exit code that fits the error.
int report(const Error& error);

}  // namespace drawbridge

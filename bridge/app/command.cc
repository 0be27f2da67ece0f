#include "bridge/app/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "bridge/app/exit_codes.h"
#include "bridge/base/log.h"
#include "config/text.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

constexpr std::string_view kExitHelp =
    "Exit status: 0 success; 1 configuration problem; 2 usage; 3 a pipeline or a check failed;\n"
    "4 checkpoint store or keys cannot be used; 130 interrupted twice.\n";

std::string overview(const std::vector<CommandSpec>& commands) {
  std::string text =
      "drawbridge: replicates Kafka topics between clusters and moves them between key domains.\n\n"
      "Usage: drawbridge COMMAND [OPTIONS]\n\nCommands:\n";
  for (const CommandSpec& command : commands) {
    text += fmt::format("  {:<16} {}\n", command.name, command.summary);
  }
  text += "\n`drawbridge COMMAND --help` tells more.\n\n";
  text += kExitHelp;
  return text;
}

std::string help_for(const CommandSpec& command, const po::options_description& options) {
  std::ostringstream text;
  text << command.summary << "\n\nUsage: drawbridge " << command.name << ' ' << command.usage
       << "\n\n"
       << options << '\n'
       << kExitHelp;
  return text.str();
}

int usage_error(const std::string& message) {
  fmt::print(stderr, "drawbridge: {}\n", message);
  return kExitUsage;
}

// The command with the most words that `arguments` begin with, and how many words that is.
std::pair<const CommandSpec*, std::size_t> find(const std::vector<CommandSpec>& commands,
                                                const std::vector<std::string>& arguments) {
  const CommandSpec* best = nullptr;
  std::size_t best_words = 0;
  for (const CommandSpec& command : commands) {
    std::istringstream stream(command.name);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    if (words.size() > arguments.size() || words.size() <= best_words) continue;
    if (std::equal(words.begin(), words.end(), arguments.begin())) {
      best = &command;
      best_words = words.size();
    }
  }
  return {best, best_words};
}

int run(const CommandSpec& command, const std::vector<std::string>& arguments) {
  po::options_description options("Options");
  if (command.describe) command.describe(options);
  options.add_options()("help,h", "show this help");
  po::positional_options_description positional;
  for (const std::string& name : command.positional) positional.add(name.c_str(), 1);

  CommandLine line{command.name, {}};
  try {
    const auto parsed =
        po::command_line_parser(arguments).options(options).positional(positional).run();
    po::store(parsed, line.options);
    if (line.options.contains("help")) {
      fmt::print("{}", help_for(command, options));
      return kExitOk;
    }
    po::notify(line.options);
  } catch (const po::error& error) {
    return usage_error(fmt::format("{}: {}\nUsage: drawbridge {} {}", command.name, error.what(),
                                   command.name, command.usage));
  }
  return command.run(line);
}

}  // namespace

int run_command_line(const std::vector<CommandSpec>& commands,
                     const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    fmt::print(stderr, "{}", overview(commands));
    return kExitUsage;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    fmt::print("{}", overview(commands));
    return kExitOk;
  }
  std::vector<std::string> words = arguments;
  if (words[0] == "--version") words[0] = "version";
  const auto [command, count] = find(commands, words);
  if (command == nullptr) {
    std::string verbs;
    for (const CommandSpec& candidate : commands) {
      if (candidate.name.starts_with(words[0] + " ")) {
        verbs += fmt::format("  drawbridge {} {}\n      {}\n", candidate.name, candidate.usage,
                             candidate.summary);
      }
    }
    const bool asks_for_help = words.size() > 1 && (words[1] == "--help" || words[1] == "-h");
    if (!verbs.empty() && asks_for_help) {
      fmt::print("Usage:\n{}\n{}", verbs, kExitHelp);
      return kExitOk;
    }
    if (!verbs.empty()) return usage_error(fmt::format("{} needs a verb:\n{}", words[0], verbs));
    std::vector<std::string> known;
    known.reserve(commands.size());
    for (const CommandSpec& candidate : commands) {
      known.push_back(candidate.name.substr(0, candidate.name.find(' ')));
    }
    const auto meant = config::nearest(words[0], known);
    return usage_error(fmt::format(
        "unknown command `{}`{}; `drawbridge --help` lists them", config::printable(words[0]),
        meant ? fmt::format("; did you mean `{}`?", *meant) : std::string()));
  }
  return run(*command, {words.begin() + static_cast<std::ptrdiff_t>(count), words.end()});
}

void add_config_option(po::options_description& description) {
  description.add_options()("config,c", po::value<std::string>()->required()->value_name("FILE"),
                            "configuration file (YAML)");
}

void add_format_option(po::options_description& description) {
  description.add_options()("format", po::value<std::string>()->default_value("text"),
                            "text or json");
}

std::optional<bool> wants_json(const CommandLine& line) {
  const std::string format = line.options["format"].as<std::string>();
  if (format == "text" || format == "json") return format == "json";
  fmt::print(stderr, "drawbridge: {}: --format {}: text or json\n", line.command, format);
  return std::nullopt;
}

void quiet_log() {
  LogOptions options;
  options.least = Level::kError;
  configure_log(options);
}

int report(const Error& error) {
  fmt::print(stderr, "drawbridge: {}\n", explain(error));
  switch (class_of(error.code)) {
    case ErrorClass::kPause:
      return kExitState;
    case ErrorClass::kStop:
      return error.code == ErrorCode::kInvalid || error.code == ErrorCode::kNotFound
                 ? kExitConfiguration
                 : kExitState;
    default:
      return kExitPipeline;
  }
}

}  // namespace drawbridge

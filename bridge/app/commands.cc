#include "bridge/app/commands.h"

#include <fmt/format.h>

#include "bridge/app/exit_codes.h"
#include "bridge/kafka/connector.h"

namespace drawbridge {

std::vector<CommandSpec> all_commands() {
  std::vector<CommandSpec> commands{run_command(),   lint_command(),   echo_command(),
                                    check_command(), owners_command(), list_command(),
                                    demo_command(),  inspect_command()};
  for (auto& command : offsets_commands()) commands.push_back(std::move(command));
  commands.push_back(reshard_command());
  for (auto& command : keys_commands()) commands.push_back(std::move(command));
  commands.push_back(reference_command());
  commands.push_back(version_command());
  return commands;
}

CommandSpec version_command() {
  return {"version", "print versions", "", {}, {}, [](const CommandLine&) {
            fmt::print("drawbridge {}\nlibrdkafka {}\n", DRAWBRIDGE_VERSION,
                       kafka::library_version());
            return static_cast<int>(kExitOk);
          }};
}

}  // namespace drawbridge

// The commands, each in a file of its own. The list in commands.cc is all there is.
#pragma once

#include <vector>

#include "bridge/app/command.h"

namespace drawbridge {

std::vector<CommandSpec> all_commands();

CommandSpec run_command();                    // run_command.cc
CommandSpec lint_command();                   // configuration_commands.cc
CommandSpec echo_command();                   // configuration_commands.cc
CommandSpec list_command();                   // list_command.cc
CommandSpec reference_command();              // configuration_commands.cc
CommandSpec check_command();                  // check_command.cc
CommandSpec demo_command();                   // demo_command.cc
CommandSpec inspect_command();                // inspect_command.cc
std::vector<CommandSpec> offsets_commands();  // offsets_commands.cc
CommandSpec reshard_command();                // reshard_command.cc
std::vector<CommandSpec> keys_commands();     // keys_commands.cc
CommandSpec owners_command();                 // owners_command.cc
CommandSpec version_command();                // commands.cc

}  // namespace drawbridge

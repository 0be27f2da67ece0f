// The commands, each in a file of its own. The list in commands.cc is all there is.
#pragma once

#include <vector>

#include "bridge/app/command.h"

namespace drawbridge {

std::vector<Command> all_commands();

Command run_command();                    // run_command.cc
Command lint_command();                   // configuration_commands.cc
Command echo_command();                   // configuration_commands.cc
Command list_command();                   // configuration_commands.cc
Command reference_command();              // configuration_commands.cc
Command check_command();                  // check_command.cc
Command demo_command();                   // demo_command.cc
Command inspect_command();                // inspect_command.cc
std::vector<Command> offsets_commands();  // offsets_commands.cc
std::vector<Command> keys_commands();     // keys_commands.cc
Command version_command();                // commands.cc

}  // namespace drawbridge

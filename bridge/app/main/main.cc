#include <fmt/format.h>

#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include "bridge/app/commands.h"
#include "bridge/app/exit_codes.h"
#include "bridge/base/secret.h"

namespace drawbridge {
namespace {

int program(int argc, char** argv) {
  // A broken pipe and a file size limit are errors to report, not reasons to die.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  if (const auto forbidden = forbid_dumps(); !forbidden) return report(forbidden.error());
  try {
    return run_command_line(all_commands(), std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    fmt::print(stderr, "drawbridge: unexpected: {}\n", error.what());
    return kExitState;
  }
}

}  // namespace
}  // namespace drawbridge

int main(int argc, char** argv) { return drawbridge::program(argc, argv); }

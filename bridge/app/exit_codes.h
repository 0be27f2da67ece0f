// What the program's exit status means. Documented in `drawbridge --help` and the README.
#pragma once

namespace drawbridge {

enum ExitCode : int {
  kExitOk = 0,
  kExitConfiguration = 1,  // lint found problems, or a file cannot be read
  kExitUsage = 2,          // the command line is wrong
  kExitPipeline = 3,       // a pipeline failed for good (run), or a check failed (check)
  kExitState = 4,          // the checkpoint store, a keyring or the secret heap cannot be used
  kExitInterrupted = 130,  // a second signal: left at once, without a last checkpoint
};

}  // namespace drawbridge

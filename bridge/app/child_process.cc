#include "bridge/app/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

namespace drawbridge {
namespace {

// Between fork and exec of a process with threads: system calls only.
[[noreturn]] void become(char* const* arguments, int input, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it went before we asked
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
      dup2(output, STDERR_FILENO) < 0) {
    _exit(127);
  }
  execv("/proc/self/exe", arguments);
  _exit(127);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& arguments,
                                         const std::string& log) {
  std::vector<std::string> owned{"drawbridge"};
  owned.insert(owned.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  pointers.reserve(owned.size() + 1);
  for (std::string& argument : owned) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_t pid = -1;
  if (input >= 0 && output >= 0) {
    const pid_t parent = getpid();
    pid = fork();
    if (pid == 0) become(pointers.data(), input, output, parent);
  }
  const int error = errno;
  if (input >= 0) close(input);
  if (output >= 0) close(output);
  if (pid < 0) {
    return fail(ErrorCode::kIo, "cannot start a second process ({}): {}", log,
                std::strerror(error));
  }
  return ChildProcess(pid);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) kill();
}

void ChildProcess::kill() {
  if (status_) return;
  ::kill(pid_, SIGKILL);
  wait(std::chrono::seconds(10));
}

std::optional<int> ChildProcess::wait(Duration timeout) {
  const Instant deadline = SystemClock().now() + timeout;
  while (!status_) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) {
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else if (ended < 0 && errno != EINTR) {
      status_ = 127;  // somebody else has waited for it
    } else if (SystemClock().now() >= deadline) {
      return std::nullopt;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  return status_;
}

}  // namespace drawbridge

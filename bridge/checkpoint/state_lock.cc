#include "bridge/checkpoint/state_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace drawbridge {
namespace {

// "process 123", or less where the holder has not written its id yet.
std::string holder_of(int fd) {
  std::array<char, 16> text{};
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  long pid = 0;
  if (size <= 0 || std::from_chars(text.data(), text.data() + size, pid).ec != std::errc{}) {
    return "another process";
  }
  return pid == getpid() ? "this very process" : fmt::format("process {}", pid);
}

}  // namespace

Result<StateLock> StateLock::take(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    const int error = errno;
    return fail(error == EACCES || error == EPERM || error == EROFS ? ErrorCode::kPermission
                : error == ENOSPC || error == EDQUOT                ? ErrorCode::kFull
                                                                    : ErrorCode::kIo,
                "cannot open the lock {}: {}", path, std::strerror(error));
  }
  StateLock lock(fd);
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      return fail(ErrorCode::kLocked,
                  "{} holds the checkpoints (lock {}); only one process may use them at a time, be "
                  "it the daemon or an offsets command",
                  holder_of(fd), path);
    }
    return fail(ErrorCode::kIo, "cannot lock {}: {}", path, std::strerror(errno));
  }
  // The id is for people; on a full disk the lock holds without it. Of a fixed width, since some
  // file systems sync a file that is truncated and written.
  const std::string pid = fmt::format("{:<10}\n", getpid());
  [[maybe_unused]] const ssize_t written = pwrite(fd, pid.data(), pid.size(), 0);
  return lock;
}

StateLock::~StateLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace drawbridge

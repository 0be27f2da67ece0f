#include "bridge/keys/keyring_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

namespace drawbridge {
namespace {

constexpr std::size_t kWindow = 4096;  // secret memory that the text passes through
static_assert(kWindow > kMaxKeyringLine + 1);
constexpr auto kLockPatience = std::chrono::seconds(10);
constexpr auto kLockPause = std::chrono::milliseconds(20);

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

ErrorCode code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermission;
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kFull;
    default:
      return ErrorCode::kIo;
  }
}

tl::unexpected<Error> failed(std::string_view what, const std::string& path) {
  const int error = errno;
  return fail(code_of(error), "cannot {} {}: {}", what, path, std::strerror(error));
}

FileStamp stamp_from(const struct stat& status) {
  constexpr std::int64_t kNanos = 1'000'000'000;
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified_ns = status.st_mtim.tv_sec * kNanos + status.st_mtim.tv_nsec,
          .changed_ns = status.st_ctim.tv_sec * kNanos + status.st_ctim.tv_nsec};
}

// systemd hands credentials over as root:root 0440, where the group's bits are the mask of an
// access list that names the service's user alone.
bool is_service_credential(const std::string& path, const struct stat& status) {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || *directory != '/') return false;
  const std::string prefix = std::string(directory) + '/';
  return path.starts_with(prefix) && path.find("/../") == std::string::npos && status.st_uid == 0 &&
         status.st_gid == 0 && (status.st_mode & 07777) == 0440;
}

Result<void> check_file(const std::string& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kPermission, "{} is not a regular file", path);
  }
  const uid_t user = geteuid();
  if (status.st_uid != user && status.st_uid != 0) {
    return fail(ErrorCode::kPermission,
                "{} belongs to user {}, but this process runs as user {}: chown it, or run as that "
                "user",
                path, status.st_uid, user);
  }
  const unsigned mode = status.st_mode & 07777;
  if (mode != 0600 && mode != 0400 && !is_service_credential(path, status)) {
    return fail(ErrorCode::kPermission, "{} has mode {:04o}: keys need 0600 (chmod 0600 {})", path,
                mode, path);
  }
  return {};
}

Result<void> feed_lines(KeyringParser& parser, int fd, const std::string& path) {
  DRAWBRIDGE_ASSIGN(auto window, SecretBytes::zeroed(kWindow));
  const MutableBytes bytes = window.reveal_mutable(SecretAccess{});
  std::size_t held = 0;
  for (;;) {
    const ssize_t got = read(fd, bytes.data() + held, bytes.size() - held);
    if (got < 0) {
      if (errno == EINTR) continue;
      return failed("read", path);
    }
    if (got == 0) break;
    held += static_cast<std::size_t>(got);
    std::string_view text = as_text(bytes.first(held));
    for (;;) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos) break;
      DRAWBRIDGE_TRY(parser.line(text.substr(0, end)));
      text.remove_prefix(end + 1);
    }
    held = text.size();
    // A rest that is too long already is refused as a line, so that the window never fills up.
    if (held > kMaxKeyringLine) DRAWBRIDGE_TRY(parser.line(text));
    std::memmove(bytes.data(), text.data(), held);
  }
  if (held != 0) {
    return fail(ErrorCode::kInvalid, "{}the next line has no line feed: the file is cut short",
                parser.where());
  }
  return {};
}

Result<void> write_all(int fd, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return failed("write", path);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace

Result<LoadedKeyring> load_keyring(const std::string& path) {
  // O_NONBLOCK: a named pipe in the file's place must not hold the process up.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ELOOP) {
      return fail(ErrorCode::kPermission, "{} is a symbolic link: name the file itself", path);
    }
    if (errno == ENOENT) {
      return fail(ErrorCode::kNotFound, "{} does not exist (drawbridge keys create makes it)",
                  path);
    }
    return failed("open", path);
  }
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return failed("look at", path);
  DRAWBRIDGE_TRY(check_file(path, status));
  KeyringParser parser(path);
  DRAWBRIDGE_TRY(feed_lines(parser, file.get(), path));
  DRAWBRIDGE_ASSIGN(auto keyring, parser.finish());
  return LoadedKeyring{std::move(keyring), stamp_from(status)};
}

Result<FileStamp> stamp_of(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return failed("look at", path);
  return stamp_from(status);
}

KeyringLock::KeyringLock(int directory, std::string path, std::string name)
    : directory_(directory), path_(std::move(path)), name_(std::move(name)) {}

KeyringLock::KeyringLock(KeyringLock&& other) noexcept
    : directory_(std::exchange(other.directory_, -1)),
      path_(std::move(other.path_)),
      name_(std::move(other.name_)) {}

KeyringLock::~KeyringLock() {
  if (directory_ >= 0) close(directory_);
}

Result<KeyringLock> KeyringLock::acquire(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return fail(ErrorCode::kInvalid, "{} names no file", path);
  }
  Descriptor directory(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return failed("open directory", parent);
  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return failed("lock directory", parent);
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(ErrorCode::kLocked, "another process is changing a keyring in {}: try again",
                  parent);
    }
    std::this_thread::sleep_for(kLockPause);
  }
  return KeyringLock(directory.release(), path, std::move(name));
}

Result<void> KeyringLock::write_temporary(const std::string& temporary, const Keyring& keyring) {
  // Left behind by a crash: nobody else can be writing it while we hold the lock.
  if (unlinkat(directory_, temporary.c_str(), 0) != 0 && errno != ENOENT) {
    return failed("remove", path_ + ".tmp");
  }
  const Descriptor file(openat(directory_, temporary.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return failed("create", path_ + ".tmp");
  if (fchmod(file.get(), 0600) != 0) return failed("set the mode of", path_ + ".tmp");
  DRAWBRIDGE_ASSIGN(auto line, SecretBytes::zeroed(kMaxKeyringLine + 1));
  DRAWBRIDGE_TRY(write_all(file.get(), as_bytes(format_header_line()), path_ + ".tmp"));
  for (const KeyringKey& key : keyring.keys) {
    DRAWBRIDGE_TRY(write_all(file.get(), as_bytes(format_key_line(key)), path_ + ".tmp"));
    for (const KeyVersion& version : key.versions) {
      DRAWBRIDGE_ASSIGN(const std::size_t size, format_version_line(version, line));
      DRAWBRIDGE_TRY(
          write_all(file.get(), line.reveal(SecretAccess{}).first(size), path_ + ".tmp"));
    }
  }
  DRAWBRIDGE_TRY(write_all(file.get(), as_bytes(format_end_line()), path_ + ".tmp"));
  if (fsync(file.get()) != 0) return failed("sync", path_ + ".tmp");
  return {};
}

Result<void> KeyringLock::store(const Keyring& keyring) {
  const std::string temporary = name_ + ".tmp";
  if (auto written = write_temporary(temporary, keyring); !written) {
    unlinkat(directory_, temporary.c_str(), 0);
    return written;
  }
  if (renameat(directory_, temporary.c_str(), directory_, name_.c_str()) != 0) {
    auto error = failed("replace", path_);
    unlinkat(directory_, temporary.c_str(), 0);
    return error;
  }
  if (fsync(directory_) != 0) return failed("sync the directory of", path_);
  return {};
}

}  // namespace drawbridge

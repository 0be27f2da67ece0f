// The keyring as a file: checked before it is believed, read through locked memory, replaced
// atomically, changed by one writer at a time. Rules and reasons: bridge/keys/KEYRING.md.
#pragma once

#include <cstdint>
#include <string>

#include "bridge/keys/keyring.h"

namespace drawbridge {

// Which file stood there: a rewrite or an edit changes it.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

struct LoadedKeyring {
  Keyring keyring;
  FileStamp stamp;
};

// Errors name the file: kNotFound; kPermission (owner, mode, symbolic link, not a regular file, no
// access); kIo; kFull, no secure memory left; and those of KeyringParser.
Result<LoadedKeyring> load_keyring(const std::string& path);

// The stamp of what stands at `path` now. Errors: kNotFound, kPermission, kIo.
Result<FileStamp> stamp_of(const std::string& path);

// Makes changes to one keyring one after the other, whatever process they come from. It locks the
// directory and not the file, since a rewrite puts another file in its place. Not thread-safe;
// each writer has its own.
class KeyringLock {
 public:
  // Waits up to ten seconds. Errors: kLocked, kNotFound (no such directory), kPermission, kIo.
  static Result<KeyringLock> acquire(const std::string& path);

  KeyringLock(KeyringLock&& other) noexcept;
  KeyringLock& operator=(KeyringLock&&) = delete;
  ~KeyringLock();

  // Replaces the file, or creates it, mode 0600: after a crash the old or the new text stands
  // there, whole. Errors: kIo, kFull, kPermission; the old file is then unchanged.
  Result<void> store(const Keyring& keyring);

 private:
  KeyringLock(int directory, std::string path, std::string name);
  Result<void> write_temporary(const std::string& temporary, const Keyring& keyring);

  int directory_;
  std::string path_;
  std::string name_;  // of the file within the directory
};

}  // namespace drawbridge

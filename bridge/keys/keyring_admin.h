// What `drawbridge keys` does to a keyring file. Each change takes the file's lock, reads, changes
// and replaces it, so that changes made at once are all there afterwards. Listings hold no key
// material. Set up the secret heap first (init_secret_heap).
//
// Errors, beside those of load_keyring() and KeyringLock: kInvalid, a malformed name; kNotFound, no
// such file, key or version; kExists, the key is there already; kFull, 4,096 versions; kKeyDisabled
// where a disabled key is to be rotated.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bridge/keys/keyring.h"

namespace drawbridge {

struct KeyVersionListing {
  std::uint32_t number;
  KeyState state;
  WallMillis created;
  std::string check;  // public fingerprint: equal in two files when the material is
};

struct KeyListing {
  std::string name;
  std::vector<KeyVersionListing> versions;  // oldest first; the last one wraps new keys
};

// A new key with one enabled version; the file too, if there is none.
Result<KeyListing> create_key(const std::string& path, const std::string& name, WallMillis now);

Result<std::vector<KeyListing>> list_keys(const std::string& path);

// A new version, which wraps from now on; the older ones stay for unwrapping. A key of which every
// version is disabled is refused: enable it first, so that rotation never undoes a disabling.
Result<KeyListing> rotate_key(const std::string& path, const std::string& name, WallMillis now);

// Disables one version, or all of them. Shards that need it pause until it is enabled; keys already
// unwrapped are used until they leave the cache. Disabling the newest version stops wrapping, too,
// until a rotation. What is in that state already stays so.
Result<KeyListing> disable_key(const std::string& path, const std::string& name,
                               std::optional<std::uint32_t> version);
Result<KeyListing> enable_key(const std::string& path, const std::string& name,
                              std::optional<std::uint32_t> version);

}  // namespace drawbridge

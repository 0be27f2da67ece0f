#include "bridge/keys/keyring_admin.h"

#include <algorithm>

#include "bridge/keys/keyring_file.h"

namespace drawbridge {
namespace {

constexpr WallMillis kSecond = 1000;

KeyListing listing_of(const KeyringKey& key) {
  KeyListing listing{key.name, {}};
  for (const KeyVersion& version : key.versions) {
    listing.versions.push_back(
        {version.number, version.state, version.created, to_hex(version.check)});
  }
  return listing;
}

Result<KeyVersion> make_version(std::uint32_t number, WallMillis now) {
  KeyVersion version;
  version.number = number;
  version.created = now - now % kSecond;
  DRAWBRIDGE_ASSIGN(version.material, SecretBytes::random(kKekBytes));
  DRAWBRIDGE_ASSIGN(version.check, check_of(version.material));
  return version;
}

Result<void> check_room(const std::string& path, const Keyring& keyring) {
  if (keyring.versions() < kMaxKeyringVersions) return {};
  return fail(ErrorCode::kFull, "{} holds {} versions already: begin another keyring", path,
              kMaxKeyringVersions);
}

Result<KeyringKey*> find_key(const std::string& path, Keyring& keyring, const std::string& name) {
  if (KeyringKey* key = keyring.find(name); key != nullptr) return key;
  return fail(ErrorCode::kNotFound, "{} has no key `{}` (drawbridge keys list shows them)", path,
              name);
}

Result<KeyListing> set_state(const std::string& path, const std::string& name,
                             std::optional<std::uint32_t> number, KeyState state) {
  DRAWBRIDGE_ASSIGN(auto lock, KeyringLock::acquire(path));
  DRAWBRIDGE_ASSIGN(auto loaded, load_keyring(path));
  DRAWBRIDGE_ASSIGN(KeyringKey * key, find_key(path, loaded.keyring, name));
  if (number) {
    KeyVersion* version = key->find(*number);
    if (version == nullptr) {
      return fail(ErrorCode::kNotFound, "key `{}` in {} has no version {}", name, path, *number);
    }
    version->state = state;
  } else {
    for (KeyVersion& version : key->versions) version.state = state;
  }
  DRAWBRIDGE_TRY(lock.store(loaded.keyring));
  return listing_of(*key);
}

}  // namespace

Result<KeyListing> create_key(const std::string& path, const std::string& name, WallMillis now) {
  if (!valid_key_name(name)) {
    return fail(ErrorCode::kInvalid,
                "bad key name `{}`: 1 to {} of a-z 0-9 . _ -, beginning with a letter or digit",
                name, kMaxKeyName);
  }
  DRAWBRIDGE_ASSIGN(auto lock, KeyringLock::acquire(path));
  auto loaded = load_keyring(path);
  if (!loaded && loaded.error().code != ErrorCode::kNotFound) return fail(loaded.error());
  Keyring keyring = loaded ? std::move(loaded->keyring) : Keyring{};
  if (keyring.find(name) != nullptr) {
    return fail(ErrorCode::kExists,
                "{} has a key `{}` already (drawbridge keys rotate gives it a new version)", path,
                name);
  }
  DRAWBRIDGE_TRY(check_room(path, keyring));
  DRAWBRIDGE_ASSIGN(auto version, make_version(1, now));
  KeyringKey& key = keyring.keys.emplace_back();
  key.name = name;
  key.versions.push_back(std::move(version));
  DRAWBRIDGE_TRY(lock.store(keyring));
  return listing_of(key);
}

Result<std::vector<KeyListing>> list_keys(const std::string& path) {
  DRAWBRIDGE_ASSIGN(const auto loaded, load_keyring(path));
  std::vector<KeyListing> listings;
  for (const KeyringKey& key : loaded.keyring.keys) listings.push_back(listing_of(key));
  return listings;
}

Result<KeyListing> rotate_key(const std::string& path, const std::string& name, WallMillis now) {
  DRAWBRIDGE_ASSIGN(auto lock, KeyringLock::acquire(path));
  DRAWBRIDGE_ASSIGN(auto loaded, load_keyring(path));
  DRAWBRIDGE_ASSIGN(KeyringKey * key, find_key(path, loaded.keyring, name));
  if (std::ranges::all_of(key->versions, [](const KeyVersion& version) {
        return version.state == KeyState::kDisabled;
      })) {
    return fail(ErrorCode::kKeyDisabled, "key `{}` in {} is disabled: enable it before rotating",
                name, path);
  }
  DRAWBRIDGE_TRY(check_room(path, loaded.keyring));
  if (key->newest().number == UINT32_MAX) {
    return fail(ErrorCode::kFull, "key `{}` in {} has the highest version number already", name,
                path);
  }
  DRAWBRIDGE_ASSIGN(auto version, make_version(key->newest().number + 1, now));
  key->versions.push_back(std::move(version));
  DRAWBRIDGE_TRY(lock.store(loaded.keyring));
  return listing_of(*key);
}

Result<KeyListing> disable_key(const std::string& path, const std::string& name,
                               std::optional<std::uint32_t> version) {
  return set_state(path, name, version, KeyState::kDisabled);
}

Result<KeyListing> enable_key(const std::string& path, const std::string& name,
                              std::optional<std::uint32_t> version) {
  return set_state(path, name, version, KeyState::kEnabled);
}

}  // namespace drawbridge

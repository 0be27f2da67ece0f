// A keyring: named key-encryption keys with versions, as a local file holds them.
//
// Grammar, reasons and a worked example: bridge/keys/KEYRING.md. This header is the text; access to
// the file (ownership, locking, atomic rewrite) stands in keyring_file.h.
//
// Parsing is strict and by line, so that the text can pass through a small window of secret memory
// and never stands in ordinary memory. No error message quotes what it read: a misplaced key would
// end up in a log.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/base/secret.h"

namespace drawbridge {

inline constexpr std::string_view kKeyringMagic = "drawbridge-keyring";
inline constexpr std::uint32_t kKeyringFormat = 1;
inline constexpr std::size_t kKekBytes = 32;  // AES-256
inline constexpr std::size_t kKekCheckBytes = 8;
inline constexpr std::size_t kMaxKeyringLine = 192;       // without its line feed
inline constexpr std::size_t kMaxKeyringVersions = 4096;  // of all keys together
inline constexpr std::size_t kMaxKeyName = 64;

enum class KeyState : std::uint8_t { kEnabled, kDisabled };
std::string_view name_of(KeyState state);

// Public fingerprint of a KEK, so that damage is found at load and people can compare two files.
using KekCheck = std::array<std::uint8_t, kKekCheckBytes>;
// HMAC-SHA-256(material, "drawbridge keyring check"), its first 8 bytes. Errors: kInternal.
Result<KekCheck> check_of(const SecretBytes& material);

struct KeyVersion {
  std::uint32_t number = 0;  // 1 and up, rising within a key
  KeyState state = KeyState::kEnabled;
  WallMillis created = 0;  // whole seconds
  KekCheck check{};
  SecretBytes material;
};

struct KeyringKey {
  std::string name;
  std::vector<KeyVersion> versions;  // at least one, oldest first

  [[nodiscard]] const KeyVersion& newest() const { return versions.back(); }
  [[nodiscard]] KeyVersion* find(std::uint32_t number);  // nullptr: none
};

struct Keyring {
  std::vector<KeyringKey> keys;  // in the file's order

  [[nodiscard]] KeyringKey* find(std::string_view name);  // nullptr: none
  [[nodiscard]] std::size_t versions() const;
};

// 1 to 64 of a-z 0-9 . _ -, beginning with a letter or digit.
bool valid_key_name(std::string_view name);

// A version number as the file and KEK references write it: no sign, no leading zero, 1 to 2^32-1.
std::optional<std::uint32_t> parse_version_number(std::string_view text);

// "2026-01-02T03:04:05Z" both ways.
std::string format_created(WallMillis created);
std::optional<WallMillis> parse_created(std::string_view text);

// Takes a keyring line by line. After an error it is of no more use.
class KeyringParser {
 public:
  explicit KeyringParser(std::string file) : file_(std::move(file)) {}

  // One line without its line feed. Errors name FILE:LINE: kInvalid; kForeign, written by a newer
  // version; kFull, no secure memory left.
  Result<void> line(std::string_view text);
  // The end of the file. Errors: kInvalid, cut short.
  Result<Keyring> finish();

  // "FILE:LINE: " for errors that the caller finds in the current line.
  [[nodiscard]] std::string where() const;

 private:
  Result<void> header_line(std::string_view text);
  Result<void> key_line(std::string_view name);
  Result<void> version_line(std::string_view fields);
  Result<void> close_key() const;

  enum class State : std::uint8_t { kHeader, kKeys, kEnded };

  std::string file_;
  Keyring keyring_;
  State state_ = State::kHeader;
  std::size_t line_ = 0;
  std::size_t versions_ = 0;
};

// A whole text at once. Errors as KeyringParser's, and kInvalid for a last line without line feed.
Result<Keyring> parse_keyring(std::string_view text, std::string file);

// Writes a version's line, line feed included, into `line`, which is secret memory of at least
// kMaxKeyringLine + 1 bytes; gives its length. The other lines hold no secret.
Result<std::size_t> format_version_line(const KeyVersion& version, SecretBytes& line);
std::string format_header_line();
std::string format_key_line(const KeyringKey& key);
std::string format_end_line();

}  // namespace drawbridge

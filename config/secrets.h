// Secrets stand in a configuration only as references:
//
//   ${file:PATH}      a file's content, without the newline at its end
//   ${file:PATH:KEY}  the value of KEY in a file of KEY=VALUE lines
//   ${env:NAME}       an environment variable that `daemon.secrets.env` lists
//   ${cred:NAME}      a systemd credential: $CREDENTIALS_DIRECTORY/NAME
//
// A reference is the whole value. No message here quotes a secret, nor what stands in a
// reference's place.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "bridge/base/result.h"

namespace drawbridge::config {

enum class SecretKind : std::uint8_t { kFile, kEnvironment, kCredential };

struct SecretReference {
  SecretKind kind = SecretKind::kFile;
  std::string name;  // path, variable or credential
  std::string key;   // kFile: in a file of KEY=VALUE lines; empty: the whole file
};

// Does the text mean to be a reference?
inline bool is_reference(std::string_view text) { return text.starts_with("${"); }

// Errors: kInvalid, which says what a reference looks like.
Result<SecretReference> parse_reference(std::string_view text);

struct SecretSources {
  std::set<std::string, std::less<>> variables;  // allowed
  std::string directory;                         // relative paths are relative to it
};

// Reads a secret. Errors: kNotFound, kPermission, kInvalid (empty, too large, a NUL in it).
Result<std::string> resolve_secret(const SecretReference& reference, const SecretSources& sources);

// The path of a systemd credential. Errors: kNotFound, there is no credentials directory.
Result<std::string> credential_path(std::string_view name);

// `path`, relative to `directory` unless absolute.
std::string path_in(const std::string& directory, const std::string& path);

}  // namespace drawbridge::config

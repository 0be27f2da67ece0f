#include "config/secrets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace drawbridge::config {
namespace {

constexpr std::size_t kMaxSecret = 64 << 10;
constexpr std::string_view kForms =
    "a reference is ${file:PATH}, ${file:PATH:KEY}, ${env:NAME} or ${cred:NAME}";

bool variable_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_';
  });
}

bool credential_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos;
}

Result<std::string> read_secret_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const int error = errno;
    const ErrorCode code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kPermission;
    return fail(code, "the secret file `{}` cannot be read: {}", path, std::strerror(error));
  }
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    return fail(ErrorCode::kInvalid, "the secret `{}` is not a regular file", path);
  }
  std::string content;
  char buffer[4096];
  ssize_t got = 0;
  while (content.size() <= kMaxSecret && (got = ::read(file, buffer, sizeof buffer)) > 0) {
    content.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(file);
  if (got < 0) return fail(ErrorCode::kIo, "the secret file `{}` cannot be read", path);
  if (content.size() > kMaxSecret) {
    return fail(ErrorCode::kInvalid, "the secret file `{}` is larger than {} bytes", path,
                kMaxSecret);
  }
  return content;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// The value of `key` in lines KEY=VALUE; lines that begin with # or ! are comments.
std::optional<std::string> find_key(std::string_view content, std::string_view key) {
  while (!content.empty()) {
    const std::size_t end = content.find('\n');
    const std::string_view line = trimmed(content.substr(0, end));
    content = end == std::string_view::npos ? std::string_view() : content.substr(end + 1);
    if (line.starts_with('#') || line.starts_with('!')) continue;
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos && trimmed(line.substr(0, equals)) == key) {
      return std::string(trimmed(line.substr(equals + 1)));
    }
  }
  return std::nullopt;
}

Result<std::string> file_secret(const SecretReference& reference, const std::string& path) {
  DRAWBRIDGE_ASSIGN(std::string content, read_secret_file(path));
  if (!reference.key.empty()) {
    auto value = find_key(content, reference.key);
    if (!value) {
      return fail(ErrorCode::kNotFound, "the secret file `{}` has no key `{}`", path,
                  reference.key);
    }
    return std::move(*value);
  }
  if (content.ends_with('\n')) content.pop_back();
  if (content.ends_with('\r')) content.pop_back();
  return content;
}

Result<std::string> read_any(const SecretReference& reference, const SecretSources& sources) {
  switch (reference.kind) {
    case SecretKind::kFile:
      return file_secret(reference, path_in(sources.directory, reference.name));
    case SecretKind::kEnvironment: {
      if (!sources.variables.contains(reference.name)) {
        return fail(ErrorCode::kPermission,
                    "the environment variable `{}` is not allowed; list it under "
                    "`daemon: {{secrets: {{env: [{}]}}}}`",
                    reference.name, reference.name);
      }
      const char* value = std::getenv(reference.name.c_str());
      if (value == nullptr) {
        return fail(ErrorCode::kNotFound, "the environment variable `{}` is not set",
                    reference.name);
      }
      return std::string(value);
    }
    case SecretKind::kCredential: {
      DRAWBRIDGE_ASSIGN(const std::string path, credential_path(reference.name));
      return file_secret(reference, path);
    }
  }
  return fail(ErrorCode::kInternal, "no such kind of secret");
}

}  // namespace

Result<SecretReference> parse_reference(std::string_view text) {
  const auto invalid = fail(ErrorCode::kInvalid, "{}", kForms);
  if (!is_reference(text) || !text.ends_with('}')) return invalid;
  text = text.substr(2, text.size() - 3);
  if (text.find_first_of("{}\n") != std::string_view::npos) return invalid;
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return invalid;
  const std::string_view kind = text.substr(0, colon);
  const std::string_view name = text.substr(colon + 1);
  if (kind == "file") {
    const std::size_t key = name.rfind(':');
    SecretReference reference{SecretKind::kFile, std::string(name.substr(0, key)), {}};
    if (key != std::string_view::npos) {
      reference.key = name.substr(key + 1);
      if (reference.key.empty()) return invalid;
    }
    if (reference.name.empty()) return invalid;
    return reference;
  }
  if (kind == "env" && variable_name(name)) {
    return SecretReference{SecretKind::kEnvironment, std::string(name), {}};
  }
  if (kind == "cred" && credential_name(name)) {
    return SecretReference{SecretKind::kCredential, std::string(name), {}};
  }
  return invalid;
}

Result<std::string> resolve_secret(const SecretReference& reference, const SecretSources& sources) {
  DRAWBRIDGE_ASSIGN(std::string value, read_any(reference, sources));
  if (value.empty()) {
    return fail(ErrorCode::kInvalid, "the secret `{}` is empty", reference.name);
  }
  if (value.find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalid, "the secret `{}` has a NUL in it", reference.name);
  }
  return value;
}

Result<std::string> credential_path(std::string_view name) {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || *directory == '\0') {
    return fail(ErrorCode::kNotFound,
                "the credential `{}` needs $CREDENTIALS_DIRECTORY, which systemd sets for a unit "
                "with LoadCredential=",
                name);
  }
  return std::string(directory) + "/" + std::string(name);
}

std::string path_in(const std::string& directory, const std::string& path) {
  if (path.starts_with('/') || directory.empty()) return path;
  return directory.ends_with('/') ? directory + path : directory + "/" + path;
}

}  // namespace drawbridge::config

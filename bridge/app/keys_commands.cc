#include <fmt/format.h>

#include "bridge/app/commands.h"
#include "bridge/app/exit_codes.h"
#include "bridge/app/terminal.h"
#include "bridge/base/clock.h"
#include "bridge/base/secret.h"
#include "bridge/keys/key_cache.h"
#include "bridge/keys/keyring_admin.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

void print(const KeyListing& key) {
  for (const KeyVersionListing& version : key.versions) {
    const bool newest = version.number == key.versions.back().number;
    fmt::print("{:<24} {:>7}  {:<9} {}  {}{}\n", key.name, version.number,
               version.state == KeyState::kEnabled ? "enabled" : "disabled",
               utc_time(version.created), version.check, newest ? "  wraps" : "");
  }
}

void print_heading() {
  fmt::print("{:<24} {:>7}  {:<9} {:<20}  {}\n", "KEY", "VERSION", "STATE", "CREATED", "CHECK");
}

int show(const Result<KeyListing>& key) {
  if (!key) return report(key.error());
  print_heading();
  print(*key);
  return kExitOk;
}

void describe_file(po::options_description& options) {
  options.add_options()("file,f", po::value<std::string>()->required()->value_name("FILE"),
                        "the keyring file");
}

void describe_key(po::options_description& options) {
  describe_file(options);
  options.add_options()("key", po::value<std::string>()->required()->value_name("NAME"),
                        "the key's name");
}

void describe_version(po::options_description& options) {
  describe_key(options);
  options.add_options()("version", po::value<std::uint32_t>()->value_name("N"),
                        "this version only (default: all)");
}

std::optional<std::uint32_t> version_of(const CommandLine& line) {
  if (!line.options.contains("version")) return std::nullopt;
  return line.options["version"].as<std::uint32_t>();
}

// Key material goes through the secret heap only.
template <typename Action>
int with_secret_heap(Action&& action) {
  const auto heap = init_secret_heap(secret_heap_bytes({}));
  return heap ? action() : report(heap.error());
}

CommandSpec key_command(std::string name, std::string summary,
                        Result<KeyListing> (*action)(const std::string&, const std::string&,
                                                     WallMillis)) {
  return {"keys " + name,
          std::move(summary),
          "-f FILE NAME",
          describe_key,
          {"key"},
          [action](const CommandLine& line) {
            return with_secret_heap([&] {
              return show(action(line.options["file"].as<std::string>(),
                                 line.options["key"].as<std::string>(), SystemClock().wall()));
            });
          }};
}

CommandSpec version_switch(std::string name, std::string summary,
                           Result<KeyListing> (*action)(const std::string&, const std::string&,
                                                        std::optional<std::uint32_t>)) {
  return {"keys " + name,
          std::move(summary),
          "-f FILE NAME [--version N]",
          describe_version,
          {"key"},
          [action](const CommandLine& line) {
            return with_secret_heap([&] {
              return show(action(line.options["file"].as<std::string>(),
                                 line.options["key"].as<std::string>(), version_of(line)));
            });
          }};
}

int list(const CommandLine& line) {
  return with_secret_heap([&] {
    const auto keys = list_keys(line.options["file"].as<std::string>());
    if (!keys) return report(keys.error());
    print_heading();
    for (const KeyListing& key : *keys) print(key);
    return static_cast<int>(kExitOk);
  });
}

}  // namespace

std::vector<CommandSpec> keys_commands() {
  return {
      key_command("create", "make a key in a local keyring (and the keyring)", create_key),
      {"keys list", "list a keyring's keys, without material", "-f FILE", describe_file, {}, list},
      key_command("rotate", "add a version, which wraps from then on", rotate_key),
      version_switch("disable", "refuse the use of a key or of one version", disable_key),
      version_switch("enable", "allow it again", enable_key)};
}

}  // namespace drawbridge

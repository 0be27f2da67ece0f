// What the tests of this room share: a directory of a test's own, keys in it, and the program.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/app/demo_world.h"
#include "bridge/base/secret.h"
#include "bridge/keys/domains.h"
#include "bridge/keys/keyring_admin.h"

namespace drawbridge {

inline TemporaryDirectory test_directory() {
  auto made = TemporaryDirectory::make("drawbridge-app-test");
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

inline std::string write_file(const TemporaryDirectory& directory, std::string_view name,
                              std::string_view text) {
  const std::string path = directory.path() + "/" + std::string(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

inline std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Key domains of these names, each with a keyring of its own in `directory`.
inline std::unique_ptr<DomainRegistry> test_domains(const TemporaryDirectory& directory,
                                                    const std::vector<std::string>& names) {
  EXPECT_TRUE(init_secret_heap(1 << 20));
  std::vector<KeyDomainConfig> configs;
  for (const std::string& name : names) {
    const std::string file = directory.path() + "/" + name + ".keyring";
    EXPECT_TRUE(create_key(file, "orders", 1'700'000'000'000));
    configs.push_back({name, "keyring", {{"file", file}, {"key", "orders"}}});
  }
  auto registry = DomainRegistry::create(configs, {});
  EXPECT_TRUE(registry) << registry.error().message;
  return std::move(*registry);
}

struct Finished {
  int status = -1;
  std::string out;
  std::string err;
};

// Runs the program to its end, in `directory`.
inline Finished run_program(const TemporaryDirectory& directory,
                            const std::vector<std::string>& arguments,
                            const std::map<std::string, std::string>& environment = {}) {
  const std::string out = directory.path() + "/stdout";
  const std::string err = directory.path() + "/stderr";
  std::vector<std::string> owned{DRAWBRIDGE_BINARY};
  owned.insert(owned.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : owned) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables;
  for (char** each = environ; *each != nullptr; ++each) variables.emplace_back(*each);
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), flags, 0600);
  posix_spawn_file_actions_addchdir_np(&actions, directory.path().c_str());
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(error, 0) << DRAWBRIDGE_BINARY << " cannot be run";
  if (error != 0) return {};
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(out),
          read_file(err)};
}

}  // namespace drawbridge

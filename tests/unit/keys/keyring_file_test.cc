#include "bridge/keys/keyring_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <thread>

#include "bridge/keys/keyring_admin.h"
#include "tests/unit/keys/temporary_directory.h"

namespace drawbridge {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kText =
    "drawbridge-keyring 1\nkey orders\n"
    "version 1 enabled 2026-01-02T03:04:05Z 6d51793b84a58213 "
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nend\n";

void expect_refused(const std::string& path, ErrorCode code, std::string_view message) {
  const auto loaded = load_keyring(path);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
  EXPECT_THAT(loaded.error().message, HasSubstr(path));
  EXPECT_THAT(loaded.error().message, HasSubstr(message));
}

TEST(KeyringFile, ModesOtherThan0600And0400AreRefused) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  for (const mode_t mode : {0600U, 0400U}) {
    write_file(path, kText, mode);
    EXPECT_TRUE(load_keyring(path)) << mode;
  }
  for (const mode_t mode : {0640U, 0644U, 0660U, 0604U, 0602U, 0700U, 0500U, 0440U, 04600U}) {
    write_file(path, kText, mode);
    expect_refused(path, ErrorCode::kPermission, "chmod 0600");
  }
}

TEST(KeyringFile, AServiceCredentialMayHaveSystemdsMode) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to own the file";
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  write_file(path, kText, 0440);
  expect_refused(path, ErrorCode::kPermission, "0440");
  ASSERT_EQ(
      setenv("CREDENTIALS_DIRECTORY", directory.file("").substr(0, path.rfind('/')).c_str(), 1), 0);
  EXPECT_TRUE(load_keyring(path));
  expect_refused(directory.file("x/../dc.keyring"), ErrorCode::kNotFound, "");
  std::filesystem::create_directory(directory.file("x"));
  expect_refused(directory.file("x/../dc.keyring"), ErrorCode::kPermission, "0440");
  ASSERT_EQ(chown(path.c_str(), 0, 1), 0);
  expect_refused(path, ErrorCode::kPermission, "0440");
  unsetenv("CREDENTIALS_DIRECTORY");
}

TEST(KeyringFile, AnotherUsersFileIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give the file away";
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  write_file(path, kText);
  ASSERT_EQ(chown(path.c_str(), 12345, 0), 0);
  expect_refused(path, ErrorCode::kPermission, "belongs to user 12345");
}

TEST(KeyringFile, OnlyARegularFileIsRead) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  expect_refused(path, ErrorCode::kNotFound, "drawbridge keys create");
  expect_refused(directory.file("absent/dc.keyring"), ErrorCode::kNotFound, "");

  write_file(directory.file("real"), kText);
  ASSERT_EQ(symlink(directory.file("real").c_str(), path.c_str()), 0);
  expect_refused(path, ErrorCode::kPermission, "symbolic link");
  std::filesystem::remove(path);

  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);  // would hang a careless reader
  expect_refused(path, ErrorCode::kPermission, "not a regular file");
  std::filesystem::remove(path);

  std::filesystem::create_directory(path);
  expect_refused(path, ErrorCode::kPermission, "not a regular file");
}

TEST(KeyringFile, LinesAreFoundWhereverTheReadWindowEnds) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  // Names of rising length push the lines over every position of the window.
  std::string text = "drawbridge-keyring 1\n";
  for (int i = 0; i < 200; ++i) {
    text += fmt::format("key k{}{}\n", i, std::string(static_cast<std::size_t>(i % 60), 'x'));
    text += kText.substr(kText.find("version"), kText.find("end") - kText.find("version"));
  }
  text += "end\n";
  ASSERT_GT(text.size(), 20000U);
  write_file(path, text);
  const auto loaded = load_keyring(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->keyring.versions(), 200U);

  write_file(path, text.substr(0, text.size() - 1));
  expect_refused(path, ErrorCode::kInvalid, "no line feed");
  write_file(path, text + std::string(100000, 'x'));
  expect_refused(path, ErrorCode::kInvalid, "longer than");
  write_file(path, std::string(100000, '\n'));
  expect_refused(path, ErrorCode::kInvalid, ":1: not a keyring");
}

TEST(KeyringFile, ErrorsNameFileAndLine) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  write_file(path, "drawbridge-keyring 1\nkey a\nend\n");
  const auto loaded = load_keyring(path);
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, StartsWith(path + ":3: "));
}

TEST(KeyringFile, StoringReplacesTheFileWholeAndPrivate) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  write_file(path, kText);
  auto loaded = load_keyring(path);
  ASSERT_TRUE(loaded);
  // What a crash in the middle of an earlier change left behind.
  write_file(path + ".tmp", "half a key", 0644);
  const mode_t mask = umask(0);
  {
    auto lock = KeyringLock::acquire(path);
    ASSERT_TRUE(lock) << lock.error().message;
    EXPECT_TRUE(lock->store(loaded->keyring));
  }
  umask(mask);
  EXPECT_EQ(read_file(path), kText);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_NE(stamp_of(path).value(), loaded->stamp);
}

TEST(KeyringFile, AFailedStoreLeavesTheOldFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  write_file(path, kText);
  auto loaded = load_keyring(path);
  ASSERT_TRUE(loaded);
  auto lock = KeyringLock::acquire(path);
  ASSERT_TRUE(lock);
  std::filesystem::create_directory(path + ".tmp");  // cannot be unlinked
  EXPECT_FALSE(lock->store(loaded->keyring));
  EXPECT_EQ(read_file(path), kText);
  std::filesystem::remove(path + ".tmp");
  // A key that cannot be written.
  loaded->keyring.keys[0].versions[0].material = SecretBytes();
  EXPECT_FALSE(lock->store(loaded->keyring));
  EXPECT_EQ(read_file(path), kText);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(KeyringFile, TheLockIsHeldByOneAndNamesNothingForPathsWithoutAFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  std::atomic<bool> second{false};
  std::thread waiter;
  {
    auto lock = KeyringLock::acquire(path);
    ASSERT_TRUE(lock);
    waiter = std::thread([&] {
      EXPECT_TRUE(KeyringLock::acquire(path));
      second = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    EXPECT_FALSE(second);
  }
  waiter.join();
  EXPECT_TRUE(second);
  EXPECT_EQ(KeyringLock::acquire(directory.file("")).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(KeyringLock::acquire(directory.file("absent/x")).error().code, ErrorCode::kNotFound);
}

TEST(KeyringFile, AFullSecureHeapIsSaidAndNothingLeaks) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  write_file(path, kText);
  std::vector<SecretBytes> filler;
  for (;;) {
    auto piece = SecretBytes::zeroed(32);
    if (!piece) break;
    filler.push_back(std::move(*piece));
  }
  const auto loaded = load_keyring(path);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kFull);
  filler.clear();
  EXPECT_TRUE(load_keyring(path));
}

}  // namespace
}  // namespace drawbridge

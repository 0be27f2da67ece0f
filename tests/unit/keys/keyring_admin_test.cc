#include "bridge/keys/keyring_admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "bridge/keys/keyring_file.h"
#include "tests/unit/keys/temporary_directory.h"

namespace drawbridge {
namespace {

using ::testing::HasSubstr;

constexpr WallMillis kNow = 1767323045678;  // 2026-01-02T03:04:05.678Z

TEST(KeyringAdmin, ALifeOfAKey) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");

  const auto created = create_key(path, "orders", kNow);
  ASSERT_TRUE(created) << created.error().message;
  ASSERT_EQ(created->versions.size(), 1U);
  EXPECT_EQ(created->versions[0].number, 1U);
  EXPECT_EQ(created->versions[0].state, KeyState::kEnabled);
  EXPECT_EQ(created->versions[0].created, 1767323045000);
  EXPECT_EQ(created->versions[0].check.size(), 16U);
  ASSERT_TRUE(create_key(path, "invoices", kNow));

  const auto rotated = rotate_key(path, "orders", kNow + 60000);
  ASSERT_TRUE(rotated) << rotated.error().message;
  ASSERT_EQ(rotated->versions.size(), 2U);
  EXPECT_EQ(rotated->versions[1].number, 2U);
  EXPECT_NE(rotated->versions[1].check, rotated->versions[0].check);
  EXPECT_EQ(rotated->versions[0].check, created->versions[0].check);

  const auto disabled = disable_key(path, "orders", 1);
  ASSERT_TRUE(disabled);
  EXPECT_EQ(disabled->versions[0].state, KeyState::kDisabled);
  EXPECT_EQ(disabled->versions[1].state, KeyState::kEnabled);
  ASSERT_TRUE(disable_key(path, "orders", std::nullopt));

  const auto listed = list_keys(path);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ((*listed)[0].name, "orders");
  for (const auto& version : (*listed)[0].versions) {
    EXPECT_EQ(version.state, KeyState::kDisabled);
  }
  EXPECT_EQ((*listed)[1].name, "invoices");
  EXPECT_EQ((*listed)[1].versions[0].state, KeyState::kEnabled);

  // A rotation does not undo a disabling.
  EXPECT_EQ(rotate_key(path, "orders", kNow).error().code, ErrorCode::kKeyDisabled);
  ASSERT_TRUE(enable_key(path, "orders", 2));
  ASSERT_TRUE(rotate_key(path, "orders", kNow));
  EXPECT_EQ(list_keys(path)->front().versions.size(), 3U);
}

TEST(KeyringAdmin, ErrorsSayWhatIsWrong) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  EXPECT_EQ(list_keys(path).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(rotate_key(path, "orders", kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(disable_key(path, "orders", 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(create_key(path, "Orders", kNow).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(create_key(directory.file("no/dc.keyring"), "orders", kNow).error().code,
            ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path));

  ASSERT_TRUE(create_key(path, "orders", kNow));
  const std::string before = read_file(path);
  const auto twice = create_key(path, "orders", kNow);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kExists);
  EXPECT_THAT(twice.error().message, HasSubstr("rotate"));
  EXPECT_EQ(rotate_key(path, "other", kNow).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(disable_key(path, "orders", 2).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(enable_key(path, "other", std::nullopt).error().code, ErrorCode::kNotFound);

  chmod(path.c_str(), 0644);
  EXPECT_EQ(create_key(path, "b", kNow).error().code, ErrorCode::kPermission);
  EXPECT_EQ(rotate_key(path, "orders", kNow).error().code, ErrorCode::kPermission);
  EXPECT_EQ(read_file(path), before);
  write_file(path, "damaged\n");
  EXPECT_EQ(create_key(path, "b", kNow).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(read_file(path), "damaged\n");
}

TEST(KeyringAdmin, ListingsHoldNoMaterial) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  ASSERT_TRUE(create_key(path, "orders", kNow));
  const std::string text = read_file(path);
  const std::string material = text.substr(text.find("=\n") - 43, 44);
  const auto listed = list_keys(path);
  ASSERT_TRUE(listed);
  EXPECT_THAT(material, ::testing::Not(HasSubstr(listed->front().versions[0].check)));
  EXPECT_THAT(text, HasSubstr(listed->front().versions[0].check));
}

TEST(KeyringAdmin, WritersAtOnceLoseNoKey) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  constexpr int kWriters = 4;
  constexpr int kKeysEach = 5;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      for (int i = 0; i < kKeysEach; ++i) {
        EXPECT_TRUE(create_key(path, fmt::format("k{}-{}", writer, i), kNow));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  std::set<std::string> names;
  const auto listed = list_keys(path);
  ASSERT_TRUE(listed) << listed.error().message;
  for (const KeyListing& key : *listed) names.insert(key.name);
  EXPECT_EQ(names.size(), std::size_t{kWriters} * kKeysEach);
}

TEST(KeyringAdmin, ACrashAtAnyMomentLeavesAWholeKeyring) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("dc.keyring");
  ASSERT_TRUE(create_key(path, "orders", kNow));
  for (int round = 0; round < 15; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) {
        if (!rotate_key(path, "orders", kNow)) _exit(1);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + round * 3));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto listed = list_keys(path);
    ASSERT_TRUE(listed) << listed.error().message;
    ASSERT_EQ(listed->size(), 1U);
    for (std::uint32_t i = 0; i < listed->front().versions.size(); ++i) {
      EXPECT_EQ(listed->front().versions[i].number, i + 1);
    }
  }
  ASSERT_TRUE(rotate_key(path, "orders", kNow));  // the dead writers' lock is gone with them
}

}  // namespace
}  // namespace drawbridge

#include "bridge/app/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "tests/unit/app/support.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;

const std::string kFails = "child-that-fails";
const std::string kSleeps = "child-that-sleeps";

// The children are this very program, /proc/self/exe, which learns here what it is to do.
const bool as_child = [] {
  const std::string arguments = read_file("/proc/self/cmdline");
  if (arguments.find(kFails) != std::string::npos) {
    std::fputs("as it should\n", stderr);
    _exit(3);
  }
  if (arguments.find(kSleeps) != std::string::npos) {
    sleep(60);
    _exit(0);
  }
  return false;
}();

TEST(ChildProcess, TellsHowItEnded) {
  EXPECT_FALSE(as_child);
  const TemporaryDirectory directory = test_directory();
  const std::string log = directory.path() + "/log";
  auto good = ChildProcess::start({"--gtest_list_tests"}, log);
  ASSERT_TRUE(good);
  EXPECT_EQ(good->wait(std::chrono::seconds(30)), 0);
  EXPECT_THAT(read_file(log), HasSubstr("IsKilledAtOnce"));
  auto bad = ChildProcess::start({kFails}, log);
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->wait(std::chrono::seconds(30)), 3);
  EXPECT_THAT(read_file(log), HasSubstr("as it should"));  // appended
}

TEST(ChildProcess, IsKilledAtOnce) {
  const TemporaryDirectory directory = test_directory();
  auto child = ChildProcess::start({kSleeps}, directory.path() + "/log");
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait(std::chrono::milliseconds(50)), std::nullopt);
  child->kill();
  EXPECT_EQ(child->wait(Duration::zero()), 128 + SIGKILL);
}

TEST(ChildProcess, DoesNotOutliveItsOwner) {
  const TemporaryDirectory directory = test_directory();
  pid_t pid = -1;
  {
    auto child = ChildProcess::start({kSleeps}, directory.path() + "/log");
    ASSERT_TRUE(child);
    pid = child->pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST(ChildProcess, SaysWhereItCannotWrite) {
  const auto child = ChildProcess::start({}, "/nowhere/log");
  ASSERT_FALSE(child);
  EXPECT_THAT(child.error().message, HasSubstr("/nowhere/log"));
}

}  // namespace
}  // namespace drawbridge

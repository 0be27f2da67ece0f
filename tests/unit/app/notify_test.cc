#include "bridge/app/notify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A service manager's end of the conversation.
class NotifyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string directory = "/tmp/drawbridge-notify-XXXXXX";
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    directory_ = directory;
    path_ = directory + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ASSERT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    close(fd_);
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }

  std::vector<std::string> received() const {
    std::vector<std::string> messages;
    std::array<char, 512> buffer{};
    for (ssize_t size = 0; (size = recv(fd_, buffer.data(), buffer.size(), 0)) > 0;) {
      messages.emplace_back(buffer.data(), static_cast<std::size_t>(size));
    }
    return messages;
  }

  std::string directory_;
  std::string path_;
  int fd_ = -1;
};

TEST_F(NotifyTest, TellsTheManager) {
  Notifier notifier;
  notifier.ready();
  notifier.status("copying");
  notifier.status("copying");
  notifier.status("two\nREADY=0\x1b");
  notifier.stopping();
  EXPECT_THAT(received(),
              ElementsAre("READY=1", "STATUS=copying", "STATUS=two READY=0 ", "STOPPING=1"));
}

TEST_F(NotifyTest, WithoutAManagerNothingHappens) {
  unsetenv("NOTIFY_SOCKET");
  testing::internal::CaptureStderr();
  Notifier notifier;
  notifier.ready();
  notifier.watchdog();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(received(), IsEmpty());
}

TEST_F(NotifyTest, AManagerThatIsGoneIsMentionedOnce) {
  unlink(path_.c_str());
  testing::internal::CaptureStderr();
  Notifier notifier;
  notifier.ready();
  notifier.stopping();
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("cannot reach the service manager"), std::string::npos);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST_F(NotifyTest, WatchdogIsFedWhenDue) {
  setenv("WATCHDOG_USEC", "200000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  Notifier notifier;
  EXPECT_EQ(notifier.watchdog_interval(), Duration(100000));
  notifier.watchdog();
  notifier.watchdog();
  EXPECT_THAT(received(), ElementsAre("WATCHDOG=1"));
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  notifier.watchdog();
  EXPECT_THAT(received(), ElementsAre("WATCHDOG=1"));
}

TEST_F(NotifyTest, AWatchdogForAnotherProcessIsNotOurs) {
  setenv("WATCHDOG_USEC", "200000", 1);
  setenv("WATCHDOG_PID", "1", 1);
  Notifier notifier;
  EXPECT_EQ(notifier.watchdog_interval(), std::nullopt);
  notifier.watchdog();
  EXPECT_THAT(received(), IsEmpty());
}

}  // namespace
}  // namespace drawbridge

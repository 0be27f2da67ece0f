#include "bridge/app/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/app/commands.h"
#include "bridge/app/exit_codes.h"

namespace drawbridge {
namespace {

namespace po = boost::program_options;

using testing::HasSubstr;
using testing::internal::CaptureStderr;
using testing::internal::CaptureStdout;
using testing::internal::GetCapturedStderr;
using testing::internal::GetCapturedStdout;

// Two commands that remember what they were called with.
class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    const auto remember = [this](const CommandLine& line) {
      called_ = line.command;
      line_ = line;
      return 42;
    };
    commands_ = {{"copy",
                  "copy things",
                  "-c FILE [--fast]",
                  [](po::options_description& options) {
                    add_config_option(options);
                    options.add_options()("fast", "do not dawdle");
                  },
                  {},
                  remember},
                 {"keys make",
                  "make a key",
                  "NAME",
                  [](po::options_description& options) {
                    options.add_options()("name", po::value<std::string>()->required(), "a name");
                  },
                  {"name"},
                  remember}};
  }

  int run(const std::vector<std::string>& arguments) {
    called_.clear();
    CaptureStdout();
    CaptureStderr();
    const int status = run_command_line(commands_, arguments);
    out_ = GetCapturedStdout();
    err_ = GetCapturedStderr();
    return status;
  }

  std::vector<CommandSpec> commands_;
  std::string called_;
  CommandLine line_;
  std::string out_;
  std::string err_;
};

TEST_F(CommandTest, FindsACommandAndItsOptions) {
  EXPECT_EQ(run({"copy", "-c", "a.yaml", "--fast"}), 42);
  EXPECT_EQ(called_, "copy");
  EXPECT_EQ(line_.options["config"].as<std::string>(), "a.yaml");
  EXPECT_TRUE(line_.options.contains("fast"));
}

TEST_F(CommandTest, FindsACommandOfTwoWordsAndItsPositionalArgument) {
  EXPECT_EQ(run({"keys", "make", "orders"}), 42);
  EXPECT_EQ(called_, "keys make");
  EXPECT_EQ(line_.options["name"].as<std::string>(), "orders");
}

TEST_F(CommandTest, UsageErrorsCallNothing) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong{
      {{}, "Commands:"},
      {{"copi"}, "did you mean `copy`?"},
      {{"something-else"}, "unknown command `something-else`"},
      {{"keys"}, "drawbridge keys make NAME"},
      {{"keys", "eat"}, "keys needs a verb"},
      {{"copy"}, "config"},
      {{"copy", "-c"}, "config"},
      {{"copy", "-c", "a", "--slow"}, "--slow"},
      {{"copy", "-c", "a", "b"}, "positional"},
      {{"keys", "make"}, "name"},
      {{"keys", "make", "a", "b"}, "positional"},
      {{"\x1b[31m"}, "unknown command"}};
  for (const auto& [arguments, says] : wrong) {
    EXPECT_EQ(run(arguments), kExitUsage) << testing::PrintToString(arguments);
    EXPECT_THAT(err_, HasSubstr(says)) << testing::PrintToString(arguments);
    EXPECT_EQ(err_.find('\x1b'), std::string::npos);
    EXPECT_EQ(out_, "");
    EXPECT_EQ(called_, "");
  }
}

TEST_F(CommandTest, HelpIsOnStandardOutput) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"--help"},
                                                                     {"-h"},
                                                                     {"help"},
                                                                     {"copy", "--help"},
                                                                     {"keys", "make", "-h"},
                                                                     {"keys", "--help"}}) {
    EXPECT_EQ(run(arguments), kExitOk) << testing::PrintToString(arguments);
    EXPECT_THAT(out_, HasSubstr("Usage:"));
    EXPECT_THAT(out_, HasSubstr("Exit status"));
    EXPECT_EQ(called_, "");
  }
  run({"copy", "--help"});
  EXPECT_THAT(out_, HasSubstr("do not dawdle"));
}

TEST(Commands, AreCompleteAndNamedOnce) {
  std::set<std::string> names;
  for (const CommandSpec& command : all_commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name << " twice";
    EXPECT_NE(command.summary, "") << command.name;
    EXPECT_TRUE(command.run) << command.name;
    po::options_description options;
    if (command.describe) command.describe(options);
    for (const std::string& name : command.positional) {
      EXPECT_NE(options.find_nothrow(name, false), nullptr) << command.name << ' ' << name;
    }
  }
  for (const char* name : {"run", "lint", "echo", "check", "list", "demo", "inspect", "version",
                           "offsets list", "offsets export", "offsets import", "offsets reset",
                           "keys create", "keys list", "keys rotate", "keys disable"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Report, GivesTheExitStatusThatFits) {
  const std::vector<std::pair<ErrorCode, int>> expected{
      {ErrorCode::kInvalid, kExitConfiguration}, {ErrorCode::kNotFound, kExitConfiguration},
      {ErrorCode::kLocked, kExitState},          {ErrorCode::kCorrupt, kExitState},
      {ErrorCode::kPermission, kExitState},      {ErrorCode::kKeyDisabled, kExitState},
      {ErrorCode::kUnavailable, kExitPipeline},  {ErrorCode::kAuthentication, kExitPipeline},
      {ErrorCode::kUnknownTopic, kExitPipeline}};
  for (const auto& [code, status] : expected) {
    CaptureStderr();
    EXPECT_EQ(report({code, "what went wrong"}), status) << name_of(code);
    const std::string said = GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("drawbridge: what went wrong"));
    EXPECT_THAT(said, HasSubstr(std::string(info(code).remedy)));
  }
}

}  // namespace
}  // namespace drawbridge

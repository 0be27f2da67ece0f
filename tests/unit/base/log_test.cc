#include "bridge/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bridge/base/bytes.h"
#include "bridge/base/utf8.h"

namespace drawbridge {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::SizeIs;

class LogTest : public testing::Test {
 protected:
  void SetUp() override { configure_log({}); }
  void TearDown() override {
    testing::internal::CaptureStderr();
    configure_log({});
    testing::internal::GetCapturedStderr();
  }

  template <typename F>
  static std::vector<std::string> lines_of(F&& body) {
    testing::internal::CaptureStderr();
    body();
    std::istringstream captured(testing::internal::GetCapturedStderr());
    std::vector<std::string> lines;
    for (std::string line; std::getline(captured, line);) lines.push_back(line);
    return lines;
  }

  // What follows the event in a text line.
  static std::string text_of(std::string_view value) {
    const auto lines = lines_of([&] { log(Level::kInfo, "e", {{"v", value}}); });
    if (lines.size() != 1) return "not one line";
    return lines[0].substr(lines[0].find(" v=") + 3);
  }

  static std::string json_of(const Field& field) {
    configure_log({.format = LogFormat::kJson});
    const auto lines = lines_of([&] { log(Level::kInfo, "e", {field}); });
    if (lines.size() != 1) return "not one line";
    const auto start = lines[0].find("\"v\":") + 4;
    return lines[0].substr(start, lines[0].size() - start - 1);
  }
};

constexpr std::string_view kTime = "....-..-..T..:..:..\\....Z";

TEST_F(LogTest, TextLine) {
  const auto lines = lines_of([] {
    log(Level::kInfo, "pipeline started", {{"pipeline", "orders"}, {"shards", 4}});
  });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], MatchesRegex(std::string(kTime) +
                                     " INFO  pipeline started pipeline=orders shards=4"));
}

TEST_F(LogTest, TimestampIsNowInUtc) {
  const auto before = std::chrono::system_clock::now();
  const auto lines = lines_of([] { log(Level::kError, "e"); });
  const auto after = std::chrono::system_clock::now();
  ASSERT_THAT(lines, SizeIs(1));
  std::tm parts{};
  std::istringstream(lines[0].substr(0, 19)) >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%S");
  const auto written = std::chrono::system_clock::from_time_t(timegm(&parts)) +
                       std::chrono::milliseconds(std::stoi(lines[0].substr(20, 3)));
  EXPECT_LE(std::chrono::floor<std::chrono::milliseconds>(before), written);
  EXPECT_GE(after, written);
}

TEST_F(LogTest, JsonLine) {
  configure_log({.format = LogFormat::kJson});
  const auto lines = lines_of([] {
    log(Level::kWarning, "gap \"found\"", {{"topic", "a b"}, {"offset", -1}, {"proven", false}});
  });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], MatchesRegex("\\{\"time\":\"" + std::string(kTime) +
                                     R"(","level":"warning","event":"gap \\"found\\"",)"
                                     R"("topic":"a b","offset":-1,"proven":false\})"));
}

TEST_F(LogTest, LevelsBelowTheLeastAreNotWritten) {
  configure_log({.least = Level::kWarning});
  const auto lines = lines_of([] {
    log(Level::kDebug, "a");
    log(Level::kInfo, "b");
    log_folded(Level::kInfo, "b");
    log(Level::kWarning, "c");
    log(Level::kError, "d");
  });
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr(" WARN  c"));
  EXPECT_THAT(lines[1], HasSubstr(" ERROR d"));
}

TEST_F(LogTest, ColourIsOnlyOnRequest) {
  EXPECT_THAT(lines_of([] { log(Level::kError, "e"); })[0], testing::Not(HasSubstr("\x1b")));
  configure_log({.colour = true});
  EXPECT_THAT(lines_of([] { log(Level::kError, "e"); })[0], HasSubstr("\x1b[31mERROR\x1b[0m e"));
}

TEST_F(LogTest, TextValuesThatCouldMisleadAreQuotedOrEscaped) {
  struct Case {
    std::string_view value;
    std::string_view written;
  };
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"plain-1.2_3/x:y", "plain-1.2_3/x:y"},
      {"", R"("")"},
      {"two words", R"("two words")"},
      {"a=b", R"("a=b")"},
      {"say \"hi\"", R"("say \"hi\"")"},
      {R"(back\slash)", R"("back\\slash")"},
      {"line\nlevel=error", R"("line\nlevel=error")"},
      {"cr\rlf\tx", R"("cr\rlf\tx")"},
      {"\x1b[2J", R"("\u001b[2J")"},
      {"nul\0here"sv, R"("nul\u0000here")"},
      {"\x7f", R"("\u007f")"},
      {"\xc2\x9b"
       "31m",
       R"("\u009b31m")"},  // CSI as a C1 control
      {"\xe2\x80\xae"
       "txt",
       R"("\u202etxt")"},               // right-to-left override
      {"\xe2\x80\xa8", R"("\u2028")"},  // line separator
      {"Z\xc3\xbcrich", "Z\xc3\xbcrich"},
      {"\xff\xfe", R"("\xff\xfe")"},
      {"\xc3", R"("\xc3")"},                  // cut short
      {"\xc0\xaf", R"("\xc0\xaf")"},          // overlong
      {"\xed\xa0\x80", R"("\xed\xa0\x80")"},  // surrogate
      {"\xff\"", R"("\xff\"")"},
  };
  for (const Case& each : cases) EXPECT_EQ(text_of(each.value), each.written);
}

TEST_F(LogTest, EventsAndNamesAreEscapedToo) {
  const auto lines = lines_of([] { log(Level::kInfo, "a\nb", {{"n\n", 1}}); });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr(R"(a\nb n\n=1)"));
}

TEST_F(LogTest, JsonValuesAreJson) {
  using namespace std::string_view_literals;
  EXPECT_EQ(json_of({"v", "a\"b\\c\nd\te"}), R"("a\"b\\c\nd\u0009e")");
  EXPECT_EQ(json_of({"v", "\0\x1f\x7f"sv}), R"("\u0000\u001f\u007f")");
  EXPECT_EQ(json_of({"v", "\xe2\x80\xa9"}), R"("\u2029")");
  EXPECT_EQ(json_of({"v", "\xf0\x9f\x8c\x89"}), "\"\xf0\x9f\x8c\x89\"");
  EXPECT_EQ(json_of({"v", "x\xff\xc3y"}), "\"x\xef\xbf\xbd\xef\xbf\xbdy\"");
  EXPECT_EQ(json_of({"v", "\xf4\x90\x80\x80"}),
            "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(json_of({"v", "12"}), R"("12")");
  EXPECT_EQ(json_of({"v", std::string("s")}), R"("s")");
  EXPECT_EQ(json_of({"v", std::numeric_limits<std::int64_t>::min()}), "-9223372036854775808");
  EXPECT_EQ(json_of({"v", 0.5}), "0.5");
  EXPECT_EQ(json_of({"v", true}), "true");
  EXPECT_EQ(json_of({"v", std::numeric_limits<double>::infinity()}), R"("inf")");
  EXPECT_EQ(json_of({"v", -std::numeric_limits<double>::infinity()}), R"("-inf")");
}

TEST_F(LogTest, RepeatsAreCountedAndTheLastOneIsWritten) {
  const auto lines = lines_of([] {
    for (int i = 0; i < 5; ++i) {
      log_folded(Level::kWarning, "broker away",
                 {{"pipeline", "p"}, {"broker", "b:1"}, {"attempt", i}});
    }
    log_folded(Level::kWarning, "broker away", {{"pipeline", "p"}, {"broker", "b:2"}});
    log_folded(Level::kError, "broker away", {{"pipeline", "p"}, {"broker", "b:1"}});
    flush_folded_log();  // too early for all of them
    flush_folded_log(FoldFlush::kAll);
  });
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_THAT(lines[0], HasSubstr("WARN  broker away pipeline=p broker=b:1 attempt=0"));
  EXPECT_THAT(lines[1], HasSubstr("WARN  broker away pipeline=p broker=b:2"));
  EXPECT_THAT(lines[2], HasSubstr("ERROR broker away pipeline=p broker=b:1"));
  EXPECT_THAT(lines[3], testing::EndsWith("broker=b:1 attempt=4 repeated=4"));
}

TEST_F(LogTest, FoldedRepeatsAreJsonFields) {
  configure_log({.format = LogFormat::kJson});
  const auto lines = lines_of([] {
    for (int i = 0; i < 3; ++i) log_folded(Level::kInfo, "e");
    flush_folded_log(FoldFlush::kAll);
  });
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[1], testing::EndsWith(R"("event":"e","repeated":2})"));
}

TEST_F(LogTest, AnIntervalThatEndsBeginsAnewWhereTheKindGoesOn) {
  configure_log({.fold_interval = std::chrono::milliseconds(20)});
  const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); };
  const auto lines = lines_of([&] {
    log_folded(Level::kInfo, "e", {{"n", 1}});
    log_folded(Level::kInfo, "e", {{"n", 1}});
    wait();
    flush_folded_log();  // the second one, and a new interval
    flush_folded_log();  // nothing
    wait();
    flush_folded_log();  // it passed: forgotten
    log_folded(Level::kInfo, "e", {{"n", 1}});
    log_folded(Level::kInfo, "e", {{"n", 1}});
    wait();
    log_folded(Level::kInfo, "e", {{"n", 1}});  // nobody flushed: stands for two
  });
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_THAT(lines[0], testing::EndsWith("e n=1"));
  EXPECT_THAT(lines[1], testing::EndsWith("e n=1 repeated=1"));
  EXPECT_THAT(lines[2], testing::EndsWith("e n=1"));
  EXPECT_THAT(lines[3], testing::EndsWith("e n=1 repeated=2"));
}

TEST_F(LogTest, EndlessNewKindsAreWrittenAsTheyCome) {
  const auto lines = lines_of([] {
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i < 1500; ++i) log_folded(Level::kInfo, "e", {{"i", i}});
    }
  });
  // 1024 kinds fold in the second round, the rest cannot.
  EXPECT_EQ(lines.size(), 1500U + (1500U - 1024U));
}

TEST_F(LogTest, ThreadsDoNotMixTheirLines) {
  const std::string payload(300, 'x');
  const auto lines = lines_of([&] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          log(Level::kInfo, "line", {{"payload", payload}});
          log_folded(Level::kInfo, "folded", {{"i", i % 2}});
          flush_folded_log();
        }
      });
    }
    for (auto& thread : threads) thread.join();
  });
  const auto whole = std::ranges::count_if(lines, [&](const std::string& line) {
    return line.ends_with("INFO  line payload=" + payload);
  });
  EXPECT_EQ(whole, 800);
}

TEST_F(LogTest, ExplainGivesTheStandingAdvice) {
  const std::string text = explain({ErrorCode::kFull, "cannot save 3 positions"});
  EXPECT_EQ(text, "cannot save 3 positions (full; free space; the bridge goes on by itself)");
}

TEST(Utf8Test, StepsOverWellFormedAndRefusesTheRest) {
  struct Case {
    std::string_view text;
    std::optional<char32_t> point;
    std::size_t size;
  };
  const Case cases[] = {
      {"a", U'a', 1},
      {"\xc2\x80", 0x80, 2},
      {"\xdf\xbf", 0x7ff, 2},
      {"\xe0\xa0\x80", 0x800, 3},
      {"\xee\x80\x80", 0xe000, 3},
      {"\xef\xbf\xbf", 0xffff, 3},
      {"\xf0\x90\x80\x80", 0x10000, 4},
      {"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
      {"\x80", std::nullopt, 1},
      {"\xc1\xbf", std::nullopt, 1},
      {"\xe0\x9f\xbf", std::nullopt, 1},
      {"\xed\xbf\xbf", std::nullopt, 1},
      {"\xf0\x8f\xbf\xbf", std::nullopt, 1},
      {"\xf4\x90\x80\x80", std::nullopt, 1},
      {"\xf5\x80\x80\x80", std::nullopt, 1},
      {"\xe2\x82", std::nullopt, 1},
      {"\xe2\x28\xa1", std::nullopt, 1},
  };
  for (const Case& each : cases) {
    const Utf8Step step = next_utf8(each.text);
    EXPECT_EQ(step.point, each.point) << to_hex(as_bytes(each.text));
    EXPECT_EQ(step.size, each.size) << to_hex(as_bytes(each.text));
  }
}

}  // namespace
}  // namespace drawbridge

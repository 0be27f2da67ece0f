#include "bridge/app/terminal.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

TEST(Printable, NothingDrivesTheTerminal) {
  EXPECT_EQ(printable("orders.eu-1"), "orders.eu-1");
  EXPECT_EQ(printable("größe €"), "größe €");
  EXPECT_EQ(printable("\x1b[2J"), R"(\u{1b}[2J)");
  EXPECT_EQ(printable("a\nb\r"), R"(a\u{a}b\u{d})");
  EXPECT_EQ(printable("\xff\x80"), R"(\xff\x80)");
  EXPECT_EQ(printable("\xe2\x80\xae"), R"(\u{202e})");  // right-to-left override
  EXPECT_EQ(printable(std::string_view("\0", 1)), R"(\u{0})");
}

TEST(Style, IsPlainUnlessColoured) {
  EXPECT_EQ(Style(false)(Colour::kRed, "FAIL"), "FAIL");
  EXPECT_EQ(Style(true)(Colour::kRed, "FAIL"), "\x1b[31mFAIL\x1b[0m");
}

TEST(Width, CountsWhatIsShown) {
  EXPECT_EQ(shown_width("größe"), 5U);
  EXPECT_EQ(shown_width(Style(true)(Colour::kGreen, "OK")), 2U);
  EXPECT_EQ(padded("ab", 4), "ab  ");
  EXPECT_EQ(padded("abcde", 4), "abcde");
  EXPECT_EQ(padded(Style(true)(Colour::kGreen, "OK"), 4), "\x1b[32mOK\x1b[0m  ");
}

TEST(Shortened, KeepsWholeCharacters) {
  EXPECT_EQ(shortened("abcd", 4), "abcd");
  EXPECT_EQ(shortened("abcde", 4), "abc…");
  EXPECT_EQ(shortened("ääääää", 3), "ää…");
}

TEST(Table, LinesUpColumns) {
  EXPECT_EQ(table({{"TOPIC", "NEXT", "WHY"}, {"orders.eu", "7", ""}, {"o", "123456", "reset"}}),
            "TOPIC      NEXT    WHY\n"
            "orders.eu  7       \n"
            "o          123456  reset\n");
  EXPECT_EQ(table({{Style(true)(Colour::kGreen, "OK"), "a"}, {"FAIL", "b"}}),
            "\x1b[32mOK\x1b[0m    a\nFAIL  b\n");
  EXPECT_EQ(table({}), "");
}

TEST(UtcTime, IsIso8601) {
  EXPECT_EQ(utc_time(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_time(1'767'323'045'678), "2026-01-02T03:04:05Z");
}

}  // namespace
}  // namespace drawbridge

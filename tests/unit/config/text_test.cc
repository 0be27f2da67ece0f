#include "config/text.h"

#include <gtest/gtest.h>

namespace drawbridge::config {
namespace {

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> known{"topics", "topic", "exclude", "group", "on-gap"};
  EXPECT_EQ(nearest("topcis", known), "topics");
  EXPECT_EQ(nearest("tpoic", known), "topic");
  EXPECT_EQ(nearest("excluded", known), "exclude");
  EXPECT_EQ(nearest("on_gap", known), "on-gap");
  EXPECT_EQ(nearest("shards", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'x'), known), std::nullopt);
}

TEST(Integer, TakesDigitsOnly) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-7"), -7);
  EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
  for (const char* bad : {"", "-", "+1", " 1", "1 ", "1.0", "0x10", "1e3", "1_000",
                          "9223372036854775808", "99999999999999999999999999"}) {
    EXPECT_EQ(parse_integer(bad), std::nullopt) << bad;
  }
}

TEST(Duration, NeedsAUnit) {
  EXPECT_EQ(parse_duration("250ms"), 250);
  EXPECT_EQ(parse_duration("1s"), 1000);
  EXPECT_EQ(parse_duration("10m"), 600'000);
  EXPECT_EQ(parse_duration("24h"), 86'400'000);
  EXPECT_EQ(parse_duration("7d"), 604'800'000);
  EXPECT_EQ(parse_duration("0"), 0);
  for (const char* bad :
       {"", "1", "s", "1.5s", "-1s", "1 s", "1S", "1h30m", "1us", "9223372036854775807h"}) {
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
  }
}

TEST(Size, HasBinaryAndDecimalUnits) {
  EXPECT_EQ(parse_size("1000"), 1000);
  EXPECT_EQ(parse_size("64KiB"), 65'536);
  EXPECT_EQ(parse_size("64MiB"), 67'108'864);
  EXPECT_EQ(parse_size("1GB"), 1'000'000'000);
  for (const char* bad : {"", "MiB", "64M", "64mib", "1.5GB", "-1", "9223372036854775807KiB"}) {
    EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
  }
}

TEST(Time, IsIso8601OrMilliseconds) {
  EXPECT_EQ(parse_time("1970-01-01"), 0);
  EXPECT_EQ(parse_time("2026-01-31T12:00:00Z"), 1'769'860'800'000);
  EXPECT_EQ(parse_time("2026-01-31T12:00:00.5Z"), 1'769'860'800'500);
  EXPECT_EQ(parse_time("2026-01-31T13:00:00.123456+01:00"), 1'769'860'800'123);
  EXPECT_EQ(parse_time("2026-01-31T07:30:00-04:30"), 1'769'860'800'000);
  EXPECT_EQ(parse_time("1769860800000"), 1'769'860'800'000);
  for (const char* bad :
       {"", "now", "2026", "2026-1-31", "2026-02-30", "2026-13-01", "2026-01-31T12:00:00",
        "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+1", "2026-01-31T12:00:00Zx", "99999999999999999999"}) {
    EXPECT_EQ(parse_time(bad), std::nullopt) << bad;
  }
}

TEST(Printable, IsOneLineOfVisibleText) {
  EXPECT_EQ(printable("a\nb\x1b[31m\xc3\xa4\xff"), "a\\nb\\u{1b}[31m\\u{e4}\\u{fffd}");
  EXPECT_EQ(printable(std::string(61, 'x')), std::string(60, 'x') + "...");
}

}  // namespace
}  // namespace drawbridge::config

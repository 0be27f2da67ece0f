#include "bridge/keys/keyring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace drawbridge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kMaterial1 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr std::string_view kLine1 =
    "version 1 enabled 2026-01-02T03:04:05Z 6d51793b84a58213 "
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
constexpr std::string_view kLine2 =
    "version 2 disabled 2026-04-02T03:04:05Z 896df5ec02004cd6 "
    "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=\n";

std::string text_of(Keyring& keyring) {
  auto line = SecretBytes::zeroed(kMaxKeyringLine + 1).value();
  std::string text = format_header_line();
  for (const KeyringKey& key : keyring.keys) {
    text += format_key_line(key);
    for (const KeyVersion& version : key.versions) {
      const std::size_t size = format_version_line(version, line).value();
      text += as_text(line.reveal(SecretAccess{}).first(size));
    }
  }
  return text + format_end_line();
}

TEST(KeyringText, ReadsAndWritesTheSameBytes) {
  const std::string text = fmt::format("drawbridge-keyring 1\nkey orders\n{}{}key a.b_c-9\n{}end\n",
                                       kLine1, kLine2, kLine2);
  auto keyring = parse_keyring(text, "f");
  ASSERT_TRUE(keyring) << keyring.error().message;
  ASSERT_EQ(keyring->keys.size(), 2U);
  EXPECT_EQ(keyring->versions(), 3U);
  KeyringKey* orders = keyring->find("orders");
  ASSERT_NE(orders, nullptr);
  EXPECT_EQ(keyring->find("order"), nullptr);
  KeyVersion* first = orders->find(1);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->state, KeyState::kEnabled);
  EXPECT_EQ(first->created, 1767323045000);
  EXPECT_EQ(orders->newest().number, 2U);
  EXPECT_EQ(orders->newest().state, KeyState::kDisabled);
  EXPECT_EQ(orders->find(3), nullptr);
  const ByteView material = first->material.reveal(SecretAccess{});
  ASSERT_EQ(material.size(), 32U);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(material[i], i);
  EXPECT_EQ(text_of(*keyring), text);
}

TEST(KeyringText, AnEmptyKeyringIsOne) {
  const auto keyring = parse_keyring("drawbridge-keyring 1\nend\n", "f");
  ASSERT_TRUE(keyring) << keyring.error().message;
  EXPECT_TRUE(keyring->keys.empty());
}

TEST(KeyringText, ReadsTheWorkedExampleOfItsGrammar) {
  std::ostringstream document;
  document << std::ifstream(DRAWBRIDGE_SOURCE_DIR "/bridge/keys/KEYRING.md").rdbuf();
  const std::string text = document.str();
  const std::size_t section = text.find("## A worked example");
  ASSERT_NE(section, std::string::npos);
  const std::size_t begin = text.find("```\n", section) + 4;
  const std::string example = text.substr(begin, text.find("```", begin) - begin);
  auto keyring = parse_keyring(example, "KEYRING.md");
  ASSERT_TRUE(keyring) << keyring.error().message;
  EXPECT_EQ(keyring->find("orders")->versions.size(), 2U);
}

TEST(KeyringText, EveryMaterialSurvives) {
  for (int round = 0; round < 200; ++round) {
    Keyring keyring;
    KeyringKey& key = keyring.keys.emplace_back();
    key.name = "k";
    KeyVersion& version = key.versions.emplace_back();
    version.number = 4294967295;
    version.created = 1767323045000;
    version.material = SecretBytes::random(kKekBytes).value();
    version.check = check_of(version.material).value();
    auto again = parse_keyring(text_of(keyring), "f");
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(equal_secret(again->keys[0].versions[0].material.reveal(SecretAccess{}),
                             version.material.reveal(SecretAccess{})));
  }
}

struct Hostile {
  std::string_view what;
  std::string text;
  std::size_t line;
  std::string_view message;
  ErrorCode code = ErrorCode::kInvalid;
};

TEST(KeyringText, RefusesHostileInputNamingFileAndLine) {
  const std::string head = "drawbridge-keyring 1\n";
  const std::string key = head + "key orders\n";
  const std::string line1(kLine1);
  const auto swapped = [&](std::string_view from, std::string_view to) {
    std::string line = line1;
    line.replace(line.find(from), from.size(), to);
    return key + line + "end\n";
  };
  std::string many = key;
  for (std::size_t i = 1; i <= kMaxKeyringVersions + 1; ++i) {
    std::string line = line1;
    line.replace(8, 1, std::to_string(i));
    many += line;
  }
  const std::vector<Hostile> table{
      {"nothing", "", 1, "cut short"},
      {"other magic", "keyring 1\nend\n", 1, "not a keyring"},
      {"no format", "drawbridge-keyring\nend\n", 1, "not a keyring"},
      {"format 0", "drawbridge-keyring 0\nend\n", 1, "not a keyring"},
      {"format 01", "drawbridge-keyring 01\nend\n", 1, "not a keyring"},
      {"format with a tail", "drawbridge-keyring 1 \nend\n", 1, "not a keyring"},
      {"newer", "drawbridge-keyring 2\nend\n", 1, "newer than this program", ErrorCode::kForeign},
      {"carriage return", "drawbridge-keyring 1\r\nend\r\n", 1, "not a keyring"},
      {"byte order mark",
       "\xef\xbb\xbf"
       "drawbridge-keyring 1\nend\n",
       1, "not a keyring"},
      {"no end", key + line1, 4, "cut short"},
      {"end without line feed", key + line1 + "end", 3, "no line feed"},
      {"cut within a line", key + line1.substr(0, 60), 2, "no line feed"},
      {"text after end", head + "end\n\n", 3, "after `end`"},
      {"two files joined", head + "end\n" + head + "end\n", 3, "after `end`"},
      {"blank line", key + "\n" + line1 + "end\n", 3, "expected"},
      {"comment", head + "# mine\nend\n", 2, "expected"},
      {"indented", key + " " + line1 + "end\n", 3, "expected"},
      {"upper case", head + "Key orders\nend\n", 2, "expected"},
      {"NUL", head + std::string("\0end\n", 5), 2, "expected"},
      {"long line", head + "key " + std::string(200, 'a') + "\nend\n", 2, "longer than"},
      {"no name", head + "key \nend\n", 2, "bad key name"},
      {"upper-case name", head + "key Orders\nend\n", 2, "bad key name"},
      {"name with a space", head + "key a b\nend\n", 2, "bad key name"},
      {"name with a colon", head + "key a:1\nend\n", 2, "bad key name"},
      {"name begins with a dot", head + "key .a\nend\n", 2, "bad key name"},
      {"name of 65", head + "key " + std::string(65, 'a') + "\nend\n", 2, "bad key name"},
      {"key without version", key + "end\n", 3, "key `orders` has no version"},
      {"key without version, then a key", key + "key b\n" + line1 + "end\n", 3, "has no version"},
      {"key twice", key + line1 + "key orders\n" + line1 + "end\n", 4, "`orders` is there twice"},
      {"version without key", head + line1 + "end\n", 2, "before any"},
      {"version twice", key + line1 + line1 + "end\n", 4, "must rise"},
      {"versions fall", key + std::string(kLine2) + line1 + "end\n", 4, "must rise"},
      {"version 0", swapped("version 1", "version 0"), 3, "bad version number"},
      {"version 01", swapped("version 1", "version 01"), 3, "bad version number"},
      {"version +1", swapped("version 1", "version +1"), 3, "bad version number"},
      {"version -1", swapped("version 1", "version -1"), 3, "bad version number"},
      {"version 2^32", swapped("version 1", "version 4294967296"), 3, "bad version number"},
      {"version huge", swapped("version 1", "version 99999999999999999999"), 3, "bad version"},
      {"unknown state", swapped("enabled", "Enabled"), 3, "bad state"},
      {"empty state", swapped("enabled", ""), 3, "bad state"},
      {"month 13", swapped("2026-01", "2026-13"), 3, "bad time"},
      {"30 February", swapped("2026-01-02", "2026-02-30"), 3, "bad time"},
      {"hour 24", swapped("T03:", "T24:"), 3, "bad time"},
      {"leap second", swapped(":05Z", ":60Z"), 3, "bad time"},
      {"no zone", swapped(":05Z", ":05"), 3, "bad time"},
      {"signed minute", swapped(":04:", ":-4:"), 3, "bad time"},
      {"wrong check", swapped("6d51", "6d52"), 3, "damaged"},
      {"upper-case check", swapped("6d51793b84a58213", "6D51793B84A58213"), 3, "damaged"},
      {"short check", swapped("6d51793b84a58213", "6d51"), 3, "damaged"},
      {"changed material", swapped("AAEC", "AAED"), 3, "damaged"},
      {"no material", swapped(kMaterial1, ""), 3, "bad material"},
      {"material field missing", swapped(fmt::format(" {}", kMaterial1), ""), 3, "five fields"},
      {"31 bytes", swapped("Hh8=", "Hg=="), 3, "bad material"},
      {"33 bytes", swapped("Hh8=", "Hh8g"), 3, "bad material"},
      {"no padding", swapped("Hh8=", "Hh8"), 3, "bad material"},
      {"stray bits", swapped("Hh8=", "Hh9="), 3, "bad material"},
      {"padding inside", swapped("AAEC", "AA=C"), 3, "bad material"},
      {"URL alphabet", swapped("AAEC", "AA-_"), 3, "bad material"},
      {"high byte",
       swapped("AAEC",
               "AA\xff"
               "C"),
       3, "bad material"},
      {"trailing space", swapped("Hh8=", "Hh8= "), 3, "bad material"},
      {"two spaces", swapped(" enabled", "  enabled"), 3, "bad state"},
      {"tab", swapped(" enabled", "\tenabled"), 3, "five fields"},
      {"too many versions", many + "end\n", kMaxKeyringVersions + 3, "more than 4096"},
  };
  for (const Hostile& hostile : table) {
    const auto parsed = parse_keyring(hostile.text, "dc.keyring");
    ASSERT_FALSE(parsed) << hostile.what;
    EXPECT_EQ(parsed.error().code, hostile.code) << hostile.what;
    EXPECT_THAT(parsed.error().message, StartsWith(fmt::format("dc.keyring:{}: ", hostile.line)))
        << hostile.what;
    EXPECT_THAT(parsed.error().message, HasSubstr(hostile.message)) << hostile.what;
    // Not even a part of the material, wherever it stood.
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("AwQF"))) << hostile.what;
  }
}

TEST(KeyringText, AMisplacedKeyIsNotQuoted) {
  const std::string secret(kMaterial1);
  for (const std::string& line :
       {secret, "key " + secret, "version " + secret, "version 1 " + secret + " a b c",
        "version 1 enabled " + secret + " b c"}) {
    const auto parsed =
        parse_keyring("drawbridge-keyring 1\nkey a\n" + line + "\nend\n", "dc.keyring");
    ASSERT_FALSE(parsed) << line;
    EXPECT_THAT(parsed.error().message, Not(HasSubstr("AwQF"))) << line;
  }
}

TEST(KeyringText, EveryCutIsRefused) {
  const std::string text =
      fmt::format("drawbridge-keyring 1\nkey orders\n{}{}end\n", kLine1, kLine2);
  ASSERT_TRUE(parse_keyring(text, "f"));
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_keyring(text.substr(0, size), "f")) << size;
  }
}

TEST(KeyringText, EveryChangedCharacterOfAVersionIsNoticedOrMeaningful) {
  const std::string text = fmt::format("drawbridge-keyring 1\nkey orders\n{}end\n", kLine1);
  const std::size_t material = text.find(kMaterial1);
  for (std::size_t i = material - 17; i < material + kMaterial1.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(parse_keyring(changed, "f")) << i;
  }
}

TEST(KeyringText, TimesRoundTrip) {
  for (const std::string_view text :
       {"1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "2026-11-23T03:16:00Z"}) {
    const auto time = parse_created(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(format_created(*time), text);
  }
  EXPECT_EQ(format_created(1767323045999), "2026-01-02T03:04:05Z");
  EXPECT_FALSE(parse_created("2026-02-29T00:00:00Z"));
}

TEST(KeyringText, VersionNumbersHaveOneSpelling) {
  EXPECT_EQ(parse_version_number("1"), 1U);
  EXPECT_EQ(parse_version_number("4294967295"), 4294967295U);
  for (const std::string_view text : {"", "0", "01", "+1", "-1", "1 ", " 1", "4294967296", "1a",
                                      "18446744073709551617", "99999999999"}) {
    EXPECT_FALSE(parse_version_number(text)) << text;
  }
}

}  // namespace
}  // namespace drawbridge

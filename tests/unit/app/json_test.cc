#include "bridge/app/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace drawbridge {
namespace {

TEST(JsonText, EscapesWhatJsonMustNotHold) {
  EXPECT_EQ(json_text("plain"), R"("plain")");
  EXPECT_EQ(json_text("a\"b\\c\nd\te"), R"("a\"b\\c\nd\u0009e")");
  EXPECT_EQ(json_text(std::string_view("\0\x7f", 2)), R"("\u0000\u007f")");
  EXPECT_EQ(json_text("größe €"), "\"größe €\"");
  EXPECT_EQ(json_text("\xff\xc3("), R"("\ufffd\ufffd(")");  // not UTF-8
  EXPECT_EQ(json_text(""), R"("")");
}

TEST(JsonWriter, WritesOneLine) {
  JsonWriter json;
  json.object().field("name", "orders").field("partitions", 3).field("internal", false);
  json.key("offsets").array().value(std::int64_t{-1}).null().end();
  json.key("nothing").object().end().end();
  EXPECT_EQ(
      json.take(),
      R"({"name":"orders","partitions":3,"internal":false,"offsets":[-1,null],"nothing":{}})");
}

TEST(JsonWriter, IndentsWhereAsked) {
  JsonWriter json(2);
  json.array().object().field("a", 1).field("b", "x").end().value(2).end();
  EXPECT_EQ(json.take(), "[\n  {\n    \"a\": 1,\n    \"b\": \"x\"\n  },\n  2\n]");
}

TEST(JsonWriter, CanBeUsedAgain) {
  JsonWriter json;
  EXPECT_EQ(json.array().end().take(), "[]");
  EXPECT_EQ(json.value(std::numeric_limits<std::uint64_t>::max()).take(), "18446744073709551615");
}

}  // namespace
}  // namespace drawbridge

#include "bridge/record/headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace drawbridge {
namespace {

// Stands for a client library's headers; counts how often it is asked.
struct Native {
  std::vector<Header> items;
  int decoded = 0;
};

void decode(void* native, std::vector<Header>& out) {
  auto* const source = static_cast<Native*>(native);
  ++source->decoded;
  out.insert(out.end(), source->items.begin(), source->items.end());
}

TEST(HeadersTest, StartEmpty) {
  const Headers headers;
  EXPECT_TRUE(headers.empty());
  EXPECT_TRUE(headers.untouched());
  EXPECT_EQ(headers.find("a"), nullptr);
  EXPECT_EQ(headers.native(), nullptr);
}

TEST(HeadersTest, AreDecodedOnFirstUseAndOnce) {
  Native native{{{"a", as_bytes("1")}}};
  Headers headers;
  headers.reset(&native, decode);
  EXPECT_EQ(native.decoded, 0);
  EXPECT_TRUE(headers.untouched());
  EXPECT_EQ(headers.native(), &native);
  EXPECT_FALSE(headers.empty());
  EXPECT_EQ(headers.count("a"), 1U);
  EXPECT_EQ(headers.all().size(), 1U);
  EXPECT_EQ(native.decoded, 1);
  EXPECT_TRUE(headers.untouched());  // looking is not touching
}

TEST(HeadersTest, OrderDuplicatesNullAndEmptyAreKept) {
  Headers headers;
  headers.append("b", as_bytes("2"));
  headers.append("a", std::nullopt);
  headers.append("b", as_bytes(""));
  headers.append("", as_bytes(std::string_view("\0\xff", 2)));
  ASSERT_EQ(headers.all().size(), 4U);
  EXPECT_EQ(headers.count("b"), 2U);
  EXPECT_EQ(as_text(*headers.find("b")->value), "2");
  EXPECT_FALSE(headers.find("a")->value.has_value());
  EXPECT_TRUE(headers.all()[2].value.has_value());
  EXPECT_TRUE(headers.all()[2].value->empty());
  EXPECT_EQ(headers.find("")->value->size(), 2U);
  EXPECT_EQ(headers.find("c"), nullptr);
}

TEST(HeadersTest, AppendComesAfterWhatWasConsumed) {
  Native native{{{"a", as_bytes("1")}}};
  Headers headers;
  headers.reset(&native, decode);
  headers.append("b", std::nullopt);
  ASSERT_EQ(headers.all().size(), 2U);
  EXPECT_EQ(headers.all()[0].name, "a");
  EXPECT_EQ(headers.all()[1].name, "b");
  EXPECT_FALSE(headers.untouched());
}

TEST(HeadersTest, RemovingWhatIsNotThereTouchesNothing) {
  Native native{{{"a", as_bytes("1")}, {"b", std::nullopt}, {"a", as_bytes("2")}}};
  Headers headers;
  headers.reset(&native, decode);
  EXPECT_EQ(headers.remove_all("c"), 0U);
  EXPECT_TRUE(headers.untouched());
  EXPECT_EQ(headers.remove_all("a"), 2U);
  EXPECT_FALSE(headers.untouched());
  ASSERT_EQ(headers.all().size(), 1U);
  EXPECT_EQ(headers.all()[0].name, "b");
  EXPECT_EQ(headers.remove_all("b"), 1U);
  EXPECT_TRUE(headers.empty());
  EXPECT_FALSE(headers.untouched());
}

TEST(HeadersTest, AValueIsReplacedInItsPlace) {
  Native native{{{"a", as_bytes("1")}, {"b", as_bytes("2")}, {"a", as_bytes("3")}}};
  Headers headers;
  headers.reset(&native, decode);
  headers.set_value(1, std::nullopt);
  EXPECT_FALSE(headers.untouched());
  ASSERT_EQ(headers.all().size(), 3U);
  EXPECT_EQ(headers.all()[1].name, "b");
  EXPECT_FALSE(headers.all()[1].value.has_value());
  EXPECT_EQ(as_text(*headers.all()[2].value), "3");
}

TEST(HeadersTest, RestoreBringsBackWhatCame) {
  Native native{{{"a", as_bytes("1")}, {"b", std::nullopt}}};
  Headers headers;
  headers.reset(&native, decode);
  EXPECT_FALSE(headers.decoded());
  headers.remove_all("a");
  headers.append("c", as_bytes("3"));
  EXPECT_TRUE(headers.decoded());
  headers.restore();
  EXPECT_TRUE(headers.untouched());
  EXPECT_FALSE(headers.decoded());
  ASSERT_EQ(headers.all().size(), 2U);
  EXPECT_EQ(headers.all()[0].name, "a");
  EXPECT_EQ(headers.all()[1].name, "b");
}

TEST(HeadersTest, KeptNativeHeadersMustBeCopied) {
  Native native{{{"a", as_bytes("1")}}};
  Headers headers;
  headers.reset(&native, decode);
  headers.keep_native();
  EXPECT_FALSE(headers.untouched());
  EXPECT_EQ(headers.all().size(), 1U);
}

TEST(HeadersTest, ResetForgetsAllOfTheRecordBefore) {
  Native first{{{"a", as_bytes("1")}}};
  Native second{{{"b", as_bytes("2")}}};
  Headers headers;
  headers.reset(&first, decode);
  headers.append("x", std::nullopt);
  headers.reset(&second, decode);
  EXPECT_TRUE(headers.untouched());
  ASSERT_EQ(headers.all().size(), 1U);
  EXPECT_EQ(headers.all()[0].name, "b");
  headers.reset();
  EXPECT_TRUE(headers.empty());
  EXPECT_EQ(second.decoded, 1);
  EXPECT_EQ(headers.native(), nullptr);
}

}  // namespace
}  // namespace drawbridge

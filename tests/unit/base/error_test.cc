#include "bridge/base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <memory>
#include <set>
#include <string_view>

#include "bridge/base/result.h"

namespace drawbridge {
namespace {

TEST(ErrorTableTest, IsOrderedAsTheEnumeration) {
  const auto rows = all_errors();
  ASSERT_EQ(rows.size(), static_cast<std::size_t>(ErrorCode::kInternal) + 1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(rows[i].code), i) << rows[i].name;
    EXPECT_EQ(&info(rows[i].code), &rows[i]);
  }
}

TEST(ErrorTableTest, NamesAreUniqueAndStableInForm) {
  std::set<std::string_view> names;
  for (const ErrorInfo& row : all_errors()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.name.empty());
    for (const char c : row.name) EXPECT_TRUE(c == '-' || (c >= 'a' && c <= 'z')) << row.name;
    EXPECT_FALSE(row.meaning.empty()) << row.name;
    EXPECT_FALSE(row.remedy.empty()) << row.name;
    EXPECT_FALSE(row.remedy.ends_with('.')) << row.name;
  }
}

TEST(ErrorTableTest, ClassesHaveNames) {
  EXPECT_EQ(name_of(ErrorClass::kRetry), "retry");
  EXPECT_EQ(name_of(ErrorClass::kPause), "pause");
  EXPECT_EQ(name_of(ErrorClass::kRecord), "record");
  EXPECT_EQ(name_of(ErrorClass::kPipeline), "pipeline");
  EXPECT_EQ(name_of(ErrorClass::kStop), "stop");
}

TEST(ErrorTableTest, WhatMustNotLoseRecordsIsNeverTheRecordsFault) {
  // A record goes to the failure policy only for what it is, not for the state of the world.
  for (const ErrorCode code :
       {ErrorCode::kUnavailable, ErrorCode::kFull, ErrorCode::kIo, ErrorCode::kKeyDenied,
        ErrorCode::kKeyUnavailable, ErrorCode::kKeyThrottled, ErrorCode::kKeyDisabled,
        ErrorCode::kClientFatal, ErrorCode::kCancelled, ErrorCode::kInternal}) {
    EXPECT_NE(class_of(code), ErrorClass::kRecord) << name_of(code);
  }
}

Result<std::unique_ptr<int>> half(int value) {
  if (value % 2 != 0) return fail(ErrorCode::kInvalid, "{} is odd", value);
  return std::make_unique<int>(value / 2);
}

Result<int> quarter(int value) {
  DRAWBRIDGE_TRY(half(value));
  DRAWBRIDGE_ASSIGN(const auto once, half(value));
  DRAWBRIDGE_ASSIGN(auto twice, half(*once));
  return *twice;
}

TEST(ResultTest, MacrosPassErrorsOnAndMoveValues) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(3).error().message, "3 is odd");
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_EQ(quarter(6).error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace drawbridge

#include "bridge/kafka/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace drawbridge::kafka {
namespace {

// The library's own list decides what there is: a newer library with a new error fails this test
// until somebody has thought about it.
TEST(Errors, EveryErrorOfTheLibraryHasARow) {
  const rd_kafka_err_desc* descriptions = nullptr;
  std::size_t count = 0;
  rd_kafka_get_err_descs(&descriptions, &count);
  std::set<rd_kafka_resp_err_t> mapped;
  for (const auto& row : all_mappings()) mapped.insert(row.error);
  std::size_t known = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (descriptions[i].desc == nullptr) continue;  // a gap in the numbering
    ++known;
    EXPECT_TRUE(mapped.contains(descriptions[i].code))
        << descriptions[i].code << " " << descriptions[i].name << ": " << descriptions[i].desc;
  }
  EXPECT_GT(known, 150U);
}

TEST(Errors, NoErrorHasTwoRows) {
  std::set<rd_kafka_resp_err_t> seen;
  for (const auto& row : all_mappings())
    EXPECT_TRUE(seen.insert(row.error).second) << rd_kafka_err2name(row.error);
}

TEST(Errors, WhatNobodyKnowsStops) {
  EXPECT_EQ(code_of(static_cast<rd_kafka_resp_err_t>(200)), ErrorCode::kInternal);
  EXPECT_EQ(class_of(code_of(static_cast<rd_kafka_resp_err_t>(200))), ErrorClass::kStop);
}

TEST(Errors, ClassesAreTheOnesPromised) {
  const auto class_for = [](rd_kafka_resp_err_t error) { return class_of(code_of(error)); };
  for (const auto error :
       {RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR__FATAL,
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR__PURGE_QUEUE})
    EXPECT_EQ(class_for(error), ErrorClass::kRetry) << rd_kafka_err2name(error);
  for (const auto error :
       {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, RD_KAFKA_RESP_ERR_INVALID_RECORD})
    EXPECT_EQ(class_for(error), ErrorClass::kRecord) << rd_kafka_err2name(error);
  for (const auto error :
       {RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        // Of the topic, and not of the record: a failure policy that drops must not see it.
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_PRODUCER_FENCED})
    EXPECT_EQ(class_for(error), ErrorClass::kPipeline) << rd_kafka_err2name(error);
  EXPECT_EQ(class_for(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE), ErrorClass::kStop);
}

TEST(Errors, ARefusedCertificateIsToldFromAnUncleanClose) {
  EXPECT_EQ(code_of(RD_KAFKA_RESP_ERR__SSL,
                    "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed"),
            ErrorCode::kAuthentication);
  EXPECT_EQ(
      code_of(RD_KAFKA_RESP_ERR__SSL,
              "SSL handshake failed: error:0A000412:SSL routines::sslv3 alert bad certificate"),
      ErrorCode::kAuthentication);
  EXPECT_EQ(
      code_of(RD_KAFKA_RESP_ERR__SSL, "error:0A000126:SSL routines::unexpected eof while reading"),
      ErrorCode::kUnavailable);
}

TEST(Errors, MessagesSayEachThingOnce) {
  EXPECT_EQ(make_error(RD_KAFKA_RESP_ERR__TIMED_OUT, "asking", "Local: Timed out").message,
            "asking: Local: Timed out");
  EXPECT_EQ(make_error(RD_KAFKA_RESP_ERR__TIMED_OUT, "asking", "3 s").message,
            "asking: Local: Timed out: 3 s");
}

}  // namespace
}  // namespace drawbridge::kafka

#include "bridge/pipeline/dead_letter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/pipeline/options.h"

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::vector<std::pair<std::string, std::string>> headers_of(const Record& record) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Header& header : record.headers.all()) {
    out.emplace_back(header.name, header.value ? std::string(as_text(*header.value)) : "null");
  }
  return out;
}

class DeadLetter : public testing::Test {
 protected:
  DeadLetter() {
    options.name = "orders";
    options.source.name = "dc";
    record.topic = "payments";
    record.partition = Partition{3};
    record.offset = Offset{4711};
  }
  Record record;
  PipelineOptions options;
  Arena arena;
};

TEST_F(DeadLetter, TellsWhereTheRecordCameFromAndWhyItIsHere) {
  append_dead_letter_headers(record, options, "transform 2 (rekey)",
                             Error{ErrorCode::kEnvelopeTampered, "tag does not verify"}, arena);
  EXPECT_THAT(headers_of(record),
              ElementsAre(Pair("drawbridge.dead-letter.cluster", "dc"),
                          Pair("drawbridge.dead-letter.topic", "payments"),
                          Pair("drawbridge.dead-letter.partition", "3"),
                          Pair("drawbridge.dead-letter.offset", "4711"),
                          Pair("drawbridge.dead-letter.pipeline", "orders"),
                          Pair("drawbridge.dead-letter.transform", "transform 2 (rekey)"),
                          Pair("drawbridge.dead-letter.error", "envelope-tampered"),
                          Pair("drawbridge.dead-letter.message", "tag does not verify")));
}

TEST_F(DeadLetter, StandsBehindTheHeadersThatCame) {
  record.headers.append("trace", as_bytes("abc"));
  record.headers.append("trace", std::nullopt);
  // From another bridge's dead letters: kept, and told apart by its place.
  record.headers.append(kDeadLetterTopic, as_bytes("before"));
  append_dead_letter_headers(record, options, "target", Error{ErrorCode::kTooLarge, "too large"},
                             arena);
  const auto headers = headers_of(record);
  ASSERT_EQ(headers.size(), 3U + 8U);
  EXPECT_THAT(headers[0], Pair("trace", "abc"));
  EXPECT_THAT(headers[1], Pair("trace", "null"));
  EXPECT_THAT(headers[2], Pair("drawbridge.dead-letter.topic", "before"));
  EXPECT_THAT(headers[4], Pair("drawbridge.dead-letter.topic", "payments"));
}

TEST_F(DeadLetter, OwnsItsTexts) {
  {
    const std::string gone = "transform 1 (a name that is gone when the record is sent)";
    const Error error{ErrorCode::kTransform, "a message that is gone when the record is sent"};
    append_dead_letter_headers(record, options, gone, error, arena);
  }
  const auto headers = headers_of(record);
  EXPECT_EQ(headers[5].second, "transform 1 (a name that is gone when the record is sent)");
  EXPECT_EQ(headers[7].second, "a message that is gone when the record is sent");
}

TEST_F(DeadLetter, EveryHeaderBearsThePrefix) {
  append_dead_letter_headers(record, options, "target", Error{ErrorCode::kTooLarge, ""}, arena);
  for (const Header& header : record.headers.all()) {
    EXPECT_TRUE(header.name.starts_with(kDeadLetterPrefix)) << header.name;
  }
}

}  // namespace
}  // namespace drawbridge

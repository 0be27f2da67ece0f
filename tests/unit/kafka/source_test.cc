#include <thread>

#include "tests/unit/kafka/cluster.h"

namespace drawbridge::kafka {
namespace {

using testing::ElementsAre;
using testing::Pair;

class SourceTest : public ClusterTest {
 protected:
  Waker waker_;
};

TEST_F(SourceTest, TellsNullFromEmptyAndKeepsHeadersAndTimestamps) {
  const std::string topic = make_topic(1);
  const std::string binary("\0\xff\n", 3);
  std::vector<Record> records(5);
  records[0].key = as_bytes("");
  records[0].timestamp_ms = 1;
  records[1].value = as_bytes("");
  records[1].timestamp_ms = 1'700'000'000'123;
  records[2].key = as_bytes(binary);
  records[2].value = as_bytes(binary);
  records[2].timestamp_ms = 1'600'000'000'000;  // times need not rise
  records[3].value = as_bytes("headers");
  records[3].timestamp_ms = 5;
  records[3].headers.append("b", as_bytes("1"));
  records[3].headers.append("a", std::nullopt);
  records[3].headers.append("b", as_bytes(""));
  records[3].headers.append("", as_bytes(binary));
  records[3].headers.append("b", as_bytes("1"));
  records[4].timestamp_ms = 6;
  produce(topic, records);

  auto source = make_source({&waker_});
  must(source->assign({0, 7, {topic, Partition{0}}, Offset{0}}));
  const Read read = read_until(source->feed(0), waker_, ended);
  ASSERT_EQ(read.records.size(), 5U);
  const auto& got = read.records;
  EXPECT_EQ(got[0].key, "");
  EXPECT_EQ(got[0].value, std::nullopt);
  EXPECT_EQ(got[0].timestamp_ms, 1);
  EXPECT_EQ(got[0].timestamp_type, TimestampType::kCreateTime);
  EXPECT_EQ(got[1].key, std::nullopt);
  EXPECT_EQ(got[1].value, "");
  EXPECT_EQ(got[1].timestamp_ms, 1'700'000'000'123);
  EXPECT_EQ(got[2].key, binary);
  EXPECT_EQ(got[2].value, binary);
  EXPECT_EQ(got[2].timestamp_ms, 1'600'000'000'000);
  EXPECT_THAT(got[3].headers, ElementsAre(Pair("b", "1"), Pair("a", std::nullopt), Pair("b", ""),
                                          Pair("", binary), Pair("b", "1")));
  EXPECT_THAT(got[4].headers, testing::IsEmpty());
  EXPECT_EQ(got[4].key, std::nullopt);
  EXPECT_EQ(got[4].value, std::nullopt);
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].slot, 7U);
    EXPECT_EQ(got[i].offset, static_cast<std::int64_t>(i));
  }
}

TEST_F(SourceTest, SaysWhenAPartitionHasEnded) {
  const std::string topic = make_topic(2);
  produce_numbers(topic, 10);
  auto source = make_source({&waker_});
  must(source->assign({0, 1, {topic, Partition{0}}, Offset{4}}));
  Read read = read_until(source->feed(0), waker_, ended);
  EXPECT_EQ(read.records.size(), 6U);
  EXPECT_EQ(read.events.back().slot, 1U);
  EXPECT_EQ(read.events.back().offset, Offset{10});
  // And again after more has come.
  produce_numbers(topic, 1, 10);
  read = read_until(source->feed(0), waker_, ended);
  ASSERT_EQ(read.records.size(), 1U);
  EXPECT_EQ(read.records[0].value, "10");
  EXPECT_EQ(read.events.back().offset, Offset{11});
  // An empty partition ends at once.
  must(source->assign({0, 2, {topic, Partition{1}}, Offset{0}}));
  read = read_until(source->feed(0), waker_, ended);
  EXPECT_EQ(read.events.back().slot, 2U);
  EXPECT_EQ(read.events.back().offset, Offset{0});
}

// A rewind lets nothing through from before it, however much was fetched ahead, and loses nothing.
TEST_F(SourceTest, RewindsToExactlyTheOffsetAskedFor) {
  constexpr int kCount = 20'000;
  const std::string topic = make_topic(1);
  produce_numbers(topic, kCount);
  auto source = make_source({&waker_});
  const TopicPartition at{topic, Partition{0}};
  must(source->assign({0, 3, at, Offset{0}}));
  Batch batch;
  unsigned random = 12345;
  for (int round = 0; round < 200; ++round) {
    // Let some arrive, take a few of them, or none.
    for (unsigned i = 0; i < random % 4; ++i) {
      waker_.wait(5ms);
      source->feed(0).poll(batch, random % 300 + 1);
      batch.clear();
    }
    random = random * 1664525U + 1013904223U;
    const auto to = static_cast<std::int64_t>((random >> 8) % (kCount - 1000));
    must(source->assign({0, 3, at, Offset{to}}));
    const Read read = read_until(source->feed(0), waker_,
                                 [](const Read& so_far) { return so_far.records.size() >= 500; });
    for (std::size_t i = 0; i < read.records.size(); ++i) {
      ASSERT_EQ(read.records[i].offset, to + static_cast<std::int64_t>(i)) << "round " << round;
      ASSERT_EQ(read.records[i].value, std::to_string(read.records[i].offset));
    }
  }
}

TEST_F(SourceTest, RewindsOnePartitionWithoutDisturbingAnother) {
  constexpr int kCount = 30'000;
  const std::string topic = make_topic(2);
  produce_numbers(topic, kCount, 0, 0);
  produce_numbers(topic, kCount, 0, 1);
  auto source = make_source({&waker_});
  must(source->assign({0, 0, {topic, Partition{0}}, Offset{0}}));
  must(source->assign({0, 1, {topic, Partition{1}}, Offset{0}}));
  std::int64_t next[2] = {0, 0};
  Batch batch;
  int rewinds = 0;
  const Instant deadline = now() + 60s;
  while ((next[0] < kCount || next[1] < kCount) && now() < deadline) {
    source->feed(0).poll(batch, 100);
    for (std::size_t i = 0; i < batch.size; ++i) {
      const Record& record = batch.records[i];
      ASSERT_EQ(record.offset.value, next[record.slot]) << "slot " << record.slot;
      ++next[record.slot];
    }
    const bool idle = batch.size == 0;
    batch.clear();
    if (next[0] > 1000 * (rewinds + 1) && rewinds < 20) {
      ++rewinds;
      next[0] -= 500;
      must(source->assign({0, 0, {topic, Partition{0}}, Offset{next[0]}}));
    } else if (idle) {
      waker_.wait(100ms);
    }
  }
  EXPECT_EQ(next[0], kCount);
  EXPECT_EQ(next[1], kCount);
}

TEST_F(SourceTest, KeepsAPartitionOnItsShard) {
  const std::string topic = make_topic(4);
  for (int p = 0; p < 4; ++p) produce_numbers(topic, 100, 0, p);
  Waker other;
  auto source = make_source({&waker_, &other});
  for (std::uint32_t p = 0; p < 4; ++p)
    must(source->assign({p % 2, p, {topic, Partition{static_cast<std::int32_t>(p)}}, Offset{0}}));
  const auto both_ended = [](const Read& read) {
    return read.records.size() >= 200 && read.events.size() >= 2;
  };
  for (const auto& record : read_until(source->feed(0), waker_, both_ended).records)
    EXPECT_EQ(record.partition % 2, 0);
  for (const auto& record : read_until(source->feed(1), other, both_ended).records)
    EXPECT_EQ(record.partition % 2, 1);
}

TEST_F(SourceTest, UnassignedPartitionsStaySilent) {
  const std::string topic = make_topic(1);
  produce_numbers(topic, 1000);
  auto source = make_source({&waker_});
  must(source->assign({0, 0, {topic, Partition{0}}, Offset{0}}));
  read_until(source->feed(0), waker_, [](const Read& read) { return !read.records.empty(); });
  must(source->unassign(0));
  Batch batch;
  for (int i = 0; i < 20; ++i) {
    waker_.wait(10ms);
    source->feed(0).poll(batch, 500);
    EXPECT_EQ(batch.size, 0U);
    EXPECT_TRUE(batch.events.empty());
    batch.clear();
  }
  must(source->unassign(0));  // again: nothing to do
}

TEST_F(SourceTest, SaysThatAPositionIsNotInTheLog) {
  const std::string topic = make_topic(1);
  produce_numbers(topic, 10);
  auto source = make_source({&waker_});
  must(source->assign({0, 0, {topic, Partition{0}}, Offset{5000}}));
  const Read read = read_until(source->feed(0), waker_,
                               [](const Read& so_far) { return !so_far.events.empty(); });
  EXPECT_TRUE(read.records.empty());
  ASSERT_FALSE(read.events.empty());
  EXPECT_EQ(read.events[0].kind, FeedEvent::Kind::kOutOfRange);
  EXPECT_EQ(read.events[0].offset, Offset{5000});
  EXPECT_EQ(read.events[0].error.code, ErrorCode::kGap);
  // It can be assigned where the log is.
  must(source->assign({0, 0, {topic, Partition{0}}, Offset{8}}));
  EXPECT_EQ(read_until(source->feed(0), waker_, ended).records.size(), 2U);
}

TEST_F(SourceTest, SaysThatAPartitionDoesNotExist) {
  const std::string topic = make_topic(1);
  auto source = make_source({&waker_});
  must(source->assign({0, 9, {topic, Partition{6}}, Offset{0}}));
  const Read read = read_until(
      source->feed(0), waker_, [](const Read& so_far) { return !so_far.events.empty(); }, 40s);
  ASSERT_FALSE(read.events.empty());
  EXPECT_EQ(read.events[0].kind, FeedEvent::Kind::kUnknownTopic);
  EXPECT_EQ(read.events[0].slot, 9U);
}

TEST_F(SourceTest, CommitsToItsGroupWithoutJoiningIt) {
  const std::string topic = make_topic(2);
  produce_numbers(topic, 10);
  auto source = make_source({&waker_});
  const TopicPartition p0{topic, Partition{0}};
  const TopicPartition p1{topic, Partition{1}};
  const std::vector<TopicPartition> both{p0, p1};
  EXPECT_THAT(must(source->committed(both, 20s)), ElementsAre(std::nullopt, std::nullopt));
  source->commit({{p0, GroupOffset{Offset{4}}}});
  EXPECT_EQ(source->commits_pending(), 1U);
  std::vector<SourceEvent> events;
  for (const Instant deadline = now() + 20s; events.empty() && now() < deadline;)
    source->poll(events, 100ms);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].kind, SourceEvent::Kind::kCommitted);
  EXPECT_FALSE(events[0].error) << events[0].error->message;
  EXPECT_THAT(events[0].offsets, ElementsAre(Pair(p0, Offset{4})));
  EXPECT_EQ(source->commits_pending(), 0U);
  EXPECT_THAT(must(source->committed(both, 20s)),
              ElementsAre(GroupOffset{Offset{4}}, std::nullopt));
}

TEST_F(SourceTest, MarksWhatItCommitsAndKnowsItsOwnMark) {
  const std::string topic = make_topic(2);
  const TopicPartition p0{topic, Partition{0}};
  const TopicPartition p1{topic, Partition{1}};
  const std::vector<TopicPartition> both{p0, p1};
  const auto make_marked = [&](const std::string& mark) {
    auto source = make_source({&waker_}, {}, "marked");
    source->mark_commits(mark);
    return source;
  };
  const auto commit = [](Source& source, std::vector<std::pair<TopicPartition, GroupOffset>> what) {
    source.commit(std::move(what));
    std::vector<SourceEvent> events;
    for (const Instant deadline = now() + 20s; events.empty() && now() < deadline;)
      source.poll(events, 100ms);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_FALSE(events[0].error) << events[0].error->message;
  };
  constexpr WallMillis kLine = 1'700'000'000'123;
  const GroupOffset marked{Offset{4}, kLine};
  const GroupOffset unmarked{Offset{5}};
  auto source = make_marked("d/p to c");
  commit(*source, {{p0, marked}, {p1, unmarked}});
  EXPECT_THAT(must(source->committed(both, 20s)), ElementsAre(marked, unmarked));
  EXPECT_THAT(must(make_marked("d/p to c")->committed(both, 20s)), ElementsAre(marked, unmarked));
  // Who does not say whose it is is told all the same.
  EXPECT_THAT(must(make_source({&waker_}, {}, "marked")->committed(both, 20s)),
              ElementsAre(marked, unmarked));
  const auto other = make_marked("d/p to another")->committed(both, 20s);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kForeign);
  EXPECT_NE(other.error().message.find(
                "(\"drawbridge d/p to c\", and this is \"drawbridge d/p to another\")"),
            std::string::npos)
      << other.error().message;
}

TEST_F(SourceTest, TellsTopicsWatermarksAndOffsetsByTime) {
  const std::string topic = make_topic(3);
  produce_numbers(topic, 10);
  auto source = make_source({&waker_});
  EXPECT_NE(must(source->cluster_id(20s)), "");
  EXPECT_EQ(must(source->cluster_id(20s)), must(target_->cluster_id(20s)));
  bool found = false;
  for (const auto& info : must(source->topics(20s))) {
    if (info.name != topic) continue;
    found = true;
    EXPECT_EQ(info.partitions(), 3);
    EXPECT_FALSE(info.internal);
    EXPECT_THAT(info.leaders, testing::Each(testing::Ge(0)));
  }
  EXPECT_TRUE(found);
  const Watermarks marks = must(source->watermarks({topic, Partition{0}}, 20s));
  EXPECT_EQ(marks.low, Offset{0});
  EXPECT_EQ(marks.high, Offset{10});
  EXPECT_EQ(source->cached_watermarks({topic, Partition{0}}), std::nullopt);
  must(source->assign({0, 0, {topic, Partition{0}}, Offset{0}}));
  read_until(source->feed(0), waker_, ended);
  ASSERT_TRUE(source->cached_watermarks({topic, Partition{0}}));
  EXPECT_EQ(source->cached_watermarks({topic, Partition{0}})->high, Offset{10});

  const std::vector<TopicPartition> at{{topic, Partition{1}}, {topic, Partition{0}}};
  const auto offsets = must(source->offsets_at(at, 1'700'000'000'004, 20s));
  EXPECT_EQ(offsets[0], Offset{0});
  // The mock always answers with the end.
  EXPECT_EQ(offsets[1], Offset{real() ? 4 : 10});
}

TEST_F(SourceTest, WakesItsShardWhenRecordsArrive) {
  const std::string topic = make_topic(1);
  auto source = make_source({&waker_});
  must(source->assign({0, 0, {topic, Partition{0}}, Offset{0}}));
  read_until(source->feed(0), waker_, ended);
  Batch batch;
  std::thread producer([&] { produce_numbers(topic, 1); });
  const Instant begin = now();
  while (batch.size == 0 && now() - begin < 20s) {
    source->feed(0).poll(batch, 500);
    if (batch.size == 0) waker_.wait(10s);  // a lost wake-up shows as a wait of 10 s
  }
  producer.join();
  EXPECT_EQ(batch.size, 1U);
  EXPECT_LT(now() - begin, Duration(8s));
}

TEST(SourceWithoutABroker, ReportsAndEndsInBoundedTime) {
  auto connector = make_connector();
  PipelineOptions options;
  options.name = "test";
  options.group = "group";
  options.source = {"away", {{"bootstrap.servers", "127.0.0.1:1"}}};
  Waker waker;
  std::vector<Waker*> wakers{&waker};
  auto source = must(connector->source(options, wakers));
  must(source->assign({0, 0, {"topic", Partition{0}}, Offset{0}}));
  std::vector<SourceEvent> events;
  for (const Instant deadline = now() + 10s; events.empty() && now() < deadline;)
    source->poll(events, 100ms);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0].kind, SourceEvent::Kind::kError);
  ASSERT_TRUE(events[0].error);
  EXPECT_EQ(events[0].error->code, ErrorCode::kUnavailable);
  EXPECT_FALSE(source->topics(200ms));
  const Instant begin = now();
  source.reset();
  EXPECT_LT(now() - begin, Duration(6s));
}

}  // namespace
}  // namespace drawbridge::kafka

#include <array>
#include <set>

#include "bridge/kafka/message.h"
#include "tests/unit/kafka/cluster.h"

namespace drawbridge::kafka {
namespace {

using testing::ElementsAre;
using testing::Pair;

class SinkTest : public ClusterTest {
 protected:
  // Everything in a topic's partition 0, with the batch that holds it.
  void read_all(const std::string& topic, Batch& batch, std::size_t count) {
    source_ = make_source({&source_waker_});
    must(source_->assign({0, 0, {topic, Partition{0}}, Offset{0}}));
    for (const Instant deadline = now() + 20s; batch.size < count && now() < deadline;) {
      source_->feed(0).poll(batch, count - batch.size);
      if (batch.size < count) source_waker_.wait(100ms);
    }
    ASSERT_EQ(batch.size, count);
  }

  std::vector<Kept> read_back(const std::string& topic) {
    Waker waker;
    auto source = make_source({&waker});
    must(source->assign({0, 0, {topic, Partition{0}}, Offset{0}}));
    return read_until(source->feed(0), waker, ended).records;
  }

  static void aim(Batch& batch, const std::string& topic) {
    for (std::size_t i = 0; i < batch.size; ++i) {
      batch.records[i].target_topic = topic;
      batch.records[i].target_partition = Partition{0};
    }
  }

  Waker source_waker_;
  std::unique_ptr<Source> source_;  // outlives the batches that its records are in
  Waker waker_;
};

// A few records with what is easily lost.
std::vector<Record> awkward() {
  static const std::string binary("\0\xff\n", 3);
  std::vector<Record> records(4);
  records[0].key = as_bytes("");
  records[0].timestamp_ms = 1;
  records[1].value = as_bytes("");
  records[1].timestamp_ms = 1'700'000'000'123;
  records[2].key = as_bytes(binary);
  records[2].value = as_bytes(binary);
  records[2].timestamp_ms = 1'600'000'000'000;
  records[3].value = as_bytes("headers");
  records[3].timestamp_ms = 5;
  records[3].headers.append("b", as_bytes("1"));
  records[3].headers.append("a", std::nullopt);
  records[3].headers.append("b", as_bytes(""));
  records[3].headers.append("", as_bytes(binary));
  records[3].headers.append("b", as_bytes("1"));
  return records;
}

TEST_F(SinkTest, PassesConsumedRecordsOnAsTheyCame) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  auto records = awkward();
  produce(from, records);
  Batch batch;
  read_all(from, batch, records.size());
  aim(batch, to);
  auto sink = make_sink(waker_);
  for (std::size_t i = 0; i < batch.size; ++i)
    ASSERT_EQ(must(sink->send(batch.records[i], 100 + i)), SendStatus::kAccepted);
  std::vector<Delivery> deliveries;
  wait_deliveries(*sink, waker_, deliveries, batch.size);
  for (std::size_t i = 0; i < deliveries.size(); ++i) {
    EXPECT_TRUE(deliveries[i].delivered) << deliveries[i].error.message;
    EXPECT_EQ(deliveries[i].cookie, 100 + i);
    EXPECT_EQ(deliveries[i].partition, 0);
    EXPECT_EQ(deliveries[i].offset, static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(read_back(to), read_back(from));
}

// Headers that somebody has looked at are views into the message's own list, and must stay good
// after the sink is done; headers that nobody has looked at can be read, and sent, again.
TEST_F(SinkTest, LeavesARecordsHeadersUsableAfterItsDelivery) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  auto records = awkward();
  produce(from, records);
  for (const bool looked_at : {false, true}) {
    Batch batch;
    read_all(from, batch, records.size());
    aim(batch, to);
    Record& record = batch.records[3];
    const Kept before = looked_at ? keep(record) : Kept{};
    auto sink = make_sink(waker_);
    for (std::uint64_t time = 0; time < 2; ++time) {
      ASSERT_EQ(must(sink->send(record, time)), SendStatus::kAccepted);
      std::vector<Delivery> deliveries;
      wait_deliveries(*sink, waker_, deliveries, 1);
      ASSERT_TRUE(deliveries[0].delivered);
    }
    EXPECT_EQ(record.headers.all().size(), 5U);
    if (looked_at) {
      EXPECT_EQ(keep(record), before);
    }
    record.headers.restore();
    EXPECT_EQ(record.headers.all().size(), 5U);
  }
  const auto copies = read_back(to);
  ASSERT_EQ(copies.size(), 4U);
  for (const auto& copy : copies) EXPECT_EQ(copy.headers, copies[0].headers);
  EXPECT_EQ(copies[0].headers.size(), 5U);
}

TEST_F(SinkTest, SendsChangedHeadersInTheirOrder) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  auto records = awkward();
  produce(from, records);
  Batch batch;
  read_all(from, batch, records.size());
  aim(batch, to);
  Record& record = batch.records[3];
  record.headers.remove_all("a");
  record.headers.append("new", as_bytes("n"));
  record.headers.append("null", std::nullopt);
  auto sink = make_sink(waker_);
  ASSERT_EQ(must(sink->send(record, 0)), SendStatus::kAccepted);
  std::vector<Delivery> deliveries;
  wait_deliveries(*sink, waker_, deliveries, 1);
  const auto copies = read_back(to);
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_THAT(copies[0].headers,
              ElementsAre(Pair("b", "1"), Pair("b", ""), Pair("", std::string("\0\xff\n", 3)),
                          Pair("b", "1"), Pair("new", "n"), Pair("null", std::nullopt)));
}

// The way of a re-keyed record: the library's own list is edited where that keeps all the rest.
TEST_F(SinkTest, SendsAnotherValueInAHeadersPlace) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  auto records = awkward();
  records.resize(5);
  records[2].headers.append("only", as_bytes("old"));
  records[4].value = as_bytes("last is the only one of its name");
  records[4].timestamp_ms = 6;
  records[4].headers.append("a", std::nullopt);
  records[4].headers.append("a", as_bytes(""));
  records[4].headers.append("z", as_bytes("old"));
  produce(from, records);
  const std::vector<std::pair<std::size_t, std::size_t>> changes{
      {2, 0}, {3, 4}, {3, 1}, {4, 2}, {4, 0}};
  std::vector<std::vector<std::pair<std::string, std::optional<std::string>>>> expected;
  auto sink = make_sink(waker_);
  std::vector<Delivery> deliveries;
  for (const auto& value : {std::optional<std::string>("another value"), {""}, {}}) {
    for (const auto& [index, at] : changes) {
      Batch batch;
      read_all(from, batch, records.size());
      aim(batch, to);
      Record& record = batch.records[index];
      auto headers = keep(record).headers;
      headers[at].second = value;
      expected.push_back(headers);
      std::optional<ByteView> bytes;
      if (value) bytes = as_bytes(*value);
      record.headers.set_value(at, bytes);
      ASSERT_EQ(must(sink->send(record, 0)), SendStatus::kAccepted);
      wait_deliveries(*sink, waker_, deliveries, expected.size());
      // As a dead letter needs them: as they came.
      record.headers.restore();
      headers[at].second = keep(record).headers[at].second;
      EXPECT_EQ(keep(record).headers, headers);
    }
  }
  const auto copies = read_back(to);
  ASSERT_EQ(copies.size(), expected.size());
  for (std::size_t i = 0; i < copies.size(); ++i) EXPECT_EQ(copies[i].headers, expected[i]) << i;
}

// A value that views the very header that it is to replace.
TEST_F(SinkTest, SendsAPartOfAHeadersOwnValue) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  std::vector<Record> records(1);
  records[0].timestamp_ms = 1;
  records[0].headers.append("h", as_bytes("prefix-rest"));
  produce(from, records);
  Batch batch;
  read_all(from, batch, 1);
  aim(batch, to);
  Headers& headers = batch.records[0].headers;
  headers.set_value(0, headers.all()[0].value->subspan(7));
  auto sink = make_sink(waker_);
  ASSERT_EQ(must(sink->send(batch.records[0], 0)), SendStatus::kAccepted);
  std::vector<Delivery> deliveries;
  wait_deliveries(*sink, waker_, deliveries, 1);
  EXPECT_THAT(read_back(to)[0].headers, ElementsAre(Pair("h", "rest")));
}

// Far more than a request takes: what waits in the lanes follows in order, partition by partition.
TEST_F(SinkTest, KeepsOrderOverManyRequestsOfAPartition) {
  const std::string to = make_topic(2);
  auto sink = make_sink(waker_, {}, {{"batch.size", "400"}, {"linger.ms", "1"}});
  constexpr std::size_t kCount = 600;
  std::deque<std::string> values;
  std::vector<Record> records(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    values.push_back(std::to_string(i));
    records[i].value = as_bytes(values.back());
    records[i].timestamp_ms = 1;
    records[i].target_topic = to;
    records[i].target_partition = Partition{i % 3 == 0 ? 0 : 1};
    ASSERT_EQ(must(sink->send(records[i], i)), SendStatus::kAccepted);
  }
  std::vector<Delivery> deliveries;
  wait_deliveries(*sink, waker_, deliveries, kCount);
  std::array<std::vector<std::uint64_t>, 2> order;
  for (const Delivery& delivery : deliveries) {
    ASSERT_TRUE(delivery.delivered) << delivery.error.message;
    auto& cookies = order.at(static_cast<std::size_t>(delivery.partition));
    EXPECT_EQ(static_cast<std::size_t>(delivery.offset), cookies.size());
    if (!cookies.empty()) {
      EXPECT_LT(cookies.back(), delivery.cookie);
    }
    cookies.push_back(delivery.cookie);
  }
  EXPECT_EQ(order[0].size(), kCount / 3);
}

// What does not fit into the library's queue waits in the sink, in order and with its headers.
TEST_F(SinkTest, KeepsOrderAndHeadersWhenTheQueueIsFull) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  std::vector<Record> records(20);
  for (auto& record : records) {
    record.value = as_bytes("v");
    record.timestamp_ms = 1;
    record.headers.append("h", as_bytes("x"));
  }
  produce(from, records);
  for (const bool looked_at : {false, true}) {
    Batch batch;
    read_all(from, batch, records.size());
    aim(batch, to);
    for (std::size_t i = 0; looked_at && i < batch.size; ++i)
      EXPECT_EQ(batch.records[i].headers.count("h"), 1U);
    auto sink = make_sink(waker_, {}, {{"queue.buffering.max.messages", "3"}});
    for (std::size_t i = 0; i < batch.size; ++i)
      ASSERT_EQ(must(sink->send(batch.records[i], i)), SendStatus::kAccepted);
    std::vector<Delivery> deliveries;
    wait_deliveries(*sink, waker_, deliveries, batch.size);
    for (std::size_t i = 0; i < deliveries.size(); ++i) {
      EXPECT_TRUE(deliveries[i].delivered);
      EXPECT_EQ(deliveries[i].cookie, i);
    }
  }
  const auto copies = read_back(to);
  ASSERT_EQ(copies.size(), 40U);
  for (const auto& copy : copies) EXPECT_THAT(copy.headers, ElementsAre(Pair("h", "x")));
}

TEST_F(SinkTest, PurgeTakesBackWhatWasNotSent) {
  const std::string to = make_topic(1);
  std::vector<Record> records(100);
  auto sink = make_sink(waker_, {}, {{"linger.ms", "60000"}});
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].value = as_bytes("v");
    records[i].timestamp_ms = 1;
    records[i].target_topic = to;
    records[i].target_partition = Partition{0};
    ASSERT_EQ(must(sink->send(records[i], i)), SendStatus::kAccepted);
  }
  sink->purge();
  std::vector<Delivery> deliveries;
  wait_deliveries(*sink, waker_, deliveries, records.size());
  std::set<std::uint64_t> cookies;
  for (const auto& delivery : deliveries) {
    cookies.insert(delivery.cookie);
    EXPECT_FALSE(delivery.delivered);
    EXPECT_EQ(delivery.error.code, ErrorCode::kCancelled);
  }
  EXPECT_EQ(cookies.size(), records.size());
}

// The idempotent producer numbers records as it takes them: a purge leaves a hole.
TEST_F(SinkTest, GoesOnInOrderAfterAPurgeOrSaysThatItCannot) {
  const std::string to = make_topic(1);
  auto sink = make_sink(waker_, {}, {{"linger.ms", "50"}});
  std::deque<std::string> values;
  std::deque<Record> records;
  std::vector<std::string> expected;
  std::vector<Delivery> deliveries;
  std::size_t sent = 0;
  const auto send = [&](int count) {
    for (int i = 0; i < count; ++i) {
      values.push_back(std::to_string(sent));
      Record& record = records.emplace_back();
      record.value = as_bytes(values.back());
      record.timestamp_ms = 1;
      record.target_topic = to;
      record.target_partition = Partition{0};
      ASSERT_EQ(must(sink->send(record, sent)), SendStatus::kAccepted);
      ++sent;
    }
  };
  send(10);
  wait_deliveries(*sink, waker_, deliveries, sent);
  send(10);
  sink->purge();
  wait_deliveries(*sink, waker_, deliveries, sent);
  send(10);
  const Instant deadline = now() + 20s;
  while (deliveries.size() < sent && !sink->fatal() && now() < deadline) {
    waker_.wait(100ms);
    sink->poll(deliveries);
  }
  ASSERT_FALSE(sink->fatal()) << sink->fatal()->message;
  ASSERT_EQ(deliveries.size(), sent);
  for (const auto& delivery : deliveries)
    if (delivery.delivered) expected.push_back(values[delivery.cookie]);
  EXPECT_EQ(expected.size(), 20U) << "nothing was purged";
  std::vector<std::string> got;
  for (const auto& copy : read_back(to)) got.push_back(*copy.value);
  EXPECT_EQ(got, expected);
}

TEST_F(SinkTest, DoesNotSendATimestampOfZeroUnlessToldToAdapt) {
  const std::string to = make_topic(1);
  std::vector<Record> records(2);
  for (auto& record : records) {
    record.value = as_bytes("v");
    record.target_topic = to;
    record.target_partition = Partition{0};
  }
  records[0].timestamp_ms = 0;
  records[1].timestamp_ms = 1;
  auto strict = make_sink(waker_);
  const auto refused = strict->send(records[0], 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsendable);
  EXPECT_EQ(strict->adapted(), 0U);
  auto adapting = make_sink(waker_, {.unsendable = Unsendable::kAdapt});
  for (auto& record : records) ASSERT_EQ(must(adapting->send(record, 0)), SendStatus::kAccepted);
  std::vector<Delivery> deliveries;
  wait_deliveries(*adapting, waker_, deliveries, 2);
  EXPECT_EQ(adapting->adapted(), 1U);
  const auto copies = read_back(to);
  ASSERT_EQ(copies.size(), 2U);
  EXPECT_EQ(copies[0].timestamp_ms, 1);
  EXPECT_EQ(copies[1].timestamp_ms, 1);
}

// The library cuts what it shows of a name at a NUL, but keeps what it was given.
TEST_F(SinkTest, PassesOnHeaderNamesWithANulButDoesNotRebuildThem) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  const std::string name("a\0b", 3);
  std::vector<Record> records(1);
  records[0].value = as_bytes("v");
  records[0].timestamp_ms = 1;
  records[0].headers.append("a", as_bytes("1"));
  records[0].headers.append(name, std::nullopt);
  produce(from, records);
  Batch batch;
  read_all(from, batch, 1);
  aim(batch, to);
  Record& record = batch.records[0];
  const auto whole = [](const Record& of) {
    rd_kafka_headers_t* headers = nullptr;
    rd_kafka_message_headers(static_cast<rd_kafka_message_t*>(of.native), &headers);
    return headers != nullptr && names_are_whole(*headers);
  };
  EXPECT_FALSE(whole(record));
  EXPECT_THAT(keep(record).headers, ElementsAre(Pair("a", "1"), Pair("a", std::nullopt)));

  auto strict = make_sink(waker_);
  std::vector<Delivery> deliveries;
  ASSERT_EQ(must(strict->send(record, 0)), SendStatus::kAccepted);
  wait_deliveries(*strict, waker_, deliveries, 1);
  {
    Batch copy;
    auto first_source = std::move(source_);
    read_all(to, copy, 1);
    EXPECT_FALSE(whole(copy.records[0])) << "the name was cut on its way";
    copy.clear();
    source_ = std::move(first_source);
  }
  record.headers.append("more", as_bytes("x"));
  const auto refused = strict->send(record, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsendable);
  auto adapting = make_sink(waker_, {.unsendable = Unsendable::kAdapt});
  deliveries.clear();
  ASSERT_EQ(must(adapting->send(record, 0)), SendStatus::kAccepted);
  wait_deliveries(*adapting, waker_, deliveries, 1);
  EXPECT_EQ(adapting->adapted(), 1U);
  EXPECT_THAT(read_back(to).back().headers,
              ElementsAre(Pair("a", "1"), Pair("a", std::nullopt), Pair("more", "x")));
}

// A dead letter has the headers that came, and its own behind them.
TEST_F(SinkTest, AppendsToKeptHeadersWithANul) {
  const std::string from = make_topic(1);
  const std::string to = make_topic(1);
  std::vector<Record> records(1);
  records[0].timestamp_ms = 1;
  records[0].headers.append(std::string_view("a\0b", 3), std::nullopt);
  records[0].headers.append("c", as_bytes(""));
  produce(from, records);
  Batch batch;
  read_all(from, batch, 1);
  aim(batch, to);
  Record& record = batch.records[0];
  record.headers.restore();
  record.headers.keep_native();
  record.headers.append("more", as_bytes("x"));
  auto sink = make_sink(waker_);
  std::vector<Delivery> deliveries;
  ASSERT_EQ(must(sink->send(record, 0)), SendStatus::kAccepted);
  wait_deliveries(*sink, waker_, deliveries, 1);
  EXPECT_EQ(sink->adapted(), 0U);
  EXPECT_EQ(record.headers.all().size(), 3U);
  Batch copy;
  auto first_source = std::move(source_);
  read_all(to, copy, 1);
  EXPECT_THAT(keep(copy.records[0]).headers,
              ElementsAre(Pair("a", std::nullopt), Pair("c", ""), Pair("more", "x")));
  rd_kafka_headers_t* headers = nullptr;
  rd_kafka_message_headers(static_cast<rd_kafka_message_t*>(copy.records[0].native), &headers);
  ASSERT_NE(headers, nullptr);
  EXPECT_FALSE(names_are_whole(*headers)) << "the name was cut on its way";
  copy.clear();
  source_ = std::move(first_source);
}

TEST_F(SinkTest, NamesWithoutANulAreFoundWhole) {
  const auto check = [](const std::vector<std::string>& names) {
    rd_kafka_headers_t* headers = rd_kafka_headers_new(4);
    for (const auto& name : names)
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), nullptr, 0);
    const bool whole = names_are_whole(*headers);
    rd_kafka_headers_destroy(headers);
    return whole;
  };
  EXPECT_TRUE(check({}));
  EXPECT_TRUE(check({"a", "b", "a", "", "a", ""}));
  const std::string nul("a\0", 2);
  EXPECT_FALSE(check({nul}));
  EXPECT_FALSE(check({"a", nul, "a"}));
  EXPECT_FALSE(check({nul, "a", "a"}));
  EXPECT_FALSE(check({"a", "a", nul}));
  EXPECT_FALSE(check({std::string("\0", 1), ""}));
}

TEST_F(SinkTest, RefusesWhatIsLargerThanTheTargetTakes) {
  const std::string to = make_topic(1);
  const std::string large(3 << 20, 'x');
  Record record;
  record.value = as_bytes(large);
  record.timestamp_ms = 1;
  record.target_topic = to;
  record.target_partition = Partition{0};
  auto sink = make_sink(waker_);
  const auto refused = sink->send(record, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  // With a larger limit the library sends it and the broker has the last word.
  auto wide = make_sink(waker_, {.largest_limit = 4 << 20});
  ASSERT_EQ(must(wide->send(record, 0)), SendStatus::kAccepted);
  std::vector<Delivery> deliveries;
  wait_deliveries(*wide, waker_, deliveries, 1);
  if (real()) {
    EXPECT_FALSE(deliveries[0].delivered);
    EXPECT_EQ(deliveries[0].error.code, ErrorCode::kTooLarge);
    EXPECT_FALSE(wide->fatal());
  }
}

// A broker refuses a whole batch for one of its records: that is what one_record_a_request is for.
TEST_F(SinkTest, TellsWhichRecordABrokerRefuses) {
  if (!real()) GTEST_SKIP() << "the mock takes every timestamp";
  const std::string to = make_topic(1, {{"message.timestamp.after.max.ms", "3600000"}});
  std::vector<Record> records(20);
  const auto send_all = [&](Sink& sink) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      records[i].value = as_bytes("v");
      records[i].timestamp_ms = SystemClock().wall() + (i == 7 ? 7'200'000 : 0);
      records[i].target_topic = to;
      records[i].target_partition = Partition{0};
      EXPECT_EQ(must(sink.send(records[i], i)), SendStatus::kAccepted);
    }
    std::vector<Delivery> deliveries;
    wait_deliveries(sink, waker_, deliveries, records.size());
    EXPECT_FALSE(sink.fatal());
    std::vector<std::uint64_t> refused;
    for (const auto& delivery : deliveries) {
      if (delivery.delivered) continue;
      EXPECT_EQ(delivery.error.code, ErrorCode::kBadTimestamp);
      refused.push_back(delivery.cookie);
    }
    return refused;
  };
  auto batching = make_sink(waker_, {}, {{"linger.ms", "100"}});
  EXPECT_EQ(send_all(*batching).size(), records.size());
  EXPECT_EQ(read_back(to).size(), 0U);
  auto single = make_sink(waker_, {.one_record_a_request = true});
  EXPECT_THAT(send_all(*single), ElementsAre(7U));
  EXPECT_EQ(read_back(to).size(), records.size() - 1);
}

TEST_F(SinkTest, SendsOneRecordARequestWhenAsked) {
  const std::string to = make_topic(1);
  std::vector<Record> records(50);
  auto sink = make_sink(waker_, {.one_record_a_request = true});
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].value = as_bytes("v");
    records[i].timestamp_ms = 1;
    records[i].target_topic = to;
    records[i].target_partition = Partition{0};
    ASSERT_EQ(must(sink->send(records[i], i)), SendStatus::kAccepted);
  }
  std::vector<Delivery> deliveries;
  wait_deliveries(*sink, waker_, deliveries, records.size());
  for (std::size_t i = 0; i < deliveries.size(); ++i) EXPECT_EQ(deliveries[i].cookie, i);
}

TEST(SinkWithoutABroker, KeepsRecordsAndLetsGoOfThemAtItsEnd) {
  auto connector = make_connector();
  auto target = must(connector->target({"away", {{"bootstrap.servers", "127.0.0.1:1"}}}, {}));
  Waker waker;
  auto sink = must(target->make_sink({}, waker));
  Record record;
  record.value = as_bytes("v");
  record.timestamp_ms = 1;
  record.target_topic = "topic";
  record.target_partition = Partition{0};
  for (std::uint64_t i = 0; i < 100; ++i)
    ASSERT_EQ(must(sink->send(record, i)), SendStatus::kAccepted);
  std::vector<Delivery> deliveries;
  sink->poll(deliveries);
  EXPECT_TRUE(deliveries.empty());
  const Instant begin = now();
  sink.reset();
  EXPECT_LT(now() - begin, Duration(6s));
}

}  // namespace
}  // namespace drawbridge::kafka

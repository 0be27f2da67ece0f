// A transactional sink on the library's mock cluster, which can be made to fail requests as real
// brokers rarely do. What only real brokers do (markers, fencing, isolation) is e2e's matter.
#include <librdkafka/rdkafka.h>
// After rdkafka.h, as it demands.
#include <librdkafka/rdkafka_mock.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/unit/kafka/cluster.h"

namespace drawbridge::kafka {
namespace {

using Kind = TransactionEvent::Kind;

constexpr std::int16_t kProduce = 0;
constexpr std::int16_t kInitProducerId = 22;
constexpr std::int16_t kAddOffsetsToTxn = 25;
constexpr std::int16_t kEndTxn = 26;
constexpr std::int16_t kTxnOffsetCommit = 28;

constexpr auto kFine = RD_KAFKA_RESP_ERR_NO_ERROR;

// A lease as a group would give it, whose coordinator says what the test wants.
class FakeLease final : public Lease {
 public:
  FakeLease() {
    rd_kafka_consumer_group_metadata_t* metadata =
        rd_kafka_consumer_group_metadata_new_with_genid("leases", 7, "member", nullptr);
    void* bytes = nullptr;
    std::size_t size = 0;
    rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size);
    const auto* begin = static_cast<const std::uint8_t*>(bytes);
    token_.assign(begin, begin + size);
    std::free(bytes);
    rd_kafka_consumer_group_metadata_destroy(metadata);
  }
  Result<void> confirm(Duration /*timeout*/) override {
    ++asked;
    if (silent-- > 0) return fail(ErrorCode::kUnavailable, "nobody answers");
    if (over) return fail(ErrorCode::kFenced, "the generation is another one");
    return {};
  }
  [[nodiscard]] ByteView token() const override { return token_; }

  std::atomic<int> silent{0};
  std::atomic<bool> over{false};
  std::atomic<int> asked{0};

 private:
  Bytes token_;
};

class TransactionTest : public testing::Test {
 protected:
  void SetUp() override {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    std::array<char, 256> text{};
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text.data(), text.size());
    cluster_ = rd_kafka_mock_cluster_new(client_, 1);
    rd_kafka_mock_topic_create(cluster_, "out", 2, 1);
    rd_kafka_mock_topic_create(cluster_, "ledger", 1, 1);
    options_.transaction = TransactionOptions{"tests.p.0", "ledger", 0};
  }
  void TearDown() override {
    sink_.reset();
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }

  void open() {
    auto target = must(make_connector()->target(
        {"test", {{"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster_)}}}, {}));
    sink_ = must(target->make_sink(options_, waker_));
  }
  void ready() {
    open();
    ASSERT_EQ(event().kind, Kind::kReady);
  }
  void refuse(std::int16_t request, std::vector<rd_kafka_resp_err_t> errors) {
    rd_kafka_mock_push_request_errors_array(cluster_, request, errors.size(), errors.data());
  }

  // `value` must live until the Delivery.
  void send(std::uint64_t cookie, std::int32_t partition = 0, std::string_view value = "value") {
    Record record;
    record.target_topic = "out";
    record.target_partition = Partition{partition};
    record.value = as_bytes(value);
    record.timestamp_ms = 1'700'000'000'000;
    ASSERT_EQ(must(sink_->send(record, cookie)), SendStatus::kAccepted);
  }
  void poll_for(Duration time) {
    for (const Instant until = now() + time; now() < until;) {
      sink_->poll(deliveries_);
      waker_.wait(10ms);
    }
  }
  void wait_deliveries(std::size_t count) {
    for (const Instant until = now() + 10s; deliveries_.size() < count && now() < until;) {
      sink_->poll(deliveries_);
      waker_.wait(10ms);
    }
    ASSERT_EQ(deliveries_.size(), count);
  }
  // The next event; kAborted with kInternal where none comes.
  TransactionEvent event() {
    for (const Instant until = now() + 15s; now() < until && !sink_->fatal();) {
      sink_->poll(deliveries_);
      if (auto said = sink_->take_transaction_event()) return std::move(*said);
      waker_.wait(10ms);
    }
    ADD_FAILURE() << "no event; " << (sink_->fatal() ? sink_->fatal()->message : "not fatal");
    return {};
  }
  std::optional<Error> wait_fatal() {
    for (const Instant until = now() + 10s; now() < until && !sink_->fatal();) {
      sink_->poll(deliveries_);
      waker_.wait(10ms);
    }
    return sink_->fatal();
  }
  void lease() {
    lease_ = std::make_shared<FakeLease>();
    options_.transaction->lease = lease_;
  }
  // A record, and the commit's answer.
  TransactionEvent transact() {
    deliveries_.clear();
    send(1);
    wait_deliveries(1);
    EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
    sink_->commit(statement());
    return event();
  }
  static std::vector<LedgerRecord> statement() { return {{Bytes{'k'}, Bytes{'v'}}}; }

  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  SinkOptions options_;
  std::shared_ptr<FakeLease> lease_;
  Waker waker_;
  std::unique_ptr<Sink> sink_;
  std::vector<Delivery> deliveries_;
};

TEST_F(TransactionTest, WhatIsSentAfterTheCutWaitsForTheNext) {
  ready();
  send(1);
  send(2, 1);
  wait_deliveries(2);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  send(3);
  poll_for(200ms);
  EXPECT_EQ(deliveries_.size(), 2U);
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
  wait_deliveries(3);
  for (const Delivery& delivery : deliveries_) EXPECT_TRUE(delivery.delivered);
}

TEST_F(TransactionTest, WhatWaitedBeforeTheCutStillBelongsToIt) {
  ready();
  for (std::uint64_t i = 0; i < 3000; ++i) send(i);  // more than one request
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  wait_deliveries(3000);
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
}

// Records of one source partition may go by two lanes: what waits is the end of what was sent.
TEST_F(TransactionTest, ACutCanLeaveOutWhatIsNotUnderWayYet) {
  ready();
  constexpr std::uint64_t kRecords = 20'000;  // several requests' worth
  const std::string large(1000, 'v');
  for (std::uint64_t i = 0; i < kRecords; ++i) send(i, static_cast<std::int32_t>(i % 2), large);
  const std::size_t waiting = sink_->cut(Cut::kUnderWay);
  ASSERT_GT(waiting, 0U);
  ASSERT_LT(waiting, kRecords);
  send(kRecords);
  const std::size_t before = kRecords - waiting;
  wait_deliveries(before);
  poll_for(200ms);
  ASSERT_EQ(deliveries_.size(), before);
  for (const Delivery& delivery : deliveries_) {
    EXPECT_TRUE(delivery.delivered);
    EXPECT_LT(delivery.cookie, before);
  }
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
  wait_deliveries(kRecords + 1);
}

TEST_F(TransactionTest, TheLedgerAloneMakesATransaction) {
  ready();
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
}

TEST_F(TransactionTest, AnAbortTakesEverythingBack) {
  ready();
  send(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  send(2);
  sink_->abort();
  const TransactionEvent said = event();
  EXPECT_EQ(said.kind, Kind::kAborted);
  EXPECT_FALSE(said.error);
  wait_deliveries(2);
  const auto& second = deliveries_[0].cookie == 2 ? deliveries_[0] : deliveries_[1];
  EXPECT_FALSE(second.delivered);
  EXPECT_EQ(second.error.code, ErrorCode::kCancelled);
  // And another one can be made.
  deliveries_.clear();
  send(3);
  wait_deliveries(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
}

TEST_F(TransactionTest, AnAbortOfNothingIsAnsweredToo) {
  ready();
  sink_->abort();
  EXPECT_EQ(event().kind, Kind::kAborted);
}

TEST_F(TransactionTest, ACoordinatorThatComesBackIsAskedAgain) {
  ready();
  send(1);
  wait_deliveries(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  refuse(kEndTxn, {RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                   RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS});
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
  EXPECT_FALSE(sink_->fatal());
}

TEST_F(TransactionTest, ARefusedLedgerRecordAbortsTheCommit) {
  ready();
  send(1);
  wait_deliveries(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  send(2);
  refuse(kProduce, {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED});
  sink_->commit(statement());
  const TransactionEvent said = event();
  EXPECT_EQ(said.kind, Kind::kAborted);
  ASSERT_TRUE(said.error);
  wait_deliveries(2);
  EXPECT_EQ(deliveries_[1].error.code, ErrorCode::kCancelled) << "it waited for the next one";
}

TEST_F(TransactionTest, ARefusedRecordLeavesTheTransactionToBeAborted) {
  ready();
  refuse(kProduce, {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP});
  send(1);
  wait_deliveries(1);
  EXPECT_FALSE(deliveries_[0].delivered);
  EXPECT_EQ(deliveries_[0].error.code, ErrorCode::kBadTimestamp);
  sink_->abort();
  EXPECT_EQ(event().kind, Kind::kAborted);
}

TEST_F(TransactionTest, AFencedProducerIsFatal) {
  ready();
  send(1);
  wait_deliveries(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  refuse(kEndTxn, {RD_KAFKA_RESP_ERR_PRODUCER_FENCED});
  sink_->commit(statement());
  const auto fatal = wait_fatal();
  ASSERT_TRUE(fatal);
  EXPECT_EQ(fatal->code, ErrorCode::kFenced);
  EXPECT_FALSE(sink_->take_transaction_event());
  Record record;
  record.target_topic = "out";
  record.target_partition = Partition{0};
  EXPECT_FALSE(sink_->send(record, 2));
}

TEST_F(TransactionTest, AMissingRightIsNamed) {
  refuse(kInitProducerId, {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED});
  open();
  const auto fatal = wait_fatal();
  ASSERT_TRUE(fatal);
  EXPECT_THAT(fatal->message, testing::HasSubstr("TransactionalId tests.p.0"));
}

// A new producer would be refused, too.
TEST_F(TransactionTest, ATimeoutThatBrokersRefuseIsAFailureWithItsRemedy) {
  refuse(kInitProducerId, {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT});
  open();
  const auto fatal = wait_fatal();
  ASSERT_TRUE(fatal);
  EXPECT_EQ(fatal->code, ErrorCode::kInvalid);
  EXPECT_THAT(fatal->message, testing::HasSubstr("asks for 60000 ms"));
  EXPECT_THAT(fatal->message, testing::HasSubstr("transaction.max.timeout.ms is less: raise it"));
}

TEST_F(TransactionTest, ALedgerThatTakesNoSuchRecordIsNamed) {
  ready();
  send(1);
  wait_deliveries(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  refuse(kProduce, {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kAborted);
  const auto fatal = wait_fatal();
  ASSERT_TRUE(fatal);
  EXPECT_EQ(fatal->code, ErrorCode::kInvalid);
  EXPECT_THAT(fatal->message, testing::HasSubstr("the ledger ledger"));
  EXPECT_THAT(fatal->message, testing::HasSubstr("raise the max.message.bytes of that topic"));
}

TEST_F(TransactionTest, MayBeMadeOnOneThreadAndPolledOnAnother) {
  ready();
  std::thread([this] {
    send(1);
    wait_deliveries(1);
    EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
    sink_->commit(statement());
    EXPECT_EQ(event().kind, Kind::kCommitted);
  }).join();
}

// As shards do it.
TEST_F(TransactionTest, SoMayAPlainSink) {
  options_.transaction.reset();
  open();
  std::thread([this] {
    send(1);
    wait_deliveries(1);
  }).join();
}

// ---- leased ---------------------------------------------------------------------------------

TEST_F(TransactionTest, ALeaseIsStatedOnceInEachTransaction) {
  lease();
  ready();
  EXPECT_EQ(lease_->asked, 1);
  // The fourth is refused, and no earlier one: of the records, of the ledger alone, of both.
  refuse(kTxnOffsetCommit, {kFine, kFine, kFine, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION});
  EXPECT_EQ(transact().kind, Kind::kCommitted);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  sink_->commit(statement());
  EXPECT_EQ(event().kind, Kind::kCommitted);
  EXPECT_EQ(transact().kind, Kind::kCommitted);
  EXPECT_EQ(transact().kind, Kind::kAborted);
}

TEST_F(TransactionTest, WhatTheGroupRefusesIsAborted) {
  lease();
  ready();
  for (const auto error :
       {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID}) {
    refuse(kTxnOffsetCommit, {error});
    const TransactionEvent said = transact();
    ASSERT_EQ(said.kind, Kind::kAborted);
    ASSERT_TRUE(said.error);
    EXPECT_EQ(said.error->code, ErrorCode::kFenced);
    EXPECT_THAT(said.error->message, testing::HasSubstr("the lease of shard 0 is over"));
  }
  EXPECT_EQ(transact().kind, Kind::kCommitted);
}

TEST_F(TransactionTest, AfterTheRefusalNothingIsBlamedOnARecord) {
  lease();
  ready();
  send(1);
  wait_deliveries(1);
  refuse(kTxnOffsetCommit, {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION});
  for (std::uint64_t i = 2; i < 3000; ++i) send(i);  // more than the library takes at once
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  for (const Instant until = now() + 10s; deliveries_.size() < 2999 && now() < until;) {
    sink_->poll(deliveries_);
    waker_.wait(10ms);
  }
  for (const Delivery& delivery : deliveries_) {
    if (delivery.delivered) continue;
    EXPECT_EQ(delivery.error.code, ErrorCode::kCancelled) << delivery.error.message;
  }
  sink_->abort();
  EXPECT_EQ(event().kind, Kind::kAborted);
  EXPECT_EQ(transact().kind, Kind::kCommitted);
}

TEST_F(TransactionTest, AnAbortNeedNotWaitForTheCut) {
  lease();
  ready();
  send(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  sink_->abort();
  const TransactionEvent said = event();
  EXPECT_EQ(said.kind, Kind::kAborted);
  EXPECT_FALSE(said.error);
  EXPECT_EQ(transact().kind, Kind::kCommitted);
}

TEST_F(TransactionTest, CoordinatorsThatComeBackAreAskedAgainForTheLease) {
  lease();
  ready();
  refuse(
      kAddOffsetsToTxn,
      {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
       RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS});
  refuse(kTxnOffsetCommit,
         {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS});
  EXPECT_EQ(transact().kind, Kind::kCommitted);
  EXPECT_FALSE(sink_->fatal());
}

TEST_F(TransactionTest, ARightThatTheLeaseLacksIsNamed) {
  lease();
  ready();
  refuse(kTxnOffsetCommit, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  send(1);
  wait_deliveries(1);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  sink_->commit(statement());
  const auto fatal = wait_fatal();
  ASSERT_TRUE(fatal);
  EXPECT_EQ(fatal->code, ErrorCode::kAuthentication);
  EXPECT_THAT(fatal->message, testing::HasSubstr("READ on the lease's group and on topic ledger"));
}

TEST_F(TransactionTest, TakesNothingOverWithoutItsLease) {
  lease();
  lease_->silent = 3;
  ready();
  EXPECT_EQ(lease_->asked, 4) << "asked until there is an answer";
  sink_.reset();

  lease_->over = true;
  refuse(kInitProducerId, {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED});
  open();
  const auto fatal = wait_fatal();
  ASSERT_TRUE(fatal);
  EXPECT_EQ(fatal->code, ErrorCode::kFenced) << "and the predecessor was not fenced";
  EXPECT_THAT(fatal->message, testing::HasSubstr("shard 0"));
}

TEST_F(TransactionTest, EndsInTimeWhileTheGroupIsSilent) {
  lease();
  ready();
  send(1);
  wait_deliveries(1);
  rd_kafka_mock_broker_set_rtt(cluster_, 1, 8000);
  EXPECT_EQ(sink_->cut(Cut::kEverything), 0U);
  poll_for(100ms);
  const Instant begin = now();
  sink_.reset();
  EXPECT_LT(now() - begin, Duration(6s));
}

TEST_F(TransactionTest, EndsInTimeWithoutItsBroker) {
  open();
  rd_kafka_mock_broker_set_down(cluster_, 1);
  poll_for(100ms);
  const Instant begin = now();
  sink_.reset();
  EXPECT_LT(now() - begin, 10s);
}

}  // namespace
}  // namespace drawbridge::kafka

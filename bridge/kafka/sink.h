// Sink on librdkafka: one idempotent producer of a shard.
//
// Values are not copied before the library builds its request; keys are. Untouched headers of a
// consumed record are handed on in the library's own form, unless somebody holds views of them;
// so are those whose last one has another value, and nobody may look at them after that send.
// Timestamps of 0 cannot be sent (the library takes them for "now"), nor can changed headers one
// of whose names holds a NUL (the library does not show what follows it): SinkOptions::unsendable
// decides, and adapting makes the timestamp 1 and cuts the name.
//
// Lanes. The library's idempotent producer has one request of a partition outstanding at a time,
// and while more records of that partition wait in its queue for longer than linger.ms, its
// broker thread polls without a pause: a whole core. So what waits for a request waits here
// instead. Each target partition is a lane:
//
//   IDLE --send--> FILLING --(a batch is full, or linger is nearly over)--> BUSY
//    ^                |                                                       |
//    +----------------+------- all that was handed over is answered ----------+
//
// IDLE and FILLING lanes hand records straight to the library, as many as one request takes;
// a BUSY lane keeps them and hands them over, by the same rule, once the request is answered. Where
// a record is refused, those that wait behind it come back as kCancelled: none overtakes it.
//
// Transactions (bridge/pipeline/EXACTLY_ONCE.md). With SinkOptions::transaction the lanes also keep
// what comes after the cut, until the transaction has ended. Cut::kUnderWay takes what the library
// was given, and what was sent before the last of that: the order is that of all lanes together,
// since records of one source partition may go by several. The calls that wait for brokers are the
// Transactor's. Deliveries that the library reports on its thread are kept for the next poll().
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bridge/kafka/client.h"
#include "bridge/kafka/transactor.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

class KafkaSink final : public Sink, private ClientListener {
 public:
  static Result<std::unique_ptr<Sink>> make(const ClusterOptions& cluster,
                                            const Properties& properties,
                                            const SinkOptions& options, Waker& waker);
  // Takes back everything. Returns only when the library holds no view of a record any more,
  // since their memory is about to be used again.
  ~KafkaSink() override;

  Result<SendStatus> send(Record& record, std::uint64_t cookie) override;
  void poll(std::vector<Delivery>& out) override;
  void purge() override;
  [[nodiscard]] std::optional<Error> fatal() const override { return fatal_; }
  [[nodiscard]] std::uint64_t adapted() const override { return adapted_; }
  void begin_with(LedgerRecord record) override { first_ = std::move(record); }
  std::size_t cut(Cut how) override;
  void commit(std::vector<LedgerRecord> ledger) override;
  void abort() override;
  std::optional<TransactionEvent> take_transaction_event() override;

 private:
  // A record as the library takes it.
  struct Parcel {
    HeadersPtr headers;
    std::optional<ByteView> key;
    std::optional<ByteView> value;
    std::int64_t timestamp_ms = 0;
    std::uint64_t cookie = 0;
    std::uint64_t number = 0;  // of those accepted

    // Near what the library counts for it; headers that were not decoded are left out.
    [[nodiscard]] std::size_t bytes() const;
  };
  struct Topic;
  struct Lane {
    Topic* topic = nullptr;
    std::int32_t partition = 0;
    std::size_t unanswered = 0;     // records that the library holds
    std::size_t request_bytes = 0;  // handed over since the lane was idle
    Instant request_since{};
    std::deque<Parcel> waiting;
    std::size_t before_cut = 0;  // of those that wait, while `held_`
  };
  struct Topic {
    TopicPtr handle;
    std::deque<Lane> lanes;  // by partition
  };

  // What the library says of a record.
  struct Report {
    Topic* topic = nullptr;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::int32_t partition = 0;
    std::int64_t offset = 0;
    std::uint64_t cookie = 0;
  };

  KafkaSink(const SinkOptions& options, Waker& waker) : options_(options), waker_(waker) {}
  void on_delivery(const rd_kafka_message_t& message) override;
  void on_error(rd_kafka_resp_err_t error, std::string_view reason) override;

  Topic* topic(std::string_view name);
  static Lane& lane(Topic& topic, std::int32_t partition);
  [[nodiscard]] bool open(Lane& lane, std::size_t bytes);
  Result<bool> hand_over(Lane& lane, Parcel& parcel);
  void hand_over_waiting(Lane& lane);
  void take_report(const Report& report);
  Result<void> begin();
  Result<void> write_ledger(const LedgerRecord& record);
  void let_go();
  [[nodiscard]] bool under_way() const;
  static void take_back(Lane& lane, std::vector<Delivery>& out);
  void take_back_all();
  [[nodiscard]] std::size_t least_size(const Parcel& parcel) const;
  Result<HeadersPtr> headers_of(Record& record);
  static HeadersPtr extended_headers(rd_kafka_message_t& message, const Headers& wanted);
  static HeadersPtr edited_headers(rd_kafka_message_t& message, const Headers& wanted);
  Result<HeadersPtr> rebuilt_headers(const Record& record);
  Result<void> unsendable(const Record& record, std::string_view why);

  const SinkOptions options_;
  Waker& waker_;
  std::size_t record_limit_ = 0;    // bytes that the library takes for one record
  std::size_t request_limit_ = 0;   // bytes that are handed over for one request
  Duration request_window_{};       // and for how long
  std::shared_ptr<Client> client_;  // the transactor's, too
  QueuePtr queue_;
  std::unordered_map<std::string, std::unique_ptr<Topic>> topics_;
  std::string_view last_name_;  // views a key of topics_
  Topic* last_topic_ = nullptr;
  std::vector<Lane*> idle_;               // with records that wait
  std::vector<Delivery> taken_back_;      // come with the next poll
  std::vector<Delivery>* out_ = nullptr;  // while polling
  std::optional<Error> fatal_;
  std::uint64_t adapted_ = 0;

  // Transactions only:
  std::optional<LedgerRecord> first_;    // of each transaction
  std::optional<Error> ledger_refused_;  // why the ledger will not take the next one, either
  bool held_ = false;                    // cut, and not ended
  std::uint64_t accepted_ = 0;           // records, ever
  std::uint64_t handed_ = 0;             // all that the library was given have lower numbers
  std::mutex elsewhere_mutex_;
  std::vector<Report> elsewhere_;  // reported on another thread; guarded by elsewhere_mutex_
  std::unique_ptr<Transactor> transactor_;
};

}  // namespace drawbridge::kafka

// What the client library alone can do: the floor that the bridge is measured against.
//
//   bench_limits consume --bootstrap B --topic T --partitions N
//       reads the topic from start to end: one consumer, one thread, batches, nothing else
//   bench_limits produce --bootstrap B --topic T --partitions N --producers N --records N --size N
//       fills the topic: as many producers as the bridge has shards, a thread each, values not
//       copied, the bridge's caps on what is in flight
//
// Both take the bridge's own client settings from bridge/kafka/settings.h, so that they cannot
// drift apart. Prints a line of JSON (meter.h).
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "bench/content.h"
#include "bench/flags.h"
#include "bench/meter.h"
#include "bridge/kafka/client.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::bench {
namespace {

constexpr std::size_t kBatch = 500;  // as the bridge's worker takes them
constexpr auto kSampling = std::chrono::milliseconds(10);
// What the bridge holds in flight, all shards together, and what it counts for a record.
const auto kInFlightBytes = static_cast<std::int64_t>(PipelineOptions().max_in_flight_bytes);
const auto kInFlightRecords = static_cast<std::int64_t>(PipelineOptions().max_in_flight_records);
constexpr std::int64_t kRecordOverhead = 768;

ClusterOptions cluster(const Flags& flags) {
  return {"bench", {{"bootstrap.servers", flags.text("bootstrap")}}};
}

// ---- consume --------------------------------------------------------------------------------

int consume(const Flags& flags) {
  const std::string topic = flags.text("topic");
  const auto partitions = static_cast<std::int32_t>(flags.number("partitions"));
  PipelineOptions pipeline;
  pipeline.source = cluster(flags);
  pipeline.group = "bench-limits";
  auto client = kafka::Client::make(kafka::consumer_settings(pipeline, 1).config, nullptr);
  if (!client) die(client.error().message);
  rd_kafka_t* rk = (*client)->handle();

  std::uint64_t records = 0;
  const kafka::PartitionsPtr list(rd_kafka_topic_partition_list_new(partitions));
  for (std::int32_t i = 0; i < partitions; ++i) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    if (rd_kafka_query_watermark_offsets(rk, topic.c_str(), i, &low, &high, 10'000) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
      die("cannot read the ends of " + topic);
    records += static_cast<std::uint64_t>(high - low);
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), i)->offset = low;
  }
  const kafka::QueuePtr queue(rd_kafka_queue_get_consumer(rk));
  if (rd_kafka_assign(rk, list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) die("cannot assign");

  std::atomic<std::uint64_t> done{0};
  std::thread reader([&] {
    std::array<rd_kafka_message_t*, kBatch> batch{};
    while (done < records) {
      const auto taken = rd_kafka_consume_batch_queue(queue.get(), 100, batch.data(), kBatch);
      std::uint64_t fresh = 0;
      for (ssize_t i = 0; i < taken; ++i) {
        const auto error = batch[i]->err;
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__PARTITION_EOF)
          die(rd_kafka_err2str(error));
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) ++fresh;
        rd_kafka_message_destroy(batch[i]);
      }
      done += fresh;
    }
  });
  Meter meter(records);
  while (done < records) {
    std::this_thread::sleep_for(kSampling);
    meter.sample(done);
  }
  reader.join();
  meter.print(rd_kafka_version_str());
  return 0;
}

// ---- produce --------------------------------------------------------------------------------

// One producer with its share of the partitions.
class Producer final : private kafka::ClientListener {
 public:
  Producer(const Flags& flags, const Content& content, std::int32_t index, std::int64_t producers)
      : content_(content), records_(flags.number("records") / producers) {
    const auto partitions = static_cast<std::int32_t>(flags.number("partitions"));
    for (std::int32_t i = index; i < partitions; i += static_cast<std::int32_t>(producers))
      partitions_.push_back(i);
    if (partitions_.empty()) die("more producers than partitions");
    const std::int64_t weight = flags.number("size") + std::int64_t{kKeyBytes} + kRecordOverhead;
    cap_ = std::min(kInFlightBytes / weight, kInFlightRecords) / producers;
    // A bare idempotent producer polls without a pause where it may have as many requests in
    // flight as it has partitions (bridge/kafka/sink.h): the limit that serves it best.
    const auto in_flight = std::clamp<std::size_t>(partitions_.size() - 1, 1, 5);
    auto client =
        kafka::Client::make(kafka::producer_settings(
                                cluster(flags), {{"max.in.flight", std::to_string(in_flight)}}, {}),
                            this);
    if (!client) die(client.error().message);
    client_ = std::move(*client);
    topic_.reset(rd_kafka_topic_new(client_->handle(), flags.text("topic").c_str(), nullptr));
  }

  void run() {
    rd_kafka_t* rk = client_->handle();
    std::int64_t sent = 0;
    std::int64_t timestamp = 0;
    while (sent < records_) {
      if (sent - acknowledged() >= cap_) {
        rd_kafka_poll(rk, 100);
        continue;
      }
      if (sent % static_cast<std::int64_t>(kBatch) == 0) {
        rd_kafka_poll(rk, 0);
        timestamp = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
      }
      const auto number = static_cast<std::uint64_t>(sent);
      const std::string& key = content_.key(number);
      const std::string& value = content_.value(number);
      const auto error =
          rd_kafka_producev(rk, RD_KAFKA_VTYPE_RKT, topic_.get(), RD_KAFKA_VTYPE_PARTITION,
                            partitions_[number % partitions_.size()], RD_KAFKA_VTYPE_VALUE,
                            value.data(), value.size(), RD_KAFKA_VTYPE_KEY, key.data(), key.size(),
                            RD_KAFKA_VTYPE_TIMESTAMP, timestamp, RD_KAFKA_VTYPE_END);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(error));
      ++sent;
    }
    while (acknowledged() < records_) rd_kafka_poll(rk, 100);
  }

  [[nodiscard]] std::int64_t records() const { return records_; }
  [[nodiscard]] std::int64_t acknowledged() const {
    return acknowledged_.load(std::memory_order_relaxed);
  }

 private:
  void on_delivery(const rd_kafka_message_t& message) override {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(message.err));
    acknowledged_.fetch_add(1, std::memory_order_relaxed);
  }

  const Content& content_;
  const std::int64_t records_;
  std::int64_t cap_ = 0;
  std::vector<std::int32_t> partitions_;
  std::unique_ptr<kafka::Client> client_;
  kafka::TopicPtr topic_;
  std::atomic<std::int64_t> acknowledged_{0};
};

int produce(const Flags& flags) {
  const Content content(static_cast<std::size_t>(flags.number("size")));
  const std::int64_t count = flags.number("producers");
  if (count < 1 || count > flags.number("partitions")) die("more producers than partitions");
  std::vector<std::unique_ptr<Producer>> producers;
  std::uint64_t records = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    producers.push_back(std::make_unique<Producer>(flags, content, i, count));
    records += static_cast<std::uint64_t>(producers.back()->records());
  }
  Meter meter(records);
  std::vector<std::thread> threads;
  threads.reserve(producers.size());
  for (auto& producer : producers) threads.emplace_back([&producer] { producer->run(); });
  for (std::uint64_t done = 0; done < records;) {
    std::this_thread::sleep_for(kSampling);
    done = 0;
    for (const auto& producer : producers)
      done += static_cast<std::uint64_t>(producer->acknowledged());
    meter.sample(done);
  }
  for (auto& thread : threads) thread.join();
  meter.print(rd_kafka_version_str());
  return 0;
}

int run(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "consume") return consume(Flags(argc, argv, 2));
  if (command == "produce") return produce(Flags(argc, argv, 2));
  die("usage: bench_limits consume|produce --bootstrap B --topic T --partitions N ...");
}

}  // namespace
}  // namespace drawbridge::bench

int main(int argc, char** argv) { return drawbridge::bench::run(argc, argv); }

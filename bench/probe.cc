// Two readers of one stream: of the source topic, and of what the bridge makes of it. The time that
// the bridge adds to a record is the difference of its two arrivals.
//
//   bench_probe --bootstrap B --source T --target T --partitions N --records N --skip N
//
// Start it before bench_load, on empty topics. The first --skip records do not count. Prints a line
// of JSON: milliseconds at some quantiles; `added` is taken record by record.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

#include "bench/flags.h"
#include "bench/stamp.h"
#include "bridge/kafka/client.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::bench {
namespace {

constexpr std::int64_t kPatienceNs = 30'000'000'000;  // without a record

struct Arrivals {
  std::vector<std::int64_t> sent;  // by number; 0: not arrived
  std::vector<std::int64_t> at;
};

// Reads until every record has come once. The bridge's own consumer settings.
void read(const Flags& flags, const std::string& topic, Arrivals& out) {
  const auto records = static_cast<std::size_t>(flags.number("records"));
  out.sent.assign(records, 0);
  out.at.assign(records, 0);
  PipelineOptions pipeline;
  pipeline.source = {"bench", {{"bootstrap.servers", flags.text("bootstrap")}}};
  pipeline.group = "bench-probe";
  auto client = kafka::Client::make(kafka::consumer_settings(pipeline, 1).config, nullptr);
  if (!client) die(client.error().message);
  rd_kafka_t* rk = (*client)->handle();
  const auto partitions = static_cast<std::int32_t>(flags.number("partitions"));
  const kafka::PartitionsPtr list(rd_kafka_topic_partition_list_new(partitions));
  for (std::int32_t i = 0; i < partitions; ++i)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), i)->offset = 0;
  const kafka::QueuePtr queue(rd_kafka_queue_get_consumer(rk));
  if (rd_kafka_assign(rk, list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) die("cannot assign");

  std::int64_t heard = steady_ns();
  for (std::size_t arrived = 0; arrived < records;) {
    rd_kafka_message_t* message = rd_kafka_consume_queue(queue.get(), 100);
    const std::int64_t now = steady_ns();
    if (now - heard > kPatienceNs)
      die(topic + ": " + std::to_string(records - arrived) + " records did not arrive");
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      Stamp stamp;
      if (message->len < sizeof stamp) die("a record without a stamp");
      std::memcpy(&stamp, message->payload, sizeof stamp);
      if (stamp.number >= records) die("a record too many");
      if (out.at[stamp.number] == 0) ++arrived;
      out.sent[stamp.number] = stamp.sent_ns;
      out.at[stamp.number] = now;
      heard = now;
    } else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      die(rd_kafka_err2str(message->err));
    }
    rd_kafka_message_destroy(message);
  }
}

void print(const char* name, std::vector<double>& millis, bool last) {
  std::ranges::sort(millis);
  const auto quantile = [&](double share) {
    const auto rank = std::ceil(share * static_cast<double>(millis.size())) - 1;
    return millis[static_cast<std::size_t>(std::max(rank, 0.0))];
  };
  std::printf("\"%s\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}%s", name,
              quantile(0.5), quantile(0.9), quantile(0.99), quantile(0.999), millis.back(),
              last ? "}\n" : ",");
}

int run(const Flags& flags) {
  Arrivals source;
  Arrivals target;
  std::thread direct([&] { read(flags, flags.text("source"), source); });
  read(flags, flags.text("target"), target);
  direct.join();

  std::vector<double> direct_ms;
  std::vector<double> bridged_ms;
  std::vector<double> added_ms;
  for (auto i = static_cast<std::size_t>(flags.number("skip")); i < source.at.size(); ++i) {
    direct_ms.push_back(static_cast<double>(source.at[i] - source.sent[i]) / 1e6);
    bridged_ms.push_back(static_cast<double>(target.at[i] - target.sent[i]) / 1e6);
    added_ms.push_back(static_cast<double>(target.at[i] - source.at[i]) / 1e6);
  }
  if (added_ms.empty()) die("--skip leaves nothing");
  std::printf("{\"records\":%zu,", added_ms.size());
  print("direct", direct_ms, false);
  print("bridged", bridged_ms, false);
  print("added", added_ms, true);
  return 0;
}

}  // namespace
}  // namespace drawbridge::bench

int main(int argc, char** argv) {
  return drawbridge::bench::run(drawbridge::bench::Flags(argc, argv, 1));
}

// An application that sends stamped records at a steady rate, spread over the partitions.
//
//   bench_load --bootstrap B --topic T --partitions N --rate N --seconds N --size N
//
// Prints a line of JSON: the records sent and the rate that was held.
#include <cstdio>
#include <thread>
#include <vector>

#include "bench/flags.h"
#include "bench/stamp.h"
#include "bridge/kafka/client.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::bench {
namespace {

constexpr auto kTick = std::chrono::milliseconds(1);

class Listener final : public kafka::ClientListener {
 public:
  void on_delivery(const rd_kafka_message_t& message) override {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(message.err));
  }
};

int run(const Flags& flags) {
  const std::int64_t rate = flags.number("rate");
  const std::int64_t records = rate * flags.number("seconds");
  const std::int64_t partitions = flags.number("partitions");
  std::vector<char> value(static_cast<std::size_t>(flags.number("size")), 'x');
  if (value.size() < sizeof(Stamp)) die("--size is too small for a stamp");

  Listener listener;
  auto client = kafka::Client::make(
      kafka::producer_settings(
          {"bench", {{"bootstrap.servers", flags.text("bootstrap")}, {"linger.ms", "1"}}}, {},
          SinkOptions{}),
      &listener);
  if (!client) die(client.error().message);
  rd_kafka_t* rk = (*client)->handle();
  const kafka::TopicPtr topic(rd_kafka_topic_new(rk, flags.text("topic").c_str(), nullptr));

  const auto begin = std::chrono::steady_clock::now();
  std::int64_t sent = 0;
  for (auto tick = begin; sent < records; tick += kTick) {
    std::this_thread::sleep_until(tick);
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto due =
        std::min(records, static_cast<std::int64_t>(elapsed * static_cast<double>(rate)));
    for (; sent < due; ++sent) {
      const Stamp stamp{steady_ns(), static_cast<std::uint64_t>(sent)};
      std::memcpy(value.data(), &stamp, sizeof stamp);
      const auto error = rd_kafka_producev(
          rk, RD_KAFKA_VTYPE_RKT, topic.get(), RD_KAFKA_VTYPE_PARTITION,
          static_cast<std::int32_t>(sent % partitions), RD_KAFKA_VTYPE_VALUE, value.data(),
          value.size(), RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_END);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(error));
    }
    rd_kafka_poll(rk, 0);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (rd_kafka_flush(rk, 30'000) != RD_KAFKA_RESP_ERR_NO_ERROR) die("records are left unsent");
  std::printf("{\"records\":%lld,\"rate\":%.1f}\n", static_cast<long long>(sent),
              static_cast<double>(sent) / seconds);
  return 0;
}

}  // namespace
}  // namespace drawbridge::bench

int main(int argc, char** argv) {
  return drawbridge::bench::run(drawbridge::bench::Flags(argc, argv, 1));
}

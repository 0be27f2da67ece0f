#include "bridge/kafka/fetch_kick.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "bridge/kafka/client.h"

namespace drawbridge::kafka {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(50);
constexpr Duration kLeastPause = std::chrono::milliseconds(2);  // between two kicks
constexpr Duration kMostPause = std::chrono::seconds(1);

Instant now() { return SystemClock().now(); }

}  // namespace

FetchKick::FetchKick(rd_kafka_t* rk, Partitions partitions)
    : rk_(rk), partitions_(std::move(partitions)) {}

FetchKick::~FetchKick() {
  stop_ = true;
  waker_.wake();
  if (thread_.joinable()) thread_.join();
}

Appetite& FetchKick::add() { return *appetites_.emplace_back(std::make_unique<Appetite>(waker_)); }

void FetchKick::start() {
  thread_ = std::thread([this] { run(); });
}

void FetchKick::run() {
  bool was_dry = false;
  Instant again_at{};  // for a feed that stays dry
  Duration pause = kTick;
  while (!stop_) {
    waker_.wait(kTick);
    bool wanted = false;
    bool dry = false;
    for (const auto& appetite : appetites_) {
      wanted |= appetite->take_drained();
      dry |= appetite->dry();
    }
    if (!dry) {
      pause = kTick;
    } else if (!was_dry) {
      again_at = now() + pause;
    } else if (now() >= again_at) {
      wanted = true;
      pause = std::min(2 * pause, kMostPause);
      again_at = now() + pause;
    }
    was_dry = dry;
    if (wanted && !stop_) std::this_thread::sleep_for(kick() ? kLeastPause : kTick);
  }
}

// With no timeout the library sends its requests, which wakes the brokers' threads, and returns;
// the answers are dropped. Where a leader is not known it asks for metadata instead.
bool FetchKick::kick() {
  const auto partitions = partitions_();
  if (partitions.empty()) return false;
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto& at : partitions)
    rd_kafka_topic_partition_list_add(list.get(), at.topic.c_str(), at.partition.value)->offset =
        RD_KAFKA_OFFSET_END;
  ++kicks_;
  const auto error = rd_kafka_offsets_for_times(rk_, list.get(), 0);
  return error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

}  // namespace drawbridge::kafka

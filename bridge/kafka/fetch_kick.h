// Wakes the consumer's fetcher.
//
// The library stops fetching for a queue that is full, and when nothing else happens on the
// connection it looks again only after up to a second (its issue 2879): with queues small enough
// to be cheap, a consumer of one partition then moves at a hundredth of its speed. Any request
// to the broker wakes it. So when a queue that was full has been drained by half, one is sent
// that nobody waits for: the end offset of one partition per broker. Should the guess of "full"
// have been wrong, a feed that stays dry while its partitions are known not to be at their ends
// asks again, less and less often.
//
// Nothing is sent while queues do not fill, and nothing at idle but a look every 50 ms.
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/waker.h"
#include "bridge/record/coordinates.h"

namespace drawbridge::kafka {

// What a feed shows of itself. Written by its worker, read by the kick's thread.
class Appetite {
 public:
  explicit Appetite(Waker& kick) : kick_(kick) {}

  // A full queue has become half empty.
  void drained() {
    drained_.store(true, std::memory_order_relaxed);
    kick_.wake();
  }
  // Nothing in the queue though there is more on the broker; or not so.
  void set_dry(bool dry) {
    if (dry != dry_.load(std::memory_order_relaxed)) dry_.store(dry, std::memory_order_relaxed);
  }

  bool take_drained() { return drained_.exchange(false, std::memory_order_relaxed); }
  [[nodiscard]] bool dry() const { return dry_.load(std::memory_order_relaxed); }

 private:
  Waker& kick_;
  std::atomic<bool> drained_{false};
  std::atomic<bool> dry_{false};
};

class FetchKick {
 public:
  // `partitions` tells one partition for each broker that leads any; called on the kick's thread.
  using Partitions = std::function<std::vector<TopicPartition>()>;

  FetchKick(rd_kafka_t* rk, Partitions partitions);
  ~FetchKick();

  // Before start(). One per feed; lives as long as this.
  Appetite& add();
  void start();
  [[nodiscard]] std::uint64_t kicks() const { return kicks_; }

 private:
  void run();
  bool kick();  // false when it could not be sent

  rd_kafka_t* const rk_;
  const Partitions partitions_;
  Waker waker_;
  std::vector<std::unique_ptr<Appetite>> appetites_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> kicks_{0};
  std::thread thread_;
};

}  // namespace drawbridge::kafka

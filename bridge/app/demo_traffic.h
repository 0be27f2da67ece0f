// The demo's records: what three departments would rather not send in clear, sealed by the producer
// itself, so that no broker ever sees it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bridge/app/demo_world.h"
#include "bridge/base/waker.h"
#include "transforms/sealer.h"

namespace drawbridge {

// A record in clear. All of it follows from its number, so that a copy can be compared with it.
struct DemoRecord {
  std::size_t number = 0;
  std::string_view department;  // and topic
  Partition partition;
  std::string key;  // "finance-00042"
  std::string value;
};

DemoRecord demo_record(std::size_t number);
// The number in a key; nullopt: not one of these records'.
std::optional<std::size_t> demo_number(std::string_view key);

// Used by one thread, sent() aside. Ends before the world does.
class DemoProducer {
 public:
  static Result<std::unique_ptr<DemoProducer>> make(DemoWorld& world);
  ~DemoProducer();
  DemoProducer(const DemoProducer&) = delete;
  DemoProducer& operator=(const DemoProducer&) = delete;

  // Sends the next `count` records, and returns when all are acknowledged.
  Result<void> send(std::size_t count);
  [[nodiscard]] std::size_t sent() const { return sent_; }  // any thread

 private:
  DemoProducer() = default;
  Result<void> send_one(const DemoRecord& record, Arena& arena);
  Result<void> take_deliveries();

  Waker waker_;
  std::shared_ptr<KeyCache> cache_;
  std::unique_ptr<Sealer> sealer_;
  std::unique_ptr<Target> target_;
  std::unique_ptr<Sink> sink_;
  std::atomic<std::size_t> sent_{0};
  std::size_t acknowledged_ = 0;
};

}  // namespace drawbridge

#include "bridge/app/demo_traffic.h"

#include <fmt/format.h>

#include <charconv>

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(20);
constexpr std::string_view kOrigin = "demo";

// Digits that look arbitrary and are the same each time.
std::uint64_t scrambled(std::size_t number, std::uint64_t below) {
  std::uint64_t x = (number + 1) * 0x9e3779b97f4a7c15U;
  x ^= x >> 29U;
  x *= 0xbf58476d1ce4e5b9U;
  return (x ^ x >> 32U) % below;
}

std::string value_of(std::string_view department, std::size_t number) {
  const std::uint64_t digits = scrambled(number, 1'000'000'000);
  if (department == "sales") {
    return fmt::format(R"({{"order":{},"card":"4000 00{:02} {:04} {:04}","amount":{}.{:02}}})",
                       number, digits % 100, digits / 100 % 10'000, digits / 1'000'000 + 1000,
                       digits % 900 + 20, digits % 100);
  }
  if (department == "finance") {
    return fmt::format(R"({{"payment":{},"iban":"DE{:02} 0000 {:04} {:04} 00","amount":{}.{:02}}})",
                       number, digits % 90 + 10, digits / 100 % 10'000, digits / 1'000'000 + 1000,
                       digits % 90'000 + 100, digits % 100);
  }
  return fmt::format(R"({{"employee":{},"grade":"{:c}{}","salary":{}}})", number,
                     static_cast<char>('A' + digits % 6), digits % 9 + 1, digits % 60'000 + 40'000);
}

}  // namespace

DemoRecord demo_record(std::size_t number) {
  DemoRecord record;
  record.number = number;
  record.department = kDepartments[number % kDepartments.size()];
  record.partition.value =
      static_cast<std::int32_t>(number / kDepartments.size() % kDemoPartitions);
  record.key = fmt::format("{}-{:05}", record.department, number);
  record.value = value_of(record.department, number);
  return record;
}

std::optional<std::size_t> demo_number(std::string_view key) {
  const std::size_t dash = key.rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view digits = key.substr(dash + 1);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return demo_record(number).key == key ? std::optional(number) : std::nullopt;
}

DemoProducer::~DemoProducer() {
  sink_.reset();
  sealer_.reset();
  if (cache_) cache_->forget(waker_);
}

Result<std::unique_ptr<DemoProducer>> DemoProducer::make(DemoWorld& world) {
  std::unique_ptr<DemoProducer> producer(new DemoProducer());
  DRAWBRIDGE_ASSIGN(producer->cache_, world.keys().cache(kSourceDomain));
  producer->sealer_ = std::make_unique<Sealer>(
      std::vector<std::shared_ptr<KeyCache>>{producer->cache_},
      Scope{std::string(kDemoDataset), std::nullopt}, Sealer::Options{}, producer->waker_);
  DRAWBRIDGE_ASSIGN(producer->target_, world.connector().target(world.source(), {}));
  DRAWBRIDGE_ASSIGN(producer->sink_, producer->target_->make_sink({}, producer->waker_));
  return producer;
}

Result<void> DemoProducer::take_deliveries() {
  std::vector<Delivery> deliveries;
  sink_->poll(deliveries);
  for (const Delivery& delivery : deliveries) {
    if (!delivery.delivered) return fail(delivery.error);
    ++acknowledged_;
  }
  if (auto fatal = sink_->fatal()) return fail(std::move(*fatal));
  return {};
}

Result<void> DemoProducer::send_one(const DemoRecord& clear, Arena& arena) {
  Record record;
  record.timestamp_ms = SystemClock().wall();
  record.key = arena.copy(as_bytes(clear.key));
  record.headers.append("origin", as_bytes(kOrigin));
  record.target_topic = clear.department;
  record.target_partition = clear.partition;
  const Instant deadline = SystemClock().now() + kTimeout;
  for (;;) {
    auto key = sealer_->ready(SystemClock().now());
    if (auto* ready = std::get_if<DekSource::Ready>(&key)) {
      Scratch scratch{arena, SystemClock().now()};
      const Outcome sealed = sealer_->seal(record, as_bytes(clear.value), *ready, scratch);
      if (sealed.kind() != Outcome::Kind::kKeep) return fail(sealed.error());
      break;
    }
    if (SystemClock().now() >= deadline) return fail(std::get<Outcome>(key).error());
    waker_.wait(std::chrono::milliseconds(20));
  }
  for (;;) {
    DRAWBRIDGE_ASSIGN(const SendStatus status, sink_->send(record, clear.number));
    if (status == SendStatus::kAccepted) return {};
    DRAWBRIDGE_TRY(take_deliveries());
    waker_.wait(std::chrono::milliseconds(20));
  }
}

Result<void> DemoProducer::send(std::size_t count) {
  Arena arena;  // the records' memory, needed until their acknowledgements
  const auto purge = [&](Error error) {
    sink_.reset();  // holds views into the arena
    return fail(std::move(error));
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (auto sent = send_one(demo_record(sent_), arena); !sent) return purge(sent.error());
    ++sent_;
  }
  const Instant deadline = SystemClock().now() + kTimeout;
  while (acknowledged_ < sent_) {
    if (auto taken = take_deliveries(); !taken) return purge(taken.error());
    if (acknowledged_ == sent_) break;
    if (SystemClock().now() >= deadline) {
      return purge({ErrorCode::kUnavailable, "the embedded broker does not acknowledge records"});
    }
    waker_.wait(std::chrono::milliseconds(20));
  }
  return {};
}

}  // namespace drawbridge

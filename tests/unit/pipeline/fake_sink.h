// Target and Sink over a FakeCluster.
//
// Requests as an idempotent producer makes them: one partition each, one outstanding per partition,
// in order. A broker takes a whole request or refuses a whole request, and later ones go on.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/pipeline/fake_cluster.h"
#include "tests/unit/pipeline/fake_source.h"

namespace drawbridge::fakes {

class FakeSink;

class FakeTarget final : public Target {
 public:
  explicit FakeTarget(FakeCluster& cluster) : cluster_(cluster) {}

  Result<std::string> cluster_id(Duration) override { return cluster_.id(); }
  Result<TopicInfo> topic(const std::string& name, Duration) override {
    const std::lock_guard lock(cluster_.world().mutex);
    auto info = cluster_.info(name);
    if (!info) return fail(ErrorCode::kUnknownTopic, "topic {} does not exist", name);
    return *info;
  }
  Result<TopicConfig> topic_config(const std::string& topic, Duration) override {
    const std::lock_guard lock(cluster_.world().mutex);
    return cluster_.config(topic);
  }
  Result<void> create_topic(const NewTopic& topic, Duration) override {
    cluster_.create(topic.name, topic.partitions, topic.config);
    return {};
  }
  Result<void> grow_topic(const std::string& name, std::int32_t partitions, Duration) override {
    cluster_.grow(name, partitions);
    return {};
  }
  Result<std::unique_ptr<Sink>> make_sink(const SinkOptions& options, Waker& waker) override;

  // ---- for tests ----
  // Next make_sink() fails with it.
  std::optional<Error> broken;
  // The client library's own refusal of a record.
  std::function<std::optional<Error>(const Record& record)> unsendable;
  std::vector<FakeSink*> sinks;  // that exist
  std::uint64_t sinks_made = 0;
  FakeCluster& cluster() { return cluster_; }
  [[nodiscard]] Instant next_event() const;
  // Lets time pass for the network; says whether deliveries arrived since the last call.
  bool advance();

 private:
  FakeCluster& cluster_;
};

class FakeSink final : public Sink {
 public:
  FakeSink(FakeTarget& target, const SinkOptions& sink_options, Waker& waker)
      : options(sink_options),
        number(++target.sinks_made),
        target_(target),
        cluster_(target.cluster()),
        world_(cluster_.world()),
        waker_(waker) {
    target_.sinks.push_back(this);
  }
  ~FakeSink() override {
    const std::lock_guard lock(world_.mutex);
    std::erase(target_.sinks, this);
    for (auto& [at, queue] : queues_) {  // what was on the wire may have arrived
      if (queue.request && world_.power && world_.random.chance(0.5)) store(at, *queue.request);
    }
  }
  FakeSink(const FakeSink&) = delete;
  FakeSink& operator=(const FakeSink&) = delete;

  Result<SendStatus> send(Record& record, std::uint64_t cookie) override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    if (fatal_) return fail(ErrorCode::kClientFatal, "{}", fatal_->message);
    if (target_.unsendable) {
      if (auto error = target_.unsendable(record)) return fail(std::move(*error));
    }
    if (held_ >= world_.weather.queue_most || world_.random.chance(world_.weather.queue_full)) {
      return SendStatus::kQueueFull;
    }
    Sent sent;
    sent.cookie = cookie;
    sent.id = FakeMessage::id_of(record);
    sent.slot = record.slot;
    sent.timestamp_ms = record.timestamp_ms;
    sent.key = record.key;
    sent.value = record.value;
    if (record.headers.untouched() && record.headers.native() != nullptr) {
      // As the real one: untouched headers are taken over, and gone from the message.
      auto& native = static_cast<FakeMessage*>(record.headers.native())->record.headers;
      sent.owned_headers = std::exchange(native, {});
    } else {
      sent.headers = record.headers.all();
    }
    if (world_.observer != nullptr) {
      world_.observer->sending(record, number);
      sent.epoch = world_.observer->send_epoch(record.slot);
    }
    sent.ready_at = now() + world_.random.up_to(world_.weather.linger);
    const TopicPartition at{std::string(record.target_topic), record.target_partition.value()};
    queues_[at].waiting.push_back(std::move(sent));
    ++held_;
    ++held_by_slot_[record.slot];
    held_bytes_ += payload_bytes(record);
    advance();
    return SendStatus::kAccepted;
  }

  void poll(std::vector<Delivery>& out) override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    advance();
    noticed_ = false;
    for (auto& [at, queue] : queues_) {
      while (!queue.reports.empty() && queue.reports.front().at <= now()) {
        Report& report = queue.reports.front();
        if (world_.observer != nullptr) {
          world_.observer->reported(report.id, at.topic, report.delivery.delivered);
        }
        out.push_back(std::move(report.delivery));
        --held_by_slot_[report.slot];
        held_bytes_ -= report.bytes;
        --held_;
        queue.reports.pop_front();
      }
    }
  }

  void purge() override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    for (auto& [at, queue] : queues_) {
      for (const Sent& sent : queue.waiting) {
        report(queue, sent, Error{ErrorCode::kCancelled, "purged"}, now());
      }
      queue.waiting.clear();
    }
  }

  [[nodiscard]] std::optional<Error> fatal() const override {
    const std::lock_guard lock(world_.mutex);
    return fatal_;
  }

  // ---- for tests ----
  void break_down(const std::string& why) {
    const std::lock_guard lock(world_.mutex);
    fatal_ = Error{ErrorCode::kClientFatal, why};
    waker_.wake();
  }
  [[nodiscard]] std::size_t unanswered() const { return held_; }
  [[nodiscard]] std::size_t unanswered_of(std::uint32_t slot) const {
    const auto found = held_by_slot_.find(slot);
    return found == held_by_slot_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::size_t unanswered_bytes() const { return held_bytes_; }
  [[nodiscard]] Instant next_event() const {
    Instant next = Instant::max();
    for (const auto& [at, queue] : queues_) {
      if (queue.request) {
        next = std::min(next, queue.request->done_at);
      } else if (!queue.waiting.empty()) {
        next = std::min(next, queue.waiting.front().ready_at);
      }
      if (!queue.reports.empty()) next = std::min(next, queue.reports.front().at);
    }
    return next;
  }
  void advance() {
    const std::lock_guard lock(world_.mutex);
    if (!world_.power || fatal_) return;
    for (auto& [at, queue] : queues_) advance(at, queue);
  }
  bool take_wake_up() {
    bool has = fatal_.has_value();
    for (const auto& [at, queue] : queues_) {
      has = has || (!queue.reports.empty() && queue.reports.front().at <= now());
    }
    const bool woken = has && !noticed_;
    noticed_ = has;
    return woken;
  }

  const SinkOptions options;
  const std::uint64_t number;

 private:
  struct Sent {
    std::uint64_t cookie = 0;
    std::uint64_t id = 0;
    std::uint32_t slot = 0;
    std::uint64_t epoch = 0;
    std::int64_t timestamp_ms = 0;
    std::optional<ByteView> key;  // views into what the engine keeps alive
    std::optional<ByteView> value;
    std::vector<Header> headers;
    std::vector<FakeHeader> owned_headers;
    Instant ready_at;
  };
  struct Request {
    std::vector<Sent> records;
    Instant done_at;
  };
  struct Report {
    Delivery delivery;
    std::uint64_t id;
    std::uint32_t slot;
    std::size_t bytes;
    Instant at;
  };
  struct Queue {
    std::deque<Sent> waiting;
    std::optional<Request> request;
    std::deque<Report> reports;
    Instant newest_report;
  };

  [[nodiscard]] Instant now() const { return world_.clock.now(); }

  void advance(const TopicPartition& at, Queue& queue) {
    const Weather& weather = world_.weather;
    while (true) {
      if (queue.request) {
        if (queue.request->done_at > now()) return;
        complete(at, queue);
        if (fatal_) return;
      }
      if (queue.waiting.empty() || queue.waiting.front().ready_at > now()) return;
      Request request;
      while (!queue.waiting.empty() && request.records.size() < weather.request_most) {
        request.records.push_back(std::move(queue.waiting.front()));
        queue.waiting.pop_front();
      }
      request.done_at = now() + world_.random.up_to(weather.request_delay);
      queue.request = std::move(request);
    }
  }

  void complete(const TopicPartition& at, Queue& queue) {
    const Weather& weather = world_.weather;
    const Request request = std::move(*queue.request);
    queue.request.reset();
    if (world_.random.chance(weather.fatal)) {
      if (world_.random.chance(0.5)) store(at, request);
      break_down("injected: out of order sequence");
      return;
    }
    std::optional<Error> error;
    if (world_.random.chance(weather.authentication_fails)) {
      error = Error{ErrorCode::kAuthentication, "injected: who are you"};
    } else if (world_.random.chance(weather.request_fails)) {
      if (world_.random.chance(0.5)) store(at, request);
      error = Error{ErrorCode::kUnavailable, "injected: not enough replicas"};
    } else {
      error = store(at, request);
    }
    const Instant when =
        std::max(queue.newest_report, now() + world_.random.up_to(weather.report_delay));
    for (const Sent& sent : request.records) report(queue, sent, error, when);
  }

  // All or nothing.
  std::optional<Error> store(const TopicPartition& at, const Request& request) {
    FakeLog* log = cluster_.log(at);
    if (log == nullptr) return Error{ErrorCode::kUnknownTopic, "no such topic: " + at.topic};
    std::vector<FakeRecord> records;
    for (const Sent& sent : request.records) {
      FakeRecord record;
      record.timestamp_ms = sent.timestamp_ms;
      if (sent.key) record.key = as_text(*sent.key);
      if (sent.value) record.value = as_text(*sent.value);
      record.headers = sent.owned_headers;
      for (const Header& header : sent.headers) {
        record.headers.emplace_back(
            header.name,
            header.value ? std::optional<std::string>(as_text(*header.value)) : std::nullopt);
      }
      record.id = sent.id;
      if (cluster_.refuse) {
        if (auto error = cluster_.refuse(at.topic, record)) return error;
      }
      records.push_back(std::move(record));
    }
    for (std::size_t i = 0; i < records.size(); ++i) {
      const std::uint64_t id = records[i].id;
      log->append(std::move(records[i]));
      if (world_.observer != nullptr) {
        world_.observer->stored(
            {id, request.records[i].epoch, at.topic, at.partition.value, log->records.size() - 1});
      }
    }
    cluster_.changed();
    return std::nullopt;
  }

  void report(Queue& queue, const Sent& sent, const std::optional<Error>& error, Instant when) {
    Delivery delivery;
    delivery.cookie = sent.cookie;
    delivery.delivered = !error;
    if (error) delivery.error = *error;
    const std::size_t bytes =
        (sent.key ? sent.key->size() : 0) + (sent.value ? sent.value->size() : 0);
    queue.reports.push_back({std::move(delivery), sent.id, sent.slot, bytes, when});
    queue.newest_report = when;
    waker_.wake();
  }

  FakeTarget& target_;
  FakeCluster& cluster_;
  World& world_;
  Waker& waker_;
  std::map<TopicPartition, Queue> queues_;
  std::size_t held_ = 0;
  std::size_t held_bytes_ = 0;
  std::map<std::uint32_t, std::size_t> held_by_slot_;
  std::optional<Error> fatal_;
  bool noticed_ = false;
};

inline Result<std::unique_ptr<Sink>> FakeTarget::make_sink(const SinkOptions& options,
                                                           Waker& waker) {
  const std::lock_guard lock(cluster_.world().mutex);
  cluster_.world().call();
  if (broken) return fail(*std::exchange(broken, std::nullopt));
  cluster_.newest_sink = options;
  return std::make_unique<FakeSink>(*this, options, waker);
}

inline Instant FakeTarget::next_event() const {
  Instant next = Instant::max();
  for (const FakeSink* sink : sinks) next = std::min(next, sink->next_event());
  return next;
}

inline bool FakeTarget::advance() {
  bool woken = false;
  for (FakeSink* sink : sinks) {
    sink->advance();
    woken = sink->take_wake_up() || woken;
  }
  return woken;
}

}  // namespace drawbridge::fakes

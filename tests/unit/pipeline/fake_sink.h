// Target and Sink over a FakeCluster.
//
// Requests as an idempotent producer makes them: one partition each, one outstanding per partition,
// in order. A broker takes a whole request or refuses a whole request, and later ones go on.
//
// A transactional sink is a state machine over its cluster's FakeCoordinator:
//
//   OPENING -> READY -> COMMITTING -> DECIDED -> READY     any state -> fatal
//                |          v                      ^
//                +----> ABORTING ------------------+
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/pipeline/fake_cluster.h"
#include "tests/unit/pipeline/fake_coordinator.h"
#include "tests/unit/pipeline/fake_source.h"

namespace drawbridge::fakes {

class FakeSink;

class FakeTarget final : public Target {
 public:
  explicit FakeTarget(FakeCluster& cluster, FakeCoordinator* coordinator = nullptr)
      : cluster_(cluster), coordinator_(coordinator) {}

  Result<std::string> cluster_id(Duration) override { return cluster_.id(); }
  Result<std::vector<TopicInfo>> topics(Duration) override {
    const std::lock_guard lock(cluster_.world().mutex);
    return cluster_.all();
  }
  Result<TopicInfo> topic(const std::string& name, Duration) override {
    const std::lock_guard lock(cluster_.world().mutex);
    auto info = cluster_.info(name);
    if (!info) return fail(ErrorCode::kUnknownTopic, "topic {} does not exist", name);
    return *info;
  }
  Result<TopicConfig> topic_config(const std::string& topic, Duration) override {
    const std::lock_guard lock(cluster_.world().mutex);
    if (!cluster_.info(topic)) {
      return fail(ErrorCode::kUnknownTopic, "topic {} does not exist", topic);
    }
    return cluster_.config(topic);
  }
  Result<void> create_topic(const NewTopic& topic, Duration) override {
    const std::lock_guard lock(cluster_.world().mutex);
    if (cluster_.info(topic.name)) return fail(ErrorCode::kExists, "it exists");
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
  [[nodiscard]] const FakeCluster& cluster() const { return cluster_; }
  FakeCoordinator* coordinator() { return coordinator_; }
  [[nodiscard]] Instant next_event() const;
  // Lets time pass for the network; says whether deliveries arrived since the last call.
  bool advance();

 private:
  FakeCluster& cluster_;
  FakeCoordinator* coordinator_;
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
    if (options.transaction) end_at_ = now() + delay();
  }
  ~FakeSink() override {
    const std::lock_guard lock(world_.mutex);
    std::erase(target_.sinks, this);
    if (options.transaction) {
      leave();
      return;
    }
    for (auto& [at, queue] : queues_) {  // what was on the wire may have arrived
      if (queue.request && world_.power && world_.random.chance(0.5)) store(at, *queue.request);
    }
  }
  FakeSink(const FakeSink&) = delete;
  FakeSink& operator=(const FakeSink&) = delete;

  Result<SendStatus> send(Record& record, std::uint64_t cookie) override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    if (fatal_) return fail(*fatal_);
    if (options.transaction && phase_ == Phase::kOpening) misuse("sent before it was ready");
    if (target_.unsendable) {
      if (auto error = target_.unsendable(record)) return fail(std::move(*error));
    }
    if (held_ >= world_.weather.queue_most || world_.random.chance(world_.weather.queue_full)) {
      return SendStatus::kQueueFull;
    }
    Sent sent;
    sent.cookie = cookie;
    // What no source sent, a ledger's, has none.
    if (record.native != nullptr) sent.id = FakeMessage::id_of(record);
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
    sent.number = accepted_++;
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
    if (end_at_ != Instant::max()) waker_.wake();  // whoever sleeps has to ask again
    noticed_ = false;
    for (auto& [at, queue] : queues_) {
      while (!queue.reports.empty() && queue.reports.front().at <= now()) {
        Report& report = queue.reports.front();
        if (!report.delivery.delivered && !report.of_the_past) failure_told_ = true;
        if (world_.observer != nullptr) {
          world_.observer->reported(report.id, at.topic, report.delivery.delivered);
        }
        out.push_back(std::move(report.delivery));
        if (report.before_cut) --unanswered_before_cut_;
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

  void begin_with(LedgerRecord record) override { first_ = std::move(record); }
  std::size_t cut(Cut how) override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    if (phase_ != Phase::kReady || cut_) misuse("cut twice, or while no transaction can be cut");
    cut_ = true;
    std::uint64_t before = accepted_;
    // A sink may know of more that is on its way.
    const bool under_way = std::ranges::any_of(
        queues_, [](const auto& q) { return q.second.request || !q.second.reports.empty(); });
    if (how == Cut::kUnderWay && under_way) {
      before = handed_;
      if (world_.random.chance(0.5)) {
        before += static_cast<std::uint64_t>(
            world_.random.between(0, static_cast<std::int64_t>(accepted_ - handed_)));
      }
    }
    for (auto& [at, queue] : queues_) {
      for (Report& report : queue.reports) report.before_cut = true;
      if (queue.request) {
        for (Sent& sent : queue.request->records) sent.before_cut = true;
      }
      for (Sent& sent : queue.waiting) sent.before_cut = sent.number < before;
      queue.before_cut =
          static_cast<std::size_t>(std::ranges::count(queue.waiting, true, &Sent::before_cut));
    }
    unanswered_before_cut_ = held_ - (accepted_ - before);
    return accepted_ - before;
  }
  void commit(std::vector<LedgerRecord> ledger) override {
    const std::lock_guard lock(world_.mutex);
    if (!world_.call()) return;
    if (phase_ != Phase::kReady || !cut_) misuse("commit without a cut");
    if (unanswered_before_cut_ > 0) misuse("commit before all was answered");
    if (failure_told_) misuse("commit of a transaction of which a part was not delivered");
    if (first_) ledger.insert(ledger.begin(), *first_);
    for (const LedgerRecord& said : ledger) {
      FakeRecord record;
      record.timestamp_ms = world_.clock.wall();
      record.key = as_text(said.key);
      record.value = as_text(said.value);
      ledger_.push_back(std::move(record));
    }
    go(Phase::kCommitting);
  }
  void abort() override {
    const std::lock_guard lock(world_.mutex);
    if (!world_.call()) return;
    if (phase_ != Phase::kReady) misuse("abort while another end is under way");
    cut_ = true;
    take_back();
    go(Phase::kAborting);
  }
  std::optional<TransactionEvent> take_transaction_event() override {
    const std::lock_guard lock(world_.mutex);
    world_.call();
    if (!event_) return std::nullopt;
    // On another thread's account, it may come before the last deliveries of what was aborted.
    if (deliveries_first_ && has_reports()) return std::nullopt;
    if (event_->kind == TransactionEvent::Kind::kAborted) take_back();
    ready_told_ = true;
    failure_told_ = false;
    cut_ = false;
    for (auto& [at, queue] : queues_) {
      queue.before_cut = 0;
      for (Report& report : queue.reports) {
        report.before_cut = false;
        report.of_the_past = true;
      }
    }
    unanswered_before_cut_ = 0;
    noticed_ = false;
    return std::exchange(event_, std::nullopt);
  }

  // ---- for tests ----
  void break_down(const std::string& why, ErrorCode code = ErrorCode::kClientFatal) {
    const std::lock_guard lock(world_.mutex);
    fatal_ = Error{code, why};
    waker_.wake();
  }
  // Whether it knows the ledger, and what it commits counts.
  [[nodiscard]] bool holds() const { return ready_told_ && coordinator().holds(id(), epoch_); }
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
      } else if (may_send(queue) > 0) {
        next = std::min(next, queue.waiting.front().ready_at);
      }
      if (!queue.reports.empty()) next = std::min(next, queue.reports.front().at);
    }
    return std::min(next, end_at_);
  }
  void advance() {
    const std::lock_guard lock(world_.mutex);
    if (!world_.power || fatal_) return;
    for (auto& [at, queue] : queues_) {
      advance(at, queue);
      if (fatal_) return;
    }
    if (options.transaction) advance_transaction();
  }
  bool take_wake_up() {
    bool has = fatal_ || (event_ && !(deliveries_first_ && has_reports()));
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
    std::uint64_t number = 0;  // of those accepted
    std::uint64_t id = 0;
    std::uint32_t slot = 0;
    std::uint64_t epoch = 0;
    std::int64_t timestamp_ms = 0;
    std::optional<ByteView> key;  // views into what the engine keeps alive
    std::optional<ByteView> value;
    std::vector<Header> headers;
    std::vector<FakeHeader> owned_headers;
    Instant ready_at;
    bool before_cut = false;
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
    bool before_cut;
    bool of_the_past = false;  // of a transaction that has ended
  };
  enum class Phase : std::uint8_t { kOpening, kReady, kCommitting, kDecided, kAborting };
  struct Queue {
    std::deque<Sent> waiting;
    std::optional<Request> request;
    std::deque<Report> reports;
    Instant newest_report;
    std::size_t before_cut = 0;  // of those that wait
  };

  [[nodiscard]] Instant now() const { return world_.clock.now(); }

  // How many of those that wait may go.
  [[nodiscard]] std::size_t may_send(const Queue& queue) const {
    return cut_ ? queue.before_cut : queue.waiting.size();
  }

  void advance(const TopicPartition& at, Queue& queue) {
    const Weather& weather = world_.weather;
    while (true) {
      if (queue.request) {
        if (queue.request->done_at > now()) return;
        complete(at, queue);
        if (fatal_) return;
      }
      if (may_send(queue) == 0 || queue.waiting.front().ready_at > now()) return;
      Request request;
      while (may_send(queue) > 0 && request.records.size() < weather.request_most) {
        handed_ = std::max(handed_, queue.waiting.front().number + 1);
        request.records.push_back(std::move(queue.waiting.front()));
        queue.waiting.pop_front();
        if (cut_) --queue.before_cut;
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
    if (fatal_) return;
    const Instant when =
        std::max(queue.newest_report, now() + world_.random.up_to(weather.report_delay));
    for (const Sent& sent : request.records) report(queue, sent, error, when);
  }

  static std::vector<FakeRecord> records_of(const Request& request) {
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
      records.push_back(std::move(record));
    }
    return records;
  }

  std::optional<Error> refusal(const TopicPartition& at, const std::vector<FakeRecord>& records) {
    if (!cluster_.refuse) return std::nullopt;
    for (const FakeRecord& record : records) {
      if (auto error = cluster_.refuse(at.topic, record)) return error;
    }
    return std::nullopt;
  }

  // All or nothing.
  std::optional<Error> store(const TopicPartition& at, const Request& request) {
    FakeLog* log = cluster_.log(at);
    if (log == nullptr) return Error{ErrorCode::kUnknownTopic, "no such topic: " + at.topic};
    std::vector<FakeRecord> records = records_of(request);
    if (auto error = refusal(at, records)) return error;
    const std::size_t first = log->records.size();
    if (options.transaction) {
      if (!coordinator().write(id(), epoch_, at, std::move(records))) {
        fence();
        return fatal_;
      }
    } else {
      for (FakeRecord& record : records) log->append(std::move(record));
    }
    for (std::size_t i = 0; i < request.records.size(); ++i) {
      if (world_.observer == nullptr) break;
      const Sent& sent = request.records[i];
      world_.observer->stored({sent.id, sent.epoch, at.topic, at.partition.value, first + i});
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
    queue.reports.push_back(
        {std::move(delivery), sent.id, sent.slot, bytes, when, sent.before_cut});
    queue.newest_report = when;
    waker_.wake();
  }

  // ---- transactions ----
  [[nodiscard]] const std::string& id() const { return options.transaction->transactional_id; }
  [[nodiscard]] FakeCoordinator& coordinator() const { return *target_.coordinator(); }
  [[nodiscard]] TopicPartition ledger() const {
    return {options.transaction->ledger_topic, Partition{options.transaction->ledger_partition}};
  }
  Duration delay() { return world_.random.up_to(world_.weather.end_delay); }
  void misuse(std::string_view how) {
    if (world_.observer != nullptr && world_.power && !fatal_) world_.observer->misused(how);
  }
  void fence() {
    // A transaction that timed out has the same look.
    break_down("injected: another producer has the transactional id",
               world_.random.chance(0.3) ? ErrorCode::kClientFatal : ErrorCode::kFenced);
  }
  void go(Phase phase) {
    phase_ = phase;
    end_at_ = now() + delay();
  }
  void come(TransactionEvent::Kind kind) {
    phase_ = Phase::kReady;
    end_at_ = Instant::max();
    event_ = TransactionEvent{kind, {}, std::exchange(why_aborted_, std::nullopt)};
    deliveries_first_ = world_.random.chance(0.5);
    ledger_.clear();
    waker_.wake();
  }
  [[nodiscard]] bool has_reports() const {
    return std::ranges::any_of(queues_, [](const auto& q) { return !q.second.reports.empty(); });
  }
  void take_back() {
    for (auto& [at, queue] : queues_) {
      for (const Sent& sent : queue.waiting) {
        report(queue, sent, Error{ErrorCode::kCancelled, "taken back"},
               std::max(queue.newest_report, now()));
      }
      queue.waiting.clear();
      queue.before_cut = 0;
    }
    handed_ = accepted_;
  }
  bool write_ledger() { return coordinator().write(id(), epoch_, ledger(), ledger_); }

  void advance_transaction() {
    if (end_at_ > now()) return;
    if (world_.weather.coordinator_down && phase_ != Phase::kDecided) {
      end_at_ = now() + std::chrono::milliseconds(50);
      return;
    }
    const Weather& weather = world_.weather;
    switch (phase_) {
      case Phase::kReady:
        return;
      case Phase::kOpening:
        open();
        return;
      case Phase::kCommitting:
        if (world_.random.chance(weather.transaction_breaks)) {
          if (world_.random.chance(0.5) && write_ledger()) coordinator().commit(id(), epoch_);
          phase_ = Phase::kDecided;
          break_down("injected: fatal in a commit");
        } else if (!leased()) {
          why_aborted_ = Error{ErrorCode::kFenced, "injected: illegal generation"};
          go(Phase::kAborting);
        } else if (world_.random.chance(weather.commit_fails)) {
          if (world_.random.chance(0.5)) static_cast<void>(write_ledger());
          why_aborted_ = Error{ErrorCode::kUnavailable, "injected: the commit must be aborted"};
          go(Phase::kAborting);
        } else if (write_ledger() && coordinator().commit(id(), epoch_)) {
          go(Phase::kDecided);
          if (world_.random.chance(weather.commit_late)) {
            end_at_ += world_.random.up_to(std::chrono::seconds(3));
          }
        } else {
          fence();
        }
        return;
      case Phase::kDecided:
        if (!coordinator().holds(id(), epoch_)) {
          fence();
        } else if (!coordinator().ended(id())) {
          end_at_ = now() + std::chrono::milliseconds(1);
        } else {
          come(TransactionEvent::Kind::kCommitted);
        }
        return;
      case Phase::kAborting:
        if (std::ranges::any_of(queues_,
                                [](const auto& q) { return q.second.request.has_value(); }))
          end_at_ = now() + std::chrono::milliseconds(1);
        else if (world_.random.chance(weather.transaction_breaks))
          break_down("injected: fatal in an abort");
        else if (!coordinator().abort(id(), epoch_))
          fence();
        else if (!coordinator().ended(id()))
          end_at_ = now() + std::chrono::milliseconds(1);
        else
          come(TransactionEvent::Kind::kAborted);
        return;
    }
  }

  [[nodiscard]] bool leased() const {
    const auto& lease = options.transaction->lease;
    return !lease || lease->confirm({}).has_value();
  }

  void open() {
    if (!leased()) {
      break_down("injected: the lease is over", ErrorCode::kFenced);
      return;
    }
    if (world_.random.chance(world_.weather.open_breaks)) {
      break_down("injected: fatal in taking over");
      return;
    }
    if (epoch_ == 0) {
      const auto epoch = coordinator().take_over(id());
      end_at_ = now() + (epoch ? delay() : Duration(std::chrono::milliseconds(1)));
      epoch_ = epoch.value_or(0);
      if (!epoch || end_at_ > now()) return;
    }
    come(TransactionEvent::Kind::kReady);
    for (const FakeRecord& record : coordinator().committed(ledger())) {
      const ByteView key = as_bytes(*record.key);
      const ByteView value = as_bytes(*record.value);
      event_->ledger.push_back({Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end())});
    }
  }

  // What is on the wire arrives later, or not at all.
  void leave() {
    Random& random = world_.random;
    constexpr Duration kMost = std::chrono::milliseconds(300);
    FakeCoordinator& from = coordinator();
    if (phase_ == Phase::kOpening && epoch_ == 0) {
      if (random.chance(0.1))
        from.later(random.up_to(kMost),
                   [&from, name = id()] { static_cast<void>(from.take_over(name)); });
      return;
    }
    for (auto& [at, queue] : queues_) {
      if (!queue.request || random.chance(0.5)) continue;
      std::vector<FakeRecord> records = records_of(*queue.request);
      if (refusal(at, records)) continue;
      from.later(random.up_to(kMost), [&from, name = id(), epoch = epoch_, at, records] {
        if (!from.write(name, epoch, at, records)) ++from.fenced;
      });
    }
    if (phase_ == Phase::kCommitting && random.chance(0.5)) {
      from.later(random.up_to(kMost),
                 [&from, name = id(), epoch = epoch_, at = ledger(), ledger = ledger_] {
                   if (from.write(name, epoch, at, ledger)) from.commit(name, epoch);
                 });
    } else if (phase_ == Phase::kReady && world_.power && random.chance(0.3)) {
      static_cast<void>(from.abort(id(), epoch_));
    }
  }

  FakeTarget& target_;
  FakeCluster& cluster_;
  World& world_;
  Waker& waker_;
  // Of transactions:
  Phase phase_ = Phase::kOpening;
  Instant end_at_ = Instant::max();  // when the phase goes on
  FakeCoordinator::Epoch epoch_ = 0;
  bool ready_told_ = false;
  bool cut_ = false;
  std::uint64_t accepted_ = 0;
  std::uint64_t handed_ = 0;  // all that were put in a request have lower numbers
  std::size_t unanswered_before_cut_ = 0;
  bool failure_told_ = false;
  std::optional<LedgerRecord> first_;  // of each transaction
  std::vector<FakeRecord> ledger_;
  std::optional<TransactionEvent> event_;
  std::optional<Error> why_aborted_;
  bool deliveries_first_ = false;
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

#include "bridge/kafka/sink.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <functional>
#include <span>
#include <utility>

#include "bridge/base/log.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/message.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::kafka {
namespace {

constexpr Duration kLogInterval = std::chrono::seconds(10);
constexpr std::size_t kRecordOverhead = 36;  // the library's RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD
constexpr std::size_t kUnbatchedWindow = 5;  // requests of a partition, of one record each
constexpr Duration kLeastWindow = std::chrono::milliseconds(1);
constexpr std::uint64_t kOfLedger = UINT64_MAX;  // the cookie of what nobody waits for

Instant now() { return SystemClock().now(); }

// The sink that this thread polls just now: reports come from within rd_kafka_poll(), or, while a
// transaction ends, on the transactor's thread.
thread_local const KafkaSink* polled = nullptr;

static_assert(sizeof(void*) == sizeof(std::uint64_t), "cookies travel as pointers");

// Where a null pointer would mean null instead of empty.
constexpr std::uint8_t kEmpty = 0;

struct Mutable {
  void* data = nullptr;
  std::size_t size = 0;
};

Mutable to_mutable(const std::optional<ByteView>& view) {
  if (!view) return {};
  const std::uint8_t* data = view->empty() ? &kEmpty : view->data();
  return {const_cast<std::uint8_t*>(data), view->size()};  // the library does not write to it
}

Delivery undelivered(std::uint64_t cookie, Error error) {
  Delivery delivery;
  delivery.cookie = cookie;
  delivery.error = std::move(error);
  return delivery;
}

void add_header(rd_kafka_headers_t& headers, const Header& header) {
  const Mutable bytes = to_mutable(header.value);
  rd_kafka_header_add(&headers, header.name.data(), static_cast<ssize_t>(header.name.size()),
                      bytes.data, static_cast<ssize_t>(bytes.size));
}

// Whether the first `count` headers are the library's own, unchanged.
bool begins_with(std::span<const Header> headers, const rd_kafka_headers_t& own,
                 std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    rd_kafka_header_get_all(&own, i, &name, &value, &size);
    const auto& [same_name, same] = headers[i];
    if (same_name.data() != name || same.has_value() != (value != nullptr)) return false;
    if (same && (same->data() != value || same->size() != size)) return false;
  }
  return true;
}

std::string where(const Record& record) {
  return fmt::format("{} [{}] offset {} for {}", record.topic, record.partition.value,
                     record.offset.value, record.target_topic);
}

}  // namespace

Result<std::unique_ptr<Sink>> KafkaSink::make(const ClusterOptions& cluster,
                                              const Properties& properties,
                                              const SinkOptions& options, Waker& waker) {
  std::unique_ptr<KafkaSink> sink(new KafkaSink(options, waker));
  DRAWBRIDGE_ASSIGN(sink->client_,
                    Client::make(producer_settings(cluster, properties, options), sink.get()));
  // A request that is not quite full, and was not gathered for quite as long as the library would
  // wait, takes everything along: what it left behind would wait in the library's queue.
  const Client& client = *sink->client_;
  sink->record_limit_ = static_cast<std::size_t>(client.number("message.max.bytes"));
  sink->request_limit_ = static_cast<std::size_t>(
      0.9 * std::min(client.number("batch.size"), static_cast<double>(sink->record_limit_)));
  sink->request_window_ = std::max(
      kLeastWindow, std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(
                        0.75 * client.number("linger.ms"))));
  sink->queue_.reset(rd_kafka_queue_get_main(sink->client_->handle()));
  static constexpr std::uint64_t kOne = 1;  // what an eventfd takes
  rd_kafka_queue_io_event_enable(sink->queue_.get(), waker.fd(), &kOne, sizeof kOne);
  if (options.transaction) {
    sink->transactor_ = std::make_unique<Transactor>(sink->client_, with(cluster, properties),
                                                     *options.transaction, waker);
  }
  return sink;
}

KafkaSink::~KafkaSink() {
  if (!client_) return;
  transactor_.reset();
  rd_kafka_t* rk = client_->handle();
  rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
  rd_kafka_purge(
      rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
  const auto begin = std::chrono::steady_clock::now();
  auto logged = begin;
  while (rd_kafka_outq_len(rk) > 0) {
    rd_kafka_poll(rk, 10);
    const auto now = std::chrono::steady_clock::now();
    if (now - logged < kLogInterval) continue;
    logged = now;
    log(Level::kWarning, "waiting for the producer to let go of records",
        {{"client", client_->name()}, {"records", rd_kafka_outq_len(rk)}});
  }
  client_->forget_listener();
}

std::size_t KafkaSink::Parcel::bytes() const {
  return (key ? key->size() : 0) + (value ? value->size() : 0) + kRecordOverhead;
}

Result<SendStatus> KafkaSink::send(Record& record, std::uint64_t cookie) {
  if (fatal_) return fail(*fatal_);
  if (!record.target_partition)
    return fail(ErrorCode::kInternal, "no target partition: {}", where(record));
  Topic* to = topic(record.target_topic);
  if (to == nullptr)
    return fail(make_error(rd_kafka_last_error(), where(record), "not a topic name"));

  Parcel parcel{{}, record.key, record.value, record.timestamp_ms, cookie, accepted_};
  const bool adapt_timestamp = record.timestamp_ms == 0;
  if (adapt_timestamp) {
    DRAWBRIDGE_TRY(unsendable(record, "its timestamp is 0"));
    parcel.timestamp_ms = 1;
  }
  const std::uint64_t adapted_before = adapted_;
  DRAWBRIDGE_ASSIGN(parcel.headers, headers_of(record));

  if (least_size(parcel) > record_limit_) {
    adapted_ = adapted_before;
    return fail(make_error(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, where(record)));
  }

  Lane& way = lane(*to, record.target_partition->value);
  bool taken = false;
  if (!held_ && way.waiting.empty() && open(way, parcel.bytes())) {
    const auto sent = hand_over(way, parcel);
    if (!sent && !fatal_) {
      adapted_ = adapted_before;
      return fail(sent.error());
    }
    // A record whose headers were taken from it cannot be sent again: with a client that broke
    // just now it stays here, and is lost with the others that have no Delivery yet.
    taken = sent && *sent;
    if (sent && !taken) idle_.push_back(&way);
  }
  if (!taken) way.waiting.push_back(std::move(parcel));
  ++accepted_;
  if (adapt_timestamp) ++adapted_;
  return SendStatus::kAccepted;
}

// What the record takes at least by the library's count, which refuses what is too large only when
// it is handed over, when others have been accepted behind it.
std::size_t KafkaSink::least_size(const Parcel& parcel) const {
  std::size_t size = parcel.bytes();
  if (!parcel.headers || size < record_limit_ / 2) return size;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t value_size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(parcel.headers.get(), i, &name, &value,
                                                  &value_size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i)
    size += std::string_view(name).size() + value_size + 2;
  return size;
}

// Whether the library may have the lane's next record now.
bool KafkaSink::open(Lane& lane, std::size_t bytes) {
  if (options_.one_record_a_request) return lane.unanswered < kUnbatchedWindow;
  if (lane.unanswered == 0) {
    lane.request_bytes = 0;
    lane.request_since = now();
    return true;
  }
  return lane.request_bytes + bytes <= request_limit_ &&
         now() - lane.request_since < request_window_;
}

// False: the library's queue is full.
Result<bool> KafkaSink::hand_over(Lane& lane, Parcel& parcel) {
  if (transactor_) DRAWBRIDGE_TRY(begin());
  const Mutable key = to_mutable(parcel.key);
  const Mutable value = to_mutable(parcel.value);
  const auto error = rd_kafka_producev(
      client_->handle(), RD_KAFKA_VTYPE_RKT, lane.topic->handle.get(), RD_KAFKA_VTYPE_PARTITION,
      lane.partition, RD_KAFKA_VTYPE_VALUE, value.data, value.size, RD_KAFKA_VTYPE_KEY, key.data,
      key.size, RD_KAFKA_VTYPE_TIMESTAMP, parcel.timestamp_ms, RD_KAFKA_VTYPE_HEADERS,
      parcel.headers.get(), RD_KAFKA_VTYPE_OPAQUE, std::bit_cast<void*>(parcel.cookie),
      RD_KAFKA_VTYPE_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    static_cast<void>(parcel.headers.release());  // the library's now
    ++lane.unanswered;
    lane.request_bytes += parcel.bytes();
    handed_ = std::max(handed_, parcel.number + 1);
    return true;
  }
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return false;
  if (auto fatal = client_->fatal()) {
    fatal_ = fatal;
    return fail(std::move(*fatal));
  }
  // The transaction has failed meanwhile, and can only be aborted.
  if (transactor_ && error == RD_KAFKA_RESP_ERR__STATE)
    return fail(ErrorCode::kCancelled, "the transaction has failed");
  return fail(make_error(
      error,
      fmt::format("{} [{}]", rd_kafka_topic_name(lane.topic->handle.get()), lane.partition)));
}

void KafkaSink::hand_over_waiting(Lane& lane) {
  while (!lane.waiting.empty() && open(lane, lane.waiting.front().bytes())) {
    if (held_ && lane.before_cut == 0) return;
    const auto sent = hand_over(lane, lane.waiting.front());
    if (fatal_ || (sent && !*sent)) return;
    const std::uint64_t cookie = lane.waiting.front().cookie;
    lane.waiting.pop_front();
    if (lane.before_cut > 0) --lane.before_cut;
    if (!sent) {
      out_->push_back(undelivered(cookie, sent.error()));
      take_back(lane, *out_);
    }
  }
}

void KafkaSink::take_back(Lane& lane, std::vector<Delivery>& out) {
  for (const Parcel& parcel : lane.waiting)
    out.push_back(
        undelivered(parcel.cookie, {ErrorCode::kCancelled, "taken back before it was sent"}));
  lane.waiting.clear();
  lane.before_cut = 0;
}

void KafkaSink::take_back_all() {
  for (auto& [name, topic] : topics_)
    for (Lane& lane : topic->lanes) take_back(lane, taken_back_);
  handed_ = accepted_;
  if (!taken_back_.empty()) waker_.wake();
}

void KafkaSink::poll(std::vector<Delivery>& out) {
  out.insert(out.end(), taken_back_.begin(), taken_back_.end());
  taken_back_.clear();
  out_ = &out;
  polled = this;
  rd_kafka_poll(client_->handle(), 0);
  polled = nullptr;
  if (transactor_) {
    std::vector<Report> reports;
    {
      const std::lock_guard lock(elsewhere_mutex_);
      reports.swap(elsewhere_);
    }
    for (const Report& report : reports) take_report(report);
    if (auto why = transactor_->fatal()) fatal_ = std::move(why);
  }
  std::erase_if(idle_, [&](Lane* lane) {
    hand_over_waiting(*lane);
    return lane->waiting.empty() || lane->unanswered > 0 || (held_ && lane->before_cut == 0);
  });
  out_ = nullptr;
}

void KafkaSink::purge() {
  take_back_all();
  rd_kafka_purge(client_->handle(), RD_KAFKA_PURGE_F_QUEUE);
}

void KafkaSink::on_delivery(const rd_kafka_message_t& message) {
  const Report report{static_cast<Topic*>(rd_kafka_topic_opaque(message.rkt)), message.err,
                      message.partition, message.offset,
                      std::bit_cast<std::uint64_t>(message._private)};
  if (polled == this) {
    take_report(report);
  } else if (options_.transaction) {
    {
      const std::lock_guard lock(elsewhere_mutex_);
      elsewhere_.push_back(report);
    }
    waker_.wake();
  }
}

void KafkaSink::take_report(const Report& report) {
  if (report.cookie == kOfLedger) {  // one that is not delivered fails the commit
    if (report.error == RD_KAFKA_RESP_ERR_NO_ERROR) transactor_->wrote_ledger(report.offset);
    if (code_of(report.error) == ErrorCode::kTooLarge) {
      const std::string& ledger = options_.transaction->ledger_topic;
      ledger_refused_ =
          Error{ErrorCode::kInvalid,
                make_error(report.error, fmt::format("{}: the ledger {}", client_->name(), ledger))
                        .message +
                    "; raise the max.message.bytes of that topic"};
    }
    return;
  }
  Delivery& delivery = out_->emplace_back();
  delivery.cookie = report.cookie;
  delivery.delivered = report.error == RD_KAFKA_RESP_ERR_NO_ERROR;
  delivery.partition = report.partition;
  delivery.offset = report.offset;
  if (!delivery.delivered) {
    const char* name = rd_kafka_topic_name(report.topic->handle.get());
    delivery.error =
        naming_right(client_->error(report.error, fmt::format("{} [{}]", name, report.partition)),
                     client_->grantee(), {"Write"}, Resource::kTopic, name);
  }
  Lane& done = lane(*report.topic, report.partition);
  --done.unanswered;
  if (!delivery.delivered) take_back(done, *out_);
  if (done.unanswered == 0 && !done.waiting.empty()) idle_.push_back(&done);
}

void KafkaSink::on_error(rd_kafka_resp_err_t error, std::string_view /*reason*/) {
  if (error != RD_KAFKA_RESP_ERR__FATAL) return;
  // A call that is under way tells the same, and more.
  if (polled != this || (transactor_ && transactor_->busy())) return;
  if (!fatal_) fatal_ = client_->fatal();
}

// ---- transactions ---------------------------------------------------------------------------

bool KafkaSink::under_way() const {
  return std::ranges::any_of(topics_, [](const auto& topic) {
    return std::ranges::any_of(topic.second->lanes,
                               [](const Lane& lane) { return lane.unanswered > 0; });
  });
}

std::size_t KafkaSink::cut(Cut how) {
  held_ = true;
  const std::uint64_t before = how == Cut::kUnderWay && under_way() ? handed_ : accepted_;
  for (auto& [name, topic] : topics_) {
    for (Lane& lane : topic->lanes) {
      const auto first_after = std::ranges::lower_bound(lane.waiting, before, {}, &Parcel::number);
      lane.before_cut = static_cast<std::size_t>(first_after - lane.waiting.begin());
    }
  }
  transactor_->cut();
  return accepted_ - before;
}

void KafkaSink::commit(std::vector<LedgerRecord> ledger) {
  auto written = begin();
  for (auto record = ledger.begin(); written && record != ledger.end(); ++record) {
    written = write_ledger(*record);
  }
  if (!fatal_) transactor_->commit(written.has_value());
}

Result<void> KafkaSink::begin() {
  if (transactor_->open()) return {};
  if (auto begun = transactor_->begin(); !begun) {
    fatal_ = begun.error();
    return fail(*fatal_);
  }
  return first_ ? write_ledger(*first_) : Result<void>();
}

// Errors: fatal_; kCancelled, where the transaction has failed meanwhile and can only be aborted.
Result<void> KafkaSink::write_ledger(const LedgerRecord& record) {
  Topic* to = topic(options_.transaction->ledger_topic);
  const Mutable key = to_mutable(record.key);
  const Mutable value = to_mutable(record.value);
  const auto error =
      to == nullptr
          ? rd_kafka_last_error()
          : rd_kafka_producev(client_->handle(), RD_KAFKA_VTYPE_RKT, to->handle.get(),
                              RD_KAFKA_VTYPE_PARTITION, options_.transaction->ledger_partition,
                              RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_KEY,
                              key.data, key.size, RD_KAFKA_VTYPE_VALUE, value.data, value.size,
                              RD_KAFKA_VTYPE_OPAQUE, std::bit_cast<void*>(kOfLedger),
                              RD_KAFKA_VTYPE_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  if (error == RD_KAFKA_RESP_ERR__STATE)
    return fail(ErrorCode::kCancelled, "the transaction has failed");
  // Without its ledger nothing of the transaction may stay: the new sink's predecessor aborts it.
  fatal_ =
      Error{ErrorCode::kClientFatal, make_error(error, options_.transaction->ledger_topic).message};
  return fail(*fatal_);
}

void KafkaSink::abort() {
  held_ = true;
  take_back_all();
  transactor_->abort();
}

std::optional<TransactionEvent> KafkaSink::take_transaction_event() {
  auto event = transactor_->take_event();
  if (!event) return event;
  if (event->kind == TransactionEvent::Kind::kAborted) {
    take_back_all();
    // The next transaction would fare no better.
    if (auto why = client_->refused()) fatal_ = std::move(why);
    if (ledger_refused_) fatal_ = std::move(ledger_refused_);
  }
  let_go();
  return event;
}

// The next transaction may have what waits for it.
void KafkaSink::let_go() {
  held_ = false;
  idle_.clear();
  for (auto& [name, topic] : topics_) {
    for (Lane& lane : topic->lanes) {
      lane.before_cut = 0;
      if (lane.unanswered == 0 && !lane.waiting.empty()) idle_.push_back(&lane);
    }
  }
  if (!idle_.empty()) waker_.wake();
}

KafkaSink::Topic* KafkaSink::topic(std::string_view name) {
  if (last_topic_ != nullptr && name == last_name_) return last_topic_;
  auto found = topics_.find(std::string(name));
  if (found == topics_.end()) {
    auto made = std::make_unique<Topic>();
    rd_kafka_topic_conf_t* conf = rd_kafka_default_topic_conf_dup(client_->handle());
    rd_kafka_topic_conf_set_opaque(conf, made.get());
    made->handle.reset(rd_kafka_topic_new(client_->handle(), std::string(name).c_str(), conf));
    if (!made->handle) {
      rd_kafka_topic_conf_destroy(conf);  // which the library takes only when all is well
      return nullptr;
    }
    found = topics_.emplace(name, std::move(made)).first;
  }
  last_name_ = found->first;
  last_topic_ = found->second.get();
  return last_topic_;
}

KafkaSink::Lane& KafkaSink::lane(Topic& topic, std::int32_t partition) {
  const auto index = static_cast<std::size_t>(partition);
  while (index >= topic.lanes.size()) {
    topic.lanes.emplace_back();
    topic.lanes.back().topic = &topic;
    topic.lanes.back().partition = static_cast<std::int32_t>(topic.lanes.size()) - 1;
  }
  return topic.lanes[index];
}

Result<HeadersPtr> KafkaSink::headers_of(Record& record) {
  auto* message = static_cast<rd_kafka_message_t*>(record.headers.native());
  if (message == nullptr) return rebuilt_headers(record);
  if (!record.headers.untouched()) {
    HeadersPtr edited = record.headers.native_kept() ? extended_headers(*message, record.headers)
                                                     : edited_headers(*message, record.headers);
    return edited ? Result<HeadersPtr>(std::move(edited)) : rebuilt_headers(record);
  }
  rd_kafka_headers_t* headers = nullptr;
  // Views of decoded headers point into the message's own list, which must then stay.
  const auto error = record.headers.decoded() ? rd_kafka_message_headers(message, &headers)
                                              : rd_kafka_message_detach_headers(message, &headers);
  if (error == RD_KAFKA_RESP_ERR__NOENT) return HeadersPtr();
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(ErrorCode::kUnsendable, "{}: its headers cannot be read: {}", where(record),
                rd_kafka_err2str(error));
  return HeadersPtr(record.headers.decoded() ? rd_kafka_headers_copy(headers) : headers);
}

// A copy of the message's own list with more behind it, as dead letters have; whole even where a
// name holds a NUL. Null where more than that differs.
HeadersPtr KafkaSink::extended_headers(rd_kafka_message_t& message, const Headers& wanted) {
  const auto& all = wanted.all();
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return nullptr;
  const std::size_t came = rd_kafka_header_cnt(headers);
  if (all.size() < came || !begins_with(all, *headers, came)) return nullptr;
  HeadersPtr extended(rd_kafka_headers_copy(headers));
  for (std::size_t i = came; i < all.size(); ++i) add_header(*extended, all[i]);
  return extended;
}

// The message's own list with another value for its last header, which is what re-keying does to
// most records; null where more than that differs. Cheaper than a list made anew.
HeadersPtr KafkaSink::edited_headers(rd_kafka_message_t& message, const Headers& wanted) {
  const auto& all = wanted.all();
  rd_kafka_headers_t* headers = nullptr;
  if (all.empty() || rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_cnt(headers) != all.size())
    return nullptr;
  const Header& last = all.back();
  const std::span before_last(all.data(), all.size() - 1);
  if (!begins_with(before_last, *headers, before_last.size()) ||
      std::ranges::find(before_last, last.name, &Header::name) != before_last.end())
    return nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  // Found by its name only where that is whole (no NUL in it).
  const std::string last_name(last.name);
  if (rd_kafka_header_get_last(headers, last_name.c_str(), &value, &size) !=
      RD_KAFKA_RESP_ERR_NO_ERROR)
    return nullptr;
  const Mutable bytes = to_mutable(last.value);
  const void* end = static_cast<const std::uint8_t*>(value) + size;
  const std::less<const void*> before;
  if (!before(bytes.data, value) && before(bytes.data, end))
    return nullptr;  // a view of what would be removed
  rd_kafka_message_detach_headers(&message, &headers);
  rd_kafka_header_remove(headers, last_name.c_str());
  add_header(*headers, {last_name, last.value});
  return HeadersPtr(headers);
}

Result<HeadersPtr> KafkaSink::rebuilt_headers(const Record& record) {
  if (auto* message = static_cast<rd_kafka_message_t*>(record.headers.native())) {
    rd_kafka_headers_t* came = nullptr;
    const auto error = rd_kafka_message_headers(message, &came);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__NOENT)
      return fail(ErrorCode::kUnsendable, "{}: its headers cannot be read: {}", where(record),
                  rd_kafka_err2str(error));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && !names_are_whole(*came)) {
      DRAWBRIDGE_TRY(unsendable(record, "a header's name holds a NUL"));
      ++adapted_;
    }
  }
  const auto& all = record.headers.all();
  if (all.empty()) return HeadersPtr();
  HeadersPtr headers(rd_kafka_headers_new(all.size()));
  for (const Header& header : all) add_header(*headers, header);
  return headers;
}

Result<void> KafkaSink::unsendable(const Record& record, std::string_view why) {
  if (options_.unsendable == Unsendable::kAdapt) return {};
  return fail(ErrorCode::kUnsendable, "{}: {}, which the client library cannot send", where(record),
              why);
}

}  // namespace drawbridge::kafka

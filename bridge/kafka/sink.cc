#include "bridge/kafka/sink.h"

#include <bit>
#include <chrono>

#include "bridge/base/log.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/message.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::kafka {
namespace {

constexpr Duration kLogInterval = std::chrono::seconds(10);

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

std::string where(const Record& record) {
  return fmt::format("{} [{}] offset {} for {}", record.topic, record.partition.value,
                     record.offset.value, record.target_topic);
}

}  // namespace

Result<std::unique_ptr<Sink>> KafkaSink::make(const ClusterOptions& cluster,
                                              const Properties& properties,
                                              const SinkOptions& options, Waker& waker) {
  std::unique_ptr<KafkaSink> sink(new KafkaSink(options));
  DRAWBRIDGE_ASSIGN(sink->client_,
                    Client::make(producer_settings(cluster, properties, options), sink.get()));
  sink->queue_.reset(rd_kafka_queue_get_main(sink->client_->handle()));
  static constexpr std::uint64_t kOne = 1;  // what an eventfd takes
  rd_kafka_queue_io_event_enable(sink->queue_.get(), waker.fd(), &kOne, sizeof kOne);
  return sink;
}

KafkaSink::~KafkaSink() {
  if (!client_) return;
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
}

Result<SendStatus> KafkaSink::send(Record& record, std::uint64_t cookie) {
  if (fatal_) return fail(*fatal_);
  if (!record.target_partition)
    return fail(ErrorCode::kInternal, "no target partition: {}", where(record));
  rd_kafka_topic_t* to = topic(record.target_topic);
  if (to == nullptr)
    return fail(make_error(rd_kafka_last_error(), where(record), "not a topic name"));

  std::int64_t timestamp = record.timestamp_ms;
  const bool adapt_timestamp = timestamp == 0;
  if (adapt_timestamp) {
    DRAWBRIDGE_TRY(unsendable(record, "its timestamp is 0"));
    timestamp = 1;
  }
  const std::uint64_t adapted_before = adapted_;
  DRAWBRIDGE_ASSIGN(HeadersPtr headers, headers_of(record));

  const Mutable key = to_mutable(record.key);
  const Mutable value = to_mutable(record.value);
  const auto error =
      rd_kafka_producev(client_->handle(), RD_KAFKA_VTYPE_RKT, to, RD_KAFKA_VTYPE_PARTITION,
                        record.target_partition->value, RD_KAFKA_VTYPE_VALUE, value.data,
                        value.size, RD_KAFKA_VTYPE_KEY, key.data, key.size,
                        RD_KAFKA_VTYPE_TIMESTAMP, timestamp, RD_KAFKA_VTYPE_HEADERS, headers.get(),
                        RD_KAFKA_VTYPE_OPAQUE, std::bit_cast<void*>(cookie), RD_KAFKA_VTYPE_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    static_cast<void>(headers.release());  // the library's now
    if (adapt_timestamp) ++adapted_;
    return SendStatus::kAccepted;
  }
  // Headers that were taken from the consumed message are read from it again by the next send.
  adapted_ = adapted_before;
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return SendStatus::kQueueFull;
  if (auto fatal = client_->fatal()) {
    fatal_ = fatal;
    return fail(std::move(*fatal));
  }
  return fail(make_error(error, where(record)));
}

void KafkaSink::poll(std::vector<Delivery>& out) {
  out_ = &out;
  rd_kafka_poll(client_->handle(), 0);
  out_ = nullptr;
}

void KafkaSink::purge() { rd_kafka_purge(client_->handle(), RD_KAFKA_PURGE_F_QUEUE); }

void KafkaSink::on_delivery(const rd_kafka_message_t& message) {
  if (out_ == nullptr) return;
  Delivery& delivery = out_->emplace_back();
  delivery.cookie = std::bit_cast<std::uint64_t>(message._private);
  delivery.delivered = message.err == RD_KAFKA_RESP_ERR_NO_ERROR;
  delivery.partition = message.partition;
  delivery.offset = message.offset;
  if (!delivery.delivered)
    delivery.error = make_error(
        message.err, fmt::format("{} [{}]", rd_kafka_topic_name(message.rkt), message.partition));
}

void KafkaSink::on_error(rd_kafka_resp_err_t error, std::string_view /*reason*/) {
  if (error == RD_KAFKA_RESP_ERR__FATAL && !fatal_) fatal_ = client_->fatal();
}

rd_kafka_topic_t* KafkaSink::topic(std::string_view name) {
  if (last_topic_ != nullptr && name == last_name_) return last_topic_;
  auto found = topics_.find(std::string(name));
  if (found == topics_.end()) {
    TopicPtr handle(rd_kafka_topic_new(client_->handle(), std::string(name).c_str(), nullptr));
    if (!handle) return nullptr;
    found = topics_.emplace(name, std::move(handle)).first;
  }
  last_name_ = found->first;
  last_topic_ = found->second.get();
  return last_topic_;
}

Result<HeadersPtr> KafkaSink::headers_of(Record& record) {
  auto* message = static_cast<rd_kafka_message_t*>(record.headers.native());
  if (message == nullptr || !record.headers.untouched()) return rebuilt_headers(record);
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
  for (const auto& [name, value] : all) {
    const Mutable bytes = to_mutable(value);
    rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()), bytes.data,
                        static_cast<ssize_t>(bytes.size));
  }
  return headers;
}

Result<void> KafkaSink::unsendable(const Record& record, std::string_view why) {
  if (options_.unsendable == Unsendable::kAdapt) return {};
  return fail(ErrorCode::kUnsendable, "{}: {}, which the client library cannot send", where(record),
              why);
}

}  // namespace drawbridge::kafka

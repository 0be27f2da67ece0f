// Sink on librdkafka: one idempotent producer of a shard.
//
// Values are not copied before the library builds its request; keys are. Untouched headers of a
// consumed record are handed on in the library's own form, unless somebody holds views of them.
// Timestamps of 0 cannot be sent (the library takes them for "now"), nor can changed headers one
// of whose names holds a NUL (the library does not show what follows it): SinkOptions::unsendable
// decides, and adapting makes the timestamp 1 and cuts the name.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

class KafkaSink final : public Sink, private ClientListener {
 public:
  static Result<std::unique_ptr<Sink>> make(const ClusterOptions& cluster,
                                            const Properties& properties,
                                            const SinkOptions& options, Waker& waker);
  // Takes back everything. Returns only when the library holds no view of a record any more,
  // since their memory is about to be used again.
  ~KafkaSink() override;

  Result<SendStatus> send(Record& record, std::uint64_t cookie) override;
  void poll(std::vector<Delivery>& out) override;
  void purge() override;
  [[nodiscard]] std::optional<Error> fatal() const override { return fatal_; }
  [[nodiscard]] std::uint64_t adapted() const override { return adapted_; }

 private:
  explicit KafkaSink(const SinkOptions& options) : options_(options) {}
  void on_delivery(const rd_kafka_message_t& message) override;
  void on_error(rd_kafka_resp_err_t error, std::string_view reason) override;

  rd_kafka_topic_t* topic(std::string_view name);
  Result<HeadersPtr> headers_of(Record& record);
  Result<HeadersPtr> rebuilt_headers(const Record& record);
  Result<void> unsendable(const Record& record, std::string_view why);

  const SinkOptions options_;
  std::unique_ptr<Client> client_;
  QueuePtr queue_;
  std::unordered_map<std::string, TopicPtr> topics_;
  std::string_view last_name_;  // views a key of topics_
  rd_kafka_topic_t* last_topic_ = nullptr;
  std::vector<Delivery>* out_ = nullptr;  // while polling
  std::optional<Error> fatal_;
  std::uint64_t adapted_ = 0;
};

}  // namespace drawbridge::kafka

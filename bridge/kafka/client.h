// The one place that makes clients of the Kafka library: configuration, callbacks, an end in
// bounded time.
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/kafka/rights.h"
#include "bridge/pipeline/options.h"

namespace drawbridge::kafka {

enum class Role : std::uint8_t { kConsumer, kProducer };

struct ClientConfig {
  Role role = Role::kProducer;
  std::string name;     // for logs and errors: "source dc"
  Properties user;      // as configured; what is for the other role is left out
  Properties defaults;  // for what the user does not say
  Properties owned;     // the bridge's own, which no user setting changes
  int events = 0;       // RD_KAFKA_EVENT_* to come out of event queues
};

// What a client calls back. All of it comes from within calls of the library that its user makes
// (polls), on that thread.
class ClientListener {
 public:
  virtual ~ClientListener() = default;
  virtual void on_delivery(const rd_kafka_message_t& /*message*/) {}
  // `reason` may begin with "TOPIC [PARTITION]: ".
  virtual void on_error(rd_kafka_resp_err_t /*error*/, std::string_view /*reason*/) {}
};

// Owns an rd_kafka_t. Thread-safe as far as the library is.
class Client {
 public:
  // Errors: kInvalid naming the property; what the library says of files (certificates).
  // `listener` must outlive the client; it may be null.
  static Result<std::unique_ptr<Client>> make(const ClientConfig& config, ClientListener* listener);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] rd_kafka_t* handle() const { return rk_; }
  // Where the client may outlive its listener. Waits for nothing: not while a call is under way
  // that calls it back.
  void forget_listener();
  // That the client becomes unusable is of no interest any more, as it is about to be closed.
  void close_quietly();
  [[nodiscard]] const std::string& name() const;
  // A numeric property as it is in force. REQUIRES: the library has it.
  [[nodiscard]] double number(const char* property) const;

  // The error that stands behind a failed or timed-out call: what the connection last reported,
  // where that says more than `error` does. `what` names the attempt.
  [[nodiscard]] Error explain(rd_kafka_resp_err_t error, std::string_view what);

  // As make_error() of errors.h. A right on what the client itself is known by, a group or a
  // transactional id, is named.
  [[nodiscard]] Error error(rd_kafka_resp_err_t error, std::string_view what,
                            std::string_view reason = {}) const;
  // Whom a right would be granted to.
  [[nodiscard]] const Grantee& grantee() const;
  // A topic that the coordinator did not let into a transaction, which then cannot be committed:
  // the library says it in its log only.
  [[nodiscard]] std::optional<Error> refused() const;

  // Connection-level errors since the last call, oldest first. Bounded; repeats are left out.
  std::vector<Error> take_errors();

  // Set once the library declares this instance unusable: kClientFatal, or where a new one would
  // fare no better kAuthentication, kAuthorization, kFenced or, for its transactions' timeout,
  // kInvalid.
  [[nodiscard]] std::optional<Error> fatal() const;

  // Tries `attempt(timeout)` until it succeeds or the time is up, in slices that grow, so that a
  // login or certificate that is refused is told at once and not at the end.
  rd_kafka_resp_err_t persist(Duration timeout,
                              const std::function<rd_kafka_resp_err_t(Duration)>& attempt);

  Result<std::string> cluster_id(Duration timeout);

  struct State;  // what callbacks use; outlives the client where the library does not come to an
                 // end

 private:
  Client(rd_kafka_t* rk, std::shared_ptr<State> state);

  rd_kafka_t* rk_;
  std::shared_ptr<State> state_;
};

// Deleters, so that the library's objects are held by std::unique_ptr.
template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using TopicPtr = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using EventPtr = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using PartitionsPtr = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                      Destroy<rd_kafka_topic_partition_list_destroy>>;
using ErrorPtr = std::unique_ptr<rd_kafka_error_t, Destroy<rd_kafka_error_destroy>>;
using GroupMetadataPtr = std::unique_ptr<rd_kafka_consumer_group_metadata_t,
                                         Destroy<rd_kafka_consumer_group_metadata_destroy>>;
using HeadersPtr = std::unique_ptr<rd_kafka_headers_t, Destroy<rd_kafka_headers_destroy>>;

// The library counts in int milliseconds; at least 1 where any time is left.
int to_millis(Duration timeout);

}  // namespace drawbridge::kafka

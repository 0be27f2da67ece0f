#include "bridge/kafka/client.h"

#include <sys/syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "bridge/base/log.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/monotonic_waits.h"
#include "bridge/kafka/properties.h"

namespace drawbridge::kafka {

// The library's threads may outlive the Client (see ~Client), so this is shared with them.
struct Client::State {
  std::string name;
  std::atomic<ClientListener*> listener{nullptr};
  Grantee grantee;
  std::string group;
  std::string transactional_id;
  std::string transaction_timeout_ms;
  std::atomic<bool> closing{false};  // see Client::close_quietly()

  std::mutex mutex;
  std::vector<Error> errors;  // not yet taken
  std::optional<Error> last;  // the newest one
  std::optional<Error> refused;
  Instant last_at{};
};

namespace {

constexpr int kScramMended = 0x020601ff;  // librdkafka 2.6.1

constexpr std::size_t kMostErrors = 64;
constexpr Duration kFreshError = std::chrono::seconds(60);
constexpr Duration kFirstSlice = std::chrono::seconds(1);
constexpr Duration kCloseLimit = std::chrono::seconds(5);

Instant now() { return SystemClock().now(); }

// Of rights that the code alone leaves no doubt about.
Error make_error(const Client::State& state, rd_kafka_resp_err_t code, std::string_view what,
                 std::string_view reason) {
  Error made = kafka::make_error(code, what, reason);
  switch (code) {
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      return naming_right(std::move(made), state.grantee, {"Read"}, Resource::kGroup, state.group);
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return naming_right(std::move(made), state.grantee, {"Write"}, Resource::kTransactionalId,
                          state.transactional_id);
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      made.message += "; WRITE on a topic brings this right, too, since Kafka 2.8";
      return naming_right(std::move(made), state.grantee, {"IdempotentWrite"}, Resource::kCluster,
                          {});
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
      made.message += fmt::format(
          "; exactly-once asks for {} ms, and the brokers' transaction.max.timeout.ms is less: "
          "raise "
          "it to at least that",
          state.transaction_timeout_ms);
      return made;
    default:
      return made;
  }
}

// "...: Failed to add partition "TOPIC" [PARTITION] to transaction: Broker: Topic authorization
// failed"
void note_refusal(Client::State& state, std::string_view text) {
  constexpr auto kError = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
  const auto begin = text.find('"');
  const auto end = text.find('"', begin + 1);
  if (end == text.npos || text.find(rd_kafka_err2str(kError)) == text.npos) return;
  const std::string_view topic = text.substr(begin + 1, end - begin - 1);
  Error made =
      naming_right(kafka::make_error(kError, fmt::format("{}: topic {}", state.name, topic)),
                   state.grantee, {"Write"}, Resource::kTopic, topic);
  const std::lock_guard lock(state.mutex);
  state.refused = std::move(made);
}

using ConfPtr = std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>>;

void on_log(const rd_kafka_t* rk, int level, const char* facility, const char* text) {
  auto* state = static_cast<Client::State*>(rd_kafka_opaque(rk));
  if (std::string_view(facility) == "ADDPARTS") note_refusal(*state, text);
  // The mock speaks the metadata protocol of the time before this setting.
  const bool mock = std::string_view(facility) == "AUTOCREATE";
  const bool moot = state->closing && (std::string_view(facility) == "FATAL" ||
                                       std::string_view(facility) == "TXNERR");
  const Level to = mock || moot           ? Level::kDebug
                   : level <= LOG_ERR     ? Level::kWarning  // the engine decides what is an error
                   : level == LOG_WARNING ? Level::kWarning
                   : level <= LOG_INFO    ? Level::kInfo
                                          : Level::kDebug;
  log_folded(to, "kafka client", {{"client", state->name}, {"about", facility}, {"text", text}});
}

void on_error(rd_kafka_t* /*rk*/, int error, const char* reason, void* opaque) {
  auto& state = *static_cast<Client::State*>(opaque);
  const auto code = static_cast<rd_kafka_resp_err_t>(error);
  {
    const std::lock_guard lock(state.mutex);
    Error made = make_error(state, code, state.name, reason);
    // "All brokers down" follows the error that says why.
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !state.last ||
        now() - state.last_at > kFreshError) {
      state.last = made;
      state.last_at = now();
    }
    const bool repeated = std::ranges::any_of(
        state.errors, [&](const Error& known) { return known.message == made.message; });
    if (!repeated && state.errors.size() < kMostErrors) state.errors.push_back(std::move(made));
  }
  if (auto* listener = state.listener.load()) listener->on_error(code, reason);
}

void on_delivery(rd_kafka_t* /*rk*/, const rd_kafka_message_t* message, void* opaque) {
  if (auto* listener = static_cast<Client::State*>(opaque)->listener.load())
    listener->on_delivery(*message);
}

Result<void> set(rd_kafka_conf_t* conf, const std::string& owner, const std::string& name,
                 const std::string& value) {
  std::array<char, 512> text{};
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text.data(), text.size()) ==
      RD_KAFKA_CONF_OK)
    return {};
  // The library's text may quote the value, which may be a secret: name the property only.
  const bool secret = name.find("password") != name.npos || name.find("secret") != name.npos ||
                      name.find(".pem") != name.npos || name.find("oauthbearer") != name.npos;
  return fail(ErrorCode::kInvalid, "{}: property {}: {}", owner, name,
              secret ? "the client library refuses its value" : text.data());
}

// The library says of a missing file only that it failed. Lint has a list of these, too.
Result<void> check_file(const std::string& owner, const std::string& name,
                        const std::string& value) {
  static constexpr std::array<std::string_view, 6> kFiles{
      "ssl.ca.location",       "ssl.certificate.location", "ssl.key.location",
      "ssl.keystore.location", "ssl.crl.location",         "sasl.kerberos.keytab"};
  if (std::ranges::find(kFiles, name) == kFiles.end()) return {};
  if (name == "ssl.ca.location" && value == "probe") return {};
  if (access(value.c_str(), R_OK) == 0) return {};
  const int error = errno;
  return fail(error == EACCES ? ErrorCode::kPermission : ErrorCode::kNotFound,
              "{}: property {}: cannot read {}: {}", owner, name, value,
              std::generic_category().message(error));
}

bool applies(PropertyScope scope, Role role) {
  return scope == PropertyScope::kBoth ||
         scope == (role == Role::kConsumer ? PropertyScope::kConsumer : PropertyScope::kProducer);
}

// Names that mean the same, so that a default never overrides what a user said by another name.
std::string_view canonical(std::string_view name) {
  static constexpr std::array<std::array<std::string_view, 2>, 10> kAliases{{
      {"bootstrap.servers", "metadata.broker.list"},
      {"max.in.flight.requests.per.connection", "max.in.flight"},
      {"max.partition.fetch.bytes", "fetch.message.max.bytes"},
      {"queue.buffering.max.ms", "linger.ms"},
      {"compression.type", "compression.codec"},
      {"sasl.mechanism", "sasl.mechanisms"},
      {"message.send.max.retries", "retries"},
      {"delivery.timeout.ms", "message.timeout.ms"},
      {"request.required.acks", "acks"},
      {"auto.commit.enable", "enable.auto.commit"},
  }};
  for (const auto& [alias, proper] : kAliases)
    if (alias == name) return proper;
  return name;
}

Result<ConfPtr> configure(const ClientConfig& config) {
  ConfPtr conf(rd_kafka_conf_new());
  for (const auto& [name, value] : config.defaults) {
    const auto proper = canonical(name);
    const bool said = std::ranges::any_of(
        config.user, [&](const auto& item) { return canonical(item.first) == proper; });
    if (!said) DRAWBRIDGE_TRY(set(conf.get(), config.name, name, value));
  }
  for (const auto& [name, value] : config.user) {
    if (const auto reason = why_owned(name); !reason.empty())
      return fail(ErrorCode::kInvalid, "{}: property {} cannot be set: {}", config.name, name,
                  reason);
    const auto scope = property_scope(name);
    if (!scope)
      return fail(ErrorCode::kInvalid, "{}: the client library has no property {}", config.name,
                  name);
    if (!applies(*scope, config.role)) continue;
    DRAWBRIDGE_TRY(check_file(config.name, name, value));
    DRAWBRIDGE_TRY(set(conf.get(), config.name, name, value));
  }
  for (const auto& [name, value] : config.owned)
    DRAWBRIDGE_TRY(set(conf.get(), config.name, name, value));
  return conf;
}

}  // namespace

Client::Client(rd_kafka_t* rk, std::shared_ptr<State> state) : rk_(rk), state_(std::move(state)) {}

Result<std::unique_ptr<Client>> Client::make(const ClientConfig& config, ClientListener* listener) {
  use_monotonic_waits();
  DRAWBRIDGE_ASSIGN(ConfPtr conf, configure(config));
  auto state = std::make_shared<State>();
  state->name = config.name;
  state->listener = listener;
  state->grantee = grantee_of(config.user);
  state->group = value_of(config.owned, "group.id");
  state->transactional_id = value_of(config.owned, "transactional.id");
  state->transaction_timeout_ms = value_of(config.owned, "transaction.timeout.ms");
  rd_kafka_conf_set_opaque(conf.get(), state.get());
  rd_kafka_conf_set_log_cb(conf.get(), on_log);
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  if (config.role == Role::kProducer) rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
  if (config.events != 0) rd_kafka_conf_set_events(conf.get(), config.events);

  std::array<char, 512> text{};
  rd_kafka_t* rk =
      rd_kafka_new(config.role == Role::kConsumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER,
                   conf.get(), text.data(), text.size());
  if (rk == nullptr)
    return fail(ErrorCode::kInvalid, "{}: cannot make a Kafka client: {}", config.name,
                text.data());
  static_cast<void>(conf.release());  // the library's now
  return std::unique_ptr<Client>(new Client(rk, std::move(state)));
}

// Destroying a client can hang in this library (its issue 4724): it is given a thread of its own
// and a limit. What is then left behind is a few idle threads; the callbacks' state stays with
// them.
Client::~Client() {
  struct Done {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  state_->listener = nullptr;
  auto done = std::make_shared<Done>();
  std::thread([rk = rk_, state = state_, done] {
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    const std::lock_guard lock(done->mutex);
    done->done = true;
    done->changed.notify_all();
  }).detach();
  std::unique_lock lock(done->mutex);
  if (!done->changed.wait_for(lock, kCloseLimit, [&] { return done->done; }))
    log(Level::kWarning, "kafka client did not close in time and is left behind",
        {{"client", state_->name}});
}

void Client::forget_listener() { state_->listener = nullptr; }

void Client::close_quietly() { state_->closing = true; }

const std::string& Client::name() const { return state_->name; }

double Client::number(const char* property) const {
  std::array<char, 64> text{};
  std::size_t size = text.size();
  rd_kafka_conf_get(rd_kafka_conf(rk_), property, text.data(), &size);
  return std::strtod(text.data(), nullptr);
}

Error Client::error(rd_kafka_resp_err_t error, std::string_view what,
                    std::string_view reason) const {
  return make_error(*state_, error, what, reason);
}

const Grantee& Client::grantee() const { return state_->grantee; }

std::optional<Error> Client::refused() const {
  const std::lock_guard lock(state_->mutex);
  return state_->refused;
}

Error Client::explain(rd_kafka_resp_err_t error, std::string_view what) {
  rd_kafka_poll(rk_, 0);  // runs on_error() for what has happened meanwhile
  Error made = make_error(*state_, error, fmt::format("{}: {}", state_->name, what), {});
  const std::lock_guard lock(state_->mutex);
  if (made.code == ErrorCode::kUnavailable && state_->last &&
      now() - state_->last_at < kFreshError) {
    made.code = state_->last->code;
    fmt::format_to(std::back_inserter(made.message), " ({})", state_->last->message);
    // Older libraries repeat the nonce in a way that Kafka refuses since 4.0.
    if (made.code == ErrorCode::kAuthentication && rd_kafka_version() < kScramMended &&
        made.message.find("SCRAM") != std::string::npos) {
      fmt::format_to(std::back_inserter(made.message),
                     "; if the credentials are right: librdkafka {} cannot authenticate with SCRAM "
                     "to Kafka 4.0 and later, 2.6.1 can",
                     rd_kafka_version_str());
    }
  }
  return made;
}

std::vector<Error> Client::take_errors() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->errors, {});
}

std::optional<Error> Client::fatal() const {
  std::array<char, 512> text{};
  const auto error = rd_kafka_fatal_error(rk_, text.data(), text.size());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  // Some brokers refuse to abort a transaction that nothing was let into.
  if (auto why = refused()) return why;
  Error made = make_error(*state_, error, state_->name, text.data());
  // A new client would meet the same refusal.
  const bool again = class_of(made.code) == ErrorClass::kPipeline ||
                     error == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT;
  if (!again) made.code = ErrorCode::kClientFatal;
  return made;
}

rd_kafka_resp_err_t Client::persist(Duration timeout,
                                    const std::function<rd_kafka_resp_err_t(Duration)>& attempt) {
  const Instant deadline = now() + timeout;
  for (Duration slice = kFirstSlice;; slice *= 2) {
    const auto error = attempt(std::min(slice, deadline - now()));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || now() >= deadline ||
        code_of(error) != ErrorCode::kUnavailable)
      return error;
    if (class_of(explain(error, {}).code) == ErrorClass::kPipeline) return error;
  }
}

Result<std::string> Client::cluster_id(Duration timeout) {
  char* id = nullptr;
  persist(timeout, [&](Duration slice) {
    id = rd_kafka_clusterid(rk_, to_millis(slice));
    return id == nullptr ? RD_KAFKA_RESP_ERR__TIMED_OUT : RD_KAFKA_RESP_ERR_NO_ERROR;
  });
  if (id == nullptr)
    return fail(explain(RD_KAFKA_RESP_ERR__TIMED_OUT, "asking for its cluster id"));
  std::string copy(id);
  rd_kafka_mem_free(rk_, id);
  return copy;
}

int to_millis(Duration timeout) {
  if (timeout <= Duration::zero()) return 0;
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return static_cast<int>(std::min<std::int64_t>(millis, 24 * 3600 * 1000));
}

}  // namespace drawbridge::kafka

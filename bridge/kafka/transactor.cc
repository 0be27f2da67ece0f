#include "bridge/kafka/transactor.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bridge/base/log.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/source.h"
#include "bridge/kafka/topic_reader.h"

namespace drawbridge::kafka {
namespace {

// How long one call may keep the thread from noticing that it should end.
constexpr Duration kSlice = std::chrono::seconds(1);
constexpr Duration kPause = std::chrono::milliseconds(50);
constexpr Duration kLedgerTimeout = std::chrono::seconds(10);
constexpr Duration kLastAbort = std::chrono::seconds(3);
// The library cannot go on with this one where it was: a timeout spoils the transaction.
constexpr Duration kOffsetsTimeout = std::chrono::seconds(30);
constexpr Duration kEndLimit = std::chrono::seconds(3);

}  // namespace

// What the thread does. It may outlive the Transactor: see there. The waker is not touched once it
// has to end.
class Transactor::Work {
 public:
  enum class Job : std::uint8_t { kNone, kOpen, kOffsets, kCommit, kAbort };

  Work(std::shared_ptr<Client> client, ClusterOptions cluster, TransactionOptions options,
       Waker& waker)
      : client_(std::move(client)),
        cluster_(std::move(cluster)),
        options_(std::move(options)),
        waker_(waker) {}

  // The thread.
  void run();

  // The sink's.
  void give(Job job);
  bool end_within(Duration limit);
  std::optional<TransactionEvent> take_event();
  bool busy();
  std::optional<Error> fatal();
  Error fatal_or(Error error);
  void wrote_ledger(std::int64_t offset);
  void leave_incomplete() { incomplete_ = true; }
  void post(TransactionEvent event);

  [[nodiscard]] Client& client() { return *client_; }
  [[nodiscard]] const TransactionOptions& options() const { return options_; }

 private:
  using Call = std::function<rd_kafka_error_t*(rd_kafka_t*, int)>;

  bool confirm_lease();
  void take_over();
  void offsets();
  void end(Job job);
  bool call(const char* what, const Call& function, Duration timeout, bool& abortable,
            Error& error);
  void fail_with(Error error);
  [[nodiscard]] bool ending();
  [[nodiscard]] bool aborting();

  const std::shared_ptr<Client> client_;
  const ClusterOptions cluster_;
  const TransactionOptions options_;
  Waker& waker_;
  std::atomic<std::int64_t> ledger_next_{0};  // the next offset of the ledger, as far as is known
  std::atomic<bool> incomplete_{false};       // the open transaction lacks its ledger

  // The thread's own, of the open transaction:
  bool offsets_sent_ = false;
  std::optional<Error> offsets_error_;  // why it can only be aborted

  std::mutex mutex_;
  std::condition_variable changed_;
  Job job_ = Job::kOpen;                   // guarded by mutex_
  bool busy_ = true;                       // guarded by mutex_
  bool ending_ = false;                    // guarded by mutex_
  bool ended_ = false;                     // guarded by mutex_
  std::optional<TransactionEvent> event_;  // guarded by mutex_
  std::optional<Error> fatal_;             // guarded by mutex_
};

// ---- the sink's thread ----------------------------------------------------------------------

Transactor::Transactor(std::shared_ptr<Client> client, ClusterOptions cluster,
                       TransactionOptions options, Waker& waker)
    : work_(
          std::make_shared<Work>(std::move(client), std::move(cluster), std::move(options), waker)),
      thread_([work = work_] { work->run(); }) {}

Transactor::~Transactor() {
  const bool ended = work_->end_within(kEndLimit);
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
  // A commit that was asked for may have happened: its outcome is the coordinator's to decide.
  if (!open_ || fatal()) return;
  std::string why = "a call is still under way";
  if (ended) {
    work_->client().close_quietly();
    const ErrorPtr error(
        rd_kafka_abort_transaction(work_->client().handle(), to_millis(kLastAbort)));
    if (!error) return;
    if (code_of(rd_kafka_error_code(error.get())) == ErrorCode::kFenced) {
      log(Level::kWarning,
          "the coordinator has already ended the open transaction: it was open for too long, or a "
          "successor has taken over",
          {{"client", work_->client().name()},
           {"transactional_id", work_->options().transactional_id}});
      return;
    }
    why = rd_kafka_error_string(error.get());
  }
  log(Level::kWarning,
      "the open transaction could not be aborted: its readers wait until it times out or a "
      "successor ends it",
      {{"client", work_->client().name()},
       {"transactional_id", work_->options().transactional_id},
       {"error", why}});
}

Result<void> Transactor::begin() {
  if (open_) return {};
  const ErrorPtr error(rd_kafka_begin_transaction(work_->client().handle()));
  if (error) {
    Error why = make_error(rd_kafka_error_code(error.get()), "beginning a transaction",
                           rd_kafka_error_string(error.get()));
    return fail(work_->fatal_or({ErrorCode::kClientFatal, std::move(why.message)}));
  }
  open_ = true;
  return {};
}

void Transactor::cut() {
  if (open_ && work_->options().lease) work_->give(Work::Job::kOffsets);
}

void Transactor::commit(bool complete) {
  if (!complete) work_->leave_incomplete();
  open_ = false;
  work_->give(Work::Job::kCommit);
}

void Transactor::abort() {
  if (std::exchange(open_, false)) {
    work_->give(Work::Job::kAbort);
  } else {
    work_->post({TransactionEvent::Kind::kAborted, {}, {}});
  }
}

void Transactor::wrote_ledger(std::int64_t offset) { work_->wrote_ledger(offset); }

std::optional<TransactionEvent> Transactor::take_event() { return work_->take_event(); }

bool Transactor::busy() { return work_->busy(); }

std::optional<Error> Transactor::fatal() { return work_->fatal(); }

void Transactor::Work::give(Job job) {
  {
    const std::lock_guard lock(mutex_);
    job_ = job;
    busy_ = true;
  }
  changed_.notify_all();
}

// False: it is still in a call.
bool Transactor::Work::end_within(Duration limit) {
  std::unique_lock lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  return changed_.wait_for(lock, limit, [this] { return ended_; });
}

std::optional<TransactionEvent> Transactor::Work::take_event() {
  const std::lock_guard lock(mutex_);
  return std::exchange(event_, std::nullopt);
}

bool Transactor::Work::busy() {
  const std::lock_guard lock(mutex_);
  return busy_;
}

std::optional<Error> Transactor::Work::fatal() {
  const std::lock_guard lock(mutex_);
  return fatal_;
}

// The first one counts.
Error Transactor::Work::fatal_or(Error error) {
  const std::lock_guard lock(mutex_);
  if (!fatal_) fatal_ = std::move(error);
  return *fatal_;
}

void Transactor::Work::wrote_ledger(std::int64_t offset) {
  // Reports of one partition come in order.
  ledger_next_ = offset + 1;
}

// ---- the thread -----------------------------------------------------------------------------

bool Transactor::Work::ending() {
  const std::lock_guard lock(mutex_);
  return ending_;
}

bool Transactor::Work::aborting() {
  const std::lock_guard lock(mutex_);
  return job_ == Job::kAbort;
}

void Transactor::Work::post(TransactionEvent event) {
  const std::lock_guard lock(mutex_);
  event_ = std::move(event);
  if (!ending_) waker_.wake();
}

void Transactor::Work::fail_with(Error error) {
  const std::lock_guard lock(mutex_);
  if (!fatal_) fatal_ = std::move(error);
  if (!ending_) waker_.wake();
}

void Transactor::Work::run() {
  while (true) {
    Job job = Job::kNone;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return ending_ || job_ != Job::kNone; });
      if (ending_) {
        ended_ = true;
        changed_.notify_all();
        return;
      }
      job = std::exchange(job_, Job::kNone);
    }
    switch (job) {
      case Job::kNone:
        break;
      case Job::kOpen:
        take_over();
        break;
      case Job::kOffsets:
        offsets();
        break;
      case Job::kCommit:
      case Job::kAbort:
        end(job);
        break;
    }
    const std::lock_guard lock(mutex_);
    busy_ = job_ != Job::kNone;
  }
}

// Calls until the answer is final: true where all went well, else `error` and whether an abort can
// mend it. A timeout is no answer, and the library goes on where it was. False with no message: the
// thread has to end.
bool Transactor::Work::call(const char* what, const Call& function, Duration timeout,
                            bool& abortable, Error& error) {
  abortable = false;
  while (!ending()) {
    const ErrorPtr said(function(client_->handle(), to_millis(timeout)));
    if (!said) return true;
    const auto code = rd_kafka_error_code(said.get());
    error = make_error(code, fmt::format("{} {}", what, options_.transactional_id),
                       rd_kafka_error_string(said.get()));
    if (rd_kafka_error_is_fatal(said.get())) {
      error = client_->fatal().value_or(error);
      return false;
    }
    abortable = rd_kafka_error_txn_requires_abort(said.get()) != 0;
    if (abortable || !rd_kafka_error_is_retriable(said.get())) return false;
    // What stands behind the silence may be final: a login or certificate that is refused.
    const Error behind = client_->explain(code, what);
    if (class_of(behind.code) == ErrorClass::kPipeline) {
      error = behind;
      return false;
    }
    log_folded(Level::kWarning, "the transaction coordinator does not answer",
               {{"client", client_->name()},
                {"transactional_id", options_.transactional_id},
                {"error", behind.message}});
    std::this_thread::sleep_for(kPause);
  }
  error.message.clear();
  return false;
}

// False where the lease is over, or the thread has to end.
bool Transactor::Work::confirm_lease() {
  while (!ending()) {
    auto held = options_.lease->confirm(kSlice);
    if (held) return true;
    if (class_of(held.error().code) != ErrorClass::kRetry) {
      if (held.error().code == ErrorCode::kFenced) {
        held.error().message = fmt::format("shard {} is another instance's, it may be: {}",
                                           options_.ledger_partition, held.error().message);
      }
      fail_with(std::move(held).error());
      return false;
    }
    log_folded(Level::kWarning, "the lease cannot be confirmed yet",
               {{"client", client_->name()},
                {"transactional_id", options_.transactional_id},
                {"error", held.error().message}});
    std::this_thread::sleep_for(kPause);
  }
  return false;
}

void Transactor::Work::take_over() {
  // A former owner, thawed, would take the shard back from whoever has it by now.
  if (options_.lease && !confirm_lease()) return;
  bool abortable = false;
  Error error{ErrorCode::kInternal, {}};
  if (!call("taking over transactions of", rd_kafka_init_transactions, kSlice, abortable, error)) {
    if (error.message.empty()) return;
    fail_with(naming_right(std::move(error), client_->grantee(), {"Write"},
                           Resource::kTransactionalId, options_.transactional_id));
    return;
  }
  TransactionEvent ready;
  while (!ending()) {
    auto read =
        read_ledger(cluster_, options_.ledger_topic, options_.ledger_partition, kLedgerTimeout);
    if (read) {
      ready.ledger = std::move(read->records);
      ledger_next_ = read->next.value;
      post(std::move(ready));
      return;
    }
    if (class_of(read.error().code) != ErrorClass::kRetry) {
      fail_with(naming_right(std::move(read).error(), client_->grantee(), {"Read", "Write"},
                             Resource::kTopic, options_.ledger_topic));
      return;
    }
    log_folded(Level::kWarning, "the ledger cannot be read yet",
               {{"client", client_->name()}, {"error", read.error().message}});
    std::this_thread::sleep_for(kPause);
  }
}

// Where the shard is leased, and they were not sent yet: offsets_sent_ or offsets_error_ says what
// became of it; neither, where the client is of no use any more or the thread has to end.
void Transactor::Work::offsets() {
  if (!options_.lease || offsets_sent_ || offsets_error_) return;
  rd_kafka_consumer_group_metadata_t* read = nullptr;
  const ByteView token = options_.lease->token();
  if (const ErrorPtr failed{
          rd_kafka_consumer_group_metadata_read(&read, token.data(), token.size())}) {
    fail_with({ErrorCode::kInternal,
               fmt::format("the lease of {} holds no token: {}", options_.transactional_id,
                           rd_kafka_error_string(failed.get()))});
    return;
  }
  const GroupMetadataPtr member(read);
  const TopicPartition ledger{options_.ledger_topic, Partition{options_.ledger_partition}};
  const PartitionsPtr list = to_list(std::span(&ledger, 1));
  // Which one does not matter to anybody; at the end, tools show no lag.
  list->elems[0].offset = ledger_next_;
  const auto send = [&](rd_kafka_t* rk, int timeout_ms) -> rd_kafka_error_t* {
    if (aborting()) return nullptr;  // which comes next
    return rd_kafka_send_offsets_to_transaction(rk, list.get(), member.get(), timeout_ms);
  };
  bool abortable = false;
  Error error{ErrorCode::kInternal, {}};
  if (call("stating the lease in the transaction of", send, kOffsetsTimeout, abortable, error)) {
    offsets_sent_ = true;
    return;
  }
  if (error.message.empty()) return;
  if (error.code == ErrorCode::kFenced) {
    error.message += fmt::format("; the lease of shard {} is over, another instance may have it",
                                 options_.ledger_partition);
  } else if (error.code == ErrorCode::kAuthentication || error.code == ErrorCode::kAuthorization) {
    error.code = ErrorCode::kAuthentication;  // of us, not of a record
    error.message += fmt::format("; sharing needs READ on the lease's group and on topic {}",
                                 options_.ledger_topic);
  }
  if (abortable) {
    offsets_error_ = std::move(error);
  } else {
    fail_with(std::move(error));
  }
}

void Transactor::Work::end(Job job) {
  if (job == Job::kCommit) offsets();
  std::optional<Error> why = std::exchange(offsets_error_, std::nullopt);
  if (incomplete_.exchange(false) && !why) {
    why = Error{ErrorCode::kUnavailable, "the transaction failed before its ledger was written"};
  }
  // A right that is missing will be missing the next time, too.
  const bool refused = why && why->code == ErrorCode::kAuthentication;
  if (job == Job::kCommit && !why) {
    if (!std::exchange(offsets_sent_, false) && options_.lease) return;  // ending, or failed
    bool abortable = false;
    Error error{ErrorCode::kInternal, {}};
    if (call("committing the transaction of", rd_kafka_commit_transaction, kSlice, abortable,
             error)) {
      post({TransactionEvent::Kind::kCommitted, {}, {}});
      return;
    }
    if (!abortable) {
      if (!error.message.empty()) fail_with(std::move(error));
      return;
    }
    why = std::move(error);
  }
  offsets_sent_ = false;
  bool abortable = false;
  Error after{ErrorCode::kInternal, {}};
  if (call("aborting the transaction of", rd_kafka_abort_transaction, kSlice, abortable, after)) {
    if (job == Job::kCommit && refused) {
      fail_with(std::move(*why));
      return;
    }
    TransactionEvent aborted{TransactionEvent::Kind::kAborted, {}, {}};
    if (job == Job::kCommit) aborted.error = std::move(why);
    post(std::move(aborted));
  } else if (!after.message.empty()) {
    // Whatever the reason, a new client starts from what the ledger says.
    if (class_of(after.code) != ErrorClass::kPipeline) after.code = ErrorCode::kClientFatal;
    fail_with(std::move(after));
  }
}

}  // namespace drawbridge::kafka

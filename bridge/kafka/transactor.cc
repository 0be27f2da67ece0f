#include "bridge/kafka/transactor.h"

#include <chrono>
#include <utility>

#include "bridge/base/log.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/topic_reader.h"

namespace drawbridge::kafka {
namespace {

// How long one call may keep the thread from noticing that it should end.
constexpr Duration kSlice = std::chrono::seconds(1);
constexpr Duration kPause = std::chrono::milliseconds(50);
constexpr Duration kLedgerTimeout = std::chrono::seconds(10);
constexpr Duration kLastAbort = std::chrono::seconds(3);
constexpr std::size_t kLedgerBatch = 1000;

Bytes bytes_of(const std::optional<ByteView>& view) {
  return view ? Bytes(view->begin(), view->end()) : Bytes();
}

}  // namespace

Transactor::Transactor(Client& client, ClusterOptions cluster, TransactionOptions options,
                       Waker& waker)
    : client_(client),
      cluster_(std::move(cluster)),
      options_(std::move(options)),
      waker_(waker),
      thread_([this] { run(); }) {}

Transactor::~Transactor() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wanted_.notify_all();
  thread_.join();
  // A commit that was asked for may have happened: its outcome is the coordinator's to decide.
  if (!open_ || fatal()) return;
  const ErrorPtr error(rd_kafka_abort_transaction(client_.handle(), to_millis(kLastAbort)));
  if (error) {
    log(Level::kWarning,
        "the open transaction could not be aborted: its readers wait until it times out or a "
        "successor ends it",
        {{"client", client_.name()},
         {"transactional_id", options_.transactional_id},
         {"error", rd_kafka_error_string(error.get())}});
  }
}

// ---- the sink's thread ----------------------------------------------------------------------

Result<void> Transactor::begin() {
  if (open_) return {};
  const ErrorPtr error(rd_kafka_begin_transaction(client_.handle()));
  if (error) {
    Error why = make_error(rd_kafka_error_code(error.get()), "beginning a transaction",
                           rd_kafka_error_string(error.get()));
    const std::lock_guard lock(mutex_);
    if (!fatal_) fatal_ = Error{ErrorCode::kClientFatal, std::move(why.message)};
    return fail(*fatal_);
  }
  open_ = true;
  return {};
}

void Transactor::commit() { give(Job::kCommit); }

void Transactor::abort() {
  if (open_) {
    give(Job::kAbort);
  } else {
    post({TransactionEvent::Kind::kAborted, {}, {}});
  }
}

void Transactor::give(Job job) {
  open_ = false;
  {
    const std::lock_guard lock(mutex_);
    job_ = job;
    busy_ = true;
  }
  wanted_.notify_all();
}

std::optional<TransactionEvent> Transactor::take_event() {
  const std::lock_guard lock(mutex_);
  return std::exchange(event_, std::nullopt);
}

bool Transactor::busy() {
  const std::lock_guard lock(mutex_);
  return busy_;
}

std::optional<Error> Transactor::fatal() {
  const std::lock_guard lock(mutex_);
  return fatal_;
}

// ---- the thread -----------------------------------------------------------------------------

bool Transactor::ending() {
  const std::lock_guard lock(mutex_);
  return ending_;
}

void Transactor::post(TransactionEvent event) {
  {
    const std::lock_guard lock(mutex_);
    event_ = std::move(event);
  }
  waker_.wake();
}

void Transactor::fail_with(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (!fatal_) fatal_ = std::move(error);
  }
  waker_.wake();
}

void Transactor::run() {
  while (true) {
    Job job = Job::kNone;
    {
      std::unique_lock lock(mutex_);
      wanted_.wait(lock, [this] { return ending_ || job_ != Job::kNone; });
      if (ending_) return;
      job = std::exchange(job_, Job::kNone);
    }
    if (job == Job::kOpen) {
      take_over();
    } else {
      end(job);
    }
    const std::lock_guard lock(mutex_);
    busy_ = job_ != Job::kNone;
  }
}

// Calls until the answer is final: true where all went well, else `error` and whether an abort can
// mend it. A timeout is no answer, and the library goes on where it was. False with no message: the
// thread has to end.
bool Transactor::call(const char* what, rd_kafka_error_t* (*function)(rd_kafka_t*, int),
                      bool& abortable, Error& error) {
  abortable = false;
  while (!ending()) {
    const ErrorPtr said(function(client_.handle(), to_millis(kSlice)));
    if (!said) return true;
    const auto code = rd_kafka_error_code(said.get());
    error = make_error(code, fmt::format("{} {}", what, options_.transactional_id),
                       rd_kafka_error_string(said.get()));
    if (rd_kafka_error_is_fatal(said.get())) {
      error = client_.fatal().value_or(error);
      return false;
    }
    abortable = rd_kafka_error_txn_requires_abort(said.get()) != 0;
    if (abortable || !rd_kafka_error_is_retriable(said.get())) return false;
    // What stands behind the silence may be final: a login or certificate that is refused.
    const Error behind = client_.explain(code, what);
    if (class_of(behind.code) == ErrorClass::kPipeline) {
      error = behind;
      return false;
    }
    log_folded(Level::kWarning, "the transaction coordinator does not answer",
               {{"client", client_.name()},
                {"transactional_id", options_.transactional_id},
                {"error", behind.message}});
    std::this_thread::sleep_for(kPause);
  }
  error.message.clear();
  return false;
}

void Transactor::take_over() {
  bool abortable = false;
  Error error{ErrorCode::kInternal, {}};
  if (!call("taking over transactions of", rd_kafka_init_transactions, abortable, error)) {
    if (error.message.empty()) return;
    if (error.code == ErrorCode::kAuthentication || error.code == ErrorCode::kAuthorization) {
      error.message += fmt::format("; exactly-once needs WRITE and DESCRIBE on TransactionalId {}",
                                   options_.transactional_id);
    }
    fail_with(std::move(error));
    return;
  }
  TransactionEvent ready;
  while (!ending()) {
    ready.ledger.clear();
    auto read = read_ledger(ready.ledger);
    if (read) {
      post(std::move(ready));
      return;
    }
    if (class_of(read.error().code) != ErrorClass::kRetry) {
      if (read.error().code == ErrorCode::kAuthorization) {
        read.error().message +=
            fmt::format("; exactly-once needs READ and WRITE on topic {}", options_.ledger_topic);
      }
      fail_with(std::move(read).error());
      return;
    }
    log_folded(Level::kWarning, "the ledger cannot be read yet",
               {{"client", client_.name()}, {"error", read.error().message}});
    std::this_thread::sleep_for(kPause);
  }
}

Result<void> Transactor::read_ledger(std::vector<LedgerRecord>& out) {
  ReadRange range;
  range.partition = Partition{options_.ledger_partition};
  DRAWBRIDGE_ASSIGN(auto reader,
                    TopicReader::open(cluster_, options_.ledger_topic, range, kLedgerTimeout));
  Batch batch;
  while (!reader->done()) {
    DRAWBRIDGE_TRY(reader->next(batch, kLedgerBatch, kLedgerTimeout));
    for (std::size_t i = 0; i < batch.size; ++i) {
      const Record& record = batch.records[i];
      out.push_back({bytes_of(record.key), bytes_of(record.value)});
    }
    batch.clear();
  }
  return {};
}

void Transactor::end(Job job) {
  bool abortable = false;
  Error error{ErrorCode::kInternal, {}};
  if (job == Job::kCommit) {
    if (call("committing the transaction of", rd_kafka_commit_transaction, abortable, error)) {
      post({TransactionEvent::Kind::kCommitted, {}, {}});
      return;
    }
    if (!abortable) {
      if (!error.message.empty()) fail_with(std::move(error));
      return;
    }
  }
  Error after{ErrorCode::kInternal, {}};
  if (call("aborting the transaction of", rd_kafka_abort_transaction, abortable, after)) {
    TransactionEvent aborted{TransactionEvent::Kind::kAborted, {}, {}};
    if (job == Job::kCommit) aborted.error = std::move(error);
    post(std::move(aborted));
  } else if (!after.message.empty()) {
    // Whatever the reason, a new client starts from what the ledger says.
    if (class_of(after.code) != ErrorClass::kPipeline) after.code = ErrorCode::kClientFatal;
    fail_with(std::move(after));
  }
}

}  // namespace drawbridge::kafka

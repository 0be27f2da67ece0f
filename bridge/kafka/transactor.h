// The blocking half of a transactional sink. The library's calls that start, end and take over
// transactions wait for brokers; a thread of its own makes them, one after another, while the
// shard goes on consuming. States: bridge/pipeline/EXACTLY_ONCE.md.
//
// Everything but the thread itself belongs to the sink's thread. While a call is under way the
// library calls the client's listener from that thread, too.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bridge/base/waker.h"
#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

class Transactor {
 public:
  // Begins at once to fence the predecessor and to read the ledger; kReady when done. `cluster` is
  // where the ledger is. `client` and `waker` outlive it.
  Transactor(Client& client, ClusterOptions cluster, TransactionOptions options, Waker& waker);
  // Aborts what is open. Takes some seconds at most, where brokers do not answer.
  ~Transactor();
  Transactor(const Transactor&) = delete;
  Transactor& operator=(const Transactor&) = delete;

  // Before the first record of a transaction; does nothing where one is open. Does not wait.
  // Errors: the client cannot be used any more.
  Result<void> begin();
  [[nodiscard]] bool open() const { return open_; }
  // Both end the open transaction and are answered by an event.
  void commit();
  void abort();

  std::optional<TransactionEvent> take_event();
  // A call is under way, which will tell of whatever goes wrong.
  [[nodiscard]] bool busy();
  // Why no transaction can be made with this client any more.
  [[nodiscard]] std::optional<Error> fatal();

 private:
  enum class Job : std::uint8_t { kNone, kOpen, kCommit, kAbort };

  void run();
  void take_over();
  void end(Job job);
  Result<void> read_ledger(std::vector<LedgerRecord>& out);
  bool call(const char* what, rd_kafka_error_t* (*function)(rd_kafka_t*, int), bool& abortable,
            Error& error);
  void post(TransactionEvent event);
  void fail_with(Error error);
  [[nodiscard]] bool ending();
  void give(Job job);

  Client& client_;
  const ClusterOptions cluster_;
  const TransactionOptions options_;
  Waker& waker_;
  bool open_ = false;  // the sink's thread

  std::mutex mutex_;
  std::condition_variable wanted_;
  Job job_ = Job::kOpen;                   // guarded by mutex_
  bool busy_ = true;                       // guarded by mutex_
  bool ending_ = false;                    // guarded by mutex_
  std::optional<TransactionEvent> event_;  // guarded by mutex_
  std::optional<Error> fatal_;             // guarded by mutex_
  std::thread thread_;
};

}  // namespace drawbridge::kafka

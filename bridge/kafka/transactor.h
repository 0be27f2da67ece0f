// The blocking half of a transactional sink. The library's calls that start, end and take over
// transactions wait for brokers; a thread of its own makes them, one after another, while the
// shard goes on consuming. States: bridge/pipeline/EXACTLY_ONCE.md.
//
// Everything but the thread itself belongs to the sink's thread. While a call is under way the
// library calls the client's listener from that thread, too.
//
// Where the shard is leased (TransactionOptions::lease), the thread confirms the lease before it
// takes over, and hands an offset of the ledger's partition, with the lease's token, to each
// transaction: at the cut, so that it goes on while the last records are answered, or else before
// the commit. The group's coordinator refuses it where the lease is over, and nothing is committed.
// That one call of the library does not come back before the brokers have answered, or for a
// minute: so the thread may be left behind, with the client.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "bridge/base/waker.h"
#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

class Transactor {
 public:
  // Begins at once to fence the predecessor and to read the ledger; kReady when done. `cluster` is
  // where the ledger is. `waker` outlives it.
  Transactor(std::shared_ptr<Client> client, ClusterOptions cluster, TransactionOptions options,
             Waker& waker);
  // Aborts what is open. Takes some seconds at most, where brokers do not answer.
  ~Transactor();
  Transactor(const Transactor&) = delete;
  Transactor& operator=(const Transactor&) = delete;

  // Before the first record of a transaction; does nothing where one is open. Does not wait.
  // Errors: the client cannot be used any more.
  Result<void> begin();
  [[nodiscard]] bool open() const { return open_; }
  // The open transaction will get no more records.
  void cut();
  // Both end the open transaction and are answered by an event.
  // Not `complete`: the transaction failed before its ledger was written, and is aborted instead.
  void commit(bool complete);
  void abort();
  // A record was written to the ledger, there. Any thread.
  void wrote_ledger(std::int64_t offset);

  std::optional<TransactionEvent> take_event();
  // A call is under way, which will tell of whatever goes wrong.
  [[nodiscard]] bool busy();
  // Why no transaction can be made with this client any more.
  [[nodiscard]] std::optional<Error> fatal();

 private:
  class Work;

  const std::shared_ptr<Work> work_;
  bool open_ = false;
  std::thread thread_;
};

}  // namespace drawbridge::kafka

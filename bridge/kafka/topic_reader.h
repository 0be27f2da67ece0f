// Reads a stretch of a topic: for `inspect` and `check`, and ledgers. Touches no group.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

struct ReadRange {
  std::optional<Partition> partition{};  // default: all
  std::optional<Offset> from{};          // default: the log's start; what is gone is left out
  std::optional<Offset> to{};            // one past the last; default: the log's end when opened
  std::optional<std::int64_t> newest{};  // instead of `from`: so many before the end
  // Readers see nothing past the first transaction that is still open. kUnavailable where there is
  // one, since what it hides is not the end.
  bool decided = false;
};

// Used by one thread. Batches must be cleared before the reader ends.
class TopicReader {
 public:
  // Errors: kUnknownTopic, kAuthorization, those of a connection.
  static Result<std::unique_ptr<TopicReader>> open(const ClusterOptions& cluster,
                                                   const std::string& topic, const ReadRange& range,
                                                   Duration timeout);

  // Appends what comes next, at most `most` records, in order within each partition; waits up to
  // `timeout` for the first of them. Errors: what stops reading, kUnavailable when the time is up.
  Result<void> next(Batch& batch, std::size_t most, Duration timeout);
  // Everything in the range has been read.
  [[nodiscard]] bool done() const { return ends_.empty(); }

 private:
  TopicReader() = default;
  Result<void> take(Batch& batch, std::size_t first, std::size_t first_event);

  Waker waker_;
  std::unique_ptr<Source> source_;
  std::map<std::uint32_t, Offset> ends_;  // of partitions that are not done, by partition
  std::string name_;
};

// All that a ledger's partition holds, once nobody's transaction is open in it. `timeout` is for
// each wait. Errors: those of TopicReader.
struct LedgerLog {
  std::vector<LedgerRecord> records;
  Offset next;  // behind the last of them
};
Result<LedgerLog> read_ledger(const ClusterOptions& cluster, const std::string& topic,
                              std::int32_t partition, Duration timeout);

}  // namespace drawbridge::kafka

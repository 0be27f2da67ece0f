// What the engine knows of Kafka: a source, a target, and sinks. bridge/kafka implements them on
// librdkafka; the tests' fakes implement them in memory.
//
// Threads: a Feed and a Sink belong to one shard's worker and are used by its thread alone, a Group
// to the pipeline's. Source, Target and Lease are thread-safe. Nothing here blocks but where a
// timeout is taken.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bridge/base/bytes.h"
#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/base/waker.h"
#include "bridge/checkpoint/ledger.h"
#include "bridge/checkpoint/store.h"
#include "bridge/pipeline/options.h"
#include "bridge/record/arena.h"
#include "bridge/record/coordinates.h"
#include "bridge/record/record.h"

namespace drawbridge {

// ---- metadata -------------------------------------------------------------------------------

struct TopicInfo {
  std::string name;
  bool internal = false;
  std::vector<std::int32_t> leaders;  // by partition: broker id, or -1 where there is none now

  [[nodiscard]] std::int32_t partitions() const {
    return static_cast<std::int32_t>(leaders.size());
  }
};

struct Watermarks {
  Offset low;   // first offset in the log
  Offset high;  // one past the last
};

using TopicConfig = std::map<std::string, std::string>;

// ---- group ----------------------------------------------------------------------------------

// Leave to work on one partition, as a group gave it. Holds until the member is told that it is
// revoked, or until the group takes the member for dead.
class Lease {
 public:
  virtual ~Lease() = default;
  // Asks the group's coordinator whether it holds still. Errors: kFenced, it does not; those of
  // transport, nobody knows.
  virtual Result<void> confirm(Duration timeout) = 0;
  // What makes a transaction fail whose holder's lease is over: group and generation, in the client
  // library's serialization.
  [[nodiscard]] virtual ByteView token() const = 0;
};

// What a group tells one of its members.
struct GroupEvent {
  enum class Kind : std::uint8_t {
    kAssigned,  // `partitions` are ours, and no others
    kRevoked,   // finish what is under way, then release()
    kError,     // `error`: transport trouble (to log), or a refusal (to fail)
  };
  Kind kind = Kind::kError;
  std::vector<TopicPartition> partitions;
  bool lost = false;  // kRevoked: others may have them by now, nothing may be finished
  std::optional<Error> error;
};

// A membership in a consumer group that deals out the partitions of topics among its members
// (SCALE_OUT.md). Fetches nothing. Its end leaves the group, at once where membership is dynamic.
class Group {
 public:
  virtual ~Group() = default;
  // Joins; called again with other topics, or with one that has grown, makes the group deal anew.
  virtual Result<void> subscribe(const std::vector<std::string>& topics) = 0;
  // The next event; never waits. Has to be called several times in a session's timeout.
  virtual std::optional<GroupEvent> poll() = 0;
  // After kRevoked: nothing is done with the partitions any more. The next kAssigned follows.
  virtual void release() = 0;
  // Of a partition that is assigned; outlives the group.
  virtual std::shared_ptr<Lease> lease(const TopicPartition& at) = 0;
};

struct GroupOptions {
  std::string name;
  std::string instance;  // static membership under this name; empty: dynamic
  Duration session_timeout = std::chrono::seconds(10);
};

// ---- source ---------------------------------------------------------------------------------

// Something that happened to a partition, in order with its records. Events of a batch are
// handled after its records.
struct FeedEvent {
  enum class Kind : std::uint8_t {
    kEnd,           // everything below `offset` that can be read has been (last stable offset
                    // where a transaction is open)
    kOutOfRange,    // the position asked for is not in the log
    kUnknownTopic,  // the topic or partition is gone
    kError,         // `error` says what; fetching goes on or the class says what to do
  };
  Kind kind = Kind::kEnd;
  std::uint32_t slot = 0;
  Offset offset;
  Error error{ErrorCode::kInternal, {}};
};

// Consumed records and all memory that they view: the client's messages and an arena for what
// transforms write. Recycled by the worker when its last record is released.
struct Batch {
  std::vector<Record> records;  // only the first `size` are live: Records keep their capacity
  std::size_t size = 0;
  std::vector<FeedEvent> events;
  Arena arena;
  std::vector<void*> messages;  // the client's, freed by free_message
  void (*free_message)(void*) = nullptr;

  std::size_t unreleased = 0;     // records of it that are still in flight
  std::size_t charged_bytes = 0;  // what in-flight accounting holds for it

  Batch() = default;
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() { clear(); }

  // The next free record, reset.
  Record& add();
  // Frees messages and arena for reuse.
  void clear();
};

class Feed {
 public:
  virtual ~Feed() = default;
  // Takes what has arrived, at most `most` records; never waits. The shard's waker is woken when
  // something arrives at an empty feed.
  virtual void poll(Batch& batch, std::size_t most) = 0;
};

// Where a partition of a shard starts.
struct Assignment {
  std::uint32_t shard = 0;
  std::uint32_t slot = 0;  // unique within the source; comes back in Record::slot
  TopicPartition at;
  Offset start;
};

// What stands in a consumer group. One with our mark states progress of this pipeline, made by this
// instance or another: everything below it was delivered. One without was set by somebody else.
struct GroupOffset {
  Offset offset;
  std::optional<WallMillis> line = std::nullopt;  // of a marked one: see Checkpoint::line

  auto operator<=>(const GroupOffset&) const = default;
};

// What happens to the source as a whole.
struct SourceEvent {
  enum class Kind : std::uint8_t {
    kCommitted,  // commit() finished: `offsets` are in the group, or `error` says why not
    kStray,      // a record came outside of its feed: assign `slot` again
    kError,      // `error`: transport trouble (to log) or authentication (to fail)
  };
  Kind kind = Kind::kError;
  std::vector<std::pair<TopicPartition, Offset>> offsets;
  std::uint32_t slot = 0;
  std::optional<Error> error;
};

class Source {
 public:
  virtual ~Source() = default;

  virtual Result<std::string> cluster_id(Duration timeout) = 0;
  // All topics that can be seen.
  virtual Result<std::vector<TopicInfo>> topics(Duration timeout) = 0;
  virtual Result<Watermarks> watermarks(const TopicPartition& at, Duration timeout) = 0;
  // The first offset at or after a time; the log's end where there is none.
  virtual Result<std::vector<Offset>> offsets_at(std::span<const TopicPartition> at,
                                                 std::int64_t timestamp_ms, Duration timeout) = 0;
  // The group's offsets; nullopt where it has none.
  virtual Result<std::vector<std::optional<GroupOffset>>> committed(
      std::span<const TopicPartition> at, Duration timeout) = 0;
  virtual Result<TopicConfig> topic_config(const std::string& topic, Duration timeout) = 0;

  // The membership in the pipeline's group, where instances share the source's partitions; null
  // where they do not. Its owner is the source.
  virtual Group* group() { return nullptr; }

  // Offsets that have a line are committed with this mark from now on, and committed() fails with
  // kForeign where it finds another one: somebody else's progress in a group of this name is not
  // ours. Any that have none are anybody's: an operator's reset.
  virtual void mark_commits(const std::string& mark) = 0;

  // Starts commits to the group; the answer comes as kCommitted.
  virtual void commit(std::vector<std::pair<TopicPartition, GroupOffset>> offsets) = 0;
  // commit()s without their kCommitted yet.
  [[nodiscard]] virtual std::size_t commits_pending() const = 0;
  virtual void poll(std::vector<SourceEvent>& out, Duration timeout) = 0;

  // From here on the partition's records reach the shard's feed, from `start`, and none that were
  // fetched before. A partition that is assigned already is rewound. Called by the shard's own
  // worker thread, or before that thread runs.
  virtual Result<void> assign(const Assignment& assignment) = 0;
  virtual Result<void> unassign(std::uint32_t slot) = 0;

  virtual Feed& feed(std::uint32_t shard) = 0;

  // The newest end of the log that fetching has seen, without asking anyone.
  [[nodiscard]] virtual std::optional<Watermarks> cached_watermarks(
      const TopicPartition& at) const = 0;
};

// ---- target ---------------------------------------------------------------------------------

struct Delivery {
  std::uint64_t cookie = 0;
  bool delivered = false;
  std::int32_t partition = -1;
  std::int64_t offset = -1;
  Error error{ErrorCode::kInternal, {}};  // where not delivered; kCancelled after purge()
};

// What became of a transaction (EXACTLY_ONCE.md).
struct TransactionEvent {
  enum class Kind : std::uint8_t {
    kReady,      // this sink alone may write now; `ledger` is what has been committed before
    kCommitted,  // visible and final
    kAborted,    // will never be visible; `error` says why, where that was not asked for
  };
  Kind kind = Kind::kReady;
  std::vector<LedgerRecord> ledger;
  std::optional<Error> error;
};

enum class SendStatus : std::uint8_t { kAccepted, kQueueFull };

// How much of what was sent a transaction takes along. What it does not take waits for the next
// one.
enum class Cut : std::uint8_t {
  kEverything,
  // What is on its way already, and what was sent before that: there is little left to be answered
  // before the transaction can be committed. Everything, where nothing is on its way.
  kUnderWay,
};

class Sink {
 public:
  virtual ~Sink() = default;

  // Hands a record over; its bytes must live until its Delivery. Keeps the record's timestamp,
  // headers, and null or empty key and value. `target_partition` must be set. Errors: record-class
  // codes, kClientFatal; then there will be no Delivery.
  virtual Result<SendStatus> send(Record& record, std::uint64_t cookie) = 0;
  // Deliveries that have arrived; never waits. The shard's waker is woken when some do.
  virtual void poll(std::vector<Delivery>& out) = 0;
  // Takes back what was not yet sent; it comes back as kCancelled.
  virtual void purge() = 0;
  // Set once the client cannot be used any more: destroy the sink and make another. What had no
  // Delivery by then gets none.
  [[nodiscard]] virtual std::optional<Error> fatal() const = 0;
  // Records adapted because the client library cannot express them (unsendable: adapt).
  [[nodiscard]] virtual std::uint64_t adapted() const { return 0; }

  // The rest is for sinks with SinkOptions::transaction. Nothing may be sent before kReady, which
  // comes by itself. A transaction begins with what is first sent or committed.
  //
  // What each transaction begins with from now on. It says nothing new: with it the ledger's
  // partition joins the transaction together with the first record's, and not in the end, when all
  // wait for it.
  virtual void begin_with(LedgerRecord /*record*/) {}
  // What is sent from now on waits for the next transaction. Returns how many of the records that
  // were accepted last wait with it; none of them has a Delivery.
  virtual std::size_t cut(Cut /*how*/) { return 0; }
  // Writes to the ledger, and commits what the cut left to this one. Answered by kCommitted, or
  // by kAborted, where all that waits has come back as kCancelled. REQUIRES: cut() before, and each
  // record before it was delivered.
  virtual void commit(std::vector<LedgerRecord> /*ledger*/) {}
  // Takes everything back: what has no Delivery yet comes as kCancelled. Answered by kAborted.
  // REQUIRES: no commit() without its answer.
  virtual void abort() {}
  // The next event after the deliveries of poll(); the shard's waker is woken when there is one.
  virtual std::optional<TransactionEvent> take_transaction_event() { return std::nullopt; }
};

// Who a transactional sink is, and where its ledger is.
struct TransactionOptions {
  std::string transactional_id;
  std::string ledger_topic;
  std::int32_t ledger_partition = 0;
  std::shared_ptr<Lease> lease = nullptr;  // of the ledger's partition, where instances share

  bool operator==(const TransactionOptions&) const = default;
};

struct SinkOptions {
  bool one_record_a_request = false;      // no batching: to find the record that a broker refuses
  std::int64_t smallest_limit = 1 << 20;  // least max.message.bytes of the topics: bounds batches
  std::int64_t largest_limit = 1 << 20;   // greatest: bounds one record
  Unsendable unsendable = Unsendable::kStop;
  std::optional<TransactionOptions> transaction = std::nullopt;  // exactly-once

  bool operator==(const SinkOptions&) const = default;
};

struct NewTopic {
  std::string name;
  std::int32_t partitions = 1;
  std::int32_t replication_factor = -1;
  TopicConfig config;
};

class Target {
 public:
  virtual ~Target() = default;

  virtual Result<std::string> cluster_id(Duration timeout) = 0;
  // Those that this user may see.
  virtual Result<std::vector<TopicInfo>> topics(Duration timeout) = 0;
  // Never creates it. Errors: kUnknownTopic.
  virtual Result<TopicInfo> topic(const std::string& name, Duration timeout) = 0;
  virtual Result<TopicConfig> topic_config(const std::string& topic, Duration timeout) = 0;
  virtual Result<void> create_topic(const NewTopic& topic, Duration timeout) = 0;
  virtual Result<void> grow_topic(const std::string& name, std::int32_t partitions,
                                  Duration timeout) = 0;
  virtual Result<std::unique_ptr<Sink>> make_sink(const SinkOptions& options, Waker& waker) = 0;
};

// Makes clients. The only way for the engine to reach Kafka.
class Connector {
 public:
  virtual ~Connector() = default;
  // One feed per waker.
  virtual Result<std::unique_ptr<Source>> source(const PipelineOptions& pipeline,
                                                 std::span<Waker* const> shard_wakers) = 0;
  // `properties` come on top of the cluster's.
  virtual Result<std::unique_ptr<Target>> target(const ClusterOptions& cluster,
                                                 const Properties& properties) = 0;
  // Joins with subscribe() only.
  virtual Result<std::unique_ptr<Group>> group(const ClusterOptions& cluster,
                                               const Properties& properties,
                                               const GroupOptions& options) = 0;
};

}  // namespace drawbridge

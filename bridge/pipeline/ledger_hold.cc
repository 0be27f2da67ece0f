#include "bridge/pipeline/ledger_hold.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include "bridge/pipeline/shard_of.h"

namespace drawbridge {
namespace {

constexpr Duration kSlice = std::chrono::milliseconds(50);
// For brokers to answer: an outage that is longer is one to run the command again after.
constexpr Duration kAnswer = std::chrono::seconds(60);
// On top of the session's timeout, after which the group knows who is gone.
constexpr Duration kJoining = std::chrono::seconds(20);
// For members that are leaving.
constexpr Duration kLeaving = std::chrono::seconds(3);

}  // namespace

// ---- LedgerWriter ---------------------------------------------------------------------------

Result<std::unique_ptr<LedgerWriter>> LedgerWriter::open(Target& target, const Clock& clock,
                                                         TransactionOptions options, Beat beat) {
  SinkOptions sink;
  sink.transaction = options;
  std::unique_ptr<LedgerWriter> writer(
      new LedgerWriter(clock, std::move(options), std::move(beat)));
  DRAWBRIDGE_ASSIGN(writer->sink_, target.make_sink(sink, writer->waker_));
  return writer;
}

Result<void> LedgerWriter::wait(Instant until, std::string_view what) {
  if (const auto fatal = sink_->fatal()) return fail(*fatal);
  if (clock_.now() >= until) {
    return fail(ErrorCode::kUnavailable, "{} {}: the brokers do not answer", what,
                options_.transactional_id);
  }
  if (beat_) DRAWBRIDGE_TRY(beat_());
  waker_.wait(kSlice);
  sink_->poll(deliveries_);
  return {};
}

Result<TransactionEvent> LedgerWriter::await_event(std::string_view what) {
  const Instant until = clock_.now() + kAnswer;
  for (;;) {
    sink_->poll(deliveries_);
    if (auto event = sink_->take_transaction_event()) return std::move(*event);
    DRAWBRIDGE_TRY(wait(until, what));
  }
}

Result<std::vector<LedgerRecord>> LedgerWriter::take_over() {
  DRAWBRIDGE_ASSIGN(TransactionEvent ready, await_event("taking over transactions of"));
  return std::move(ready.ledger);
}

Result<void> LedgerWriter::deliver(std::vector<Record>& records) {
  const Instant until = clock_.now() + kAnswer;
  deliveries_.clear();
  std::size_t sent = 0;
  std::size_t delivered = 0;
  while (delivered < records.size()) {
    while (sent < records.size()) {
      DRAWBRIDGE_ASSIGN(const SendStatus status, sink_->send(records[sent], sent));
      if (status == SendStatus::kQueueFull) break;
      ++sent;
    }
    sink_->poll(deliveries_);
    for (Delivery& delivery : deliveries_) {
      if (!delivery.delivered) return fail(std::move(delivery.error));
    }
    delivered += deliveries_.size();
    deliveries_.clear();
    if (delivered < records.size()) DRAWBRIDGE_TRY(wait(until, "writing the ledger as"));
  }
  return {};
}

Result<void> LedgerWriter::write(
    const std::map<std::uint32_t, std::vector<LedgerRecord>>& records) {
  std::vector<Record> others;
  std::vector<LedgerRecord> own;
  for (const auto& [partition, said] : records) {
    if (partition == static_cast<std::uint32_t>(options_.ledger_partition)) {
      own = said;
      continue;
    }
    for (const LedgerRecord& each : said) {
      Record& record = others.emplace_back();
      record.target_topic = options_.ledger_topic;
      record.target_partition = Partition{static_cast<std::int32_t>(partition)};
      record.key = each.key;
      record.value = each.value;
      record.timestamp_ms = clock_.wall();
    }
  }
  auto done = deliver(others);
  if (done) {
    sink_->cut(Cut::kEverything);
    sink_->commit(std::move(own));
    auto event = await_event("committing the transaction of");
    if (!event) {
      done = fail(event.error());
    } else if (event->kind != TransactionEvent::Kind::kCommitted) {
      done = fail(event->error.value_or(
          Error{ErrorCode::kUnavailable,
                fmt::format("the transaction of {} was aborted", options_.transactional_id)}));
    }
  }
  if (!done) sink_.reset();  // it views the records
  return done;
}

// ---- LedgerHold -----------------------------------------------------------------------------

Result<std::unique_ptr<LedgerHold>> LedgerHold::take(const PipelineOptions& pipeline,
                                                     const LedgerTopic& topic, Connector& connector,
                                                     Target& target, const Clock& clock) {
  std::unique_ptr<LedgerHold> hold(new LedgerHold(pipeline, topic, clock));
  DRAWBRIDGE_TRY(hold->join(connector));
  DRAWBRIDGE_TRY(hold->take_shards(target));
  return hold;
}

// A pipeline that does not share may have shared before, and another's instances may still.
Result<void> LedgerHold::join(Connector& connector) {
  const std::string name = lease_group(pipeline_);
  DRAWBRIDGE_ASSIGN(group_, connector.group(pipeline_.target, Properties{},
                                            {name, "", pipeline_.session_timeout}));
  DRAWBRIDGE_TRY(group_->subscribe({topic_.name}));
  const Instant joined_by = clock_.now() + pipeline_.session_timeout + kJoining;
  Instant until = joined_by;
  bool others = false;
  std::size_t mine = 0;
  std::string trouble;
  while (clock_.now() < until) {
    while (const auto event = group_->poll()) {
      switch (event->kind) {
        case GroupEvent::Kind::kAssigned:
          mine = event->partitions.size();
          if (mine == topic_.partitions) return {};
          others = true;
          until = std::min(joined_by, clock_.now() + kLeaving);
          break;
        case GroupEvent::Kind::kRevoked:
          group_->release();
          others = false;
          until = joined_by;
          break;
        case GroupEvent::Kind::kError:
          if (class_of(event->error->code) != ErrorClass::kRetry) return fail(*event->error);
          trouble = " (" + event->error->message + ")";
          break;
      }
    }
    std::this_thread::sleep_for(kSlice);
  }
  if (others) {
    return fail(ErrorCode::kLocked,
                "other instances run pipeline {}: its group {} gave this command {} of {} shards. "
                "Stop them first; where one was killed, wait until its session-timeout is over. "
                "Nothing was changed",
                pipeline_.name, name, mine, topic_.partitions);
  }
  return fail(ErrorCode::kUnavailable,
              "group {} does not deal out the shards of pipeline {}{}: an instance that was "
              "killed, or stopped under a daemon.instance, counts until its session-timeout is "
              "over. Nothing was changed; try again",
              name, pipeline_.name, trouble);
}

// Whoever joins waits for us to release, as long as the group hears from us.
Result<void> LedgerHold::beat() {
  while (const auto event = group_->poll()) {
    if (event->kind == GroupEvent::Kind::kRevoked && event->lost) {
      return fail(ErrorCode::kFenced,
                  "group {} took this command for dead, others may run pipeline {} by now",
                  lease_group(pipeline_), pipeline_.name);
    }
    if (event->error && class_of(event->error->code) != ErrorClass::kRetry) {
      return fail(*event->error);
    }
  }
  return {};
}

Result<void> LedgerHold::take_shards(Target& target) {
  for (std::uint32_t shard = 0; shard < topic_.partitions; ++shard) {
    const auto partition = static_cast<std::int32_t>(shard);
    TransactionOptions options{transactional_id(pipeline_, std::to_string(shard)), topic_.name,
                               partition, group_->lease({topic_.name, Partition{partition}})};
    DRAWBRIDGE_ASSIGN(auto writer, LedgerWriter::open(target, clock_, std::move(options),
                                                      [this] { return beat(); }));
    writers_.push_back(std::move(writer));
  }
  for (std::uint32_t shard = 0; shard < topic_.partitions; ++shard) {
    DRAWBRIDGE_ASSIGN(auto records, writers_[shard]->take_over());
    DRAWBRIDGE_ASSIGN(LedgerContents contents, decode_contents(records));
    if (!contents.header) {
      return fail(ErrorCode::kInvalid,
                  "shard {} of pipeline {} has not written to the ledger {} yet: run the pipeline "
                  "with shards: {} until it has, and stop it",
                  shard, pipeline_.name, topic_.name, topic_.partitions);
    }
    const LedgerHeader& header = *contents.header;
    if (header.owner() != LedgerOwner{pipeline_.daemon, pipeline_.name} ||
        header.epoch != topic_.epoch || header.shards != topic_.partitions) {
      return fail(ErrorCode::kForeign,
                  "the ledger {} is of daemon {}, pipeline {}, epoch {}, with {} shards",
                  topic_.name, header.daemon, header.pipeline, header.epoch, header.shards);
    }
    records_.push_back(std::move(records));
    contents_.push_back(std::move(contents));
  }
  return {};
}

const LedgerPosition* LedgerHold::find(const std::string& cluster_id,
                                       const TopicPartition& at) const {
  const auto& said = contents_[shard_of(at, topic_.partitions)].positions;
  const auto found = std::ranges::find_if(said, [&](const LedgerPosition& position) {
    return position.cluster_id == cluster_id && position.at == at;
  });
  return found == said.end() ? nullptr : &*found;
}

bool LedgerHold::knows(const std::string& cluster_id, const std::string& topic) const {
  return std::ranges::any_of(contents_, [&](const LedgerContents& each) {
    return std::ranges::any_of(each.positions, [&](const LedgerPosition& position) {
      return position.cluster_id == cluster_id && position.at.topic == topic;
    });
  });
}

Result<void> LedgerHold::write(std::uint32_t shard, std::vector<LedgerRecord> records) {
  return writers_[shard]->write({{shard, std::move(records)}});
}

Result<void> LedgerHold::set(const std::string& cluster_id,
                             std::span<const std::pair<TopicPartition, Position>> positions) {
  // Without digests: what was sent is not what lies below these.
  std::map<std::uint32_t, std::vector<LedgerStatement>> by_shard;
  for (const auto& [at, position] : positions) {
    by_shard[shard_of(at, topic_.partitions)].push_back({at, position});
  }
  std::map<std::uint32_t, std::vector<LedgerRecord>> stated;
  for (const auto& [shard, said] : by_shard) {
    ShardLedger ledger(
        {pipeline_.daemon, pipeline_.name, topic_.epoch, topic_.partitions, cluster_id});
    DRAWBRIDGE_TRY(ledger.read(records_[shard]));
    DRAWBRIDGE_ASSIGN(stated[shard], ledger.state(said, clock_.wall()));
  }
  for (auto& [shard, records] : stated) DRAWBRIDGE_TRY(write(shard, std::move(records)));
  return {};
}

}  // namespace drawbridge

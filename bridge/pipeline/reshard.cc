#include "bridge/pipeline/reshard.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "bridge/pipeline/shard_of.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(15);

struct Destination {
  LedgerOwner owner;
  std::uint32_t epoch = 0;

  bool operator==(const Destination&) const = default;
};

std::optional<Destination> destination_of(const LedgerHeader& header) {
  if (!header.moved_to) return std::nullopt;
  return Destination{header.renamed_to.value_or(header.owner()), *header.moved_to};
}

class Reshard {
 public:
  Reshard(const PipelineOptions& pipeline, LedgerOwner from, Connector& connector, Target& target,
          const Clock& clock)
      : pipeline_(pipeline),
        owner_{pipeline.daemon, pipeline.name},
        from_(std::move(from)),
        connector_(connector),
        target_(target),
        clock_(clock) {}

  Result<ReshardReport> run();

 private:
  struct Source {
    LedgerTopic topic;
    LedgerHeader header;  // of its first partition
  };

  [[nodiscard]] bool renamed() const { return owner_ != from_; }
  Result<std::optional<LedgerHeader>> look_at(const LedgerOwner& owner, const LedgerTopic& topic);
  Result<Source> find_source();
  Result<LedgerTopic> choose(const LedgerTopic& source);
  Result<LedgerTopic> begun(const Destination& destination);
  Result<void> close(LedgerHold& hold, const LedgerTopic& to);
  Result<std::map<std::uint32_t, std::vector<LedgerRecord>>> dealt(
      const LedgerHold& hold, const LedgerTopic& to, std::vector<LedgerPosition>& moved) const;

  const PipelineOptions& pipeline_;
  const LedgerOwner owner_;  // as it shall be
  const LedgerOwner from_;   // as it is
  Connector& connector_;
  Target& target_;
  const Clock& clock_;
};

// As somebody who is no shard, so that nobody is disturbed.
Result<std::optional<LedgerHeader>> Reshard::look_at(const LedgerOwner& owner,
                                                     const LedgerTopic& topic) {
  DRAWBRIDGE_ASSIGN(
      auto reader,
      LedgerWriter::open(target_, clock_,
                         {transactional_id(pipeline_, "look"), topic.name, 0, nullptr}, nullptr));
  DRAWBRIDGE_ASSIGN(const auto records, reader->take_over());
  DRAWBRIDGE_ASSIGN(LedgerContents contents, decode_contents(records));
  const auto& header = contents.header;
  if (header && header->owner() != owner) {
    return fail(ErrorCode::kForeign, "the ledger {} is of daemon {}, pipeline {}", topic.name,
                header->daemon, header->pipeline);
  }
  return std::move(contents.header);
}

// The newest epoch that says anything.
Result<Reshard::Source> Reshard::find_source() {
  DRAWBRIDGE_ASSIGN(auto topic, newest_ledger(from_, target_, kTimeout));
  while (topic) {
    DRAWBRIDGE_ASSIGN(auto header, look_at(from_, *topic));
    if (header) return Source{std::move(*topic), std::move(*header)};
    if (topic->epoch == 1) break;
    DRAWBRIDGE_ASSIGN(topic, ledger_of(from_, topic->epoch - 1, target_, kTimeout));
  }
  return fail(ErrorCode::kNotFound,
              "pipeline {} of daemon {} has no ledger with anything in it on cluster {}: there is "
              "nothing to move{}",
              from_.pipeline, from_.daemon, pipeline_.target.name,
              renamed() ? "" : "; if its name was another, say --from-pipeline or --from-daemon");
}

// Where to, while nothing is closed yet.
Result<LedgerTopic> Reshard::choose(const LedgerTopic& source) {
  DRAWBRIDGE_ASSIGN(const auto newest, newest_ledger(owner_, target_, kTimeout));
  std::uint32_t epoch = 1;
  if (newest) {
    epoch = newest->epoch;
    const bool is_source = !renamed() && epoch == source.epoch;
    std::optional<LedgerHeader> header;
    if (!is_source) {
      DRAWBRIDGE_ASSIGN(header, look_at(owner_, *newest));
    }
    if (header && !header->moved_to) {
      return fail(ErrorCode::kExists,
                  "pipeline {} of daemon {} has a ledger of its own, {}: choose another name",
                  owner_.pipeline, owner_.daemon, newest->name);
    }
    // Left by a command that was ended.
    const bool unused = !is_source && !header && epoch > 1;
    if (unused && newest->partitions == pipeline_.shards) return *newest;
  }
  DRAWBRIDGE_ASSIGN(std::string name, ledger_topic(owner_.daemon, owner_.pipeline, epoch + 1));
  return LedgerTopic{std::move(name), epoch + 1, pipeline_.shards};
}

// What a command has begun to move to is what it is moved to.
Result<LedgerTopic> Reshard::begun(const Destination& destination) {
  if (destination.owner != owner_) {
    return fail(ErrorCode::kInvalid,
                "pipeline {} of daemon {} was moved to epoch {} of pipeline {} of daemon {}: "
                "choose that name",
                from_.pipeline, from_.daemon, destination.epoch, destination.owner.pipeline,
                destination.owner.daemon);
  }
  DRAWBRIDGE_ASSIGN(auto topic, ledger_of(owner_, destination.epoch, target_, kTimeout));
  if (!topic) {
    return fail(ErrorCode::kNotFound,
                "pipeline {} was moved to epoch {}, and that ledger is not there: somebody has "
                "deleted it",
                from_.pipeline, destination.epoch);
  }
  return std::move(*topic);
}

// A transaction a shard, in its own name: what the ledger says is final after it.
Result<void> Reshard::close(LedgerHold& hold, const LedgerTopic& to) {
  for (std::uint32_t shard = 0; shard < hold.contents().size(); ++shard) {
    LedgerHeader header = *hold.contents()[shard].header;
    if (header.moved_to) continue;
    header.moved_to = to.epoch;
    if (renamed()) header.renamed_to = owner_;
    DRAWBRIDGE_ASSIGN(LedgerRecord record, encode_ledger(header));
    std::vector<LedgerRecord> records;
    records.push_back(std::move(record));
    DRAWBRIDGE_TRY(hold.write(shard, std::move(records)));
  }
  return {};
}

// By partition of the new ledger. The same whoever makes it: the closed ledger decides, but for the
// time.
Result<std::map<std::uint32_t, std::vector<LedgerRecord>>> Reshard::dealt(
    const LedgerHold& hold, const LedgerTopic& to, std::vector<LedgerPosition>& moved) const {
  const auto& before = hold.contents();
  const WallMillis now = clock_.wall();
  std::uint64_t sequence = 0;
  for (const LedgerContents& each : before) sequence = std::max(sequence, each.sequence);
  // Where the new number is a multiple of the old one, all of a shard's positions come from here.
  const auto keys_of = [&](std::uint32_t shard) -> const LedgerHeader& {
    return *before[shard % before.size()].header;
  };
  std::map<std::uint32_t, std::vector<LedgerRecord>> records;
  for (std::uint32_t shard = 0; shard < to.partitions; ++shard) {
    LedgerHeader header = keys_of(shard);
    header.daemon = owner_.daemon;
    header.pipeline = owner_.pipeline;
    header.epoch = to.epoch;
    header.shards = to.partitions;
    header.made_at = now;
    header.moved_to.reset();
    header.renamed_to.reset();
    DRAWBRIDGE_ASSIGN(LedgerRecord record, encode_ledger(header));
    records[shard].push_back(std::move(record));
  }
  for (const LedgerContents& each : before) {
    for (LedgerPosition position : each.positions) {
      const std::uint32_t shard = shard_of(position.at, to.partitions);
      if (keys_of(shard).hash_seed != each.header->hash_seed) position.position.witness.reset();
      if (keys_of(shard).digest_key != each.header->digest_key) position.digest.reset();
      position.sequence = sequence + 1;
      position.saved_at = now;
      DRAWBRIDGE_ASSIGN(LedgerRecord record, encode_ledger(position));
      records[shard].push_back(std::move(record));
      moved.push_back(std::move(position));
    }
  }
  return records;
}

Result<ReshardReport> Reshard::run() {
  ReshardReport report;
  report.owner_before = from_;
  DRAWBRIDGE_ASSIGN(const Source source, find_source());
  report.from = source.topic;
  const auto known = destination_of(source.header);
  if (known) {
    DRAWBRIDGE_ASSIGN(report.to, begun(*known));
    DRAWBRIDGE_ASSIGN(const auto header, look_at(owner_, report.to));
    if (header) {
      report.done = ReshardReport::Done::kBefore;
      return report;
    }
  } else {
    DRAWBRIDGE_ASSIGN(const auto newest, newest_ledger(owner_, target_, kTimeout));
    if (!renamed() && newest && newest->epoch == source.topic.epoch &&
        newest->partitions == pipeline_.shards) {
      return report;
    }
  }

  PipelineOptions holder = pipeline_;
  holder.daemon = from_.daemon;
  holder.name = from_.pipeline;
  DRAWBRIDGE_ASSIGN(const auto hold,
                    LedgerHold::take(holder, source.topic, connector_, target_, clock_));
  // Only now nobody else can close it.
  std::optional<Destination> destination;
  for (const LedgerContents& each : hold->contents()) {
    const auto said = destination_of(*each.header);
    if (said && destination && *said != *destination) {
      return fail(ErrorCode::kCorrupt, "the ledger {} says that it was moved to two places",
                  source.topic.name);
    }
    if (said) destination = said;
  }
  auto to = destination ? begun(*destination) : choose(source.topic);
  if (!to) return fail(to.error());
  if (to->partitions != pipeline_.shards) {
    return fail(ErrorCode::kInvalid,
                "the move of pipeline {} to epoch {} with {} shards was begun: set shards: {} and "
                "finish it first",
                from_.pipeline, to->epoch, to->partitions, to->partitions);
  }
  if (!destination) {
    DRAWBRIDGE_TRY(make_ledger(pipeline_, target_, {to->name, to->epoch, false}, kTimeout));
    DRAWBRIDGE_ASSIGN(auto made, ledger_of(owner_, to->epoch, target_, kTimeout));
    if (!made || made->partitions != pipeline_.shards) {
      return fail(ErrorCode::kInvalid, "the ledger {} has not {} partitions", to->name,
                  pipeline_.shards);
    }
  }
  DRAWBRIDGE_TRY(check_compacted(target_, to->name, kTimeout));
  DRAWBRIDGE_TRY(close(*hold, *to));

  // From here on a command that was before us can write nothing more.
  DRAWBRIDGE_ASSIGN(
      auto writer,
      LedgerWriter::open(target_, clock_,
                         {transactional_id(pipeline_, "reshard"), to->name, 0, nullptr}, nullptr));
  DRAWBRIDGE_ASSIGN(const auto written, writer->take_over());
  DRAWBRIDGE_ASSIGN(const LedgerContents there, decode_contents(written));
  report.to = std::move(*to);
  if (there.header) {
    report.done = ReshardReport::Done::kBefore;
    return report;
  }
  DRAWBRIDGE_ASSIGN(const auto records, dealt(*hold, report.to, report.positions));
  DRAWBRIDGE_TRY(writer->write(records));
  report.done = ReshardReport::Done::kMoved;
  return report;
}

}  // namespace

Result<ReshardReport> reshard(const PipelineOptions& pipeline, const LedgerOwner& from,
                              Connector& connector, Target& target, const Clock& clock) {
  return Reshard(pipeline, from, connector, target, clock).run();
}

}  // namespace drawbridge

#include "bridge/app/check_pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <span>

#include "bridge/checkpoint/ledger.h"
#include "bridge/envelope/format.h"
#include "bridge/envelope/wrap.h"
#include "bridge/kafka/probe.h"
#include "bridge/kafka/rights.h"
#include "bridge/kafka/topic_reader.h"
#include "bridge/pipeline/ledger_place.h"
#include "bridge/pipeline/shard_ledger.h"
#include "bridge/pipeline/start_position.h"
#include "bridge/pipeline/target_topics.h"
#include "bridge/pipeline/topic_selector.h"
#include "bridge/pipeline/topic_template.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(10);
// Each takes a connection of its own; the first of them show what is wrong with most.
constexpr std::size_t kMostRead = 50;
constexpr std::size_t kMostNamed = 5;
constexpr std::int64_t kDefaultMaxMessageBytes = 1'048'588;  // Kafka's own default
// Header's name, lengths and offsets in a record batch.
constexpr std::int64_t kHeaderFraming = 32;

std::string plural(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::int64_t limit_of(const TopicConfig& config) {
  std::int64_t value = kDefaultMaxMessageBytes;
  const auto found = config.find("max.message.bytes");
  if (found != config.end()) {
    const std::string& text = found->second;
    std::from_chars(text.data(), text.data() + text.size(), value);
  }
  return value;
}

class PipelineCheck {
 public:
  PipelineCheck(const PipelineOptions& pipeline, Connector& connector, CheckpointStore* store,
                CheckReport& report)
      : pipeline_(pipeline),
        connector_(connector),
        store_(store),
        report_(report),
        subject_(fmt::format("pipeline {}", pipeline.name)) {}

  void run() {
    if (!connect() || !select()) return;
    if (!topics_.empty()) {
      read_topics();
      read_group();
    }
    if (!pipeline_.exactly_once) compare_store();
    for (const TopicInfo& topic : topics_) check_target(topic);
    check_dead_letters();
    if (pipeline_.exactly_once) check_transactions();
    if (pipeline_.exactly_once && pipeline_.share) check_lease();
    say_what_is_not_provable();
  }

 private:
  bool connect() {
    auto source = connector_.source(pipeline_, {});
    if (!source) {
      report_.failure(subject_, source.error());
      return false;
    }
    source_ = std::move(*source);
    auto target = connector_.target(pipeline_.target, pipeline_.target_properties);
    if (!target) {
      report_.failure(subject_, target.error());
      return false;
    }
    target_ = std::move(*target);
    return true;
  }

  bool select() {
    const auto selector = TopicSelector::compile(pipeline_.topics);
    const auto listed = source_->topics(kTimeout);
    if (!selector || !listed) {
      report_.failure(subject_, selector ? listed.error() : selector.error());
      return false;
    }
    std::set<std::string> seen;
    std::size_t partitions = 0;
    for (const TopicInfo& topic : *listed) {
      if (!selector->selected(topic.name, topic.internal)) continue;
      seen.insert(topic.name);
      partitions += topic.leaders.size();
      topics_.push_back(topic);
    }
    for (const std::string& literal : selector->literals()) {
      if (seen.contains(literal)) continue;
      report_.failure(subject_,
                      fmt::format("source topic {} is not on cluster {}, or not shown to us",
                                  literal, pipeline_.source.name),
                      fmt::format("create it, or correct its name, or the bridge {}",
                                  kafka::needed(kafka::grantee_of(pipeline_.source.properties),
                                                {"Read"}, kafka::Resource::kTopic, literal)));
    }
    if (topics_.empty()) {
      report_.warning(subject_, "no topic is selected now",
                      "nothing to do if they are still to come");
      return true;
    }
    report_.ok(subject_, fmt::format("selects {} with {} on {}", plural(topics_.size(), "topic"),
                                     plural(partitions, "partition"), pipeline_.source.name));
    return true;
  }

  void read_topics() {
    const ClusterOptions cluster = with(pipeline_.source, pipeline_.source_properties);
    std::size_t readable = 0;
    for (std::size_t i = 0; i < std::min(topics_.size(), kMostRead); ++i) {
      const auto read = kafka::probe_read(cluster, topics_[i].name, kTimeout);
      if (read) {
        ++readable;
      } else {
        report_.failure(subject_, read.error());
      }
    }
    if (readable > 0)
      report_.ok(subject_, fmt::format("{} can be read", plural(readable, "topic")));
    if (topics_.size() > kMostRead) {
      report_.warning(subject_,
                      fmt::format("{} more topics were not read", topics_.size() - kMostRead),
                      "their rights show when the pipeline runs");
    }
  }

  std::vector<TopicPartition> all_partitions() const {
    std::vector<TopicPartition> at;
    for (const TopicInfo& topic : topics_) {
      for (std::int32_t i = 0; i < topic.partitions(); ++i)
        at.push_back({topic.name, Partition{i}});
    }
    return at;
  }

  void read_group() {
    const auto at = all_partitions();
    const auto offsets = source_->committed(at, kTimeout);
    if (!offsets) {
      report_.failure(subject_, offsets.error());
      return;
    }
    for (std::size_t i = 0; i < at.size(); ++i) {
      if ((*offsets)[i]) group_.emplace(at[i], *(*offsets)[i]);
    }
    report_.ok(subject_,
               fmt::format("group {} can be read; it has offsets of {} of {}", pipeline_.group,
                           group_.size(), plural(at.size(), "partition")));
  }

  void compare_store() {
    if (store_ == nullptr) return;
    const auto shards = store_->shards(pipeline_.name);
    const auto entries = store_->load(pipeline_.name);
    const auto id = source_->cluster_id(kTimeout);
    if (!shards || !entries || !id) {
      report_.failure(subject_, !shards ? shards.error() : !entries ? entries.error() : id.error());
      return;
    }
    if (*shards && **shards != pipeline_.shards) {
      report_.failure(subject_,
                      fmt::format("was first started with {} shards and is configured with {}",
                                  **shards, pipeline_.shards),
                      fmt::format("set shards: {}", **shards));
    }
    const auto ours = std::ranges::count_if(
        *entries, [&](const CheckpointEntry& entry) { return entry.key.cluster_id == *id; });
    if (ours == 0 && !entries->empty()) {
      report_.failure(subject_,
                      fmt::format("its checkpoints are of another cluster than {} ({})",
                                  pipeline_.source.name, *id),
                      "point the cluster back, or give the pipeline a new name");
    } else {
      report_.ok(subject_, ours == 0
                               ? std::string("has no checkpoints yet: a first start")
                               : fmt::format("has checkpoints of {}",
                                             plural(static_cast<std::size_t>(ours), "partition")));
    }
    if (ours > 0) check_gaps(*entries, *id);
  }

  bool is_there(const TopicPartition& at) const {
    const auto topic = std::ranges::find(topics_, at.topic, &TopicInfo::name);
    return topic != topics_.end() && at.partition.value < topic->partitions();
  }

  // Holds where the pipeline would start against what the logs still have.
  void check_gaps(const std::vector<CheckpointEntry>& entries, const std::string& cluster_id) {
    std::size_t looked_at = 0;
    std::size_t gaps = 0;
    for (const auto& [key, checkpoint] : entries) {
      if (key.cluster_id != cluster_id || !is_there(key.at)) continue;
      const auto log = source_->watermarks(key.at, kTimeout);
      if (!log) {
        report_.failure(subject_, log.error());
        return;
      }
      const auto group = group_.find(key.at);
      const StartDecision decision = decide_start(
          checkpoint, group == group_.end() ? std::nullopt : std::optional(group->second),
          pipeline_.start_at, false, SystemClock().wall());
      ++looked_at;
      gaps += report_gap(key.at, decision.start.position.next, *log) ? 1 : 0;
    }
    if (looked_at > 0 && gaps == 0) {
      report_.ok(subject_, fmt::format("no gaps: what follows the positions of {} is there",
                                       plural(looked_at, "partition")));
    }
  }

  bool report_gap(const TopicPartition& at, Offset next, const Watermarks& log) {
    const bool aged_out = next < log.low;
    if (!aged_out && next <= log.high) return false;
    const Offset from = aged_out ? next : log.high;
    const Offset to = aged_out ? log.low : next;
    const std::string finding = fmt::format(
        "offsets {} to {} of {} [{}] are gone (on-gap: {}): the log {}", from.value, to.value - 1,
        at.topic, at.partition.value, pipeline_.on_gap == OnGap::kStop ? "stop" : "earliest",
        aged_out
            ? fmt::format("starts at {} now", log.low.value)
            : fmt::format("ends at {} now, truncated, or deleted and recreated", log.high.value));
    if (pipeline_.on_gap == OnGap::kStop) {
      report_.failure(subject_, {ErrorCode::kGap, finding});
    } else {
      report_.warning(subject_, finding,
                      fmt::format("nothing, if it shall go on at {}; otherwise drawbridge offsets "
                                  "reset",
                                  log.low.value));
    }
    return true;
  }

  // ---- the target's topics ------------------------------------------------------------------

  TemplateNames names() const { return {pipeline_.source.name, pipeline_.name}; }

  void check_target(const TopicInfo& source) {
    const auto name = TopicTemplate::compile(pipeline_.target_topic, names())
                          .and_then([&](const TopicTemplate& t) { return t.expand(source.name); });
    if (!name) {
      report_.failure(subject_, name.error());
      return;
    }
    written_.push_back(*name);
    const auto topic = target_->topic(*name, kTimeout);
    if (!topic) {
      missing_target(source, *name, topic.error());
      return;
    }
    const std::string what = fmt::format("target topic {} on {}", *name, pipeline_.target.name);
    if (std::ranges::any_of(topic->leaders, [](std::int32_t leader) { return leader < 0; })) {
      report_.warning(subject_, what + " has partitions without a leader",
                      "look at the cluster's brokers");
    }
    if (topic->partitions() >= source.partitions()) {
      report_.ok(subject_,
                 fmt::format("{} is there, {}", what, plural(topic->leaders.size(), "partition")));
    } else {
      fewer_partitions(source, *topic, what);
    }
    compare_settings(source, *name, what);
  }

  void missing_target(const TopicInfo& source, const std::string& name, const Error& error) {
    const std::string what = fmt::format("target topic {} on {}", name, pipeline_.target.name);
    if (error.code != ErrorCode::kUnknownTopic) {
      report_.failure(subject_, error);
    } else if (pipeline_.create_topics.enabled) {
      // Its settings are made after the source's.
      const auto here = source_->topic_config(source.name, kTimeout);
      if (!here) report_.failure(subject_, here.error());
      will_be_made(with(pipeline_.target, pipeline_.target_properties), {}, what, name,
                   source.partitions());
    } else {
      report_.failure(subject_, what + " does not exist",
                      fmt::format("create it with {}, or set create-topics under `to`",
                                  plural(source.leaders.size(), "partition")));
    }
  }

  void will_be_made(const ClusterOptions& cluster, const TopicConfig& config,
                    const std::string& what, const std::string& name, std::int32_t partitions) {
    const auto created = kafka::probe_create(
        cluster, {name, partitions, pipeline_.create_topics.replication_factor, config}, kTimeout);
    if (created) {
      report_.ok(subject_, fmt::format("{} is missing and will be made with {}", what,
                                       plural(static_cast<std::size_t>(partitions), "partition")));
    } else {
      report_.failure(subject_, fmt::format("{} does not exist: {}", what, created.error().message),
                      info(created.error().code).remedy);
    }
  }

  void fewer_partitions(const TopicInfo& source, const TopicInfo& topic, const std::string& what) {
    const std::string finding = fmt::format("{} has {}, its source {}", what, topic.partitions(),
                                            plural(source.leaders.size(), "partition"));
    if (pipeline_.create_topics.enabled) {
      const auto grown = kafka::probe_grow(with(pipeline_.target, pipeline_.target_properties),
                                           topic.name, source.partitions(), kTimeout);
      if (grown) {
        report_.ok(subject_, finding + ": it will be grown");
      } else {
        report_.failure(subject_, grown.error());
      }
    } else if (pipeline_.partitions == PartitionPolicy::kKeyHash) {
      report_.ok(subject_, finding + ": the rest goes by key-hash");
    } else {
      report_.failure(subject_, finding,
                      "add partitions, or set create-topics or partitions: key-hash under `to`");
    }
  }

  void compare_settings(const TopicInfo& source, const std::string& name, const std::string& what) {
    const auto here = source_->topic_config(source.name, kTimeout);
    const auto there = target_->topic_config(name, kTimeout);
    if (!here || !there) {
      const Error& error = here ? there.error() : here.error();
      report_.warning(subject_, error.message, "without it limits are not compared");
      return;
    }
    const auto type = there->find("message.timestamp.type");
    if (type != there->end() && type->second == "LogAppendTime") {
      report_.warning(subject_, what + " replaces timestamps: the original ones are lost there",
                      "set its message.timestamp.type to CreateTime");
    }
    const std::int64_t overhead = envelope_overhead(pipeline_);
    const std::int64_t needed = limit_of(*here) + overhead;
    if (limit_of(*there) < needed) {
      report_.warning(
          subject_,
          fmt::format("{} takes {} bytes a batch; its source's records reach {}{}", what,
                      limit_of(*there), limit_of(*here),
                      overhead == 0 ? "" : fmt::format(", and an envelope adds {}", overhead)),
          fmt::format("set its max.message.bytes to {}", needed));
    }
  }

  // ---- dead letters -------------------------------------------------------------------------

  void check_dead_letters() {
    if (!pipeline_.dead_letter) return;
    const DeadLetterOptions& options = *pipeline_.dead_letter;
    const bool on_target = options.cluster == pipeline_.target.name;
    std::unique_ptr<Target> made;
    if (!on_target) {
      auto source = connector_.target(pipeline_.source, {});
      if (!source) {
        report_.failure(subject_, source.error());
        return;
      }
      made = std::move(*source);
    }
    Target& cluster = on_target ? *target_ : *made;
    std::set<std::string> seen;
    for (const TopicInfo& topic : topics_) {
      const auto name =
          TopicTemplate::compile(options.topic, names()).and_then([&](const TopicTemplate& t) {
            return t.expand(topic.name);
          });
      if (!name) {
        report_.failure(subject_, name.error());
      } else if (seen.insert(*name).second) {
        check_dead_letter_topic(cluster, *name, topic.partitions());
      }
    }
  }

  void check_dead_letter_topic(Target& cluster, const std::string& name, std::int32_t partitions) {
    const std::string what =
        fmt::format("dead-letter topic {} on {}", name, pipeline_.dead_letter->cluster);
    written_.push_back(name);
    const auto topic = cluster.topic(name, kTimeout);
    if (topic) {
      report_.ok(subject_, what + " is there");
    } else if (topic.error().code != ErrorCode::kUnknownTopic) {
      report_.failure(subject_, topic.error());
    } else if (pipeline_.create_topics.enabled) {
      const bool on_target = pipeline_.dead_letter->cluster == pipeline_.target.name;
      will_be_made(
          on_target ? with(pipeline_.target, pipeline_.target_properties) : pipeline_.source, {},
          what, name, partitions);
    } else {
      report_.failure(subject_, what + " does not exist",
                      "create it, or set create-topics under `to`");
    }
  }

  // ---- rights -------------------------------------------------------------------------------

  // The client library does not show the rights that it has, and trying these leaves traces.
  void say_what_is_not_provable() {
    std::string writing = written_.empty() ? "the target topics" : "topics";
    for (std::size_t i = 0; i < std::min(written_.size(), kMostNamed); ++i)
      writing += (i == 0 ? " " : ", ") + written_[i];
    if (written_.size() > kMostNamed)
      writing += fmt::format(" and {} more", written_.size() - kMostNamed);
    report_.ok(subject_, fmt::format("not provable without traces: WRITE on {}; READ on {}, beyond "
                                     "describing",
                                     writing,
                                     pipeline_.exactly_once && pipeline_.share
                                         ? fmt::format("groups {} and {}", pipeline_.group,
                                                       lease_group(pipeline_))
                                         : "group " + pipeline_.group));
  }

  // ---- exactly-once -------------------------------------------------------------------------

  // As far as it can be known without writing: with a transactional id of its own, so that no shard
  // at work is fenced.
  void check_transactions() {
    const auto ledger = find_ledger(pipeline_, *target_, kTimeout);
    if (!ledger) {
      report_.failure(subject_, ledger.error());
      return;
    }
    written_.push_back(ledger->topic);
    if (!ledger->exists) {
      will_be_made(with(pipeline_.target, pipeline_.target_properties), ledger_config(),
                   fmt::format("the ledger {}", ledger->topic), ledger->topic,
                   static_cast<std::int32_t>(pipeline_.shards));
    }
    Waker waker;
    SinkOptions options;
    options.transaction =
        TransactionOptions{transactional_id(pipeline_, "check"), ledger->topic, 0};
    auto sink = target_->make_sink(options, waker);
    if (!sink) {
      report_.failure(subject_, sink.error());
      return;
    }
    std::vector<Delivery> none;
    const SystemClock clock;
    for (const Instant until = clock.now() + kTimeout; clock.now() < until;) {
      (*sink)->poll(none);
      const auto fatal = (*sink)->fatal();
      // Without a ledger it is looked for in vain, once transactions can be begun.
      const bool none_yet = fatal && fatal->code == ErrorCode::kUnknownTopic && !ledger->exists;
      if (fatal && !none_yet) {
        report_.failure(subject_, *fatal);
        return;
      }
      if (none_yet || (*sink)->take_transaction_event()) {
        report_.ok(subject_, fmt::format("transactions can be begun as {}",
                                         options.transaction->transactional_id));
        if (!none_yet) check_ledger(ledger->topic);
        return;
      }
      waker.wait(std::chrono::milliseconds(100));
    }
    report_.failure(subject_, {ErrorCode::kUnavailable,
                               fmt::format("the coordinator of transactions of {} does not answer",
                                           pipeline_.target.name)});
  }

  // What a shard would find at its start.
  void check_ledger(const std::string& topic) {
    const ClusterOptions cluster = with(pipeline_.target, pipeline_.target_properties);
    for (std::uint32_t shard = 0; shard < pipeline_.shards; ++shard) {
      const auto log =
          kafka::read_ledger(cluster, topic, static_cast<std::int32_t>(shard), kTimeout);
      if (!log) {
        report_.failure(subject_, log.error());
        return;
      }
      if (auto contents = decode_contents(log->records); !contents) {
        Error& error = contents.error();
        error.message = fmt::format("{} [{}]: {}", topic, shard, error.message);
        report_.failure(subject_, error);
        return;
      }
    }
    report_.ok(subject_, fmt::format("the ledger {} can be read", topic));
  }

  // Without joining: the others would have to put down their work.
  void check_lease() {
    PipelineOptions member = pipeline_;
    member.source = pipeline_.target;
    member.source_properties = {};
    member.group = lease_group(pipeline_);
    const auto group = connector_.source(member, {});
    const auto ledger = ledger_topic(pipeline_.daemon, pipeline_.name, 1);
    if (!group || !ledger) {
      report_.failure(subject_, !group ? group.error() : ledger.error());
      return;
    }
    const TopicPartition first{*ledger, Partition{0}};
    if (const auto read = (*group)->committed(std::span(&first, 1), kTimeout); !read) {
      report_.failure(subject_, read.error());
    } else {
      report_.ok(subject_, fmt::format("the lease group {} is there for us", member.group));
    }
  }

  const PipelineOptions& pipeline_;
  Connector& connector_;
  CheckpointStore* store_;
  CheckReport& report_;
  const std::string subject_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<Target> target_;
  std::vector<TopicInfo> topics_;
  std::map<TopicPartition, GroupOffset> group_;
  std::vector<std::string> written_;  // topics on the target, and for dead letters
};

}  // namespace

void check_pipeline(const PipelineOptions& pipeline, Connector& connector, CheckpointStore* store,
                    CheckReport& report) {
  PipelineCheck(pipeline, connector, store, report).run();
}

std::int64_t envelope_overhead(const PipelineOptions& pipeline) {
  std::size_t most = 0;
  for (const TransformStep& step : pipeline.transforms) {
    if (step.spec->leaves != Form::kEnvelope) continue;
    std::vector<std::string> domains;
    for (const char* name : {"domain", "to"}) {
      if (step.values.has(name)) domains.push_back(step.values.text(name));
    }
    if (step.values.has("domains")) {
      const auto& listed = step.values.list("domains");
      domains.insert(domains.end(), listed.begin(), listed.end());
    }
    // A KEK reference may be longer in other stores than a keyring's; see FORMAT.md for the shape.
    std::size_t bytes = format::kFixedOverhead + format::kMaxShort + format::kKeysHeader.size() +
                        static_cast<std::size_t>(kHeaderFraming);
    bytes +=
        step.values.has("dataset") ? step.values.text("dataset").size() : pipeline.dataset.size();
    for (const std::string& domain : domains) bytes += domain.size() + 128 + kLocalWrappedBytes;
    most = std::max(most, bytes);
  }
  return static_cast<std::int64_t>(most);
}

}  // namespace drawbridge

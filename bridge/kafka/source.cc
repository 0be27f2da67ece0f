#include "bridge/kafka/source.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "bridge/base/log.h"
#include "bridge/kafka/admin.h"
#include "bridge/kafka/connector.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::kafka {
namespace {

constexpr Duration kForwardInterval = std::chrono::seconds(1);
constexpr std::int32_t kNobody = -2;  // a leader that was never told
constexpr std::string_view kMarkPrefix = "drawbridge ";
constexpr std::string_view kLineOfMark = " since ";

// A mark of ours: "drawbridge DAEMON/PIPELINE to CLUSTER since LINE". An older one has no line.
struct Mark {
  std::string_view whose;
  WallMillis line = 0;
};

std::optional<Mark> parse_mark(std::string_view metadata) {
  if (!metadata.starts_with(kMarkPrefix)) return std::nullopt;
  // Tools that commit a group's offsets again may count a terminator in.
  metadata = metadata.substr(0, metadata.find('\0'));
  Mark mark{metadata};
  const auto at = metadata.rfind(kLineOfMark);
  if (at == std::string_view::npos) return mark;
  const std::string_view number = metadata.substr(at + kLineOfMark.size());
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), mark.line);
  if (error == std::errc{} && end == number.data() + number.size() && mark.line >= 0) {
    mark.whose = metadata.substr(0, at);
  } else {
    mark.line = 0;
  }
  return mark;
}

Instant now() { return SystemClock().now(); }

}  // namespace

PartitionsPtr to_list(std::span<const TopicPartition> at) {
  PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(at.size())));
  for (const auto& one : at)
    rd_kafka_topic_partition_list_add(list.get(), one.topic.c_str(), one.partition.value);
  return list;
}

std::vector<TopicPartition> from_list(const rd_kafka_topic_partition_list_t* list) {
  std::vector<TopicPartition> partitions;
  for (int i = 0; list != nullptr && i < list->cnt; ++i)
    partitions.push_back({list->elems[i].topic, Partition{list->elems[i].partition}});
  return partitions;
}

Result<std::unique_ptr<Source>> KafkaSource::make(const PipelineOptions& pipeline,
                                                  std::span<Waker* const> shard_wakers) {
  std::unique_ptr<KafkaSource> source(new KafkaSource());
  const ConsumerSettings settings = consumer_settings(pipeline, shard_wakers.size());
  source->has_group_ = pipeline.group != kNoGroup;
  DRAWBRIDGE_ASSIGN(source->client_, Client::make(settings.config, source.get()));
  source->group_name_ = pipeline.group;
  rd_kafka_t* rk = source->client_->handle();
  source->events_.reset(rd_kafka_queue_get_consumer(rk));
  source->kick_ =
      std::make_unique<FetchKick>(rk, [self = source.get()] { return self->one_per_broker(); });
  for (Waker* waker : shard_wakers)
    source->feeds_.push_back(
        std::make_unique<KafkaFeed>(*source->client_, *waker, settings.queue_bytes,
                                    settings.queue_records, source->kick_->add()));
  source->kick_->start();
  if (pipeline.share && !pipeline.exactly_once && !shard_wakers.empty()) {
    DRAWBRIDGE_ASSIGN(source->group_, KafkaGroup::make(pipeline.source, pipeline.source_properties,
                                                       {pipeline.group, pipeline.instance,
                                                        pipeline.session_timeout}));
    source->member_commits_.reset(rd_kafka_queue_new(source->group_->client().handle()));
  }
  return source;
}

KafkaSource::~KafkaSource() = default;

Result<std::string> KafkaSource::cluster_id(Duration timeout) {
  return client_->cluster_id(timeout);
}

Result<std::vector<TopicInfo>> KafkaSource::topics(Duration timeout) {
  auto topics = list_topics(*client_, timeout);
  if (topics) note_leaders(*topics);
  return topics;
}

Error KafkaSource::readable(Error error, const std::string& topic) const {
  return naming_right(std::move(error), client_->grantee(), {"Read"}, Resource::kTopic, topic);
}

Result<Watermarks> KafkaSource::watermarks(const TopicPartition& at, Duration timeout) {
  Watermarks marks{};
  const auto error =
      rd_kafka_query_watermark_offsets(client_->handle(), at.topic.c_str(), at.partition.value,
                                       &marks.low.value, &marks.high.value, to_millis(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(readable(client_->explain(error, fmt::format("asking for the ends of {} [{}]",
                                                             at.topic, at.partition.value)),
                         at.topic));
  return marks;
}

Result<std::vector<Offset>> KafkaSource::offsets_at(std::span<const TopicPartition> at,
                                                    std::int64_t timestamp_ms, Duration timeout) {
  std::vector<Offset> offsets;
  if (at.empty()) return offsets;
  const Instant deadline = now() + timeout;
  const PartitionsPtr list = to_list(at);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = timestamp_ms;
  const auto error = rd_kafka_offsets_for_times(client_->handle(), list.get(), to_millis(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(client_->explain(error, "asking for offsets by time"));
  for (const auto& one : at) {
    const auto* found =
        rd_kafka_topic_partition_list_find(list.get(), one.topic.c_str(), one.partition.value);
    if (found == nullptr || found->err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(readable(client_->explain(found == nullptr ? RD_KAFKA_RESP_ERR__FAIL : found->err,
                                            fmt::format("asking {} [{}] for its offset by time",
                                                        one.topic, one.partition.value)),
                           one.topic));
    if (found->offset >= 0) {
      offsets.push_back(Offset{found->offset});
    } else {  // none at or after that time
      DRAWBRIDGE_ASSIGN(const Watermarks marks, watermarks(one, deadline - now()));
      offsets.push_back(marks.high);
    }
  }
  return offsets;
}

Result<std::vector<std::optional<GroupOffset>>> KafkaSource::committed(
    std::span<const TopicPartition> at, Duration timeout) {
  std::vector<std::optional<GroupOffset>> offsets;
  if (at.empty()) return offsets;
  const PartitionsPtr list = to_list(at);
  std::optional<Error> cause;
  const auto error = client_->persist(timeout, [&](Duration slice) {
    const auto failed = rd_kafka_committed(client_->handle(), list.get(), to_millis(slice));
    if (failed == RD_KAFKA_RESP_ERR_NO_ERROR) return failed;
    cause = group_error();
    return cause ? RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED : failed;
  });
  if (cause) return fail(std::move(*cause));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(client_->explain(error, "asking for the group's offsets"));
  for (const auto& one : at) {
    const auto* found =
        rd_kafka_topic_partition_list_find(list.get(), one.topic.c_str(), one.partition.value);
    if (found == nullptr || found->err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(readable(client_->explain(found == nullptr ? RD_KAFKA_RESP_ERR__FAIL : found->err,
                                            fmt::format("asking for the group's offset of {} [{}]",
                                                        one.topic, one.partition.value)),
                           one.topic));
    if (found->offset < 0) {
      offsets.emplace_back(std::nullopt);
      continue;
    }
    const auto mark = parse_mark({static_cast<const char*>(found->metadata), found->metadata_size});
    if (mark && !mark_.empty() && mark->whose != mark_)
      return fail(
          ErrorCode::kForeign,
          "the offset of {} [{}] in group {} was committed by another pipeline (\"{}\", and "
          "this is \"{}\"): give each its own from.group; where it is this pipeline with a "
          "new target, reset the group (drawbridge offsets reset)",
          one.topic, one.partition.value, group_name_, mark->whose, mark_);
    offsets.emplace_back(
        GroupOffset{Offset{found->offset}, mark ? std::optional(mark->line) : std::nullopt});
  }
  return offsets;
}

Result<TopicConfig> KafkaSource::topic_config(const std::string& topic, Duration timeout) {
  return describe_config(*client_, topic, timeout);
}

void KafkaSource::mark_commits(const std::string& mark) {
  mark_ = fmt::format("{}{}", kMarkPrefix, mark);
}

void KafkaSource::commit(std::vector<std::pair<TopicPartition, GroupOffset>> offsets) {
  if (offsets.empty()) return;
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const auto& [at, group] : offsets) {
    auto* one = rd_kafka_topic_partition_list_add(list.get(), at.topic.c_str(), at.partition.value);
    one->offset = group.offset.value;
    if (mark_.empty() || !group.line) continue;
    const std::string mark = fmt::format("{}{}{}", mark_, kLineOfMark, *group.line);
    one->metadata = strdup(mark.c_str());  // the list's end frees it
    one->metadata_size = mark.size();
  }
  const auto error = group_ ? rd_kafka_commit_queue(group_->client().handle(), list.get(),
                                                    member_commits_.get(), nullptr, nullptr)
                            : rd_kafka_commit_queue(client_->handle(), list.get(), events_.get(),
                                                    nullptr, nullptr);
  ++commits_pending_;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  SourceEvent event;
  event.kind = SourceEvent::Kind::kCommitted;
  for (auto& [at, group] : offsets) event.offsets.emplace_back(std::move(at), group.offset);
  event.error = client_->error(error, fmt::format("{}: committing to the group", client_->name()));
  const std::lock_guard lock(mutex_);
  pending_.push_back(std::move(event));
}

void KafkaSource::poll(std::vector<SourceEvent>& out, Duration timeout) {
  const std::size_t before = out.size();
  for (const auto& feed : feeds_) {
    for (const auto slot : feed->take_stray()) {
      SourceEvent event;
      event.kind = SourceEvent::Kind::kStray;
      event.slot = slot;
      out.push_back(std::move(event));
    }
  }
  forward_again();
  // What the caller waits for, mostly, is a commit's answer.
  const bool by_member = group_ && commits_pending_ > 0;
  if (by_member) take_events(*member_commits_, timeout, out);
  take_events(*events_, by_member ? Duration::zero() : timeout, out);
  rd_kafka_poll(client_->handle(), 0);  // runs on_error()
  for (auto& error : client_->take_errors()) {
    SourceEvent event;
    event.kind = SourceEvent::Kind::kError;
    event.error = std::move(error);
    out.push_back(std::move(event));
  }
  {
    const std::lock_guard lock(mutex_);
    std::ranges::move(pending_, std::back_inserter(out));
    pending_.clear();
  }
  commits_pending_ -= static_cast<std::size_t>(std::ranges::count(
      std::span(out).subspan(before), SourceEvent::Kind::kCommitted, &SourceEvent::kind));
}

Result<void> KafkaSource::assign(const Assignment& assignment) {
  KafkaFeed& feed = *feeds_.at(assignment.shard);
  std::string_view topic;
  bool rewind = false;
  {
    const std::lock_guard lock(mutex_);
    topic = intern(assignment.at.topic);
    rewind = assigned_.erase(assignment.slot) > 0;
  }
  if (rewind) {
    feed.remove(topic, assignment.at.partition);
    DRAWBRIDGE_TRY(unassign_now(assignment.at));
  }
  QueuePtr queue = forward(assignment.at, feed);
  const PartitionsPtr list = to_list(std::span(&assignment.at, 1));
  list->elems[0].offset = assignment.start.value;
  if (const ErrorPtr error{rd_kafka_incremental_assign(client_->handle(), list.get())})
    return fail(make_error(rd_kafka_error_code(error.get()),
                           fmt::format("{}: assigning {} [{}]", client_->name(),
                                       assignment.at.topic, assignment.at.partition.value),
                           rd_kafka_error_string(error.get())));
  queue = forward(assignment.at, feed);
  feed.add({.slot = assignment.slot,
            .topic = topic,
            .partition = assignment.at.partition,
            .start = assignment.start,
            .next = assignment.start});
  const std::lock_guard lock(mutex_);
  one_per_broker_.reset();
  assigned_[assignment.slot] = {assignment.at, assignment.shard, std::move(queue)};
  return {};
}

Result<void> KafkaSource::unassign(std::uint32_t slot) {
  TopicPartition at;
  {
    const std::lock_guard lock(mutex_);
    const auto found = assigned_.find(slot);
    if (found == assigned_.end()) return {};
    at = found->second.at;
    feeds_.at(found->second.shard)->remove(at.topic, at.partition);
    assigned_.erase(found);
    one_per_broker_.reset();
  }
  return unassign_now(at);
}

Feed& KafkaSource::feed(std::uint32_t shard) { return *feeds_.at(shard); }

std::optional<Watermarks> KafkaSource::cached_watermarks(const TopicPartition& at) const {
  Watermarks marks{};
  if (rd_kafka_get_watermark_offsets(client_->handle(), at.topic.c_str(), at.partition.value,
                                     &marks.low.value,
                                     &marks.high.value) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      marks.high.value < 0)
    return std::nullopt;
  return marks;
}

// Runs on the thread of whichever poll found the error.
void KafkaSource::on_error(rd_kafka_resp_err_t error, std::string_view reason) {
  KafkaFeed::error_in_poll(error, reason);
}

Result<void> KafkaSource::unassign_now(const TopicPartition& at) {
  const PartitionsPtr list = to_list(std::span(&at, 1));
  if (const ErrorPtr error{rd_kafka_incremental_unassign(client_->handle(), list.get())})
    return fail(make_error(
        rd_kafka_error_code(error.get()),
        fmt::format("{}: unassigning {} [{}]", client_->name(), at.topic, at.partition.value),
        rd_kafka_error_string(error.get())));
  return {};
}

QueuePtr KafkaSource::forward(const TopicPartition& at, KafkaFeed& feed) {
  QueuePtr queue(
      rd_kafka_queue_get_partition(client_->handle(), at.topic.c_str(), at.partition.value));
  if (queue) rd_kafka_queue_forward(queue.get(), feed.queue());
  return queue;
}

void KafkaSource::forward_again() {
  const std::lock_guard lock(mutex_);
  if (now() - forwarded_at_ < kForwardInterval) return;
  forwarded_at_ = now();
  for (const auto& [slot, assigned] : assigned_)
    if (assigned.queue)
      rd_kafka_queue_forward(assigned.queue.get(), feeds_[assigned.shard]->queue());
}

// Waits for the first one only.
void KafkaSource::take_events(rd_kafka_queue_t& queue, Duration wait,
                              std::vector<SourceEvent>& out) {
  while (const EventPtr event{rd_kafka_queue_poll(&queue, to_millis(wait))}) {
    take_event(*event, out);
    wait = Duration::zero();
  }
}

void KafkaSource::take_event(rd_kafka_event_t& event, std::vector<SourceEvent>& out) {
  SourceEvent made;
  switch (rd_kafka_event_type(&event)) {
    case RD_KAFKA_EVENT_OFFSET_COMMIT: {
      made.kind = SourceEvent::Kind::kCommitted;
      auto error = rd_kafka_event_error(&event);
      if (const auto* list = rd_kafka_event_topic_partition_list(&event)) {
        for (int i = 0; i < list->cnt; ++i) {
          const auto& one = list->elems[i];
          made.offsets.push_back({{one.topic, Partition{one.partition}}, Offset{one.offset}});
          if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = one.err;
        }
      }
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        made.error =
            client_->error(error, fmt::format("{}: committing to the group", client_->name()));
      out.push_back(std::move(made));
      return;
    }
    case RD_KAFKA_EVENT_FETCH: {
      while (const auto* message = rd_kafka_event_message_next(&event)) {
        if (message->rkt == nullptr) continue;
        const auto slot = slot_of(rd_kafka_topic_name(message->rkt), message->partition);
        if (!slot || (!out.empty() && out.back().kind == SourceEvent::Kind::kStray &&
                      out.back().slot == *slot))
          continue;
        log_folded(Level::kWarning, "record outside of its feed",
                   {{"topic", rd_kafka_topic_name(message->rkt)},
                    {"partition", message->partition},
                    {"offset", message->offset}});
        made.kind = SourceEvent::Kind::kStray;
        made.slot = *slot;
        out.push_back(made);
      }
      return;
    }
    case RD_KAFKA_EVENT_ERROR: {
      const auto error = rd_kafka_event_error(&event);
      if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
      if (error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED && !has_group_) return;
      const char* text = rd_kafka_event_error_string(&event);
      made.kind = SourceEvent::Kind::kError;
      made.error = client_->error(error, client_->name(), text == nullptr ? "" : text);
      if (rd_kafka_event_error_is_fatal(&event) != 0) made.error->code = ErrorCode::kClientFatal;
      out.push_back(std::move(made));
      return;
    }
    default:
      return;
  }
}

// A group that refuses us shows as an event, while the call that asked it just times out.
std::optional<Error> KafkaSource::group_error() {
  std::vector<SourceEvent> events;
  while (const EventPtr event{rd_kafka_queue_poll(events_.get(), 0)}) take_event(*event, events);
  std::optional<Error> found;
  for (const auto& event : events)
    if (event.error && class_of(event.error->code) == ErrorClass::kPipeline) found = event.error;
  const std::lock_guard lock(mutex_);
  std::ranges::move(events, std::back_inserter(pending_));
  return found;
}

std::optional<std::uint32_t> KafkaSource::slot_of(const char* topic, std::int32_t partition) {
  const std::lock_guard lock(mutex_);
  for (const auto& [slot, assigned] : assigned_)
    if (assigned.at.topic == topic && assigned.at.partition.value == partition) return slot;
  return std::nullopt;
}

void KafkaSource::note_leaders(const std::vector<TopicInfo>& topics) {
  const std::lock_guard lock(mutex_);
  one_per_broker_.reset();
  for (const auto& [slot, assigned] : assigned_) {
    const auto& at = assigned.at;
    const auto info = std::ranges::find(topics, at.topic, &TopicInfo::name);
    const bool led = info != topics.end() && at.partition.value < info->partitions();
    leaders_[at] = led ? info->leaders[static_cast<std::size_t>(at.partition.value)] : -1;
  }
}

std::vector<TopicPartition> KafkaSource::one_per_broker() {
  const std::lock_guard lock(mutex_);
  if (one_per_broker_) return *one_per_broker_;
  std::map<std::int32_t, TopicPartition> by_leader;
  for (const auto& [slot, assigned] : assigned_) {
    const auto leader = leaders_.find(assigned.at);
    by_leader.emplace(leader == leaders_.end() ? kNobody : leader->second, assigned.at);
  }
  // A partition without a leader cannot be asked; one whose leader was never told may do.
  by_leader.erase(-1);
  if (by_leader.size() > 1) by_leader.erase(kNobody);
  one_per_broker_.emplace();
  for (auto& [leader, at] : by_leader) one_per_broker_->push_back(std::move(at));
  return *one_per_broker_;
}

std::string_view KafkaSource::intern(const std::string& topic) {
  return *names_.insert(topic).first;
}

}  // namespace drawbridge::kafka

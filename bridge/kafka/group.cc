#include "bridge/kafka/group.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "bridge/base/log.h"
#include "bridge/kafka/admin.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/settings.h"
#include "bridge/kafka/source.h"

namespace drawbridge::kafka {
namespace {

// For the coordinator to hear of our leaving. The library's own limit on the request is 5 s, and
// Client's end has one more.
constexpr Duration kLeaveLimit = std::chrono::seconds(3);
constexpr Duration kLeaveSlice = std::chrono::milliseconds(100);
constexpr Duration kDescribeLimit = std::chrono::seconds(5);
// Makes a subscription another one.
constexpr const char* kNoTopic = "__drawbridge.none";

Instant now() { return SystemClock().now(); }

GroupEvent trouble(Error error) {
  GroupEvent event;
  event.kind = GroupEvent::Kind::kError;
  event.error = std::move(error);
  return event;
}

class MemberLease final : public Lease {
 public:
  MemberLease(std::shared_ptr<Member> member, TopicPartition at, Bytes token)
      : member_(std::move(member)), at_(std::move(at)), token_(std::move(token)) {}

  [[nodiscard]] ByteView token() const override { return token_; }

  Result<void> confirm(Duration timeout) override {
    const Instant deadline = now() + timeout;
    DRAWBRIDGE_TRY(same_member());
    // An offset has to be committed; the one that is there harms nobody.
    DRAWBRIDGE_ASSIGN(const std::int64_t offset, committed(timeout));
    if (auto done = commit(offset, deadline - now()); !done) {
      // The library rejoins over what it has just been told; the lease is over either way.
      if (auto same = same_member(); !same) return same;
      return done;
    }
    // Where the coordinator was away the library kept the commit, and made it under the generation
    // of the time.
    return same_member();
  }

 private:
  Result<void> same_member() const {
    if (member_->left || token_.empty() || member_->metadata() != token_)
      return over("its group has dealt anew, or has taken this instance for dead");
    return {};
  }

  [[nodiscard]] Result<void> over(std::string_view why) const {
    return fail(ErrorCode::kFenced, "group {}: the lease of {} [{}] is over: {}",
                member_->options.name, at_.topic, at_.partition.value, why);
  }

  [[nodiscard]] Error explain(rd_kafka_resp_err_t error, std::string_view what) const {
    return member_->explain(error, fmt::format("{} {} [{}]", what, at_.topic, at_.partition.value));
  }

  Result<std::int64_t> committed(Duration timeout) const {
    const PartitionsPtr list = to_list(std::span(&at_, 1));
    auto error = rd_kafka_committed(member_->client->handle(), list.get(), to_millis(timeout));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = list->elems[0].err;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(explain(error, "asking for the lease's offset of"));
    return std::max<std::int64_t>(list->elems[0].offset, 0);
  }

  Result<void> commit(std::int64_t offset, Duration timeout) const {
    rd_kafka_t* rk = member_->client->handle();
    const QueuePtr answers(rd_kafka_queue_new(rk));
    const PartitionsPtr list = to_list(std::span(&at_, 1));
    list->elems[0].offset = offset;
    auto error = rd_kafka_commit_queue(rk, list.get(), answers.get(), nullptr, nullptr);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const EventPtr answer(rd_kafka_queue_poll(answers.get(), to_millis(timeout)));
      error = answer ? rd_kafka_event_error(answer.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
      const auto* said = answer ? rd_kafka_event_topic_partition_list(answer.get()) : nullptr;
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR && said != nullptr && said->cnt > 0)
        error = said->elems[0].err;
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    if (const auto fatal = member_->client->fatal()) return over(fatal->message);
    if (code_of(error) == ErrorCode::kFenced) return over(rd_kafka_err2str(error));
    return fail(explain(error, "confirming the lease of"));
  }

  const std::shared_ptr<Member> member_;
  const TopicPartition at_;
  const Bytes token_;
};

}  // namespace

Bytes Member::metadata() const {
  const GroupMetadataPtr metadata(rd_kafka_consumer_group_metadata(client->handle()));
  void* bytes = nullptr;
  std::size_t size = 0;
  if (!metadata) return {};
  if (const ErrorPtr error{rd_kafka_consumer_group_metadata_write(metadata.get(), &bytes, &size)})
    return {};
  const auto* begin = static_cast<const std::uint8_t*>(bytes);
  Bytes copy(begin, begin + size);
  rd_kafka_mem_free(client->handle(), bytes);
  // Without a member id it would be no statement at all: brokers take it for a client that has no
  // part in any group.
  char* id = rd_kafka_memberid(client->handle());
  const bool member = id != nullptr && *id != '\0';
  if (id != nullptr) rd_kafka_mem_free(client->handle(), id);
  return member ? copy : Bytes();
}

Error Member::explain(rd_kafka_resp_err_t error, std::string_view what) const {
  Error made = client->explain(error, fmt::format("group {}: {}", options.name, what));
  if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
    made.message += "; it needs READ on the topic";
  return made;
}

Result<std::unique_ptr<KafkaGroup>> KafkaGroup::make(const ClusterOptions& cluster,
                                                     const Properties& properties,
                                                     const GroupOptions& options) {
  auto member = std::make_shared<Member>();
  member->options = options;
  DRAWBRIDGE_ASSIGN(member->client,
                    Client::make(group_settings(cluster, properties, options), nullptr));
  std::unique_ptr<KafkaGroup> group(new KafkaGroup(std::move(member)));
  group->queue_.reset(rd_kafka_queue_get_consumer(group->client().handle()));
  return group;
}

KafkaGroup::~KafkaGroup() {
  member_->left = true;
  rd_kafka_t* rk = client().handle();
  const QueuePtr farewell(rd_kafka_queue_new(rk));
  // From here on the library asks that queue for leave to unassign. Refused after a fatal error,
  // when there is nothing to leave.
  if (const ErrorPtr error{rd_kafka_consumer_close_queue(rk, farewell.get())}) return;
  if (revoked_) rd_kafka_assign(rk, nullptr);
  const Instant deadline = now() + kLeaveLimit;
  while (rd_kafka_consumer_closed(rk) == 0 && now() < deadline) {
    const EventPtr event(rd_kafka_queue_poll(farewell.get(), to_millis(kLeaveSlice)));
    if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE)
      rd_kafka_assign(rk, nullptr);
  }
}

Result<void> KafkaGroup::subscribe(const std::vector<std::string>& topics) {
  topics_ = {topics.begin(), topics.end()};
  const auto error = join(false);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__FATAL) return {};
  return fail(make_error(
      error, fmt::format("{}: subscribing group {}", client().name(), member_->options.name)));
}

rd_kafka_resp_err_t KafkaGroup::join(bool again) {
  rd_kafka_t* rk = client().handle();
  if (topics_.empty()) return rd_kafka_unsubscribe(rk);
  const PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(topics_.size()) + 1));
  for (const std::string& name : topics_)
    rd_kafka_topic_partition_list_add(list.get(), name.c_str(), RD_KAFKA_PARTITION_UA);
  if (again) rd_kafka_topic_partition_list_add(list.get(), kNoTopic, RD_KAFKA_PARTITION_UA);
  return rd_kafka_subscribe(rk, list.get());
}

// Whether a static member was given what its former self had.
bool KafkaGroup::outdated(const std::vector<TopicPartition>& assigned) {
  const bool first = std::exchange(first_, false);
  if (!first || member_->options.instance.empty() || topics_.empty()) return false;
  std::set<std::string> mine;
  for (const TopicPartition& at : assigned) mine.insert(at.topic);
  if (!std::ranges::includes(topics_, mine)) return true;
  if (mine == topics_) return false;
  const auto dealt = dealt_topics();
  return dealt && !std::ranges::includes(*dealt, topics_);
}

// The topics that any member has a partition of.
Result<std::set<std::string>> KafkaGroup::dealt_topics() {
  DRAWBRIDGE_ASSIGN(const GroupInfo group,
                    describe_group(client(), member_->options.name, kDescribeLimit));
  std::set<std::string> topics;
  for (const GroupMember& member : group.members)
    for (const TopicPartition& at : member.dealt) topics.insert(at.topic);
  return topics;
}

std::optional<GroupEvent> KafkaGroup::poll() {
  while (const EventPtr event{rd_kafka_queue_poll(queue_.get(), 0)})
    if (auto made = take(*event)) return made;
  rd_kafka_poll(client().handle(), 0);
  for (Error& error : client().take_errors()) troubles_.push_back(trouble(std::move(error)));
  if (auto fatal = client().fatal(); fatal && !dead_) {
    dead_ = true;
    if (fatal->code == ErrorCode::kFenced)
      fatal->message +=
          fmt::format("; two instances have the daemon.instance {}", member_->options.instance);
    return trouble(std::move(*fatal));
  }
  if (troubles_.empty()) return std::nullopt;
  GroupEvent first = std::move(troubles_.front());
  troubles_.pop_front();
  return first;
}

std::optional<GroupEvent> KafkaGroup::take(rd_kafka_event_t& event) {
  switch (rd_kafka_event_type(&event)) {
    case RD_KAFKA_EVENT_REBALANCE:
      return rebalance(event);
    case RD_KAFKA_EVENT_ERROR:
      return refusal(event);
    default:
      return std::nullopt;
  }
}

std::optional<GroupEvent> KafkaGroup::rebalance(rd_kafka_event_t& event) {
  rd_kafka_t* rk = client().handle();
  GroupEvent told;
  told.partitions = from_list(rd_kafka_event_topic_partition_list(&event));
  if (rd_kafka_event_error(&event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    told.kind = GroupEvent::Kind::kAssigned;
    // The library takes part in no other generation before it is answered.
    token_ = member_->metadata();
    const PartitionsPtr none(rd_kafka_topic_partition_list_new(0));
    rd_kafka_assign(rk, none.get());
    revoked_ = false;
    if (outdated(told.partitions) && join(true) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      again_ = true;
      return std::nullopt;
    }
  } else if (std::exchange(again_, false)) {
    rd_kafka_assign(rk, nullptr);
    return std::nullopt;
  } else {
    told.kind = GroupEvent::Kind::kRevoked;
    told.lost = rd_kafka_assignment_lost(rk) != 0;
    revoked_ = true;
  }
  return told;
}

std::optional<GroupEvent> KafkaGroup::refusal(rd_kafka_event_t& event) const {
  const auto error = rd_kafka_event_error(&event);
  switch (error) {
    case RD_KAFKA_RESP_ERR__FATAL:  // poll() tells
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:  // its partitions are dealt out once it is there
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return std::nullopt;
    default:
      break;
  }
  const char* text = rd_kafka_event_error_string(&event);
  const Client& client = *member_->client;
  Error made =
      client.error(error, fmt::format("{}: group {}", client.name(), member_->options.name),
                   text == nullptr ? "" : text);
  switch (error) {
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:  // it joins again
      made.code = ErrorCode::kUnavailable;
      break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      made.message += "; sharing needs READ on the topic";
      break;
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
      made.message +=
          "; session-timeout must lie between the brokers' group.min.session.timeout.ms and "
          "group.max.session.timeout.ms";
      break;
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
      made.message += "; somebody else's consumers are in a group of this name";
      break;
    default:
      break;
  }
  return trouble(std::move(made));
}

void KafkaGroup::release() {
  if (!std::exchange(revoked_, false)) return;
  token_.clear();
  rd_kafka_assign(client().handle(), nullptr);
}

std::shared_ptr<Lease> KafkaGroup::lease(const TopicPartition& at) {
  return std::make_shared<MemberLease>(member_, at, token_);
}

}  // namespace drawbridge::kafka

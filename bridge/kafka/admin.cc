#include "bridge/kafka/admin.h"

#include <array>
#include <thread>

#include "bridge/kafka/errors.h"
#include "bridge/kafka/source.h"

namespace drawbridge::kafka {
namespace {

using MetadataPtr = std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>>;
using OptionsPtr = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;
using NewTopicPtr = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using NewPartitionsPtr =
    std::unique_ptr<rd_kafka_NewPartitions_t, Destroy<rd_kafka_NewPartitions_destroy>>;
using ResourcePtr =
    std::unique_ptr<rd_kafka_ConfigResource_t, Destroy<rd_kafka_ConfigResource_destroy>>;

Instant now() { return SystemClock().now(); }

TopicInfo to_info(const rd_kafka_metadata_topic_t& topic) {
  TopicInfo info;
  info.name = topic.topic;
  info.internal = is_internal(info.name);
  info.leaders.assign(static_cast<std::size_t>(topic.partition_cnt), -1);
  for (int i = 0; i < topic.partition_cnt; ++i) {
    const auto& partition = topic.partitions[i];
    if (partition.id >= 0 && partition.id < topic.partition_cnt)
      info.leaders[static_cast<std::size_t>(partition.id)] = partition.leader;
  }
  return info;
}

OptionsPtr admin_options(Client& client, rd_kafka_admin_op_t operation, Duration timeout) {
  OptionsPtr options(rd_kafka_AdminOptions_new(client.handle(), operation));
  std::array<char, 256> text{};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), std::max(to_millis(timeout), 1),
                                            text.data(), text.size());
  return options;
}

// The library's mock has no controller, for which administration would wait until its timeout.
bool is_embedded(Client& client, Duration timeout) {
  const auto id = client.cluster_id(timeout);
  return id && id->starts_with("mockCluster");
}

// Waits for the one result of an admin operation, sent to `queue`.
Result<EventPtr> wait_result(Client& client, rd_kafka_queue_t* queue, const std::string& what,
                             Duration timeout) {
  EventPtr event(rd_kafka_queue_poll(queue, to_millis(timeout) + 1000));
  if (!event) return fail(client.explain(RD_KAFKA_RESP_ERR__TIMED_OUT, what));
  if (const auto error = rd_kafka_event_error(event.get()); error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Error made = client.explain(error, what);
    if (const char* text = rd_kafka_event_error_string(event.get()))
      if (made.message.find(text) == std::string::npos)
        fmt::format_to(std::back_inserter(made.message), ": {}", text);
    return fail(std::move(made));
  }
  return event;
}

// The only topic result of an event. `operation` is what the client must have the right to.
Result<void> check_topics(Client& client, const rd_kafka_topic_result_t** results,
                          std::size_t count, const std::string& what, std::string_view operation) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto error = rd_kafka_topic_result_error(results[i]);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const char* text = rd_kafka_topic_result_error_string(results[i]);
    return fail(naming_right(
        make_error(error, fmt::format("{}: {}", client.name(), what), text == nullptr ? "" : text),
        client.grantee(), {operation}, Resource::kTopic, rd_kafka_topic_result_name(results[i])));
  }
  return {};
}

// The controller answers before every broker knows.
Result<void> wait_visible(Client& client, const std::string& topic, std::int32_t partitions,
                          Instant deadline) {
  for (;;) {
    const auto info = describe_topic(client, topic, deadline - now());
    if (info && info->partitions() >= partitions) {
      bool led = true;
      for (const auto leader : info->leaders) led = led && leader >= 0;
      if (led) return {};
    }
    if (!info && class_of(info.error().code) == ErrorClass::kStop) return fail(info.error());
    if (now() >= deadline)
      return fail(ErrorCode::kUnavailable,
                  "{}: topic {} was created, but its {} partitions do not show in time",
                  client.name(), topic, partitions);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

GroupMember to_member(const rd_kafka_MemberDescription_t& described) {
  GroupMember member;
  const char* instance = rd_kafka_MemberDescription_group_instance_id(&described);
  member.instance =
      instance != nullptr ? instance : rd_kafka_MemberDescription_consumer_id(&described);
  member.host = rd_kafka_MemberDescription_host(&described);
  if (const auto* assignment = rd_kafka_MemberDescription_assignment(&described))
    member.dealt = from_list(rd_kafka_MemberAssignment_partitions(assignment));
  return member;
}

}  // namespace

bool is_internal(std::string_view topic) { return topic.starts_with("__"); }

Result<std::vector<TopicInfo>> list_topics(Client& client, Duration timeout) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = client.persist(timeout, [&](Duration slice) {
    return rd_kafka_metadata(client.handle(), 1, nullptr, &raw, to_millis(slice));
  });
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(client.explain(error, "listing topics"));
  const MetadataPtr metadata(raw);
  std::vector<TopicInfo> topics;
  topics.reserve(static_cast<std::size_t>(raw->topic_cnt));
  for (int i = 0; i < raw->topic_cnt; ++i)
    if (raw->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) topics.push_back(to_info(raw->topics[i]));
  return topics;
}

Result<TopicInfo> describe_topic(Client& client, const std::string& topic, Duration timeout) {
  const std::string what = fmt::format("asking for topic {}", topic);
  const TopicPtr handle(rd_kafka_topic_new(client.handle(), topic.c_str(), nullptr));
  if (!handle) return fail(make_error(rd_kafka_last_error(), client.name(), what));
  const rd_kafka_metadata_t* raw = nullptr;
  const auto error = rd_kafka_metadata(client.handle(), 0, handle.get(), &raw, to_millis(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return fail(client.explain(error, what));
  const MetadataPtr metadata(raw);
  for (int i = 0; i < raw->topic_cnt; ++i) {
    const auto& found = raw->topics[i];
    if (topic != found.topic) continue;
    // A topic that was only just made has partitions without leaders, which to_info() shows.
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR &&
        found.err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
      return fail(make_error(found.err, fmt::format("{}: topic {}", client.name(), topic)));
    return to_info(found);
  }
  return fail(ErrorCode::kUnknownTopic, "{}: topic {} does not exist", client.name(), topic);
}

Result<TopicConfig> describe_config(Client& client, const std::string& topic, Duration timeout) {
  if (is_embedded(client, timeout)) return TopicConfig{};
  const std::string what = fmt::format("asking for the configuration of topic {}", topic);
  const QueuePtr queue(rd_kafka_queue_new(client.handle()));
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
  const ResourcePtr resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  rd_kafka_ConfigResource_t* list[] = {resource.get()};
  rd_kafka_DescribeConfigs(client.handle(), list, 1, options.get(), queue.get());

  DRAWBRIDGE_ASSIGN(const EventPtr event, wait_result(client, queue.get(), what, timeout));
  std::size_t count = 0;
  const auto* result = rd_kafka_event_DescribeConfigs_result(event.get());
  const auto** resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
  TopicConfig config;
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto error = rd_kafka_ConfigResource_error(resources[i]);
        error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* text = rd_kafka_ConfigResource_error_string(resources[i]);
      return fail(naming_right(make_error(error, fmt::format("{}: {}", client.name(), what),
                                          text == nullptr ? "" : text),
                               client.grantee(), {"DescribeConfigs"}, Resource::kTopic, topic));
    }
    std::size_t entries = 0;
    const auto** entry = rd_kafka_ConfigResource_configs(resources[i], &entries);
    for (std::size_t j = 0; j < entries; ++j)
      if (const char* value = rd_kafka_ConfigEntry_value(entry[j]))
        config.emplace(rd_kafka_ConfigEntry_name(entry[j]), value);
  }
  return config;
}

// A broker's configuration is asked of that broker itself.
Result<void> reach_broker(Client& client, std::int32_t broker, Duration timeout) {
  const QueuePtr queue(rd_kafka_queue_new(client.handle()));
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
  const ResourcePtr resource(
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, std::to_string(broker).c_str()));
  rd_kafka_ConfigResource_t* list[] = {resource.get()};
  rd_kafka_DescribeConfigs(client.handle(), list, 1, options.get(), queue.get());
  const EventPtr event(rd_kafka_queue_poll(queue.get(), to_millis(timeout) + 1000));
  const auto error = event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  const auto code = code_of(error);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR &&
      (code == ErrorCode::kUnavailable || code == ErrorCode::kAuthentication))
    return fail(client.explain(error, "connecting"));
  return {};
}

Result<void> create_topic(Client& client, const NewTopic& topic, Duration timeout, Trial trial) {
  if (trial == Trial::kYes && is_embedded(client, timeout)) return {};
  const std::string what = fmt::format("creating topic {}", topic.name);
  const Instant deadline = now() + timeout;
  std::array<char, 512> text{};
  const NewTopicPtr wanted(rd_kafka_NewTopic_new(
      topic.name.c_str(), topic.partitions, topic.replication_factor, text.data(), text.size()));
  if (!wanted) return fail(ErrorCode::kInvalid, "{}: {}: {}", client.name(), what, text.data());
  for (const auto& [name, value] : topic.config)
    rd_kafka_NewTopic_set_config(wanted.get(), name.c_str(), value.c_str());
  const QueuePtr queue(rd_kafka_queue_new(client.handle()));
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), std::max(to_millis(timeout), 1),
                                              text.data(), text.size());
  rd_kafka_AdminOptions_set_validate_only(options.get(), trial == Trial::kYes ? 1 : 0, text.data(),
                                          text.size());
  rd_kafka_NewTopic_t* list[] = {wanted.get()};
  rd_kafka_CreateTopics(client.handle(), list, 1, options.get(), queue.get());
  DRAWBRIDGE_ASSIGN(const EventPtr event, wait_result(client, queue.get(), what, timeout));
  std::size_t count = 0;
  const auto** topics =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  DRAWBRIDGE_TRY(check_topics(client, topics, count, what, "Create"));
  if (trial == Trial::kYes) return {};
  return wait_visible(client, topic.name, topic.partitions, deadline);
}

Result<void> grow_topic(Client& client, const std::string& topic, std::int32_t partitions,
                        Duration timeout, Trial trial) {
  if (trial == Trial::kYes && is_embedded(client, timeout)) return {};
  const std::string what = fmt::format("growing topic {} to {} partitions", topic, partitions);
  const Instant deadline = now() + timeout;
  std::array<char, 512> text{};
  const NewPartitionsPtr wanted(rd_kafka_NewPartitions_new(
      topic.c_str(), static_cast<std::size_t>(std::max(partitions, 0)), text.data(), text.size()));
  if (!wanted) return fail(ErrorCode::kInvalid, "{}: {}: {}", client.name(), what, text.data());
  const QueuePtr queue(rd_kafka_queue_new(client.handle()));
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, timeout);
  rd_kafka_AdminOptions_set_operation_timeout(options.get(), std::max(to_millis(timeout), 1),
                                              text.data(), text.size());
  rd_kafka_AdminOptions_set_validate_only(options.get(), trial == Trial::kYes ? 1 : 0, text.data(),
                                          text.size());
  rd_kafka_NewPartitions_t* list[] = {wanted.get()};
  rd_kafka_CreatePartitions(client.handle(), list, 1, options.get(), queue.get());
  DRAWBRIDGE_ASSIGN(const EventPtr event, wait_result(client, queue.get(), what, timeout));
  std::size_t count = 0;
  const auto** topics = rd_kafka_CreatePartitions_result_topics(
      rd_kafka_event_CreatePartitions_result(event.get()), &count);
  DRAWBRIDGE_TRY(check_topics(client, topics, count, what, "Alter"));
  if (trial == Trial::kYes) return {};
  return wait_visible(client, topic, partitions, deadline);
}

Result<GroupInfo> describe_group(Client& client, const std::string& group, Duration timeout) {
  const std::string what = fmt::format("describing group {}", group);
  const QueuePtr queue(rd_kafka_queue_new(client.handle()));
  const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout);
  const char* name = group.c_str();
  rd_kafka_DescribeConsumerGroups(client.handle(), &name, 1, options.get(), queue.get());
  DRAWBRIDGE_ASSIGN(const EventPtr event, wait_result(client, queue.get(), what, timeout));
  std::size_t count = 0;
  const auto** groups = rd_kafka_DescribeConsumerGroups_result_groups(
      rd_kafka_event_DescribeConsumerGroups_result(event.get()), &count);
  if (count != 1) return fail(client.explain(RD_KAFKA_RESP_ERR__TIMED_OUT, what));
  if (const auto* error = rd_kafka_ConsumerGroupDescription_error(groups[0])) {
    return fail(naming_right(
        make_error(rd_kafka_error_code(error), fmt::format("{}: {}", client.name(), what),
                   rd_kafka_error_string(error)),
        client.grantee(), {"Describe"}, Resource::kGroup, group));
  }
  GroupInfo info;
  switch (rd_kafka_ConsumerGroupDescription_state(groups[0])) {
    case RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE:
    case RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE:
      info.settled = false;
      break;
    default:
      break;
  }
  const std::size_t members = rd_kafka_ConsumerGroupDescription_member_count(groups[0]);
  for (std::size_t i = 0; i < members; ++i)
    info.members.push_back(to_member(*rd_kafka_ConsumerGroupDescription_member(groups[0], i)));
  return info;
}

}  // namespace drawbridge::kafka

// Questions and orders to a cluster that any client can send. All block up to their timeout; all
// are thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bridge/kafka/client.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

// Kafka's own topics (consumer offsets, transaction state) and all others that begin with "__".
bool is_internal(std::string_view topic);

Result<std::vector<TopicInfo>> list_topics(Client& client, Duration timeout);
// Errors: kUnknownTopic, kAuthorization. Never creates the topic.
Result<TopicInfo> describe_topic(Client& client, const std::string& topic, Duration timeout);
// All settings, defaults of the broker included. Empty where the cluster cannot tell (the mock).
Result<TopicConfig> describe_config(Client& client, const std::string& topic, Duration timeout);
// Whether a broker answers at the address that it advertises. What the answer is does not matter.
Result<void> reach_broker(Client& client, std::int32_t broker, Duration timeout);
// Whether the brokers shall only say if they would.
enum class Trial : std::uint8_t { kNo, kYes };
// Both return when the brokers' metadata shows the change. Errors: kExists, kInvalid, ...
Result<void> create_topic(Client& client, const NewTopic& topic, Duration timeout,
                          Trial trial = Trial::kNo);
Result<void> grow_topic(Client& client, const std::string& topic, std::int32_t partitions,
                        Duration timeout, Trial trial = Trial::kNo);

struct GroupMember {
  std::string instance;  // group.instance.id, or the member's id, which begins with the client.id
  std::string host;
  std::vector<TopicPartition> dealt;
};
struct GroupInfo {
  bool settled = true;  // nothing is being dealt just now
  std::vector<GroupMember> members;
};
// Empty for a group that does not exist. Errors: kAuthorization.
Result<GroupInfo> describe_group(Client& client, const std::string& group, Duration timeout);

}  // namespace drawbridge::kafka

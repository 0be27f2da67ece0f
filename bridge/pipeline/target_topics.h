// The target's side of a pipeline's topics: names, existence, creation, growth, limits.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"
#include "bridge/pipeline/topic_template.h"

namespace drawbridge {

struct TargetTopic {
  TopicInfo info;
  std::int64_t max_message_bytes = 1 << 20;
  bool gone = false;  // deleted since it was last made sure of
};

// Not thread-safe; used by the pipeline's own thread.
class TargetTopics {
 public:
  TargetTopics(const PipelineOptions& options, Source& source, Target& target,
               TopicTemplate name_template);

  [[nodiscard]] Result<std::string> name_for(const std::string& source_topic) const;

  // Makes sure that the target of a source topic is there, before its first record: creates it or
  // grows it where create-topics says so. Errors: kUnknownTopic, with what to do; the cluster's.
  Result<const TargetTopic*> ensure(const TopicInfo& source_topic);
  // A topic that is only used, not created after a source (a dead-letter topic).
  Result<TopicInfo> require(Target& cluster, const std::string& name, std::int32_t partitions);

  // Reads the limits of one known topic again, of another one each time, so that one that is
  // raised holds without a restart. Two seconds at most. Errors: the cluster's; then what was known
  // stays. kUnknownTopic: it is gone(), too, until ensure() has found or made it again.
  Result<void> reread_one();
  [[nodiscard]] bool gone(const std::string& name) const;

  [[nodiscard]] const std::map<std::string, TargetTopic>& known() const { return topics_; }
  // Over all known topics: what a batch and a record may weigh.
  [[nodiscard]] std::int64_t smallest_limit() const;
  [[nodiscard]] std::int64_t largest_limit() const;

 private:
  Result<void> create(const TopicInfo& source_topic, const std::string& name);
  Result<TopicInfo> await(Target& cluster, const std::string& name, std::int32_t partitions) const;

  const PipelineOptions& options_;
  Source& source_;
  Target& target_;
  TopicTemplate template_;
  std::map<std::string, TargetTopic> topics_;
  std::string reread_;  // the newest
};

}  // namespace drawbridge

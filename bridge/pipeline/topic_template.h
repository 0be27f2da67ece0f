// Templates that make the target topic's name from the source's.
#pragma once

#include <string>
#include <string_view>

#include "bridge/base/result.h"
#include "bridge/record/topic_name.h"

namespace drawbridge {

// What a template's placeholders stand for, the topic aside.
struct TemplateNames {
  std::string cluster;   // the source cluster's name in the configuration
  std::string pipeline;  // the pipeline's name
};

// A target topic's name: literal text and the placeholders {topic}, {cluster} and {pipeline}.
// {topic} stands once at most, so that every name is a prefix, the source's name and a suffix.
// Immutable, thread-safe.
class TopicTemplate {
 public:
  // Errors: kInvalid: an unknown placeholder, a brace that is left open, {topic} twice, or text
  // that no topic name can hold.
  static Result<TopicTemplate> compile(std::string_view text, const TemplateNames& names);

  // Errors: kInvalid, the name that comes out is too long (or not a topic's name).
  [[nodiscard]] Result<std::string> expand(std::string_view topic) const;

  // Does the name depend on the source's topic at all?
  [[nodiscard]] bool has_topic() const { return has_topic_; }
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] const std::string& suffix() const { return suffix_; }  // empty without {topic}

 private:
  TopicTemplate() = default;

  std::string prefix_;
  std::string suffix_;
  bool has_topic_ = false;
};

}  // namespace drawbridge

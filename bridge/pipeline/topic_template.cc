#include "bridge/pipeline/topic_template.h"

namespace drawbridge {

Result<TopicTemplate> TopicTemplate::compile(std::string_view text, const TemplateNames& names) {
  TopicTemplate result;
  const auto piece = [&]() -> std::string& {
    return result.has_topic_ ? result.suffix_ : result.prefix_;
  };
  if (text.empty()) return fail(ErrorCode::kInvalid, "a topic name cannot be empty");
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    const std::string_view literal = text.substr(0, open);
    DRAWBRIDGE_TRY(check_topic_characters(literal));
    piece() += literal;
    if (open == std::string_view::npos) break;
    text.remove_prefix(open + 1);
    const std::size_t close = text.find('}');
    if (close == std::string_view::npos) {
      return fail(ErrorCode::kInvalid, "`{{` without its `}}`");
    }
    const std::string_view name = text.substr(0, close);
    text.remove_prefix(close + 1);
    if (name == "topic") {
      if (result.has_topic_) return fail(ErrorCode::kInvalid, "{{topic}} can stand only once");
      result.has_topic_ = true;
    } else if (name == "cluster") {
      DRAWBRIDGE_TRY(check_topic_characters(names.cluster));
      piece() += names.cluster;
    } else if (name == "pipeline") {
      DRAWBRIDGE_TRY(check_topic_characters(names.pipeline));
      piece() += names.pipeline;
    } else {
      return fail(ErrorCode::kInvalid,
                  "unknown placeholder `{{{}}}`; there are {{topic}}, {{cluster}} and {{pipeline}}",
                  name);
    }
  }
  if (!result.has_topic_) DRAWBRIDGE_TRY(check_topic_name(result.prefix_));
  if (result.prefix_.size() + result.suffix_.size() + (result.has_topic_ ? 1 : 0) > kMaxTopicName) {
    return fail(ErrorCode::kInvalid, "a topic name has at most {} characters", kMaxTopicName);
  }
  return result;
}

Result<std::string> TopicTemplate::expand(std::string_view topic) const {
  std::string name = prefix_;
  if (has_topic_) {
    name += topic;
    name += suffix_;
  }
  if (auto legal = check_topic_name(name); !legal) {
    return fail(ErrorCode::kInvalid, "topic `{}` would become `{}`: {}", topic, name,
                legal.error().message);
  }
  return name;
}

}  // namespace drawbridge

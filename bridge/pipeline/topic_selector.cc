#include "bridge/pipeline/topic_selector.h"

#include <re2/re2.h>

#include <algorithm>

#include "bridge/record/topic_name.h"

namespace drawbridge {
namespace {

// An expression for topic names needs little; a larger one is a mistake or an attack.
constexpr std::int64_t kExpressionMemory = 1 << 20;

Result<std::shared_ptr<const re2::RE2>> compile_pattern(const std::string& entry) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(kExpressionMemory);
  auto pattern = std::make_shared<re2::RE2>(entry, options);
  if (!pattern->ok()) {
    return fail(ErrorCode::kInvalid, "`{}` is not a regular expression: {}", entry,
                pattern->error());
  }
  return pattern;
}

}  // namespace

bool own_topic(std::string_view name) { return name.starts_with(kOwnTopicPrefix); }

bool internal_topic(std::string_view name) { return name.starts_with("__"); }

Result<TopicEntries> TopicEntries::compile(const std::vector<std::string>& entries) {
  TopicEntries result;
  for (const std::string& entry : entries) {
    if (is_pattern(entry)) {
      DRAWBRIDGE_ASSIGN(auto pattern, compile_pattern(entry));
      result.patterns_.push_back(std::move(pattern));
      continue;
    }
    if (auto legal = check_topic_name(entry); !legal) {
      return fail(ErrorCode::kInvalid,
                  "`{}` is not a topic name: {} (a regular expression begins "
                  "with ^)",
                  entry, legal.error().message);
    }
    result.literals_.push_back(entry);
  }
  std::ranges::sort(result.literals_);
  return result;
}

bool TopicEntries::names(std::string_view topic) const {
  return std::ranges::binary_search(literals_, topic, std::less<std::string_view>());
}

bool TopicEntries::matches(std::string_view topic) const {
  return names(topic) || std::ranges::any_of(patterns_, [&](const auto& pattern) {
           return re2::RE2::FullMatch({topic.data(), topic.size()}, *pattern);
         });
}

Result<TopicSelector> TopicSelector::compile(const TopicSelection& selection) {
  if (selection.include.empty()) {
    return fail(ErrorCode::kInvalid, "no topics are named");
  }
  TopicSelector result;
  DRAWBRIDGE_ASSIGN(result.include_, TopicEntries::compile(selection.include));
  DRAWBRIDGE_ASSIGN(result.exclude_, TopicEntries::compile(selection.exclude));
  for (const std::string& entry : selection.include) {
    if (!is_pattern(entry) && result.selected(entry, false)) result.literals_.push_back(entry);
  }
  return result;
}

bool TopicSelector::selected(std::string_view topic, bool is_internal) const {
  if (own_topic(topic) || exclude_.matches(topic)) return false;
  if (is_internal && !include_.names(topic)) return false;
  return include_.matches(topic);
}

}  // namespace drawbridge

// Which of a source's topics a pipeline reads.
//
// An entry is a literal name or, with a leading ^, a regular expression in RE2's syntax that must
// match the whole name (anchored at both ends). A name that is excluded is never read, whatever
// includes it. Internal topics are read only where a literal entry names them. Topics that the
// bridge keeps for itself (kOwnTopicPrefix) are never read. The dead-letter topics of a
// configuration are excluded by config/, which adds them to `exclude`.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/pipeline/options.h"

namespace re2 {
class RE2;
}

namespace drawbridge {

// Ledgers and whatever else the bridge keeps in Kafka: no pipeline reads or writes them.
inline constexpr std::string_view kOwnTopicPrefix = "__drawbridge";
bool own_topic(std::string_view name);

// Internal by name: the metadata that the client library passes on does not tell. Kafka's own
// internal topics, and those of many tools, begin with two underscores.
bool internal_topic(std::string_view name);

// Is an entry a regular expression?
inline bool is_pattern(std::string_view entry) { return entry.starts_with('^'); }

// A list of entries, compiled. Immutable; matching is thread-safe.
class TopicEntries {
 public:
  // Errors: kInvalid, naming the entry: not a topic's name, or a regular expression that RE2 does
  // not accept.
  static Result<TopicEntries> compile(const std::vector<std::string>& entries);

  [[nodiscard]] bool names(std::string_view topic) const;    // a literal entry
  [[nodiscard]] bool matches(std::string_view topic) const;  // a literal entry or an expression

 private:
  std::vector<std::string> literals_;  // sorted
  std::vector<std::shared_ptr<const re2::RE2>> patterns_;
};

// Immutable; thread-safe.
class TopicSelector {
 public:
  // Errors as TopicEntries::compile, and kInvalid where nothing is included.
  static Result<TopicSelector> compile(const TopicSelection& selection);

  // `is_internal`: the cluster says so, or internal_topic() does.
  [[nodiscard]] bool selected(std::string_view topic, bool is_internal) const;
  // The literal entries that nothing excludes: topics that should exist.
  [[nodiscard]] const std::vector<std::string>& literals() const { return literals_; }

 private:
  TopicEntries include_;
  TopicEntries exclude_;
  std::vector<std::string> literals_;
};

}  // namespace drawbridge

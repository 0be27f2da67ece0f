// What Kafka allows as a topic's name.
#pragma once

#include <cstddef>
#include <string_view>

#include "bridge/base/result.h"

namespace drawbridge {

inline constexpr std::size_t kMaxTopicName = 249;  // bytes

// Kafka's rule: 1 to 249 of [a-zA-Z0-9._-], neither "." nor "..". Errors: kInvalid, which says
// what is wrong with the name.
Result<void> check_topic_name(std::string_view name);
// Of a piece of a name: its characters only. Errors as above.
Result<void> check_topic_characters(std::string_view text);

}  // namespace drawbridge

#include "bridge/record/topic_name.h"

#include <algorithm>

namespace drawbridge {
namespace {

bool topic_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

Result<void> check_topic_characters(std::string_view text) {
  const auto bad = std::ranges::find_if_not(text, topic_character);
  if (bad == text.end()) return {};
  const auto byte = static_cast<unsigned char>(*bad);
  if (byte > 0x20 && byte < 0x7f) {
    return fail(ErrorCode::kInvalid, "`{}` cannot stand in a topic name, only a-z A-Z 0-9 . _ -",
                *bad);
  }
  return fail(ErrorCode::kInvalid,
              "byte 0x{:02x} cannot stand in a topic name, only a-z A-Z 0-9 . _ -", byte);
}

Result<void> check_topic_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::kInvalid, "a topic name cannot be empty");
  DRAWBRIDGE_TRY(check_topic_characters(name));
  if (name == "." || name == "..") {
    return fail(ErrorCode::kInvalid, "a topic cannot be called `{}`", name);
  }
  if (name.size() > kMaxTopicName) {
    return fail(ErrorCode::kInvalid, "a topic name has at most {} characters, this one {}",
                kMaxTopicName, name.size());
  }
  return {};
}

}  // namespace drawbridge

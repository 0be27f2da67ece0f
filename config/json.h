// JSON text, written piece by piece.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drawbridge::config {

std::string json_string(std::string_view text);

// Values are JSON already.
using JsonMembers = std::vector<std::pair<std::string, std::string>>;
std::string json_object(const JsonMembers& members);
std::string json_array(const std::vector<std::string>& values);
std::string json_strings(const std::vector<std::string>& texts);

// The same value over several lines, two spaces a level.
std::string json_indented(std::string_view json);

}  // namespace drawbridge::config

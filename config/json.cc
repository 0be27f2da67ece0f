#include "config/json.h"

#include <fmt/format.h>

namespace drawbridge::config {
namespace {

std::string enclosed(char open, const std::vector<std::string>& parts, char close) {
  return fmt::format("{}{}{}", open, fmt::join(parts, ","), close);
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string json_object(const JsonMembers& members) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : members) parts.push_back(json_string(name) + ":" + value);
  return enclosed('{', parts, '}');
}

std::string json_array(const std::vector<std::string>& values) {
  return enclosed('[', values, ']');
}

std::string json_strings(const std::vector<std::string>& texts) {
  std::vector<std::string> values;
  values.reserve(texts.size());
  for (const std::string& text : texts) values.push_back(json_string(text));
  return json_array(values);
}

std::string json_indented(std::string_view json) {
  std::string result;
  std::size_t depth = 0;
  bool quoted = false;
  const auto new_line = [&] { result.append("\n").append(2 * depth, ' '); };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      result += c;
      if (c == '\\') {
        result += json[++i];
      } else if (c == '"') {
        quoted = false;
      }
      continue;
    }
    const bool empty = i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']');
    switch (c) {
      case '{':
      case '[':
        result += c;
        if (empty) {
          result += json[++i];
          break;
        }
        ++depth;
        new_line();
        break;
      case '}':
      case ']':
        --depth;
        new_line();
        result += c;
        break;
      case ',':
        result += c;
        new_line();
        break;
      case ':':
        result += ": ";
        break;
      default:
        quoted = c == '"';
        result += c;
    }
  }
  return result + '\n';
}

}  // namespace drawbridge::config

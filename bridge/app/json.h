// Writes JSON, forward only. Text that is not UTF-8 gets U+FFFD for its bad bytes.
//
// JsonWriter json;
// json.object().key("name").value("orders").key("partitions").array().value(0).end().end();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace drawbridge {

class JsonWriter {
 public:
  // `indent`: spaces per level; 0 writes one line.
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& object();
  JsonWriter& array();
  JsonWriter& end();  // of the innermost object or array
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& null() { return raw("null"); }
  template <typename T>
  requires std::is_arithmetic_v<T> JsonWriter& value(T number) {
    if constexpr (std::is_same_v<T, bool>) {
      return raw(number ? "true" : "false");
    } else {
      return raw(std::to_string(number));
    }
  }
  // A name and its value.
  template <typename T>
  JsonWriter& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  // REQUIRES: everything that was opened has ended. The writer is empty afterwards.
  std::string take();

 private:
  struct Level {
    char close;
    bool empty;
  };

  JsonWriter& open(char open, char close);
  JsonWriter& raw(std::string_view text);
  void separate();
  void new_line();

  int indent_;
  std::string out_;
  std::vector<Level> levels_;
  bool after_key_ = false;
};

// `text` as a JSON string, quotes included.
std::string json_text(std::string_view text);

}  // namespace drawbridge

// Test vectors: a JSON array of flat objects whose values are strings or null. Just enough of a
// reader for tests/vectors/envelope_*.json; it stops the test on anything else.
#pragma once

#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bridge/base/bytes.h"

namespace drawbridge {

class Vector {
 public:
  void set(std::string name, std::optional<std::string> value) {
    fields_.insert_or_assign(std::move(name), std::move(value));
  }
  // Null is nullopt; a missing field throws.
  [[nodiscard]] std::optional<std::string> maybe_text(const std::string& name) const {
    const auto found = fields_.find(name);
    if (found == fields_.end()) throw std::runtime_error("vector without " + name);
    return found->second;
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    const auto value = maybe_text(name);
    if (!value) throw std::runtime_error("null in " + name);
    return *value;
  }
  [[nodiscard]] Bytes hex(const std::string& name) const { return from_hex(text(name)).value(); }
  [[nodiscard]] std::optional<Bytes> maybe_hex(const std::string& name) const {
    const auto value = maybe_text(name);
    return value ? std::optional(from_hex(*value).value()) : std::nullopt;
  }
  [[nodiscard]] const std::map<std::string, std::optional<std::string>>& fields() const {
    return fields_;
  }

 private:
  std::map<std::string, std::optional<std::string>> fields_;
};

class VectorReader {
 public:
  explicit VectorReader(std::string text) : text_(std::move(text)) {}

  std::vector<Vector> read() {
    std::vector<Vector> vectors;
    expect('[');
    do {
      vectors.push_back(object());
    } while (comma());
    expect(']');
    return vectors;
  }

 private:
  char peek() {
    at_ = text_.find_first_not_of(" \n\t\r", at_);
    if (at_ == std::string::npos) throw std::runtime_error("vectors end early");
    return text_[at_];
  }
  void expect(char c) {
    if (peek() != c) throw std::runtime_error(std::string("vectors: expected ") + c);
    ++at_;
  }
  bool comma() {
    if (peek() != ',') return false;
    ++at_;
    return true;
  }
  std::string string() {
    expect('"');
    const std::size_t end = text_.find('"', at_);
    std::string value = text_.substr(at_, end - at_);
    if (end == std::string::npos || value.find('\\') != std::string::npos) {
      throw std::runtime_error("vectors: strings stand without escapes");
    }
    at_ = end + 1;
    return value;
  }
  Vector object() {
    Vector vector;
    expect('{');
    do {
      std::string name = string();
      expect(':');
      if (peek() == 'n') {
        if (text_.compare(at_, 4, "null") != 0) throw std::runtime_error("vectors: not null");
        at_ += 4;
        vector.set(std::move(name), std::nullopt);
      } else {
        vector.set(std::move(name), string());
      }
    } while (comma());
    expect('}');
    return vector;
  }

  std::string text_;
  std::size_t at_ = 0;
};

inline std::vector<Vector> read_vectors(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return VectorReader(text.str()).read();
}

inline void write_vectors(const std::string& path, const std::vector<Vector>& vectors) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << "[";
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    file << (i == 0 ? "\n  {" : ",\n  {");
    bool first = true;
    for (const auto& [name, value] : vectors[i].fields()) {
      file << (first ? "\n" : ",\n") << "    \"" << name << "\": ";
      value ? file << '"' << *value << '"' : file << "null";
      first = false;
    }
    file << "\n  }";
  }
  file << "\n]\n";
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace drawbridge

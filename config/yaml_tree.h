// YAML text as a tree with places, strict: what is ambiguous in a configuration is a problem.
//
// The only file of the room, with its .cc, that knows yaml-cpp. The tree is built from parser
// events, since yaml-cpp's own nodes silently keep one of two equal keys. Refused: text that is
// not UTF-8, control characters, several documents, tags, merge keys, keys that are not plain
// scalars, deep nesting, and aliases that blow a small file up.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace drawbridge::config {

inline constexpr std::size_t kMaxFileBytes = 1 << 20;
inline constexpr int kMaxDepth = 32;
inline constexpr std::size_t kMaxNodes = 100'000;  // with every alias written out

struct Place {
  int line = 1;    // 1-based
  int column = 1;  // 1-based
};

struct Node;
using NodePtr = std::shared_ptr<Node>;

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  struct Entry {
    Place at;
    std::string key;
    NodePtr value;
  };

  Kind kind = Kind::kNull;
  Place at;
  std::string text;            // kScalar
  bool quoted = false;         // kScalar: written in quotes or as a block
  std::vector<NodePtr> items;  // kList
  std::vector<Entry> entries;  // kMap, in order; a repeated key stands once
  std::size_t weight = 1;      // nodes below and with this one, aliases written out

  [[nodiscard]] const Entry* entry(std::string_view key) const;  // nullptr: none
  [[nodiscard]] NodePtr find(std::string_view key) const;        // nullptr: none
};

NodePtr make_scalar(std::string text, Place at);
NodePtr make_map(Place at);

struct YamlProblem {
  Place at;
  std::string message;  // never holds a value of the file
};

struct YamlResult {
  NodePtr root;  // null where the text cannot be read at all
  std::vector<YamlProblem> problems;
};

// Never throws.
YamlResult parse_yaml(const std::string& text);

}  // namespace drawbridge::config

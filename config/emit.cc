#include "config/emit.h"

#include <fmt/format.h>

#include <algorithm>

namespace drawbridge::config {
namespace {

// Text that means itself without quotes, in every context.
bool plain(std::string_view text) {
  if (text.empty() || text == "null" || text == "Null" || text == "NULL") return false;
  const auto safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '/' || c == '+';
  };
  return std::ranges::all_of(text, safe) && text.front() != '-' && text.front() != '.';
}

std::string scalar(const Node& node) {
  if (node.kind == Node::Kind::kNull) return "null";
  const std::string& text = node.text;
  // What was quoted may have to stay text where it looks like a number. "-1" is a number.
  if (!node.quoted && (plain(text) || (text.size() > 1 && text.front() == '-' &&
                                       std::ranges::all_of(text.substr(1), [](char c) {
                                         return c >= '0' && c <= '9';
                                       })))) {
    return text;
  }
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string key_text(const std::string& key) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = key;
  return scalar(node);
}

bool inline_list(const Node& node) {
  return std::ranges::none_of(node.items, [](const NodePtr& item) {
    return item->kind == Node::Kind::kMap || item->kind == Node::Kind::kList;
  });
}

void write(const Node& node, std::size_t indent, std::string& out);

// After "key:": on the same line, or as a block below.
void write_value(const Node& node, std::size_t indent, std::string& out) {
  if (node.kind == Node::Kind::kMap && !node.entries.empty()) {
    out += '\n';
    write(node, indent + 2, out);
  } else if (node.kind == Node::Kind::kList && !inline_list(node)) {
    out += '\n';
    write(node, indent + 2, out);
  } else {
    out += ' ';
    write(node, indent, out);
    out += '\n';
  }
}

void write(const Node& node, std::size_t indent, std::string& out) {
  switch (node.kind) {
    case Node::Kind::kNull:
    case Node::Kind::kScalar:
      out += scalar(node);
      return;
    case Node::Kind::kMap:
      if (node.entries.empty()) {
        out += "{}";
        return;
      }
      for (const Node::Entry& entry : node.entries) {
        out.append(indent, ' ');
        out += key_text(entry.key) + ":";
        write_value(*entry.value, indent, out);
      }
      return;
    case Node::Kind::kList:
      if (inline_list(node)) {
        out += '[';
        for (std::size_t i = 0; i < node.items.size(); ++i) {
          out += i == 0 ? "" : ", ";
          out += scalar(*node.items[i]);
        }
        out += ']';
        return;
      }
      for (const NodePtr& item : node.items) {
        std::string block;
        write(*item, indent + 2, block);
        // The item's first line takes the dash instead of its last two spaces.
        out.append(indent, ' ');
        out += "- ";
        out += block.starts_with(' ') ? block.substr(indent + 2) : block + "\n";
      }
      return;
  }
}

}  // namespace

std::string emit_yaml(const Node& root) {
  std::string out;
  write(root, 0, out);
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

}  // namespace drawbridge::config

#include "bridge/app/json.h"

#include <fmt/format.h>

#include <cassert>
#include <iterator>

#include "bridge/base/utf8.h"

namespace drawbridge {

std::string json_text(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Step step = next_utf8(text);
    const std::string_view raw = text.substr(0, step.size);
    text.remove_prefix(step.size);
    if (!step.point) {
      out += "\\ufffd";
    } else if (*step.point == '"' || *step.point == '\\') {
      out += '\\';
      out += raw;
    } else if (*step.point == '\n') {
      out += "\\n";
    } else if (*step.point < 0x20 || (*step.point >= 0x7f && *step.point < 0xa0)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(*step.point));
    } else {
      out += raw;
    }
  }
  return out + '"';
}

JsonWriter& JsonWriter::object() { return open('{', '}'); }

JsonWriter& JsonWriter::array() { return open('[', ']'); }

JsonWriter& JsonWriter::open(char open, char close) {
  separate();
  out_ += open;
  levels_.push_back({close, true});
  return *this;
}

JsonWriter& JsonWriter::end() {
  assert(!levels_.empty() && !after_key_);
  const Level level = levels_.back();
  levels_.pop_back();
  if (!level.empty) new_line();
  out_ += level.close;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  out_ += json_text(name);
  out_ += indent_ > 0 ? ": " : ":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) { return raw(json_text(text)); }

JsonWriter& JsonWriter::raw(std::string_view text) {
  separate();
  out_ += text;
  return *this;
}

void JsonWriter::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.empty()) return;
  if (!levels_.back().empty) out_ += ',';
  levels_.back().empty = false;
  new_line();
}

void JsonWriter::new_line() {
  if (indent_ == 0) return;
  out_ += '\n';
  out_.append(levels_.size() * static_cast<std::size_t>(indent_), ' ');
}

std::string JsonWriter::take() {
  assert(levels_.empty());
  return std::exchange(out_, {});
}

}  // namespace drawbridge

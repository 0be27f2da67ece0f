#include "bridge/app/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iterator>

#include "bridge/base/utf8.h"

namespace drawbridge {
namespace {

std::string_view sequence(Colour colour) {
  switch (colour) {
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kBlue:
      return "\x1b[34m";
    case Colour::kMagenta:
      return "\x1b[35m";
    case Colour::kCyan:
      return "\x1b[36m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kBold:
      return "\x1b[1m";
  }
  return "";
}

bool unprintable(char32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
         (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
         point == 0x200e || point == 0x200f || point == 0xfeff;
}

// Takes one escape sequence of Style off the front.
bool skip_sequence(std::string_view& text) {
  if (!text.starts_with("\x1b[")) return false;
  const std::size_t end = text.find('m');
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return true;
}

}  // namespace

Style Style::of_stdout() {
  const char* term = std::getenv("TERM");
  const char* no_colour = std::getenv("NO_COLOR");
  return Style(isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0') &&
               !(term != nullptr && std::string_view(term) == "dumb"));
}

std::string Style::operator()(Colour colour, std::string_view text) const {
  if (!colour_) return std::string(text);
  return fmt::format("{}{}\x1b[0m", sequence(colour), text);
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = next_utf8(text);
    const std::string_view raw = text.substr(0, step.size);
    text.remove_prefix(step.size);
    if (!step.point) {
      for (const char c : raw) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
      }
    } else if (unprintable(*step.point)) {
      fmt::format_to(std::back_inserter(out), "\\u{{{:x}}}",
                     static_cast<std::uint32_t>(*step.point));
    } else {
      out += raw;
    }
  }
  return out;
}

std::size_t shown_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    if (skip_sequence(text)) continue;
    text.remove_prefix(next_utf8(text).size);
    ++width;
  }
  return width;
}

std::string padded(std::string_view text, std::size_t width) {
  const std::size_t shown = shown_width(text);
  return std::string(text) + std::string(width > shown ? width - shown : 0, ' ');
}

std::string shortened(std::string_view text, std::size_t width) {
  if (shown_width(text) <= width) return std::string(text);
  std::string out;
  for (std::size_t i = 1; i < width && !text.empty(); ++i) {
    const std::size_t size = next_utf8(text).size;
    out += text.substr(0, size);
    text.remove_prefix(size);
  }
  return out + "…";
}

std::string utc_time(WallMillis millis) {
  const auto seconds = static_cast<std::time_t>(millis / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], shown_width(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      // Nothing to line up behind the last cell.
      out += i + 1 == row.size() ? row[i] : padded(row[i], widths[i]) + "  ";
    }
    out += '\n';
  }
  return out;
}

}  // namespace drawbridge

// Text for people: colour on a terminal, plain everywhere else, and nothing that a record or a
// broker says can drive the terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/clock.h"

namespace drawbridge {

enum class Colour { kRed, kGreen, kYellow, kBlue, kMagenta, kCyan, kDim, kBold };

// Colour for one output stream, decided once: a terminal, TERM not `dumb`, NO_COLOR not set.
class Style {
 public:
  explicit Style(bool colour) : colour_(colour) {}
  static Style of_stdout();

  [[nodiscard]] std::string operator()(Colour colour, std::string_view text) const;
  [[nodiscard]] bool colour() const { return colour_; }

 private:
  bool colour_;
};

// `text` with everything escaped that is not printable: control characters, direction marks, bytes
// that are not UTF-8 (as \xNN).
std::string printable(std::string_view text);

// How many columns `text` takes, escape sequences of Style not counted. Every code point counts as
// one column.
std::size_t shown_width(std::string_view text);

// `text` filled up with spaces to `width` columns.
std::string padded(std::string_view text, std::size_t width);

// `text` cut to `width` columns, with an ellipsis where something is missing. Plain text only.
std::string shortened(std::string_view text, std::size_t width);

// "2026-01-02T03:04:05Z".
std::string utc_time(WallMillis millis);

// Columns as wide as their widest cell, two spaces apart; the first row is the heading. Cells may
// hold escape sequences of Style.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace drawbridge

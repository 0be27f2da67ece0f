#include "config/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "config/text.h"

namespace drawbridge {

std::string Problem::text() const {
  return fmt::format("{}:{}:{}: {}", file, line, column, message);
}

namespace config {
namespace {

// Parts of a message can come from elsewhere (a path, an expression): none may drive a terminal.
constexpr std::size_t kMostText = 1000;

std::vector<Problem> sorted(std::vector<Problem> problems) {
  std::ranges::stable_sort(problems, [](const Problem& a, const Problem& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return problems;
}

}  // namespace

void Problems::error(Place at, std::string message) {
  if (++count_ > kMost) return;
  if (count_ == kMost) message = "too many errors; correct these first";
  errors_.push_back({file_, at.line, at.column, printable(message, kMostText)});
}

void Problems::warning(Place at, std::string message) {
  warnings_.push_back({file_, at.line, at.column, printable(message, kMostText)});
}

std::vector<Problem> Problems::take_errors() { return sorted(std::exchange(errors_, {})); }
std::vector<Problem> Problems::take_warnings() { return sorted(std::exchange(warnings_, {})); }

}  // namespace config
}  // namespace drawbridge

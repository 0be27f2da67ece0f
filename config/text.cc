#include "config/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>

#include "bridge/base/utf8.h"

namespace drawbridge::config {
namespace {

// Optimal string alignment distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

std::optional<std::int64_t> with_unit(std::string_view text, std::span<const Unit> units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_integer(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(digits) != unit.name) continue;
    if (*number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

// `width` digits at the front of `text`, cut off.
std::optional<int> take_digits(std::string_view& text, std::size_t width) {
  if (text.size() < width) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, width)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(width);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// ".5" or ".123456": milliseconds, further digits cut.
std::optional<int> take_fraction(std::string_view& text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 9) return std::nullopt;
  std::string padded(text.substr(0, std::min<std::size_t>(digits, 3)));
  padded.resize(3, '0');
  text.remove_prefix(digits);
  std::string_view view = padded;
  return take_digits(view, 3);
}

// "Z" or "+hh:mm", the whole rest: minutes east of Greenwich.
std::optional<int> take_zone(std::string_view text) {
  if (text == "Z") return 0;
  const bool west = text.starts_with('-');
  if (!west && !text.starts_with('+')) return std::nullopt;
  text.remove_prefix(1);
  const auto hours = take_digits(text, 2);
  if (!hours || !take(text, ':')) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes || !text.empty() || *hours > 23 || *minutes > 59) return std::nullopt;
  return (west ? -1 : 1) * (*hours * 60 + *minutes);
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string result;
  std::size_t shown = 0;
  while (!text.empty()) {
    if (shown++ == most) return result + "...";
    const Utf8Step step = next_utf8(text);
    const char32_t point = step.point.value_or(0xfffd);
    // Beyond ASCII nothing is needed in a configuration's names, and much of it is invisible.
    if (point >= 0x20 && point < 0x7f) {
      result += static_cast<char>(point);
    } else if (point == '\n') {
      result += "\\n";
    } else {
      result += fmt::format("\\u{{{:x}}}", static_cast<std::uint32_t>(point));
    }
    text.remove_prefix(step.size);
  }
  return result;
}

std::string joined(std::span<const std::string> words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known) {
  const std::size_t limit = std::min<std::size_t>(word.size() / 3, 3);
  std::size_t best = limit + 1;
  std::optional<std::string> result;
  for (const std::string& candidate : known) {
    const std::size_t difference = word.size() > candidate.size() ? word.size() - candidate.size()
                                                                  : candidate.size() - word.size();
    if (difference > best) continue;
    const std::size_t edits = distance(word, candidate);
    // Of two that are as near, the one that was being typed.
    const bool goes_on = edits == best && edits <= limit && candidate.starts_with(word);
    if (edits < best || goes_on) {
      best = edits;
      result = candidate;
    }
  }
  return result;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  static constexpr Unit kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  if (text == "0") return 0;
  return with_unit(text, kUnits);
}

std::optional<std::int64_t> parse_size(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1},          {"B", 1},          {"kB", 1'000},
                                    {"KB", 1'000},    {"MB", 1'000'000}, {"GB", 1'000'000'000},
                                    {"KiB", 1 << 10}, {"MiB", 1 << 20},  {"GiB", 1 << 30}};
  return with_unit(text, kUnits);
}

std::optional<WallMillis> parse_time(std::string_view text) {
  if (text.size() > 8 && text.find_first_not_of("0123456789") == std::string_view::npos) {
    return parse_integer(text);
  }
  const auto date = take_date(text);
  if (!date) return std::nullopt;
  const std::int64_t midnight = std::chrono::milliseconds(date->time_since_epoch()).count();
  if (text.empty()) return midnight;
  if (!take(text, 'T') && !take(text, ' ')) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  int millis = 0;
  if (take(text, '.')) {
    const auto fraction = take_fraction(text);
    if (!fraction) return std::nullopt;
    millis = *fraction;
  }
  const auto zone = take_zone(text);
  if (!zone) return std::nullopt;
  const std::int64_t minutes = *hour * 60 + *minute - *zone;
  return midnight + minutes * 60'000 + *second * 1000 + millis;
}

}  // namespace drawbridge::config

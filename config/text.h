// Small parsers of values, and text for messages.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/clock.h"

namespace drawbridge::config {

// Text of the file for a message: one line, at most so many characters, nothing invisible.
std::string printable(std::string_view text, std::size_t most = 60);

// "a, b, c"
std::string joined(std::span<const std::string> words);

// The known name that was probably meant; nullopt where none is near. Near: at most one edit
// (insertion, deletion, replacement, swap of neighbours) for three characters, and three in all. Of
// two that are as near, the one that begins with the word.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known);

// Digits with an optional minus, in range; nothing else.
std::optional<std::int64_t> parse_integer(std::string_view text);
// "true" or "false".
std::optional<bool> parse_bool(std::string_view text);
// "250ms", "1s", "10m", "24h", "7d", or "0"; whole numbers. In milliseconds.
std::optional<std::int64_t> parse_duration(std::string_view text);
// "1000", "1000B", "64KiB", "64MiB", "1GiB", "1kB", "1MB", "1GB"; whole numbers. In bytes.
std::optional<std::int64_t> parse_size(std::string_view text);
// "2026-01-31", "2026-01-31T12:00:00Z", with an optional fraction and "+01:00" for "Z", or
// milliseconds since the epoch as a whole number of more than 8 digits.
std::optional<WallMillis> parse_time(std::string_view text);

}  // namespace drawbridge::config

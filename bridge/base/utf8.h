// UTF-8, one code point at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace drawbridge {

struct Utf8Step {
  std::optional<char32_t> point;  // none: the first byte begins no well-formed sequence
  std::size_t size;               // bytes to go on by; 1 where `point` is none
};

// The first code point of `text`, which is not empty. Overlong forms, surrogates, what lies above
// U+10FFFF and sequences cut short are not well-formed (RFC 3629).
Utf8Step next_utf8(std::string_view text);

}  // namespace drawbridge

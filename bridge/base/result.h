// Result<T>: a value or an Error. No exceptions cross a room's border.
#pragma once

#include <fmt/format.h>

#include <tl/expected.hpp>
#include <utility>

#include "bridge/base/error.h"

namespace drawbridge {

template <typename T>
using Result = tl::expected<T, Error>;

// fail(code, "format {}", args...): an Error ready to be returned as any Result<T>.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format,
                                         Args&&... args) {
  return tl::make_unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::make_unexpected(std::move(error));
}

// Evaluates `expression` (a Result); returns its error from the enclosing function, or goes on.
#define DRAWBRIDGE_TRY(expression)                                      \
  do {                                                                  \
    if (auto drawbridge_result_ = (expression); !drawbridge_result_)    \
      return ::drawbridge::fail(std::move(drawbridge_result_).error()); \
  } while (false)

#define DRAWBRIDGE_CONCAT_INNER(a, b) a##b
#define DRAWBRIDGE_CONCAT(a, b) DRAWBRIDGE_CONCAT_INNER(a, b)

// DRAWBRIDGE_ASSIGN(auto x, expression): as above, and binds the value.
#define DRAWBRIDGE_ASSIGN(declaration, expression) \
  DRAWBRIDGE_ASSIGN_INNER(DRAWBRIDGE_CONCAT(drawbridge_result_, __LINE__), declaration, expression)
#define DRAWBRIDGE_ASSIGN_INNER(result, declaration, expression)     \
  auto result = (expression);                                        \
  if (!result) return ::drawbridge::fail(std::move(result).error()); \
  declaration = std::move(*result)

}  // namespace drawbridge

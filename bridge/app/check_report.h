// What `drawbridge check` finds, one line each, as it finds it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "bridge/app/terminal.h"
#include "bridge/base/error.h"

namespace drawbridge {

class CheckReport {
 public:
  explicit CheckReport(Style style) : style_(style) {}

  // "OK    cluster dc      3 brokers"
  void ok(std::string_view subject, std::string_view finding);
  // What to do follows the finding. A warning leaves the exit status alone.
  void warning(std::string_view subject, std::string_view finding, std::string_view remedy);
  void failure(std::string_view subject, std::string_view finding, std::string_view remedy);
  void failure(std::string_view subject, const Error& error);  // with the code's own remedy

  [[nodiscard]] bool failed() const { return failures_ > 0; }
  // "12 ok, 1 warning, 0 failed"
  [[nodiscard]] std::string summary() const;

 private:
  void line(Colour colour, std::string_view word, std::string_view subject,
            std::string_view finding, std::string_view remedy);

  Style style_;
  std::size_t ok_ = 0;
  std::size_t warnings_ = 0;
  std::size_t failures_ = 0;
};

}  // namespace drawbridge

#include "bridge/app/check_report.h"

#include <fmt/format.h>

#include <cstdio>

namespace drawbridge {
namespace {

constexpr std::size_t kSubject = 24;

}  // namespace

void CheckReport::line(Colour colour, std::string_view word, std::string_view subject,
                       std::string_view finding, std::string_view remedy) {
  fmt::print("{} {}  {}", padded(style_(colour, word), 5), padded(printable(subject), kSubject),
             printable(finding));
  if (!remedy.empty()) fmt::print("; {}", style_(Colour::kBold, printable(remedy)));
  fmt::print("\n");
  std::fflush(stdout);  // the next check may take its time
}

void CheckReport::ok(std::string_view subject, std::string_view finding) {
  ++ok_;
  line(Colour::kGreen, "OK", subject, finding, {});
}

void CheckReport::warning(std::string_view subject, std::string_view finding,
                          std::string_view remedy) {
  ++warnings_;
  line(Colour::kYellow, "WARN", subject, finding, remedy);
}

void CheckReport::failure(std::string_view subject, std::string_view finding,
                          std::string_view remedy) {
  ++failures_;
  line(Colour::kRed, "FAIL", subject, finding, remedy);
}

void CheckReport::failure(std::string_view subject, const Error& error) {
  failure(subject, error.message, info(error.code).remedy);
}

std::string CheckReport::summary() const {
  return fmt::format("{} ok, {} warning{}, {} failed", ok_, warnings_, warnings_ == 1 ? "" : "s",
                     failures_);
}

}  // namespace drawbridge

// Logging: one line an event, to standard error, for people or as JSON.
//
// log(Level::kInfo, "pipeline started", {{"pipeline", name}, {"shards", 4}});
//
// Text:  2026-01-02T03:04:05.678Z INFO  pipeline started pipeline=orders shards=4
// JSON:  {"time":"...","level":"info","event":"pipeline started","pipeline":"orders","shards":4}
//
// An event is one line and one write(2), whatever its values hold: control characters, invisible
// direction marks and bytes that are not UTF-8 are escaped (JSON: replaced by U+FFFD), so that a
// topic name or a broker's message can neither forge a line nor drive a terminal.
//
// Thread-safe. Logging never fails towards its caller: a line that cannot be written is lost.
// Payloads, keys and secrets never go in: there is no overload that takes bytes.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "bridge/base/clock.h"
#include "bridge/base/error.h"

namespace drawbridge {

enum class Level : std::uint8_t { kDebug, kInfo, kWarning, kError };

struct Field {
  template <typename T>
  requires std::is_arithmetic_v<T> Field(std::string_view field_name, T field_value)
      : name(field_name), value(fmt::to_string(field_value)), quoted(false) {}
  Field(std::string_view field_name, std::string_view field_value)
      : name(field_name), value(field_value), quoted(true) {}
  Field(std::string_view field_name, const char* field_value)
      : Field(field_name, std::string_view(field_value)) {}
  Field(std::string_view field_name, const std::string& field_value)
      : Field(field_name, std::string_view(field_value)) {}

  std::string_view name;
  std::string value;
  bool quoted;  // text, as opposed to a number or a truth value
};

enum class LogFormat : std::uint8_t { kText, kJson };

struct LogOptions {
  LogFormat format = LogFormat::kText;
  Level least = Level::kInfo;
  bool colour = false;  // of the level, in text
  Duration fold_interval = std::chrono::seconds(10);
};
// Takes effect for lines written from now on. What folding holds back is written out first.
void configure_log(const LogOptions& options);

void log(Level level, std::string_view event, std::initializer_list<Field> fields = {});
// As log(), folded: events of the same level, event text and values of the first two fields are
// of one kind. The first of a kind is written at once; those that follow within the fold interval
// are counted, and the last of them is written with `repeated=N` when the interval ends.
void log_folded(Level level, std::string_view event, std::initializer_list<Field> fields = {});
// Writes what folding holds back: of the kinds whose interval has ended (call it every second or
// so), or of all kinds (at exit).
enum class FoldFlush : std::uint8_t { kEnded, kAll };
void flush_folded_log(FoldFlush which = FoldFlush::kEnded);

// "message (code; remedy)" with an error's standing advice.
std::string explain(const Error& error);

}  // namespace drawbridge

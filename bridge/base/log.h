// Logging: one line an event, to standard error, for people or as JSON.
//
// log(Level::kInfo, "pipeline started", {{"pipeline", name}, {"shards", 4}});
//
// Text:  2026-01-02T03:04:05.678Z INFO  pipeline started pipeline=orders shards=4
// JSON:  {"time":"...","level":"info","event":"pipeline started","pipeline":"orders","shards":4}
//
// Events repeated with the same level, event text and fold key within the fold interval (10 s)
// are counted and written once more with `repeated=N` when the interval ends. Thread-safe.
// Payloads, keys and secrets never go in: there is no overload that takes bytes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "bridge/base/error.h"

namespace drawbridge {

enum class Level : std::uint8_t { kDebug, kInfo, kWarning, kError };

struct Field {
  template <typename T>
    requires std::is_arithmetic_v<T>
  Field(std::string_view field_name, T field_value)
      : name(field_name), value(std::to_string(field_value)), quoted(false) {}
  Field(std::string_view field_name, std::string_view field_value)
      : name(field_name), value(field_value), quoted(true) {}
  Field(std::string_view field_name, const char* field_value)
      : Field(field_name, std::string_view(field_value)) {}
  Field(std::string_view field_name, const std::string& field_value)
      : Field(field_name, std::string_view(field_value)) {}

  std::string_view name;
  std::string value;
  bool quoted;  // whether JSON quotes it
};

enum class LogFormat : std::uint8_t { kText, kJson };

struct LogOptions {
  LogFormat format = LogFormat::kText;
  Level least = Level::kInfo;
  bool colour = false;
};
void configure_log(const LogOptions& options);

void log(Level level, std::string_view event, std::initializer_list<Field> fields = {});
// As log(), folded: the first of a kind is written at once, repeats within 10 s only counted.
void log_folded(Level level, std::string_view event, std::initializer_list<Field> fields = {});
// Writes out what folding holds back; call it every second or so and at exit.
void flush_folded_log();

// "message (code; remedy)" with an error's standing advice.
std::string explain(const Error& error);

}  // namespace drawbridge

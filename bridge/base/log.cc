#include "bridge/base/log.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "bridge/base/utf8.h"

namespace drawbridge {
namespace {

// A bug that makes up new kinds for ever must not eat memory: beyond this many, lines are written
// as they come.
constexpr std::size_t kMaxKinds = 1024;

struct LevelNames {
  std::string_view text;  // of equal width
  std::string_view json;
  std::string_view colour;
};

const LevelNames& names_of(Level level) {
  static constexpr LevelNames kDebug{"DEBUG", "debug", "\x1b[2m"};
  static constexpr LevelNames kInfo{"INFO ", "info", "\x1b[32m"};
  static constexpr LevelNames kWarning{"WARN ", "warning", "\x1b[33m"};
  static constexpr LevelNames kError{"ERROR", "error", "\x1b[31m"};
  switch (level) {
    case Level::kDebug:
      return kDebug;
    case Level::kInfo:
      return kInfo;
    case Level::kWarning:
      return kWarning;
    case Level::kError:
      return kError;
  }
  return kError;
}

// What would end a line, drive a terminal or hide in one: control characters (C0, DEL, C1), line
// separators and direction overrides.
bool unprintable(char32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
         (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
         point == 0x200e || point == 0x200f || point == 0xfeff;
}

void append_json_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = next_utf8(text);
    const std::string_view raw = text.substr(0, step.size);
    text.remove_prefix(step.size);
    if (!step.point) {
      out += "\xef\xbf\xbd";
    } else if (*step.point == '"' || *step.point == '\\') {
      out += '\\';
      out += raw;
    } else if (*step.point == '\n') {
      out += "\\n";
    } else if (unprintable(*step.point)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(*step.point));
    } else {
      out += raw;
    }
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_json_text(out, text);
  out += '"';
}

// Escapes for people; says whether it had to.
bool append_escaped(std::string& out, std::string_view text) {
  bool escaped = false;
  while (!text.empty()) {
    const Utf8Step step = next_utf8(text);
    const std::string_view raw = text.substr(0, step.size);
    text.remove_prefix(step.size);
    const bool plain = step.point && !unprintable(*step.point);
    escaped = escaped || !plain;
    if (plain) {
      out += raw;
    } else if (!step.point) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(raw[0]));
    } else if (*step.point == '\n') {
      out += "\\n";
    } else if (*step.point == '\r') {
      out += "\\r";
    } else if (*step.point == '\t') {
      out += "\\t";
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(*step.point));
    }
  }
  return escaped;
}

void append_text_value(std::string& out, std::string_view value) {
  std::string escaped;
  const bool had_to = append_escaped(escaped, value);
  if (!had_to && !value.empty() && value.find_first_of(" \"=\\") == std::string_view::npos) {
    out += escaped;
    return;
  }
  std::string quoted;
  for (std::size_t i = 0; i < value.size();) {
    const std::size_t special = value.find_first_of("\"\\", i);
    append_escaped(quoted, value.substr(i, special - i));
    if (special == std::string_view::npos) break;
    quoted += '\\';
    quoted += value[special];
    i = special + 1;
  }
  out += '"';
  out += quoted;
  out += '"';
}

// Infinity and NaN are arithmetic, but no JSON.
bool is_json_literal(std::string_view value) {
  if (value == "true" || value == "false") return true;
  const std::size_t first = value.starts_with('-') ? 1 : 0;
  return first < value.size() && value[first] >= '0' && value[first] <= '9';
}

std::string timestamp() {
  const WallMillis now = SystemClock().wall();
  const std::time_t seconds = now / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now % 1000);
}

void write_line(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    if (written >= 0) {
      line.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return;
    // Somebody shares a non-blocking terminal or pipe with us: wait a moment, not for ever.
    pollfd entry{STDERR_FILENO, POLLOUT, 0};
    if (poll(&entry, 1, 1000) <= 0) return;
  }
}

using KindKey = std::pair<Level, std::string>;

struct Kind {
  Instant since;           // when its interval began
  std::uint64_t held = 0;  // counted since then, not written
  std::string last;        // body of the newest of them
};

class Logger {
 public:
  void configure(const LogOptions& options) {
    const std::lock_guard lock(mutex_);
    flush(FoldFlush::kAll);
    options_ = options;
    least_.store(options.least, std::memory_order_relaxed);
  }

  [[nodiscard]] bool wants(Level level) const {
    return level >= least_.load(std::memory_order_relaxed);
  }

  void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
    const std::lock_guard lock(mutex_);
    emit(level, body(event, fields), 0);
  }

  void fold(Level level, std::string_view event, std::initializer_list<Field> fields) {
    const Instant now = SystemClock().now();
    const std::lock_guard lock(mutex_);
    std::string text = body(event, fields);
    KindKey key = kind_of(level, event, fields);
    auto found = kinds_.find(key);
    if (found == kinds_.end()) {
      if (kinds_.size() >= kMaxKinds) flush(FoldFlush::kEnded);
      if (kinds_.size() < kMaxKinds) kinds_.emplace(std::move(key), Kind{now, 0, {}});
      emit(level, text, 0);
      return;
    }
    Kind& kind = found->second;
    if (now - kind.since < options_.fold_interval) {
      ++kind.held;
      kind.last = std::move(text);
      return;
    }
    // The interval ended and nobody flushed: this line stands for those that were held back too.
    emit(level, text, kind.held > 0 ? kind.held + 1 : 0);
    kind = Kind{now, 0, {}};
  }

  void flush_locked(FoldFlush which) {
    const std::lock_guard lock(mutex_);
    flush(which);
  }

 private:
  static KindKey kind_of(Level level, std::string_view event, std::initializer_list<Field> fields) {
    std::string text(event);
    std::size_t used = 0;
    for (const Field& field : fields) {
      if (used++ == 2) break;
      text += '\0';
      text += field.value;
    }
    return {level, std::move(text)};
  }

  void flush(FoldFlush which) {
    const Instant now = SystemClock().now();
    for (auto at = kinds_.begin(); at != kinds_.end();) {
      Kind& kind = at->second;
      const bool ended = now - kind.since >= options_.fold_interval;
      if (!ended && which == FoldFlush::kEnded) {
        ++at;
      } else if (kind.held == 0) {
        at = kinds_.erase(at);
      } else {
        emit(at->first.first, kind.last, kind.held);
        kind = Kind{now, 0, {}};  // one that goes on stays folded
        ++at;
      }
    }
  }

  // Event and fields, in the configured format.
  std::string body(std::string_view event, std::initializer_list<Field> fields) const {
    std::string text;
    if (options_.format == LogFormat::kJson) {
      text += "\"event\":";
      append_json_string(text, event);
      for (const Field& field : fields) {
        text += ',';
        append_json_string(text, field.name);
        text += ':';
        if (field.quoted || !is_json_literal(field.value)) {
          append_json_string(text, field.value);
        } else {
          text += field.value;
        }
      }
      return text;
    }
    append_escaped(text, event);
    for (const Field& field : fields) {
      text += ' ';
      append_escaped(text, field.name);
      text += '=';
      append_text_value(text, field.value);
    }
    return text;
  }

  void emit(Level level, std::string_view text, std::uint64_t repeated) const {
    const LevelNames& names = names_of(level);
    std::string line;
    if (options_.format == LogFormat::kJson) {
      line = fmt::format(R"({{"time":"{}","level":"{}",{})", timestamp(), names.json, text);
      if (repeated > 0) line += fmt::format(R"(,"repeated":{})", repeated);
      line += "}\n";
    } else {
      const bool colour = options_.colour;
      line = fmt::format("{} {}{}{} {}", timestamp(), colour ? names.colour : "", names.text,
                         colour ? "\x1b[0m" : "", text);
      if (repeated > 0) line += fmt::format(" repeated={}", repeated);
      line += '\n';
    }
    write_line(line);
  }

  std::atomic<Level> least_{Level::kInfo};
  std::mutex mutex_;
  // Guarded by mutex_:
  LogOptions options_;
  std::map<KindKey, Kind> kinds_;
};

// Never destroyed: threads may log while the program leaves main.
Logger& logger() {
  static auto* const instance = new Logger;
  return *instance;
}

}  // namespace

void configure_log(const LogOptions& options) { logger().configure(options); }

void log(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (logger().wants(level)) logger().write(level, event, fields);
}

void log_folded(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (logger().wants(level)) logger().fold(level, event, fields);
}

void flush_folded_log(FoldFlush which) { logger().flush_locked(which); }

std::string explain(const Error& error) {
  const ErrorInfo& row = info(error.code);
  return fmt::format("{} ({}; {})", error.message, row.name, row.remedy);
}

}  // namespace drawbridge

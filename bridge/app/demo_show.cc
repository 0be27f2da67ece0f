#include "bridge/app/demo_show.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "bridge/app/demo_traffic.h"
#include "bridge/app/record_opener.h"
#include "bridge/base/log.h"
#include "bridge/envelope/data_key.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr std::size_t kLabel = 11;
constexpr std::size_t kColumn = 22;
constexpr std::size_t kBar = 24;

// 12345 as "12,345".
std::string grouped(std::size_t number) {
  std::string digits = fmt::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string time_of(std::int64_t millis) {
  const auto seconds = static_cast<std::time_t>(millis / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:02}:{:02}:{:02}.{:03} UTC", utc.tm_hour, utc.tm_min, utc.tm_sec,
                     millis % 1000);
}

// Bytes of an envelope, from where they differ from record to record.
std::string preview(ByteView bytes, std::size_t most) {
  return to_hex(bytes.first(std::min(bytes.size(), most))) + (bytes.size() > most ? "…" : "");
}

// One column of the side-by-side table.
std::vector<std::string> column_of(const KeptRecord& kept, std::string_view heading) {
  const Record record = kept.view();
  const auto envelope = parse_envelope(*record.value);
  const auto keys = wrapped_keys_of(*envelope, record.headers);
  const WrappedKeyView& wrapped = keys->entries().front();
  std::vector<std::string> headers;
  for (const auto& [name, value] : kept.headers) headers.push_back(name);
  return {std::string(heading),
          kept.topic,
          fmt::format("{} @ {}", kept.partition.value, kept.offset.value),
          time_of(kept.timestamp_ms),
          std::string(as_text(*kept.key)),
          preview(envelope->ciphertext, 9),
          fmt::format("{}, {} B", name_of(envelope->suite), kept.value->size()),
          preview(envelope->key_id.view(), 9),
          fmt::format("{}", wrapped.domain),
          preview(wrapped.wrapped, 9),
          fmt::format("{}", wrapped.kek),
          headers.empty() ? "-" : headers[0],
          headers.size() < 2 ? "" : headers[1]};
}

// Opens a record with a bare data key, as somebody could who kept it.
Result<std::string> open_with(const SecretBytes& dek, const KeptRecord& kept) {
  const Record record = kept.view();
  DRAWBRIDGE_ASSIGN(const EnvelopeView envelope, parse_envelope(*record.value));
  DRAWBRIDGE_ASSIGN(OpeningKey key, OpeningKey::create(envelope.suite, dek, envelope.salt));
  Bytes plaintext(envelope.ciphertext.size());
  DRAWBRIDGE_TRY(
      key.open(envelope, Expected{as_bytes(kDemoDataset), std::nullopt}, record.key, plaintext));
  return std::string(as_text(plaintext));
}

Result<std::string> open_value(RecordOpener& opener, const KeptRecord& kept) {
  DRAWBRIDGE_ASSIGN(const KeptRecord opened, opener.open(kept.view(), kTimeout));
  return opened.value ? std::string(as_text(*opened.value)) : std::string("null");
}

}  // namespace

DemoShow::DemoShow() : style_(Style::of_stdout()), terminal_(isatty(STDOUT_FILENO) == 1) {}

void DemoShow::clear_progress() {
  if (std::exchange(moving_, false)) fmt::print("\r\x1b[K");
}

void DemoShow::heading(std::string_view text) {
  clear_progress();
  fmt::print("\n{} {}\n\n", style_(Colour::kCyan, fmt::format("{}.", ++number_)),
             style_(Colour::kBold, text));
  std::fflush(stdout);
}

void DemoShow::event(std::string_view label, Colour colour, std::string_view text) {
  clear_progress();
  fmt::print("   {} {}\n", padded(style_(colour, label), kLabel), text);
  std::fflush(stdout);
}

void DemoShow::title() {
  fmt::print("{}: two Kafka clusters, two key domains, one bridge between them\n",
             style_(Colour::kBold, "drawbridge demo"));
  fmt::print("{}\n",
             style_(Colour::kDim, "Nothing is installed, and everything is removed at the end."));
  std::fflush(stdout);
}

void DemoShow::stage(const DemoWorld& world) {
  heading("Two clusters and their keys");
  fmt::print("   {}  {:<16} topics {}; sealed by their producer under {}\n",
             style_(Colour::kBold, "dc   "), world.source_cluster().bootstrap_servers(),
             fmt::join(kDepartments, ", "), style_(Colour::kYellow, kSourceDomain));
  fmt::print("   {}  {:<16} the copies; its consumers have {} and nothing else\n",
             style_(Colour::kBold, "cloud"), world.target_cluster().bootstrap_servers(),
             style_(Colour::kGreen, kTargetDomain));
  fmt::print("   {}\n", style_(Colour::kDim, fmt::format("embedded brokers and keyring files in {}",
                                                         world.directory())));
}

void DemoShow::configuration(const DemoWorld& world) {
  heading("The configuration, all of it");
  std::string_view rest = world.configuration_text();
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const std::size_t comment = line.find("  #");
    if (line.find("rekey") != std::string_view::npos) {
      fmt::print("   {}\n", style_(Colour::kBold, line));
    } else if (comment != std::string_view::npos) {
      fmt::print("   {}{}\n", line.substr(0, comment), style_(Colour::kDim, line.substr(comment)));
    } else {
      fmt::print("   {}\n", line);
    }
  }
}

void DemoShow::started(pid_t pid, std::size_t sent) {
  heading("Records flow, the bridge is killed, and another one resumes");
  event("sent", Colour::kDim,
        fmt::format("{} sealed records, and more every moment", grouped(sent)));
  event("started", Colour::kGreen, fmt::format("drawbridge run -c demo.yaml    (process {})", pid));
}

void DemoShow::progress(const CopyCounts& copied, std::size_t sent) {
  if (!terminal_) return;
  const std::size_t least = std::min(*std::min_element(copied.begin(), copied.end()), sent);
  const std::size_t filled = sent == 0 ? 0 : least * kBar / sent;
  std::string bar;
  for (std::size_t i = 0; i < kBar; ++i) bar += i < filled ? "█" : "░";
  fmt::print("\r\x1b[K   {} {} re-encrypted, {} rewrapped, of {}", style_(Colour::kGreen, bar),
             grouped(copied[0]), grouped(copied[1]), grouped(sent));
  std::fflush(stdout);
  moving_ = true;
}

void DemoShow::killed(const CopyCounts& copied, std::size_t sent) {
  event("kill -9", Colour::kRed,
        fmt::format("in the middle, no farewell: {} and {} of {} were copied", grouped(copied[0]),
                    grouped(copied[1]), grouped(sent)));
}

void DemoShow::checkpoint(const CopyCounts& safe) {
  event("on disk", Colour::kDim,
        fmt::format("checkpoints say {} and {}: it will go on there, so the rest comes twice",
                    grouped(safe[0]), grouped(safe[1])));
}

void DemoShow::meanwhile(std::size_t records) {
  event("meanwhile", Colour::kDim,
        fmt::format("{} more records arrive, with no bridge to take them", grouped(records)));
}

void DemoShow::resumed() {
  event("resumed", Colour::kGreen, "drawbridge run -c demo.yaml --until-caught-up");
}

void DemoShow::caught_up(double seconds) {
  event("caught up", Colour::kGreen,
        fmt::format("drained and checkpointed, exit status 0, after {:.1f} s", seconds));
}

bool DemoShow::counts(const Audit& audit, std::size_t sent) {
  heading("Every record accounted for");
  std::vector<std::vector<std::string>> rows;
  for (const auto* name :
       {"copy", "sent", "arrived", "lost", "altered", "out of order", "came twice"}) {
    if (rows.empty()) rows.emplace_back();
    rows[0].push_back(style_(Colour::kDim, name));
  }
  rows[0][0] = "   " + rows[0][0];
  bool good = true;
  std::size_t lost = 0;
  std::size_t twice = 0;
  const auto flagged = [&](std::size_t count) {
    return style_(count == 0 ? Colour::kGreen : Colour::kRed, grouped(count));
  };
  for (const CopyAudit& copy : audit.copies) {
    good = good && copy.good();
    lost += copy.lost;
    twice += copy.twice;
    // Rewrapping passes ciphertext through; re-encrypting leaves none of it.
    const std::size_t untouched = copy.mode == "rewrapped" ? copy.found + copy.twice : 0;
    good = good && copy.same_bytes == untouched;
    rows.push_back({"   " + demo_copy(copy.mode, copy.department), grouped(copy.expected),
                    grouped(copy.found), flagged(copy.lost), flagged(copy.altered),
                    flagged(copy.out_of_order), grouped(copy.twice)});
  }
  fmt::print("{}\n", table(rows));
  fmt::print(
      "   Each of {} records was opened at both ends and compared: key, value, header, time,\n"
      "   partition, order. {}; {} came twice, as at-least-once allows after a kill.\n",
      grouped(sent),
      style_(lost == 0 ? Colour::kGreen : Colour::kRed, fmt::format("{} lost", grouped(lost))),
      grouped(twice));
  return good;
}

void DemoShow::side_by_side(const Audit& audit) {
  heading("One record, side by side");
  const std::vector<std::string> names{"",       "topic",   "partition", "timestamp",   "key",
                                       "value",  "sealed",  "data key",  "wrapped for", "as",
                                       "by key", "headers", ""};
  const auto source = column_of(audit.sample.at(""), "SOURCE, on dc");
  const auto reencrypted = column_of(audit.sample.at("reencrypted"), "RE-ENCRYPTED");
  const auto rewrapped = column_of(audit.sample.at("rewrapped"), "REWRAPPED");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto cell = [&](const std::vector<std::string>& column) {
      const std::string text = padded(shortened(printable(column[i]), kColumn), kColumn);
      if (i == 0) return style_(Colour::kBold, text);
      // What is not the source's any more stands out; where it lies is no part of the record.
      const bool differs = &column != &source && column[i] != source[i];
      return i > 3 && differs ? style_(Colour::kGreen, text) : text;
    };
    const std::string line =
        fmt::format("   {}  {}  {}  {}", padded(style_(Colour::kDim, names[i]), kLabel),
                    cell(source), cell(reencrypted), cell(rewrapped));
    fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

void DemoShow::verdict(std::string_view who, std::string_view what, bool should_open,
                       const Result<std::string>& opened, bool& good) {
  const bool as_promised = opened.has_value() == should_open;
  good = good && as_promised;
  const std::string text = opened ? fmt::format("opens it: {}", printable(*opened))
                                  : fmt::format("refused: {} ({})", opened.error().message,
                                                name_of(opened.error().code));
  const Colour colour = !as_promised ? Colour::kRed : opened ? Colour::kGreen : Colour::kYellow;
  fmt::print("   {:<{}} {:<13} {}\n", who, kLabel, what, style_(colour, text));
}

Result<bool> DemoShow::keys(DemoWorld& world, const Audit& audit) {
  heading("Each side's key opens its own copy, and no other");
  const Scope scope{std::string(kDemoDataset), std::nullopt};
  const KeptRecord& source = audit.sample.at("");
  const KeptRecord& reencrypted = audit.sample.at("reencrypted");
  const KeptRecord& rewrapped = audit.sample.at("rewrapped");
  bool good = true;
  DRAWBRIDGE_ASSIGN(const auto dc,
                    RecordOpener::make(world.keys(), std::string(kSourceDomain), scope));
  DRAWBRIDGE_ASSIGN(const auto cloud,
                    RecordOpener::make(world.keys(), std::string(kTargetDomain), scope));
  verdict(kSourceDomain, "source", true, open_value(*dc, source), good);
  verdict(kSourceDomain, "re-encrypted", false, open_value(*dc, reencrypted), good);
  verdict(kSourceDomain, "rewrapped", false, open_value(*dc, rewrapped), good);
  verdict(kTargetDomain, "source", false, open_value(*cloud, source), good);
  verdict(kTargetDomain, "re-encrypted", true, open_value(*cloud, reencrypted), good);
  verdict(kTargetDomain, "rewrapped", true, open_value(*cloud, rewrapped), good);

  fmt::print(
      "\n   But a rewrap is not revocation. Whoever could read the source may have kept its\n"
      "   bare data key, and a rewrap only wraps that same key anew:\n\n");
  DRAWBRIDGE_ASSIGN(const KeyCache::Key kept, dc->data_key(source.view(), kTimeout));
  verdict("kept key", "re-encrypted", false, open_with(*kept, reencrypted), good);
  verdict("kept key", "rewrapped", true, open_with(*kept, rewrapped), good);
  fmt::print(
      "\n   So: rewrap to move data cheaply between those who trust each other, re-encrypt to\n"
      "   shut somebody out.\n");
  return good;
}

void DemoShow::broken_off() {
  clear_progress();
  std::fflush(stdout);
}

void DemoShow::end(bool good, double seconds) {
  clear_progress();
  if (good) {
    fmt::print(
        "\n{} in {:.0f} s. Next: `drawbridge --help`, and README.md for two clusters of your "
        "own.\n",
        style_(Colour::kGreen, "All of it held,"), seconds);
  } else {
    fmt::print("\n{}: see the lines above.\n", style_(Colour::kRed, "Something did not hold"));
  }
}

}  // namespace drawbridge

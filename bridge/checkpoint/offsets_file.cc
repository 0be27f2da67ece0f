#include "bridge/checkpoint/offsets_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "bridge/base/bytes.h"

namespace drawbridge {
namespace {

constexpr std::string_view kMagic = "drawbridge-offsets";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kEnd = "end";
constexpr std::string_view kAbsent = "-";
constexpr std::array<std::string_view, 11> kColumns{
    "pipeline",       "cluster",           "topic",         "partition",
    "next",           "group-committed",   "group-pending", "saved-at",
    "witness-offset", "witness-timestamp", "witness-hash"};

using Fields = std::vector<std::string_view>;

Fields split(std::string_view text, char separator) {
  Fields fields;
  for (;;) {
    const std::size_t end = text.find(separator);
    fields.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// Only the form that formatting gives: "7", not "07", "+7" or " 7".
template <typename T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && fmt::to_string(out) == text;
}

bool parse_hash(std::string_view text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc{} && end == text.data() + text.size() &&
         fmt::format("{:016x}", out) == text;
}

bool parse_offset(std::string_view text, std::optional<Offset>& out) {
  if (text == kAbsent) return true;
  return parse_number(text, out.emplace().value);
}

std::string optional_offset(const std::optional<Offset>& offset) {
  return offset ? fmt::to_string(offset->value) : std::string(kAbsent);
}

class Parser {
 public:
  Parser(std::string_view name, std::string_view text) : name_(name), rest_(text) {}

  Result<OffsetsFile> run() {
    DRAWBRIDGE_TRY(header());
    for (;;) {
      DRAWBRIDGE_ASSIGN(const Fields fields, next_line());
      if (fields[0] == kEnd && fields.size() == 2) {
        DRAWBRIDGE_TRY(end(fields[1]));
        return std::move(file_);
      }
      DRAWBRIDGE_TRY(entry(fields));
    }
  }

 private:
  template <typename... Args>
  [[nodiscard]] auto wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return fail(ErrorCode::kInvalid, "{}:{}: {}; nothing was imported", name_, line_,
                fmt::format(format, std::forward<Args>(args)...));
  }

  Result<Fields> next_line() {
    ++line_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) {
      return wrong(
          "the file is cut short: it must close with a line '{}' and the number of entries", kEnd);
    }
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (line.ends_with('\r')) return wrong("lines must end with a line feed alone");
    return split(line, '\t');
  }

  Result<void> header() {
    DRAWBRIDGE_ASSIGN(const Fields first, next_line());
    if (first[0] != kMagic) return wrong("not a file of exported offsets");
    if (first.size() < 2 || first[1] != kVersion) {
      return wrong("format version '{}' instead of {}", first.size() < 2 ? "" : first[1], kVersion);
    }
    if (first.size() != 4) return wrong("{} fields instead of 4", first.size());
    if (has_control_characters(first[2])) return wrong("the daemon's name is not well-formed");
    file_.daemon = first[2];
    const auto store_id = from_hex(first[3]);
    if (!store_id || store_id->size() != file_.store_id.size() || to_hex(*store_id) != first[3]) {
      return wrong("'{}' is not a store id", first[3]);
    }
    std::ranges::copy(*store_id, file_.store_id.begin());
    DRAWBRIDGE_ASSIGN(const Fields names, next_line());
    if (!std::ranges::equal(names, kColumns)) {
      return wrong("expected the column names {}", fmt::join(kColumns, ", "));
    }
    return {};
  }

  Result<void> entry(const Fields& fields) {
    if (fields.size() != kColumns.size()) {
      return wrong("{} fields apart by tabs instead of {}", fields.size(), kColumns.size());
    }
    const auto bad = [&](std::size_t column) {
      return wrong("'{}' is no valid {}", fields[column], kColumns[column]);
    };
    CheckpointEntry entry;
    CheckpointKey& key = entry.key;
    Checkpoint& checkpoint = entry.checkpoint;
    for (const std::size_t column : {0U, 1U, 2U}) {
      if (has_control_characters(fields[column])) return bad(column);
    }
    key.pipeline = fields[0];
    key.cluster_id = fields[1];
    key.at.topic = fields[2];
    if (!parse_number(fields[3], key.at.partition.value)) return bad(3);
    if (!parse_number(fields[4], checkpoint.position.next.value)) return bad(4);
    if (!parse_offset(fields[5], checkpoint.group_committed)) return bad(5);
    if (!parse_offset(fields[6], checkpoint.group_pending)) return bad(6);
    if (!parse_number(fields[7], checkpoint.saved_at)) return bad(7);
    if (fields[8] != kAbsent || fields[9] != kAbsent || fields[10] != kAbsent) {
      Witness& witness = checkpoint.position.witness.emplace();
      if (!parse_number(fields[8], witness.offset.value)) return bad(8);
      if (!parse_number(fields[9], witness.timestamp_ms)) return bad(9);
      if (!parse_hash(fields[10], witness.hash)) return bad(10);
    }
    // What a store could not keep is refused here, where the line is known.
    const auto encoded = encode_checkpoint_key(key);
    if (!encoded) return wrong("{}", encoded.error().message);
    if (const auto value = encode_checkpoint(*encoded, checkpoint); !value) {
      return wrong("{}", value.error().message);
    }
    if (!seen_.insert(key).second) {
      return wrong("pipeline {}, cluster {}, topic {}, partition {} is there twice", key.pipeline,
                   key.cluster_id, key.at.topic, key.at.partition.value);
    }
    file_.entries.push_back(std::move(entry));
    return {};
  }

  Result<void> end(std::string_view count) const {
    std::size_t wanted = 0;
    if (!parse_number(count, wanted) || wanted != file_.entries.size()) {
      return wrong("the last line counts '{}' entries, the file has {}", count,
                   file_.entries.size());
    }
    if (!rest_.empty()) return wrong("more lines after the last one");
    return {};
  }

  const std::string_view name_;
  std::string_view rest_;
  std::size_t line_ = 0;
  OffsetsFile file_;
  std::set<CheckpointKey> seen_;
};

}  // namespace

std::vector<CheckpointEntry> OffsetsFile::entries_for(const StoreIdentity& identity) const {
  std::vector<CheckpointEntry> out = entries;
  if (store_id != identity.store_id) {
    for (CheckpointEntry& entry : out) entry.checkpoint.position.witness.reset();
  }
  return out;
}

Result<std::string> format_offsets(const StoreIdentity& identity,
                                   std::span<const CheckpointEntry> entries) {
  if (has_control_characters(identity.daemon)) {
    return fail(ErrorCode::kInvalid, "the daemon's name holds control characters");
  }
  std::string text = fmt::format("{}\t{}\t{}\t{}\n{}\n", kMagic, kVersion, identity.daemon,
                                 to_hex(identity.store_id), fmt::join(kColumns, "\t"));
  for (const CheckpointEntry& entry : entries) {
    const CheckpointKey& key = entry.key;
    const Checkpoint& checkpoint = entry.checkpoint;
    for (const std::string& name : {key.pipeline, key.cluster_id, key.at.topic}) {
      if (has_control_characters(name)) {
        return fail(ErrorCode::kInvalid,
                    "a checkpoint of pipeline {} cannot be exported: a name holds control "
                    "characters",
                    to_hex(as_bytes(key.pipeline)));
      }
    }
    const auto& witness = checkpoint.position.witness;
    fmt::format_to(std::back_inserter(text), "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t", key.pipeline,
                   key.cluster_id, key.at.topic, key.at.partition.value,
                   checkpoint.position.next.value, optional_offset(checkpoint.group_committed),
                   optional_offset(checkpoint.group_pending), checkpoint.saved_at);
    if (witness) {
      fmt::format_to(std::back_inserter(text), "{}\t{}\t{:016x}\n", witness->offset.value,
                     witness->timestamp_ms, witness->hash);
    } else {
      text += "-\t-\t-\n";
    }
  }
  text += fmt::format("{}\t{}\n", kEnd, entries.size());
  return text;
}

Result<OffsetsFile> parse_offsets(std::string_view name, std::string_view text) {
  return Parser(name, text).run();
}

}  // namespace drawbridge

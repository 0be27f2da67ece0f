#include "bridge/app/record_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "bridge/app/json.h"
#include "bridge/app/terminal.h"
#include "bridge/base/utf8.h"
#include "bridge/envelope/envelope.h"
#include "bridge/pipeline/dead_letter.h"

namespace drawbridge {
namespace {

constexpr std::size_t kKeyColumns = 24;
constexpr std::size_t kKeyIdDigits = 12;
constexpr std::size_t kReasonColumns = 300;

void read_envelope(const EnvelopeView& envelope, const Headers& headers, RecordView& view) {
  view.suite = name_of(envelope.suite);
  view.key_id = envelope.key_id.hex();
  view.dataset = as_text(envelope.dataset);
  if (envelope.tenant) view.tenant = as_text(*envelope.tenant);
  if (envelope.subject) view.subject = to_hex(*envelope.subject);
  view.plaintext_bytes = envelope.ciphertext.size();
  view.inline_keys = envelope.has_inline_keys();
  view.salted = envelope.salt.has_value();
  const auto keys = wrapped_keys_of(envelope, headers);
  if (!keys) {
    view.problem = keys.error().message;
    return;
  }
  for (const WrappedKeyView& key : keys->entries()) {
    view.keys.push_back({std::string(key.domain), std::string(key.kek), key.wrapped.size()});
  }
}

void read_dead_letter(const Headers& headers, RecordView& view) {
  for (const Header& header : headers.all()) {
    if (!header.value ||
        std::ranges::find(kDeadLetterHeaders, header.name) == kDeadLetterHeaders.end()) {
      continue;
    }
    view.dead_letter.insert_or_assign(std::string(header.name.substr(kDeadLetterPrefix.size())),
                                      std::string(as_text(*header.value)));
  }
}

// "orders [3] 42 of dc, decrypt: the tag does not verify (envelope-tampered)"
std::string dead_letter_cell(const RecordView& view) {
  if (view.dead_letter.empty()) return {};
  const auto said = [&](std::string_view name) {
    const auto found = view.dead_letter.find(name);
    return found == view.dead_letter.end() ? std::string("?") : printable(found->second);
  };
  const std::string reason =
      fmt::format("{} [{}] {} of {}, {}: {} ({})", said("topic"), said("partition"), said("offset"),
                  said("cluster"), said("transform"), said("message"), said("error"));
  return shortened(reason, kReasonColumns);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = next_utf8(text);
    if (!step.point) return false;
    text.remove_prefix(step.size);
  }
  return true;
}

// "name": text, or null, or "name_base64" where it is no text.
void write_bytes(JsonWriter& json, const std::string& name, const std::optional<Bytes>& bytes) {
  if (!bytes) {
    json.key(name).null();
  } else if (is_utf8(as_text(*bytes))) {
    json.field(name, as_text(*bytes));
  } else {
    json.field(name + "_base64", to_base64(*bytes));
  }
}

void write_opened(JsonWriter& json, const RecordView& view, const Result<KeptRecord>& opened) {
  if (!opened) {
    json.key("refused").object().field("code", name_of(opened.error().code));
    json.field("message", opened.error().message).end();
    return;
  }
  json.key("clear").object();
  if (view.form == RecordView::Form::kWhole) write_bytes(json, "key", opened->key);
  write_bytes(json, "value", opened->value);
  if (view.form == RecordView::Form::kWhole) {
    json.key("headers").array();
    for (const auto& [name, value] : opened->headers) {
      json.object().field("name", name);
      write_bytes(json, "value", value);
      json.end();
    }
    json.end();
  }
  json.end();
}

std::string cell(const std::optional<Bytes>& bytes) {
  return bytes ? printable(as_text(*bytes)) : "null";
}

}  // namespace

std::string_view name_of(RecordView::Form form) {
  switch (form) {
    case RecordView::Form::kNull:
      return "null";
    case RecordView::Form::kClear:
      return "clear";
    case RecordView::Form::kNative:
      return "native";
    case RecordView::Form::kWhole:
      return "native-whole";
    case RecordView::Form::kTombstone:
      return "native-tombstone";
    case RecordView::Form::kDamaged:
      return "damaged";
  }
  return "";
}

RecordView RecordView::of(const Record& record) {
  RecordView view;
  view.partition = record.partition;
  view.offset = record.offset;
  view.timestamp_ms = record.timestamp_ms;
  if (record.key) view.key = Bytes(record.key->begin(), record.key->end());
  if (record.value) view.value_bytes = record.value->size();
  for (const Header& header : record.headers.all()) view.headers.emplace_back(header.name);
  read_dead_letter(record.headers, view);

  if (record.value && !looks_like_envelope(*record.value)) {
    view.form = Form::kClear;
    return view;
  }
  if (!record.value && record.headers.find(format::kTombstoneHeader) == nullptr) return view;
  const auto envelope =
      record.value ? parse_envelope(*record.value) : find_tombstone(record.headers);
  if (!envelope) {
    view.form = Form::kDamaged;
    view.problem = envelope.error().message;
    return view;
  }
  read_envelope(*envelope, record.headers, view);
  view.form = !view.problem.empty()   ? Form::kDamaged
              : envelope->tombstone() ? Form::kTombstone
              : envelope->whole()     ? Form::kWhole
                                      : Form::kNative;
  return view;
}

std::vector<std::string> record_columns(bool opened) {
  std::vector<std::string> columns{"PARTITION", "OFFSET",  "TIME",    "KEY",
                                   "FORMAT",    "SUITE",   "KEY ID",  "DATASET",
                                   "TENANT",    "KEYS OF", "VALUE B", "PLAIN B"};
  if (opened) columns.emplace_back("IN CLEAR");
  columns.emplace_back("DEAD LETTER OF");
  return columns;
}

std::vector<std::string> record_row(const RecordView& view, const Result<KeptRecord>* opened) {
  const bool sealed = !view.suite.empty();
  std::string keys;
  for (const WrappedFor& key : view.keys) {
    keys += fmt::format("{}{} ({})", keys.empty() ? "" : ", ", printable(key.domain),
                        printable(key.kek));
  }
  if (!view.problem.empty()) keys = view.problem;
  const std::string none = "-";
  std::vector<std::string> row{
      fmt::to_string(view.partition.value),
      fmt::to_string(view.offset.value),
      utc_time(view.timestamp_ms),
      shortened(cell(view.key), kKeyColumns),
      std::string(name_of(view.form)),
      sealed ? view.suite : none,
      sealed ? view.key_id.substr(0, kKeyIdDigits) : none,
      sealed ? printable(view.dataset) : none,
      view.tenant ? printable(*view.tenant) : none,
      keys.empty() ? none : keys,
      view.value_bytes ? fmt::to_string(*view.value_bytes) : "null",
      sealed ? fmt::to_string(view.plaintext_bytes) : none,
  };
  if (opened != nullptr) {
    if (!*opened) {
      row.push_back(
          fmt::format("refused: {} ({})", opened->error().message, name_of(opened->error().code)));
    } else if (view.form == RecordView::Form::kWhole) {
      row.push_back(fmt::format("key {}, value {}, {} headers", cell((*opened)->key),
                                cell((*opened)->value), (*opened)->headers.size()));
    } else {
      row.push_back(cell((*opened)->value));
    }
  }
  row.push_back(dead_letter_cell(view));
  return row;
}

std::string record_json(const RecordView& view, const Result<KeptRecord>* opened) {
  JsonWriter json;
  json.object().field("partition", view.partition.value).field("offset", view.offset.value);
  json.field("timestamp", view.timestamp_ms);
  write_bytes(json, "key", view.key);
  json.field("format", name_of(view.form));
  json.key("value_bytes");
  if (view.value_bytes) {
    json.value(*view.value_bytes);
  } else {
    json.null();
  }
  if (!view.suite.empty()) {
    json.field("suite", view.suite).field("key_id", view.key_id).field("dataset", view.dataset);
    if (view.tenant) json.field("tenant", *view.tenant);
    if (view.subject) json.field("subject", *view.subject);
    json.field("plaintext_bytes", view.plaintext_bytes).field("inline", view.inline_keys);
    json.field("salted", view.salted).key("keys").array();
    for (const WrappedFor& key : view.keys) {
      json.object().field("domain", key.domain).field("kek", key.kek);
      json.field("wrapped_bytes", key.bytes).end();
    }
    json.end();
  }
  if (!view.problem.empty()) json.field("problem", view.problem);
  json.key("headers").array();
  for (const std::string& name : view.headers) json.value(name);
  json.end();
  if (!view.dead_letter.empty()) {
    json.key("dead_letter").object();
    for (const auto& [name, text] : view.dead_letter) json.field(name, text);
    json.end();
  }
  if (opened != nullptr) write_opened(json, view, *opened);
  return json.end().take();
}

}  // namespace drawbridge

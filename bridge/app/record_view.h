// What can be told of a record without keys: where it is, and what its envelope says.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bridge/app/kept_record.h"
#include "bridge/base/result.h"
#include "bridge/record/record.h"

namespace drawbridge {

struct WrappedFor {
  std::string domain;
  std::string kek;
  std::size_t bytes = 0;
};

struct RecordView {
  enum class Form : std::uint8_t {
    kNull,       // a tombstone without proof
    kClear,      // no envelope; the value itself is not kept here
    kNative,     // the bridge's envelope
    kWhole,      // the same, holding a whole record (a sealed dead letter)
    kTombstone,  // null, with a header that authenticates it
    kDamaged,    // begins like an envelope and is none: `problem`
  };

  Partition partition;
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<Bytes> key;
  std::optional<std::size_t> value_bytes;  // none: null
  std::vector<std::string> headers;        // names
  // Why it is a dead letter, as its headers say: by their names without kDeadLetterPrefix, the
  // newest of each. Empty: it is none. All other headers' values stay hidden.
  std::map<std::string, std::string, std::less<>> dead_letter;

  Form form = Form::kNull;
  std::string problem;
  // Of an envelope, as it claims:
  std::string suite;
  std::string key_id;  // hexadecimal
  std::string dataset;
  std::optional<std::string> tenant;
  std::optional<std::string> subject;  // hexadecimal
  std::size_t plaintext_bytes = 0;
  bool inline_keys = false;
  bool salted = false;
  std::vector<WrappedFor> keys;

  static RecordView of(const Record& record);
};
std::string_view name_of(RecordView::Form form);

// A table's heading and rows. `opened`: the record in clear, or why not; null: not asked for. The
// last column, why it is a dead letter, is empty for other records.
std::vector<std::string> record_columns(bool opened);
std::vector<std::string> record_row(const RecordView& view, const Result<KeptRecord>* opened);
// One line of JSON.
std::string record_json(const RecordView& view, const Result<KeptRecord>* opened);

}  // namespace drawbridge

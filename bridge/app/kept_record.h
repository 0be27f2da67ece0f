// A record that owns its bytes, for commands that look at records after their batch is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/base/bytes.h"
#include "bridge/record/record.h"

namespace drawbridge {

struct KeptRecord {
  std::string topic;
  Partition partition;
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  std::vector<std::pair<std::string, std::optional<Bytes>>> headers;

  static KeptRecord of(const Record& record);
  // Views into this object, which outlives them and stays as it is.
  [[nodiscard]] Record view() const;
};

}  // namespace drawbridge

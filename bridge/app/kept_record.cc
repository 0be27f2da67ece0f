#include "bridge/app/kept_record.h"

namespace drawbridge {
namespace {

std::optional<Bytes> copy(const std::optional<ByteView>& bytes) {
  if (!bytes) return std::nullopt;
  return Bytes(bytes->begin(), bytes->end());
}

std::optional<ByteView> look(const std::optional<Bytes>& bytes) {
  if (!bytes) return std::nullopt;
  return ByteView(*bytes);
}

}  // namespace

KeptRecord KeptRecord::of(const Record& record) {
  KeptRecord kept{std::string(record.topic),
                  record.partition,
                  record.offset,
                  record.timestamp_ms,
                  copy(record.key),
                  copy(record.value),
                  {}};
  for (const Header& header : record.headers.all()) {
    kept.headers.emplace_back(header.name, copy(header.value));
  }
  return kept;
}

Record KeptRecord::view() const {
  Record record;
  record.topic = topic;
  record.partition = partition;
  record.offset = offset;
  record.timestamp_ms = timestamp_ms;
  record.key = look(key);
  record.value = look(value);
  for (const auto& [name, bytes] : headers) record.headers.append(name, look(bytes));
  return record;
}

}  // namespace drawbridge

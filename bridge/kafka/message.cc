#include "bridge/kafka/message.h"

#include <algorithm>
#include <string_view>

namespace drawbridge::kafka {
namespace {

TimestampType to_type(rd_kafka_timestamp_type_t type) {
  switch (type) {
    case RD_KAFKA_TIMESTAMP_NOT_AVAILABLE:
      return TimestampType::kNone;
    case RD_KAFKA_TIMESTAMP_CREATE_TIME:
      return TimestampType::kCreateTime;
    case RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME:
      return TimestampType::kLogAppendTime;
  }
  return TimestampType::kNone;
}

std::optional<ByteView> to_view(const void* data, std::size_t size) {
  if (data == nullptr) return std::nullopt;
  return ByteView(static_cast<const std::uint8_t*>(data), size);
}

}  // namespace

void read_message(rd_kafka_message_t& message, Record& record) {
  record.partition = Partition{message.partition};
  record.offset = Offset{message.offset};
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  record.timestamp_ms = rd_kafka_message_timestamp(&message, &type);
  record.timestamp_type = to_type(type);
  record.key = to_view(message.key, message.key_len);
  record.value = to_view(message.payload, message.len);
  record.headers.reset(&message, decode_headers);
  record.native = &message;
}

void decode_headers(void* message, std::vector<Header>& out) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(static_cast<rd_kafka_message_t*>(message), &headers) !=
      RD_KAFKA_RESP_ERR_NO_ERROR)
    return;  // none; what cannot be parsed is refused by the sink
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i)
    out.push_back({std::string_view(name), to_view(value, size)});
}

// A lookup by name compares whole names, so it does not find a name that goes on after a NUL:
// then there are fewer finds than headers that look like it.
bool names_are_whole(const rd_kafka_headers_t& headers) {
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  const auto name_at = [&](std::size_t i) {
    return rd_kafka_header_get_all(&headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
  };
  for (std::size_t i = 0; name_at(i); ++i) {
    const std::string_view shown(name);
    std::size_t before = 0;
    for (std::size_t j = 0; j < i && name_at(j); ++j) before += shown == name ? 1U : 0U;
    if (rd_kafka_header_get(&headers, before, shown.data(), &value, &size) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
      return false;
  }
  return true;
}

void free_message(void* message) {
  rd_kafka_message_destroy(static_cast<rd_kafka_message_t*>(message));
}

}  // namespace drawbridge::kafka

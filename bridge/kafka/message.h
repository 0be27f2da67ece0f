// Between the library's messages and the project's records.
#pragma once

#include <librdkafka/rdkafka.h>

#include <vector>

#include "bridge/record/record.h"

namespace drawbridge::kafka {

// Fills what a consumed message tells: partition, offset, timestamp, key, value, lazily its
// headers, `native`. Topic and slot are the caller's. The message must outlive the record.
void read_message(rd_kafka_message_t& message, Record& record);

// Headers::Decode over an rd_kafka_message_t*. Names that hold a NUL show only up to it (see
// names_are_whole()).
void decode_headers(void* message, std::vector<Header>& out);

// False where a header's name holds a NUL, which the library keeps but never shows: such headers
// can be passed on as they are, not rebuilt.
bool names_are_whole(const rd_kafka_headers_t& headers);

// Batch::free_message.
void free_message(void* message);

}  // namespace drawbridge::kafka

// What a Kafka record is, on its way from a source to a target.
//
// A Record is a set of views into memory that its Batch owns: the consumed messages, or the
// batch's Arena for what transforms wrote. Null is told from empty for key, value and headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "bridge/base/bytes.h"
#include "bridge/record/coordinates.h"
#include "bridge/record/headers.h"

namespace drawbridge {

enum class TimestampType : std::uint8_t { kNone, kCreateTime, kLogAppendTime };

struct Record {
  // Origin: never changed by a transform. The topic outlives the batch.
  std::string_view topic;
  Partition partition;
  Offset offset;
  std::uint32_t slot = 0;  // the source's number for the partition, as given to assign()

  std::int64_t timestamp_ms = 0;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  std::optional<ByteView> key;
  std::optional<ByteView> value;
  Headers headers;

  // Destination. The topic outlives the batch (interned by the pipeline). Without a partition the
  // pipeline's partition policy decides.
  std::string_view target_topic;
  std::optional<Partition> target_partition;

  // The source client's message, for the source's own use (and a sink of the same client).
  void* native = nullptr;
};

// Bytes of key and value: what in-flight accounting charges, beside a fixed cost per record.
std::size_t payload_bytes(const Record& record);

// XXH3-64 over key and value, each length-prefixed with presence told apart, keyed with `seed`
// (random per state directory). For recognising a record when it is read again; not a
// cryptographic commitment. Headers are left out: a sink may have taken them over by then.
std::uint64_t record_hash(const Record& record, std::uint64_t seed);
Witness witness_of(const Record& record, std::uint64_t seed);

}  // namespace drawbridge

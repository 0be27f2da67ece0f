// What the codecs of this room share: parts of keys and values, checksums, versions. Internal to
// this room.
//
// Errors of writing and checking: kInvalid, naming the field. Errors of reading: kCorrupt, or
// kForeign for what a newer program wrote.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bridge/base/bytes.h"
#include "bridge/base/result.h"
#include "bridge/record/coordinates.h"

namespace drawbridge {

// XXH3-64 of `body`, bound to its key.
std::uint64_t value_checksum(ByteView key, ByteView body);
// Appends the checksum.
void seal_value(ByteView key, Bytes& value);
// The value without its checksum, which holds.
Result<ByteView> open_value(ByteView key, ByteView value);

// Takes the version, 1 to `newest`.
Result<std::uint8_t> read_version(ByteReader& reader, std::uint8_t newest);
// Takes the version, which must be `only`: there is no older one yet.
Result<void> check_version(ByteReader& reader, std::uint8_t only);

// A name is 1 to `limit` bytes without a NUL; a NUL ends it.
Result<void> check_name(std::string_view what, std::string_view name, std::size_t limit);
void write_name(ByteWriter& writer, std::string_view name);
Result<std::string> read_name(ByteReader& reader, std::string_view what, std::size_t limit);

// How a key names a partition of a source: cluster id, topic, partition.
Result<void> write_source(ByteWriter& writer, std::string_view cluster_id,
                          const TopicPartition& at);
// Takes all that is left.
Result<void> read_source(ByteReader& reader, std::string& cluster_id, TopicPartition& at);

void write_i64(ByteWriter& writer, std::int64_t value);
[[nodiscard]] bool read_i64(ByteReader& reader, std::int64_t& out);

// The next offset is not negative; the witness, if any, is before it and not negative either.
Result<void> check_position(const Position& position);
void write_witness(ByteWriter& writer, const Witness& witness);
// False: cut short, negative, or not before `next`.
[[nodiscard]] bool read_witness(ByteReader& reader, Offset next, Witness& out);

}  // namespace drawbridge

// Keys and values of the checkpoint store as bytes, by the grammar in FORMAT.md. Pure functions.
//
// Decoding takes exactly what encoding makes: whatever decodes encodes to the same bytes again.
// Errors of encoding: kInvalid, naming the field. Errors of decoding: kCorrupt, or kForeign for
// what a newer program wrote.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "bridge/base/bytes.h"
#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/checkpoint/format.h"
#include "bridge/checkpoint/store.h"

namespace drawbridge {

using StoreId = std::array<std::uint8_t, checkpoint_format::kStoreIdBytes>;

struct StoreIdentity {
  std::string daemon;
  StoreId store_id{};
  std::uint64_t hash_seed = 0;
  WallMillis made_at = 0;

  bool operator==(const StoreIdentity&) const = default;
};

Result<Bytes> encode_checkpoint_key(const CheckpointKey& key);
Result<CheckpointKey> decode_checkpoint_key(ByteView key);
// What all checkpoint keys of a pipeline, and no others, begin with.
Result<Bytes> checkpoint_key_prefix(std::string_view pipeline);

Result<Bytes> encode_checkpoint(ByteView key, const Checkpoint& checkpoint);
Result<Checkpoint> decode_checkpoint(ByteView key, ByteView value);

Result<Bytes> encode_pipeline_key(std::string_view pipeline);
Result<std::string> decode_pipeline_key(ByteView key);
Result<Bytes> encode_shards(ByteView key, std::uint32_t shards);
Result<std::uint32_t> decode_shards(ByteView key, ByteView value);

Bytes encode_store_key();
Result<Bytes> encode_identity(const StoreIdentity& identity);
Result<StoreIdentity> decode_identity(ByteView value);

}  // namespace drawbridge

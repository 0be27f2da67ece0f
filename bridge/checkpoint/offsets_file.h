// Checkpoints as text, for `drawbridge offsets export` and `import`: one line each, fields apart by
// tabs, easy to read with cut, awk and diff, and to edit with care.
//
//   drawbridge-offsets 1 DAEMON STORE-ID                                       (first line)
//   pipeline cluster topic partition next group-committed ... witness-hash     (column names)
//   orders   kfx...  a.b   0         1000 990             ...
//   end 1                                                      (how many, so that a cut file shows)
//
// Offsets, partitions and milliseconds since 1970 are decimal, ids and hashes hexadecimal, and `-`
// is an offset or witness that is not there.
//
// A witness's hash is keyed with the seed of the store that made it. Read into another store it
// would look like a gap, so import drops witnesses of foreign stores (entries_for()).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/checkpoint/codec.h"
#include "bridge/checkpoint/store.h"

namespace drawbridge {

struct OffsetsFile {
  std::string daemon;  // that exported it
  StoreId store_id{};
  std::vector<CheckpointEntry> entries;

  // The entries as they may be saved in the store of that identity.
  [[nodiscard]] std::vector<CheckpointEntry> entries_for(const StoreIdentity& identity) const;
};

// Errors: kInvalid for a name that holds a control character (no tab and no newline could be told
// from the file's own).
Result<std::string> format_offsets(const StoreIdentity& identity,
                                   std::span<const CheckpointEntry> entries);

// Errors: kInvalid with `name` and the line, for anything that format_offsets() would not write:
// missing or additional fields, numbers out of range or with signs, zeros or letters too many, a
// partition named twice, a wrong count. Nothing of such a file is to be used.
Result<OffsetsFile> parse_offsets(std::string_view name, std::string_view text);

}  // namespace drawbridge

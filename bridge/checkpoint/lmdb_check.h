// Is this file an LMDB environment that can be mapped and walked without harm?
//
// LMDB trusts its file. A truncated one ends the process with SIGBUS, a damaged page with an
// assertion or a wild read. So before the store opens one, this reads the newest snapshot page by
// page through pread: header, both trees (data and free pages), and holds each page to its number,
// its kind, its bounds, the order of its keys, its parent's range and the header's counts.
//
// The layout is that of LMDB 0.9 (data version 1) on 64-bit machines, in native byte order. A file
// may be shorter than its last page number says: pages that were allocated and freed within one
// transaction are never written. So it is the pages in use that must be there, no more.
#pragma once

#include <cstdint>
#include <functional>

#include "bridge/base/bytes.h"
#include "bridge/base/result.h"

namespace drawbridge {

// Fills `out` from `offset`; false if the file does not hold that many bytes there.
using ReadAt = std::function<bool(std::uint64_t offset, MutableBytes out)>;

// Errors: kCorrupt with what is wrong where; kForeign if it is no LMDB file, or another version's.
Result<void> check_lmdb(std::uint64_t file_size, const ReadAt& read);
Result<void> check_lmdb(int fd);  // also kIo

}  // namespace drawbridge

// Random 96-bit nonces, bought in bulk: a call to the generator for 12 bytes costs more than
// sealing a record, for 12 KiB next to nothing. One stock per thread, emptied as it is used and
// cleansed when the thread ends. Internal to this room.
#pragma once

#include <span>

#include "bridge/base/result.h"
#include "bridge/envelope/format.h"

namespace drawbridge {

// Errors: kInternal, the random generator failed.
Result<void> next_nonce(std::span<std::uint8_t, format::kNonceBytes> out);

}  // namespace drawbridge

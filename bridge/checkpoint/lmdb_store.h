// Checkpoints in LMDB: the store of every daemon. Format, and what is checked on opening:
// FORMAT.md.
//
// One process at a time, the daemon or an `offsets` command, held by a lock. Within it thread-safe:
// calls take turns, each a transaction of its own. A save returns when LMDB has synced data and
// header; until then the former snapshot is what a crash leaves.
//
// Where the map is full it doubles, up to max_map_bytes. After a save that failed, the environment
// is closed, and checked and opened again by the next call: LMDB refuses to go on after some
// failures, and what it has in memory is not to be trusted after any.
//
// The process should ignore SIGXFSZ, so that a file size limit is an error and not its end.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "bridge/base/result.h"
#include "bridge/checkpoint/codec.h"
#include "bridge/checkpoint/store.h"

namespace drawbridge {

struct LmdbStoreOptions {
  bool create = true;                                    // make a store where there is none
  std::size_t initial_map_bytes = std::size_t{8} << 20;  // address space, not disk or memory
  std::size_t max_map_bytes = std::size_t{1} << 30;      // some five million positions
};

class LmdbStore : public CheckpointStore {
 public:
  // Opens the store of `daemon` in `directory`; makes both if they are missing and may be made
  // (the directory's parent must exist). Errors, each with what to do:
  //   kLocked      another process has it open
  //   kNotFound    there is none, and it may not be made
  //   kForeign     of another daemon, of a newer schema, or not a store at all
  //   kCorrupt     damaged; nothing was changed
  //   kPermission  no access, or others may write to it
  //   kInvalid     the daemon's name cannot be stored
  //   kFull, kIo
  static Result<std::unique_ptr<LmdbStore>> open(const std::string& directory,
                                                 const std::string& daemon,
                                                 const LmdbStoreOptions& options = {});

  [[nodiscard]] virtual const StoreIdentity& identity() const = 0;
};

}  // namespace drawbridge

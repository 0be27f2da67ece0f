#include "bridge/checkpoint/lmdb_store.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "bridge/base/log.h"
#include "bridge/checkpoint/lmdb_check.h"
#include "bridge/checkpoint/state_lock.h"

namespace drawbridge {
namespace {

namespace format = checkpoint_format;

constexpr unsigned kEnvironmentFlags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NORDAHEAD;
constexpr mdb_mode_t kFileMode = 0600;
// A failing disk that has less than this left is taken for a full one.
constexpr std::uint64_t kNearlyFull = 1 << 20;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

struct CloseEnvironment {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

struct AbortTransaction {
  void operator()(MDB_txn* txn) const { mdb_txn_abort(txn); }
};
using Transaction = std::unique_ptr<MDB_txn, AbortTransaction>;

struct CloseCursor {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CloseCursor>;

// LMDB takes pointers to non-const and does not write to them.
MDB_val to_val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }
ByteView to_view(const MDB_val& val) {
  return {static_cast<const std::uint8_t*>(val.mv_data), val.mv_size};
}

// LMDB's codes and errno as ours.
ErrorCode code_of(int rc) {
  switch (rc) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ErrorCode::kFull;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
      return ErrorCode::kCorrupt;
    case MDB_VERSION_MISMATCH:
      return ErrorCode::kForeign;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorCode::kPermission;
    default:
      return ErrorCode::kIo;
  }
}

// One write cut short by a full disk is reported as EIO by LMDB; tell it from a broken disk.
bool out_of_space(const std::string& path) {
  struct statvfs filesystem {};
  if (statvfs(path.c_str(), &filesystem) == 0 &&
      static_cast<std::uint64_t>(filesystem.f_bavail) * filesystem.f_frsize < kNearlyFull) {
    return true;
  }
  struct rlimit limit {};
  struct stat status {};
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         stat(path.c_str(), &status) == 0 &&
         static_cast<std::uint64_t>(status.st_size) + kNearlyFull > limit.rlim_cur;
}

Result<void> fill_random(MutableBytes out) {
  while (!out.empty()) {
    const ssize_t count = getrandom(out.data(), out.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorCode::kIo, "getrandom: {}", std::strerror(errno));
    out = out.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> sync_directory(const std::string& directory) {
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) {
    return fail(ErrorCode::kIo, "cannot sync {}: {}", directory, std::strerror(errno));
  }
  return {};
}

Result<Environment> open_environment(const std::string& path, std::size_t map_bytes) {
  MDB_env* raw = nullptr;
  if (const int rc = mdb_env_create(&raw); rc != 0) {
    return fail(ErrorCode::kIo, "cannot make an LMDB environment: {}", mdb_strerror(rc));
  }
  Environment env(raw);
  int rc = mdb_env_set_mapsize(raw, map_bytes);
  if (rc == 0) rc = mdb_env_open(raw, path.c_str(), kEnvironmentFlags, kFileMode);
  if (rc != 0) return fail(code_of(rc), "cannot open {}: {}", path, mdb_strerror(rc));
  return env;
}

struct Change {
  Bytes key;
  std::optional<Bytes> value;  // none: removed
};

// One durable transaction; 0 or LMDB's code.
int commit(MDB_env* env, std::span<const Change> changes) {
  MDB_txn* raw = nullptr;
  if (const int rc = mdb_txn_begin(env, nullptr, 0, &raw); rc != 0) return rc;
  Transaction txn(raw);
  MDB_dbi dbi = 0;
  if (const int rc = mdb_dbi_open(raw, nullptr, 0, &dbi); rc != 0) return rc;
  for (const Change& change : changes) {
    MDB_val key = to_val(change.key);
    int rc = 0;
    if (change.value) {
      MDB_val value = to_val(*change.value);
      rc = mdb_put(raw, dbi, &key, &value, 0);
    } else {
      rc = mdb_del(raw, dbi, &key, nullptr);
      if (rc == MDB_NOTFOUND) rc = 0;
    }
    if (rc != 0) return rc;
  }
  return mdb_txn_commit(txn.release());
}

// A reading transaction and its cursor.
class Reader {
 public:
  static Result<Reader> begin(MDB_env* env) {
    MDB_txn* txn = nullptr;
    int rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn);
    if (rc != 0) return fail(code_of(rc), "cannot read: {}", mdb_strerror(rc));
    Reader reader;
    reader.txn_.reset(txn);
    MDB_dbi dbi = 0;
    MDB_cursor* cursor = nullptr;
    rc = mdb_dbi_open(txn, nullptr, 0, &dbi);
    if (rc == 0) rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) return fail(code_of(rc), "cannot read: {}", mdb_strerror(rc));
    reader.cursor_.reset(cursor);
    return reader;
  }

  // Calls f(key, value) for each entry whose key begins with `prefix`, until one fails.
  template <typename F>
  Result<void> each(ByteView prefix, F&& f) {
    MDB_val key = to_val(prefix);
    MDB_val value{};
    int rc =
        mdb_cursor_get(cursor_.get(), &key, &value, prefix.empty() ? MDB_FIRST : MDB_SET_RANGE);
    for (; rc == 0; rc = mdb_cursor_get(cursor_.get(), &key, &value, MDB_NEXT)) {
      if (!as_text(to_view(key)).starts_with(as_text(prefix))) return {};
      DRAWBRIDGE_TRY(f(to_view(key), to_view(value)));
    }
    if (rc != MDB_NOTFOUND) return fail(code_of(rc), "cannot read: {}", mdb_strerror(rc));
    return {};
  }

  Result<std::optional<Bytes>> get(ByteView wanted) {
    MDB_val key = to_val(wanted);
    MDB_val value{};
    const int rc = mdb_cursor_get(cursor_.get(), &key, &value, MDB_SET_KEY);
    if (rc == MDB_NOTFOUND) return std::nullopt;
    if (rc != 0) return fail(code_of(rc), "cannot read: {}", mdb_strerror(rc));
    const ByteView view = to_view(value);
    return Bytes(view.begin(), view.end());
  }

 private:
  Transaction txn_;
  Cursor cursor_;  // goes before its transaction
};

// "pipeline p, topic t, partition 0: ..." for an entry that cannot be read.
Error about(ByteView key, Error error) {
  if (const auto checkpoint = decode_checkpoint_key(key)) {
    error.message =
        fmt::format("checkpoint of pipeline {}, topic {}, partition {}: {}", checkpoint->pipeline,
                    checkpoint->at.topic, checkpoint->at.partition.value, error.message);
  } else if (const auto pipeline = decode_pipeline_key(key)) {
    error.message = fmt::format("pipeline {}: {}", *pipeline, error.message);
  }
  return error;
}

Result<CheckpointEntry> decode_entry(ByteView key, ByteView value) {
  CheckpointEntry entry;
  DRAWBRIDGE_ASSIGN(entry.key, decode_checkpoint_key(key));
  auto checkpoint = decode_checkpoint(key, value);
  if (!checkpoint) return fail(about(key, std::move(checkpoint).error()));
  entry.checkpoint = *checkpoint;
  return entry;
}

Result<void> verify_entry(ByteView key, ByteView value) {
  switch (key.empty() ? 0xff : key[0]) {
    case format::kStoreKey:
      if (key.size() != 1) return fail(ErrorCode::kCorrupt, "a malformed key");
      return {};
    case format::kPipelineKey: {
      DRAWBRIDGE_TRY(decode_pipeline_key(key));
      auto shards = decode_shards(key, value);
      if (!shards) return fail(about(key, std::move(shards).error()));
      return {};
    }
    case format::kCheckpointKey:
      DRAWBRIDGE_TRY(decode_entry(key, value));
      return {};
    default:
      return fail(ErrorCode::kCorrupt, "a key of unknown kind");
  }
}

// Every entry must decode; the identity is returned.
Result<StoreIdentity> verify(MDB_env* env) {
  DRAWBRIDGE_ASSIGN(Reader reader, Reader::begin(env));
  DRAWBRIDGE_ASSIGN(const std::optional<Bytes> stored, reader.get(encode_store_key()));
  if (!stored) return fail(ErrorCode::kForeign, "not a checkpoint store of drawbridge");
  DRAWBRIDGE_ASSIGN(const StoreIdentity identity, decode_identity(*stored));
  DRAWBRIDGE_TRY(reader.each({}, verify_entry));
  return identity;
}

class Store final : public LmdbStore {
 public:
  Store(std::string directory, const LmdbStoreOptions& options, StateLock lock)
      : path_(data_file(directory)), options_(options), lock_(std::move(lock)) {
    map_bytes_ = std::min(options.initial_map_bytes, options.max_map_bytes);
  }

  static std::string data_file(const std::string& directory) {
    return fmt::format("{}/{}", directory, format::kDataFile);
  }

  Result<void> start(const std::string& daemon) {
    const std::lock_guard hold(mutex_);
    DRAWBRIDGE_ASSIGN(identity_, reopen());
    if (identity_.daemon == daemon) return {};
    return fail(ErrorCode::kForeign,
                "the checkpoints in {} belong to the daemon '{}', not to '{}'; give this one its "
                "own state-directory, or its former name",
                path_, identity_.daemon, daemon);
  }

  [[nodiscard]] const StoreIdentity& identity() const override { return identity_; }
  [[nodiscard]] std::uint64_t hash_seed() const override { return identity_.hash_seed; }

  Result<std::vector<CheckpointEntry>> load(const std::string& pipeline) override {
    DRAWBRIDGE_ASSIGN(const Bytes prefix, checkpoint_key_prefix(pipeline));
    return load_range(prefix);
  }

  Result<std::vector<CheckpointEntry>> load_all() override {
    return load_range(Bytes{format::kCheckpointKey});
  }

  Result<void> save(std::span<const CheckpointEntry> entries) override {
    std::vector<Change> changes;
    changes.reserve(entries.size());
    for (const CheckpointEntry& entry : entries) {
      DRAWBRIDGE_ASSIGN(Bytes key, encode_checkpoint_key(entry.key));
      auto value = encode_checkpoint(key, entry.checkpoint);
      if (!value) return fail(about(key, std::move(value).error()));
      changes.push_back({std::move(key), std::move(*value)});
    }
    return write(changes);
  }

  Result<void> erase(std::span<const CheckpointKey> keys) override {
    std::vector<Change> changes;
    changes.reserve(keys.size());
    for (const CheckpointKey& key : keys) {
      DRAWBRIDGE_ASSIGN(Bytes bytes, encode_checkpoint_key(key));
      changes.push_back({std::move(bytes), std::nullopt});
    }
    return write(changes);
  }

  Result<std::optional<std::uint32_t>> shards(const std::string& pipeline) override {
    DRAWBRIDGE_ASSIGN(const Bytes key, encode_pipeline_key(pipeline));
    std::optional<Bytes> value;
    {
      const std::lock_guard hold(mutex_);
      DRAWBRIDGE_TRY(ensure_open());
      DRAWBRIDGE_ASSIGN(Reader reader, in_file(Reader::begin(env_.get())));
      DRAWBRIDGE_ASSIGN(value, in_file(reader.get(key)));
    }
    if (!value) return std::nullopt;
    auto shards = decode_shards(key, *value);
    if (!shards) return fail(in_file(about(key, std::move(shards).error())));
    return *shards;
  }

  Result<void> set_shards(const std::string& pipeline, std::uint32_t shards) override {
    DRAWBRIDGE_ASSIGN(Bytes key, encode_pipeline_key(pipeline));
    DRAWBRIDGE_ASSIGN(Bytes value, encode_shards(key, shards));
    const Change change{std::move(key), std::move(value)};
    return write({&change, 1});
  }

 private:
  // Names the file in an error, and what to do where it is damaged.
  Error in_file(Error error) const {
    error.message = fmt::format("{}: {}", path_, error.message);
    if (error.code == ErrorCode::kCorrupt) {
      error.message +=
          "; the checkpoint store is damaged and was left as it is: restore it from a backup, or "
          "move it away, and the pipelines go on from their consumer groups' offsets";
    }
    return error;
  }
  template <typename T>
  Result<T> in_file(Result<T> result) const {
    if (!result) return fail(in_file(std::move(result).error()));
    return result;
  }

  Result<std::vector<CheckpointEntry>> load_range(const Bytes& prefix) {
    std::vector<CheckpointEntry> entries;
    const std::lock_guard hold(mutex_);
    DRAWBRIDGE_TRY(ensure_open());
    DRAWBRIDGE_ASSIGN(Reader reader, in_file(Reader::begin(env_.get())));
    const auto keep = [&](ByteView key, ByteView value) -> Result<void> {
      DRAWBRIDGE_ASSIGN(CheckpointEntry entry, decode_entry(key, value));
      entries.push_back(std::move(entry));
      return {};
    };
    DRAWBRIDGE_TRY(in_file(reader.each(prefix, keep)));
    return entries;
  }

  Result<void> write(std::span<const Change> changes) {
    if (changes.empty()) return {};
    const std::lock_guard hold(mutex_);
    DRAWBRIDGE_TRY(ensure_open());
    int rc = commit(env_.get(), changes);
    while (rc == MDB_MAP_FULL && grow()) rc = commit(env_.get(), changes);
    if (rc == 0) return {};
    env_.reset();
    if (rc == MDB_MAP_FULL) {
      return fail(ErrorCode::kFull,
                  "the checkpoints in {} have reached their limit of {} MiB; remove those of "
                  "pipelines and topics that are gone (drawbridge offsets)",
                  path_, map_bytes_ >> 20);
    }
    const ErrorCode code = rc == EIO && out_of_space(path_) ? ErrorCode::kFull : code_of(rc);
    return fail(code, "cannot save checkpoints in {}: {}", path_,
                code == ErrorCode::kFull ? "no space left for the file" : mdb_strerror(rc));
  }

  // REQUIRES: no transaction. False at the limit.
  bool grow() {
    if (map_bytes_ >= options_.max_map_bytes) return false;
    const std::size_t bigger = std::min(map_bytes_ * 2, options_.max_map_bytes);
    if (const int rc = mdb_env_set_mapsize(env_.get(), bigger); rc != 0) return false;
    map_bytes_ = bigger;
    log(Level::kInfo, "checkpoint map grown", {{"file", path_}, {"bytes", map_bytes_}});
    return true;
  }

  Result<void> ensure_open() {
    if (env_) return {};
    DRAWBRIDGE_ASSIGN(const StoreIdentity found, reopen());
    if (found == identity_) return {};
    env_.reset();
    return fail(ErrorCode::kForeign, "{} was replaced while it was in use; restart the daemon",
                path_);
  }

  // Checks the file from scratch.
  Result<StoreIdentity> reopen() {
    env_.reset();
    std::uint64_t file_bytes = 0;
    {
      const Fd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      struct stat status {};
      if (fd.get() < 0 || fstat(fd.get(), &status) != 0) {
        const int error = errno;
        return fail(error == ENOENT ? ErrorCode::kNotFound : code_of(error), "cannot open {}: {}",
                    path_, std::strerror(error));
      }
      if (!S_ISREG(status.st_mode)) {
        return fail(ErrorCode::kForeign, "{} is not a regular file", path_);
      }
      if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(ErrorCode::kPermission, "others may write to {}; run chmod 600 on it", path_);
      }
      DRAWBRIDGE_TRY(in_file(check_lmdb(fd.get())));
      file_bytes = static_cast<std::uint64_t>(status.st_size);
    }
    // A store that grew under an earlier run needs no growing step by step.
    while (map_bytes_ < file_bytes && map_bytes_ < options_.max_map_bytes) {
      map_bytes_ = std::min(map_bytes_ * 2, options_.max_map_bytes);
    }
    DRAWBRIDGE_ASSIGN(Environment env, open_environment(path_, map_bytes_));
    MDB_envinfo info{};
    if (mdb_env_info(env.get(), &info) == 0) map_bytes_ = info.me_mapsize;
    DRAWBRIDGE_ASSIGN(StoreIdentity found, in_file(verify(env.get())));
    env_ = std::move(env);
    return found;
  }

  const std::string path_;
  const LmdbStoreOptions options_;
  const StateLock lock_;
  StoreIdentity identity_;  // constant once open
  std::mutex mutex_;
  // Guarded by mutex_:
  Environment env_;  // none after a failure
  std::size_t map_bytes_ = 0;
};

// Makes a complete store under another name and moves it into place.
Result<void> make_store(const std::string& directory, const std::string& daemon,
                        const LmdbStoreOptions& options) {
  const std::string path = fmt::format("{}/{}", directory, format::kNewDataFile);
  const std::string final_path = Store::data_file(directory);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail(code_of(errno), "cannot remove {}: {}", path, std::strerror(errno));
  }
  StoreIdentity identity{daemon, {}, 0, SystemClock().wall()};
  DRAWBRIDGE_TRY(fill_random(identity.store_id));
  DRAWBRIDGE_TRY(fill_random(
      {reinterpret_cast<std::uint8_t*>(&identity.hash_seed), sizeof identity.hash_seed}));
  DRAWBRIDGE_ASSIGN(Bytes value, encode_identity(identity));
  {
    DRAWBRIDGE_ASSIGN(const Environment env, open_environment(path, options.initial_map_bytes));
    const std::vector<Change> changes{{encode_store_key(), std::move(value)}};
    if (const int rc = commit(env.get(), changes); rc != 0) {
      const ErrorCode code = rc == EIO && out_of_space(path) ? ErrorCode::kFull : code_of(rc);
      return fail(code, "cannot make the checkpoint store {}: {}", path, mdb_strerror(rc));
    }
  }
  if (rename(path.c_str(), final_path.c_str()) != 0) {
    return fail(code_of(errno), "cannot rename {} to {}: {}", path, final_path,
                std::strerror(errno));
  }
  return sync_directory(directory);
}

}  // namespace

Result<std::unique_ptr<LmdbStore>> LmdbStore::open(const std::string& directory,
                                                   const std::string& daemon,
                                                   const LmdbStoreOptions& options) {
  // A name that cannot be stored is refused before anything is made.
  DRAWBRIDGE_TRY(encode_identity({daemon, {}, 0, 0}));
  const std::string path = Store::data_file(directory);
  const auto is_there = [&] { return access(path.c_str(), F_OK) == 0; };
  if (!options.create && !is_there()) {
    if (errno == EACCES) {
      return fail(ErrorCode::kPermission, "cannot look into {}: {}", directory,
                  std::strerror(errno));
    }
    return fail(ErrorCode::kNotFound,
                "there are no checkpoints in {}; the daemon's first start makes them (elsewhere? "
                "set daemon.state-directory, or STATE_DIRECTORY as systemd does)",
                directory);
  }
  if (options.create && mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(errno == ENOENT ? ErrorCode::kNotFound : code_of(errno),
                "cannot make the state-directory {}: {}", directory, std::strerror(errno));
  }
  DRAWBRIDGE_ASSIGN(StateLock lock,
                    StateLock::take(fmt::format("{}/{}", directory, format::kLockFile)));
  if (!is_there()) {
    if (errno != ENOENT) {
      return fail(code_of(errno), "cannot look for {}: {}", path, std::strerror(errno));
    }
    DRAWBRIDGE_TRY(make_store(directory, daemon, options));
  }
  auto store = std::make_unique<Store>(directory, options, std::move(lock));
  DRAWBRIDGE_TRY(store->start(daemon));
  return store;
}

}  // namespace drawbridge

#include "bridge/checkpoint/lmdb_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "bridge/checkpoint/lmdb_check.h"
#include "bridge/checkpoint/value.h"

namespace drawbridge {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace fs = std::filesystem;

CheckpointEntry entry_of(std::string pipeline, std::string topic, std::int32_t partition,
                         std::int64_t next) {
  CheckpointEntry entry{{std::move(pipeline), "cluster-1", {std::move(topic), {partition}}}, {}};
  entry.checkpoint.position.next = {next};
  if (next > 0) entry.checkpoint.position.witness = Witness{{next - 1}, 1700000000000 + next, 77};
  entry.checkpoint.group_committed = Offset{next};
  entry.checkpoint.saved_at = 1700000000000;
  return entry;
}

using State = std::map<CheckpointKey, Checkpoint>;

State state_of(CheckpointStore& store) {
  State state;
  const auto entries = store.load_all();
  EXPECT_TRUE(entries) << entries.error().message;
  if (entries) {
    for (const auto& entry : *entries) state.emplace(entry.key, entry.checkpoint);
    EXPECT_EQ(state.size(), entries->size());
  }
  return state;
}

class LmdbStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "drawbridge-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    directory_ = name + "/state";
    file_ = directory_ + "/checkpoints.mdb";
  }
  void TearDown() override { fs::remove_all(root_); }

  std::unique_ptr<LmdbStore> open_store(const LmdbStoreOptions& options = {}) const {
    auto store = LmdbStore::open(directory_, "bridge-a", options);
    if (!store) {
      ADD_FAILURE() << store.error().message;
      std::abort();
    }
    return std::move(*store);
  }

  Error refusal(const std::string& daemon = "bridge-a",
                const LmdbStoreOptions& options = {}) const {
    auto store = LmdbStore::open(directory_, daemon, options);
    if (store) return {ErrorCode::kInternal, "it was opened"};
    return store.error();
  }

  static Bytes read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  static void write_file(const std::string& path, ByteView bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << as_text(bytes);
  }

  std::string root_;
  std::string directory_;
  std::string file_;
};

TEST_F(LmdbStoreTest, WhatIsSavedIsThereAfterReopening) {
  const std::vector entries{entry_of("orders", "a", 0, 10), entry_of("orders", "a", 1, 0),
                            entry_of("orders", "b", 0, 7), entry_of("orders2", "a", 0, 5)};
  std::uint64_t seed = 0;
  {
    const auto store = open_store();
    EXPECT_THAT(state_of(*store), IsEmpty());
    ASSERT_TRUE(store->save(entries));
    seed = store->hash_seed();
  }
  const auto store = open_store();
  State wanted;
  for (const auto& entry : entries) wanted.emplace(entry.key, entry.checkpoint);
  EXPECT_EQ(state_of(*store), wanted);
  EXPECT_EQ(store->hash_seed(), seed);
  EXPECT_EQ(store->identity().daemon, "bridge-a");

  const auto orders = store->load("orders");
  ASSERT_TRUE(orders);
  EXPECT_EQ(orders->size(), 3U);  // and not those of orders2
  EXPECT_EQ(orders->back().key, entries[2].key);
  EXPECT_THAT(store->load("unknown").value(), IsEmpty());
}

TEST_F(LmdbStoreTest, SavesReplaceAndErasesRemove) {
  const auto store = open_store();
  const auto first = entry_of("p", "t", 0, 10);
  const auto second = entry_of("p", "t", 0, 4);  // an operator's reset goes back
  const auto other = entry_of("p", "t", 1, 3);
  ASSERT_TRUE(store->save(std::vector{first, other}));
  ASSERT_TRUE(store->save(std::vector{second}));
  EXPECT_EQ(state_of(*store).at(first.key), second.checkpoint);
  ASSERT_TRUE(store->erase(std::vector{first.key, entry_of("p", "never", 0, 0).key}));
  EXPECT_EQ(state_of(*store), (State{{other.key, other.checkpoint}}));
  ASSERT_TRUE(store->save({}));
  ASSERT_TRUE(store->erase({}));
}

TEST_F(LmdbStoreTest, OneBadEntryAndNothingIsSaved) {
  const auto store = open_store();
  auto bad = entry_of("p", "t", 1, 5);
  bad.checkpoint.position.next = {-5};
  const auto result = store->save(std::vector{entry_of("p", "t", 0, 5), bad});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(result.error().message, HasSubstr("pipeline p, topic t, partition 1"));
  EXPECT_THAT(state_of(*store), IsEmpty());
}

TEST_F(LmdbStoreTest, ShardCountsAreKept) {
  {
    const auto store = open_store();
    EXPECT_EQ(store->shards("p").value(), std::nullopt);
    ASSERT_TRUE(store->set_shards("p", 4));
    EXPECT_FALSE(store->set_shards("p", 0));
  }
  const auto store = open_store();
  EXPECT_EQ(store->shards("p").value(), 4U);
  EXPECT_EQ(store->shards("q").value(), std::nullopt);
  EXPECT_THAT(state_of(*store), IsEmpty());
}

TEST_F(LmdbStoreTest, FilesAreTheOwnersOnly) {
  const mode_t before = umask(0);
  open_store();
  umask(before);
  struct stat status {};
  for (const std::string& path : {file_, directory_ + "/lock"}) {
    ASSERT_EQ(stat(path.c_str(), &status), 0) << path;
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << path;
  }
  ASSERT_EQ(stat(directory_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  EXPECT_FALSE(fs::exists(directory_ + "/checkpoints.mdb.new"));

  fs::permissions(file_, fs::perms::group_write, fs::perm_options::add);
  EXPECT_EQ(refusal().code, ErrorCode::kPermission);
}

TEST_F(LmdbStoreTest, EachStoreHasItsOwnSeed) {
  const auto one = open_store();
  const auto two = LmdbStore::open(root_ + "/other", "bridge-a");
  ASSERT_TRUE(two);
  EXPECT_NE(one->hash_seed(), (*two)->hash_seed());
  EXPECT_NE(one->identity().store_id, (*two)->identity().store_id);
}

TEST_F(LmdbStoreTest, NothingIsMadeUnlessAllowed) {
  EXPECT_EQ(refusal("bridge-a", {.create = false}).code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(directory_));
  fs::create_directory(directory_);
  EXPECT_EQ(refusal("bridge-a", {.create = false}).code, ErrorCode::kNotFound);
  EXPECT_TRUE(fs::is_empty(directory_));
  EXPECT_EQ(LmdbStore::open(root_ + "/no/such", "d").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(refusal("").code, ErrorCode::kInvalid);
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(LmdbStoreTest, AHalfMadeStoreIsMadeAnew) {
  fs::create_directory(directory_);
  write_file(directory_ + "/checkpoints.mdb.new", Bytes(5000, 0xab));
  EXPECT_THAT(state_of(*open_store()), IsEmpty());
}

TEST_F(LmdbStoreTest, ASecondHolderIsRefusedAndToldWhoHoldsIt) {
  {
    const auto store = open_store();
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::kLocked);
    EXPECT_THAT(error.message, HasSubstr("this very process"));
  }
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  char byte = 0;
  if (child == 0) {
    close(to_child[1]);
    const auto store = LmdbStore::open(directory_, "bridge-a");
    const bool told = write(to_parent[1], store ? "y" : "n", 1) == 1;
    _exit(told && read(to_child[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(to_child[0]);
  ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const Error error = refusal("bridge-a", {.create = false});
  EXPECT_EQ(error.code, ErrorCode::kLocked);
  EXPECT_THAT(error.message, HasSubstr(fmt::format("process {} holds", child)));
  close(to_child[1]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  open_store();
  close(to_parent[0]);
  close(to_parent[1]);
}

TEST_F(LmdbStoreTest, AnotherDaemonsStoreIsRefused) {
  open_store();
  const Error error = refusal("bridge-b");
  EXPECT_EQ(error.code, ErrorCode::kForeign);
  EXPECT_THAT(error.message, HasSubstr("'bridge-a'"));
  EXPECT_THAT(error.message, HasSubstr("'bridge-b'"));
  open_store();  // the refusal let go of the lock
}

TEST_F(LmdbStoreTest, ANewerSchemaIsRefused) {
  open_store();
  Bytes image = read_file(file_);
  const std::size_t value_bytes = 8 + 2 + 2 + std::string("bridge-a").size() + 16 + 8 + 8;
  bool found = false;
  for (auto at = image.begin();; ++at) {
    at = std::search(at, image.end(), checkpoint_format::kMagic.begin(),
                     checkpoint_format::kMagic.end());
    if (at == image.end()) break;
    found = true;
    at[9] = 2;
    const ByteView body(&*at, value_bytes);
    Bytes checksum;
    ByteWriter(checksum).u64(value_checksum(encode_store_key(), body));
    std::ranges::copy(checksum, at + static_cast<std::ptrdiff_t>(value_bytes));
  }
  ASSERT_TRUE(found);
  write_file(file_, image);
  const Error error = refusal();
  EXPECT_EQ(error.code, ErrorCode::kForeign);
  EXPECT_THAT(error.message, HasSubstr("schema 2 is newer than this program's 1"));
}

TEST_F(LmdbStoreTest, WhatIsNoStoreIsRefusedAndLeftAlone) {
  fs::create_directory(directory_);
  const Bytes images[] = {
      {}, Bytes(1, 0), Bytes(4096, 0), Bytes(20000, 0xff), Bytes(151, 0xde),
  };
  for (const Bytes& image : images) {
    write_file(file_, image);
    fs::permissions(file_, fs::perms::owner_read | fs::perms::owner_write);
    const Error error = refusal();
    EXPECT_THAT(error.code, AnyOf(ErrorCode::kCorrupt, ErrorCode::kForeign));
    EXPECT_THAT(error.message, HasSubstr(file_));
    EXPECT_EQ(read_file(file_), image);
  }
  fs::remove(file_);
  fs::create_directory(file_);
  EXPECT_EQ(refusal().code, ErrorCode::kForeign);
}

// A store of several levels, with free pages.
State fill(CheckpointStore& store, int rounds, int partitions) {
  State state;
  for (int round = 1; round <= rounds; ++round) {
    std::vector<CheckpointEntry> entries;
    for (int p = 0; p < partitions; ++p) {
      entries.push_back(entry_of("pipeline", "topic-of-a-fair-length", p, round * 1000 + p));
      state[entries.back().key] = entries.back().checkpoint;
    }
    EXPECT_TRUE(store.save(entries));
  }
  return state;
}

TEST_F(LmdbStoreTest, TruncatedFilesAreRefusedNeverASignal) {
  State state;
  {
    const auto store = open_store();
    state = fill(*store, 3, 400);
  }
  const Bytes image = read_file(file_);
  ASSERT_GT(image.size(), 20U * 4096U);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < image.size(); size += 1365) {
    write_file(file_, ByteView(image).first(size));
    auto store = LmdbStore::open(directory_, "bridge-a");
    if (store) {
      // Only pages that nothing uses were lost.
      EXPECT_EQ(state_of(**store), state) << size;
    } else {
      ++refused;
      EXPECT_EQ(store.error().code, ErrorCode::kCorrupt) << store.error().message;
      EXPECT_THAT(store.error().message, HasSubstr("move it away"));
    }
  }
  EXPECT_GT(refused, 30U);
  write_file(file_, image);
  EXPECT_EQ(state_of(*open_store()), state);
}

// Flips bits of one byte in place, and back.
class Flip {
 public:
  Flip(const std::string& path, std::size_t at, std::uint8_t bits)
      : file_(path, std::ios::binary | std::ios::in | std::ios::out),
        at_(static_cast<std::streamoff>(at)) {
    file_.seekg(at_);
    before_ = static_cast<char>(file_.get());
    put(static_cast<char>(before_ ^ static_cast<char>(bits)));
  }
  ~Flip() { put(before_); }
  Flip(const Flip&) = delete;
  Flip& operator=(const Flip&) = delete;

 private:
  void put(char byte) {
    file_.seekp(at_);
    file_.put(byte);
    file_.flush();
  }

  std::fstream file_;
  std::streamoff at_;
  char before_ = 0;
};

TEST_F(LmdbStoreTest, DamagedBytesAreFoundOrDoNotMatter) {
  State now;
  State before;
  {
    const auto store = open_store();
    before = fill(*store, 2, 120);
    now = before;
    auto& [key, checkpoint] = *now.begin();
    checkpoint.position.next = {99999};
    ASSERT_TRUE(store->save(std::vector<CheckpointEntry>{{key, checkpoint}}));
  }
  const Bytes image = read_file(file_);
  std::mt19937 random(1);
  std::size_t refused = 0;
  const auto try_flip = [&](std::size_t at) {
    const Flip flip(file_, at, static_cast<std::uint8_t>(1U << (random() % 8)));
    auto store = LmdbStore::open(directory_, "bridge-a");
    if (!store) {
      ++refused;
      EXPECT_THAT(store.error().code, AnyOf(ErrorCode::kCorrupt, ErrorCode::kForeign))
          << at << " " << store.error().message;
      return;
    }
    // A damaged header can bring the snapshot before to light: older, but whole.
    const State found = state_of(**store);
    EXPECT_TRUE(found == now || (at < 8192 && found == before)) << "byte " << at;
  };
  for (std::size_t page = 0; page < 2; ++page) {  // the headers, byte by byte
    for (std::size_t at = 0; at < 152; ++at) try_flip(page * 4096 + at);
  }
  for (std::size_t at = 8192; at < image.size(); at += 13) try_flip(at);
  EXPECT_GT(refused, 500U);
  EXPECT_EQ(read_file(file_), image);
}

TEST_F(LmdbStoreTest, TheCheckPassesWhateverLmdbWrites) {
  const auto store = open_store({.initial_map_bytes = 1 << 16});
  std::mt19937 random(7);
  State state;
  for (int round = 0; round < 300; ++round) {
    const std::size_t count = random() % 4 == 0 ? random() % 300 : random() % 5;
    const bool removing = random() % 3 == 0;
    std::vector<CheckpointEntry> entries;
    std::vector<CheckpointKey> keys;
    for (std::size_t i = 0; i < count; ++i) {
      auto entry = entry_of(fmt::format("p{}", random() % 3),
                            std::string(1 + random() % 200, 'a' + static_cast<char>(random() % 4)),
                            static_cast<std::int32_t>(random() % 20), random() % 1000);
      (removing ? static_cast<void>(state.erase(entry.key))
                : static_cast<void>(state[entry.key] = entry.checkpoint));
      keys.push_back(entry.key);
      entries.push_back(std::move(entry));
    }
    ASSERT_TRUE(removing ? store->erase(keys) : store->save(entries));
    const int fd = open(file_.c_str(), O_RDONLY);
    const auto checked = check_lmdb(fd);
    close(fd);
    ASSERT_TRUE(checked) << round << ": " << checked.error().message;
  }
  EXPECT_EQ(state_of(*store), state);
}

TEST_F(LmdbStoreTest, TheMapGrows) {
  State state;
  {
    const auto store = open_store({.initial_map_bytes = 1 << 16});
    state = fill(*store, 2, 5000);
    EXPECT_EQ(state_of(*store), state);
    EXPECT_GT(fs::file_size(file_), std::size_t{1} << 18);
  }
  const auto store = open_store({.initial_map_bytes = 1 << 16});
  EXPECT_EQ(state_of(*store), state);
  fill(*store, 1, 9000);
}

TEST_F(LmdbStoreTest, AFullMapChangesNothing) {
  const auto store = open_store({.initial_map_bytes = 1 << 16, .max_map_bytes = 1 << 18});
  const State state = fill(*store, 1, 200);
  std::vector<CheckpointEntry> many;
  for (int p = 0; p < 5000; ++p) many.push_back(entry_of("pipeline", "another", p, 1));
  const auto result = store->save(many);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kFull);
  EXPECT_THAT(result.error().message, HasSubstr("limit"));
  EXPECT_EQ(state_of(*store), state);
  ASSERT_TRUE(store->save(std::vector{entry_of("pipeline", "small", 0, 1)}));
  EXPECT_EQ(state_of(*store).size(), state.size() + 1);
}

TEST_F(LmdbStoreTest, AFullDiskChangesNothingAndPasses) {
  const auto store = open_store();
  State state = fill(*store, 1, 200);
  struct rlimit former {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &former), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  // At a page's end a write fails at once; within a page it is cut short.
  for (const rlim_t room : {0U, 4096U, 6000U, 50'000U}) {
    struct rlimit limit = former;
    limit.rlim_cur = fs::file_size(file_) + room;
    std::vector<CheckpointEntry> many;
    for (int p = 0; p < 5000; ++p) {
      many.push_back(entry_of("pipeline", fmt::format("t{}", room), p, 1));
    }
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const auto result = store->save(many);
    const State kept = state_of(*store);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &former), 0);
    ASSERT_FALSE(result) << room;
    EXPECT_EQ(result.error().code, ErrorCode::kFull) << result.error().message;
    EXPECT_EQ(kept, state);
    const auto again = store->save(many);
    ASSERT_TRUE(again) << again.error().message;
    for (const auto& entry : many) state[entry.key] = entry.checkpoint;
    EXPECT_EQ(state_of(*store), state);
  }
  std::signal(SIGXFSZ, handler);
}

TEST_F(LmdbStoreTest, KilledAtAnyMomentTheLastAcknowledgedSaveIsThere) {
  std::mt19937 random(3);
  std::int64_t last = 0;
  for (int round = 0; round < 12; ++round) {
    int acknowledged[2];
    ASSERT_EQ(pipe(acknowledged), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto store = LmdbStore::open(directory_, "bridge-a");
      if (!store) _exit(1);
      for (std::int64_t next = last + 1;; ++next) {
        std::vector<CheckpointEntry> entries;
        for (int p = 0; p < 50; ++p) entries.push_back(entry_of("p", "t", p, next));
        if (!(*store)->save(entries)) _exit(2);
        if (write(acknowledged[1], &next, sizeof next) != sizeof next) _exit(3);
      }
    }
    close(acknowledged[1]);
    std::int64_t seen = last;
    // Some rounds die early, even while the store is being made.
    const auto wanted = static_cast<std::int64_t>(random() % 40);
    for (std::int64_t next = 0; seen < last + wanted;) {
      ASSERT_EQ(read(acknowledged[0], &next, sizeof next), static_cast<ssize_t>(sizeof next));
      seen = next;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    for (std::int64_t next = 0; read(acknowledged[0], &next, sizeof next) > 0;) seen = next;
    close(acknowledged[0]);

    const auto store = open_store();
    const State state = state_of(*store);
    if (seen == 0 && state.empty()) continue;
    ASSERT_EQ(state.size(), 50U);
    const std::int64_t found = state.begin()->second.position.next.value;
    EXPECT_GE(found, seen);
    EXPECT_LE(found, seen + 1);  // one may be durable and not yet acknowledged
    for (const auto& [key, checkpoint] : state) EXPECT_EQ(checkpoint.position.next.value, found);
    last = found;
  }
  EXPECT_GT(last, 50);
}

TEST_F(LmdbStoreTest, ThreadsTakeTurns) {
  const auto store = open_store({.initial_map_bytes = 1 << 16});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 1; i <= 25; ++i) {
        std::vector<CheckpointEntry> entries;
        for (int p = 0; p < 40; ++p) {
          entries.push_back(entry_of(fmt::format("p{}", t), "t", p, i));
        }
        EXPECT_TRUE(store->save(entries));
        const auto loaded = store->load(fmt::format("p{}", t));
        ASSERT_TRUE(loaded);
        ASSERT_EQ(loaded->size(), 40U);
        EXPECT_EQ(loaded->front().checkpoint.position.next.value, i);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(state_of(*store).size(), 160U);
}

TEST_F(LmdbStoreTest, AFileDamagedWhileInUseIsNotWrittenOver) {
  const auto store = open_store({.initial_map_bytes = 1 << 16, .max_map_bytes = 1 << 18});
  fill(*store, 1, 200);
  // A failed save closes the environment; meanwhile the file goes bad.
  std::vector<CheckpointEntry> many;
  for (int p = 0; p < 5000; ++p) many.push_back(entry_of("pipeline", "another", p, 1));
  ASSERT_FALSE(store->save(many));
  const Bytes junk(9000, 0x11);
  write_file(file_, junk);
  EXPECT_EQ(store->save(std::vector{entry_of("p", "t", 0, 1)}).error().code, ErrorCode::kForeign);
  EXPECT_FALSE(store->load_all());
  EXPECT_EQ(read_file(file_), junk);
}

}  // namespace
}  // namespace drawbridge

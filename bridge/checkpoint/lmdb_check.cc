#include "bridge/checkpoint/lmdb_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace drawbridge {
namespace {

static_assert(sizeof(void*) == 8, "the layout below is LMDB's on 64-bit machines");

constexpr std::uint32_t kMagic = 0xbeefc0de;
constexpr std::uint32_t kDataVersion = 1;
constexpr std::size_t kMetaBytes = 152;  // page header and MDB_meta
constexpr std::size_t kPageHeaderBytes = 16;
constexpr std::size_t kNodeHeaderBytes = 8;
constexpr std::uint16_t kBranch = 0x01;
constexpr std::uint16_t kLeaf = 0x02;
constexpr std::uint16_t kOverflow = 0x04;
constexpr std::uint16_t kMetaPage = 0x08;
constexpr std::uint16_t kDirty = 0x10;  // may stay set in the file, and means nothing there
constexpr std::uint16_t kBigData = 0x01;
constexpr std::uint16_t kIntegerKeys = 0x08;
constexpr std::uint16_t kNoSubdir = 0x4000;  // an open flag, kept with the free pages' flags
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint64_t kMaxMapBytes = std::uint64_t{1} << 40;
constexpr int kMaxDepth = 32;

template <typename T>
T load(ByteView bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

struct Tree {  // MDB_db
  std::uint32_t pad = 0;
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t branch_pages = 0;
  std::uint64_t leaf_pages = 0;
  std::uint64_t overflow_pages = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = kNoPage;
};
static_assert(sizeof(Tree) == 48);

struct Meta {
  std::uint64_t map_bytes = 0;
  std::array<Tree, 2> trees;  // free pages, data
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
};

enum TreeName : std::size_t { kFreePages, kData };

class Checker {
 public:
  Checker(std::uint64_t file_size, const ReadAt& read) : file_size_(file_size), read_(read) {}

  Result<void> run() {
    DRAWBRIDGE_ASSIGN(const Meta first, read_meta(0));
    page_bytes_ = first.trees[kFreePages].pad;
    if (!std::has_single_bit(page_bytes_) || page_bytes_ < 512 || page_bytes_ > 65536) {
      return fail(ErrorCode::kCorrupt, "a page size of {} bytes", page_bytes_);
    }
    DRAWBRIDGE_ASSIGN(const Meta second, read_meta(page_bytes_));
    meta_ = second.transaction > first.transaction ? second : first;
    if (meta_.trees[kFreePages].pad != page_bytes_) {
      return fail(ErrorCode::kCorrupt, "two page sizes");
    }
    if (meta_.map_bytes > kMaxMapBytes || meta_.last_page < 1 ||
        meta_.last_page >= kMaxMapBytes / page_bytes_) {
      return fail(ErrorCode::kCorrupt, "a map of {} bytes with a last page {}", meta_.map_bytes,
                  meta_.last_page);
    }
    if ((meta_.trees[kFreePages].flags & ~kNoSubdir) != kIntegerKeys ||
        meta_.trees[kData].flags != 0) {
      return fail(ErrorCode::kCorrupt, "trees of another kind");
    }
    // Pages past the end of the file are never in use, so they need no place here.
    used_.resize(std::min<std::uint64_t>(meta_.last_page + 1, file_size_ / page_bytes_));
    used_[0] = used_[1] = true;
    DRAWBRIDGE_TRY(walk_tree(kData));
    DRAWBRIDGE_TRY(walk_tree(kFreePages));
    for (const std::uint64_t page : free_) {
      if (page < used_.size() && used_[page]) {
        return fail(ErrorCode::kCorrupt, "page {} is in use and free", page);
      }
    }
    return {};
  }

 private:
  // Half-open range of keys that a page may hold.
  struct Range {
    std::optional<Bytes> from;
    std::optional<Bytes> below;
  };

  Result<Meta> read_meta(std::uint64_t offset) {
    std::array<std::uint8_t, kMetaBytes> page{};
    if (!read_(offset, page)) return fail(ErrorCode::kCorrupt, "truncated within its header");
    if ((load<std::uint16_t>(page, 10) & kMetaPage) == 0 ||
        load<std::uint32_t>(page, 16) != kMagic) {
      return fail(offset == 0 ? ErrorCode::kForeign : ErrorCode::kCorrupt,
                  "no LMDB header at offset {}", offset);
    }
    if (const auto version = load<std::uint32_t>(page, 20); version != kDataVersion) {
      return fail(ErrorCode::kForeign, "LMDB data version {} instead of {}", version, kDataVersion);
    }
    Meta meta;
    meta.map_bytes = load<std::uint64_t>(page, 32);
    meta.trees = {load<Tree>(page, 40), load<Tree>(page, 88)};
    meta.last_page = load<std::uint64_t>(page, 136);
    meta.transaction = load<std::uint64_t>(page, 144);
    return meta;
  }

  Result<void> walk_tree(TreeName name) {
    name_ = name;
    tree_ = meta_.trees[name];
    seen_ = {};
    if (tree_.root == kNoPage) {
      if (tree_.entries != 0 || tree_.depth != 0) {
        return fail(ErrorCode::kCorrupt, "a tree of {} entries has no root", tree_.entries);
      }
      return {};
    }
    if (tree_.depth == 0 || tree_.depth > kMaxDepth) {
      return fail(ErrorCode::kCorrupt, "a tree of depth {}", tree_.depth);
    }
    DRAWBRIDGE_TRY(walk_page(tree_.root, 1, {}));
    if (seen_.entries != tree_.entries || seen_.branch_pages != tree_.branch_pages ||
        seen_.leaf_pages != tree_.leaf_pages || seen_.overflow_pages != tree_.overflow_pages) {
      return fail(ErrorCode::kCorrupt, "the header counts {} entries, the pages hold {}",
                  tree_.entries, seen_.entries);
    }
    return {};
  }

  // Claims a page and reads it.
  Result<void> read_page(std::uint64_t number, Bytes& page) {
    if (number > meta_.last_page) {
      return fail(ErrorCode::kCorrupt, "a reference to page {}, past the last one", number);
    }
    if (number >= used_.size()) {
      return fail(ErrorCode::kCorrupt, "truncated: page {} is missing", number);
    }
    if (used_[number]) return fail(ErrorCode::kCorrupt, "page {} is in use twice", number);
    used_[number] = true;
    page.resize(page_bytes_);
    if (!read_(number * page_bytes_, page)) {
      return fail(ErrorCode::kCorrupt, "truncated: page {} is missing", number);
    }
    if (load<std::uint64_t>(page, 0) != number) {
      return fail(ErrorCode::kCorrupt, "page {} bears another number", number);
    }
    return {};
  }

  Result<void> walk_page(std::uint64_t number, int depth, const Range& range) {
    Bytes page;
    DRAWBRIDGE_TRY(read_page(number, page));
    const auto damaged = [&](std::string_view what) {
      return fail(ErrorCode::kCorrupt, "page {}: {}", number, what);
    };
    const auto flags = static_cast<std::uint16_t>(load<std::uint16_t>(page, 10) & ~kDirty);
    const bool leaf = depth == tree_.depth;
    if (flags != (leaf ? kLeaf : kBranch)) return damaged("of the wrong kind");
    const std::size_t lower = load<std::uint16_t>(page, 12);
    // 64 KiB pages wrap the upper bound of an empty page, but those are not in use.
    const std::size_t upper = load<std::uint16_t>(page, 14);
    if (lower < kPageHeaderBytes || lower % 2 != 0 || lower > upper || upper > page_bytes_) {
      return damaged("its bounds are wrong");
    }
    const std::size_t count = (lower - kPageHeaderBytes) / 2;
    if (count < (leaf ? 1U : 2U)) return damaged("holds too few entries");
    ++(leaf ? seen_.leaf_pages : seen_.branch_pages);

    std::optional<Bytes> before;  // the newest key
    std::optional<std::uint64_t> child;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = load<std::uint16_t>(page, kPageHeaderBytes + 2 * i);
      if (at < upper || at + kNodeHeaderBytes > page_bytes_)
        return damaged("an entry lies outside");
      const std::uint64_t low = load<std::uint32_t>(page, at);
      const auto node_flags = load<std::uint16_t>(page, at + 4);
      const std::size_t key_bytes = load<std::uint16_t>(page, at + 6);
      const std::size_t data_at = at + kNodeHeaderBytes + key_bytes;
      if (data_at > page_bytes_) return damaged("a key lies outside");
      const auto* start = page.data() + at + kNodeHeaderBytes;
      const Bytes key(start, start + key_bytes);
      const bool implied = !leaf && i == 0;  // a branch's first key is not used
      if (!implied) {
        if (name_ == kFreePages && key_bytes != sizeof(std::uint64_t)) return damaged("odd key");
        if ((before && !less(*before, key)) || (range.from && less(key, *range.from)) ||
            (range.below && !less(key, *range.below))) {
          return damaged("a key is out of order");
        }
      }
      if (leaf) {
        ++seen_.entries;
        DRAWBRIDGE_TRY(check_data(number, page, data_at, low, node_flags));
      } else {
        if (child)
          DRAWBRIDGE_TRY(walk_page(*child, depth + 1, {before ? before : range.from, key}));
        child = low | std::uint64_t{node_flags} << 32;
      }
      if (!implied) before = key;
    }
    if (child) return walk_page(*child, depth + 1, {before ? before : range.from, range.below});
    return {};
  }

  Result<void> check_data(std::uint64_t number, ByteView page, std::size_t at, std::uint64_t size,
                          std::uint16_t flags) {
    const bool big = flags == kBigData;
    if ((flags != 0 && !big) || at + (big ? sizeof(std::uint64_t) : size) > page_bytes_) {
      return fail(ErrorCode::kCorrupt, "page {}: a value lies outside", number);
    }
    Bytes data;
    if (!big) {
      const auto* start = page.data() + at;
      data.assign(start, start + size);
    } else {
      DRAWBRIDGE_TRY(read_overflow(load<std::uint64_t>(page, at), size, data));
    }
    if (name_ != kFreePages) return {};
    // A list of free pages: how many, then their numbers, falling.
    const bool whole = data.size() % 8 == 0 && data.size() >= 8 &&
                       load<std::uint64_t>(data, 0) == data.size() / 8 - 1;
    if (!whole) return fail(ErrorCode::kCorrupt, "page {}: a malformed list of free pages", number);
    std::uint64_t above = meta_.last_page + 1;
    for (std::size_t i = 8; i < data.size(); i += 8) {
      const auto page_number = load<std::uint64_t>(data, i);
      if (page_number < 2 || page_number >= above) {
        return fail(ErrorCode::kCorrupt, "page {}: a malformed list of free pages", number);
      }
      above = page_number;
      free_.push_back(page_number);
    }
    return {};
  }

  Result<void> read_overflow(std::uint64_t number, std::uint64_t size, Bytes& data) {
    const std::uint64_t pages = (kPageHeaderBytes - 1 + size) / page_bytes_ + 1;
    Bytes page;
    DRAWBRIDGE_TRY(read_page(number, page));
    if ((load<std::uint16_t>(page, 10) & ~kDirty) != kOverflow ||
        load<std::uint32_t>(page, 12) != pages || pages > used_.size() - number) {
      return fail(ErrorCode::kCorrupt, "page {}: of the wrong kind", number);
    }
    for (std::uint64_t i = number + 1; i < number + pages; ++i) {
      if (used_[i]) return fail(ErrorCode::kCorrupt, "page {} is in use twice", i);
      used_[i] = true;
    }
    seen_.overflow_pages += pages;
    data.resize(size);
    if (!read_(number * page_bytes_ + kPageHeaderBytes, data)) {
      return fail(ErrorCode::kCorrupt, "truncated: page {} is missing", number);
    }
    return {};
  }

  // Keys of the data compare as bytes, those of the free pages as integers.
  bool less(const Bytes& a, const Bytes& b) const {
    if (name_ == kFreePages && a.size() == 8 && b.size() == 8) {
      return load<std::uint64_t>(a, 0) < load<std::uint64_t>(b, 0);
    }
    return std::ranges::lexicographical_compare(a, b);
  }

  const std::uint64_t file_size_;
  const ReadAt& read_;
  std::uint32_t page_bytes_ = 0;
  Meta meta_;
  std::vector<bool> used_;
  std::vector<std::uint64_t> free_;
  TreeName name_ = kData;
  Tree tree_;
  Tree seen_;  // counts so far
};

}  // namespace

Result<void> check_lmdb(std::uint64_t file_size, const ReadAt& read) {
  return Checker(file_size, read).run();
}

Result<void> check_lmdb(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return fail(ErrorCode::kIo, "fstat: {}", std::strerror(errno));
  int read_error = 0;
  const auto checked = check_lmdb(
      static_cast<std::uint64_t>(status.st_size), [&](std::uint64_t offset, MutableBytes out) {
        while (!out.empty()) {
          const ssize_t count = pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
          if (count < 0 && errno == EINTR) continue;
          if (count < 0) read_error = errno;
          if (count <= 0) return false;
          offset += static_cast<std::uint64_t>(count);
          out = out.subspan(static_cast<std::size_t>(count));
        }
        return true;
      });
  // A disk that cannot read is no proof that what it holds is damaged.
  if (read_error != 0) return fail(ErrorCode::kIo, "read: {}", std::strerror(read_error));
  return checked;
}

}  // namespace drawbridge

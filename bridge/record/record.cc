#include "bridge/record/record.h"

#include <xxhash.h>

namespace drawbridge {
namespace {

// A length-prefixed optional field, hashed without building it in memory.
class FieldHash {
 public:
  explicit FieldHash(std::uint64_t seed) : hash_(seed) {}

  void add(std::optional<ByteView> field) {
    const std::uint64_t length = field ? field->size() + 1 : 0;
    hash_ = XXH3_64bits_withSeed(&length, sizeof length, hash_);
    if (field && !field->empty()) hash_ = XXH3_64bits_withSeed(field->data(), field->size(), hash_);
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_;
};

}  // namespace

std::size_t payload_bytes(const Record& record) {
  return (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
}

std::uint64_t record_hash(const Record& record, std::uint64_t seed) {
  FieldHash hash(seed);
  hash.add(record.key);
  hash.add(record.value);
  return hash.value();
}

Witness witness_of(const Record& record, std::uint64_t seed) {
  return {record.offset, record.timestamp_ms, record_hash(record, seed)};
}

}  // namespace drawbridge

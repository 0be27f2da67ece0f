// Key material as a type of its own.
//
// SecretBytes lives in OpenSSL's secure heap (locked memory, excluded from core dumps), is zeroed
// on destruction, moves but never copies, and cannot be formatted or logged. Its bytes are read
// only through reveal(), which needs a SecretAccess: grep for that name to find every reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "bridge/base/bytes.h"

namespace drawbridge {

// Names the permission to look at key bytes. Construct one only where they are really used.
struct SecretAccess {
  explicit SecretAccess() = default;
};

// Makes the process non-dumpable: no core file, no ptrace by others. First thing in main.
Result<void> forbid_dumps();

// Sets up the secure heap (`bytes` is a power of two), before the first key. Errors: kPermission
// when memory cannot be locked (raise RLIMIT_MEMLOCK); the program must then refuse to start.
// Calling it again is a no-op.
Result<void> init_secret_heap(std::size_t bytes);

class SecretBytes {
 public:
  SecretBytes() = default;  // empty
  // Errors: kFull when the secure heap is exhausted; callers evict and try again.
  static Result<SecretBytes> zeroed(std::size_t size);
  static Result<SecretBytes> copy_of(ByteView bytes);
  static Result<SecretBytes> random(std::size_t size);  // RAND_priv_bytes

  SecretBytes(SecretBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] ByteView reveal(SecretAccess) const { return {data_, size_}; }
  [[nodiscard]] MutableBytes reveal_mutable(SecretAccess) { return {data_, size_}; }
  Result<SecretBytes> clone() const;

 private:
  SecretBytes(std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

// Constant-time comparison; false when the sizes differ.
bool equal_secret(ByteView a, ByteView b);

// Overwrites memory that held a secret in a way that the compiler keeps.
void cleanse(MutableBytes bytes);

}  // namespace drawbridge

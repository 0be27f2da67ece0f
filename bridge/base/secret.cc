#include "bridge/base/secret.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace drawbridge {

Result<void> forbid_dumps() {
  if (prctl(PR_SET_DUMPABLE, 0) != 0) {
    return fail(ErrorCode::kPermission, "cannot make the process non-dumpable: {}",
                std::strerror(errno));
  }
  return {};
}

Result<void> init_secret_heap(std::size_t bytes) {
  if (CRYPTO_secure_malloc_initialized() == 1) return {};
  // 2 means that the memory is there but not locked: keys could reach swap, so refuse.
  if (CRYPTO_secure_malloc_init(bytes, 32) != 1) {
    return fail(ErrorCode::kPermission,
                "cannot lock {} bytes of memory for keys; raise RLIMIT_MEMLOCK (ulimit -l, or "
                "LimitMEMLOCK= in the unit)",
                bytes);
  }
  return {};
}

Result<SecretBytes> SecretBytes::zeroed(std::size_t size) {
  if (size == 0) return SecretBytes();
  auto* data = static_cast<std::uint8_t*>(OPENSSL_secure_zalloc(size));
  if (data == nullptr) return fail(ErrorCode::kFull, "the secure heap for keys is full");
  return SecretBytes(data, size);
}

Result<SecretBytes> SecretBytes::copy_of(ByteView bytes) {
  DRAWBRIDGE_ASSIGN(auto secret, zeroed(bytes.size()));
  std::ranges::copy(bytes, secret.data_);
  return secret;
}

Result<SecretBytes> SecretBytes::random(std::size_t size) {
  DRAWBRIDGE_ASSIGN(auto secret, zeroed(size));
  if (RAND_priv_bytes(secret.data_, static_cast<int>(size)) != 1) {
    return fail(ErrorCode::kInternal, "the random generator failed");
  }
  return secret;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SecretBytes::~SecretBytes() {
  if (data_ != nullptr) OPENSSL_secure_clear_free(data_, size_);
}

Result<SecretBytes> SecretBytes::clone() const { return copy_of({data_, size_}); }

bool equal_secret(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void cleanse(MutableBytes bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace drawbridge

#include "bridge/envelope/nonce.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "bridge/base/secret.h"
#include "bridge/envelope/openssl.h"

namespace drawbridge {
namespace {

class NonceStock {
 public:
  NonceStock() = default;
  NonceStock(const NonceStock&) = delete;
  NonceStock& operator=(const NonceStock&) = delete;
  ~NonceStock() { cleanse(bytes_); }

  bool take(std::span<std::uint8_t, format::kNonceBytes> out) {
    if (used_ == bytes_.size()) {
      // Stays "all used" when the generator fails: no nonce is ever given twice.
      if (RAND_bytes(bytes_.data(), static_cast<int>(bytes_.size())) != 1) return false;
      used_ = 0;
    }
    const auto nonce = MutableBytes(bytes_).subspan(used_, out.size());
    std::ranges::copy(nonce, out.begin());
    std::ranges::fill(nonce, std::uint8_t{0});
    used_ += out.size();
    return true;
  }

 private:
  std::array<std::uint8_t, 1024 * format::kNonceBytes> bytes_{};
  std::size_t used_ = bytes_.size();
};

}  // namespace

Result<void> next_nonce(std::span<std::uint8_t, format::kNonceBytes> out) {
  thread_local NonceStock stock;
  if (!stock.take(out)) return openssl_failed("random nonces");
  return {};
}

}  // namespace drawbridge

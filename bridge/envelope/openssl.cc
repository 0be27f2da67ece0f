#include "bridge/envelope/openssl.h"

#include <openssl/err.h>

namespace drawbridge {

const EVP_CIPHER* cipher_of(Suite suite) {
  static const OpensslPtr<EVP_CIPHER> aes(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  static const OpensslPtr<EVP_CIPHER> chacha(
      EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr));
  switch (suite) {
    case Suite::kAes256Gcm:
      return aes.get();
    case Suite::kChaCha20Poly1305:
      return chacha.get();
  }
  return nullptr;
}

const EVP_MD* sha256() {
  static const OpensslPtr<EVP_MD> digest(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  return digest.get();
}

EVP_KDF* hkdf() {
  static const OpensslPtr<EVP_KDF> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  return kdf.get();
}

tl::unexpected<Error> openssl_failed(std::string_view what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  auto error = fail(ErrorCode::kInternal, "OpenSSL failed at {}: {}", what,
                    reason == nullptr ? "no reason given" : reason);
  ERR_clear_error();
  return error;
}

std::string_view name_of(Suite suite) {
  switch (suite) {
    case Suite::kAes256Gcm:
      return "aes-256-gcm";
    case Suite::kChaCha20Poly1305:
      return "chacha20-poly1305";
  }
  return "unknown";
}

}  // namespace drawbridge

// OpenSSL's objects with owners. Internal to the rooms that may include openssl/.
#pragma once

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <memory>

#include "bridge/base/result.h"
#include "bridge/envelope/format.h"

namespace drawbridge {

struct OpensslDeleter {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

template <typename T>
using OpensslPtr = std::unique_ptr<T, OpensslDeleter>;

// Fetched once per process and kept: a fetch costs more than sealing a record. Null when the
// library cannot provide it; the callers fail then.
const EVP_CIPHER* cipher_of(Suite suite);
const EVP_MD* sha256();
EVP_KDF* hkdf();

// The library failed at `what`; its queue of errors is emptied. The text holds no data.
tl::unexpected<Error> openssl_failed(std::string_view what);

}  // namespace drawbridge

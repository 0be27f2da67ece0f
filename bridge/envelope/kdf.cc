#include "bridge/envelope/kdf.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <algorithm>
#include <string>

namespace drawbridge {
namespace {

constexpr std::size_t kBlock = 64;  // of SHA-256

OpensslPtr<EVP_MD_CTX> keyed_state(ByteView key, std::uint8_t pad) {
  std::array<std::uint8_t, kBlock> block;
  block.fill(pad);
  for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  OpensslPtr<EVP_MD_CTX> state(EVP_MD_CTX_new());
  const bool good = state != nullptr && sha256() != nullptr &&
                    EVP_DigestInit_ex2(state.get(), sha256(), nullptr) == 1 &&
                    EVP_DigestUpdate(state.get(), block.data(), block.size()) == 1;
  cleanse(block);
  return good ? std::move(state) : nullptr;
}

bool finish(EVP_MD_CTX* work, const EVP_MD_CTX* from, ByteView head, ByteView body, Sha256& out) {
  unsigned int size = 0;
  return EVP_MD_CTX_copy_ex(work, from) == 1 &&
         EVP_DigestUpdate(work, head.data(), head.size()) == 1 &&
         EVP_DigestUpdate(work, body.data(), body.size()) == 1 &&
         EVP_DigestFinal_ex(work, out.data(), &size) == 1 && size == out.size();
}

}  // namespace

Result<void> derive_key(Suite suite, const SecretBytes& dek, ByteView salt, std::string_view info,
                        MutableBytes out) {
  if (dek.size() != format::kDekBytes) {
    return fail(ErrorCode::kInvalid, "a data key has {} bytes, not {}", format::kDekBytes,
                dek.size());
  }
  OpensslPtr<EVP_KDF_CTX> context(hkdf() == nullptr ? nullptr : EVP_KDF_CTX_new(hkdf()));
  if (context == nullptr) return openssl_failed("HKDF set-up");

  std::string full_info(info);
  full_info.push_back(static_cast<char>(format::kVersion));
  full_info.push_back(static_cast<char>(suite));
  // OSSL_PARAM takes what it only reads without const.
  char digest[] = "SHA512";
  auto* key_data = const_cast<std::uint8_t*>(dek.reveal(SecretAccess()).data());
  auto* salt_data = const_cast<std::uint8_t*>(salt.data());
  std::array<OSSL_PARAM, 5> params{};
  std::size_t count = 0;
  params[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
  params[count++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key_data, dek.size());
  params[count++] =
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, full_info.data(), full_info.size());
  if (!salt.empty()) {
    params[count++] =
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt_data, salt.size());
  }
  params[count] = OSSL_PARAM_construct_end();
  if (EVP_KDF_derive(context.get(), out.data(), out.size(), params.data()) != 1) {
    return openssl_failed("HKDF");
  }
  return {};
}

Result<Sha256> sha256_of(ByteView bytes) {
  Sha256 digest;
  unsigned int size = 0;
  if (sha256() == nullptr ||
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, sha256(), nullptr) != 1 ||
      size != digest.size()) {
    return openssl_failed("SHA-256");
  }
  return digest;
}

Result<Hmac> Hmac::create(ByteView key) {
  if (key.size() > kBlock) return fail(ErrorCode::kInternal, "HMAC key longer than a block");
  Hmac hmac;
  hmac.inner_ = keyed_state(key, 0x36);
  hmac.outer_ = keyed_state(key, 0x5c);
  hmac.work_.reset(EVP_MD_CTX_new());
  if (hmac.inner_ == nullptr || hmac.outer_ == nullptr || hmac.work_ == nullptr) {
    return openssl_failed("HMAC set-up");
  }
  return hmac;
}

Result<void> Hmac::digest(ByteView head, ByteView body, Sha256& out) {
  Sha256 inner;
  if (!finish(work_.get(), inner_.get(), head, body, inner) ||
      !finish(work_.get(), outer_.get(), inner, {}, out)) {
    return openssl_failed("HMAC");
  }
  return {};
}

}  // namespace drawbridge

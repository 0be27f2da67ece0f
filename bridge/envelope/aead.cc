#include "bridge/envelope/aead.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>

#include "bridge/base/secret.h"

namespace drawbridge {
namespace {

constexpr std::size_t kScratch = 4096;

int as_int(std::size_t size) { return static_cast<int>(size); }

// Straight to the provider: the older EVP_CTRL_AEAD_GET_TAG comes to the same by a longer way.
bool read_tag(EVP_CIPHER_CTX* context, MutableBytes tag) {
  std::array<OSSL_PARAM, 2> params{
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()),
      OSSL_PARAM_construct_end()};
  return EVP_CIPHER_CTX_get_params(context, params.data()) == 1;
}

}  // namespace

Result<Aead> Aead::create(Suite suite, Direction direction, ByteView key) {
  OpensslPtr<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* cipher = cipher_of(suite);
  if (context == nullptr || cipher == nullptr) return openssl_failed("cipher set-up");
  if (EVP_CIPHER_get_key_length(cipher) != as_int(key.size()) ||
      EVP_CIPHER_get_iv_length(cipher) != as_int(format::kNonceBytes)) {
    return fail(ErrorCode::kInternal, "the cipher takes other key or nonce lengths");
  }
  if (EVP_CipherInit_ex2(context.get(), cipher, key.data(), nullptr,
                         direction == Direction::kSeal ? 1 : 0, nullptr) != 1) {
    return openssl_failed("cipher key set-up");
  }
  return Aead(std::move(context));
}

bool Aead::feed(ByteView aad) {
  int written = 0;
  return aad.empty() ||
         EVP_CipherUpdate(context_.get(), nullptr, &written, aad.data(), as_int(aad.size())) == 1;
}

Result<void> Aead::seal(ByteView nonce, ByteView label, ByteView aad, ByteView plaintext,
                        MutableBytes out, MutableBytes tag) {
  EVP_CIPHER_CTX* context = context_.get();
  std::array<std::uint8_t, 16> rest;  // neither suite leaves anything for Final
  int written = 0;
  if (EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 || !feed(label) ||
      !feed(aad)) {
    return openssl_failed("sealing (start)");
  }
  if (!plaintext.empty() && (EVP_EncryptUpdate(context, out.data(), &written, plaintext.data(),
                                               as_int(plaintext.size())) != 1 ||
                             written != as_int(plaintext.size()))) {
    return openssl_failed("sealing");
  }
  if (EVP_EncryptFinal_ex(context, rest.data(), &written) != 1 || written != 0 ||
      !read_tag(context, tag)) {
    return openssl_failed("sealing (tag)");
  }
  return {};
}

Result<bool> Aead::open(ByteView nonce, ByteView label, ByteView aad, ByteView ciphertext,
                        ByteView tag, MutableBytes out) {
  EVP_CIPHER_CTX* context = context_.get();
  std::array<std::uint8_t, 16> rest;
  int written = 0;
  // The call copies the tag; its parameter is not const for the sake of its other uses.
  auto* tag_data = const_cast<std::uint8_t*>(tag.data());
  if (EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, as_int(tag.size()), tag_data) != 1 ||
      !feed(label) || !feed(aad)) {
    return openssl_failed("opening (start)");
  }
  if (!out.empty()) {
    if (EVP_DecryptUpdate(context, out.data(), &written, ciphertext.data(),
                          as_int(ciphertext.size())) != 1 ||
        written != as_int(ciphertext.size())) {
      return openssl_failed("opening");
    }
  } else if (!ciphertext.empty()) {
    std::array<std::uint8_t, kScratch> scratch;
    for (ByteView left = ciphertext; !left.empty();) {
      const ByteView piece = left.first(std::min(left.size(), kScratch));
      if (EVP_DecryptUpdate(context, scratch.data(), &written, piece.data(),
                            as_int(piece.size())) != 1 ||
          written != as_int(piece.size())) {
        cleanse(scratch);
        return openssl_failed("verifying");
      }
      left = left.subspan(piece.size());
    }
    cleanse(MutableBytes(scratch).first(std::min(ciphertext.size(), kScratch)));
  }
  if (EVP_DecryptFinal_ex(context, rest.data(), &written) != 1) {
    ERR_clear_error();
    return false;
  }
  return written == 0;
}

}  // namespace drawbridge

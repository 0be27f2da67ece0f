// Shared by the envelope's tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "bridge/envelope/data_key.h"

namespace drawbridge {

inline Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

inline SecretBytes secret_of(ByteView bytes) { return SecretBytes::copy_of(bytes).value(); }
inline Bytes revealed(const SecretBytes& secret) {
  const ByteView view = secret.reveal(SecretAccess());
  return {view.begin(), view.end()};
}

// A result's error, as its stable name; "ok" for none.
template <typename T>
std::string outcome(const Result<T>& result) {
  return result ? "ok" : std::string(name_of(result.error().code));
}

inline Bytes seal(SealingKey& key, std::string_view plaintext, const Sealing& sealing) {
  Bytes value(key.sealed_size(sealing, plaintext.size()));
  EXPECT_EQ(outcome(key.seal(as_bytes(plaintext), sealing, value)), "ok");
  return value;
}

inline Bytes seal_tombstone(SealingKey& key, const Sealing& sealing) {
  Bytes header(key.sealed_size(sealing, 0));
  EXPECT_EQ(outcome(key.seal_tombstone(sealing, header)), "ok");
  return header;
}

inline OpeningKey opening_key(const SealingKey& key) {
  return OpeningKey::create(key.suite(), key.dek()).value();
}

// Parses and opens a value; the plaintext or the error.
inline Result<Bytes> open(OpeningKey& key, ByteView value, const Expected& expected,
                          std::optional<ByteView> record_key) {
  DRAWBRIDGE_ASSIGN(const EnvelopeView view, parse_envelope(value));
  Bytes plaintext(view.ciphertext.size(), 0xaa);
  if (auto opened = key.open(view, expected, record_key, plaintext); !opened) {
    EXPECT_THAT(plaintext, ::testing::Each(0)) << "unverified plaintext was left behind";
    return fail(opened.error());
  }
  EXPECT_EQ(outcome(key.verify(view, expected, record_key)), "ok");
  return plaintext;
}

inline Result<void> verify(OpeningKey& key, ByteView value, const Expected& expected,
                           std::optional<ByteView> record_key) {
  DRAWBRIDGE_ASSIGN(const EnvelopeView view, parse_envelope(value));
  return key.verify(view, expected, record_key);
}

inline Result<void> verify_tombstone(OpeningKey& key, ByteView header, const Expected& expected,
                                     std::optional<ByteView> record_key) {
  DRAWBRIDGE_ASSIGN(const EnvelopeView view, parse_tombstone(header));
  return key.verify(view, expected, record_key);
}

}  // namespace drawbridge

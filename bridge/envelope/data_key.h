// Data keys at work: SealingKey makes envelopes, OpeningKey opens them.
//
// They are two types because a process encrypts only under keys that it made in this run: a
// SealingKey makes its own DEK (or, for keys held by a store, its own salt), so that no nonce can
// ever meet another process's. Both derive their keys once and keep their cipher and MAC contexts;
// a record costs no allocation. One instance is used by one thread at a time. Movable.
//
// Sizes are known beforehand; the caller brings the memory. Input and output must not overlap.
#pragma once

#include <memory>
#include <optional>

#include "bridge/base/result.h"
#include "bridge/base/secret.h"
#include "bridge/envelope/envelope.h"

namespace drawbridge {

class ContentKey;  // the contexts; content_key.h

// What an envelope binds to its plaintext, in clear.
struct Associated {
  ByteView dataset;                // logical stream name, 1 to 254 bytes
  std::optional<ByteView> tenant;  // 0 to 254 bytes; absent told from empty
  std::optional<SubjectReference> subject;
};

struct Sealing {
  Associated associated;
  std::optional<ByteView> record_key;  // bound by the key tag; null told from empty
  ByteView inline_keys;  // an encoded block to carry in the value; empty: in the header
  bool whole = false;    // the plaintext is encode_whole()'s
};

class SealingKey {
 public:
  // A fresh random DEK. `budget` may lower the number of records, not raise it.
  // Errors: kFull, no secure memory left; kInternal.
  static Result<SealingKey> generate(Suite suite, std::uint64_t budget = format::kNonceBudget);
  // For a DEK that a key store keeps and others use too: never encrypts under it directly, but
  // under a content key derived with a fresh random salt, which rides in the value.
  static Result<SealingKey> derive(Suite suite, const SecretBytes& dek,
                                   std::uint64_t budget = format::kNonceBudget);

  SealingKey(SealingKey&&) noexcept;
  SealingKey& operator=(SealingKey&&) noexcept;
  ~SealingKey();

  [[nodiscard]] const KeyId& id() const;
  [[nodiscard]] Suite suite() const;
  // To be wrapped, once per domain. Empty for a derived key: its store has it already.
  [[nodiscard]] const SecretBytes& dek() const { return dek_; }
  // For rotation: records sealed (nonces spent) and their plaintext bytes.
  [[nodiscard]] std::uint64_t records_sealed() const { return records_; }
  [[nodiscard]] std::uint64_t bytes_sealed() const { return bytes_; }

  // plaintext_size + 86 + |dataset| + |tenant| + 16 with a subject + 32 if derived + |inline keys|.
  [[nodiscard]] std::size_t sealed_size(const Sealing& sealing, std::size_t plaintext_size) const;

  // Writes the whole value. REQUIRES: out.size() == sealed_size(sealing, plaintext.size()).
  // Errors: kInvalid (a field out of bounds, `inline_keys` that do not parse), kTooLarge (plaintext
  // beyond 1 GiB), kInternal (budget spent, OpenSSL failed); `out` then holds nothing to be used.
  Result<void> seal(ByteView plaintext, const Sealing& sealing, MutableBytes out);

  // The value of a tombstone's authentication header. REQUIRES: out.size() ==
  // sealed_size(sealing, 0). Errors as seal().
  Result<void> seal_tombstone(const Sealing& sealing, MutableBytes out);

 private:
  SealingKey(std::unique_ptr<ContentKey> content, SecretBytes dek, std::optional<Bytes> salt,
             std::uint64_t budget);
  Result<void> write(ByteView plaintext, const Sealing& sealing, std::uint8_t flags,
                     MutableBytes out);

  std::unique_ptr<ContentKey> content_;
  SecretBytes dek_;
  std::optional<Bytes> salt_;
  std::uint64_t budget_;
  std::uint64_t records_ = 0;
  std::uint64_t bytes_ = 0;
};

// What the reader's own configuration says that the record must be.
struct Expected {
  ByteView dataset;
  std::optional<ByteView> tenant;
  bool whole = false;
};

class OpeningKey {
 public:
  // `salt` as the envelope carries it. Cache by (suite, DEK's wrapped bytes and context, salt).
  // Errors: kInvalid, a DEK or salt that is not 32 bytes; kInternal.
  static Result<OpeningKey> create(Suite suite, const SecretBytes& dek,
                                   std::optional<ByteView> salt = std::nullopt);

  OpeningKey(OpeningKey&&) noexcept;
  OpeningKey& operator=(OpeningKey&&) noexcept;
  ~OpeningKey();

  [[nodiscard]] const KeyId& id() const;
  [[nodiscard]] Suite suite() const;
  // Is this the key for that envelope (suite, salt and commitment, the latter in constant time)?
  [[nodiscard]] bool fits(const EnvelopeView& view) const;

  // Checks, in this order: commitment, dataset, tenant and kind, key tag, AEAD tag. The subject
  // reference is authentic afterwards; who knows the subject compares it.
  // REQUIRES: out.size() == view.ciphertext.size(). On an error `out` is all zeros.
  // Errors: kEnvelopeTampered (commitment, key tag, AEAD tag), kEnvelopeForeign (dataset, tenant),
  // kEnvelopeUnsupported (whole where it is not expected, or the other way round), kInternal.
  Result<void> open(const EnvelopeView& view, const Expected& expected,
                    std::optional<ByteView> record_key, MutableBytes out);
  // The same checks without keeping the plaintext: for rewrap, and for tombstones (a view of
  // parse_tombstone()).
  Result<void> verify(const EnvelopeView& view, const Expected& expected,
                      std::optional<ByteView> record_key);

 private:
  OpeningKey(std::unique_ptr<ContentKey> content, std::optional<Bytes> salt);
  Result<void> check_binding(const EnvelopeView& view, const Expected& expected,
                             std::optional<ByteView> record_key);

  std::unique_ptr<ContentKey> content_;
  std::optional<Bytes> salt_;
};

}  // namespace drawbridge

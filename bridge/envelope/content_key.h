// What both SealingKey and OpeningKey are made of: the keys derived from one DEK, as contexts.
// Internal to this room. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "bridge/envelope/aead.h"
#include "bridge/envelope/kdf.h"
#include "bridge/envelope/key_id.h"

namespace drawbridge {

class ContentKey {
 public:
  // An empty salt derives the content key without one. Errors: kInvalid, kInternal, kFull.
  static Result<std::unique_ptr<ContentKey>> create(Suite suite, Aead::Direction direction,
                                                    const SecretBytes& dek, ByteView salt);

  [[nodiscard]] Suite suite() const { return suite_; }
  [[nodiscard]] const KeyId& id() const { return id_; }
  Aead& aead() { return aead_; }
  // Writes the tag that binds a record key. Errors: kInternal.
  Result<void> key_tag(std::optional<ByteView> record_key,
                       std::span<std::uint8_t, format::kKeyTagBytes> out);

 private:
  ContentKey(Suite suite, const KeyId& id, Aead aead, Hmac bind, const Sha256& absent_tag)
      : suite_(suite),
        id_(id),
        aead_(std::move(aead)),
        bind_(std::move(bind)),
        absent_tag_(absent_tag) {}

  Suite suite_;
  KeyId id_;
  Aead aead_;
  Hmac bind_;
  Sha256 absent_tag_;  // of a record without a key: the same for all of them
};

}  // namespace drawbridge

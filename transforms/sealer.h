// Sealer: turns a record's plaintext into a native envelope under a data key of its own. Shared by
// encrypt and rekey.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "bridge/transform/dek_source.h"

namespace drawbridge {

class Sealer {
 public:
  struct Options {
    Suite suite = Suite::kAes256Gcm;
    RotationLimits rotation;
    bool inline_keys = false;
    bool whole = false;  // the plaintext is a whole record
  };

  Sealer(std::vector<std::shared_ptr<KeyCache>> domains, Scope scope, Options options,
         Waker& waker);

  // The key to seal with now, or why not yet; touches no record, so that it can be asked first.
  DekSource::Lookup ready(Instant now) { return deks_.find(scope_, now); }

  // Writes the envelope into the arena and makes it the record's value (no plaintext: the tombstone
  // header of a null value), with the wrapped keys' header where they do not ride inline.
  // REQUIRES: the record has no native headers; `plaintext` is not in the record's new value.
  // kKeep, or kFail.
  Outcome seal(Record& record, std::optional<ByteView> plaintext, const DekSource::Ready& dek,
               Scratch& scratch);

 private:
  const Scope scope_;
  const bool inline_keys_;
  const bool whole_;
  DekSource deks_;
};

}  // namespace drawbridge

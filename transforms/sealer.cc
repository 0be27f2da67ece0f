#include "transforms/sealer.h"

namespace drawbridge {

Sealer::Sealer(std::vector<std::shared_ptr<KeyCache>> domains, Scope scope, Options options,
               Waker& waker)
    : scope_(std::move(scope)),
      inline_keys_(options.inline_keys),
      whole_(options.whole),
      deks_(std::move(domains), options.suite, options.rotation, waker) {}

Outcome Sealer::seal(Record& record, std::optional<ByteView> plaintext, const DekSource::Ready& dek,
                     Scratch& scratch) {
  Sealing sealing;
  sealing.associated.dataset = as_bytes(scope_.dataset);
  if (scope_.tenant) sealing.associated.tenant = as_bytes(*scope_.tenant);
  sealing.record_key = record.key;
  sealing.whole = whole_;
  if (inline_keys_) sealing.inline_keys = dek.block;

  const std::size_t size = dek.key->sealed_size(sealing, plaintext ? plaintext->size() : 0);
  const MutableBytes out = scratch.arena.allocate(size);
  auto sealed =
      plaintext ? dek.key->seal(*plaintext, sealing, out) : dek.key->seal_tombstone(sealing, out);
  if (!sealed) {
    scratch.arena.shrink(out, 0);
    return Outcome::from(std::move(sealed).error());
  }
  if (plaintext) {
    record.value = out;
  } else {
    record.headers.append(format::kTombstoneHeader, out);
  }
  // Copied, since the data key may be rotated away while the record is in flight.
  if (!inline_keys_) record.headers.append(format::kKeysHeader, scratch.arena.copy(dek.block));
  return Outcome::keep();
}

}  // namespace drawbridge

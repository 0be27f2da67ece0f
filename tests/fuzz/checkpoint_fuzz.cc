// Checkpoint store, ledger and offsets files: whatever decodes encodes to the same bytes again (but
// a ledger's digest of earlier builds), nothing else is accepted, and no file image, however
// damaged, is walked out of bounds.
//
// The first byte picks the decoder. Values get a matching checksum, or nothing but the checksum
// would be fuzzed; a damaged one must never be accepted.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "bridge/checkpoint/codec.h"
#include "bridge/checkpoint/ledger.h"
#include "bridge/checkpoint/ledger_format.h"
#include "bridge/checkpoint/lmdb_check.h"
#include "bridge/checkpoint/offsets_file.h"
#include "bridge/checkpoint/value.h"

using namespace drawbridge;  // NOLINT

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

Bytes sealed(ByteView key, ByteView body) {
  Bytes value(body.begin(), body.end());
  seal_value(key, value);
  return value;
}

void fuzz_key(ByteView input) {
  if (const auto key = decode_checkpoint_key(input)) {
    require(equal(encode_checkpoint_key(*key).value(), input));
    require(as_text(input).starts_with(as_text(checkpoint_key_prefix(key->pipeline).value())));
  }
  if (const auto pipeline = decode_pipeline_key(input)) {
    require(equal(encode_pipeline_key(*pipeline).value(), input));
  }
}

void fuzz_checkpoint(ByteView key, ByteView body) {
  static_cast<void>(decode_checkpoint(key, body));
  Bytes value = sealed(key, body);
  const auto checkpoint = decode_checkpoint(key, value);
  if (!checkpoint) return;
  require(equal(encode_checkpoint(key, *checkpoint).value(), value));
  value[body.size() / 2] ^= 1;
  require(!decode_checkpoint(key, value));
}

void fuzz_shards(ByteView key, ByteView body) {
  static_cast<void>(decode_shards(key, body));
  const Bytes value = sealed(key, body);
  const auto shards = decode_shards(key, value);
  if (shards) require(equal(encode_shards(key, *shards).value(), value));
}

void fuzz_identity(ByteView body) {
  static_cast<void>(decode_identity(body));
  const Bytes value = sealed(encode_store_key(), body);
  const auto identity = decode_identity(value);
  if (identity) require(equal(encode_identity(*identity).value(), value));
}

// The body as it is written today: a digest of earlier builds, which ends it, is none.
Bytes without_earlier_digest(ByteView body) {
  constexpr std::size_t kDigestSize = 32;  // after its kind
  Bytes out(body.begin(), body.end());
  require(out.size() > kDigestSize);
  out.resize(out.size() - kDigestSize);
  require(out.back() == ledger_format::kGmacDigest);
  out.back() = ledger_format::kNoDigest;
  return out;
}

void fuzz_ledger(ByteView key, ByteView body) {
  static_cast<void>(decode_ledger(key, body));
  Bytes value = sealed(key, body);
  const auto entry = decode_ledger(key, value);
  if (!entry) return;
  const LedgerRecord record = encode_ledger(*entry).value();
  require(equal(record.key, key));
  if (!equal(record.value, value)) {
    require(equal(record.value, sealed(key, without_earlier_digest(body))));
  }
  value[body.size() / 2] ^= 1;
  require(!decode_ledger(key, value));
}

// The length of the key, the key, and the value's body.
void fuzz_ledger_record(ByteView input) {
  ByteReader reader(input);
  std::uint16_t length = 0;
  ByteView key;
  if (!reader.u16(length) || !reader.take(length, key)) return;
  fuzz_ledger(key, reader.rest());
}

// Of any name: an epoch is found in a ledger's own name only.
void fuzz_ledger_topic(ByteView input) {
  const std::string_view topic = as_text(input);
  if (const auto epoch = ledger_epoch(topic, "d", "p")) {
    require(ledger_topic("d", "p", *epoch).value() == topic);
  }
}

void fuzz_offsets_file(ByteView input) {
  const auto file = parse_offsets("fuzz", as_text(input));
  if (!file) return;
  const StoreIdentity identity{file->daemon, file->store_id, 0, 0};
  const auto text = format_offsets(identity, file->entries);
  require(text && *text == as_text(input));
}

void fuzz_image(ByteView image) {
  const auto read = [&](std::uint64_t offset, MutableBytes out) {
    if (offset > image.size() || out.size() > image.size() - offset) return false;
    std::ranges::copy(image.subspan(offset, out.size()), out.begin());
    return true;
  };
  static_cast<void>(check_lmdb(image.size(), read));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  const Bytes key = encode_checkpoint_key({"p", "c", {"t", {0}}}).value();
  switch (data[0] % 8) {
    case 0:
      fuzz_key(input);
      break;
    case 1:
      fuzz_checkpoint(key, input);
      break;
    case 2:
      fuzz_shards(key, input);
      break;
    case 3:
      fuzz_identity(input);
      break;
    case 4:
      fuzz_offsets_file(input);
      break;
    case 5:
      fuzz_image(input);
      break;
    case 6:
      fuzz_ledger_record(input);
      break;
    default:
      fuzz_ledger_topic(input);
  }
  return 0;
}

#include "bridge/envelope/wrapped_keys.h"

#include <algorithm>
#include <vector>

#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

// A 16-bit length from 1 to `most`, then the bytes.
bool take_long(ByteReader& reader, std::size_t most, ByteView& out) {
  std::uint16_t size = 0;
  return reader.u16(size) && size >= 1 && size <= most && reader.take(size, out);
}

}  // namespace

const WrappedKeyView* WrappedKeys::find(std::string_view domain) const {
  for (const WrappedKeyView& entry : entries()) {
    if (entry.domain == domain) return &entry;
  }
  return nullptr;
}

Result<WrappedKeys> take_wrapped_keys(ByteReader& reader) {
  const ByteView start = reader.rest();
  WrappedKeys keys;
  std::uint8_t version = 0;
  std::uint8_t count = 0;
  if (!reader.u8(version)) return fail(ErrorCode::kEnvelopeMalformed, "no wrapped keys");
  if (version != format::kKeysVersion) {
    return fail(ErrorCode::kEnvelopeUnsupported, "wrapped keys of version {}, not {}", version,
                format::kKeysVersion);
  }
  if (!reader.u8(count)) return fail(ErrorCode::kEnvelopeMalformed, "wrapped keys end early");
  if (count > format::kMaxWrappedKeys) {
    return fail(ErrorCode::kEnvelopeMalformed, "{} wrapped keys; at most {} are allowed", count,
                format::kMaxWrappedKeys);
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<ByteView> domain;
    ByteView kek;
    WrappedKeyView& entry = keys.items_[i];
    if (!take_short(reader, domain) || !domain || domain->empty()) {
      return fail(ErrorCode::kEnvelopeMalformed, "wrapped key {}: bad domain", i + 1);
    }
    if (!take_long(reader, format::kMaxKekReference, kek)) {
      return fail(ErrorCode::kEnvelopeMalformed, "wrapped key {}: bad KEK reference", i + 1);
    }
    if (!take_long(reader, format::kMaxWrappedBytes, entry.wrapped)) {
      return fail(ErrorCode::kEnvelopeMalformed, "wrapped key {}: bad wrapped bytes", i + 1);
    }
    entry.domain = as_text(*domain);
    entry.kek = as_text(kek);
    // char_traits compares as unsigned bytes, as the grammar asks.
    if (i > 0 && entry.domain == keys.items_[i - 1].domain) {
      return fail(ErrorCode::kEnvelopeMalformed, "two wrapped keys of one domain");
    }
    if (i > 0 && entry.domain < keys.items_[i - 1].domain) {
      return fail(ErrorCode::kEnvelopeMalformed, "wrapped keys are not in order of their domains");
    }
  }
  keys.count_ = count;
  keys.encoded_ = start.first(start.size() - reader.rest().size());
  if (keys.encoded_.size() > format::kMaxKeysBytes) {
    return fail(ErrorCode::kEnvelopeMalformed, "wrapped keys of {} bytes; at most {} are allowed",
                keys.encoded_.size(), format::kMaxKeysBytes);
  }
  return keys;
}

Result<WrappedKeys> parse_wrapped_keys(ByteView block) {
  ByteReader reader(block);
  auto keys = take_wrapped_keys(reader);
  if (keys && !reader.done()) {
    return fail(ErrorCode::kEnvelopeMalformed, "{} bytes behind the wrapped keys",
                reader.rest().size());
  }
  return keys;
}

Result<Bytes> encode_wrapped_keys(std::span<const WrappedKeyView> entries) {
  if (entries.size() > format::kMaxWrappedKeys) {
    return fail(ErrorCode::kInvalid, "{} wrapped keys; at most {} are allowed", entries.size(),
                format::kMaxWrappedKeys);
  }
  std::vector<WrappedKeyView> sorted(entries.begin(), entries.end());
  std::ranges::sort(sorted, {}, &WrappedKeyView::domain);
  Bytes block;
  ByteWriter writer(block);
  writer.u8(format::kKeysVersion);
  writer.u8(static_cast<std::uint8_t>(sorted.size()));
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const WrappedKeyView& entry = sorted[i];
    if (entry.domain.empty() || entry.domain.size() > format::kMaxShort) {
      return fail(ErrorCode::kInvalid, "a key domain's name has 1 to {} bytes, not {}",
                  format::kMaxShort, entry.domain.size());
    }
    if (i > 0 && entry.domain == sorted[i - 1].domain) {
      return fail(ErrorCode::kInvalid, "two wrapped keys of domain {}", entry.domain);
    }
    if (entry.kek.empty() || entry.kek.size() > format::kMaxKekReference) {
      return fail(ErrorCode::kInvalid, "domain {}: a KEK reference has 1 to {} bytes, not {}",
                  entry.domain, format::kMaxKekReference, entry.kek.size());
    }
    if (entry.wrapped.empty() || entry.wrapped.size() > format::kMaxWrappedBytes) {
      return fail(ErrorCode::kInvalid, "domain {}: a wrapped key has 1 to {} bytes, not {}",
                  entry.domain, format::kMaxWrappedBytes, entry.wrapped.size());
    }
    writer.u8(static_cast<std::uint8_t>(entry.domain.size()));
    writer.put(as_bytes(entry.domain));
    writer.u16(static_cast<std::uint16_t>(entry.kek.size()));
    writer.put(as_bytes(entry.kek));
    writer.u16(static_cast<std::uint16_t>(entry.wrapped.size()));
    writer.put(entry.wrapped);
  }
  if (block.size() > format::kMaxKeysBytes) {
    return fail(ErrorCode::kInvalid, "wrapped keys of {} bytes; at most {} are allowed",
                block.size(), format::kMaxKeysBytes);
  }
  return block;
}

Result<ByteView> find_key_block(const Headers& headers) {
  const Header* found = nullptr;
  for (const Header& header : headers.all()) {
    if (header.name != format::kKeysHeader) continue;
    if (found != nullptr) {
      return fail(ErrorCode::kEnvelopeMalformed, "more than one {} header", format::kKeysHeader);
    }
    found = &header;
  }
  if (found == nullptr || !found->value) {
    return fail(ErrorCode::kEnvelopeMalformed, "the {} header is {}", format::kKeysHeader,
                found == nullptr ? "missing" : "null");
  }
  return *found->value;
}

Result<WrappedKeys> find_wrapped_keys(const Headers& headers) {
  DRAWBRIDGE_ASSIGN(const ByteView block, find_key_block(headers));
  return parse_wrapped_keys(block);
}

}  // namespace drawbridge

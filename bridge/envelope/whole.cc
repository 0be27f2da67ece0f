#include "bridge/envelope/whole.h"

#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

std::size_t long_size(std::optional<ByteView> bytes) { return 4 + (bytes ? bytes->size() : 0); }

void put_long(SpanWriter& writer, std::optional<ByteView> bytes) {
  writer.u32(bytes ? static_cast<std::uint32_t>(bytes->size()) : format::kNull);
  if (bytes) writer.put(*bytes);
}

bool take_long(ByteReader& reader, std::optional<ByteView>& out) {
  std::uint32_t size = 0;
  ByteView bytes;
  if (!reader.u32(size)) return false;
  if (size == format::kNull) {
    out.reset();
    return true;
  }
  if (!reader.take(size, bytes)) return false;
  out = bytes;
  return true;
}

// A header takes two lengths at least.
constexpr std::size_t kLeastHeader = 8;

}  // namespace

std::size_t whole_size(std::optional<ByteView> key, std::optional<ByteView> value,
                       std::span<const Header> headers) {
  std::size_t size = 1 + long_size(key) + long_size(value) + 4;
  for (const Header& header : headers) {
    size += long_size(as_bytes(header.name)) + long_size(header.value);
  }
  return size;
}

void encode_whole(std::optional<ByteView> key, std::optional<ByteView> value,
                  std::span<const Header> headers, MutableBytes out) {
  SpanWriter writer(out);
  writer.u8(format::kWholeVersion);
  put_long(writer, key);
  put_long(writer, value);
  writer.u32(static_cast<std::uint32_t>(headers.size()));
  for (const Header& header : headers) {
    put_long(writer, as_bytes(header.name));
    put_long(writer, header.value);
  }
  assert(writer.done());
}

Result<WholeRecord> decode_whole(ByteView plaintext) {
  ByteReader reader(plaintext);
  WholeRecord record;
  std::uint8_t version = 0;
  std::uint32_t count = 0;
  if (!reader.u8(version)) return fail(ErrorCode::kEnvelopeMalformed, "an empty whole record");
  if (version != format::kWholeVersion) {
    return fail(ErrorCode::kEnvelopeUnsupported, "whole record of version {}, not {}", version,
                format::kWholeVersion);
  }
  if (!take_long(reader, record.key) || !take_long(reader, record.value) || !reader.u32(count)) {
    return fail(ErrorCode::kEnvelopeMalformed, "the whole record ends early");
  }
  // Before reserving: a count that the bytes cannot hold must not cost memory.
  if (count > reader.rest().size() / kLeastHeader) {
    return fail(ErrorCode::kEnvelopeMalformed, "the whole record claims {} headers", count);
  }
  record.headers.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::optional<ByteView> name;
    Header header;
    if (!take_long(reader, name) || !name || !take_long(reader, header.value)) {
      return fail(ErrorCode::kEnvelopeMalformed, "the whole record ends inside header {}", i + 1);
    }
    header.name = as_text(*name);
    record.headers.push_back(header);
  }
  if (!reader.done()) {
    return fail(ErrorCode::kEnvelopeMalformed, "{} bytes behind the whole record",
                reader.rest().size());
  }
  return record;
}

}  // namespace drawbridge

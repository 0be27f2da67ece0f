#include "bridge/envelope/envelope.h"

#include <algorithm>

#include "bridge/envelope/wire.h"

namespace drawbridge {
namespace {

enum class Place : std::uint8_t { kValue, kTombstoneHeader };

tl::unexpected<Error> ends_inside(std::string_view part) {
  return fail(ErrorCode::kEnvelopeMalformed, "the envelope ends inside its {}", part);
}

Result<void> take_suite_and_flags(ByteReader& reader, Place place, EnvelopeView& view) {
  std::uint8_t version = 0;
  std::uint8_t suite = 0;
  if (!reader.u8(version)) return ends_inside("version");
  if (version != format::kVersion) {
    return fail(ErrorCode::kEnvelopeUnsupported, "envelope version {}, not {}", version,
                format::kVersion);
  }
  if (!reader.u8(suite)) return ends_inside("suite");
  if (std::ranges::find(kAllSuites, static_cast<Suite>(suite)) == kAllSuites.end()) {
    return fail(ErrorCode::kEnvelopeUnsupported, "envelope suite {} is not known", suite);
  }
  view.suite = static_cast<Suite>(suite);
  if (!reader.u8(view.flags)) return ends_inside("flags");
  if ((view.flags & ~format::kKnownFlags) != 0) {
    return fail(ErrorCode::kEnvelopeUnsupported, "envelope flags {:#04x} are not known",
                view.flags);
  }
  if (view.tombstone() != (place == Place::kTombstoneHeader)) {
    return fail(ErrorCode::kEnvelopeMalformed, "{}",
                view.tombstone() ? "a tombstone's envelope in a value"
                                 : "a value's envelope in a tombstone header");
  }
  if (view.tombstone() && view.whole()) {
    return fail(ErrorCode::kEnvelopeMalformed, "a tombstone's envelope holds no whole record");
  }
  return {};
}

Result<void> take_associated(ByteReader& reader, EnvelopeView& view) {
  std::optional<ByteView> dataset;
  std::optional<ByteView> subject;
  if (!take_short(reader, dataset)) return ends_inside("dataset");
  if (!dataset || dataset->empty()) {
    return fail(ErrorCode::kEnvelopeMalformed, "the envelope names no dataset");
  }
  view.dataset = *dataset;
  if (!take_short(reader, view.tenant)) return ends_inside("tenant");
  if (!take_short(reader, subject)) return ends_inside("subject reference");
  if (subject) {
    if (subject->size() != format::kSubjectReferenceBytes) {
      return fail(ErrorCode::kEnvelopeMalformed, "a subject reference of {} bytes, not {}",
                  subject->size(), format::kSubjectReferenceBytes);
    }
    std::ranges::copy(*subject, view.subject.emplace().begin());
  }
  return {};
}

Result<EnvelopeView> parse(ByteView value, Place place) {
  EnvelopeView view;
  ByteReader reader(value);
  ByteView part;
  if (!looks_like_envelope(value)) {
    if (place == Place::kTombstoneHeader) {
      return fail(ErrorCode::kEnvelopeMalformed, "the {} header holds no envelope",
                  format::kTombstoneHeader);
    }
    return fail(ErrorCode::kEnvelopeMissing, "the value is not a native envelope");
  }
  if (!reader.take(format::kMagic.size(), part)) return ends_inside("magic");
  DRAWBRIDGE_TRY(take_suite_and_flags(reader, place, view));
  if (!reader.take(format::kKeyIdBytes, part)) return ends_inside("key id");
  std::ranges::copy(part, view.key_id.bytes.begin());
  DRAWBRIDGE_TRY(take_associated(reader, view));
  if (!reader.take(format::kKeyTagBytes, view.key_tag)) return ends_inside("key tag");
  if ((view.flags & format::kFlagSalted) != 0) {
    if (!reader.take(format::kSaltBytes, part)) return ends_inside("salt");
    view.salt = part;
  }
  if (!reader.take(format::kNonceBytes, view.nonce)) return ends_inside("nonce");
  view.immutable = value.first(value.size() - reader.rest().size());

  if (view.has_inline_keys()) {
    DRAWBRIDGE_ASSIGN(const WrappedKeys keys, take_wrapped_keys(reader));
    view.inline_keys = keys.encoded();
  }
  const ByteView rest = reader.rest();
  if (rest.size() < format::kTagBytes) return ends_inside("tag");
  view.ciphertext = rest.first(rest.size() - format::kTagBytes);
  view.tag = rest.last(format::kTagBytes);
  if (view.tombstone() && !view.ciphertext.empty()) {
    return fail(ErrorCode::kEnvelopeMalformed, "a tombstone's envelope with a ciphertext");
  }
  if (view.ciphertext.size() > format::kMaxPlaintext) {
    return fail(ErrorCode::kEnvelopeMalformed, "a ciphertext of {} bytes; at most {} are allowed",
                view.ciphertext.size(), format::kMaxPlaintext);
  }
  return view;
}

}  // namespace

bool looks_like_envelope(ByteView value) {
  return value.size() >= format::kMagic.size() &&
         std::ranges::equal(value.first(format::kMagic.size()), format::kMagic);
}

Result<EnvelopeView> parse_envelope(ByteView value) { return parse(value, Place::kValue); }

Result<EnvelopeView> parse_tombstone(ByteView header) {
  return parse(header, Place::kTombstoneHeader);
}

Result<ByteView> key_block_of(const EnvelopeView& view, const Headers& headers) {
  if (!view.has_inline_keys()) return find_key_block(headers);
  if (headers.count(format::kKeysHeader) != 0) {
    return fail(ErrorCode::kEnvelopeMalformed,
                "wrapped keys in the value and in a {} header: one place only",
                format::kKeysHeader);
  }
  return view.inline_keys;
}

Result<WrappedKeys> wrapped_keys_of(const EnvelopeView& view, const Headers& headers) {
  DRAWBRIDGE_ASSIGN(const ByteView block, key_block_of(view, headers));
  return parse_wrapped_keys(block);
}

Result<EnvelopeView> find_tombstone(const Headers& headers) {
  const std::size_t count = headers.count(format::kTombstoneHeader);
  if (count == 0) {
    return fail(ErrorCode::kEnvelopeMissing, "a null value without a {} header",
                format::kTombstoneHeader);
  }
  const Header* header = headers.find(format::kTombstoneHeader);
  if (count > 1 || !header->value) {
    return fail(ErrorCode::kEnvelopeMalformed, "{} {} header",
                count > 1 ? "more than one" : "a null", format::kTombstoneHeader);
  }
  return parse_tombstone(*header->value);
}

std::size_t rewrapped_size(const EnvelopeView& view, ByteView keys) {
  return view.immutable.size() + keys.size() + view.ciphertext.size() + view.tag.size();
}

void replace_inline_keys(const EnvelopeView& view, ByteView keys, MutableBytes out) {
  SpanWriter writer(out);
  writer.put(view.immutable);
  writer.put(keys);
  writer.put(view.ciphertext);
  writer.put(view.tag);
  assert(writer.done());
}

}  // namespace drawbridge

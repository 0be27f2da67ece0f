// The envelope against hostile bytes: parsers take anything; what parses accounts for every byte;
// intact envelopes round-trip; damaged ones fail.
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "bridge/envelope/data_key.h"
#include "bridge/envelope/whole.h"
#include "bridge/envelope/wrap.h"

namespace drawbridge {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Consumes the fuzzer's input from the front; zeros once it is spent.
class Input {
 public:
  explicit Input(ByteView bytes) : rest_(bytes) {}
  std::uint8_t u8() {
    if (rest_.empty()) return 0;
    const std::uint8_t byte = rest_[0];
    rest_ = rest_.subspan(1);
    return byte;
  }
  ByteView take(std::size_t most) {
    const ByteView taken = rest_.first(std::min(most, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::optional<ByteView> maybe(std::size_t most) {
    return u8() % 4 == 0 ? std::nullopt : std::optional(take(u8() % (most + 1)));
  }
  ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
};

// Any bytes: the parsers neither crash nor accept what they could not write again.
void parse_anything(ByteView bytes) {
  if (const auto view = parse_envelope(bytes)) {
    require(view->immutable.size() + view->inline_keys.size() + view->ciphertext.size() +
                view->tag.size() ==
            bytes.size());
    Bytes again(rewrapped_size(*view, view->inline_keys));
    replace_inline_keys(*view, view->inline_keys, again);
    require(equal(again, bytes));
    require(!parse_tombstone(bytes));
  }
  if (const auto view = parse_tombstone(bytes)) require(view->ciphertext.empty());
  if (const auto keys = parse_wrapped_keys(bytes)) {
    require(equal(encode_wrapped_keys(keys->entries()).value(), bytes));
  }
  if (const auto whole = decode_whole(bytes)) {
    Bytes again(whole_size(whole->key, whole->value, whole->headers));
    encode_whole(whole->key, whole->value, whole->headers, again);
    require(equal(again, bytes));
  }
}

struct Keys {
  explicit Keys(Suite suite)
      : sealing(SealingKey::generate(suite).value()),
        opening(OpeningKey::create(suite, sealing.dek()).value()) {}
  SealingKey sealing;
  OpeningKey opening;
};

Result<Bytes> open(OpeningKey& key, ByteView value, const Expected& expected,
                   std::optional<ByteView> record_key, bool tombstone) {
  DRAWBRIDGE_ASSIGN(const EnvelopeView view,
                    tombstone ? parse_tombstone(value) : parse_envelope(value));
  Bytes plaintext(view.ciphertext.size());
  if (tombstone) {
    DRAWBRIDGE_TRY(key.verify(view, expected, record_key));
    return plaintext;
  }
  auto opened = key.open(view, expected, record_key, plaintext);
  require(opened.has_value() == key.verify(view, expected, record_key).has_value());
  if (opened) return plaintext;
  require(std::ranges::all_of(plaintext, [](std::uint8_t byte) { return byte == 0; }));
  return fail(opened.error());
}

// What the input describes is sealed, opened, damaged at one place, and refused.
void seal_open_damage(Input input) {
  static Keys aes(Suite::kAes256Gcm);
  static Keys chacha(Suite::kChaCha20Poly1305);
  const std::uint8_t shape = input.u8();
  Keys& keys = (shape & 1) != 0 ? aes : chacha;
  const bool tombstone = (shape & 2) != 0;
  const bool inlined = (shape & 4) != 0;

  ByteView dataset = input.take(1 + input.u8() % 254);
  if (dataset.empty()) dataset = as_bytes("d");
  Sealing sealing;
  sealing.associated.dataset = dataset;
  sealing.associated.tenant = input.maybe(254);
  if ((shape & 8) != 0) sealing.associated.subject = SubjectReference{input.u8()};
  sealing.record_key = input.maybe(255);
  sealing.whole = !tombstone && (shape & 16) != 0;
  const WrappedKeyView entry{"dc", "kek", as_bytes("wrapped")};
  const Bytes block = encode_wrapped_keys({&entry, inlined ? std::size_t{1} : 0}).value();
  if (inlined) sealing.inline_keys = block;
  const std::uint8_t high = input.u8();
  const std::size_t at = static_cast<std::size_t>(high << 8 | input.u8());
  const std::uint8_t damage = std::max<std::uint8_t>(input.u8(), 1);
  const ByteView plaintext = tombstone ? ByteView() : input.rest();

  Bytes value(keys.sealing.sealed_size(sealing, plaintext.size()));
  require((tombstone ? keys.sealing.seal_tombstone(sealing, value)
                     : keys.sealing.seal(plaintext, sealing, value))
              .has_value());
  const Expected expected{dataset, sealing.associated.tenant, sealing.whole};
  const auto opened = open(keys.opening, value, expected, sealing.record_key, tombstone);
  require(opened.has_value() && equal(*opened, plaintext));

  const std::size_t place = at % value.size();
  const std::size_t head = value.size() - format::kTagBytes - plaintext.size();
  const bool in_keys = inlined && place < head && place >= head - block.size();
  value[place] ^= damage;
  const auto damaged = open(keys.opening, value, expected, sealing.record_key, tombstone);
  // Wrapped keys are outside the tag: damage there shows when they are unwrapped. A changed
  // length may even move their border, but then the tag fails.
  require(in_keys || !damaged.has_value());
  require(!damaged || equal(*damaged, plaintext));
}

void wrap_damage(Input input) {
  static Aes256GcmWrap kek = Aes256GcmWrap::create(SecretBytes::random(32).value()).value();
  static const SecretBytes dek = SecretBytes::random(32).value();
  const std::uint8_t place = input.u8();
  const std::uint8_t damage = input.u8();
  WrapContext context{KeyId(), std::string(as_text(input.take(254))), std::nullopt, "dc"};
  if (context.dataset.empty()) context.dataset = "d";
  Bytes wrapped = kek.wrap(dek, context).value();
  require(kek.unwrap(wrapped, context).has_value());
  wrapped[place % wrapped.size()] ^= damage;
  require(kek.unwrap(wrapped, context).has_value() == (damage == 0));
}

}  // namespace
}  // namespace drawbridge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const drawbridge::ByteView bytes(data, size);
  drawbridge::parse_anything(bytes);
  drawbridge::seal_open_damage(drawbridge::Input(bytes));
  drawbridge::wrap_damage(drawbridge::Input(bytes));
  return 0;
}

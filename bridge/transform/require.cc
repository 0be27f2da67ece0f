#include "bridge/transform/require.h"

#include "bridge/transform/transform.h"

namespace drawbridge {
namespace {

using enum ErrorCode;

constexpr std::string_view kNative = "native";
constexpr std::string_view kClear = "clear";

class Guard final : public Transform {
 public:
  Guard(Formats formats, Tombstones tombstones)
      // Where clear values are accepted too, a bare null is one of them.
      : formats_(formats), tombstones_(formats.clear ? Tombstones::kPass : tombstones) {}

  Outcome apply(Record& record, Scratch& /*scratch*/) override {
    if (formats_.clear && !shows_envelope(record)) return Outcome::keep();
    if (!formats_.native) {
      return Outcome::from({kEnvelopeUnexpected, "only values in clear are accepted here"});
    }
    SealedRecord sealed;
    auto read = read_sealed(record, tombstones_, sealed);
    if (!read) return Outcome::from(std::move(read).error());
    if (!*read) return Outcome::keep();
    auto keys = parse_wrapped_keys(sealed.key_block);
    return keys ? Outcome::keep() : Outcome::from(std::move(keys).error());
  }

 private:
  static bool shows_envelope(const Record& record) {
    return (record.value && looks_like_envelope(*record.value)) ||
           has_native_headers(record.headers);
  }

  const Formats formats_;
  const Tombstones tombstones_;
};

Formats formats_of(Form form) {
  switch (form) {
    case Form::kClear:
      return {.native = false, .clear = true};
    case Form::kEnvelope:
      return {.native = true, .clear = false};
  }
  return {};
}

// What the chain itself needs at its start; nullopt when no transform looks.
std::optional<Formats> needed_at_start(std::span<const TransformStep> steps) {
  for (const TransformStep& step : steps) {
    if (step.spec->takes) return formats_of(*step.spec->takes);
    if (step.spec->leaves) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Formats> left_at_end(std::span<const TransformStep> steps) {
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (step->spec->leaves) return formats_of(*step->spec->leaves);
  }
  return std::nullopt;
}

}  // namespace

Result<Formats> parse_formats(const std::vector<std::string>& names) {
  Formats formats;
  for (const std::string& name : names) {
    if (name != kNative && name != kClear) {
      return fail(kInvalid, "`{}` is no format: {} or {}", name, kNative, kClear);
    }
    bool& listed = name == kNative ? formats.native : formats.clear;
    if (listed) return fail(kInvalid, "`{}` is listed twice", name);
    listed = true;
  }
  return formats;
}

Result<EffectiveFormats> effective_formats(const RequireOptions& require,
                                           std::span<const TransformStep> steps) {
  EffectiveFormats effective;
  effective.in = needed_at_start(steps);
  if (!require.in.empty()) {
    DRAWBRIDGE_ASSIGN(effective.in, parse_formats(require.in));
  }
  const auto left = left_at_end(steps);
  effective.out = left ? left : effective.in;
  if (!require.out.empty()) {
    DRAWBRIDGE_ASSIGN(effective.out, parse_formats(require.out));
  }
  return effective;
}

std::unique_ptr<Transform> make_guard(Formats formats, Tombstones tombstones) {
  return std::make_unique<Guard>(formats, tombstones);
}

}  // namespace drawbridge

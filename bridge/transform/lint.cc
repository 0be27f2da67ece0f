#include "bridge/transform/lint.h"

#include <optional>

namespace drawbridge {
namespace {

using At = ChainProblem::At;

std::string_view words(Formats formats) {
  if (formats.native && formats.clear) return "clear or sealed";
  return formats.native ? "sealed" : "in clear";
}

bool matches(Formats formats, Form form) {
  return form == Form::kClear ? formats == Formats{.native = false, .clear = true}
                              : formats == Formats{.native = true, .clear = false};
}

class FormLint {
 public:
  explicit FormLint(std::span<const TransformStep> steps) : steps_(steps) {}

  std::vector<ChainProblem> run(const RequireOptions& require) {
    const auto in = formats_of(require.in, At::kRequireIn);
    const auto out = formats_of(require.out, At::kRequireOut);
    // Without a requirement, values are what the first transform that looks at them needs.
    form_ = in ? in : effective_formats({}, steps_)->in;
    for (std::size_t position = 0; position < steps_.size(); ++position) step(position);
    if (out && form_ && *form_ != *out && !(out->native && out->clear)) {
      report(At::kRequireOut, 0,
             fmt::format("values are {} at the end of the chain, which require.out refuses",
                         words(*form_)));
    }
    return std::move(problems_);
  }

 private:
  std::optional<Formats> formats_of(const std::vector<std::string>& names, At at) {
    if (names.empty()) return std::nullopt;
    auto formats = parse_formats(names);
    if (formats) return *formats;
    report(at, 0, formats.error().message);
    return std::nullopt;
  }

  void step(std::size_t position) {
    const TransformSpec& spec = *steps_[position].spec;
    if (spec.takes && form_ && !matches(*form_, *spec.takes)) {
      report(At::kTransform, position, mismatch(spec, position));
    }
    // The record key is bound into the envelope by its key tag.
    const bool sealed = form_ ? form_->native : false;
    if (spec.changes_key && sealed && !spec.leaves) {
      report(At::kTransform, position,
             fmt::format("`{}` changes the record key while the value is sealed, and the envelope "
                         "binds that key: decrypt first, encrypt afterwards (rekey with mode: "
                         "rewrap cannot be used)",
                         spec.name));
    }
    if (spec.leaves) {
      form_ =
          Formats{.native = *spec.leaves == Form::kEnvelope, .clear = *spec.leaves == Form::kClear};
    }
  }

  [[nodiscard]] std::string mismatch(const TransformSpec& spec, std::size_t position) const {
    const std::string who = sealer_before(position);
    if (*spec.takes == Form::kClear) {
      if (spec.leaves == Form::kEnvelope) {
        return fmt::format("`{}` would seal what is already {} here{}: use rekey, or decrypt first",
                           spec.name, words(*form_), who);
      }
      return fmt::format("`{}` reads the value, which is {} here{}: decrypt first", spec.name,
                         words(*form_), who);
    }
    return fmt::format("`{}` needs an envelope, but values are {} here{}", spec.name, words(*form_),
                       who);
  }

  // ", left so by `encrypt`": who made the value what it is.
  [[nodiscard]] std::string sealer_before(std::size_t position) const {
    while (position-- > 0) {
      if (steps_[position].spec->leaves) {
        return fmt::format(", left so by `{}`", steps_[position].spec->name);
      }
    }
    return {};
  }

  void report(At at, std::size_t position, std::string message) {
    problems_.push_back({at, position, std::move(message)});
  }

  std::span<const TransformStep> steps_;
  std::optional<Formats> form_;
  std::vector<ChainProblem> problems_;
};

}  // namespace

std::vector<ChainProblem> check_chain_forms(std::span<const TransformStep> steps,
                                            const RequireOptions& require) {
  return FormLint(steps).run(require);
}

}  // namespace drawbridge

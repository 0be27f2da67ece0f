#include "bridge/transform/chain.h"

namespace drawbridge {
namespace {

// Is a guard for `formats` beside this step a second look at what the step looks at itself?
bool needless(const TransformStep& step, std::optional<Form> form, Formats formats,
              Tombstones tombstones) {
  if (!step.spec->guards_itself || !form) return false;
  const bool listed = *form == Form::kClear ? formats.clear : formats.native;
  return listed && (tombstones == Tombstones::kPass || formats.clear);
}

}  // namespace

Result<Chain> Chain::build(std::span<const TransformStep> steps, const RequireOptions& require,
                           KeyService& keys) {
  DRAWBRIDGE_ASSIGN(EffectiveFormats formats, effective_formats(require, steps));
  const Tombstones tombstones = require.tombstones;
  if (steps.empty()) {
    if (formats.in == formats.out) formats.out.reset();
  } else {
    const TransformStep& first = steps.front();
    const TransformStep& last = steps.back();
    if (formats.in && needless(first, first.spec->takes, *formats.in, tombstones)) {
      formats.in.reset();
    }
    if (formats.out && needless(last, last.spec->leaves, *formats.out, tombstones)) {
      formats.out.reset();
    }
  }

  Chain chain;
  if (formats.in) chain.steps_.push_back({"require.in", {}, make_guard(*formats.in, tombstones)});
  for (std::size_t position = 0; position < steps.size(); ++position) {
    const TransformStep& step = steps[position];
    auto made = step.spec->make(step.values, keys);
    if (!made) {
      return fail(made.error().code, "transform {} ({}): {}", position + 1, step.spec->name,
                  made.error().message);
    }
    if (position == 0) chain.first_ = made->get();
    chain.steps_.push_back({step.spec->name, position, std::move(*made)});
  }
  if (formats.out) {
    chain.steps_.push_back({"require.out", {}, make_guard(*formats.out, tombstones)});
  }
  return chain;
}

Outcome Chain::apply(Record& record, Scratch& scratch, std::size_t& next) {
  for (; next < steps_.size(); ++next) {
    Outcome outcome = steps_[next].transform->apply(record, scratch);
    if (outcome.kind() != Outcome::Kind::kKeep) return outcome;
  }
  return Outcome::keep();
}

void Chain::prefetch(const Record& record, Instant now) {
  if (first_ != nullptr) first_->prefetch(record, now);
}

ChainPlace Chain::place(std::size_t next) const {
  if (next >= steps_.size()) return {"", {}};
  return {steps_[next].name, steps_[next].position};
}

std::string Chain::describe(std::size_t next) const {
  const ChainPlace at = place(next);
  if (!at.position) return std::string(at.name);
  return fmt::format("transform {} ({})", *at.position + 1, at.name);
}

}  // namespace drawbridge

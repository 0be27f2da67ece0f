#include "bridge/transform/chain.h"

namespace drawbridge {

Result<Chain> Chain::build(std::span<const TransformStep> steps, const RequireOptions& require,
                           KeyService& keys) {
  DRAWBRIDGE_ASSIGN(const EffectiveFormats formats, effective_formats(require, steps));
  Chain chain;
  // A guard that accepts everything is left out only where nothing was asked for: with both
  // formats listed, a damaged envelope is still refused.
  if (formats.in) {
    chain.steps_.push_back({"require.in", {}, make_guard(*formats.in, require.tombstones)});
  }
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
  if (formats.out && !(steps.empty() && formats.out == formats.in)) {
    chain.steps_.push_back({"require.out", {}, make_guard(*formats.out, require.tombstones)});
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

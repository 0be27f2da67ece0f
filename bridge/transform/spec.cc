#include "bridge/transform/spec.h"

#include <algorithm>

namespace drawbridge {

Result<void> refuse(const std::vector<FieldProblem>& problems) {
  if (problems.empty()) return {};
  return fail(ErrorCode::kInvalid, "{}", problems.front().message);
}

Result<void> TransformCatalogue::add(TransformSpec spec) {
  if (find(spec.name) != nullptr) {
    return fail(ErrorCode::kExists, "two transforms are called `{}`", spec.name);
  }
  specs_.push_back(std::move(spec));
  return {};
}

const TransformSpec* TransformCatalogue::find(std::string_view name) const {
  const auto found = std::ranges::find(specs_, name, &TransformSpec::name);
  return found == specs_.end() ? nullptr : &*found;
}

}  // namespace drawbridge

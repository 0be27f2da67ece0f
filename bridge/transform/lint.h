// What can be said about a chain without a record: whether each transform can read what it will
// get. Follows the form of values (clear, or sealed) from `require.in` through every transform to
// `require.out`.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bridge/transform/require.h"
#include "bridge/transform/spec.h"

namespace drawbridge {

struct ChainProblem {
  enum class At : std::uint8_t { kTransform, kRequireIn, kRequireOut };

  At at = At::kTransform;
  std::size_t position = 0;  // of the transform, from 0; only with kTransform
  std::string message;

  bool operator==(const ChainProblem&) const = default;
};

// Empty: the chain holds together. REQUIRES: every step has a spec.
std::vector<ChainProblem> check_chain_forms(std::span<const TransformStep> steps,
                                            const RequireOptions& require);

}  // namespace drawbridge

// Key stores as the engine sees them: a chain that waits, fails or drops. The transforms are the
// test's own; what they do to a record is a function, so that a model can say what must come out.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bridge/transform/chain.h"
#include "tests/unit/pipeline/fake_source.h"

namespace drawbridge::fakes {

// For chains without key domains.
class NoKeys final : public KeyService {
 public:
  explicit NoKeys(Waker& waker) : waker_(waker) {}
  Result<std::shared_ptr<KeyCache>> domain(std::string_view name) override {
    return fail(ErrorCode::kInvalid, "no key domain {} in this test", name);
  }
  Waker& waker() override { return waker_; }
  [[nodiscard]] const std::string& dataset() const override { return dataset_; }

 private:
  Waker& waker_;
  const std::string dataset_ = "test";
};

using Apply = std::function<Outcome(Record& record, Scratch& scratch)>;

class FunctionTransform final : public Transform {
 public:
  explicit FunctionTransform(Apply apply) : apply_(std::move(apply)) {}
  Outcome apply(Record& record, Scratch& scratch) override { return apply_(record, scratch); }

 private:
  Apply apply_;
};

// A chain of functions. Keeps the specs that the chain's building needs.
class FunctionChain {
 public:
  void add(std::string name, Apply apply) {
    auto spec = std::make_unique<TransformSpec>();
    spec->name = std::move(name);
    spec->make = [apply = std::move(apply)](const FieldValues&,
                                            KeyService&) -> Result<std::unique_ptr<Transform>> {
      return std::make_unique<FunctionTransform>(apply);
    };
    specs_.push_back(std::move(spec));
  }
  // As it stands in a pipeline's options.
  [[nodiscard]] std::vector<TransformStep> steps() const {
    std::vector<TransformStep> out;
    for (const auto& spec : specs_) out.push_back({spec.get(), {}});
    return out;
  }
  [[nodiscard]] Chain build(KeyService& keys) const {
    const auto all = steps();
    return std::move(*Chain::build(all, RequireOptions{}, keys));
  }

 private:
  std::vector<std::unique_ptr<TransformSpec>> specs_;
};

}  // namespace drawbridge::fakes

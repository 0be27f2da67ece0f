// What transforms need of key stores: answers now, or "not yet". Never blocks.
//
// A KeyService belongs to one shard's worker; behind it, caches and providers are shared by the
// daemon. When an answer arrives, the shard's waker is woken and the transform is applied again.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bridge/base/clock.h"
#include "bridge/base/result.h"
#include "bridge/base/secret.h"
#include "bridge/keys/key_cache.h"

namespace drawbridge {

class KeyService {
 public:
  virtual ~KeyService() = default;

  // The cache in front of a configured key domain. Errors: kInvalid, an unknown domain.
  virtual Result<std::shared_ptr<KeyCache>> domain(std::string_view name) = 0;
  // Woken when an answer arrives; pass it to the cache.
  virtual Waker& waker() = 0;
  // The dataset of a record's envelope when a transform names none: the pipeline's `dataset`,
  // a logical stream name that is stable across renames and clusters.
  [[nodiscard]] virtual const std::string& dataset() const = 0;
};

}  // namespace drawbridge

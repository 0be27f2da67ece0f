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
};

}  // namespace drawbridge

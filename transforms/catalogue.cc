#include "transforms/catalogue.h"

#include <cstdlib>

#include "bridge/base/log.h"

namespace drawbridge {

TransformCatalogue built_in_transforms() {
  TransformCatalogue catalogue;
  for (auto* spec : {decrypt_spec, encrypt_spec, rekey_spec}) {
    if (auto added = catalogue.add(spec()); !added) {
      log(Level::kError, added.error().message);
      std::abort();
    }
  }
  return catalogue;
}

}  // namespace drawbridge

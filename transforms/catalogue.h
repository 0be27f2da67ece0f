// The transforms that drawbridge brings along, listed by hand: what is not here does not exist.
#pragma once

#include "bridge/transform/spec.h"

namespace drawbridge {

// Two of one name are a bug and end the program.
TransformCatalogue built_in_transforms();

TransformSpec decrypt_spec();  // decrypt.cc
TransformSpec encrypt_spec();  // encrypt.cc
TransformSpec rekey_spec();    // rekey.cc

}  // namespace drawbridge

// Sealing dead letters: on a target cluster where envelopes are required, a dead letter travels as
// one native envelope that holds the whole record, for the side that it came from to open.
#pragma once

#include <memory>
#include <string>

#include "bridge/base/result.h"
#include "bridge/transform/key_service.h"
#include "bridge/transform/transform.h"

namespace drawbridge {

// A transform that replaces key, value and headers by a whole-record envelope under `domain`, in
// the pipeline's dataset. The record's key becomes null. Not in the catalogue: the engine applies
// it to dead letters only. Errors: kInvalid, an unknown domain.
Result<std::unique_ptr<Transform>> make_dead_letter_seal(const std::string& domain,
                                                         KeyService& keys);

}  // namespace drawbridge

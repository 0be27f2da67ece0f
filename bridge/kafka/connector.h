// The room's front door: sources and targets on real clusters.
#pragma once

#include <memory>

#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

// Thread-safe; keeps nothing.
std::unique_ptr<Connector> make_connector();

}  // namespace drawbridge::kafka

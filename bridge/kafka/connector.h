// The room's front door: sources and targets on real clusters.
#pragma once

#include <memory>
#include <string>

#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

// Thread-safe; keeps nothing.
std::unique_ptr<Connector> make_connector();

// Of the client library that is linked.
std::string library_version();

}  // namespace drawbridge::kafka

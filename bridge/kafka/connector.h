// The room's front door: sources and targets on real clusters.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

// The client library demands a group of whoever reads. Of this one nobody is a member, and nothing
// is committed to it: no right on it is needed.
inline constexpr std::string_view kNoGroup = "drawbridge-reader";

// Thread-safe; keeps nothing.
std::unique_ptr<Connector> make_connector();

// Of the client library that is linked.
std::string library_version();

}  // namespace drawbridge::kafka

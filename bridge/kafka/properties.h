// What the client library knows of its configuration properties. Needs no client, no library
// header: usable by anything above that wants to check names before connecting.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/pipeline/options.h"

namespace drawbridge::kafka {

enum class PropertyScope : std::uint8_t { kBoth, kConsumer, kProducer };

// nullopt where the library has no such property. Aliases have the scope of what they stand for.
// Taken from the library itself, so that it follows the version that is linked. Thread-safe.
std::optional<PropertyScope> property_scope(std::string_view name);

// Empty where it is not among them.
std::string value_of(const Properties& properties, const std::string& name);

// Every property that can be set by name, sorted.
const std::vector<std::string>& property_names();

// Why a property is the bridge's own and may not be set by a user; empty where it may.
std::string_view why_owned(std::string_view name);

}  // namespace drawbridge::kafka

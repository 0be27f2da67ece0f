// Any text: a configuration or problems, never a crash; what loads echoes, and the echo loads too.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/config.h"
#include "transforms/catalogue.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const drawbridge::TransformCatalogue catalogue = drawbridge::built_in_transforms();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto loaded =
      drawbridge::parse_configuration(text, "f", catalogue, {.resolve_secrets = false});
  const auto echo = drawbridge::echo_text(text, "f", catalogue);
  if (loaded.has_value() != echo.has_value()) std::abort();
  if (!loaded) {
    if (loaded.error().empty()) std::abort();
    return 0;
  }
  const auto again = drawbridge::echo_text(*echo, "f", catalogue);
  if (!again || *again != *echo) std::abort();
  return 0;
}

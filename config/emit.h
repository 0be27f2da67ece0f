// A YAML tree as text that reads back as the same tree.
#pragma once

#include <string>

#include "config/yaml_tree.h"

namespace drawbridge::config {

std::string emit_yaml(const Node& root);

}  // namespace drawbridge::config

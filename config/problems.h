// What a reading of a configuration found, in the order of the file.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/yaml_tree.h"

namespace drawbridge::config {

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  void error(Place at, std::string message);
  void warning(Place at, std::string message);

  // How many there were. Past the first 200 they are counted and not kept: a file of another kind
  // would give one a line.
  [[nodiscard]] std::size_t errors() const { return count_; }

  // Sorted by place.
  [[nodiscard]] std::vector<Problem> take_errors();
  [[nodiscard]] std::vector<Problem> take_warnings();

 private:
  static constexpr std::size_t kMost = 200;

  std::string file_;
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
  std::size_t count_ = 0;
};

}  // namespace drawbridge::config

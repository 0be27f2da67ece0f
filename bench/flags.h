// Command line of the bench programs: `--name value`, nothing else.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <string_view>

namespace drawbridge::bench {

[[noreturn]] inline void die(std::string_view why) {
  std::cerr << "error: " << why << '\n';
  std::exit(1);
}

class Flags {
 public:
  Flags(int argc, char** argv, int first) {
    for (int i = first; i < argc; i += 2) {
      const std::string_view name = argv[i];
      if (!name.starts_with("--") || i + 1 == argc) die("expected --name value");
      values_[std::string(name.substr(2))] = argv[i + 1];
    }
  }

  [[nodiscard]] std::string text(const std::string& name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) die("--" + name + " is missing");
    return found->second;
  }
  [[nodiscard]] std::int64_t number(const std::string& name) const { return parse(text(name)); }
  [[nodiscard]] std::int64_t number(const std::string& name, std::int64_t fallback) const {
    return values_.contains(name) ? number(name) : fallback;
  }

 private:
  static std::int64_t parse(const std::string& text) {
    char* end = nullptr;
    const std::int64_t value = std::strtoll(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || value < 0) die("not a number: " + text);
    return value;
  }

  std::map<std::string, std::string> values_;
};

}  // namespace drawbridge::bench

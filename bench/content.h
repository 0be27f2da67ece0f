// Records as the bench sends them: a short key, and a JSON document of an exact size whose bulk is
// base64 of random bytes, so that it neither compresses nor repeats within a batch.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "bench/flags.h"

namespace drawbridge::bench {

inline constexpr std::size_t kKeyBytes = 16;

// Made once and sent round and round; values and keys stay where they are.
class Content {
 public:
  explicit Content(std::size_t value_bytes) {
    if (value_bytes < kLeastBytes) die("values have at least 80 bytes");
    const std::size_t count = std::clamp<std::size_t>(kPoolBytes / value_bytes, 500, 50'000);
    std::mt19937_64 random(42);  // the same records in every run
    for (std::size_t i = 0; i < count; ++i) {
      values_.push_back(document(random, value_bytes));
      std::array<char, kKeyBytes + 1> key{};
      std::snprintf(key.data(), key.size(), "customer-%07u", static_cast<unsigned>(i) % 10'000'000);
      keys_.emplace_back(key.data());
    }
  }

  [[nodiscard]] const std::string& value(std::uint64_t i) const {
    return values_[i % values_.size()];
  }
  [[nodiscard]] const std::string& key(std::uint64_t i) const { return keys_[i % keys_.size()]; }

 private:
  static constexpr std::size_t kLeastBytes = 80;
  static constexpr std::size_t kPoolBytes = 8 << 20;

  static std::string document(std::mt19937_64& random, std::size_t size) {
    static constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::array<char, 128> head{};
    std::snprintf(head.data(), head.size(),
                  R"({"order":"%016llx","customer":"c-%06u","amount":%05u,"note":")",
                  static_cast<unsigned long long>(random()),
                  static_cast<unsigned>(random() % 1'000'000),
                  static_cast<unsigned>(random() % 100'000));
    std::string text(head.data());
    std::uint64_t bits = 0;
    int left = 0;
    while (text.size() + 2 < size) {
      if (left == 0) {
        bits = random();
        left = 10;  // of 6 bits each
      }
      text += kAlphabet[bits & 63];
      bits >>= 6;
      --left;
    }
    return text + "\"}";
  }

  std::vector<std::string> values_;
  std::vector<std::string> keys_;
};

}  // namespace drawbridge::bench

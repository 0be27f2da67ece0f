// Headers against a plain list: the same operations on both must leave the same headers, in order,
// with duplicates and nulls, and `untouched()` must tell the truth.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/record/headers.h"

using namespace drawbridge;  // NOLINT

namespace {

using Plain = std::vector<std::pair<std::string, std::optional<std::string>>>;

void require(bool holds) {
  if (!holds) std::abort();
}

void decode(void* native, std::vector<Header>& out) {
  for (const auto& [name, value] : *static_cast<Plain*>(native)) {
    out.push_back({name, value ? std::optional<ByteView>(as_bytes(*value)) : std::nullopt});
  }
}

bool same(const Headers& headers, const Plain& plain) {
  return std::ranges::equal(headers.all(), plain, [](const Header& a, const auto& b) {
    return a.name == b.first && a.value.has_value() == b.second.has_value() &&
           (!a.value || as_text(*a.value) == *b.second);
  });
}

class Input {
 public:
  explicit Input(ByteView bytes) : reader_(bytes) {}

  [[nodiscard]] bool done() const { return reader_.done(); }
  std::uint8_t byte() {
    std::uint8_t value = 0;
    static_cast<void>(reader_.u8(value));
    return value;
  }
  std::string text() {
    ByteView view;
    const std::size_t size = std::min<std::size_t>(byte() % 4, reader_.rest().size());
    static_cast<void>(reader_.take(size, view));
    return std::string(as_text(view));
  }
  std::optional<std::string> maybe_text() {
    return byte() % 4 == 0 ? std::nullopt : std::optional(text());
  }

 private:
  ByteReader reader_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input({data, size});
  Plain native;
  for (int count = input.byte() % 5; count > 0; --count) {
    std::string name = input.text();
    native.emplace_back(std::move(name), input.maybe_text());
  }
  Headers headers;
  headers.reset(&native, decode);
  Plain plain = native;
  bool touched = false;
  std::deque<std::string> alive;  // what appended headers look at
  const auto keep = [&](std::string text) -> std::string_view {
    return alive.emplace_back(std::move(text));
  };
  const auto keep_value = [&](const std::optional<std::string>& value) {
    return value ? std::optional<ByteView>(as_bytes(keep(*value))) : std::nullopt;
  };

  while (!input.done()) {
    switch (input.byte() % 6) {
      case 0: {
        const std::string_view name = keep(input.text());
        const auto value = input.maybe_text();
        headers.append(name, keep_value(value));
        plain.emplace_back(name, value);
        touched = true;
        break;
      }
      case 1: {
        const std::string name = input.text();
        const auto removed =
            std::erase_if(plain, [&](const auto& each) { return each.first == name; });
        require(headers.remove_all(name) == removed);
        touched = touched || removed > 0;
        break;
      }
      case 2: {
        if (plain.empty()) break;
        const std::size_t index = input.byte() % plain.size();
        const auto value = input.maybe_text();
        headers.set_value(index, keep_value(value));
        plain[index].second = value;
        touched = true;
        break;
      }
      case 3:
        headers.restore();
        plain = native;
        touched = false;
        break;
      case 4: {
        const std::string name = input.text();
        const auto first =
            std::ranges::find_if(plain, [&](const auto& each) { return each.first == name; });
        const Header* const found = headers.find(name);
        require((found != nullptr) == (first != plain.end()));
        if (found != nullptr) require(found->value.has_value() == first->second.has_value());
        require(headers.count(name) ==
                static_cast<std::size_t>(std::ranges::count_if(
                    plain, [&](const auto& each) { return each.first == name; })));
        break;
      }
      default:
        require(same(headers, plain));
    }
    require(headers.untouched() == !touched);
  }
  require(same(headers, plain));
  require(headers.empty() == plain.empty());
  return 0;
}

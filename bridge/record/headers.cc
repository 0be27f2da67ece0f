#include "bridge/record/headers.h"

#include <algorithm>

namespace drawbridge {

void Headers::reset(void* native, Decode decode) {
  items_.clear();
  native_ = native;
  decode_ = decode;
  decoded_ = native == nullptr || decode == nullptr;
  changed_ = native_kept_ = false;
}

const std::vector<Header>& Headers::all() const {
  if (!decoded_) {
    decode_(native_, items_);
    decoded_ = true;
  }
  return items_;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(all(), [&](const Header& header) { return header.name == name; }));
}

const Header* Headers::find(std::string_view name) const {
  const auto& items = all();
  const auto found =
      std::ranges::find_if(items, [&](const Header& header) { return header.name == name; });
  return found == items.end() ? nullptr : &*found;
}

void Headers::append(std::string_view name, std::optional<ByteView> value) {
  static_cast<void>(all());
  items_.push_back({name, value});
  changed_ = true;
}

void Headers::set_value(std::size_t index, std::optional<ByteView> value) {
  static_cast<void>(all());
  items_[index].value = value;
  changed_ = true;
}

std::size_t Headers::remove_all(std::string_view name) {
  static_cast<void>(all());
  const std::size_t removed =
      std::erase_if(items_, [&](const Header& header) { return header.name == name; });
  changed_ = changed_ || removed > 0;
  return removed;
}

}  // namespace drawbridge

// A record's headers: an ordered list with duplicates; a null value is told from an empty one.
//
// Headers are views; whoever fills or changes them keeps the bytes alive as long as the record
// (consumed memory, or the batch's Arena). They are decoded on first use only, since most
// pipelines never look at them, and remember how they were changed, so that a sink can hand
// untouched headers on as they came. Not thread-safe.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "bridge/base/bytes.h"

namespace drawbridge {

struct Header {
  std::string_view name;
  std::optional<ByteView> value;
};

class Headers {
 public:
  // Decodes native headers; appends to `out`.
  using Decode = void (*)(void* native, std::vector<Header>& out);

  Headers() = default;

  // Forgets everything, keeping capacity; `native` may be null (no headers).
  void reset(void* native = nullptr, Decode decode = nullptr);

  [[nodiscard]] const std::vector<Header>& all() const;
  [[nodiscard]] bool empty() const { return all().empty(); }
  [[nodiscard]] std::size_t count(std::string_view name) const;
  // The first header of that name, or nullptr.
  [[nodiscard]] const Header* find(std::string_view name) const;

  void append(std::string_view name, std::optional<ByteView> value);
  // A new value for the header at `index` of all(), which keeps its place.
  void set_value(std::size_t index, std::optional<ByteView> value);
  std::size_t remove_all(std::string_view name);  // how many there were

  // Back to what came. REQUIRES: the native headers were not handed on.
  void restore() { reset(native_, decode_); }
  // The sink must copy these headers, not take the native ones over, so that restore() works.
  void keep_native() { changed_ = native_kept_ = true; }
  [[nodiscard]] bool native_kept() const { return native_kept_; }

  // True when what left equals what came: a sink may pass the native form on.
  [[nodiscard]] bool untouched() const { return !changed_; }
  // True once the native form has been read, so that views into it may be held.
  [[nodiscard]] bool decoded() const { return decoded_; }
  [[nodiscard]] void* native() const { return native_; }

 private:
  mutable std::vector<Header> items_;
  mutable bool decoded_ = true;
  bool changed_ = false;
  bool native_kept_ = false;
  void* native_ = nullptr;
  Decode decode_ = nullptr;
};

}  // namespace drawbridge

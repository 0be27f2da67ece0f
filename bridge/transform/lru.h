// A bounded map that forgets what was used longest ago. Pointers to values stay valid until their
// entry is erased or evicted. Not thread-safe.
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

namespace drawbridge {

// `Hash` and `Same` are transparent: find() takes anything that they take, so that a lookup by
// views makes no copy.
template <typename Key, typename Value, typename Hash, typename Same>
class LruMap {
 public:
  explicit LruMap(std::size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  // The value, now the most recently used; nullptr: not there.
  template <typename Lookup>
  Value* find(const Lookup& key) {
    // Runs of records under one key are the rule.
    if (!order_.empty() && Same{}(order_.front().first, key)) return &order_.front().second;
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }

  // REQUIRES: the key is not there. May evict, never what it returns.
  Value& insert(Key key, Value value) {
    if (index_.size() >= capacity_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, std::move(value));
    index_.emplace(std::move(key), order_.begin());
    return order_.front().second;
  }

  template <typename Lookup>
  void erase(const Lookup& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    order_.erase(found->second);
    index_.erase(found);
  }

  [[nodiscard]] std::size_t size() const { return index_.size(); }

 private:
  using Order = std::list<std::pair<Key, Value>>;

  std::size_t capacity_;
  Order order_;  // most recently used first
  std::unordered_map<Key, typename Order::iterator, Hash, Same> index_;
};

}  // namespace drawbridge

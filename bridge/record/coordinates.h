// Where a record is: strong types for the numbers that must not be swapped.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace drawbridge {

struct Offset {
  std::int64_t value = 0;

  auto operator<=>(const Offset&) const = default;
  [[nodiscard]] Offset next() const { return {value + 1}; }
};

struct Partition {
  std::int32_t value = 0;

  auto operator<=>(const Partition&) const = default;
};

struct TopicPartition {
  std::string topic;
  Partition partition;

  auto operator<=>(const TopicPartition&) const = default;
};

// The last record before a position: enough to recognise it when it is read again, so that a
// recreated or truncated topic is told from the one that was read.
struct Witness {
  Offset offset;
  std::int64_t timestamp_ms = 0;
  std::uint64_t hash = 0;  // record_hash() of the record

  auto operator<=>(const Witness&) const = default;
};

// How far a partition has been copied: everything below `next` is safe on the target, was dropped
// on purpose, or never existed.
struct Position {
  Offset next;
  std::optional<Witness> witness;

  auto operator<=>(const Position&) const = default;
};

}  // namespace drawbridge

template <>
struct std::hash<drawbridge::TopicPartition> {
  std::size_t operator()(const drawbridge::TopicPartition& at) const noexcept {
    return std::hash<std::string>{}(at.topic) * 31 + static_cast<std::size_t>(at.partition.value);
  }
};

// The client library's properties: which there are, which the bridge owns, which are secrets.
//
// Copied from librdkafka 2.0.2's documentation (the oldest version supported), since this room does
// not see the library. A later library knows more; those are added here when they are needed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace drawbridge::config {

enum class PropertyScope : std::uint8_t { kBoth, kConsumer, kProducer };
enum class PropertyType : std::uint8_t {
  kText,
  kInteger,  // from least to most
  kNumber,   // the same with a fraction
  kBool,
  kChoice,  // one of choices, in any case
  kFlags,   // several of choices, separated by commas
  kApi,     // set by calls only
};

struct KafkaProperty {
  std::string_view name;
  std::string_view alias_of;  // another name of that property; empty: its own
  PropertyScope scope;
  PropertyType type;
  std::int64_t least;
  std::int64_t most;
  std::string_view choices;  // "a, b, c"
  bool secret;               // only by reference

  // One name for a property and its aliases.
  [[nodiscard]] std::string_view canonical() const { return alias_of.empty() ? name : alias_of; }
};

// All, sorted by name.
std::span<const KafkaProperty> kafka_properties();
const KafkaProperty* find_kafka_property(std::string_view name);  // nullptr: there is none

// Why a property cannot be set, where the bridge sets it itself or cannot work with it; the text
// follows "`name` cannot be set: ".
std::optional<std::string_view> why_owned(std::string_view name);

// Does the value name a file? (A directory, for ssl.ca.location.)
bool names_file(std::string_view name, std::string_view value);

// What is wrong with a value, as "expects ..."; nullopt: nothing.
std::optional<std::string> check_property(const KafkaProperty& property, std::string_view value);

}  // namespace drawbridge::config

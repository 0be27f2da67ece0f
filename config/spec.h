// Specs of the configuration: which keys there are, of which type, with which default.
//
// One source for reading, lint, `echo`, `list`, the JSON schema and the reference page, as
// bridge/transform/spec.h is for transforms, whose field types it shares.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/transform/spec.h"
#include "config/kafka_properties.h"

namespace drawbridge::config {

enum class Shape : std::uint8_t {
  kField,    // a value, as FieldSpec says
  kSection,  // a map with the section's keys
  kSwitch,   // false, true (the section's defaults), or the section
  kNamed,    // a map from names to sections
  kVariant,  // one of the variants: a bare word, or a map of one entry, word to section
  kSteps,    // a list of transforms
};

// What a value must be beyond its type.
enum class Rule : std::uint8_t {
  kNone,
  kName,        // letters, digits, . _ -
  kServers,     // host:port, host:port
  kCluster,     // a name under clusters
  kTopics,      // topic names and expressions
  kTemplate,    // a topic template
  kStart,       // earliest, latest or a time
  kSecret,      // a reference, never a literal; see secrets.h
  kSecretable,  // a literal or a reference
  kCredential,  // a path, or ${cred:NAME}
  kVariables,   // names of environment variables
};

// Defaults that depend on the rest of the configuration.
enum class Computed : std::uint8_t { kNone, kGroup, kDataset, kDeadLetterCluster, kStateDirectory };

struct SectionSpec;

struct VariantSpec {
  std::string name;
  std::string summary;
  const SectionSpec* section = nullptr;  // null: a bare word
};

// `field`: name, summary, default and required hold for every shape. A default is YAML text that
// stands for an absent key; without one an absent key stays absent. For a list, `choices` are what
// its items can be.
struct KeySpec {
  FieldSpec field;
  Shape shape = Shape::kField;
  Rule rule = Rule::kNone;
  Computed computed = Computed::kNone;
  std::string computed_text = {};        // how the reference page writes that default
  const SectionSpec* section = nullptr;  // kSection, kSwitch, kNamed
  std::vector<VariantSpec> variants = {};
};

// Where the client library's properties pass through, and for which client.
enum class PropertiesFor : std::uint8_t { kNone, kCluster, kSource, kTarget };

// May a property stand in such a section? Whether the bridge owns it is another question.
bool property_belongs(const KafkaProperty& property, PropertiesFor where);

struct SectionSpec {
  std::string title;    // of the reference page
  std::string summary;  // a sentence or two
  std::vector<KeySpec> keys;
  PropertiesFor properties = PropertiesFor::kNone;
  std::string shorthand = {};  // a plain value stands for this key's value
  bool one_of = false;         // exactly one of the keys

  [[nodiscard]] const KeySpec* find(std::string_view name) const;  // nullptr: none
};

const SectionSpec& configuration_spec();

// Every section once, parents first, for the reference page.
std::vector<const SectionSpec*> all_sections();

}  // namespace drawbridge::config

// Checks a YAML tree against the specs and writes it out in full: defaults filled in, keys in the
// specs' order.
//
// What is checked here concerns one value, or a name that must stand elsewhere in the file. What
// concerns several values together is linted on the result (assemble.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bridge/transform/spec.h"
#include "config/problems.h"
#include "config/spec.h"
#include "config/yaml_tree.h"

namespace drawbridge::config {

// Reads one document. Every name under `pipelines` (and so on) whose section has errors is left
// out of the result, so that what remains is whole.
class Reader {
 public:
  // Both must outlive the Reader.
  Reader(const TransformCatalogue& catalogue, Problems& problems);

  // null where the root is not a map.
  NodePtr read(const NodePtr& root);

 private:
  using Names = std::vector<std::string>;

  NodePtr section(const Node& node, const SectionSpec& spec, const std::string& path);
  void entry(const Node::Entry& entry, const SectionSpec& spec, const std::string& path,
             Node& result);
  void absent(const KeySpec& key, const Node& node, const std::string& path, Node& result);
  void unknown(const Node::Entry& entry, const SectionSpec& spec, const std::string& path);
  // Values by shape; null after a problem.
  NodePtr value(const NodePtr& node, const KeySpec& key, const std::string& path);
  NodePtr named(const Node& node, const KeySpec& key, const std::string& path);
  NodePtr variant(const Node& node, const KeySpec& key, const std::string& path);
  NodePtr steps(const Node& node, const std::string& path);
  NodePtr step(const Node& node, const std::string& path);
  // Fields, of the configuration and of transforms alike.
  NodePtr field(const NodePtr& node, const FieldSpec& spec, Rule rule, const std::string& path);
  bool check_type(const Node& node, const FieldSpec& spec, Rule rule, const std::string& path);
  bool check_rule(const Node& node, Rule rule, const std::string& path);
  bool check_reference(const Node& node, const Names& names, std::string_view what,
                       const std::string& path);
  NodePtr property(const Node::Entry& entry, const SectionSpec& spec, const std::string& path);
  std::optional<std::string> computed(Computed how) const;

  void expected(const Node& node, const std::string& path, const std::string& what,
                bool secret = false);

  const TransformCatalogue& catalogue_;
  Problems& problems_;
  Names clusters_;     // declared, whole or not
  Names key_domains_;  // the same
  // Of the file, for rules and defaults that look around.
  std::string daemon_name_;
  std::string pipeline_;        // being read
  std::string source_cluster_;  // of that pipeline, as written
  std::string target_cluster_;  // the same
};

}  // namespace drawbridge::config

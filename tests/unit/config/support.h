// What the tests of this room share.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "transforms/catalogue.h"

namespace drawbridge {

inline const TransformCatalogue& test_catalogue() {
  static const TransformCatalogue catalogue = built_in_transforms();
  return catalogue;
}

// "LINE:COL: message" of each; empty where there are none.
inline std::vector<std::string> problems_of(const std::string& text,
                                            LoadOptions options = {.resolve_secrets = true}) {
  std::vector<std::string> result;
  const auto loaded = parse_configuration(text, "f", test_catalogue(), options);
  if (loaded) return result;
  for (const Problem& problem : loaded.error()) result.push_back(problem.text().substr(2));
  return result;
}

// Two clusters and two key domains, on three lines; tests add `pipelines`.
inline const std::string kClusters =
    "clusters: {a: {bootstrap.servers: \"a:9092\"}, b: {bootstrap.servers: \"b:9092\"}}\n"
    "key_domains: {k: {keyring: {file: k.keys, key: one}}, l: {keyring: {file: l.keys, key: "
    "two}}}\n"
    "pipelines:\n";

}  // namespace drawbridge

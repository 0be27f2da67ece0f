// What the specs say, written out: reference pages, a JSON schema for editors, a list.
//
// The pages are committed under config/reference/; a test holds them to this text. To write them
// again: `drawbridge reference NAME > config/reference/NAME.md`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/result.h"
#include "bridge/transform/spec.h"

namespace drawbridge {

// "configuration", "errors", "transforms".
const std::vector<std::string>& reference_pages();
// Markdown. Errors: kNotFound, no such page.
Result<std::string> reference_page(std::string_view name, const TransformCatalogue& catalogue);

// JSON Schema, draft 2020-12, for completion and checks in an editor.
std::string json_schema(const TransformCatalogue& catalogue);

// Transforms and kinds of key domains with their summaries: lines for people, or a JSON array of
// {kind, name, summary, fields}.
std::string list_components(const TransformCatalogue& catalogue);
std::string list_components_json(const TransformCatalogue& catalogue);

}  // namespace drawbridge

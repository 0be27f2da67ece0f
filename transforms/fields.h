// Configuration fields that the envelope transforms share, and what they mean.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/transform/dek_source.h"
#include "bridge/transform/key_service.h"
#include "bridge/transform/sealed_record.h"
#include "bridge/transform/spec.h"

namespace drawbridge {

FieldSpec dataset_field();
FieldSpec tenant_field();
FieldSpec tombstones_field(std::string summary);
// `note` ends the summaries ("with mode: reencrypt only"). None has a default in the spec, so that
// validate() can tell whether it was written; the functions below fill it in.
std::vector<FieldSpec> sealing_fields(std::string_view note);
std::vector<std::string_view> sealing_field_names();

// The scope: `dataset`, or the pipeline's; `tenant`, or none. Errors: kInvalid.
Result<Scope> scope_of(const FieldValues& values, const KeyService& keys);
// Bounds of `dataset` and `tenant`, where written. For validate().
std::vector<FieldProblem> check_scope_fields(const FieldValues& values);
Tombstones tombstones_of(const FieldValues& values);
Suite suite_of(const FieldValues& values);
RotationLimits rotation_of(const FieldValues& values);
bool inline_of(const FieldValues& values);
// The caches in front of these domains. Errors: kInvalid, an unknown one.
Result<std::vector<std::shared_ptr<KeyCache>>> caches_of(const std::vector<std::string>& domains,
                                                         KeyService& keys);

}  // namespace drawbridge

// The headers that tell why a record is in a dead-letter topic. No payload text, no key material.
#pragma once

#include <array>
#include <string_view>

#include "bridge/pipeline/options.h"
#include "bridge/record/arena.h"
#include "bridge/record/record.h"

namespace drawbridge {

inline constexpr std::string_view kDeadLetterPrefix = "drawbridge.dead-letter.";
inline constexpr std::string_view kDeadLetterCluster = "drawbridge.dead-letter.cluster";
inline constexpr std::string_view kDeadLetterTopic = "drawbridge.dead-letter.topic";
inline constexpr std::string_view kDeadLetterPartition = "drawbridge.dead-letter.partition";
inline constexpr std::string_view kDeadLetterOffset = "drawbridge.dead-letter.offset";
inline constexpr std::string_view kDeadLetterPipeline = "drawbridge.dead-letter.pipeline";
inline constexpr std::string_view kDeadLetterTransform = "drawbridge.dead-letter.transform";
inline constexpr std::string_view kDeadLetterError = "drawbridge.dead-letter.error";
inline constexpr std::string_view kDeadLetterMessage = "drawbridge.dead-letter.message";

// All of them, in the order in which they are appended.
inline constexpr std::array kDeadLetterHeaders{
    kDeadLetterCluster,  kDeadLetterTopic,     kDeadLetterPartition, kDeadLetterOffset,
    kDeadLetterPipeline, kDeadLetterTransform, kDeadLetterError,     kDeadLetterMessage};

// `failed_in`: the transform, or where else. Bytes go into `arena`.
void append_dead_letter_headers(Record& record, const PipelineOptions& pipeline,
                                std::string_view failed_in, const Error& error, Arena& arena);

}  // namespace drawbridge

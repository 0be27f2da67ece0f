#include "bridge/pipeline/dead_letter.h"

#include <string>

namespace drawbridge {

void append_dead_letter_headers(Record& record, const PipelineOptions& pipeline,
                                std::string_view failed_in, const Error& error, Arena& arena) {
  const auto add = [&](std::string_view name, std::string_view text) {
    record.headers.append(name, as_bytes(arena.copy(text)));
  };
  add(kDeadLetterCluster, pipeline.source.name);
  add(kDeadLetterTopic, record.topic);
  add(kDeadLetterPartition, std::to_string(record.partition.value));
  add(kDeadLetterOffset, std::to_string(record.offset.value));
  add(kDeadLetterPipeline, pipeline.name);
  add(kDeadLetterTransform, failed_in);
  add(kDeadLetterError, name_of(error.code));
  add(kDeadLetterMessage, error.message);
}

}  // namespace drawbridge

// What one pipeline needs of its clusters and of the checkpoint store. Looks only: nothing is
// created, written or committed. Each question to a cluster takes 10 seconds at most.
#pragma once

#include <cstdint>

#include "bridge/app/check_report.h"
#include "bridge/checkpoint/store.h"
#include "bridge/pipeline/options.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge {

// `store` is null where there is none, or where the daemon holds it. REQUIRES: both clusters
// have just answered.
void check_pipeline(const PipelineOptions& pipeline, Connector& connector, CheckpointStore* store,
                    CheckReport& report);

// What sealing by the pipeline's transforms adds to a record: value, headers and their framing.
// 0 where nothing is sealed.
std::int64_t envelope_overhead(const PipelineOptions& pipeline);

}  // namespace drawbridge

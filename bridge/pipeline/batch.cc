#include "bridge/pipeline/ports.h"

namespace drawbridge {

Record& Batch::add() {
  if (size == records.size()) records.emplace_back();
  Record& record = records[size++];
  record.key.reset();
  record.value.reset();
  record.headers.reset();
  record.target_topic = {};
  record.target_partition.reset();
  record.native = nullptr;
  return record;
}

void Batch::clear() {
  for (void* message : messages) free_message(message);
  messages.clear();
  size = 0;
  events.clear();
  arena.reset();
  unreleased = 0;
  charged_bytes = 0;
}

}  // namespace drawbridge

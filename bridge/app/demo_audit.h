// The demo's proof: every record of the sources is looked for in the copies, opened and compared.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/app/demo_world.h"
#include "bridge/app/kept_record.h"

namespace drawbridge {

struct CopyAudit {
  std::string_view department;
  std::string_view mode;
  std::size_t expected = 0;
  std::size_t found = 0;         // different records
  std::size_t twice = 0;         // copied again after the crash
  std::size_t lost = 0;          // in the source and not in the copy
  std::size_t altered = 0;       // key, value, header, time or partition is not the source's
  std::size_t out_of_order = 0;  // first copies that came before their predecessors'
  std::size_t same_bytes = 0;    // values that are the source's, byte for byte

  [[nodiscard]] bool good() const { return lost + altered + out_of_order == 0; }
};

struct Audit {
  std::vector<CopyAudit> copies;
  // One record, as it stands in each topic: the source's under "", the copies' under their mode.
  std::map<std::string, KeptRecord, std::less<>> sample;
};

// Reads all topics to their ends. `sent`: how many records the sources hold; `sample`: the number
// of the record to keep. Errors: those of reading and of the key stores.
Result<Audit> audit_copies(DemoWorld& world, std::size_t sent, std::size_t sample);

}  // namespace drawbridge

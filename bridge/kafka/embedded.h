// A Kafka cluster inside the process, for the demo and for tests: the client library's mock. It
// keeps a few megabytes per partition, forgets everything at its end, and knows no
// administration. It is no broker to rely on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bridge/base/result.h"

namespace drawbridge::kafka {

class EmbeddedCluster {
 public:
  // Errors: kInternal.
  static Result<std::unique_ptr<EmbeddedCluster>> start(int brokers = 1);
  virtual ~EmbeddedCluster() = default;

  [[nodiscard]] virtual std::string bootstrap_servers() const = 0;
  virtual Result<void> create_topic(const std::string& name, std::int32_t partitions) = 0;
};

}  // namespace drawbridge::kafka

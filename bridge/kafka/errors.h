// The client library's error codes in the project's own terms: one row per code, held complete
// against the library's own list by a test. A code without a row is kInternal, whose class stops
// the pipeline: what nobody has thought about is not retried.
#pragma once

#include <librdkafka/rdkafka.h>

#include <span>
#include <string_view>

#include "bridge/base/result.h"

namespace drawbridge::kafka {

struct ErrorMapping {
  rd_kafka_resp_err_t error;
  ErrorCode code;
};

std::span<const ErrorMapping> all_mappings();
ErrorCode code_of(rd_kafka_resp_err_t error);

// As code_of(), told more by the library's text: a TLS failure is either an unclean close, which
// passes, or a certificate that is refused, which does not.
ErrorCode code_of(rd_kafka_resp_err_t error, std::string_view reason);

// "<what>: <the library's description>[: reason]".
Error make_error(rd_kafka_resp_err_t error, std::string_view what, std::string_view reason = {});

}  // namespace drawbridge::kafka

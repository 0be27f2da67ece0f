// Errors: one type for the whole program.
//
// An Error has a code, which decides what happens next, and a message, which tells a person what
// is wrong and what to do. Messages never hold payloads, key material or secrets.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace drawbridge {

enum class ErrorCode : std::uint8_t {
  // Usage, configuration, local state.
  kInvalid,     // malformed input: configuration, arguments, a file's format
  kNotFound,    // a file, topic or name that should exist does not
  kExists,      // something that should not exist does
  kPermission,  // the operating system refuses, or a file's mode is unsafe
  kIo,          // a system call failed
  kFull,        // disk or map full
  kCorrupt,     // stored state is damaged
  kForeign,     // stored state belongs to another daemon, or is newer than this program
  kLocked,      // another process holds the lock
  kLedger,
  // Kafka.
  kUnavailable,     // transport, leader change, not enough replicas: passes by itself
  kAuthentication,  // the cluster refuses who we are
  kAuthorization,   // the cluster refuses what we do
  kUnknownTopic,    // the topic or partition does not exist
  kTooLarge,        // the record exceeds the target's limit
  kBadTimestamp,    // the target refuses the record's timestamp
  kRefused,         // the target refuses the record itself (no key on a compacted topic)
  kUnsendable,      // the client library cannot express the record (timestamp 0, NUL in a name)
  kPartition,       // the target lacks the source's partition and the policy is `error`
  kGap,             // source offsets between the checkpoint and the log are gone
  kFenced,          // another producer took our place
  kClientFatal,     // the client instance is unusable; a new one must be made
  kCancelled,       // taken back before it was sent (purge, shutdown)
  // Key stores.
  kKeyDenied,       // the store refuses this caller
  kKeyNotFound,     // no such key
  kKeyDisabled,     // the key is disabled or pending deletion
  kKeyThrottled,    // the store's quota is spent
  kKeyUnavailable,  // the store does not answer, or its credentials expired
  // Envelopes and transforms.
  kEnvelopeMissing,      // plaintext where an envelope is required
  kEnvelopeUnexpected,   // an envelope where plaintext is required
  kEnvelopeMalformed,    // not a well-formed envelope
  kEnvelopeUnsupported,  // version, suite or format that is not accepted here
  kEnvelopeForeign,      // key domain, KEK reference, dataset or tenant not on the allow-list
  kEnvelopeTampered,     // commitment, context or tag does not verify
  kTransform,            // a transform cannot process this record
  kInternal,             // a broken invariant: a bug
};

// What the program does about an error.
enum class ErrorClass : std::uint8_t {
  kRetry,     // try again for ever, with back-off and a log line; nothing is lost
  kPause,     // the shard pauses, says so, consumes nothing, and tries again
  kRecord,    // this record goes to the pipeline's failure policy
  kPipeline,  // the pipeline fails; it restarts with back-off where the cause can pass
  kStop,      // the pipeline fails and stays failed until a person acts
};

// One row per code: its stable name (dead letters, logs, metrics), class, and what to do.
// The reference page config/reference/errors.md is generated from this table.
struct ErrorInfo {
  ErrorCode code;
  std::string_view name;
  ErrorClass error_class;
  std::string_view meaning;
  std::string_view remedy;
};

const ErrorInfo& info(ErrorCode code);
std::span<const ErrorInfo> all_errors();
inline std::string_view name_of(ErrorCode code) { return info(code).name; }
inline ErrorClass class_of(ErrorCode code) { return info(code).error_class; }
std::string_view name_of(ErrorClass error_class);

struct Error {
  ErrorCode code;
  std::string message;
};

}  // namespace drawbridge

#include "bridge/base/error.h"

#include <array>

namespace drawbridge {
namespace {

using enum ErrorCode;
using enum ErrorClass;

// Ordered as the enumeration; a test holds the two together.
constexpr std::array kTable{
    ErrorInfo{kInvalid, "invalid", kStop, "malformed configuration, argument or file",
              "correct what the message names"},
    ErrorInfo{kNotFound, "not-found", kStop, "a file, topic or name does not exist",
              "create it, or correct the name"},
    ErrorInfo{kExists, "exists", kStop, "something exists that should not",
              "remove it, or choose another name"},
    ErrorInfo{kPermission, "permission", kStop, "the operating system refuses access",
              "correct owner and mode as the message says"},
    ErrorInfo{kIo, "io", kPause, "a system call failed",
              "look at the disk and the kernel log; the bridge tries again"},
    ErrorInfo{kFull, "full", kPause, "the disk or the checkpoint map is full",
              "free space; the bridge goes on by itself"},
    ErrorInfo{kCorrupt, "corrupt", kStop, "stored state is damaged",
              "restore it, or remove it: positions then come from the consumer group"},
    ErrorInfo{kForeign, "foreign", kStop, "stored state is of another daemon or a newer version",
              "point state-directory elsewhere, or run the version that wrote it"},
    ErrorInfo{kLocked, "locked", kStop,
              "another process holds the state directory, or the pipeline",
              "stop whoever holds it; a second daemon needs a state-directory of its own"},
    ErrorInfo{kLedger, "ledger", kPipeline, "the ledger on the target holds what is not a ledger's",
              "find who writes to it; what to do about the record, the message says"},
    ErrorInfo{kUnavailable, "unavailable", kRetry, "a broker cannot be reached or is electing",
              "nothing, if it passes; otherwise check brokers and network"},
    ErrorInfo{kAuthentication, "authentication", kPipeline, "the cluster refuses the credentials",
              "correct the cluster's security settings; the pipeline restarts with back-off"},
    ErrorInfo{kAuthorization, "authorization", kPipeline, "the cluster refuses the operation",
              "grant the right that the message names; the pipeline restarts with back-off"},
    ErrorInfo{kUnknownTopic, "unknown-topic", kPipeline, "the topic or partition does not exist",
              "check its name; on the target: create it, or set create-topics"},
    ErrorInfo{kTooLarge, "too-large", kRecord, "the record exceeds the target's max.message.bytes",
              "raise the topic's max.message.bytes; a running pipeline reads it again about once a "
              "minute"},
    ErrorInfo{kBadTimestamp, "bad-timestamp", kRecord, "the target refuses the record's timestamp",
              "raise the topic's message.timestamp.{before,after}.max.ms"},
    ErrorInfo{kRefused, "refused", kRecord, "the target refuses the record itself",
              "see the broker's reason: a compacted topic, say, takes no record without a key"},
    ErrorInfo{kUnsendable, "unsendable", kRecord, "the client library cannot express the record",
              "set unsendable: adapt to send the nearest that it can, counted"},
    ErrorInfo{kPartition, "partition", kRecord, "the target topic lacks the source's partition",
              "add partitions to the target, or set partitions: key-hash"},
    ErrorInfo{kGap, "gap", kStop, "source records between checkpoint and log are gone",
              "decide: on-gap: earliest goes on, drawbridge offsets reset moves the checkpoint"},
    ErrorInfo{kFenced, "fenced", kPipeline, "another producer took this one's place",
              "stop the other instance"},
    ErrorInfo{kClientFatal, "client-fatal", kRetry, "the client instance became unusable",
              "nothing: a new one is made and resumes from the checkpoint"},
    ErrorInfo{kCancelled, "cancelled", kRetry, "taken back before it was sent", "nothing"},
    ErrorInfo{kKeyDenied, "key-denied", kPause, "the key store refuses this caller",
              "grant the use of the key; the shard waits"},
    ErrorInfo{kKeyNotFound, "key-not-found", kRecord, "the key store has no such key",
              "restore the key, or correct the key domain"},
    ErrorInfo{kKeyDisabled, "key-disabled", kPause, "the key is disabled or pending deletion",
              "enable the key; the shard waits"},
    ErrorInfo{kKeyThrottled, "key-throttled", kPause, "the key store's quota is spent",
              "nothing, if it passes; otherwise raise the quota"},
    ErrorInfo{kKeyUnavailable, "key-unavailable", kPause, "the key store does not answer",
              "check the store, the network and the credentials; the shard waits"},
    ErrorInfo{kEnvelopeMissing, "envelope-missing", kRecord,
              "a value in clear where an envelope is required",
              "find the producer that writes in clear, or correct require"},
    ErrorInfo{kEnvelopeUnexpected, "envelope-unexpected", kRecord,
              "an envelope where a value in clear is expected", "decrypt first, or use rekey"},
    ErrorInfo{kEnvelopeMalformed, "envelope-malformed", kRecord, "not a well-formed envelope",
              "inspect the record (drawbridge inspect)"},
    ErrorInfo{kEnvelopeUnsupported, "envelope-unsupported", kRecord,
              "format, version or suite that is not accepted here",
              "list it under require, or upgrade the bridge"},
    ErrorInfo{kEnvelopeForeign, "envelope-foreign", kRecord,
              "key domain, KEK, dataset or tenant that is not allowed here",
              "correct the pipeline's key domain or dataset, or find who wrote the record"},
    ErrorInfo{kEnvelopeTampered, "envelope-tampered", kRecord,
              "commitment, context or tag does not verify",
              "see first that the key domain's keyring or KEK is the one that it was sealed with: "
              "another of the same name looks the same; otherwise treat as damage or attack, and "
              "find where the record was changed"},
    ErrorInfo{kTransform, "transform", kRecord, "a transform cannot process the record",
              "inspect the record and the transform's settings"},
    ErrorInfo{kInternal, "internal", kStop, "a broken invariant", "report it as a bug"},
};
static_assert(kTable.size() == static_cast<std::size_t>(ErrorCode::kInternal) + 1);

}  // namespace

const ErrorInfo& info(ErrorCode code) { return kTable[static_cast<std::size_t>(code)]; }

std::span<const ErrorInfo> all_errors() { return kTable; }

std::string_view name_of(ErrorClass error_class) {
  switch (error_class) {
    case kRetry:
      return "retry";
    case kPause:
      return "pause";
    case kRecord:
      return "record";
    case kPipeline:
      return "pipeline";
    case kStop:
      return "stop";
  }
  return "stop";
}

}  // namespace drawbridge

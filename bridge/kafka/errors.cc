#include "bridge/kafka/errors.h"

#include <algorithm>
#include <array>

namespace drawbridge::kafka {
namespace {

using enum ErrorCode;

constexpr std::array kTable{
    // The library's own.
    ErrorMapping{RD_KAFKA_RESP_ERR__BEGIN, kInternal},  // a marker, never raised
    ErrorMapping{RD_KAFKA_RESP_ERR__BAD_MSG, kCorrupt},
    ErrorMapping{RD_KAFKA_RESP_ERR__BAD_COMPRESSION, kCorrupt},
    ErrorMapping{RD_KAFKA_RESP_ERR__DESTROY, kCancelled},
    ErrorMapping{RD_KAFKA_RESP_ERR__FAIL, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__TRANSPORT, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, kIo},
    ErrorMapping{RD_KAFKA_RESP_ERR__RESOLVE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__PARTITION_EOF, kInternal},  // an event of the feed, no error
    ErrorMapping{RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, kUnknownTopic},
    ErrorMapping{RD_KAFKA_RESP_ERR__FS, kIo},
    ErrorMapping{RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, kUnknownTopic},
    ErrorMapping{RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__INVALID_ARG, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR__TIMED_OUT, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__QUEUE_FULL, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__ISR_INSUFF, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__NODE_UPDATE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__SSL, kUnavailable},  // see code_of() with a reason
    ErrorMapping{RD_KAFKA_RESP_ERR__WAIT_COORD, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__UNKNOWN_GROUP, kNotFound},
    ErrorMapping{RD_KAFKA_RESP_ERR__IN_PROGRESS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__EXISTING_SUBSCRIPTION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__CONFLICT, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__STATE, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__UNKNOWN_PROTOCOL, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__AUTHENTICATION, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR__NO_OFFSET, kNotFound},
    ErrorMapping{RD_KAFKA_RESP_ERR__OUTDATED, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR__WAIT_CACHE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__INTR, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__KEY_SERIALIZATION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__VALUE_SERIALIZATION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__KEY_DESERIALIZATION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__VALUE_DESERIALIZATION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__PARTIAL, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__READ_ONLY, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__NOENT, kNotFound},
    ErrorMapping{RD_KAFKA_RESP_ERR__UNDERFLOW, kCorrupt},
    ErrorMapping{RD_KAFKA_RESP_ERR__INVALID_TYPE, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__RETRY, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__PURGE_QUEUE, kCancelled},
    ErrorMapping{RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, kCancelled},
    ErrorMapping{RD_KAFKA_RESP_ERR__FATAL, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR__INCONSISTENT, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR__UNKNOWN_BROKER, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR__NOT_CONFIGURED, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__FENCED, kFenced},
    ErrorMapping{RD_KAFKA_RESP_ERR__APPLICATION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__NOOP, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, kGap},
    ErrorMapping{RD_KAFKA_RESP_ERR__END, kInternal},  // a marker, never raised

    // The broker's.
    ErrorMapping{RD_KAFKA_RESP_ERR_UNKNOWN, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_NO_ERROR, kInternal},  // asking for its code is a bug
    ErrorMapping{RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, kGap},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_MSG, kUnavailable},  // damaged on the wire: sent again
    ErrorMapping{RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, kUnknownTopic},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, kTooLarge},
    ErrorMapping{RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_NOT_COORDINATOR, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, kTooLarge},
    ErrorMapping{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, kInvalid},
    // A commit to a group that has members: somebody else consumes with our group's name.
    ErrorMapping{RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, kFenced},
    ErrorMapping{RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_GROUP_ID, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, kFenced},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, kAuthorization},
    ErrorMapping{RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, kAuthorization},
    ErrorMapping{RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, kAuthorization},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, kBadTimestamp},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, kExists},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_REPLICA_ASSIGNMENT, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_CONFIG, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_NOT_CONTROLLER, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_REQUEST, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_POLICY_VIOLATION, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED, kFenced},
    ErrorMapping{RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, kAuthorization},
    ErrorMapping{RD_KAFKA_RESP_ERR_SECURITY_DISABLED, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_OPERATION_NOT_ATTEMPTED, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_LOG_DIR_NOT_FOUND, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, kClientFatal},
    ErrorMapping{RD_KAFKA_RESP_ERR_REASSIGNMENT_IN_PROGRESS, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTH_DISABLED, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_NOT_FOUND, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_OWNER_MISMATCH, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_EXPIRED, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_PRINCIPAL_TYPE, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP, kExists},
    ErrorMapping{RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND, kNotFound},
    ErrorMapping{RD_KAFKA_RESP_ERR_FETCH_SESSION_ID_NOT_FOUND, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_FETCH_SESSION_EPOCH, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_TOPIC_DELETION_DISABLED, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_STALE_BROKER_EPOCH, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_MEMBER_ID_REQUIRED, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, kFenced},
    ErrorMapping{RD_KAFKA_RESP_ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_ELECTION_NOT_NEEDED, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_NO_REASSIGNMENT_IN_PROGRESS, kInvalid},
    ErrorMapping{RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC, kExists},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_RECORD, kRefused},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, kUnavailable},
    ErrorMapping{RD_KAFKA_RESP_ERR_PRODUCER_FENCED, kFenced},
    ErrorMapping{RD_KAFKA_RESP_ERR_RESOURCE_NOT_FOUND, kNotFound},
    ErrorMapping{RD_KAFKA_RESP_ERR_DUPLICATE_RESOURCE, kExists},
    ErrorMapping{RD_KAFKA_RESP_ERR_UNACCEPTABLE_CREDENTIAL, kAuthentication},
    ErrorMapping{RD_KAFKA_RESP_ERR_INCONSISTENT_VOTER_SET, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR_INVALID_UPDATE_VERSION, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR_FEATURE_UPDATE_FAILED, kInternal},
    ErrorMapping{RD_KAFKA_RESP_ERR_PRINCIPAL_DESERIALIZATION_FAILURE, kAuthentication},
};

}  // namespace

std::span<const ErrorMapping> all_mappings() { return kTable; }

ErrorCode code_of(rd_kafka_resp_err_t error) {
  const auto row = std::ranges::find(kTable, error, &ErrorMapping::error);
  return row == kTable.end() ? kInternal : row->code;
}

ErrorCode code_of(rd_kafka_resp_err_t error, std::string_view reason) {
  // OpenSSL's words for a certificate or protocol that one side refuses, as against a connection
  // that was closed without farewell.
  if ((error == RD_KAFKA_RESP_ERR__SSL || error == RD_KAFKA_RESP_ERR__TRANSPORT) &&
      (reason.find("verify failed") != reason.npos || reason.find(" alert ") != reason.npos ||
       reason.find("handshake failure") != reason.npos ||
       reason.find("wrong version number") != reason.npos))
    return kAuthentication;
  return code_of(error);
}

Error make_error(rd_kafka_resp_err_t error, std::string_view what, std::string_view reason) {
  std::string message = fmt::format("{}: {}", what, rd_kafka_err2str(error));
  if (!reason.empty() && message.find(reason) == message.npos)
    fmt::format_to(std::back_inserter(message), ": {}", reason);
  return {code_of(error, reason), std::move(message)};
}

}  // namespace drawbridge::kafka

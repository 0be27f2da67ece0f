#include "bridge/pipeline/shard_ledger.h"

#include <algorithm>
#include <cstring>
#include <variant>

#include "bridge/base/secret.h"

namespace drawbridge {
namespace {

Error unreadable(const LedgerRecord& record, const Error& error) {
  // A newer program's is nobody's mistake.
  if (error.code == ErrorCode::kForeign && is_ledger_key(record.key)) return error;
  std::string key;
  for (const std::uint8_t byte : record.key) key += fmt::format("{:02x}", byte);
  return {ErrorCode::kLedger,
          fmt::format("the ledger's record of key (hexadecimal) {} cannot be read: {}. {}",
                      key.empty() ? "none" : key, error.message,
                      is_ledger_key(record.key)
                          ? "It was damaged or deleted: restore the topic, or say with drawbridge "
                            "offsets reset where to go on under another pipeline name"
                          : "It is not drawbridge's: write a record of this key without a value "
                            "to the partition, and it is passed over")};
}

}  // namespace

Result<LedgerContents> decode_contents(std::span<const LedgerRecord> records) {
  std::map<ByteView, const LedgerRecord*, decltype([](ByteView a, ByteView b) {
             return std::ranges::lexicographical_compare(a, b);
           })>
      newest;  // compaction comes when it likes
  for (const LedgerRecord& record : records) newest.insert_or_assign(record.key, &record);
  LedgerContents contents;
  for (const auto& [key, record] : newest) {
    if (record->value.empty() && !key.empty() && !is_ledger_key(key)) continue;
    auto decoded = decode_ledger(record->key, record->value);
    if (!decoded) return fail(unreadable(*record, decoded.error()));
    LedgerEntry& entry = *decoded;
    if (auto* said = std::get_if<LedgerHeader>(&entry)) {
      contents.header = std::move(*said);
      continue;
    }
    auto& position = std::get<LedgerPosition>(entry);
    contents.sequence = std::max(contents.sequence, position.sequence);
    contents.positions.push_back(std::move(position));
  }
  if (!contents.header && !contents.positions.empty()) {
    return fail(ErrorCode::kLedger,
                "the ledger has positions and no header: somebody has written to it, or deleted "
                "from it");
  }
  return contents;
}

std::string moved_where(const LedgerHeader& header) {
  std::string where = fmt::format("epoch {}", header.moved_to.value_or(0));
  if (header.renamed_to) {
    where += fmt::format(" of pipeline {} of daemon {}", header.renamed_to->pipeline,
                         header.renamed_to->daemon);
  }
  return where;
}

Result<void> check_header(const LedgerHeader& header, const LedgerIdentity& expected) {
  if (header.daemon != expected.daemon || header.pipeline != expected.pipeline ||
      header.epoch != expected.epoch) {
    return fail(ErrorCode::kForeign,
                "the ledger is of daemon {}, pipeline {}, epoch {}, not of daemon {}, pipeline {}, "
                "epoch {}: choose another daemon.name or pipeline name",
                header.daemon, header.pipeline, header.epoch, expected.daemon, expected.pipeline,
                expected.epoch);
  }
  if (header.moved_to) {
    return fail(ErrorCode::kInvalid,
                "the ledger of epoch {} is closed: pipeline {} was moved to {}; start the daemon "
                "again, with the number of shards that it was moved to{}",
                header.epoch, expected.pipeline, moved_where(header),
                header.renamed_to ? " and under that name" : "");
  }
  if (header.shards != expected.shards) {
    return fail(ErrorCode::kInvalid,
                "pipeline {} runs with {} shards and is configured with {}: set shards: {}, or "
                "change the number with drawbridge offsets reshard",
                expected.pipeline, header.shards, expected.shards, header.shards);
  }
  return {};
}

Result<void> ShardLedger::make_header() {
  DRAWBRIDGE_ASSIGN(const SecretBytes random,
                    SecretBytes::random(sizeof header_.hash_seed + header_.digest_key.size()));
  ByteView bytes = random.reveal(SecretAccess());
  std::memcpy(&header_.hash_seed, bytes.data(), sizeof header_.hash_seed);
  bytes = bytes.subspan(sizeof header_.hash_seed);
  std::ranges::copy(bytes, header_.digest_key.begin());
  header_.daemon = identity_.daemon;
  header_.pipeline = identity_.pipeline;
  header_.epoch = identity_.epoch;
  header_.shards = identity_.shards;
  return {};
}

Result<void> ShardLedger::read(std::span<const LedgerRecord> records) {
  DRAWBRIDGE_ASSIGN(LedgerContents contents, decode_contents(records));
  std::optional<LedgerHeader>& header = contents.header;
  std::map<TopicPartition, LedgerPosition> positions;
  bool other_cluster = false;
  sequence_ = std::max(sequence_, contents.sequence);
  for (LedgerPosition& position : contents.positions) {
    if (position.cluster_id != identity_.cluster_id) {
      other_cluster = true;
      continue;
    }
    positions.insert_or_assign(position.at, std::move(position));
  }
  if (header) {
    DRAWBRIDGE_TRY(check_header(*header, identity_));
    header_ = std::move(*header);
  } else if (identity_.epoch > 1) {
    return fail(ErrorCode::kInvalid,
                "the ledger of epoch {} has no header: the move of pipeline {} to it was not "
                "finished. Nothing is copied, since what was copied before is not known here: run "
                "drawbridge offsets reshard again",
                identity_.epoch, identity_.pipeline);
  } else if (!known_) {
    DRAWBRIDGE_TRY(make_header());
  }
  if (positions.empty() && other_cluster) {
    return fail(ErrorCode::kForeign,
                "the ledger of pipeline {} tells of another source cluster; the source is {} now. "
                "If that is meant, start under a new pipeline name",
                identity_.pipeline, identity_.cluster_id);
  }
  header_written_ = header.has_value();
  positions_ = std::move(positions);
  known_ = true;
  return {};
}

const LedgerPosition* ShardLedger::find(const TopicPartition& at) const {
  const auto found = positions_.find(at);
  return found == positions_.end() ? nullptr : &found->second;
}

Result<std::vector<LedgerRecord>> ShardLedger::state(std::span<const LedgerStatement> statements,
                                                     WallMillis now) {
  std::vector<LedgerRecord> records;
  records.reserve(statements.size() + 1);
  if (!header_written_) {
    header_.made_at = now;
    DRAWBRIDGE_ASSIGN(LedgerRecord record, encode_ledger(header_));
    records.push_back(std::move(record));
  }
  ++sequence_;
  for (const auto& [at, position, digest] : statements) {
    LedgerPosition said;
    said.cluster_id = identity_.cluster_id;
    said.at = at;
    said.position = position;
    said.digest = digest;
    said.sequence = sequence_;
    said.saved_at = now;
    DRAWBRIDGE_ASSIGN(LedgerRecord record, encode_ledger(said));
    records.push_back(std::move(record));
  }
  return records;
}

void ShardLedger::committed() { header_written_ = true; }

}  // namespace drawbridge

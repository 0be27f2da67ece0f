#include "bridge/kafka/topic_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "bridge/kafka/admin.h"
#include "bridge/kafka/connector.h"
#include "bridge/kafka/settings.h"

namespace drawbridge::kafka {
namespace {

constexpr std::size_t kLedgerBatch = 1000;

Instant now() { return SystemClock().now(); }

Bytes bytes_of(const std::optional<ByteView>& view) {
  return view ? Bytes(view->begin(), view->end()) : Bytes();
}

// What asking again will not mend.
bool is_final(const Error& error) { return class_of(error.code) != ErrorClass::kRetry; }

// The log's end with all that is not decided yet.
Result<Offset> high_watermark(const ClusterOptions& cluster, const TopicPartition& at,
                              Duration timeout) {
  ClientConfig config = reader_settings(cluster);
  config.owned.insert_or_assign("isolation.level", "read_uncommitted");
  DRAWBRIDGE_ASSIGN(const auto client, Client::make(config, nullptr));
  Watermarks marks{};
  const auto error =
      rd_kafka_query_watermark_offsets(client->handle(), at.topic.c_str(), at.partition.value,
                                       &marks.low.value, &marks.high.value, to_millis(timeout));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(client->explain(
        error, fmt::format("asking for the end of {} [{}]", at.topic, at.partition.value)));
  return marks.high;
}

}  // namespace

Result<std::unique_ptr<TopicReader>> TopicReader::open(const ClusterOptions& cluster,
                                                       const std::string& topic,
                                                       const ReadRange& range, Duration timeout) {
  const Instant deadline = now() + timeout;
  DRAWBRIDGE_ASSIGN(const auto client, Client::make(admin_settings(cluster, {}), nullptr));
  const auto described = describe_topic(*client, topic, timeout);
  if (!described)
    return fail(
        naming_right(described.error(), client->grantee(), {"Read"}, Resource::kTopic, topic));
  const TopicInfo& info = *described;

  std::unique_ptr<TopicReader> reader(new TopicReader());
  reader->name_ = fmt::format("{} on cluster {}", topic, cluster.name);
  PipelineOptions options;
  options.name = "reader";
  options.group = kNoGroup;
  options.source = cluster;
  options.share = false;
  const std::array<Waker*, 1> wakers{&reader->waker_};
  DRAWBRIDGE_ASSIGN(reader->source_, make_connector()->source(options, wakers));

  if (range.partition &&
      (range.partition->value < 0 || range.partition->value >= info.partitions()))
    return fail(ErrorCode::kUnknownTopic, "topic {} has {} partitions, and no partition {}",
                reader->name_, info.partitions(), range.partition->value);
  for (std::int32_t i = 0; i < info.partitions(); ++i) {
    if (range.partition && range.partition->value != i) continue;
    const TopicPartition at{topic, Partition{i}};
    Offset written;
    if (range.decided) {
      DRAWBRIDGE_ASSIGN(written, high_watermark(cluster, at, deadline - now()));
    }
    DRAWBRIDGE_ASSIGN(const Watermarks marks, reader->source_->watermarks(at, deadline - now()));
    if (marks.high < written)
      return fail(
          ErrorCode::kUnavailable,
          "{} [{}]: somebody's transaction is open at offset {} and hides what follows, up to "
          "{}; kafka-transactions.sh describe-producers names its producer, and abort ends it",
          reader->name_, i, marks.high.value, written.value);
    const Offset end = std::min(range.to.value_or(marks.high), marks.high);
    const Offset from =
        range.newest ? Offset{end.value - *range.newest} : range.from.value_or(marks.low);
    const Offset start = std::min(std::max(from, marks.low), end);
    // At the log's end there is nothing to read, and still the right to read shows.
    if (start >= end && end != marks.high) continue;
    const auto slot = static_cast<std::uint32_t>(i);
    DRAWBRIDGE_TRY(reader->source_->assign({0, slot, at, start}));
    reader->ends_.emplace(slot, end);
  }
  return reader;
}

Result<void> TopicReader::next(Batch& batch, std::size_t most, Duration timeout) {
  const Instant deadline = now() + timeout;
  const std::size_t before = batch.size;
  while (!done() && batch.size == before) {
    const std::size_t events_before = batch.events.size();
    source_->feed(0).poll(batch, most);
    DRAWBRIDGE_TRY(take(batch, before, events_before));
    if (batch.size > before || done()) break;
    std::vector<SourceEvent> events;
    source_->poll(events, Duration::zero());
    for (auto& event : events)
      if (event.error && is_final(*event.error)) return fail(std::move(*event.error));
    if (now() >= deadline)
      return fail(ErrorCode::kUnavailable, "reading {}: nothing came in time{}{}", name_,
                  events.empty() ? "" : ": ",
                  events.empty() || !events.back().error ? "" : events.back().error->message);
    waker_.wait(std::min<Duration>(deadline - now(), std::chrono::milliseconds(100)));
  }
  return {};
}

// Leaves out what lies past the range, and notes which partitions are done.
Result<void> TopicReader::take(Batch& batch, std::size_t first, std::size_t first_event) {
  std::size_t kept = first;
  for (std::size_t i = first; i < batch.size; ++i) {
    const Record& record = batch.records[i];
    const auto end = ends_.find(record.slot);
    if (end == ends_.end()) continue;
    const bool past = record.offset >= end->second;
    if (record.offset.next() >= end->second) ends_.erase(end);
    if (past) continue;
    if (kept != i) std::swap(batch.records[kept], batch.records[i]);
    ++kept;
  }
  batch.size = kept;
  for (std::size_t i = first_event; i < batch.events.size(); ++i) {
    FeedEvent& event = batch.events[i];
    if (event.kind == FeedEvent::Kind::kEnd) {
      ends_.erase(event.slot);
    } else if (is_final(event.error)) {
      return fail(std::move(event.error));
    }
  }
  return {};
}

Result<LedgerLog> read_ledger(const ClusterOptions& cluster, const std::string& topic,
                              std::int32_t partition, Duration timeout) {
  ReadRange range;
  range.partition = Partition{partition};
  range.decided = true;
  DRAWBRIDGE_ASSIGN(auto reader, TopicReader::open(cluster, topic, range, timeout));
  LedgerLog log;
  Batch batch;
  while (!reader->done()) {
    DRAWBRIDGE_TRY(reader->next(batch, kLedgerBatch, timeout));
    for (std::size_t i = 0; i < batch.size; ++i) {
      const Record& record = batch.records[i];
      log.records.push_back({bytes_of(record.key), bytes_of(record.value)});
      log.next = record.offset.next();
    }
    batch.clear();
  }
  return log;
}

}  // namespace drawbridge::kafka

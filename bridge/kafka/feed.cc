#include "bridge/kafka/feed.h"

#include <algorithm>
#include <utility>

#include "bridge/base/log.h"
#include "bridge/kafka/errors.h"
#include "bridge/kafka/message.h"

namespace drawbridge::kafka {
namespace {

thread_local KafkaFeed* polling = nullptr;

}  // namespace

KafkaFeed::KafkaFeed(const Client& client, Waker& waker, std::size_t queue_bytes,
                     std::size_t queue_records, Appetite& appetite)
    : client_(client),
      queue_(rd_kafka_queue_new(client.handle())),
      queue_bytes_(static_cast<double>(queue_bytes)),
      queue_records_(static_cast<double>(queue_records)),
      appetite_(appetite) {
  static constexpr std::uint64_t kOne = 1;  // what an eventfd takes
  rd_kafka_queue_io_event_enable(queue_.get(), waker.fd(), &kOne, sizeof kOne);
}

KafkaFeed::~KafkaFeed() { rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0); }

void KafkaFeed::poll(Batch& batch, std::size_t most) {
  batch.free_message = free_message;
  if (scratch_.size() < most) scratch_.resize(most);
  // Handles may have been freed and their addresses used again since the last call.
  last_topic_ = nullptr;
  last_slot_ = nullptr;
  batch_ = &batch;
  polling = this;
  // With a timeout the library would wait until `most` records have come.
  const auto taken = rd_kafka_consume_batch_queue(queue_.get(), 0, scratch_.data(), most);
  polling = nullptr;
  const auto count = static_cast<std::size_t>(std::max<ssize_t>(taken, 0));
  batch.messages.reserve(batch.messages.size() + count);
  for (std::size_t i = 0; i < count; ++i) {
    rd_kafka_message_t& message = *scratch_[i];
    FeedSlot* slot = find(message);
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      take_error(message, slot, batch);
      rd_kafka_message_destroy(&message);
    } else if (slot == nullptr || slot->broken || message.offset < slot->next.value) {
      // Of a partition that was taken away or is damaged, or from before a rewind.
      rd_kafka_message_destroy(&message);
    } else {
      take(message, *slot, batch);
    }
  }
  batch_ = nullptr;
  measure(count, most);
}

void KafkaFeed::add(const FeedSlot& slot) {
  remove(slot.topic, slot.partition);
  slots_.emplace(Key{slot.topic, slot.partition.value}, slot);
  ++behind_;
}

void KafkaFeed::remove(std::string_view topic, Partition partition) {
  const auto found = slots_.find(Key{topic, partition.value});
  if (found == slots_.end()) return;
  if (!found->second.at_end) --behind_;
  slots_.erase(found);
}

std::vector<std::uint32_t> KafkaFeed::take_stray() {
  const std::lock_guard lock(stray_mutex_);
  return std::exchange(stray_, {});
}

bool KafkaFeed::error_in_poll(rd_kafka_resp_err_t error, std::string_view reason) {
  return polling != nullptr && polling->take_partition_error(error, reason);
}

// Records come in runs of one partition.
FeedSlot* KafkaFeed::find(const rd_kafka_message_t& message) {
  if (message.rkt == nullptr) return nullptr;
  if (message.rkt == last_topic_ && message.partition == last_partition_) return last_slot_;
  last_topic_ = message.rkt;
  last_partition_ = message.partition;
  const auto found = slots_.find(Key{rd_kafka_topic_name(message.rkt), message.partition});
  last_slot_ = found == slots_.end() ? nullptr : &found->second;
  return last_slot_;
}

void KafkaFeed::take(rd_kafka_message_t& message, FeedSlot& slot, Batch& batch) {
  batch.messages.push_back(&message);
  Record& record = batch.add();
  read_message(message, record);
  record.topic = slot.topic;
  record.slot = slot.slot;
  slot.next = record.offset.next();
  slot.fresh = false;
  if (slot.at_end) set_at_end(slot, false);
  average_bytes_ += (static_cast<double>(message.len) - average_bytes_) / 64;
}

void KafkaFeed::take_error(const rd_kafka_message_t& message, FeedSlot* slot, Batch& batch) {
  if (slot == nullptr || slot->broken) return;  // taken away, or its failure is said already
  FeedEvent event;
  event.slot = slot->slot;
  event.offset = Offset{message.offset};
  const std::string_view reason = message.payload == nullptr
                                      ? std::string_view{}
                                      : std::string_view(static_cast<const char*>(message.payload));
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      event.kind = FeedEvent::Kind::kEnd;
      set_at_end(*slot, true);
      break;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      // The library marks this error with no version, so that one from before a rewind comes
      // through. It then also may have stopped the fetcher of the new assignment: start afresh.
      if (message.offset < slot->next.value ||
          (slot->fresh && message.offset != slot->start.value)) {
        note_stray(slot->slot);
        return;
      }
      event.kind = FeedEvent::Kind::kOutOfRange;
      set_at_end(*slot, true);
      break;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      event.kind = FeedEvent::Kind::kUnknownTopic;
      set_at_end(*slot, true);
      break;
    default:
      event.kind = FeedEvent::Kind::kError;
      break;
  }
  if (event.kind != FeedEvent::Kind::kEnd) event.error = error_of(*slot, message.err, reason);
  // The library skips a batch that it cannot read (a wrong checksum, say) and goes on behind it:
  // what comes then must not be taken for the next record.
  if (event.kind == FeedEvent::Kind::kError && class_of(event.error.code) == ErrorClass::kStop) {
    slot->broken = true;
    set_at_end(*slot, true);
  }
  batch.events.push_back(std::move(event));
}

Error KafkaFeed::error_of(const FeedSlot& slot, rd_kafka_resp_err_t error,
                          std::string_view reason) const {
  return naming_right(
      make_error(error, fmt::format("{} [{}]", slot.topic, slot.partition.value), reason),
      client_.grantee(), {"Read"}, Resource::kTopic, slot.topic);
}

// An error of a partition that reaches the client's error callback bears its name in its text
// only: "TOPIC [PARTITION]: ...".
bool KafkaFeed::take_partition_error(rd_kafka_resp_err_t error, std::string_view reason) {
  for (auto& [key, slot] : slots_) {
    if (slot.broken || !reason.starts_with(key.topic)) continue;
    if (!reason.substr(key.topic.size()).starts_with(fmt::format(" [{}]: ", key.partition)))
      continue;
    FeedEvent event;
    event.slot = slot.slot;
    event.offset = slot.next;
    event.error = error_of(slot, error, reason);
    event.kind = event.error.code == ErrorCode::kUnknownTopic ? FeedEvent::Kind::kUnknownTopic
                                                              : FeedEvent::Kind::kError;
    set_at_end(slot, true);
    batch_->events.push_back(std::move(event));
    return true;
  }
  return false;
}

void KafkaFeed::set_at_end(FeedSlot& slot, bool at_end) {
  if (slot.at_end == at_end) return;
  slot.at_end = at_end;
  if (at_end) {
    --behind_;
  } else {
    ++behind_;
  }
}

void KafkaFeed::note_stray(std::uint32_t slot) {
  const std::lock_guard lock(stray_mutex_);
  if (std::ranges::find(stray_, slot) == stray_.end()) stray_.push_back(slot);
}

// The library tells a queue's length but not its bytes, which are estimated.
void KafkaFeed::measure(std::size_t taken, std::size_t most) {
  const std::size_t left = taken < most ? 0 : rd_kafka_queue_length(queue_.get());
  const auto fill = [&](std::size_t records) {
    const auto count = static_cast<double>(records);
    return std::max(count * average_bytes_ / queue_bytes_, count / queue_records_);
  };
  if (fill(left + taken) > 0.9) filled_ = true;
  if (filled_ && fill(left) < 0.5) {
    filled_ = false;
    if (behind_ > 0) appetite_.drained();
  }
  appetite_.set_dry(taken == 0 && behind_ > 0);
}

}  // namespace drawbridge::kafka

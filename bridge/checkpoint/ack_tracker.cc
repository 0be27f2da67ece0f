#include "bridge/checkpoint/ack_tracker.h"

#include <cstdlib>
#include <string_view>

#include "bridge/base/log.h"

namespace drawbridge {
namespace {

constexpr std::size_t kFirstCapacity = 64;

void require(bool holds, std::string_view what, std::int64_t value) {
  if (holds) return;
  log(Level::kError, "broken invariant in the acknowledgement tracker",
      {{"what", what}, {"value", value}});
  std::abort();
}

}  // namespace

AckTracker::Slot AckTracker::track(Offset offset, std::uint32_t children, std::uint64_t cookie) {
  require(offset > newest_, "offsets must rise", offset.value);
  require(offset >= committable_, "offset is committed already", offset.value);
  if (held() == ring_.size()) grow();
  const Slot slot = tail_++;
  at(slot) = {offset, cookie, children, 0};
  newest_ = offset;
  if (children == 0) extend_prefix();
  return slot;
}

AckTracker::Entry* AckTracker::find(Slot slot) {
  if (slot < first_) return nullptr;
  require(slot >= head_ && slot < tail_, "no record is tracked in slot",
          static_cast<std::int64_t>(slot));
  return &at(slot);
}

bool AckTracker::set_children(Slot slot, std::uint32_t children) {
  Entry* const entry = find(slot);
  if (entry == nullptr) return false;
  require(entry->children == kUnknownChildren && children != kUnknownChildren,
          "children are said once", entry->offset.value);
  require(entry->acks <= children, "more acknowledgements than children", entry->offset.value);
  entry->children = children;
  return extend_prefix();
}

bool AckTracker::acked(Slot slot) {
  Entry* const entry = find(slot);
  if (entry == nullptr) return false;
  require(entry->acks < entry->children, "more acknowledgements than children",
          entry->offset.value);
  ++entry->acks;
  return slot == finished_ && extend_prefix();
}

bool AckTracker::extend_prefix() {
  const Slot before = finished_;
  while (finished_ != tail_ && at(finished_).acks == at(finished_).children) {
    committable_ = at(finished_).offset.next();
    ++finished_;
  }
  return finished_ != before;
}

bool AckTracker::advance_to(Offset offset) {
  if (outstanding() > 0 || offset <= committable_) return false;
  committable_ = offset;
  return true;
}

void AckTracker::reset(Offset start) {
  first_ = head_ = finished_ = tail_;
  committable_ = start;
  newest_ = {start.value - 1};
}

void AckTracker::grow() {
  std::vector<Entry> bigger(ring_.empty() ? kFirstCapacity : ring_.size() * 2);
  for (Slot slot = head_; slot != tail_; ++slot) bigger[slot & (bigger.size() - 1)] = at(slot);
  ring_ = std::move(bigger);
}

void AckTracker::trim() {
  if (held() == 0) ring_ = {};
}

}  // namespace drawbridge

// Which records of one source partition are done, and how far the partition may be committed.
//
// Records are tracked in rising offset order as they are consumed, and finish in any order. A
// record is finished when as many acknowledgements came in as it has children (the records that
// its transforms made of it); a dropped record has none and is finished at once. The position that
// may be committed is the end of the contiguous prefix of finished records: it never passes one
// that is not finished.
//
//   offsets   100   101   105   106        (102 to 104 never existed)
//             done  done  open  done   ->  committable() is 102
//
// Memory grows with held(), which the engine caps; a ring keeps it across rounds, so that the
// steady state allocates nothing. Everything is amortised O(1). Not thread-safe.
//
// A broken REQUIRES ends the process: going on with a wrong count could commit past a record that
// was never delivered, while a restart resumes from what is on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bridge/record/coordinates.h"

namespace drawbridge {

class AckTracker {
 public:
  // Names a tracked record. Never reused, not even across reset().
  using Slot = std::uint64_t;
  // For track(): set_children() or dropped() follows when the transforms have run. The record is
  // not finished before that, whatever is acknowledged.
  static constexpr std::uint32_t kUnknownChildren = UINT32_MAX;

  // `start` is the next offset to be consumed.
  explicit AckTracker(Offset start) { reset(start); }

  // REQUIRES: `offset` is above newest() and not below committable(). `cookie` is the caller's, and
  // comes back from release(): bytes to give back, an index, whatever.
  Slot track(Offset offset, std::uint32_t children, std::uint64_t cookie);

  // Says how many children a record has. REQUIRES: tracked with kUnknownChildren, said once, not
  // fewer than were acknowledged already. Returns whether committable() moved.
  bool set_children(Slot slot, std::uint32_t children);
  bool dropped(Slot slot) { return set_children(slot, 0); }

  // One child was acknowledged by the target (or by the dead-letter topic, or dropped by policy).
  // REQUIRES: fewer acknowledgements than children so far. Returns whether committable() moved.
  bool acked(Slot slot);

  // All of the above ignore slots from before the newest reset() (and return false): those are
  // late reports about records that will be read again.

  // The next offset after the contiguous prefix of finished records.
  [[nodiscard]] Offset committable() const { return committable_; }

  // Takes the finished prefix off, in order, calling f(Offset, cookie) for each record; returns how
  // many. Does not change committable(). After it, the last record seen by `f` is the one before
  // committable(), unless advance_to() moved on. `f` must not call this tracker.
  template <typename F>
  std::size_t release(F&& f) {
    const auto count = static_cast<std::size_t>(finished_ - head_);
    for (; head_ != finished_; ++head_) f(at(head_).offset, at(head_).cookie);
    return count;
  }

  // Where offsets up to `offset` hold no record for us (transaction markers, aborted or compacted
  // records at the end of the log): moves committable() there, if every tracked record is finished
  // and it would move forward. Returns whether it did.
  bool advance_to(Offset offset);

  // Forgets every record that was not released, calling f(Offset, cookie) for each, finished or
  // not, and starts over: `start` is the next offset to be consumed, in either direction.
  template <typename F>
  void reset(Offset start, F&& f) {
    for (; head_ != tail_; ++head_) f(at(head_).offset, at(head_).cookie);
    reset(start);
  }
  void reset(Offset start);

  // Records tracked and not yet part of the finished prefix. 0: nothing to wait for.
  [[nodiscard]] std::size_t outstanding() const {
    return static_cast<std::size_t>(tail_ - finished_);
  }
  // Records tracked and not released: what memory is spent on.
  [[nodiscard]] std::size_t held() const { return static_cast<std::size_t>(tail_ - head_); }
  // The offset tracked last; the one before the start if there is none since reset().
  [[nodiscard]] Offset newest() const { return newest_; }

  // Gives the ring's memory back when nothing is held: for a partition that went idle.
  void trim();
  [[nodiscard]] std::size_t capacity() const { return ring_.size(); }

 private:
  struct Entry {
    Offset offset;
    std::uint64_t cookie = 0;
    std::uint32_t children = 0;
    std::uint32_t acks = 0;
  };

  Entry& at(Slot slot) { return ring_[slot & (ring_.size() - 1)]; }
  Entry* find(Slot slot);  // nullptr: from before the newest reset
  void grow();
  bool extend_prefix();

  // Slots count up for ever: first_ <= head_ <= finished_ <= tail_.
  std::vector<Entry> ring_;  // a power of two of them, or none
  Slot first_ = 0;           // first slot since the newest reset
  Slot head_ = 0;            // oldest one held
  Slot finished_ = 0;        // oldest one that is not finished
  Slot tail_ = 0;            // next one to give out
  Offset committable_;
  Offset newest_;
};

}  // namespace drawbridge

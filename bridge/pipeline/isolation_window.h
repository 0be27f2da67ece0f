// IsolationWindow: how many records go out together while a partition looks for one that a broker
// refuses. See "Isolation" in ENGINE.md.
//
// Records go out in rounds: at most size() of them, and the next round when all are answered. The
// window says nothing about blame: only a record that was refused alone is at fault, whatever the
// size. A value; not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>

namespace drawbridge {

class IsolationWindow {
 public:
  static constexpr std::size_t kMost = 512;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool searching() const { return suspects_ > 0; }

  // Some of a round were refused together. Of the partition, `ahead` records are sent again before
  // them, in a round of their own, and then `suspects`, a bad one among these.
  // REQUIRES: together no more than the round had, so that windows fall with each refusal.
  void refused(std::size_t ahead, std::size_t suspects) {
    ahead_ = ahead;
    suspects_ = std::max<std::size_t>(suspects, 1);
    size_ = ahead_ > 0 ? std::min(ahead_, kMost) : std::clamp<std::size_t>(suspects_ / 2, 1, kMost);
  }
  // A round of one was refused: that is the bad one. Its neighbours may be bad as well.
  void found() {
    ahead_ = suspects_ = 0;
    size_ = 1;
  }
  // A round was delivered that had `records` of the partition, and `others`: the bad one is among
  // the suspects that are left. With none left it is gone; then, and without a search, the window
  // grows.
  void passed(std::size_t records, std::size_t others = 0) {
    const std::size_t round = records + others;
    const std::size_t before = std::min(records, ahead_);
    ahead_ -= before;
    suspects_ -= std::min(records - before, suspects_);
    if (ahead_ > 0) {
      size_ = std::min(ahead_, kMost);
    } else if (searching()) {
      size_ = std::clamp<std::size_t>((suspects_ + 1) / 2, 1, kMost);
    } else {
      size_ = std::max(size_, std::min(2 * round, kMost));
    }
  }

 private:
  std::size_t size_ = kMost;
  std::size_t ahead_ = 0;
  std::size_t suspects_ = 0;
};

}  // namespace drawbridge

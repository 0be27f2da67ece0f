#include "bridge/checkpoint/ack_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::int64_t> released(AckTracker& tracker) {
  std::vector<std::int64_t> offsets;
  tracker.release([&](Offset offset, std::uint64_t) { offsets.push_back(offset.value); });
  return offsets;
}

TEST(AckTrackerTest, StartsAtItsStart) {
  AckTracker tracker({100});
  EXPECT_EQ(tracker.committable(), Offset{100});
  EXPECT_EQ(tracker.newest(), Offset{99});
  EXPECT_EQ(tracker.outstanding(), 0U);
  EXPECT_THAT(released(tracker), IsEmpty());
}

TEST(AckTrackerTest, CommitsOnlyTheContiguousPrefix) {
  AckTracker tracker({0});
  const auto a = tracker.track({0}, 1, 0);
  const auto b = tracker.track({1}, 1, 0);
  const auto c = tracker.track({2}, 1, 0);
  EXPECT_FALSE(tracker.acked(c));
  EXPECT_FALSE(tracker.acked(b));
  EXPECT_EQ(tracker.committable(), Offset{0});
  EXPECT_THAT(released(tracker), IsEmpty());
  EXPECT_EQ(tracker.outstanding(), 3U);
  EXPECT_TRUE(tracker.acked(a));
  EXPECT_EQ(tracker.committable(), Offset{3});
  EXPECT_EQ(tracker.outstanding(), 0U);
  EXPECT_EQ(tracker.held(), 3U);
  EXPECT_THAT(released(tracker), ElementsAre(0, 1, 2));
  EXPECT_EQ(tracker.held(), 0U);
  EXPECT_EQ(tracker.committable(), Offset{3});
}

TEST(AckTrackerTest, OffsetGapsAreNotWaitedFor) {
  AckTracker tracker({10});
  const auto a = tracker.track({12}, 1, 0);
  const auto b = tracker.track({20}, 1, 0);
  EXPECT_TRUE(tracker.acked(a));
  EXPECT_EQ(tracker.committable(), Offset{13});
  EXPECT_TRUE(tracker.acked(b));
  EXPECT_EQ(tracker.committable(), Offset{21});
}

TEST(AckTrackerTest, FanOutWaitsForEveryChild) {
  AckTracker tracker({0});
  const auto slot = tracker.track({0}, 3, 0);
  EXPECT_FALSE(tracker.acked(slot));
  EXPECT_FALSE(tracker.acked(slot));
  EXPECT_EQ(tracker.committable(), Offset{0});
  EXPECT_TRUE(tracker.acked(slot));
  EXPECT_EQ(tracker.committable(), Offset{1});
}

TEST(AckTrackerTest, RecordWithUnknownChildrenHoldsEverythingBack) {
  AckTracker tracker({0});
  const auto a = tracker.track({0}, AckTracker::kUnknownChildren, 0);
  const auto b = tracker.track({1}, AckTracker::kUnknownChildren, 0);
  EXPECT_FALSE(tracker.dropped(b));
  EXPECT_FALSE(tracker.acked(a));  // a child's report may overtake the count
  EXPECT_EQ(tracker.committable(), Offset{0});
  EXPECT_FALSE(tracker.set_children(a, 2));
  EXPECT_TRUE(tracker.acked(a));
  EXPECT_EQ(tracker.committable(), Offset{2});
}

TEST(AckTrackerTest, ReportsThatCameBeforeTheCountFinishTheRecord) {
  AckTracker tracker({0});
  const auto slot = tracker.track({0}, AckTracker::kUnknownChildren, 0);
  EXPECT_FALSE(tracker.acked(slot));
  EXPECT_FALSE(tracker.acked(slot));
  EXPECT_TRUE(tracker.set_children(slot, 2));
  EXPECT_EQ(tracker.committable(), Offset{1});
}

TEST(AckTrackerTest, DroppedRecordsMoveThePrefix) {
  AckTracker tracker({0});
  tracker.track({0}, 0, 0);
  EXPECT_EQ(tracker.committable(), Offset{1});
  const auto b = tracker.track({1}, 1, 0);
  tracker.track({2}, 0, 0);
  EXPECT_EQ(tracker.committable(), Offset{1});
  EXPECT_TRUE(tracker.acked(b));
  EXPECT_EQ(tracker.committable(), Offset{3});
}

TEST(AckTrackerTest, ReleaseGivesCookiesBackInOrder) {
  AckTracker tracker({0});
  const auto a = tracker.track({5}, 1, 50);
  const auto b = tracker.track({6}, 1, 60);
  tracker.track({7}, 1, 70);
  tracker.acked(b);
  tracker.acked(a);
  std::vector<std::pair<std::int64_t, std::uint64_t>> seen;
  EXPECT_EQ(tracker.release([&](Offset offset, std::uint64_t cookie) {
    seen.emplace_back(offset.value, cookie);
  }),
            2U);
  EXPECT_THAT(seen, ElementsAre(std::pair(5, 50U), std::pair(6, 60U)));
  EXPECT_EQ(tracker.held(), 1U);
}

TEST(AckTrackerTest, EndsBehindMarkersAreCommittedOnlyWhenNothingIsOpen) {
  AckTracker tracker({0});
  EXPECT_TRUE(tracker.advance_to({2}));
  EXPECT_EQ(tracker.committable(), Offset{2});
  const auto slot = tracker.track({2}, 1, 0);
  EXPECT_FALSE(tracker.advance_to({9}));
  EXPECT_EQ(tracker.committable(), Offset{2});
  EXPECT_TRUE(tracker.acked(slot));
  EXPECT_TRUE(tracker.advance_to({9}));  // not released yet, but finished
  EXPECT_FALSE(tracker.advance_to({9}));
  EXPECT_FALSE(tracker.advance_to({4}));
  EXPECT_EQ(tracker.committable(), Offset{9});
  EXPECT_THAT(released(tracker), ElementsAre(2));
  EXPECT_EQ(tracker.committable(), Offset{9});
}

TEST(AckTrackerTest, ResetGoesBackAndIgnoresLateReports) {
  AckTracker tracker({0});
  const auto a = tracker.track({0}, 1, 1);
  const auto b = tracker.track({1}, 1, 2);
  const auto c = tracker.track({2}, AckTracker::kUnknownChildren, 4);
  tracker.acked(a);
  std::uint64_t forgotten = 0;
  released(tracker);
  tracker.reset({1}, [&](Offset, std::uint64_t cookie) { forgotten += cookie; });
  EXPECT_EQ(forgotten, 6U);
  EXPECT_EQ(tracker.held(), 0U);
  EXPECT_EQ(tracker.committable(), Offset{1});
  EXPECT_EQ(tracker.newest(), Offset{0});

  const auto again = tracker.track({1}, 1, 2);
  EXPECT_NE(again, b);
  EXPECT_FALSE(tracker.acked(b));
  EXPECT_FALSE(tracker.dropped(c));
  EXPECT_EQ(tracker.committable(), Offset{1});
  EXPECT_TRUE(tracker.acked(again));
  EXPECT_EQ(tracker.committable(), Offset{2});
}

TEST(AckTrackerTest, SteadyStateKeepsItsMemory) {
  AckTracker tracker({0});
  std::size_t capacity = 0;
  for (std::int64_t round = 0; round < 100; ++round) {
    std::vector<AckTracker::Slot> slots;
    for (std::int64_t i = 0; i < 100; ++i) slots.push_back(tracker.track({round * 100 + i}, 1, 0));
    for (const auto slot : slots) tracker.acked(slot);
    released(tracker);
    if (round == 0) capacity = tracker.capacity();
    EXPECT_EQ(tracker.capacity(), capacity);
  }
  EXPECT_EQ(capacity, 128U);
  tracker.trim();
  EXPECT_EQ(tracker.capacity(), 0U);
  EXPECT_TRUE(tracker.acked(tracker.track({10'000}, 1, 0)));
  tracker.trim();  // held: nothing is given back
  EXPECT_THAT(released(tracker), ElementsAre(10'000));
}

TEST(AckTrackerDeathTest, BrokenPromisesEndTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  AckTracker tracker({10});
  const auto open = tracker.track({10}, 1, 0);
  EXPECT_DEATH(tracker.track({10}, 1, 0), "offsets must rise");
  EXPECT_DEATH(tracker.set_children(open, 2), "children are said once");
  EXPECT_DEATH(tracker.acked(open + 1), "no record is tracked");
  tracker.acked(open);
  EXPECT_DEATH(tracker.acked(open), "more acknowledgements than children");
  released(tracker);
  EXPECT_DEATH(tracker.acked(open), "no record is tracked");
  tracker.advance_to({20});
  EXPECT_DEATH(tracker.track({15}, 1, 0), "committed already");
  const auto early = tracker.track({20}, AckTracker::kUnknownChildren, 0);
  tracker.acked(early);
  EXPECT_DEATH(tracker.dropped(early), "more acknowledgements than children");
}

// The same operations on the tracker and on a map that is scanned from the start each time.
class Model {
 public:
  explicit Model(std::int64_t start) : start_(start) {}

  struct Record {
    std::uint32_t wanted;  // kUnknownChildren: not said yet
    std::uint32_t acks = 0;
    bool finished() const { return wanted == acks; }
  };

  std::int64_t committable() const {
    std::int64_t position = start_;
    bool open = false;
    for (const auto& [offset, record] : records_) {
      if (!record.finished()) {
        open = true;
        break;
      }
      position = offset + 1;
    }
    return open ? std::max(position, low_) : std::max({position, low_, advanced_});
  }

  std::int64_t start_;
  std::int64_t low_ = 0;       // committed before: only rises
  std::int64_t advanced_ = 0;  // advance_to() while nothing was open
  std::map<std::int64_t, Record> records_;
};

TEST(AckTrackerTest, AgreesWithAModelOnRandomHistories) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::size_t n) {
      return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    std::int64_t next = static_cast<std::int64_t>(below(1000));
    AckTracker tracker({next});
    Model model(next);
    struct Live {
      AckTracker::Slot slot;
      std::int64_t offset;
    };
    std::vector<Live> live;              // not finished
    std::vector<AckTracker::Slot> late;  // reports owed from before a reset
    std::uint64_t charged = 0;

    for (int step = 0; step < 400; ++step) {
      const std::int64_t before = model.committable();
      bool moved = false;
      switch (below(12)) {
        case 0:
        case 1:
        case 2:
        case 3: {  // consume one
          next = std::max(next, before) + static_cast<std::int64_t>(below(3));
          const std::uint32_t children =
              below(4) == 0 ? AckTracker::kUnknownChildren : static_cast<std::uint32_t>(below(4));
          const auto slot = tracker.track({next}, children, 7);
          charged += 7;
          model.records_[next] = {children};
          if (children != 0) live.push_back({slot, next});
          ++next;
          moved = model.committable() != before;
          break;
        }
        case 10:  // the end moves behind markers
          if (below(2) == 0) {
            const auto end = std::max(next, before) + static_cast<std::int64_t>(below(4));
            const bool open = std::ranges::any_of(
                model.records_, [](const auto& entry) { return !entry.second.finished(); });
            EXPECT_EQ(tracker.advance_to({end}), !open && end > before);
            if (!open) {
              model.advanced_ = std::max(model.advanced_, end);
              model.low_ = std::max(model.low_, end);
            }
          } else if (!late.empty()) {
            EXPECT_FALSE(tracker.acked(late.back()));
          }
          break;
        case 11:  // rewind, rarely
          if (below(20) == 0) {
            tracker.reset({before}, [&](Offset, std::uint64_t cookie) { charged -= cookie; });
            for (const Live& each : live) late.push_back(each.slot);
            live.clear();
            model = Model(before);
            next = before;
            EXPECT_EQ(charged, 0U);
          }
          break;
        case 9:
          charged -= 7 * tracker.release([](Offset, std::uint64_t) {});
          break;
        default: {  // a report, in any order
          if (live.empty()) break;
          const std::size_t pick = below(live.size());
          const Live target = live[pick];
          Model::Record& record = model.records_[target.offset];
          if (record.wanted == AckTracker::kUnknownChildren && below(2) == 0) {
            const auto children = record.acks + static_cast<std::uint32_t>(below(3));
            record.wanted = children;
            moved = tracker.set_children(target.slot, children);
          } else if (record.wanted == AckTracker::kUnknownChildren && record.acks > 3) {
            break;
          } else {
            ++record.acks;
            moved = tracker.acked(target.slot);
          }
          if (record.finished()) live.erase(live.begin() + static_cast<std::ptrdiff_t>(pick));
          EXPECT_EQ(moved, model.committable() != before) << "seed " << seed << " step " << step;
        }
      }
      model.low_ = std::max(model.low_, model.committable());
      ASSERT_EQ(tracker.committable().value, model.committable())
          << "seed " << seed << " step " << step;
      ASSERT_EQ(charged, 7 * tracker.held());
      const auto open = std::ranges::count_if(
          model.records_, [&](const auto& entry) { return entry.first >= model.committable(); });
      ASSERT_EQ(tracker.outstanding(), static_cast<std::size_t>(open));
    }
  }
}

}  // namespace
}  // namespace drawbridge

// The window by itself: what each outcome of a round makes of it.
#include "bridge/pipeline/isolation_window.h"

#include <gtest/gtest.h>

namespace drawbridge {
namespace {

TEST(IsolationWindow, ARefusalHalvesWhatIsSuspected) {
  IsolationWindow window;
  window.refused(0, 100);
  EXPECT_EQ(window.size(), 50U);
  EXPECT_TRUE(window.searching());
  window.refused(0, 50);
  EXPECT_EQ(window.size(), 25U);
  window.refused(0, 25);
  EXPECT_EQ(window.size(), 12U);
}

TEST(IsolationWindow, WhatPassedLeavesTheRestSuspected) {
  IsolationWindow window;
  window.refused(0, 8);
  EXPECT_EQ(window.size(), 4U);
  window.passed(4);
  EXPECT_EQ(window.size(), 2U);
  window.passed(2);
  EXPECT_EQ(window.size(), 1U);
  window.passed(1);
  EXPECT_EQ(window.size(), 1U);
  EXPECT_TRUE(window.searching());
}

TEST(IsolationWindow, WhatComesBeforeTheSuspectsGoesByItself) {
  IsolationWindow window;
  window.refused(600, 8);
  EXPECT_EQ(window.size(), IsolationWindow::kMost);
  window.passed(IsolationWindow::kMost);
  EXPECT_EQ(window.size(), 600 - IsolationWindow::kMost);
  window.passed(80, 8);
  EXPECT_EQ(window.size(), 8U) << "of those before, eight are left";
  window.passed(8);
  EXPECT_EQ(window.size(), 4U);
  EXPECT_TRUE(window.searching());
  window.refused(3, 1);
  EXPECT_EQ(window.size(), 3U);
  window.passed(3);
  EXPECT_EQ(window.size(), 1U);
  EXPECT_TRUE(window.searching());
}

TEST(IsolationWindow, TheLastSuspectsPassedEndTheSearch) {
  IsolationWindow window;
  window.refused(0, 2);
  window.passed(1);
  ASSERT_TRUE(window.searching());
  window.passed(1);
  EXPECT_FALSE(window.searching());
  EXPECT_EQ(window.size(), 2U);
}

TEST(IsolationWindow, OneThatIsFoundEndsTheSearchAndTheWindowGrowsFromOne) {
  IsolationWindow window;
  window.refused(0, 300);
  window.found();
  EXPECT_FALSE(window.searching());
  for (const std::size_t size : {1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U, 256U, 512U, 512U}) {
    EXPECT_EQ(window.size(), size);
    window.passed(size);
  }
}

TEST(IsolationWindow, ARoundThatWasNotFullProvesOnlyItsOwnSize) {
  IsolationWindow window;
  window.found();
  for (int i = 0; i < 100; ++i) window.passed(1);
  EXPECT_EQ(window.size(), 2U);
}

TEST(IsolationWindow, IsNeverEmptyNorAboveItsMost) {
  IsolationWindow window;
  EXPECT_EQ(window.size(), IsolationWindow::kMost);
  window.refused(0, 0);
  EXPECT_EQ(window.size(), 1U);
  window.refused(0, 1);
  EXPECT_EQ(window.size(), 1U);
  window.refused(0, 1'000'000);
  EXPECT_EQ(window.size(), IsolationWindow::kMost);
  window.passed(IsolationWindow::kMost);
  EXPECT_EQ(window.size(), IsolationWindow::kMost);
}

// How many rounds until one record is refused alone, and none after it.
int rounds_to_find(std::size_t bad, std::size_t suspects) {
  IsolationWindow window;
  window.refused(0, suspects);
  std::size_t next = 0;
  for (int rounds = 1; rounds < 10'000; ++rounds) {
    const std::size_t sent = window.size();
    if (bad >= next + sent) {
      window.passed(sent);
      next += sent;
    } else if (sent == 1) {
      return rounds;
    } else {
      window.refused(0, sent);
    }
  }
  return -1;
}

TEST(IsolationWindow, FindsOneOfManyInAsManyRoundsAsTheirNumberHasDigits) {
  for (const std::size_t suspects : {1U, 2U, 3U, 7U, 64U, 100U, 511U, 512U, 1000U, 1024U}) {
    int digits = 1;
    for (std::size_t rest = suspects; rest > 1; rest = (rest + 1) / 2) ++digits;
    for (std::size_t bad = 0; bad < suspects; ++bad) {
      const int rounds = rounds_to_find(bad, suspects);
      ASSERT_GT(rounds, 0) << bad << " of " << suspects;
      ASSERT_LE(rounds, digits) << bad << " of " << suspects;
    }
  }
}

}  // namespace
}  // namespace drawbridge

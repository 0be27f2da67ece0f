// Thousands of seeded runs of a shard over fakes, at least once and exactly once, each against a
// model. See simulation.h, model.h and exactly_once_model.h for what goes wrong and what must hold.
//
// DRAWBRIDGE_SIM_RUNS    how many runs of each test (default 10000; exactly-once 5000)
// DRAWBRIDGE_SIM_FIRST   the first seed (default 1), to look at others than every day
// DRAWBRIDGE_SIM_SEED    one run of this seed, with all that happens
#include "tests/unit/pipeline/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "bridge/base/log.h"

namespace drawbridge::fakes {
namespace {

constexpr std::uint64_t kRuns = 10'000;
constexpr std::uint64_t kExactlyOnceRuns = 5'000;

std::optional<std::uint64_t> number_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

// A run says a great deal; only a replayed one is worth reading.
class Quiet {
 public:
  Quiet() {
    LogOptions options;
    options.least = static_cast<Level>(static_cast<int>(Level::kError) + 1);
    configure_log(options);
  }
  ~Quiet() { configure_log({}); }
};

Coverage simulate(std::uint64_t runs, bool exactly_once) {
  Coverage all;
  if (const auto seed = number_from("DRAWBRIDGE_SIM_SEED")) {
    Simulation simulation(*seed, exactly_once);
    fmt::print("{}\n", simulation.describe());
    simulation.trace();
    const std::string violation = simulation.run();
    EXPECT_EQ(violation, "") << "seed " << *seed;
    return all;
  }
  const Quiet quiet;
  int failed = 0;
  const std::uint64_t first = number_from("DRAWBRIDGE_SIM_FIRST").value_or(1);
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    Simulation simulation(seed, exactly_once);
    const std::string violation = simulation.run();
    if (!violation.empty()) {
      ADD_FAILURE() << "DRAWBRIDGE_SIM_SEED=" << seed << ": " << violation;
      if (++failed == 10) break;
    }
    all.add(simulation.coverage);
  }
  fmt::print(
      "{} runs: {} steps, {} records, {} duplicates, {} lives, {} refused requests of which {} in "
      "a search's rounds, {} dead letters, {} failures of which {} gaps, {} clean stops, caught up "
      "{} times, {} takeovers, {} late commits that a start met\n",
      runs, all.steps, all.records, all.duplicates, all.lives, all.refused_requests,
      all.refused_rounds, all.dead_letters, all.failures, all.gaps, all.clean_stops, all.caught_up,
      all.takeovers, all.late_commits);
  if (exactly_once) {
    fmt::print("{} commits, {} aborts of which {} by time-out, {} zombies, {} fenced requests\n",
               all.commits, all.aborts, all.timeouts, all.zombies, all.fenced);
  }
  return all;
}

// A simulation in which nothing happens proves nothing.
void expect_enough(std::uint64_t runs, const Coverage& all) {
  if (runs < 1000 || number_from("DRAWBRIDGE_SIM_SEED")) return;
  for (const std::uint64_t count :
       {all.duplicates, all.lives, all.refused_requests, all.refused_rounds, all.dead_letters,
        all.gaps, all.clean_stops, all.caught_up}) {
    EXPECT_GT(count, runs / 50);
  }
}

TEST(Simulation, NothingIsLostAndOrderIsKept) {
  const std::uint64_t runs = number_from("DRAWBRIDGE_SIM_RUNS").value_or(kRuns);
  const Coverage all = simulate(runs, false);
  expect_enough(runs, all);
  if (runs < 1000 || number_from("DRAWBRIDGE_SIM_SEED")) return;
  for (const std::uint64_t count : {all.takeovers, all.late_commits}) EXPECT_GT(count, runs / 50);
}

TEST(Simulation, ExactlyOnceNothingIsLostOrDoubled) {
  const std::uint64_t runs = number_from("DRAWBRIDGE_SIM_RUNS").value_or(kExactlyOnceRuns);
  const Coverage all = simulate(runs, true);
  expect_enough(runs, all);
  if (runs < 1000 || number_from("DRAWBRIDGE_SIM_SEED")) return;
  for (const std::uint64_t count :
       {all.commits, all.aborts, all.timeouts, all.zombies, all.fenced}) {
    EXPECT_GT(count, runs / 50);
  }
}

}  // namespace
}  // namespace drawbridge::fakes

// What the fakes share: a seeded source of chance, a clock that stands still, and the weather.
//
// The fakes implement the engine's real interfaces in memory. With fair weather nothing goes wrong
// and everything is done at once. All of them are thread-safe through the world's one mutex, so
// that a whole pipeline with its threads can run on them; the simulation uses one thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string_view>

#include "bridge/base/clock.h"
#include "bridge/record/record.h"

namespace drawbridge::fakes {

// SplitMix64: small state, so that ten thousand runs cost nothing to seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // In [0, bound); 0 for a bound of 0.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least + 1)));
  }
  // Draws nothing for 0, so that weather which is switched off does not shift the rest.
  bool chance(double probability) {
    return probability > 0 && static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
  }
  Duration up_to(Duration most) {
    return Duration(
        static_cast<Duration::rep>(below(static_cast<std::uint64_t>(most.count()) + 1)));
  }
  template <typename T>
  T pick(std::span<const T> from) {
    return from[below(from.size())];
  }

 private:
  std::uint64_t state_;
};

class FakeClock final : public Clock {
 public:
  static constexpr WallMillis kWallStart = 1'700'000'000'000;

  [[nodiscard]] Instant now() const override { return Instant(Duration(micros_.load())); }
  [[nodiscard]] WallMillis wall() const override { return kWallStart + micros_.load() / 1000; }
  void advance(Duration by) { micros_ += by.count(); }
  void advance_to(Instant to) {
    if (to > now()) micros_ = to.time_since_epoch().count();
  }

 private:
  std::atomic<Duration::rep> micros_{Duration(std::chrono::hours(1)).count()};
};

// Probabilities are per opportunity. The default is fair weather.
struct Weather {
  // Source.
  Duration fetch_delay{0};  // at most, between two fetches of a partition
  std::size_t fetch_most = 500;
  double watermarks_fail = 0;
  double stray = 0;  // a record comes outside of its feed
  Duration group_delay{0};
  double group_fails = 0;  // half of them were carried out all the same
  double group_late = 0;   // no answer, and carried out up to 3 s later, after newer ones
  // Sink.
  std::size_t request_most = 1000;  // records in one request
  std::size_t queue_most = 100'000;
  Duration linger{0};
  Duration request_delay{0};
  Duration report_delay{0};
  double queue_full = 0;
  double request_fails = 0;  // for a reason that passes; half of them were carried out all the same
  double fatal = 0;          // per request
  double authentication_fails = 0;  // per request
  // Transactions.
  Duration transaction_timeout = std::chrono::hours(24);
  Duration marker_delay{0};       // from a decision to its markers
  Duration end_delay{0};          // of what opens or ends transactions
  double open_breaks = 0;         // taking over fails for good
  double commit_fails = 0;        // not done, and mended by an abort
  double commit_late = 0;         // done, and answered seconds later
  double transaction_breaks = 0;  // per end of a transaction: fatal, before or after it is done
  bool coordinator_down = false;
  // Store.
  double save_fails = 0;
  bool store_down = false;
  Duration save_time{0};
};

// What the simulation's model wants to see. Called with the world's mutex held.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void polling(std::uint32_t /*shard*/) {}
  virtual void assigned(std::uint32_t /*slot*/, Offset /*start*/) {}
  virtual void sending(const Record& /*record*/, std::uint64_t /*sink*/) {}
  // `id` is the source record's, see FakeRecord. `epoch`: given by send_epoch() when it was sent.
  virtual std::uint64_t send_epoch(std::uint32_t /*slot*/) { return 0; }
  struct Stored {
    std::uint64_t id;
    std::uint64_t epoch;
    std::string_view topic;
    std::int32_t partition;
    std::size_t index;  // in the target's log
  };
  virtual void stored(const Stored& /*what*/) {}
  // A transactional sink was used against what ports.h says.
  virtual void misused(std::string_view /*how*/) {}
  virtual void reported(std::uint64_t /*id*/, std::string_view /*topic*/, bool /*delivered*/) {}
};

struct World {
  explicit World(std::uint64_t seed) : random(seed) {}

  std::recursive_mutex mutex;
  FakeClock clock;
  // Guarded by mutex:
  Random random;
  Weather weather;
  Observer* observer = nullptr;
  // A power cut: from here on nothing that the process does reaches anyone. With a countdown, after
  // so many calls.
  bool power = true;
  std::int64_t calls_to_power_cut = -1;

  // One call of the process to the outside.
  bool call() {
    if (calls_to_power_cut >= 0 && calls_to_power_cut-- == 0) power = false;
    return power;
  }
};

}  // namespace drawbridge::fakes

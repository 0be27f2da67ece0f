// One seeded run of a shard's worker over the fakes: everything that can go wrong does, by chance,
// and the model watches. One thread; time moves only here.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bridge/pipeline/shard_worker.h"
#include "bridge/pipeline/start_position.h"
#include "tests/unit/pipeline/exactly_once_model.h"
#include "tests/unit/pipeline/model.h"

namespace drawbridge::fakes {

// What may happen in a run. Drawn from the seed, each by itself, so that runs differ in kind.
struct Plan {
  Plan(Random& random, bool exactly_once) {
    const double each = random.chance(0.1) ? 1.0 : random.chance(0.1) ? 0.0 : 0.35;
    for (const auto& [name, flag] : flags()) *flag = random.chance(each);
    if (!exactly_once) return;
    for (const auto& [name, flag] : exactly_once_flags()) *flag = random.chance(each);
  }

  std::vector<std::pair<std::string_view, bool*>> flags() {
    return {{"crashes", &crashes},
            {"power_cuts", &power_cuts},
            {"stops", &stops},
            {"drops", &drops},
            {"unfit", &unfit},
            {"unsendable", &unsendable},
            {"refusals", &refusals},
            {"fatal", &fatal},
            {"request_failures", &request_failures},
            {"authentication_failures", &authentication_failures},
            {"queue_full", &queue_full},
            {"key_outages", &key_outages},
            {"slow_keys", &slow_keys},
            {"store_outages", &store_outages},
            {"group_failures", &group_failures},
            {"group_late", &group_late},
            {"lost_stores", &lost_stores},
            {"suspects", &suspects},
            {"new_sinks", &new_sinks},
            {"routes", &routes},
            {"new_partitions", &new_partitions},
            {"transactions", &transactions},
            {"compaction", &compaction},
            {"retention", &retention},
            {"gaps", &gaps},
            {"operator_resets", &operator_resets},
            {"strays", &strays},
            {"watermark_failures", &watermark_failures},
            {"goals", &goals},
            {"delays", &delays},
            {"small_caps", &small_caps}};
  }
  std::vector<std::pair<std::string_view, bool*>> exactly_once_flags() {
    return {{"zombies", &zombies},
            {"commit_failures", &commit_failures},
            {"late_commits", &late_commits},
            {"broken_transactions", &broken_transactions},
            {"coordinator_outages", &coordinator_outages},
            {"timeouts", &timeouts},
            {"ledger_compaction", &ledger_compaction}};
  }
  std::string describe() {
    std::string out;
    auto all = flags();
    for (const auto& flag : exactly_once_flags()) all.push_back(flag);
    for (const auto& [name, flag] : all) {
      if (*flag) out.append(" ").append(name);
    }
    return out;
  }

  bool crashes = false, power_cuts = false, stops = false;
  bool drops = false, unfit = false, unsendable = false, refusals = false;
  bool fatal = false, request_failures = false, authentication_failures = false;
  bool queue_full = false, key_outages = false, slow_keys = false, store_outages = false;
  bool group_failures = false, group_late = false, lost_stores = false, suspects = false,
       new_sinks = false, routes = false;
  bool new_partitions = false, transactions = false, compaction = false, retention = false;
  bool gaps = false, operator_resets = false, strays = false, watermark_failures = false;
  bool goals = false, delays = false, small_caps = false;
  bool zombies = false, commit_failures = false, late_commits = false;
  bool broken_transactions = false, coordinator_outages = false, timeouts = false;
  bool ledger_compaction = false;
};

// What runs had in common, to show that they reached what they are for.
struct Coverage {
  std::uint64_t steps = 0, records = 0, duplicates = 0, lives = 0, refused_requests = 0;
  std::uint64_t dead_letters = 0, gaps = 0, clean_stops = 0, failures = 0, caught_up = 0;
  std::uint64_t commits = 0, aborts = 0, fenced = 0, zombies = 0, timeouts = 0;
  std::uint64_t refused_rounds = 0;  // of more than one record, while isolating
  std::uint64_t takeovers = 0, late_commits = 0;

  void add(const Coverage& other) {
    steps += other.steps;
    records += other.records;
    duplicates += other.duplicates;
    lives += other.lives;
    refused_requests += other.refused_requests;
    dead_letters += other.dead_letters;
    gaps += other.gaps;
    clean_stops += other.clean_stops;
    failures += other.failures;
    caught_up += other.caught_up;
    commits += other.commits;
    aborts += other.aborts;
    fenced += other.fenced;
    zombies += other.zombies;
    timeouts += other.timeouts;
    refused_rounds += other.refused_rounds;
    takeovers += other.takeovers;
    late_commits += other.late_commits;
  }
};

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed, bool exactly_once = false)
      : world_(seed),
        plan_(world_.random, exactly_once),
        here_(world_, "here-id"),
        there_(world_, "there-id"),
        graves_(world_, "graves-id"),
        coordinator_(there_),
        targets_{FakeTarget(there_, &coordinator_), FakeTarget(there_, &coordinator_)},
        dead_(exactly_once ? there_ : graves_),
        store_(world_),
        keys_(waker_),
        model_(world_, here_, store_) {
    options_.exactly_once = exactly_once;
    set_up();
  }
  ~Simulation() {
    bury_zombie();
    destroy();
  }
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Empty: all held.
  std::string run() {
    start();
    const std::int64_t rounds = random().between(100, 350);
    for (std::int64_t i = 0; i < rounds && good(); ++i) {
      disturb();
      round();
    }
    if (good()) calm_down();
    for (int i = 0; i < kMostCalmRounds && good() && !all_done(); ++i) {
      if (i % 100 == 99) look_at_group();
      round();
    }
    if (good() && !all_done()) model_.violate("no progress: {}", unfinished());
    if (good()) finish();
    if (good()) model_.check_outcome();
    coverage.duplicates += model_.duplicates;
    for (const Truth& truth : model_.truths) coverage.dead_letters += truth.dead_stored;
    coverage.lives += model_.life;
    coverage.records += model_.truths.size();
    coverage.commits += coordinator_.commits;
    coverage.aborts += coordinator_.aborts;
    coverage.fenced += coordinator_.fenced;
    coverage.timeouts += coordinator_.timeouts;
    return model_.violation;
  }

  // What goes wrong in this run, for replays.
  std::string describe() {
    return fmt::format("{}; on-error {}, on-gap {}, start {}, {} partitions", plan_.describe(),
                       static_cast<int>(options_.on_error), static_cast<int>(options_.on_gap),
                       static_cast<int>(options_.start_at), model_.sides.size());
  }
  // Prints what happens.
  void trace() { model_.tracing = tracing_ = true; }

  Coverage coverage;

 private:
  static constexpr int kMostCalmRounds = 6000;
  static constexpr int kMostIdleSteps = 30;

  using Millis = std::chrono::milliseconds;

  Random& random() { return world_.random; }
  [[nodiscard]] bool good() const { return model_.violation.empty(); }
  bool by(bool enabled, double probability) { return enabled && random().chance(probability); }

  // ---- setting up ---------------------------------------------------------------------------

  void set_up() {
    world_.observer = &model_;
    options_.name = kPipeline;
    options_.group = "group";
    options_.source.name = "here";
    options_.target.name = "there";
    options_.shards = 1;
    constexpr std::array kOnError{OnError::kStop, OnError::kDeadLetter, OnError::kDrop};
    options_.on_error = random().pick(std::span<const OnError>(kOnError));
    options_.on_gap = random().chance(0.5) ? OnGap::kStop : OnGap::kEarliest;
    options_.start_at = random().chance(0.2) ? StartAt::kLatest : StartAt::kEarliest;
    if (options_.exactly_once) {
      options_.daemon = "daemon";
      options_.commit_interval = Millis(random().between(1, 200));
    }
    options_.checkpoint_interval = Millis(random().between(5, 400));
    options_.checkpoint_records = static_cast<std::uint64_t>(random().between(3, 200));
    if (plan_.small_caps) {
      options_.max_in_flight_bytes = static_cast<std::uint64_t>(random().between(1, 300'000));
      options_.max_in_flight_records = static_cast<std::uint64_t>(random().between(1, 20));
    }
    model_.on_error = options_.on_error;
    model_.on_gap = options_.on_gap;

    const auto partitions = static_cast<std::int32_t>(random().between(1, 4));
    here_.create("a", partitions);
    const bool key_hash = random().chance(0.5);
    const auto target_partitions = key_hash || random().chance(0.2)
                                       ? static_cast<std::int32_t>(random().between(1, 5))
                                       : partitions;
    options_.partitions = key_hash ? PartitionPolicy::kKeyHash : PartitionPolicy::kError;
    model_.policy = options_.partitions;
    there_.create("a", target_partitions);
    model_.target_counts = {target_partitions};
    dead_.cluster().create(kDeadTopic, static_cast<std::int32_t>(random().between(1, 3)));
    for (std::int32_t i = 0; i < partitions; ++i) add_side(i);

    model_.transforms = random().chance(0.7);
    model_.sealed_dead_letters = random().chance(0.5);
    add_transforms();
    there_.refuse = [this](const std::string& topic,
                           const FakeRecord& record) -> std::optional<Error> {
      const Fate fate = model_.truths[record.id].fate;
      if (fate != Fate::kTooLarge && fate != Fate::kBadTimestamp) return std::nullopt;
      if (topic == kDeadTopic) return std::nullopt;
      ++coverage.refused_requests;
      const bool searches = model_.core != nullptr && model_.core->isolating();
      if (searches && model_.unanswered() > 1) ++coverage.refused_rounds;
      return Error{code_of(fate), "refused"};
    };
    for (FakeTarget& target : targets_)
      target.unsendable = [this](const Record& record) { return unsendable(record); };
    for (FakeListener& listener : listeners_) {
      listener.when_caught_up = [this, &listener] {
        if (&listener == &this->listener()) check_caught_up();
      };
    }
    if (options_.exactly_once) set_up_transactions();
    bad_weather();
    for (Side& side : model_.sides) {
      const std::int64_t before = random().between(0, 40);
      for (std::int64_t i = 0; i < before; ++i) produce(side);
    }
  }

  std::optional<Error> unsendable(const Record& record) const {
    const bool fits = model_.truths[FakeMessage::id_of(record)].fate != Fate::kUnsendable ||
                      (options_.exactly_once && record.target_topic == kDeadTopic);
    return fits ? std::nullopt : std::optional(Error{ErrorCode::kUnsendable, "unsendable"});
  }

  void set_up_transactions() {
    there_.create(kLedgerTopic, 1);
    coordinator_.on_visible = [this](const auto& written) { transactions_->committed(written); };
    transactions_.emplace(model_);
    transactions_->holds = [this] { return std::ranges::any_of(target().sinks, &FakeSink::holds); };
  }

  void add_side(std::int32_t partition) {
    Side side;
    side.at = {"a", Partition{partition}};
    side.slot = static_cast<SlotId>(model_.sides.size());
    model_.sides.push_back(side);
  }

  void add_transforms() {
    if (!model_.transforms) return;
    chain_.add("mark", [this](Record& record, Scratch& scratch) {
      const Fate fate = model_.truths[FakeMessage::id_of(record)].fate;
      if (fate == Fate::kDropped) return Outcome::drop();
      record.timestamp_ms += Model::kShift;
      if (record.key) {
        record.key = as_bytes(scratch.arena.copy(std::string(as_text(*record.key)) + "'"));
      }
      if (record.value) {
        record.value =
            as_bytes(scratch.arena.copy(Model::marked(std::string(as_text(*record.value)))));
      }
      if (fate == Fate::kUnfit) {  // half changed
        record.headers.append("half", std::nullopt);
        return Outcome::from({ErrorCode::kTransform, "unfit"});
      }
      return Outcome::keep();
    });
    chain_.add("seal", [this](Record& record, Scratch& scratch) {
      if (keys_wait(FakeMessage::id_of(record))) return Outcome::wait();
      if (record.value) {
        record.value =
            as_bytes(scratch.arena.copy(Model::sealed(std::string(as_text(*record.value)))));
      }
      record.headers.append("sealed", as_bytes("yes"));
      return Outcome::keep();
    });
  }

  // Whether the key store has not answered for this record yet.
  bool keys_wait(std::uint64_t id) {
    if (keys_down_) return true;
    if (!plan_.slow_keys || calm_) return false;
    const auto [found, first] = key_ready_.try_emplace(id);
    if (first) {
      found->second = world_.clock.now();
      if (random().chance(0.1)) found->second += random().up_to(Millis(300));
    }
    return world_.clock.now() < found->second;
  }

  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    if (tracing_) model_.say("{}", fmt::format(format, std::forward<Args>(args)...));
  }

  void bad_weather() {
    Weather& weather = world_.weather;
    if (plan_.delays) {
      weather.fetch_delay = Millis(random().between(0, 60));
      weather.linger = Millis(random().between(0, 10));
      weather.request_delay = Millis(random().between(0, 80));
      weather.report_delay = Millis(random().between(0, 80));
      weather.group_delay = Millis(random().between(0, 300));
    } else {
      weather.request_delay = Millis(random().between(0, 5));
      weather.group_delay = Millis(5);
    }
    weather.fetch_most = static_cast<std::size_t>(random().between(1, 30));
    weather.request_most = static_cast<std::size_t>(random().between(1, 20));
    if (plan_.queue_full) {
      weather.queue_most = static_cast<std::size_t>(random().between(1, 10));
      weather.queue_full = 0.1;
    }
    if (plan_.fatal) weather.fatal = 0.05;
    if (plan_.request_failures) weather.request_fails = 0.1;
    if (plan_.authentication_failures) weather.authentication_fails = 0.01;
    if (plan_.store_outages) {
      weather.save_fails = 0.2;
      weather.save_time = Millis(20);
    }
    if (plan_.group_failures) weather.group_fails = 0.3;
    if (plan_.group_late) weather.group_late = 0.2;
    if (plan_.strays) weather.stray = 0.01;
    if (plan_.commit_failures) weather.commit_fails = 0.1;
    if (plan_.late_commits) weather.commit_late = 0.1;
    if (plan_.broken_transactions) weather.transaction_breaks = 0.03;
    if (plan_.broken_transactions) weather.open_breaks = 0.1;
    if (plan_.timeouts) weather.transaction_timeout = Millis(random().between(100, 2000));
    if (options_.exactly_once) {
      weather.end_delay = Millis(random().between(0, plan_.delays ? 200 : 10));
      weather.marker_delay = Millis(random().between(0, plan_.delays ? 200 : 10));
    }
    if (plan_.watermark_failures) weather.watermarks_fail = random().chance(0.5) ? 0.5 : 1;
  }

  void calm_down() {
    calm_ = true;
    say("calm");
    world_.weather = Weather{};
    world_.weather.request_delay = Millis(2);
    world_.weather.fetch_most = 20;
    world_.weather.request_most = 10;
    world_.weather.end_delay = Millis(options_.exactly_once ? 2 : 0);
    world_.calls_to_power_cut = -1;
    keys_down_ = false;
    bury_zombie();
    here_.take_late_commits(Instant::max());
    for (Side& side : model_.sides) log_of(side).end_transaction(true);
    here_.changed();
  }

  // ---- the source's logs --------------------------------------------------------------------

  FakeLog& log_of(const Side& side) { return *here_.log(side.at); }
  Side& any_side() { return model_.sides[random().below(model_.sides.size())]; }

  void produce(Side& side) {
    Truth truth;
    truth.at = side.at;
    const std::uint64_t id = model_.truths.size();
    FakeRecord& record = truth.source;
    record.id = id;
    record.timestamp_ms = FakeClock::kWallStart + static_cast<std::int64_t>(id);
    if (!random().chance(0.2)) record.key = "k" + std::to_string(random().below(7));
    if (!random().chance(0.1)) {
      record.value = "v" + std::to_string(id) + std::string(random().below(60), '.');
    }
    if (random().chance(0.3)) record.headers = {{"h", "x"}, {"h", std::nullopt}, {"", "y"}};
    truth.fate = draw_fate(side);
    record.offset = here_.append(side.at, record);
    side.ids.push_back(id);
    model_.truths.push_back(std::move(truth));
  }

  Fate draw_fate(const Side& side) {
    const bool transforms = model_.transforms;
    if (by(plan_.drops && transforms, 0.1)) return Fate::kDropped;
    if (by(plan_.unfit && transforms, 0.05)) return Fate::kUnfit;
    if (!fits(side.at)) return Fate::kNoPartition;
    if (by(plan_.unsendable, 0.04)) return Fate::kUnsendable;
    if (by(plan_.refusals, 0.04))
      return random().chance(0.5) ? Fate::kTooLarge : Fate::kBadTimestamp;
    return Fate::kGood;
  }

  [[nodiscard]] bool fits(const TopicPartition& at) const {
    return model_.policy == PartitionPolicy::kKeyHash ||
           at.partition.value < *model_.target_counts.rbegin();
  }

  // Records that the log lost by other ways than compaction.
  template <typename Which>
  void lose(Side& side, bool forget, Which which) {
    for (const std::uint64_t id : side.ids) {
      if (which(model_.truths[id].source.offset)) model_.truths[id].gone = true;
    }
    if (!forget) return;
    std::erase_if(side.ids, [&](std::uint64_t id) { return model_.truths[id].gone; });
  }

  void compact(Side& side) {
    FakeLog& log = log_of(side);
    if (log.records.size() < 2) return;
    const std::size_t index = random().below(log.records.size() - 1);  // never the newest
    const std::int64_t offset = log.records[index].offset;
    log.compact(offset);
    say("{}: {} compacted away", side.slot, offset);
    lose(side, true, [&](std::int64_t candidate) { return candidate == offset; });
  }

  void end_transaction(Side& side, bool commit) {
    FakeLog& log = log_of(side);
    if (!log.open_transaction) return;
    const std::int64_t from = *log.open_transaction;
    log.end_transaction(commit);
    if (!commit) lose(side, true, [&](std::int64_t offset) { return offset >= from; });
    here_.changed();
  }

  // Old records are deleted; only copied ones, unless gaps are wanted.
  void retain(Side& side, bool gap) {
    const auto stored = model_.checkpoint(side);
    FakeLog& log = log_of(side);
    if (!stored || stored->position.next.value <= log.low || log.open_transaction) return;
    const std::int64_t to = gap ? random().between(log.low, log.high)
                                : random().between(log.low, stored->position.next.value);
    log.delete_before(to);
    // Before an operator's reset is saved, the checkpoint is not what will be read.
    if (gap || model_.operator_reset.contains(side.at)) side.gap_possible = true;
    say("{}: log starts at {}", side.slot, to);
    lose(side, false, [&](std::int64_t offset) { return offset < to; });
    witnesses_may_age_ = true;
    here_.changed();
  }

  void truncate(Side& side) {
    FakeLog& log = log_of(side);
    if (log.open_transaction || log.high == log.low) return;
    const std::int64_t to = random().between(log.low, log.high - 1);
    log.truncate(to);
    side.replaced = true;
    say("{}: log truncated to {}", side.slot, to);
    side.gap_possible = true;
    lose(side, true, [&](std::int64_t offset) { return offset >= to; });
    for (std::int64_t i = random().between(0, 10); i > 0; --i) produce(side);
    here_.changed();
  }

  void recreate(Side& side) {
    FakeLog& log = log_of(side);
    log = FakeLog{};
    side.replaced = true;
    say("{}: topic recreated", side.slot);
    side.gap_possible = true;
    lose(side, true, [](std::int64_t) { return true; });
    for (std::int64_t i = random().between(0, 60); i > 0; --i) produce(side);
    here_.changed();
  }

  // Whether a log that was replaced can be told from the old one, now or after a restart.
  bool can_be_proven(const Side& side) {
    const auto stored = model_.checkpoint(side);
    // With holes in its place, a witness tells nothing.
    return stored && stored->position.witness && !witnesses_may_age_ && !plan_.compaction &&
           !plan_.transactions && !model_.operator_reset.contains(side.at);
  }

  // ---- the process --------------------------------------------------------------------------

  void start() {
    ++model_.life;
    say("a new life");
    world_.power = true;
    store_.failing = false;  // for all that the new process knows
    world_.calls_to_power_cut = -1;
    model_.target = &target();
    model_.dead = &dead_;
    source_ = std::make_unique<FakeSource>(here_, std::vector<Waker*>{nullptr});
    first_start_ = store_.load(kPipeline)->empty() && here_.group.empty();
    here_.take_late_commits(world_.clock.now());
    if (by(!calm_ && plan_.fatal, 0.05)) {
      target().broken = Error{ErrorCode::kUnavailable, "injected: no producer"};
    }
    std::unique_ptr<Transform> seal;
    if (model_.sealed_dead_letters) {
      seal = std::make_unique<FunctionTransform>([this](Record& record, Scratch& scratch) {
        if (keys_wait(FakeMessage::id_of(record))) return Outcome::wait();
        if (record.value) {
          record.value =
              as_bytes(scratch.arena.copy(Model::whole(std::string(as_text(*record.value)))));
        }
        return Outcome::keep();
      });
    }
    worker_ = std::make_unique<ShardWorker>(
        ShardDependencies{options_, 0, here_.id(), *source_, target(),
                          options_.on_error == OnError::kDeadLetter ? &dead_ : nullptr, store_,
                          world_.clock, waker_, listener(), chain_.build(keys_), std::move(seal),
                          ledger(), transaction()},
        SinkOptions{});
    model_.core = &worker_->core();
    goals_.clear();
    stopping_ = false;
    stop_said_ = false;
    due_ = world_.clock.now();
    idle_steps_ = 0;
    for (Side& side : model_.sides) add(side, true);
    if (by(plan_.power_cuts && !calm_, 0.5)) {
      world_.calls_to_power_cut = random().between(0, 150);
    }
  }

  FakeTarget& target() { return targets_[host_]; }
  FakeListener& listener() { return listeners_[host_]; }
  std::unique_ptr<ShardLedger> ledger() {
    if (!options_.exactly_once) return nullptr;
    return std::make_unique<ShardLedger>(
        LedgerIdentity{options_.daemon, options_.name, 1, 1, here_.id()});
  }
  std::optional<TransactionOptions> transaction() {
    if (!options_.exactly_once) return std::nullopt;
    return TransactionOptions{"daemon.sim.0", kLedgerTopic, 0};
  }

  void add(Side& side, bool at_start) {
    FakeLog& log = log_of(side);
    const auto stored = store_.find(model_.key(side));
    const auto group = here_.group.find(side.at);
    // A reset that a late commit overwrites before it is carried out is none.
    if (group != here_.group.end() && group->second.line &&
        model_.operator_reset.erase(side.at) > 0) {
      for (const std::uint64_t id : side.asked_for) model_.truths[id].skipped = true;
    }
    if (!model_.operator_reset.contains(side.at)) side.asked_for.clear();
    StartDecision decision = decide_start(
        stored, group == here_.group.end() ? std::nullopt : std::optional(group->second),
        options_.start_at, at_start && first_start_, world_.clock.wall());
    if (decision.reason == StartReason::kLatest) decision.start.position.next = Offset{log.high};
    const std::int64_t begin = decision.start.position.next.value;
    say("{}: starts at {} ({})", side.slot, begin, drawbridge::describe(decision.reason));
    if (decision.reason == StartReason::kGroupOnly || decision.reason == StartReason::kGroupAhead) {
      ++coverage.takeovers;
    }
    if (decision.reason == StartReason::kCheckpoint && group != here_.group.end() &&
        group->second.line && group->second.offset != stored->group_committed &&
        group->second.offset != stored->group_pending &&
        group->second.offset != stored->position.next) {
      ++coverage.late_commits;  // that was taken for a reset before there were marks
    }
    const bool operators_choice =
        decision.reason == StartReason::kGroupReset ||
        (decision.reason == StartReason::kGroupOnly && model_.operator_reset.contains(side.at));
    side.start_line = decision.start.line;
    if (options_.exactly_once) {
      side.given = decision.start.position.next;
      side.given_fresh = decision.start.fresh;
      side.starting = true;
      post_start(side, decision.start, at_start);
      return;
    }
    // An older checkpoint does not know of a reset that was carried out since.
    if (operators_choice && !model_.operator_reset.contains(side.at) &&
        (group->second.line || !model_.store_lost.contains(side.at))) {
      model_.violate("{}-{}: the group's offset {} is taken for an operator's reset", side.at.topic,
                     side.at.partition.value, begin);
    }
    if (stored && begin < stored->position.next.value && !operators_choice &&
        !model_.store_lost.contains(side.at)) {
      model_.violate("{}-{}: starts at {}, and {} is saved", side.at.topic, side.at.partition.value,
                     begin, stored->position.next.value);
    }
    if (operators_choice || decision.reason == StartReason::kLatest || decision.start.fresh) {
      for (const std::uint64_t id : side.ids) {
        Truth& truth = model_.truths[id];
        if (truth.source.offset < begin || (decision.start.fresh && truth.gone)) {
          truth.skipped = true;
        } else if (operators_choice && std::exchange(truth.skipped, false)) {
          side.asked_for.push_back(id);
        }
      }
    }
    side.checked = begin;
    side.life_start = begin;
    side.durable = stored ? std::optional(stored->position.next.value) : std::nullopt;
    side.must_be_saved_before_sending = decision.start.save_now && !stored;
    post_start(side, decision.start, at_start);
  }

  void post_start(Side& side, const PartitionStart& start, bool at_start) {
    const FakeLog& log = log_of(side);
    side.live = true;
    AddPartitionMessage message{side.slot, side.at, start, route(), std::nullopt};
    if (plan_.goals && at_start) {
      message.goal = Offset{log.high == log.low ? 0 : log.high};
      goals_.emplace_back(side.slot, message.goal->value);
    }
    worker_->post(std::move(message));
    posted_ = true;
  }

  Route route() {
    return {"a", there_.info("a")->partitions(), kDeadTopic,
            dead_.cluster().info(kDeadTopic)->partitions()};
  }

  template <typename Message>
  void post(Message message) {
    worker_->post(std::move(message));
    posted_ = true;
  }

  // Without any farewell.
  void destroy() {
    worker_.reset();
    model_.core = nullptr;
    source_.reset();
  }

  // The worker goes on somewhere else, cut off from here, while its successor starts.
  void leave_as_zombie() {
    bury_zombie();
    ++coverage.zombies;
    say("the former worker lives on");
    zombie_ = std::move(worker_);
    zombie_source_ = std::move(source_);
    host_ = 1 - host_;
    listener() = FakeListener{};
    listener().when_caught_up = [this, own = &listener()] {
      if (own == &listener()) check_caught_up();
    };
  }
  // Without any farewell.
  void bury_zombie() {
    zombie_.reset();
    zombie_source_.reset();
  }
  void step_zombie() {
    if (!zombie_) return;
    if (zombie_->finished() || random().chance(0.01)) {
      bury_zombie();
      return;
    }
    std::vector<SourceEvent> events;
    zombie_source_->poll(events, Duration{0});
    world_.observer = &blind_;
    targets_[1 - host_].advance();
    if (random().chance(0.5)) zombie_->step();
    world_.observer = &model_;
  }

  // As where another instance takes over, which has no checkpoint or an older one.
  void lose_store() {
    if (!options_.exactly_once) {
      // What was deleted or replaced since cannot be told then; and what nobody told the group
      // another instance cannot know: it may go on further, after what was repeated here.
      if (witnesses_may_age_ || !here_.late_commits.empty()) return;
      for (const Side& side : model_.sides) {
        const auto stored = store_.find(model_.key(side));
        const auto group = here_.group.find(side.at);
        const bool told = !stored || (group != here_.group.end() &&
                                      group->second.line.value_or(stored->line) == stored->line);
        if (side.gap_possible || !told) return;
      }
      for (const Side& side : model_.sides) model_.store_lost.insert(side.at);
    }
    say("the store is lost");
    if (random().chance(0.5)) {
      store_.restore({});
    } else {
      store_.restore(old_store_);
    }
    old_store_ = store_.saved();
  }

  void restart() {
    const bool healthy = worker_ && !worker_->finished() && world_.power && !calm_ && good();
    if (by(plan_.zombies && healthy && transactions_->begun(), 0.5)) leave_as_zombie();
    destroy();
    model_.check_durable();
    model_.check_group();
    if (!calm_) {
      down_time();
      if (by(plan_.lost_stores, 0.5)) lose_store();
      world_.clock.advance(random().up_to(Millis(500)));
    }
    start();
  }

  void down_time() {
    for (Side& side : model_.sides) {
      if (by(plan_.operator_resets, 0.1)) {
        reset_group(side);
      } else if (by(plan_.gaps, 0.05)) {
        retain(side, true);
      } else if (by(plan_.gaps, 0.05) && can_be_proven(side)) {
        random().chance(0.5) ? truncate(side) : recreate(side);
      }
    }
  }

  void reset_group(Side& side) {
    const auto stored = model_.checkpoint(side);
    const FakeLog& log = log_of(side);
    if (!stored) return;
    const Offset to{random().between(log.low, log.high)};
    if (to == stored->position.next || to == stored->group_committed ||
        to == stored->group_pending) {
      return;
    }
    here_.group[side.at] = {to};
    say("{}: operator resets to {}", side.slot, to.value);
    model_.operator_reset.insert(side.at);
  }

  // ---- a round ------------------------------------------------------------------------------

  void disturb() {
    if (random().chance(0.3)) {
      for (std::int64_t i = random().between(1, 8); i > 0; --i) produce(any_side());
    }
    Side& side = any_side();
    if (by(plan_.transactions, 0.05)) log_of(side).begin_transaction();
    if (by(plan_.transactions, 0.1)) end_transaction(side, random().chance(0.6));
    if (by(plan_.transactions, 0.05) && !log_of(side).open_transaction) {
      log_of(side).append_marker();
      here_.changed();
    }
    if (by(plan_.compaction, 0.1) && !log_of(side).open_transaction) compact(side);
    if (by(plan_.retention, 0.03)) retain(side, false);
    if (by(plan_.gaps, 0.01)) retain(side, true);
    if (by(plan_.gaps, 0.01) && can_be_proven(side)) {
      random().chance(0.5) ? truncate(side) : recreate(side);
      post(SuspectMessage{side.slot, "the end of the log fell"});
    }
    if (random().chance(0.02)) look_at_group();
    if (by(plan_.suspects, 0.03)) post(SuspectMessage{side.slot, "a hint"});
    if (by(plan_.new_sinks, 0.02)) post(SinkMessage{SinkOptions{}});
    if (by(plan_.fatal, 0.01)) {
      for (FakeSink* sink : target().sinks) sink->break_down("injected: fatal");
    }
    if (by(plan_.key_outages, 0.03)) keys_down_ = !keys_down_;
    if (by(plan_.store_outages, 0.03)) {
      world_.weather.store_down = !world_.weather.store_down;
    }
    if (by(plan_.coordinator_outages, 0.03)) {
      world_.weather.coordinator_down = !world_.weather.coordinator_down;
    }
    if (by(plan_.ledger_compaction, 0.05)) coordinator_.compact({kLedgerTopic, Partition{0}});
    if (by(plan_.lost_stores, 0.01)) old_store_ = store_.saved();
    if (by(plan_.routes, 0.02)) grow_target();
    if (by(plan_.new_partitions, 0.01) && model_.sides.size() < 6) grow_source();
    if (by(plan_.crashes, 0.015)) {
      restart();
    } else if (by(plan_.stops && !stopping_, 0.01)) {
      ask_to_stop(random().chance(0.3) ? random().up_to(Millis(200)) : Millis(30'000));
    }
  }

  // As the pipeline's thread does now and then.
  void look_at_group() {
    if (stopping_) return;
    for (const Side& side : model_.sides) {
      const auto group = here_.group.find(side.at);
      if (group != here_.group.end()) post(GroupSeenMessage{side.slot, group->second});
    }
  }

  void grow_target() {
    const std::int32_t count = there_.info("a")->partitions();
    if (count >= 8 || (model_.policy == PartitionPolicy::kError &&
                       count < static_cast<std::int32_t>(model_.sides.size()))) {
      return;  // what is bad must stay bad
    }
    there_.grow("a", count + 1);
    model_.target_counts.insert(count + 1);
    for (const Side& side : model_.sides) post(RouteMessage{side.slot, route()});
  }

  void grow_source() {
    const auto count = static_cast<std::int32_t>(model_.sides.size());
    if (stopping_) return;
    here_.grow("a", count + 1);
    add_side(count);
    Side& side = model_.sides.back();
    for (std::int64_t i = random().between(0, 10); i > 0; --i) produce(side);
    add(side, false);
  }

  void ask_to_stop(Duration drain) {
    stopping_ = true;
    stop_by_ = world_.clock.now() + drain;
    post(StopMessage{drain});
  }

  // Lets time pass until something happens, and steps if the worker would have been woken.
  void round() {
    pump();
    Instant next = std::min({due_, source_->next_event(), target().next_event(), dead_.next_event(),
                             coordinator_.next_event()});
    if (!calm_) next = std::min(next, world_.clock.now() + random().up_to(Millis(40)));
    if (!posted_) world_.clock.advance_to(next);
    coordinator_.advance();
    step_zombie();
    bool woken = target().advance();
    woken = dead_.advance() || woken;
    woken = source_->take_wake_up(0) || woken;
    woken = std::exchange(posted_, false) || woken;
    woken = woken || !world_.power;  // cut by a call of the zombie
    if (woken || world_.clock.now() >= due_ || (!calm_ && random().chance(0.1))) step();
  }

  // What the pipeline's thread does.
  void pump() {
    std::vector<SourceEvent> events;
    source_->poll(events, Duration{0});
    for (SourceEvent& event : events) {
      if (event.kind == SourceEvent::Kind::kStray) {
        post(ReassignMessage{event.slot, "a record came outside of its feed"});
        continue;
      }
      GroupCommittedMessage message;
      for (const auto& [at, offset] : event.offsets) {
        message.offsets.emplace_back(model_.side(at).slot, offset);
      }
      message.error = event.error;
      post(std::move(message));
    }
  }

  void step() {
    ++coverage.steps;
    const Instant before = world_.clock.now();
    const auto progress = progress_mark();
    due_ = worker_->step();
    check_caps();
    model_.check_durable();
    model_.check_group();
    // What a transaction hides when the partition starts is no witness later.
    if (!plan_.transactions && world_.power && !worker_->finished() && good()) {
      model_.check_witnesses();
    }
    if (due_ <= before && world_.clock.now() == before && progress_mark() == progress) {
      if (++idle_steps_ > kMostIdleSteps && !worker_->finished()) {
        model_.violate("the worker spins: {} steps at once without progress: {}", idle_steps_,
                       unfinished());
      }
    } else {
      idle_steps_ = 0;
    }
    if (!world_.power) {
      restart();
    } else if (worker_->finished()) {
      finished();
    } else if (stopping_ && world_.clock.now() > stop_by_ + most_after_stop()) {
      model_.violate("not stopped within its deadline");
    }
  }

  // A failure waits for what the open transaction holds, whoever asks for a stop then.
  [[nodiscard]] Duration most_after_stop() const {
    const bool failing = worker_->core().state() == ShardCore::State::kFailed;
    return std::chrono::seconds(failing ? 6 : 1);
  }

  using Mark = std::array<std::uint64_t, 5>;
  [[nodiscard]] Mark progress_mark() const {
    const ShardCore& core = worker_->core();
    return {worker_->stats().consumed, worker_->stats().delivered, core.outstanding(),
            core.unanswered(), store_.saves};
  }

  void check_caps() {
    const ShardCore& core = worker_->core();
    constexpr std::uint64_t kMostBatch = ShardWorker::kBatchRecords * 1024;
    if (core.in_flight_bytes() > options_.max_in_flight_bytes + kMostBatch ||
        core.outstanding() > options_.max_in_flight_records + ShardWorker::kBatchRecords) {
      model_.violate("in flight: {} bytes, {} records", core.in_flight_bytes(), core.outstanding());
    }
    std::size_t held = 0;
    for (const FakeSink* sink : target().sinks) held += sink->unanswered();
    for (const FakeSink* sink : dead_.sinks) held += sink->unanswered();
    if (world_.power && (held != core.unanswered() || (held > 0 && core.in_flight_bytes() == 0))) {
      model_.violate("sinks hold {} records, the core knows of {}", held, core.unanswered());
    }
  }

  void check_caught_up() {
    ++coverage.caught_up;
    if (options_.exactly_once && !transactions_->holds()) return;  // and knows nothing of it yet
    for (const auto& [slot, goal] : goals_) {
      const Side& side = model_.sides[slot];
      if (side.gap_possible || side.starting) continue;
      for (const std::uint64_t id : side.ids) {
        const Truth& truth = model_.truths[id];
        if (truth.source.offset >= goal || truth.source.offset < side.life_start) continue;
        if (!model_.done(truth)) model_.violate("caught up without {}", Model::name(truth));
      }
    }
  }

  // ---- endings ------------------------------------------------------------------------------

  void finished() {
    const ShardCore& core = worker_->core();
    const bool store_good =
        !world_.weather.store_down && world_.weather.save_fails == 0 && !core.store_error();
    if (store_good && core.dirty() && !options_.exactly_once)
      model_.violate("ended with positions that were not saved");
    if (core.state() == ShardCore::State::kStopped) {
      if (!stopping_) model_.violate("stopped without being asked");
      if (core.unanswered() == 0 && store_good && !core.dirty()) ++coverage.clean_stops;
      if (core.unanswered() > 0 && world_.clock.now() < stop_by_) {
        model_.violate("stopped with {} records unanswered before the deadline", core.unanswered());
      }
      stop_said_ = true;
      if (!finishing_) restart();
      return;
    }
    ++coverage.failures;
    if (listener().failures.empty()) {
      model_.violate("failed without a word");
      return;
    }
    const Error error = listener().failures.back();
    listener().failures.clear();
    say("failed: {}", error.message);
    repair(error);
    if (good()) restart();
  }

  // A person looks at why the pipeline failed, and mends it. A failure without a cause is a bug.
  void repair(const Error& error) {
    if (error.message.find("injected") != std::string::npos) return;
    if (error.code == ErrorCode::kGap) {
      ++coverage.gaps;
      if (std::ranges::none_of(model_.sides, &Side::gap_possible)) {
        model_.violate("a gap without a cause: {}", error.message);
      }
      if (options_.on_gap == OnGap::kEarliest) {
        model_.violate("stopped at a gap though on-gap is earliest: {}", error.message);
      }
      if (options_.exactly_once || random().chance(0.5)) {
        options_.on_gap = OnGap::kEarliest;
        model_.on_gap = OnGap::kEarliest;
        return;
      }
      destroy();  // commits to the group are under way
      here_.take_late_commits(Instant::max());
      for (Side& side : model_.sides) {
        if (!side.gap_possible) continue;
        const std::array<CheckpointKey, 1> keys{model_.key(side)};
        static_cast<void>(store_.erase(keys));
        here_.group.erase(side.at);
      }
      options_.start_at = StartAt::kEarliest;
      return;
    }
    for (Truth& truth : model_.truths) {
      if (!is_bad(truth.fate) || code_of(truth.fate) != error.code ||
          error.message.find("record " + Model::name(truth) + " ") == std::string::npos) {
        continue;
      }
      if (options_.on_error != OnError::kStop) break;
      if (truth.fate == Fate::kNoPartition) {
        options_.partitions = model_.policy = PartitionPolicy::kKeyHash;
        for (Truth& other : model_.truths) {
          if (other.fate == Fate::kNoPartition) other.fate = Fate::kGood;
        }
      } else {
        truth.fate = fits(truth.at) ? Fate::kGood : Fate::kNoPartition;
      }
      return;
    }
    model_.violate("failed without a cause: {} ({})", error.message, name_of(error.code));
  }

  // ---- the end ------------------------------------------------------------------------------

  [[nodiscard]] bool all_done() {
    const ShardCore& core = worker_->core();
    if (posted_ || stopping_ || core.outstanding() > 0) return false;
    for (const Side& side : model_.sides) {
      if (side.starting) return false;
      const Offset end{log_of(side).high};
      const auto stored = model_.checkpoint(side);
      // Nothing was ever there: nothing to save.
      if (!stored && end.value == 0 && core.position(side.slot) == end) continue;
      const auto group = here_.group.find(side.at);
      if (!stored || stored->position.next != end || !core.settled(side.slot) ||
          core.position(side.slot) != end) {
        return false;
      }
      if (coverage.zombies > 0 || (options_.exactly_once && plan_.operator_resets)) continue;
      if (group == here_.group.end() || group->second.offset != end) return false;
    }
    return !core.dirty();
  }

  std::string unfinished() {
    std::string out;
    for (const Side& side : model_.sides) {
      const auto stored = model_.checkpoint(side);
      const auto group = here_.group.find(side.at);
      out += fmt::format("[{}: end {}, position {}, saved {}, group {}] ", side.at.partition.value,
                         log_of(side).high,
                         side.starting ? -1 : worker_->core().position(side.slot).value,
                         stored ? stored->position.next.value : -1,
                         group == here_.group.end() ? -1 : group->second.offset.value);
    }
    const ShardCore& core = worker_->core();
    return out + fmt::format("state {}, outstanding {}, unanswered {}, bytes {}",
                             static_cast<int>(core.state()), core.outstanding(), core.unanswered(),
                             core.in_flight_bytes());
  }

  void finish() {
    const std::uint64_t commits = coordinator_.commits;
    for (int i = 0; i < 20 && good(); ++i) round();
    if (coordinator_.commits > commits) model_.violate("commits while it is idle");
    const ShardCore& core = worker_->core();
    if (good() && (core.outstanding() > 0 || core.unanswered() > 0 || core.in_flight_bytes() > 0)) {
      model_.violate("idle and still holding something: {}", unfinished());
    }
    // The end that was seen at the start may be one that a replaced log never reaches.
    if (plan_.goals && good() && listener().caught_up == 0 &&
        std::ranges::none_of(model_.sides, &Side::replaced)) {
      model_.violate("never caught up");
    }
    finishing_ = true;
    ask_to_stop(Millis(30'000));
    stop_said_ = false;
    for (int i = 0; i < 1000 && good() && !stop_said_; ++i) round();
    if (good() && !stop_said_) model_.violate("does not stop");
  }

  World world_;
  Plan plan_;
  FakeCluster here_;
  FakeCluster there_;
  FakeCluster graves_;
  FakeCoordinator coordinator_;
  std::array<FakeTarget, 2> targets_;  // of a worker and of its zombie predecessor
  FakeTarget dead_;
  FakeStore store_;
  Waker waker_;
  NoKeys keys_;
  FunctionChain chain_;
  Model model_;
  std::optional<ExactlyOnceModel> transactions_;
  std::array<FakeListener, 2> listeners_;
  std::size_t host_ = 0;  // which of them is the worker's
  Observer blind_;        // nobody looks at what a zombie does
  PipelineOptions options_;
  std::unique_ptr<FakeSource> source_;
  std::unique_ptr<ShardWorker> worker_;
  std::unique_ptr<FakeSource> zombie_source_;
  std::unique_ptr<ShardWorker> zombie_;
  FakeStore::Saved old_store_;

  bool tracing_ = false;
  bool calm_ = false;
  bool finishing_ = false;
  bool first_start_ = true;
  bool keys_down_ = false;
  bool witnesses_may_age_ = false;
  std::map<std::uint64_t, Instant> key_ready_;
  std::vector<std::pair<SlotId, std::int64_t>> goals_;
  Instant due_;
  bool posted_ = false;
  bool stopping_ = false;
  bool stop_said_ = false;
  Instant stop_by_;
  int idle_steps_ = 0;
};

}  // namespace drawbridge::fakes

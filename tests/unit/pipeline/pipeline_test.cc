// A whole pipeline with its threads, on clusters in memory.
#include "bridge/pipeline/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "tests/unit/pipeline/fakes.h"

namespace drawbridge::fakes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class PipelineTest : public testing::Test {
 protected:
  PipelineTest() {
    options.name = "orders";
    options.group = "drawbridge-orders";
    options.source.name = "here";
    options.target.name = "there";
    options.topics.include = {"^t-.*"};
    options.create_topics.enabled = true;
    options.shards = 3;
    options.checkpoint_interval = milliseconds(20);
    options.refresh_interval = milliseconds(30);
    options.drain_timeout = seconds(5);
    connector.add("here", here);
    connector.add("there", there);
  }

  void produce(const std::string& topic, std::int32_t partition, int count) {
    for (int i = 0; i < count; ++i) {
      FakeRecord record;
      record.id = ++produced;
      record.timestamp_ms = static_cast<std::int64_t>(produced);
      record.value = fmt::format("{}", produced);
      here.append({topic, Partition{partition}}, record);
    }
  }
  std::vector<std::uint64_t> ids(FakeCluster& cluster, const std::string& topic,
                                 std::int32_t partition) {
    const std::lock_guard lock(world.mutex);
    std::vector<std::uint64_t> out;
    const FakeLog* log = cluster.log({topic, Partition{partition}});
    if (log == nullptr) return out;
    for (const FakeRecord& record : log->records) out.push_back(record.id);
    return out;
  }
  bool in_group(const TopicPartition& at) {
    const std::lock_guard lock(world.mutex);
    return here.group.contains(at);
  }
  bool copied(const std::string& topic, std::int32_t partition) {
    return ids(here, topic, partition) == ids(there, topic, partition);
  }

  PipelineDependencies dependencies(CheckpointStore& of) {
    return {connector, of, *domains, clock, [](const std::string&, KeyService&) {
              return Result<std::unique_ptr<Transform>>(nullptr);
            }};
  }
  Pipeline& start(bool until_caught_up = false) {
    pipeline = std::make_unique<Pipeline>(options, dependencies(store), until_caught_up);
    pipeline->start();
    return *pipeline;
  }
  PipelineStatus stop() {
    pipeline->stop();
    pipeline->join();
    return pipeline->status();
  }
  template <typename Condition>
  void wait_for(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(milliseconds(2));
    }
    EXPECT_TRUE(condition());
  }

  World world{1};
  FakeCluster here{world, "here-id"};
  FakeCluster there{world, "there-id"};
  FakeConnector connector;
  FakeStore store{world};
  std::unique_ptr<DomainRegistry> domains = *DomainRegistry::create({}, KeyCacheLimits{});
  SystemClock clock;
  PipelineOptions options;
  std::unique_ptr<Pipeline> pipeline;
  std::uint64_t produced = 0;
};

TEST_F(PipelineTest, CopiesWhatIsThereAndWhatAppears) {
  here.create("t-a", 3);
  here.create("other", 1);
  for (std::int32_t i = 0; i < 3; ++i) produce("t-a", i, 500);
  produce("other", 0, 5);
  start();
  wait_for([&] { return copied("t-a", 0) && copied("t-a", 1) && copied("t-a", 2); });

  here.create("t-b", 1);
  produce("t-b", 0, 10);
  here.grow("t-a", 4);
  produce("t-a", 3, 10);
  wait_for([&] { return copied("t-b", 0) && copied("t-a", 3); });

  EXPECT_EQ(pipeline->status().partitions, 5U);
  const PipelineStatus status = stop();
  EXPECT_EQ(status.state, PipelineState::kStopped);
  EXPECT_TRUE(status.final);
  EXPECT_EQ(status.delivered, produced - 5);
  EXPECT_EQ(there.log({"other", Partition{0}}), nullptr);
  // Stopped drained, saved, and told to the group.
  for (const auto& [topic, partition, end] :
       {std::tuple("t-a", 0, 500), {"t-a", 3, 10}, {"t-b", 0, 10}}) {
    const TopicPartition at{topic, Partition{partition}};
    EXPECT_EQ(store.find({"orders", "here-id", at})->position.next, Offset{end});
    EXPECT_EQ(here.group.at(at).offset, Offset{end});
  }
}

TEST_F(PipelineTest, GoesOnWhereItStoppedWithoutADuplicate) {
  here.create("t-a", 2);
  produce("t-a", 0, 100);
  start();
  wait_for([&] { return copied("t-a", 0); });
  stop();
  produce("t-a", 0, 100);
  produce("t-a", 1, 100);
  start();
  wait_for([&] { return copied("t-a", 0) && copied("t-a", 1); });
  EXPECT_EQ(stop().delivered, 200U);
}

TEST_F(PipelineTest, UntilCaughtUpStopsByItself) {
  here.create("t-a", 3);
  for (std::int32_t i = 0; i < 2; ++i) produce("t-a", i, 1000);  // one partition is empty
  start(true);
  pipeline->join();
  const PipelineStatus status = pipeline->status();
  EXPECT_EQ(status.state, PipelineState::kStopped);
  EXPECT_EQ(status.delivered, 2000U);
  EXPECT_EQ(here.group.at({"t-a", Partition{1}}).offset, Offset{1000});
}

TEST_F(PipelineTest, AnotherNumberOfShardsIsRefused) {
  static_cast<void>(store.set_shards("orders", 7));
  start();
  pipeline->join();
  const PipelineStatus status = pipeline->status();
  EXPECT_EQ(status.state, PipelineState::kFailed);
  ASSERT_TRUE(status.failure);
  EXPECT_THAT(status.failure->message, HasSubstr("runs with 7 shards"));
}

TEST_F(PipelineTest, CheckpointsOfAnotherClusterAreRefused) {
  CheckpointEntry entry{{"orders", "another-id", {"t-a", Partition{0}}}, {}};
  static_cast<void>(store.save({&entry, 1}));
  start();
  pipeline->join();
  ASSERT_TRUE(pipeline->status().failure);
  EXPECT_EQ(pipeline->status().failure->code, ErrorCode::kForeign);
}

TEST_F(PipelineTest, ARecordThatFailsEndsItWithItsReason) {
  here.create("t-a", 1);
  produce("t-a", 0, 10);
  const std::uint64_t bad = produced / 2;
  there.refuse = [&](const std::string&, const FakeRecord& record) -> std::optional<Error> {
    if (record.id != bad) return std::nullopt;
    return Error{ErrorCode::kTooLarge, "too large"};
  };
  start();
  pipeline->join();
  const PipelineStatus status = pipeline->status();
  EXPECT_EQ(status.state, PipelineState::kFailed);
  EXPECT_TRUE(status.final);
  ASSERT_TRUE(status.failure);
  EXPECT_THAT(status.failure->message, HasSubstr("record t-a-0@4 failed in target: too large"));
  // What came before it is there, saved, and nothing after it is passed.
  EXPECT_EQ(store.find({"orders", "here-id", {"t-a", Partition{0}}})->position.next, Offset{4});
}

TEST_F(PipelineTest, LimitsOfTargetTopicsAreReadAgainWhileItRuns) {
  for (const char* topic : {"t-a", "t-b"}) {
    here.create(topic, 1);
    there.create(topic, 1, {{"max.message.bytes", "1000"}});
  }
  const auto limits = [&] {
    const std::lock_guard lock(world.mutex);
    return std::pair(there.newest_sink.smallest_limit, there.newest_sink.largest_limit);
  };
  start();
  wait_for([&] { return limits() == std::pair<std::int64_t, std::int64_t>(1000, 1000); });
  there.configure("t-a", {{"max.message.bytes", "3000"}});
  wait_for([&] { return limits() == std::pair<std::int64_t, std::int64_t>(1000, 3000); });
  there.configure("t-b", {{"max.message.bytes", "2000"}});
  wait_for([&] { return limits() == std::pair<std::int64_t, std::int64_t>(2000, 3000); });
  produce("t-a", 0, 10);
  wait_for([&] { return copied("t-a", 0); });
  EXPECT_EQ(stop().delivered, 10U);
}

TEST_F(PipelineTest, ATargetTopicThatIsDeletedWhileItRunsIsMadeAgain) {
  here.create("t-a", 2);
  start();
  produce("t-a", 0, 10);
  wait_for([&] { return copied("t-a", 0); });
  const auto there_now = [&] {
    const std::lock_guard lock(world.mutex);
    return there.info("t-a").has_value();
  };
  there.remove("t-a");
  wait_for(there_now);
  produce("t-a", 1, 10);
  wait_for([&] { return copied("t-a", 1); });
  EXPECT_EQ(stop().delivered, 20U);
}

TEST_F(PipelineTest, ATargetTopicThatIsDeletedAndMayNotBeMadeIsAFailure) {
  here.create("t-a", 1);
  there.create("t-a", 1);
  options.create_topics.enabled = false;
  start();
  wait_for([&] { return pipeline->status().state == PipelineState::kRunning; });
  there.remove("t-a");
  wait_for([&] { return pipeline->status().failure.has_value(); });
  EXPECT_EQ(pipeline->status().failure->code, ErrorCode::kUnknownTopic);
  there.create("t-a", 1);
  produce("t-a", 0, 10);
  wait_for([&] { return copied("t-a", 0); });
  EXPECT_EQ(stop().delivered, 10U);
}

TEST_F(PipelineTest, AClusterThatIsAwayIsTriedAgain) {
  here.create("t-a", 1);
  produce("t-a", 0, 10);
  FakeConnector empty;
  std::swap(connector, empty);
  start();
  wait_for([&] { return pipeline->status().state == PipelineState::kRestarting; });
  EXPECT_FALSE(pipeline->status().final);
  EXPECT_EQ(stop().state, PipelineState::kStopped);
}

TEST_F(PipelineTest, ATopicThatIsRecreatedWhileRunningIsAGap) {
  here.create("t-a", 1);
  produce("t-a", 0, 100);
  start();
  wait_for([&] { return in_group({"t-a", Partition{0}}); });
  here.create("t-a", 1);
  produce("t-a", 0, 20);
  pipeline->join();
  const PipelineStatus status = pipeline->status();
  ASSERT_TRUE(status.failure);
  EXPECT_EQ(status.failure->code, ErrorCode::kGap);
  EXPECT_EQ(ids(there, "t-a", 0).size(), 100U);
}

// Two instances of one daemon, each with a state directory of its own.
class SharingTest : public PipelineTest, public testing::WithParamInterface<bool> {
 protected:
  SharingTest() {
    options.daemon = "bridge";
    options.exactly_once = GetParam();
    options.commit_interval = milliseconds(10);
    connector.sharing = &group;
    connector.coordinator = &coordinator;
    coordinator.on_visible = [this](const auto& written) {
      for (const auto& [at, record] : written) visible.emplace_back(at, record.id);
    };
    here.create("t-a", 6);
  }
  struct Instance {
    explicit Instance(SharingTest& test)
        : store(test.world), pipeline(test.options, test.dependencies(store), false) {
      pipeline.start();
    }
    FakeStore store;
    Pipeline pipeline;
  };
  void produce_everywhere(int count) {
    for (std::int32_t i = 0; i < 6; ++i) produce("t-a", i, count);
  }
  // What a reader sees, by partition.
  std::vector<std::uint64_t> seen(std::int32_t partition) {
    if (!GetParam()) return ids(there, "t-a", partition);
    const std::lock_guard lock(world.mutex);
    std::vector<std::uint64_t> out;
    if (there.info("t-a")) {
      for (const FakeRecord& record : coordinator.committed({"t-a", Partition{partition}})) {
        out.push_back(record.id);
      }
    }
    return out;
  }
  bool all_copied() {
    for (std::int32_t i = 0; i < 6; ++i) {
      if (seen(i).size() < ids(here, "t-a", i).size()) return false;
    }
    return true;
  }
  void expect_each_once() {
    for (std::int32_t i = 0; i < 6; ++i) EXPECT_EQ(seen(i), ids(here, "t-a", i)) << i;
  }

  FakeGroupCoordinator group{GetParam() ? there : here};
  FakeCoordinator coordinator{there};
  std::vector<std::pair<TopicPartition, std::uint64_t>> visible;
};
INSTANTIATE_TEST_SUITE_P(Both, SharingTest, testing::Values(false, true),
                         [](const auto& of) { return of.param ? "ExactlyOnce" : "AtLeastOnce"; });

TEST_P(SharingTest, InstancesWorkOnPartsAndHandThemOver) {
  produce_everywhere(100);
  Instance first(*this);
  wait_for([&] { return first.pipeline.status().partitions == 6; });
  produce_everywhere(50);
  {
    Instance second(*this);
    wait_for([&] {
      const std::size_t mine = first.pipeline.status().partitions;
      const std::size_t others = second.pipeline.status().partitions;
      return mine > 0 && others > 0 && mine + others == 6;
    });
    produce_everywhere(50);
    wait_for([&] { return all_copied(); });
    EXPECT_GT(second.pipeline.status().delivered, 0U);
    EXPECT_GE(first.pipeline.status().delivered, 600U);
    second.pipeline.stop();
    second.pipeline.join();
  }
  produce_everywhere(50);
  wait_for([&] { return first.pipeline.status().partitions == 6 && all_copied(); });
  expect_each_once();
}

TEST_P(SharingTest, AThirdHasNothingToDoUntilOneGoes) {
  options.shards = 2;
  here.remove("t-a");
  here.create("t-a", 2);
  Instance first(*this);
  Instance second(*this);
  auto third = std::make_unique<Instance>(*this);
  const auto idle = [&] {
    return first.pipeline.status().partitions + second.pipeline.status().partitions +
               third->pipeline.status().partitions ==
           2;
  };
  wait_for([&] { return group.size() == 3 && idle(); });
  first.pipeline.stop();
  first.pipeline.join();
  wait_for([&] {
    return second.pipeline.status().partitions == 1 && third->pipeline.status().partitions == 1;
  });
}

// Who took over has copied nothing yet: what it would copy next is known only by the record before.
TEST_P(SharingTest, ATopicReplacedAfterATakeoverIsAGap) {
  produce_everywhere(100);
  {
    Instance first(*this);
    wait_for([&] { return all_copied() && first.pipeline.status().partitions == 6; });
    first.pipeline.stop();
    first.pipeline.join();
  }
  Instance second(*this);
  const auto witnesses = [&] {
    const std::lock_guard lock(world.mutex);
    const auto& saved = second.store.saved();
    return std::ranges::count_if(
        saved, [](const auto& entry) { return entry.second.position.witness.has_value(); });
  };
  wait_for(
      [&] { return second.pipeline.status().partitions == 6 && (GetParam() || witnesses() == 6); });
  second.pipeline.stop();
  second.pipeline.join();
  here.remove("t-a");
  here.create("t-a", 6);
  produce_everywhere(200);
  Pipeline again(options, dependencies(second.store), false);
  again.start();
  again.join();
  ASSERT_TRUE(again.status().failure);
  EXPECT_EQ(again.status().failure->code, ErrorCode::kGap);
  EXPECT_THAT(again.status().failure->message, HasSubstr("at offset 99 is not the one"));
  for (std::int32_t i = 0; i < 6; ++i) EXPECT_EQ(seen(i).size(), 100U) << i;
}

// An instance's own checkpoint is further than where the operator wants all of them to go on.
TEST_P(SharingTest, AResetThatAnotherInstanceCarriedOutIsNotUndone) {
  if (GetParam()) GTEST_SKIP() << "the ledger decides";
  produce_everywhere(100);
  FakeStore store_of_first(world);
  const auto run = [&](FakeStore& of, auto&& until) {
    Pipeline one(options, dependencies(of), false);
    one.start();
    wait_for([&] { return one.status().partitions == 6 && until(); });
    one.stop();
    one.join();
  };
  run(store_of_first, [&] { return all_copied(); });
  {
    const std::lock_guard lock(world.mutex);
    for (std::int32_t i = 0; i < 6; ++i) {
      here.group[{"t-a", Partition{i}}] = {Offset{10}};
      // Hides what follows, until the other instance has gone.
      here.log({"t-a", Partition{i}})->open_transaction = 30;
    }
  }
  FakeStore store_of_second(world);
  run(store_of_second, [&] {
    const std::lock_guard lock(world.mutex);
    for (std::int32_t i = 0; i < 6; ++i) {
      if (here.group[{"t-a", Partition{i}}].offset != Offset{30}) return false;
    }
    return true;
  });
  {
    const std::lock_guard lock(world.mutex);
    for (std::int32_t i = 0; i < 6; ++i) {
      here.log({"t-a", Partition{i}})->open_transaction.reset();
    }
  }
  run(store_of_first, [&] { return seen(0).size() == 190; });
  for (std::int32_t i = 0; i < 6; ++i) {
    std::vector<std::uint64_t> wanted = ids(here, "t-a", i);
    wanted.insert(wanted.end(), wanted.begin() + 10, wanted.begin() + 100);
    EXPECT_EQ(seen(i), wanted) << i;
  }
}

// The group takes an instance for dead, gives its part away, and only then it wakes up.
TEST_P(SharingTest, WhoWasTakenForDeadNeitherWritesNorStealsBack) {
  produce_everywhere(100);
  Instance first(*this);
  wait_for([&] { return all_copied() && first.pipeline.status().partitions == 6; });
  const FakeGroupCoordinator::MemberId sleeper = group.newest();
  {
    const std::lock_guard lock(world.mutex);
    group.frozen = sleeper;
    group.expire(sleeper);
  }
  Instance second(*this);
  wait_for([&] { return second.pipeline.status().partitions == 6; });
  produce_everywhere(100);
  wait_for([&] { return all_copied(); });
  {
    const std::lock_guard lock(world.mutex);
    group.frozen.reset();
  }
  wait_for([&] {
    return first.pipeline.status().partitions + second.pipeline.status().partitions == 6 &&
           first.pipeline.status().partitions > 0 && second.pipeline.status().partitions > 0;
  });
  produce_everywhere(100);
  wait_for([&] { return all_copied(); });
  if (GetParam()) expect_each_once();  // at least once: what both sent is doubled
}

TEST_P(SharingTest, StartAtLatestCountsForThePipelineNotForTheInstance) {
  options.start_at = StartAt::kLatest;
  produce_everywhere(10);
  Instance first(*this);
  wait_for([&] { return first.pipeline.status().partitions == 6; });
  produce_everywhere(10);
  wait_for([&] { return seen(5).size() == 10 && seen(0).size() == 10; });
  Instance second(*this);
  wait_for([&] { return second.pipeline.status().partitions > 0; });
  // A partition that appears later is read from its beginning, whoever gets it.
  here.grow("t-a", 12);
  for (std::int32_t i = 6; i < 12; ++i) produce("t-a", i, 10);
  wait_for([&] {
    const std::lock_guard lock(world.mutex);
    for (std::int32_t i = 6; i < 12; ++i) {
      if (!there.log({"t-a", Partition{i}}) || seen(i).size() < 10) return false;
    }
    return true;
  });
  EXPECT_EQ(seen(0).size(), 10U);
}

}  // namespace
}  // namespace drawbridge::fakes

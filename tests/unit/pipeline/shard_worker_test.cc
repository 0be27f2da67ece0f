// What a shard's worker does beside carrying out its core's commands. The simulation covers the
// interplay; here stand the single rules, and a worker on a thread of its own.
#include "bridge/pipeline/shard_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "bridge/pipeline/dead_letter.h"
#include "tests/unit/pipeline/fakes.h"

namespace drawbridge::fakes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ShardWorkerTest : public testing::Test {
 protected:
  ShardWorkerTest() {
    options.name = "pipe";
    options.source.name = "here";
    options.shards = 1;
    here.create("in", 1);
    there.create("out", 1);
    graves.create("dead", 1);
  }

  // What follows is used as it is when the worker is made.
  ShardWorker& make() {
    const bool dead_letters = options.on_error == OnError::kDeadLetter;
    worker = std::make_unique<ShardWorker>(
        ShardDependencies{options, 0, here.id(), source, target, dead_letters ? &dead : nullptr,
                          store, world.clock, waker, listener, chain.build(keys), std::move(seal)},
        SinkOptions{});
    return *worker;
  }
  AddPartitionMessage partition(std::optional<Offset> goal = std::nullopt) {
    AddPartitionMessage message;
    message.slot = 0;
    message.at = at;
    message.start.fresh = true;
    message.route = Route{"out", 1, "dead", 1};
    message.goal = goal;
    return message;
  }
  void produce(std::string value, std::uint64_t id = 0) {
    FakeRecord record;
    record.id = id;
    record.timestamp_ms = 1000;
    record.key = "k";
    record.value = std::move(value);
    here.append(at, record);
  }
  // Steps as a thread would, with time passing where it would sleep.
  void run(Duration most = seconds(10)) {
    const Instant until = world.clock.now() + most;
    while (!worker->finished() && world.clock.now() < until) {
      const Instant next = worker->step();
      target.advance();
      dead.advance();
      if (next > world.clock.now()) world.clock.advance(milliseconds(10));
    }
  }
  std::vector<std::string> values(FakeCluster& cluster, const std::string& topic) {
    std::vector<std::string> out;
    for (const FakeRecord& record : cluster.log({topic, Partition{0}})->records) {
      out.push_back(record.value.value_or("null"));
    }
    return out;
  }

  World world{1};
  FakeCluster here{world, "here-id"};
  FakeCluster there{world, "there-id"};
  FakeCluster graves{world, "graves-id"};
  Waker waker;
  FakeSource source{here, {&waker}};
  FakeTarget target{there};
  FakeTarget dead{graves};
  FakeStore store{world};
  NoKeys keys{waker};
  FunctionChain chain;
  std::unique_ptr<Transform> seal;
  FakeListener listener;
  PipelineOptions options;
  const TopicPartition at{"in", Partition{0}};
  std::unique_ptr<ShardWorker> worker;
};

TEST_F(ShardWorkerTest, CopiesCountsAndSaves) {
  for (int i = 0; i < 1000; ++i) produce(fmt::format("v{}", i));
  make().post(partition());
  run(seconds(3));
  EXPECT_THAT(values(there, "out"), SizeIs(1000));
  EXPECT_EQ(worker->stats().consumed, 1000U);
  EXPECT_EQ(worker->stats().delivered, 1000U);
  EXPECT_EQ(worker->stats().in_flight, 0U);
  EXPECT_EQ(worker->stats().lag, 0);
  EXPECT_EQ(worker->stats().delivered_bytes, 1000U + 4 * 900 + 3 * 90 + 2 * 10);
  const auto saved = store.find({"pipe", "here-id", at});
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->position.next, Offset{1000});
  ASSERT_TRUE(saved->position.witness);
  EXPECT_EQ(saved->position.witness->offset, Offset{999});
  EXPECT_GE(saved->saved_at, FakeClock::kWallStart);
  EXPECT_LE(saved->saved_at, world.clock.wall());
}

TEST_F(ShardWorkerTest, ProducerThatCannotBeMadeIsAFailureThatIsSaid) {
  target.broken = Error{ErrorCode::kInvalid, "no such property"};
  make().run();
  ASSERT_THAT(listener.failures, SizeIs(1));
  EXPECT_EQ(listener.failures[0].message, "no such property");
}

TEST_F(ShardWorkerTest, WaitsForKeysAndResumesWhereTheChainStopped) {
  bool keys_are_there = false;
  int first = 0;
  chain.add("first", [&](Record&, Scratch&) {
    ++first;
    return Outcome::keep();
  });
  chain.add("second", [&](Record&, Scratch&) {
    return keys_are_there ? Outcome::keep() : Outcome::wait({ErrorCode::kKeyDenied, "not allowed"});
  });
  produce("v");
  make().post(partition());
  run(seconds(1));
  EXPECT_THAT(values(there, "out"), IsEmpty());
  EXPECT_TRUE(worker->stats().waiting_for_keys);
  EXPECT_TRUE(listener.failures.empty());
  keys_are_there = true;
  run(seconds(1));
  EXPECT_THAT(values(there, "out"), SizeIs(1));
  EXPECT_FALSE(worker->stats().waiting_for_keys);
  EXPECT_EQ(first, 1);
}

TEST_F(ShardWorkerTest, AFailedRecordStopsThePipelineByDefault) {
  chain.add("check", [](Record&, Scratch&) {
    return Outcome::from({ErrorCode::kEnvelopeMissing, "the value is in clear"});
  });
  produce("v");
  make().post(partition());
  run();
  ASSERT_THAT(listener.failures, SizeIs(1));
  EXPECT_EQ(listener.failures[0].code, ErrorCode::kEnvelopeMissing);
  EXPECT_EQ(listener.failures[0].message,
            "record in-0@0 failed in transform 1 (check): the value is in clear");
  EXPECT_THAT(values(there, "out"), IsEmpty());
  EXPECT_FALSE(store.find({"pipe", "here-id", at}));
}

TEST_F(ShardWorkerTest, AnErrorOfTheWholePipelineIsNoRecordsFault) {
  options.on_error = OnError::kDrop;
  chain.add("check", [](Record&, Scratch&) {
    return Outcome::from({ErrorCode::kInternal, "a broken invariant"});
  });
  produce("v");
  make().post(partition());
  run();
  ASSERT_THAT(listener.failures, SizeIs(1));
  EXPECT_EQ(listener.failures[0].code, ErrorCode::kInternal);
}

TEST_F(ShardWorkerTest, AMissingPartitionGoesToThePolicy) {
  here.create("in", 3);
  options.on_error = OnError::kDeadLetter;
  AddPartitionMessage third = partition();
  third.at.partition = Partition{2};
  make().post(std::move(third));
  FakeRecord record;
  record.value = "v";
  here.append({"in", Partition{2}}, record);
  run(seconds(2));
  ASSERT_THAT(values(graves, "dead"), SizeIs(1));
  const auto& letter = graves.log({"dead", Partition{0}})->records[0];
  EXPECT_EQ(letter.headers[5], FakeHeader(kDeadLetterTransform, "partitions"));
  EXPECT_EQ(letter.headers[6], FakeHeader(kDeadLetterError, "partition"));
  EXPECT_EQ(worker->stats().dead_letters, 1U);
}

TEST_F(ShardWorkerTest, ADeadLetterWaitsForTheKeysThatSealIt) {
  options.on_error = OnError::kDeadLetter;
  bool keys_are_there = false;
  chain.add("check", [](Record&, Scratch&) {
    return Outcome::from({ErrorCode::kEnvelopeTampered, "tag does not verify"});
  });
  seal = std::make_unique<FunctionTransform>([&](Record& record, Scratch&) {
    if (!keys_are_there) return Outcome::wait();
    record.value = as_bytes("sealed");
    return Outcome::keep();
  });
  produce("plain");
  make().post(partition());
  run(seconds(2));
  EXPECT_THAT(values(graves, "dead"), IsEmpty());
  EXPECT_FALSE(store.find({"pipe", "here-id", at})) << "the checkpoint waits";
  keys_are_there = true;
  run(seconds(2));
  EXPECT_THAT(values(graves, "dead"), testing::ElementsAre("sealed"));
  EXPECT_EQ(store.find({"pipe", "here-id", at})->position.next, Offset{1});
}

TEST_F(ShardWorkerTest, ADeadLetterThatCannotBeSealedIsNeverSentInClear) {
  options.on_error = OnError::kDeadLetter;
  chain.add("check", [](Record&, Scratch&) {
    return Outcome::from({ErrorCode::kEnvelopeTampered, "tag does not verify"});
  });
  seal = std::make_unique<FunctionTransform>([](Record&, Scratch&) {
    return Outcome::from({ErrorCode::kKeyNotFound, "no such key"});
  });
  produce("plain");
  make().post(partition());
  run();
  ASSERT_THAT(listener.failures, SizeIs(1));
  EXPECT_EQ(listener.failures[0].message,
            "the dead letter for record in-0@0 cannot be sealed: no such key");
  EXPECT_THAT(values(graves, "dead"), IsEmpty());
}

TEST_F(ShardWorkerTest, ARefusedDeadLetterFailsThePipeline) {
  options.on_error = OnError::kDeadLetter;
  chain.add("check", [](Record&, Scratch&) {
    return Outcome::from({ErrorCode::kTransform, "unfit"});
  });
  graves.refuse = [](const std::string&, const FakeRecord&) {
    return std::optional(Error{ErrorCode::kTooLarge, "too large"});
  };
  produce("v");
  make().post(partition());
  run();
  ASSERT_THAT(listener.failures, SizeIs(1));
  EXPECT_EQ(listener.failures[0].message, "the dead letter for offset 0 was refused: too large");
}

// The topic's name was viewed by records that waited while a new route, or a new partition's
// entry, moved it.
TEST_F(ShardWorkerTest, ARecordThatWaitsKeepsTheRouteItWasGiven) {
  there.create("elsewhere", 1);
  bool keys_are_there = false;
  chain.add("wait",
            [&](Record&, Scratch&) { return keys_are_there ? Outcome::keep() : Outcome::wait(); });
  produce("first");
  make().post(partition());
  run(milliseconds(200));
  worker->post(RouteMessage{0, Route{"elsewhere", 1, "dead", 1}});
  here.create("more", 40);
  for (std::uint32_t slot = 1; slot <= 40; ++slot) {
    AddPartitionMessage more = partition();
    more.slot = slot;
    more.at = {"more", Partition{static_cast<std::int32_t>(slot - 1)}};
    worker->post(std::move(more));
  }
  run(milliseconds(200));
  keys_are_there = true;
  run(seconds(1));
  EXPECT_EQ(values(there, "out").size() + values(there, "elsewhere").size(), 1U);
  EXPECT_THAT(listener.failures, IsEmpty());
}

TEST_F(ShardWorkerTest, IsCaughtUpOnceTheGoalIsReachedAndTheLogIsProven) {
  produce("a");
  produce("b");
  make().post(partition(Offset{2}));
  run(seconds(3));
  EXPECT_EQ(listener.caught_up, 1);
  worker.reset();

  // Restarted where it was: only the witness has to be seen.
  bool verified = false;
  listener.when_caught_up = [&] { verified = worker->core().settled(0); };
  AddPartitionMessage again = partition(Offset{2});
  again.start.fresh = false;
  again.start.position = store.find({"pipe", "here-id", at})->position;
  make().post(std::move(again));
  run(seconds(3));
  EXPECT_EQ(listener.caught_up, 2);
  EXPECT_TRUE(verified);
}

TEST_F(ShardWorkerTest, ATopicThatIsDeletedAndRecreatedIsAGap) {
  for (int i = 0; i < 10; ++i) produce("old");
  make().post(partition());
  run(seconds(2));
  here.remove("in");
  run(seconds(3));  // the feed says that the topic is gone
  here.create("in", 1);
  for (int i = 0; i < 50; ++i) produce("new");
  run(seconds(5));
  ASSERT_THAT(listener.failures, SizeIs(1));
  EXPECT_EQ(listener.failures[0].code, ErrorCode::kGap);
  EXPECT_THAT(listener.failures[0].message, HasSubstr("deleted and recreated"));
  EXPECT_THAT(values(there, "out"), SizeIs(10)) << "nothing of the new topic";
}

TEST_F(ShardWorkerTest, AFailingStorePausesAndShowsIt) {
  world.weather.store_down = true;
  produce("a");
  make().post(partition());
  run(seconds(3));
  EXPECT_TRUE(worker->stats().store_failing);
  produce("b");
  run(seconds(3));
  EXPECT_THAT(values(there, "out"), testing::ElementsAre("a")) << "consumes nothing";
  world.weather.store_down = false;
  run(seconds(3));
  EXPECT_FALSE(worker->stats().store_failing);
  EXPECT_THAT(values(there, "out"), testing::ElementsAre("a", "b"));
}

TEST_F(ShardWorkerTest, StopsDrainedAndSaved) {
  for (int i = 0; i < 100; ++i) produce("v");
  world.weather.request_delay = milliseconds(50);
  make().post(partition());
  run(milliseconds(20));
  ASSERT_GT(worker->core().unanswered(), 0U);
  worker->post(StopMessage{seconds(5)});
  run();
  EXPECT_EQ(listener.stopped, 1);
  EXPECT_EQ(store.find({"pipe", "here-id", at})->position.next,
            Offset{static_cast<std::int64_t>(values(there, "out").size())});
}

// ---- on a thread of its own -----------------------------------------------------------------

// Sleeps on the waker like the real one, but in the fakes' time.
class ShardWorkerThread : public ShardWorkerTest {
 protected:
  // Time goes on by itself, as the worker's deadlines need it.
  void wait_for(const std::function<bool()>& condition) {
    for (int i = 0; i < 20'000 && !condition(); ++i) {
      world.clock.advance(milliseconds(1));
      waker.wake();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    EXPECT_TRUE(condition());
  }
};

TEST_F(ShardWorkerThread, CopiesWhileOthersPostAndProduce) {
  make().post(partition());
  std::atomic<bool> ended{false};
  std::thread thread([&] {
    worker->run();
    ended = true;
  });
  for (int i = 0; i < 200; ++i) {
    produce(fmt::format("v{}", i));
    if (i % 50 == 0) worker->post(SuspectMessage{0, "a hint"});
    if (i == 100) worker->post(SinkMessage{SinkOptions{}});
    worker->post(RouteMessage{0, Route{"out", 1, "dead", 1}});
  }
  wait_for([&] { return worker->stats().delivered >= 200; });
  worker->post(StopMessage{seconds(5)});
  wait_for([&] { return ended.load(); });  // nobody brings the group's answer
  thread.join();
  EXPECT_EQ(listener.stopped, 1);
  EXPECT_EQ(store.find({"pipe", "here-id", at})->position.next, Offset{200});
}

}  // namespace
}  // namespace drawbridge::fakes

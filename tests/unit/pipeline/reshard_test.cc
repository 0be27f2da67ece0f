// Moving and setting ledgers, on a cluster in memory.
#include "bridge/pipeline/reshard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "bridge/pipeline/shard_of.h"
#include "bridge/pipeline/shard_worker.h"
#include "tests/unit/pipeline/fakes.h"

namespace drawbridge::fakes {
namespace {

using testing::HasSubstr;
using Done = ReshardReport::Done;

// Waiting costs no time, and lets the coordinator go on.
class TickingClock final : public Clock {
 public:
  TickingClock(World& world, FakeCoordinator& coordinator)
      : world_(world), coordinator_(coordinator) {}
  [[nodiscard]] Instant now() const override {
    const std::lock_guard lock(world_.mutex);
    world_.clock.advance(std::chrono::seconds(10));
    coordinator_.advance();
    return world_.clock.now();
  }
  [[nodiscard]] WallMillis wall() const override { return world_.clock.wall(); }

 private:
  World& world_;
  FakeCoordinator& coordinator_;
};

class ReshardTest : public testing::Test {
 protected:
  explicit ReshardTest(std::uint64_t seed = 1) : world(seed) {
    options.name = "orders";
    options.daemon = "bridge";
    options.target.name = "there";
    options.exactly_once = true;
    options.shards = 3;
    connector.add("there", there);
    connector.sharing = &group;
    connector.coordinator = &coordinator;
  }

  static std::string ledger_name(const std::string& pipeline, std::uint32_t epoch) {
    return ledger_topic("bridge", pipeline, epoch).value();
  }
  void append(const std::string& topic, std::uint32_t shard, const LedgerEntry& entry) {
    const LedgerRecord said = encode_ledger(entry).value();
    FakeRecord record;
    record.key = as_text(said.key);
    record.value = as_text(said.value);
    there.append({topic, Partition{static_cast<std::int32_t>(shard)}}, record);
  }
  static LedgerPosition position(std::int32_t partition, std::int64_t next,
                                 const std::string& cluster = "source") {
    LedgerPosition made;
    made.cluster_id = cluster;
    made.at = {"in", Partition{partition}};
    made.position = {{next}, Witness{{next - 1}, 1, 99}};
    made.sequence = static_cast<std::uint64_t>(next);
    made.digest = RunningDigest{1, 2, {}};
    return made;
  }
  // As a pipeline of so many shards leaves it, with eight partitions.
  void make(const std::string& pipeline, std::uint32_t epoch, std::uint32_t shards) {
    const std::string topic = ledger_name(pipeline, epoch);
    there.create(topic, static_cast<std::int32_t>(shards), {{"cleanup.policy", "compact"}});
    for (std::uint32_t i = 0; i < shards; ++i) {
      LedgerHeader header;
      header.daemon = "bridge";
      header.pipeline = pipeline;
      header.epoch = epoch;
      header.shards = shards;
      header.hash_seed = 100 + i;
      header.digest_key[0] = static_cast<std::uint8_t>(i);
      append(topic, i, header);
    }
    for (std::int32_t i = 0; i < 8; ++i) {
      const LedgerPosition at = position(i, 10 + i);
      append(topic, shard_of(at.at, shards), at);
    }
  }
  std::vector<LedgerContents> contents(const std::string& topic) {
    std::vector<LedgerContents> out;
    for (std::int32_t i = 0; there.log({topic, Partition{i}}) != nullptr; ++i) {
      std::vector<LedgerRecord> records;
      for (const FakeRecord& record : coordinator.committed({topic, Partition{i}})) {
        const ByteView key = as_bytes(*record.key);
        const ByteView value = as_bytes(*record.value);
        records.push_back({Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end())});
      }
      out.push_back(decode_contents(records).value());
    }
    return out;
  }
  // Each of the eight once, on its shard.
  void expect_all(const std::string& topic, std::uint32_t shards) {
    const auto all = contents(topic);
    ASSERT_EQ(all.size(), shards);
    std::map<std::int32_t, std::int64_t> next;
    for (std::uint32_t i = 0; i < shards; ++i) {
      ASSERT_TRUE(all[i].header) << i;
      EXPECT_FALSE(all[i].header->moved_to);
      EXPECT_EQ(all[i].header->shards, shards);
      for (const LedgerPosition& each : all[i].positions) {
        EXPECT_EQ(shard_of(each.at, shards), i);
        EXPECT_TRUE(next.emplace(each.at.partition.value, each.position.next.value).second);
      }
    }
    ASSERT_EQ(next.size(), 8U);
    for (const auto& [partition, offset] : next) EXPECT_EQ(offset, 10 + partition);
  }
  Result<ReshardReport> move(const LedgerOwner& from = {"bridge", "orders"}) {
    FakeTarget target(there, &coordinator);
    return reshard(options, from, connector, target, clock);
  }
  std::string refusal(const LedgerOwner& from = {"bridge", "orders"}) {
    const auto moved = move(from);
    return moved ? "" : moved.error().message;
  }
  Result<void> find() {
    FakeTarget target(there, &coordinator);
    const auto place = find_ledger(options, target, {});
    return place ? Result<void>() : fail(place.error());
  }

  World world;
  FakeCluster there{world, "there-id"};
  FakeGroupCoordinator group{there};
  FakeCoordinator coordinator{there};
  FakeConnector connector;
  TickingClock clock{world, coordinator};
  PipelineOptions options;
};

TEST_F(ReshardTest, DealsPositionsToAnotherNumberOfShards) {
  make("orders", 1, 2);
  EXPECT_THAT(find().error().message, HasSubstr("offsets reshard"));
  const auto moved = move();
  ASSERT_TRUE(moved) << moved.error().message;
  EXPECT_EQ(moved->done, Done::kMoved);
  EXPECT_EQ(moved->positions.size(), 8U);
  expect_all(ledger_name("orders", 2), 3);
  for (const LedgerContents& old : contents(ledger_name("orders", 1))) {
    EXPECT_EQ(old.header->moved_to, 2U);
    EXPECT_FALSE(old.header->renamed_to);
  }
  // What had another key goes without witness and digest.
  std::size_t proven = 0;
  for (std::uint32_t i = 0; i < 3; ++i) {
    const LedgerContents each = contents(ledger_name("orders", 2))[i];
    EXPECT_EQ(each.header->hash_seed, 100U + i % 2);
    for (const LedgerPosition& at : each.positions) {
      const bool same = shard_of(at.at, 2) == i % 2;
      EXPECT_EQ(at.position.witness.has_value(), same);
      EXPECT_EQ(at.digest.has_value(), same);
      EXPECT_EQ(at.sequence, 18U) << "above all before";
      proven += same ? 1 : 0;
    }
  }
  EXPECT_GT(proven, 0U);
  EXPECT_LT(proven, 8U);
  EXPECT_EQ(there.config(ledger_name("orders", 2)), ledger_config());
  EXPECT_TRUE(find());
  EXPECT_EQ(group.size(), 0U) << "it has left";
  EXPECT_EQ(move()->done, Done::kNothing);
  options.shards = 2;
  EXPECT_THAT(find().error().message, HasSubstr("set shards: 3"));
  EXPECT_EQ(move()->done, Done::kMoved);
  expect_all(ledger_name("orders", 3), 2);
}

TEST_F(ReshardTest, AMultipleLosesNothing) {
  make("orders", 1, 2);
  options.shards = 6;
  ASSERT_EQ(move()->done, Done::kMoved);
  expect_all(ledger_name("orders", 2), 6);
  for (const LedgerContents& each : contents(ledger_name("orders", 2))) {
    for (const LedgerPosition& at : each.positions) EXPECT_TRUE(at.position.witness && at.digest);
  }
}

TEST_F(ReshardTest, RenamesAndBack) {
  make("orders", 1, 2);
  options.name = "sales";
  options.shards = 2;
  EXPECT_THAT(refusal({"bridge", "sales"}), HasSubstr("--from-pipeline"));
  ASSERT_EQ(move()->done, Done::kMoved);
  expect_all(ledger_name("sales", 2), 2);
  EXPECT_EQ(there.info(ledger_name("sales", 1)), std::nullopt);
  EXPECT_TRUE(find());
  const auto old = contents(ledger_name("orders", 1));
  EXPECT_EQ(old[1].header->renamed_to, (LedgerOwner{"bridge", "sales"}));
  EXPECT_EQ(old[1].header->moved_to, 2U);
  for (const LedgerContents& each : contents(ledger_name("sales", 2))) {
    for (const LedgerPosition& at : each.positions) EXPECT_TRUE(at.position.witness && at.digest);
  }
  EXPECT_EQ(move()->done, Done::kBefore);
  options.name = "third";
  EXPECT_THAT(refusal(), HasSubstr("was moved to epoch 2 of pipeline sales"));
  options.name = "orders";
  options.shards = 4;
  ASSERT_EQ(move({"bridge", "sales"})->done, Done::kMoved);
  expect_all(ledger_name("orders", 2), 4);
  EXPECT_TRUE(find());
}

TEST_F(ReshardTest, TakesNobodysLedger) {
  make("orders", 1, 2);
  make("sales", 1, 2);
  options.name = "sales";
  EXPECT_THAT(refusal(), HasSubstr("has a ledger of its own"));
  EXPECT_EQ(contents(ledger_name("orders", 1))[0].header->moved_to, std::nullopt);
  EXPECT_THAT(refusal({"bridge", "nobody"}), HasSubstr("nothing to move"));
}

TEST_F(ReshardTest, WhatHasNotBegunIsNotMoved) {
  there.create(ledger_name("orders", 1), 2);
  EXPECT_THAT(refusal(), HasSubstr("nothing to move"));
  LedgerHeader header;
  header.daemon = "bridge";
  header.pipeline = "orders";
  header.shards = 2;
  append(ledger_name("orders", 1), 0, header);
  EXPECT_THAT(refusal(), HasSubstr("shard 1 of pipeline orders has not written"));
}

TEST_F(ReshardTest, RefusesWhileOthersRunIt) {
  make("orders", 1, 2);
  FakeGroup other(group);
  ASSERT_TRUE(other.subscribe({ledger_name("orders", 1)}));
  // It is asked to release what it has while the command joins.
  FakeTarget target(there, &coordinator);
  std::atomic<bool> stop = false;
  std::thread polls([&] {
    while (!stop) {
      while (const auto event = other.poll()) {
        if (event->kind == GroupEvent::Kind::kRevoked) other.release();
      }
      std::this_thread::yield();
    }
  });
  const auto moved = reshard(options, {"bridge", "orders"}, connector, target, clock);
  stop = true;
  polls.join();
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, ErrorCode::kLocked);
  EXPECT_THAT(moved.error().message, HasSubstr("Stop them first"));
  EXPECT_EQ(contents(ledger_name("orders", 1))[0].header->moved_to, std::nullopt);
}

TEST_F(ReshardTest, WhatWasBegunIsFinishedFirst) {
  make("orders", 1, 2);
  const auto close = [&](std::uint32_t shard, std::uint32_t epoch) {
    LedgerHeader header = *contents(ledger_name("orders", 1))[shard].header;
    header.moved_to = epoch;
    append(ledger_name("orders", 1), shard, header);
  };
  // A topic is made for three and nothing closed: four are another topic.
  there.create(ledger_name("orders", 2), 3);
  close(1, 2);
  options.shards = 4;
  EXPECT_THAT(refusal(), HasSubstr("set shards: 3 and finish it first"));
  options.shards = 3;
  // As a daemon sees it.
  EXPECT_TRUE(find());
  ShardLedger unfinished({"bridge", "orders", 2, 3, "source"});
  EXPECT_THAT(unfinished.read({}).error().message, HasSubstr("reshard again"));
  ASSERT_EQ(move()->done, Done::kMoved);
  expect_all(ledger_name("orders", 2), 3);
}

TEST_F(ReshardTest, AnUnusedEpochOfAnotherNumberIsLeft) {
  make("orders", 1, 2);
  there.create(ledger_name("orders", 2), 4);
  ASSERT_EQ(move()->done, Done::kMoved);
  expect_all(ledger_name("orders", 3), 3);
  // Also where the number is the one before: the unused epoch is the newest, and has no header.
  make("more", 1, 2);
  there.create(ledger_name("more", 2), 4);
  options.name = "more";
  options.shards = 2;
  ASSERT_EQ(move({"bridge", "more"})->done, Done::kMoved);
  expect_all(ledger_name("more", 3), 2);
}

TEST_F(ReshardTest, SetsPositionsOnTheirShards) {
  make("orders", 1, 2);
  FakeTarget target(there, &coordinator);
  {
    const auto hold =
        LedgerHold::take(options, {ledger_name("orders", 1), 1, 2}, connector, target, clock)
            .value();
    EXPECT_EQ(hold->find("source", {"in", Partition{3}})->position.next, Offset{13});
    EXPECT_EQ(hold->find("elsewhere", {"in", Partition{3}}), nullptr);
    EXPECT_TRUE(hold->knows("source", "in"));
    EXPECT_FALSE(hold->knows("source", "out"));
    const std::vector<std::pair<TopicPartition, Position>> positions{
        {{"in", Partition{3}}, {{5}, {}}},
        {{"in", Partition{4}}, {{6}, {}}},
        {{"in", Partition{9}}, {{7}, {}}}};
    const auto set = hold->set("source", positions);
    ASSERT_TRUE(set) << set.error().message;
  }
  std::map<std::int32_t, LedgerPosition> said;
  for (const LedgerContents& each : contents(ledger_name("orders", 1))) {
    for (const LedgerPosition& at : each.positions) said[at.at.partition.value] = at;
  }
  EXPECT_EQ(said.size(), 9U);
  EXPECT_EQ(said[3].position, (Position{{5}, {}}));
  EXPECT_EQ(said[4].position, (Position{{6}, {}}));
  EXPECT_EQ(said[9].position, (Position{{7}, {}}));
  EXPECT_GT(said[3].sequence, 13U);
  EXPECT_EQ(said[2].position.next, Offset{12});
}

TEST_F(ReshardTest, WhoTookAShardOverStopsIt) {
  make("orders", 1, 2);
  FakeTarget target(there, &coordinator);
  const auto hold =
      LedgerHold::take(options, {ledger_name("orders", 1), 1, 2}, connector, target, clock).value();
  ASSERT_TRUE(coordinator.take_over("bridge.orders.1"));
  const std::vector<std::pair<TopicPartition, Position>> positions{
      {{"in", Partition{3}}, {{5}, {}}}, {{"in", Partition{4}}, {{6}, {}}}};
  EXPECT_FALSE(hold->set("source", positions));
}

// Killed at any call, on a cluster that is slow: what is left either runs or refuses to, and the
// command again finishes it.
class ReshardCrashTest : public ReshardTest, public testing::WithParamInterface<int> {
 protected:
  ReshardCrashTest() : ReshardTest(static_cast<std::uint64_t>(GetParam())) {}
};
INSTANTIATE_TEST_SUITE_P(Seeds, ReshardCrashTest, testing::Range(0, 30));

TEST_P(ReshardCrashTest, IsFinishedByTheNextOne) {
  make("orders", 1, 2);
  const bool rename = world.random.chance(0.3);
  if (rename) options.name = "sales";
  world.weather.end_delay = world.weather.marker_delay = world.weather.request_delay =
      std::chrono::milliseconds(300);
  for (int crash = 0; crash < 4; ++crash) {
    world.calls_to_power_cut = world.random.between(0, 50);
    static_cast<void>(move());
    world.calls_to_power_cut = -1;
    world.power = true;
    world.clock.advance(std::chrono::seconds(1));  // what was on the wire arrives
    coordinator.advance();
    // Open, every shard of it, or closed and final.
    const std::string to = ledger_name(options.name, 2);
    if (there.info(to) && contents(to)[0].header) {
      expect_all(to, 3);
      for (const LedgerContents& each : contents(ledger_name("orders", 1))) {
        EXPECT_EQ(each.header->moved_to, 2U);
      }
    }
  }
  const auto last = move();
  ASSERT_TRUE(last) << last.error().message;
  expect_all(ledger_name(options.name, 2), 3);
  EXPECT_NE(move()->done, Done::kMoved);
}

}  // namespace
}  // namespace drawbridge::fakes

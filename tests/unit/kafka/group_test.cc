// Members of a group on the library's mock cluster, whose first rebalance takes 3 s, and each later
// one nearly the session's timeout; so few tests, each of which looks at much. The mock keeps no
// transactional offsets and checks none of their generations: that needs a real broker, as with
// DRAWBRIDGE_TEST_BROKER=HOST:PORT in the environment, or e2e.
#include "bridge/kafka/group.h"

#include <librdkafka/rdkafka.h>
// After rdkafka.h, as it demands.
#include <librdkafka/rdkafka_mock.h>

#include <algorithm>
#include <array>
#include <set>
#include <thread>

#include "tests/unit/kafka/cluster.h"

namespace drawbridge::kafka {
namespace {

using Kind = GroupEvent::Kind;

constexpr std::int16_t kOffsetCommit = 8;
constexpr std::int16_t kFindCoordinator = 10;
constexpr std::int16_t kJoinGroup = 11;
constexpr std::int16_t kHeartbeat = 12;

// What a member has been told, and what it does about it by itself.
struct Watched {
  std::unique_ptr<Group> group;
  std::vector<GroupEvent> events;
  std::optional<std::vector<TopicPartition>> held;
  bool releases = true;

  void poll() {
    while (auto event = group->poll()) {
      if (event->kind == Kind::kAssigned) held = event->partitions;
      if (event->kind == Kind::kRevoked) {
        held.reset();
        if (releases) group->release();
      }
      events.push_back(std::move(*event));
    }
  }
  [[nodiscard]] std::size_t count(Kind kind) const {
    return static_cast<std::size_t>(std::ranges::count(events, kind, &GroupEvent::kind));
  }
  [[nodiscard]] bool holds(std::size_t partitions) const {
    return held && held->size() == partitions;
  }
  [[nodiscard]] std::optional<Error> refusal() const {
    for (const GroupEvent& event : events)
      if (event.error && class_of(event.error->code) != ErrorClass::kRetry) return event.error;
    return std::nullopt;
  }
};

class GroupTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* broker = std::getenv("DRAWBRIDGE_TEST_BROKER")) {
      bootstrap_ = broker;
      return;
    }
    std::array<char, 256> text{};
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text.data(), text.size());
    cluster_ = rd_kafka_mock_cluster_new(client_, 1);
    bootstrap_ = rd_kafka_mock_cluster_bootstraps(cluster_);
  }
  void TearDown() override {
    members_.clear();
    if (cluster_ == nullptr) return;
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }
  [[nodiscard]] bool real() const { return cluster_ == nullptr; }

  [[nodiscard]] ClusterOptions cluster() const {
    return {"test", {{"bootstrap.servers", bootstrap_}}};
  }
  std::string make_topic(std::int32_t partitions) {
    static std::atomic<int> count{0};
    const auto stamp = std::chrono::system_clock::now().time_since_epoch().count();
    const std::string name = fmt::format("test-{}-{}", stamp, ++count);
    if (real()) {
      must(must(make_connector()->target(cluster(), {}))
               ->create_topic({name, partitions, -1, {}}, 20s));
    } else {
      rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, 1);
    }
    return name;
  }
  void refuse(std::int16_t request, std::vector<rd_kafka_resp_err_t> errors) {
    rd_kafka_mock_push_request_errors_array(cluster_, request, errors.size(), errors.data());
  }
  Watched& join(const std::vector<std::string>& topics, Properties properties = {}) {
    GroupOptions options;
    options.name = topics.at(0) + "-group";
    options.session_timeout = 6s;
    members_.push_back(std::make_unique<Watched>());
    members_.back()->group = must(make_connector()->group(cluster(), properties, options));
    must(members_.back()->group->subscribe(topics));
    return *members_.back();
  }
  bool wait(const std::function<bool()>& enough, Duration limit = 25s) {
    for (const Instant until = now() + limit; now() < until;) {
      for (const auto& member : members_)
        if (member->group) member->poll();
      if (enough()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  std::string bootstrap_;
  std::vector<std::unique_ptr<Watched>> members_;
};

TEST_F(GroupTest, DealsOutAmongItsMembersAndAgainWhenOneLeaves) {
  const std::string topic = make_topic(4);
  Watched& first = join({topic});
  Watched& second = join({topic});
  ASSERT_TRUE(wait([&] { return first.holds(2) && second.holds(2); }));
  std::set<TopicPartition> all(first.held->begin(), first.held->end());
  all.insert(second.held->begin(), second.held->end());
  EXPECT_EQ(all.size(), 4U);
  EXPECT_FALSE(first.refusal());

  const std::shared_ptr<Lease> lease = second.group->lease(second.held->at(0));
  EXPECT_FALSE(lease->token().empty());
  must(lease->confirm(5s));

  const Instant begin = now();
  second.group.reset();
  EXPECT_LT(now() - begin, Duration(3s));
  const auto after = lease->confirm(5s);
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, ErrorCode::kFenced);

  ASSERT_TRUE(wait([&] { return first.holds(4); }));
  EXPECT_GE(first.count(Kind::kRevoked), 1U);
  for (const GroupEvent& event : first.events) EXPECT_FALSE(event.lost);
}

TEST_F(GroupTest, WithoutAPartitionOneIsAMemberAllTheSame) {
  const std::string topic = make_topic(1);
  Watched& first = join({topic});
  Watched& second = join({topic});
  ASSERT_TRUE(wait([&] { return first.held && second.held; }));
  Watched& idle = first.held->empty() ? first : second;
  Watched& busy = first.held->empty() ? second : first;
  EXPECT_TRUE(idle.holds(0));
  ASSERT_TRUE(busy.holds(1));
  busy.group.reset();
  ASSERT_TRUE(wait([&] { return idle.holds(1); }));
  // It was told that its nothing is over, too.
  EXPECT_TRUE(std::ranges::any_of(idle.events, [](const GroupEvent& event) {
    return event.kind == Kind::kRevoked && event.partitions.empty();
  }));
}

TEST_F(GroupTest, GivesUpWhatItHasWhenReleasedAndNotBefore) {
  const std::string topic = make_topic(2);
  const std::string other = make_topic(3);
  std::vector<std::string> topics{topic};
  if (real())
    topics.emplace_back("there-is-no-such-topic");  // the mock makes each that is asked for
  Watched& only = join(topics);
  ASSERT_TRUE(wait([&] { return only.holds(2); }));
  const std::shared_ptr<Lease> lease = only.group->lease(only.held->at(0));
  only.releases = false;
  must(only.group->subscribe({topic, other, topic}));
  ASSERT_TRUE(wait([&] { return only.count(Kind::kRevoked) == 1; }));
  EXPECT_EQ(only.events.back().partitions.size(), 2U);
  EXPECT_FALSE(wait([&] { return only.held.has_value(); }, 1s));
  must(lease->confirm(5s));  // what is under way may be finished
  only.group->release();
  ASSERT_TRUE(wait([&] { return only.holds(5); }));
  EXPECT_FALSE(lease->confirm(5s));
  must(only.group->lease(only.held->at(0))->confirm(5s));

  // The same topics: taken back and dealt out again.
  only.releases = true;
  const std::size_t before = only.count(Kind::kAssigned);
  must(only.group->subscribe({topic, other}));
  ASSERT_TRUE(wait([&] { return only.count(Kind::kAssigned) > before; }));
  EXPECT_TRUE(only.holds(5));
  // None: it leaves.
  must(only.group->subscribe({}));
  ASSERT_TRUE(wait([&] { return !only.held.has_value(); }));
  EXPECT_FALSE(only.refusal()) << only.refusal()->message;
}

TEST_F(GroupTest, IsToldThatItWasTakenForDead) {
  if (real()) GTEST_SKIP() << "needs a coordinator that can be told what to say";
  const std::string topic = make_topic(2);
  Watched& only = join({topic});
  ASSERT_TRUE(wait([&] { return only.holds(2); }));
  const std::shared_ptr<Lease> lease = only.group->lease(only.held->at(1));
  refuse(kHeartbeat, {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID});
  ASSERT_TRUE(wait([&] { return only.count(Kind::kRevoked) == 1; }));
  EXPECT_TRUE(std::ranges::find(only.events, Kind::kRevoked, &GroupEvent::kind)->lost);
  const auto held = lease->confirm(5s);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, ErrorCode::kFenced);
  EXPECT_THAT(held.error().message, testing::HasSubstr(topic));
}

TEST_F(GroupTest, ALeaseIsWhatTheCoordinatorSaysOfIt) {
  if (real()) GTEST_SKIP() << "needs a coordinator that can be told what to say";
  const std::string topic = make_topic(2);
  Watched& only = join({topic});
  ASSERT_TRUE(wait([&] { return only.holds(2); }));
  const std::shared_ptr<Lease> lease = only.group->lease(only.held->at(0));

  refuse(kOffsetCommit, {RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS});
  const auto moving = lease->confirm(5s);
  ASSERT_FALSE(moving);
  EXPECT_EQ(class_of(moving.error().code), ErrorClass::kRetry) << moving.error().message;
  must(lease->confirm(5s));

  refuse(kOffsetCommit, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  const auto refused = lease->confirm(5s);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              testing::HasSubstr(fmt::format("READ on group {}-group", topic)));

  refuse(kOffsetCommit, {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION});
  const auto over = lease->confirm(5s);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kFenced);
}

TEST_F(GroupTest, AMissingRightIsNamed) {
  if (real()) GTEST_SKIP() << "needs a coordinator that can be told what to say";
  const std::string topic = make_topic(1);
  refuse(kFindCoordinator, {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  Watched& only = join({topic});
  ASSERT_TRUE(wait([&] { return only.refusal().has_value(); }));
  EXPECT_EQ(only.refusal()->code, ErrorCode::kAuthorization);
  EXPECT_THAT(only.refusal()->message,
              testing::HasSubstr(fmt::format("READ on group {}-group", topic)));
}

TEST_F(GroupTest, TwoInstancesOfOneNameAreFenced) {
  if (real()) GTEST_SKIP() << "needs a coordinator that can be told what to say";
  const std::string topic = make_topic(1);
  refuse(kJoinGroup, {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID});
  GroupOptions options;
  options.name = "fenced";
  options.instance = "bridge-1";
  members_.push_back(std::make_unique<Watched>());
  Watched& only = *members_.back();
  only.group = must(make_connector()->group(cluster(), {}, options));
  must(only.group->subscribe({topic}));
  ASSERT_TRUE(wait([&] { return only.refusal().has_value(); }));
  EXPECT_EQ(only.refusal()->code, ErrorCode::kFenced);
  EXPECT_THAT(only.refusal()->message, testing::HasSubstr("daemon.instance bridge-1"));
  const Instant begin = now();
  only.group.reset();
  EXPECT_LT(now() - begin, Duration(3s));
}

TEST_F(GroupTest, LeavesInTimeWithoutItsBroker) {
  if (real()) GTEST_SKIP() << "needs a broker that can be put down";
  const std::string topic = make_topic(1);
  Watched& only = join({topic});
  ASSERT_TRUE(wait([&] { return only.holds(1); }));
  const std::shared_ptr<Lease> lease = only.group->lease(only.held->at(0));
  rd_kafka_mock_broker_set_down(cluster_, 1);
  const auto unknown = lease->confirm(300ms);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(class_of(unknown.error().code), ErrorClass::kRetry) << unknown.error().message;
  // With an answer outstanding that nobody gives.
  only.releases = false;
  must(only.group->subscribe({topic}));
  ASSERT_TRUE(wait([&] { return only.count(Kind::kRevoked) > 0; }));
  const Instant begin = now();
  only.group.reset();
  EXPECT_LT(now() - begin, Duration(6s));
}

TEST(GroupWithoutABroker, ReportsAndEndsInBoundedTime) {
  GroupOptions options;
  options.name = "group";
  auto group =
      must(make_connector()->group({"away", {{"bootstrap.servers", "127.0.0.1:1"}}}, {}, options));
  must(group->subscribe({"topic"}));
  std::optional<GroupEvent> event;
  for (const Instant until = now() + 10s; !event && now() < until;) {
    event = group->poll();
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_TRUE(event);
  ASSERT_TRUE(event->error);
  EXPECT_EQ(event->error->code, ErrorCode::kUnavailable);
  const Instant begin = now();
  group.reset();
  EXPECT_LT(now() - begin, Duration(6s));
}

TEST(GroupSettings, UserPropertiesCountWhereTheyMay) {
  GroupOptions options;
  options.name = "group";
  const ClusterOptions cluster{"c", {{"bootstrap.servers", "127.0.0.1:1"}}};
  auto group = must(
      KafkaGroup::make(cluster, {{"session.timeout.ms", "90000"}, {"client.id", "mine"}}, options));
  EXPECT_EQ(group->client().number("session.timeout.ms"), 90000);
  EXPECT_EQ(group->client().number("max.poll.interval.ms"), 90000);
  EXPECT_EQ(group->client().number("heartbeat.interval.ms"), 500);
  const auto refused =
      KafkaGroup::make(cluster, {{"partition.assignment.strategy", "range"}}, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
}

// The source's own membership, where instances share its partitions.
TEST_F(GroupTest, ASourceCommitsAsAMember) {
  const std::string topic = make_topic(2);
  PipelineOptions options;
  options.name = "test";
  options.group = topic + "-group";
  options.source = cluster();
  options.session_timeout = 6s;
  Waker waker;
  const std::array<Waker*, 1> wakers{&waker};
  auto source = must(make_connector()->source(options, wakers));
  ASSERT_NE(source->group(), nullptr);
  must(source->group()->subscribe({topic}));
  std::vector<TopicPartition> held;
  for (const Instant until = now() + 20s; held.empty() && now() < until;) {
    if (auto event = source->group()->poll(); event && event->kind == Kind::kAssigned)
      held = event->partitions;
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_EQ(held.size(), 2U);

  const auto commit = [&](std::int64_t offset) {
    source->commit({{held[0], GroupOffset{Offset{offset}}}});
    EXPECT_EQ(source->commits_pending(), 1U);
    std::vector<SourceEvent> events;
    for (const Instant until = now() + 10s; source->commits_pending() > 0 && now() < until;)
      source->poll(events, 200ms);
    for (SourceEvent& event : events)
      if (event.kind == SourceEvent::Kind::kCommitted) return event;
    ADD_FAILURE() << "no answer";
    return SourceEvent{};
  };
  const SourceEvent done = commit(7);
  EXPECT_FALSE(done.error) << done.error->message;
  ASSERT_EQ(done.offsets.size(), 1U);
  EXPECT_EQ(done.offsets[0].second, Offset{7});
  EXPECT_EQ(must(source->committed(held, 10s))[0], GroupOffset{Offset{7}});
  if (real()) return;
  refuse(kOffsetCommit, {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION});
  const SourceEvent refused = commit(8);
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->code, ErrorCode::kFenced);
  EXPECT_EQ(must(source->committed(held, 10s))[0], GroupOffset{Offset{7}});
}

TEST_F(GroupTest, ASourceThatIsNotSharedOrFeedsNobodyJoinsNothing) {
  PipelineOptions options;
  options.name = "test";
  options.group = "group";
  options.source = cluster();
  Waker waker;
  const std::array<Waker*, 1> wakers{&waker};
  EXPECT_EQ(must(make_connector()->source(options, {}))->group(), nullptr);
  options.exactly_once = true;
  EXPECT_EQ(must(make_connector()->source(options, wakers))->group(), nullptr);
  options.exactly_once = options.share = false;
  EXPECT_EQ(must(make_connector()->source(options, wakers))->group(), nullptr);
}

}  // namespace
}  // namespace drawbridge::kafka

#include "bridge/app/positions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PlaceInLog, ReadsWhatACommandLineSays) {
  using Kind = PlaceInLog::Kind;
  const std::vector<std::tuple<std::string, Kind, std::int64_t>> good{
      {"earliest", Kind::kEarliest, 0},
      {"latest", Kind::kLatest, 0},
      {"0", Kind::kOffset, 0},
      {"9223372036854775807", Kind::kOffset, INT64_MAX},
      {"20260131", Kind::kOffset, 20'260'131},  // digits are an offset, never a time
      {"1970-01-02", Kind::kTime, 86'400'000},
      {"1970-01-01T00:00:01Z", Kind::kTime, 1000}};
  for (const auto& [text, kind, number] : good) {
    const auto place = PlaceInLog::parse(text);
    ASSERT_TRUE(place) << text;
    EXPECT_EQ(place->kind, kind) << text;
    EXPECT_EQ(place->number, number) << text;
  }
  for (const char* text : {"", "-1", "+1", "1.5", "0x10", "first", "Earliest", " 5", "5 ",
                           "9223372036854775808", "2026-13-01", "\x1b[2J"}) {
    const auto place = PlaceInLog::parse(text);
    ASSERT_FALSE(place) << text;
    EXPECT_EQ(place.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(place.error().message, HasSubstr("earliest, latest"));
    EXPECT_EQ(place.error().message.find('\x1b'), std::string::npos);
  }
}

// A source cluster in memory, as far as positions go, and a store. Both note the order of what is
// done to them.
class FakeSource final : public Source {
 public:
  explicit FakeSource(std::vector<std::string>& journal) : journal_(journal) {}

  Result<std::string> cluster_id(Duration /*timeout*/) override { return std::string("cluster-1"); }
  Result<std::vector<TopicInfo>> topics(Duration /*timeout*/) override {
    return std::vector<TopicInfo>{{"orders", false, {0, 0}}};
  }
  Result<Watermarks> watermarks(const TopicPartition& at, Duration /*timeout*/) override {
    return at.partition.value == 0 ? Watermarks{{5}, {100}} : Watermarks{{0}, {40}};
  }
  Result<std::vector<Offset>> offsets_at(std::span<const TopicPartition> at, std::int64_t time,
                                         Duration /*timeout*/) override {
    return std::vector<Offset>(at.size(), Offset{time / 1000});
  }
  Result<std::vector<std::optional<GroupOffset>>> committed(std::span<const TopicPartition> at,
                                                            Duration /*timeout*/) override {
    return std::vector<std::optional<GroupOffset>>(at.size(), GroupOffset{Offset{33}, 5});
  }
  Result<TopicConfig> topic_config(const std::string&, Duration) override { return TopicConfig{}; }
  void mark_commits(const std::string& /*mark*/) override {}
  void commit(std::vector<std::pair<TopicPartition, GroupOffset>> offsets) override {
    committed_ = std::move(offsets);
    journal_.emplace_back("group");
    pending_ = true;
  }
  [[nodiscard]] std::size_t commits_pending() const override { return pending_ ? 1 : 0; }
  void poll(std::vector<SourceEvent>& out, Duration /*timeout*/) override {
    if (!std::exchange(pending_, false)) return;
    SourceEvent noise;  // comes at any time and is no answer
    noise.kind = SourceEvent::Kind::kError;
    noise.error = Error{ErrorCode::kUnavailable, "one of two brokers is away"};
    out.push_back(noise);
    SourceEvent answer;
    answer.kind = SourceEvent::Kind::kCommitted;
    answer.error = refusal_;
    out.push_back(answer);
  }
  Result<void> assign(const Assignment&) override { return {}; }
  Result<void> unassign(std::uint32_t) override { return {}; }
  Feed& feed(std::uint32_t) override { std::abort(); }
  [[nodiscard]] std::optional<Watermarks> cached_watermarks(const TopicPartition&) const override {
    return std::nullopt;
  }

  std::vector<std::pair<TopicPartition, GroupOffset>> committed_;
  std::optional<Error> refusal_;

 private:
  std::vector<std::string>& journal_;
  bool pending_ = false;
};

class FakeStore final : public CheckpointStore {
 public:
  explicit FakeStore(std::vector<std::string>& journal) : journal_(journal) {}

  [[nodiscard]] std::uint64_t hash_seed() const override { return 1; }
  Result<std::vector<CheckpointEntry>> load(const std::string& pipeline) override {
    std::vector<CheckpointEntry> found;
    for (const auto& entry : entries_) {
      if (entry.key.pipeline == pipeline) found.push_back(entry);
    }
    return found;
  }
  Result<std::vector<CheckpointEntry>> load_all() override { return entries_; }
  Result<void> save(std::span<const CheckpointEntry> entries) override {
    journal_.emplace_back("store");
    entries_.assign(entries.begin(), entries.end());
    return {};
  }
  Result<void> erase(std::span<const CheckpointKey>) override { return {}; }
  Result<std::optional<std::uint32_t>> shards(const std::string&) override { return std::nullopt; }
  Result<void> set_shards(const std::string&, std::uint32_t) override { return {}; }

  std::vector<CheckpointEntry> entries_;

 private:
  std::vector<std::string>& journal_;
};

class FakeConnector final : public Connector {
 public:
  explicit FakeConnector(std::unique_ptr<Source> source) : source_(std::move(source)) {}
  Result<std::unique_ptr<Source>> source(const PipelineOptions&, std::span<Waker* const>) override {
    return std::move(source_);
  }
  Result<std::unique_ptr<Target>> target(const ClusterOptions&, const Properties&) override {
    return fail(ErrorCode::kInternal, "positions need no target");
  }
  Result<std::unique_ptr<Group>> group(const ClusterOptions&, const Properties&,
                                       const GroupOptions&) override {
    return fail(ErrorCode::kInternal, "positions need no group");
  }

 private:
  std::unique_ptr<Source> source_;
};

class PositionsTest : public testing::Test {
 protected:
  void SetUp() override {
    pipeline_.name = "copy";
    pipeline_.group = "drawbridge-copy";
    pipeline_.source.name = "dc";
    pipeline_.topics = {{"^or.*", "payments"}, {"^.*-tmp"}};
    auto source = std::make_unique<FakeSource>(journal_);
    source_ = source.get();
    FakeConnector connector(std::move(source));
    auto made = Positions::open(pipeline_, store_, connector, Positions::For::kSetting);
    ASSERT_TRUE(made);
    positions_ = std::move(*made);
  }

  CheckpointEntry entry(std::int32_t partition, std::int64_t next) const {
    Checkpoint checkpoint;
    checkpoint.position.next = Offset{next};
    checkpoint.group_pending = Offset{1};
    return {{"copy", "cluster-1", {"orders", Partition{partition}}}, checkpoint};
  }

  std::vector<std::string> journal_;
  PipelineOptions pipeline_;
  FakeStore store_{journal_};
  FakeSource* source_ = nullptr;
  std::unique_ptr<Positions> positions_;
};

TEST_F(PositionsTest, ShowsStoreGroupAndLog) {
  store_.entries_ = {entry(1, 12)};
  const auto views = positions_->look("orders", std::nullopt);
  ASSERT_TRUE(views);
  ASSERT_EQ(views->size(), 2U);
  EXPECT_FALSE((*views)[0].next);
  EXPECT_EQ((*views)[1].next, Offset{12});
  EXPECT_EQ((*views)[0].group, Offset{33});
  EXPECT_EQ((*views)[0].log.low, Offset{5});
  const auto one = positions_->look("orders", 1);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->at(0).at.partition, Partition{1});
}

TEST_F(PositionsTest, ACheckpointOfAnotherClusterIsNotThisOnes) {
  store_.entries_ = {entry(0, 12)};
  store_.entries_[0].key.cluster_id = "cluster-2";
  EXPECT_FALSE(positions_->look("orders", 0)->at(0).next);
}

TEST_F(PositionsTest, RefusesWhatIsNotThere) {
  EXPECT_EQ(positions_->look("payments", std::nullopt).error().code, ErrorCode::kUnknownTopic);
  for (const std::int32_t partition : {-1, 2}) {
    const auto views = positions_->look("orders", partition);
    ASSERT_FALSE(views);
    EXPECT_THAT(views.error().message, HasSubstr("0 to 1"));
  }
}

TEST_F(PositionsTest, KnowsWhichTopicsAreThePipelines) {
  EXPECT_TRUE(positions_->check_topic("orders"));
  EXPECT_TRUE(positions_->check_topic("payments")) << "which may be still to come";
  const auto other = positions_->check_topic("odrers");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(other.error().message,
            "pipeline copy does not read topic odrers, and has no checkpoint of it; it selects "
            "^or.*, payments without ^.*-tmp; did you mean `orders`?");
  const auto excluded = positions_->check_topic("orders-tmp");
  ASSERT_FALSE(excluded);
  EXPECT_THAT(excluded.error().message, HasSubstr("without ^.*-tmp"));
  // What was selected when it was copied can still be reset.
  store_.entries_ = {entry(0, 12)};
  store_.entries_[0].key.at.topic = "orders-tmp";
  EXPECT_TRUE(positions_->check_topic("orders-tmp"));
  store_.entries_[0].key.cluster_id = "cluster-2";
  EXPECT_FALSE(positions_->check_topic("orders-tmp"));
}

TEST_F(PositionsTest, ResolvesPlaces) {
  const auto views = positions_->look("orders", std::nullopt);
  const auto at = [&](const char* text) {
    return positions_->resolve(*PlaceInLog::parse(text), *views);
  };
  EXPECT_THAT(*at("earliest"), ElementsAre(Offset{5}, Offset{0}));
  EXPECT_THAT(*at("latest"), ElementsAre(Offset{100}, Offset{40}));
  EXPECT_THAT(*at("40"), ElementsAre(Offset{40}, Offset{40}));
  EXPECT_THAT(*at("1970-01-01T00:00:07Z"), ElementsAre(Offset{7}, Offset{7}));
}

TEST_F(PositionsTest, AnOffsetMustBeInEveryLog) {
  const auto views = positions_->look("orders", std::nullopt);
  for (const char* text : {"4", "41", "101"}) {  // before the first log, past one, past both
    const auto offsets = positions_->resolve(*PlaceInLog::parse(text), *views);
    ASSERT_FALSE(offsets) << text;
    EXPECT_EQ(offsets.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(offsets.error().message, HasSubstr("--partition"));
  }
}

TEST_F(PositionsTest, SetsTheGroupBeforeTheStore) {
  ASSERT_TRUE(positions_->set({entry(0, 7), entry(1, 8)}));
  EXPECT_THAT(journal_, ElementsAre("group", "store"));
  ASSERT_EQ(source_->committed_.size(), 2U);
  EXPECT_EQ(source_->committed_[1].second, GroupOffset{Offset{8}}) << "without a mark";
  // The store knows the group's offset for its own, so that the next start takes no reset for
  // somebody else's.
  ASSERT_EQ(store_.entries_.size(), 2U);
  EXPECT_EQ(store_.entries_[0].checkpoint.group_committed, Offset{7});
  EXPECT_FALSE(store_.entries_[0].checkpoint.group_pending);
}

// So that no other instance's checkpoint is newer.
TEST_F(PositionsTest, SettingBeginsANewLine) {
  ASSERT_TRUE(positions_->set({entry(0, 7)}));
  const WallMillis line = store_.entries_[0].checkpoint.line;
  EXPECT_GT(line, 1'700'000'000'000);
  constexpr WallMillis kAhead = 99'000'000'000'000;  // another clock's
  store_.entries_[0].checkpoint.line = kAhead;
  ASSERT_TRUE(positions_->set({entry(0, 7)}));
  EXPECT_EQ(store_.entries_[0].checkpoint.line, kAhead + 1);
}

TEST_F(PositionsTest, AGroupThatRefusesLeavesTheStoreAlone) {
  source_->refusal_ = Error{ErrorCode::kAuthorization, "no"};
  const auto set = positions_->set({entry(0, 7)});
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ErrorCode::kAuthorization);
  EXPECT_THAT(journal_, ElementsAre("group"));
}

}  // namespace
}  // namespace drawbridge

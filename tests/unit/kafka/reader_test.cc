#include "bridge/kafka/admin.h"
#include "bridge/kafka/probe.h"
#include "bridge/kafka/topic_reader.h"
#include "tests/unit/kafka/cluster.h"

namespace drawbridge::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ReaderTest : public ClusterTest {
 protected:
  std::vector<std::string> read(const std::string& topic, const ReadRange& range) {
    auto reader = must(TopicReader::open(cluster(), topic, range, 20s));
    std::vector<std::string> values;
    while (!reader->done()) {
      Batch batch;
      must(reader->next(batch, 3, 20s));
      for (std::size_t i = 0; i < batch.size; ++i)
        values.push_back(*text_of(batch.records[i].value));
    }
    return values;
  }
};

TEST_F(ReaderTest, ReadsTheRangeAskedForAndEnds) {
  const std::string topic = make_topic(2);
  produce_numbers(topic, 10);
  EXPECT_EQ(read(topic, {}).size(), 10U);
  EXPECT_THAT(read(topic, {.from = Offset{3}, .to = Offset{5}}), ElementsAre("3", "4"));
  EXPECT_THAT(read(topic, {.from = Offset{8}, .to = Offset{100}}), ElementsAre("8", "9"));
  EXPECT_THAT(read(topic, {.newest = 2}), ElementsAre("8", "9"));
  EXPECT_EQ(read(topic, {.newest = 100}).size(), 10U);
  EXPECT_THAT(read(topic, {.partition = Partition{1}}), testing::IsEmpty());
  EXPECT_THAT(read(topic, {.from = Offset{5}, .to = Offset{5}}), testing::IsEmpty());
}

TEST_F(ReaderTest, ReadsAllPartitions) {
  const std::string topic = make_topic(3);
  for (int p = 0; p < 3; ++p) produce_numbers(topic, 2, 10 * p, p);
  EXPECT_THAT(read(topic, {}), testing::UnorderedElementsAre("0", "1", "10", "11", "20", "21"));
}

TEST_F(ReaderTest, NamesAPartitionThatIsNotThere) {
  const std::string topic = make_topic(2);
  const auto reader = TopicReader::open(cluster(), topic, {.partition = Partition{2}}, 20s);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::kUnknownTopic);
  EXPECT_THAT(reader.error().message, HasSubstr("2 partitions"));
}

TEST_F(ReaderTest, ProbesACluster) {
  const std::string topic = make_topic(1);
  const ClusterProbe probe = must(probe_cluster(cluster(), 20s));
  EXPECT_EQ(probe.cluster_id, must(target_->cluster_id(20s)));
  ASSERT_EQ(probe.brokers.size(), 1U);
  EXPECT_EQ(fmt::format("{}:{}", probe.brokers[0].host, probe.brokers[0].port), bootstrap_);
  EXPECT_GE(probe.topics, 1U);
  must(probe_read(cluster(), topic, 20s));
  produce_numbers(topic, 3);
  must(probe_read(cluster(), topic, 20s));
}

TEST_F(ReaderTest, DescribesTopicsAndTheirConfiguration) {
  const std::string topic = make_topic(3, {{"max.message.bytes", "2000000"}});
  const TopicInfo info = must(target_->topic(topic, 20s));
  EXPECT_EQ(info.name, topic);
  EXPECT_EQ(info.partitions(), 3);
  const TopicConfig config = must(target_->topic_config(topic, 20s));
  if (!real()) {
    EXPECT_TRUE(config.empty());  // the mock cannot tell
    return;
  }
  EXPECT_EQ(config.at("max.message.bytes"), "2000000");
  EXPECT_EQ(config.at("cleanup.policy"), "delete");  // a default
  const auto missing = target_->topic("no-such-topic", 20s);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kUnknownTopic);
  const auto again = target_->topic("no-such-topic", 20s);
  EXPECT_FALSE(again) << "asking for it must not create it";
  const auto twice = target_->create_topic({topic, 1, -1, {}}, 20s);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kExists);
  const auto bad = target_->create_topic({topic + "x", 1, -1, {{"no.such.setting", "1"}}}, 20s);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(bad.error().message, HasSubstr("no.such.setting"));
  must(target_->grow_topic(topic, 5, 20s));
  EXPECT_EQ(must(target_->topic(topic, 20s)).partitions(), 5);
}

TEST(Internal, TopicsOfTheBrokersBeginWithTwoUnderscores) {
  EXPECT_TRUE(is_internal("__consumer_offsets"));
  EXPECT_TRUE(is_internal("__transaction_state"));
  EXPECT_TRUE(is_internal("__anything"));
  EXPECT_FALSE(is_internal("_private"));
  EXPECT_FALSE(is_internal("a__b"));
}

TEST(Probe, SaysThatNobodyAnswers) {
  const auto probe = probe_cluster({"away", {{"bootstrap.servers", "127.0.0.1:1"}}}, 1500ms);
  ASSERT_FALSE(probe);
  EXPECT_EQ(probe.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(probe.error().message, HasSubstr("refused"));
}

}  // namespace
}  // namespace drawbridge::kafka

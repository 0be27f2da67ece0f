// A cluster for the tests of this room: the client library's mock, or, with
// DRAWBRIDGE_TEST_BROKER=HOST:PORT in the environment, a real one.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "bridge/kafka/connector.h"
#include "bridge/kafka/embedded.h"
#include "bridge/pipeline/ports.h"

namespace drawbridge::kafka {

using namespace std::chrono_literals;

// Fails the test, and throws so that it ends there, on an error.
template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline Instant now() { return SystemClock().now(); }

// What a test wants to hold of a record beyond its batch.
struct Kept {
  std::uint32_t slot = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t timestamp_ms = 0;
  TimestampType timestamp_type = TimestampType::kNone;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;

  bool operator==(const Kept&) const = default;
};

inline std::optional<std::string> text_of(const std::optional<ByteView>& view) {
  if (!view) return std::nullopt;
  return std::string(as_text(*view));
}

inline Kept keep(const Record& record) {
  Kept kept{
      record.slot,           record.partition.value, record.offset.value,   record.timestamp_ms,
      record.timestamp_type, text_of(record.key),    text_of(record.value), {}};
  for (const auto& header : record.headers.all())
    kept.headers.emplace_back(std::string(header.name), text_of(header.value));
  return kept;
}

class ClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* broker = std::getenv("DRAWBRIDGE_TEST_BROKER")) {
      bootstrap_ = broker;
    } else {
      embedded_ = must(EmbeddedCluster::start());
      bootstrap_ = embedded_->bootstrap_servers();
    }
    connector_ = make_connector();
    target_ = must(connector_->target(cluster(), {}));
  }

  [[nodiscard]] bool real() const { return embedded_ == nullptr; }

  [[nodiscard]] ClusterOptions cluster() const {
    return {"test", {{"bootstrap.servers", bootstrap_}}};
  }

  // A topic with a name of its own.
  std::string make_topic(std::int32_t partitions, TopicConfig config = {}) {
    static std::atomic<int> count{0};
    const auto stamp = std::chrono::system_clock::now().time_since_epoch().count();
    std::string name = fmt::format("test-{}-{}", stamp, ++count);
    if (real()) {
      config.emplace("retention.ms", "-1");
      must(target_->create_topic({name, partitions, -1, config}, 20s));
    } else {
      must(embedded_->create_topic(name, partitions));
    }
    return name;
  }

  std::unique_ptr<Source> make_source(std::vector<Waker*> wakers, Properties properties = {},
                                      const std::string& group = {}) {
    PipelineOptions options;
    options.name = "test";
    options.group =
        group.empty()
            ? fmt::format("group-{}", std::chrono::system_clock::now().time_since_epoch().count())
            : group;
    options.source = cluster();
    options.share = false;
    options.source_properties = std::move(properties);
    return must(connector_->source(options, wakers));
  }

  std::unique_ptr<Sink> make_sink(Waker& waker, const SinkOptions& options = {},
                                  const Properties& properties = {}) {
    auto target = must(connector_->target(cluster(), properties));
    return must(target->make_sink(options, waker));
  }

  // Sends and waits for the deliveries, which must all be good.
  void produce(const std::string& topic, std::vector<Record>& records) {
    Waker waker;
    auto sink = make_sink(waker);
    std::vector<Delivery> deliveries;
    for (std::size_t i = 0; i < records.size(); ++i) {
      records[i].target_topic = topic;
      if (!records[i].target_partition) records[i].target_partition = Partition{0};
      ASSERT_EQ(must(sink->send(records[i], i)), SendStatus::kAccepted);
    }
    wait_deliveries(*sink, waker, deliveries, records.size());
    for (const auto& delivery : deliveries)
      ASSERT_TRUE(delivery.delivered) << delivery.error.message;
  }

  // `count` records with values "0", "1", ... in partition 0.
  void produce_numbers(const std::string& topic, int count, int first = 0,
                       std::int32_t partition = 0) {
    std::deque<std::string> values;
    std::vector<Record> records(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      auto& record = records[static_cast<std::size_t>(i)];
      values.push_back(std::to_string(first + i));
      record.value = as_bytes(values.back());
      record.timestamp_ms = 1'700'000'000'000 + i;
      record.target_partition = Partition{partition};
    }
    produce(topic, records);
  }

  static void wait_deliveries(Sink& sink, Waker& waker, std::vector<Delivery>& out,
                              std::size_t count, Duration limit = 20s) {
    const Instant deadline = now() + limit;
    sink.poll(out);
    while (out.size() < count && now() < deadline) {
      waker.wait(100ms);
      sink.poll(out);
    }
    ASSERT_EQ(out.size(), count);
  }

  struct Read {
    std::vector<Kept> records;
    std::vector<FeedEvent> events;
  };

  // Polls until `enough` says so, or fails the test after `limit`.
  static Read read_until(Feed& feed, Waker& waker, const std::function<bool(const Read&)>& enough,
                         Duration limit = 20s) {
    Read read;
    Batch batch;
    const Instant deadline = now() + limit;
    while (!enough(read)) {
      if (now() > deadline) {
        ADD_FAILURE() << "after " << read.records.size() << " records and " << read.events.size()
                      << " events, what was waited for had not come";
        break;
      }
      feed.poll(batch, 500);
      for (std::size_t i = 0; i < batch.size; ++i) read.records.push_back(keep(batch.records[i]));
      for (auto& event : batch.events) read.events.push_back(event);
      const bool idle = batch.size == 0 && batch.events.empty();
      batch.clear();
      if (idle) waker.wait(100ms);
    }
    return read;
  }

  static bool ended(const Read& read) {
    return !read.events.empty() && read.events.back().kind == FeedEvent::Kind::kEnd;
  }

  std::unique_ptr<EmbeddedCluster> embedded_;
  std::string bootstrap_;
  std::unique_ptr<Connector> connector_;
  std::unique_ptr<Target> target_;
};

}  // namespace drawbridge::kafka

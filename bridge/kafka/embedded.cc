#include "bridge/kafka/embedded.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "bridge/kafka/client.h"
#include "bridge/kafka/errors.h"

namespace drawbridge::kafka {
namespace {

using MockPtr = std::unique_ptr<rd_kafka_mock_cluster_t, Destroy<rd_kafka_mock_cluster_destroy>>;

class MockCluster final : public EmbeddedCluster {
 public:
  MockCluster(std::unique_ptr<Client> client, MockPtr mock)
      : client_(std::move(client)), mock_(std::move(mock)) {}

  [[nodiscard]] std::string bootstrap_servers() const override {
    return rd_kafka_mock_cluster_bootstraps(mock_.get());
  }

  Result<void> create_topic(const std::string& name, std::int32_t partitions) override {
    const auto error = rd_kafka_mock_topic_create(mock_.get(), name.c_str(), partitions, 1);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fail(make_error(error, fmt::format("creating topic {}", name)));
    return {};
  }

 private:
  std::unique_ptr<Client> client_;  // the mock lives on a client's thread
  MockPtr mock_;
};

}  // namespace

Result<std::unique_ptr<EmbeddedCluster>> EmbeddedCluster::start(int brokers) {
  ClientConfig config;
  config.name = "embedded cluster";
  config.owned = {{"log_level", "3"}};  // it would note that it has no cluster to connect to
  DRAWBRIDGE_ASSIGN(auto client, Client::make(config, nullptr));
  MockPtr mock(rd_kafka_mock_cluster_new(client->handle(), brokers));
  if (!mock) return fail(ErrorCode::kInternal, "cannot start an embedded cluster");
  return std::make_unique<MockCluster>(std::move(client), std::move(mock));
}

}  // namespace drawbridge::kafka

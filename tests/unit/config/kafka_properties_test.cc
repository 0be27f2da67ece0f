#include "config/kafka_properties.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace drawbridge::config {
namespace {

TEST(KafkaProperties, AreSortedAndAliasesNameWhatExists) {
  const auto all = kafka_properties();
  EXPECT_GT(all.size(), 150u);
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &KafkaProperty::name));
  for (const KafkaProperty& each : all) {
    if (each.alias_of.empty()) continue;
    const KafkaProperty* other = find_kafka_property(each.alias_of);
    ASSERT_NE(other, nullptr) << each.name;
    EXPECT_TRUE(other->alias_of.empty()) << each.name;
  }
}

TEST(KafkaProperties, KnowWhoTheyAreFor) {
  EXPECT_EQ(find_kafka_property("fetch.min.bytes")->scope, PropertyScope::kConsumer);
  EXPECT_EQ(find_kafka_property("linger.ms")->scope, PropertyScope::kProducer);
  EXPECT_EQ(find_kafka_property("client.id")->scope, PropertyScope::kBoth);
  EXPECT_EQ(find_kafka_property("linger.ms")->canonical(), "queue.buffering.max.ms");
  EXPECT_EQ(find_kafka_property("no.such"), nullptr);
}

// What must never be a user's choice: delivery, positions, order, foreign code.
TEST(KafkaProperties, OwnedOnesAreRefusedWithTheirAliases) {
  for (const char* name : {"enable.auto.commit",
                           "auto.commit.enable",
                           "enable.auto.offset.store",
                           "auto.offset.reset",
                           "enable.partition.eof",
                           "isolation.level",
                           "acks",
                           "request.required.acks",
                           "enable.idempotence",
                           "transactional.id",
                           "message.timeout.ms",
                           "delivery.timeout.ms",
                           "max.in.flight",
                           "max.in.flight.requests.per.connection",
                           "group.id",
                           "dr_cb",
                           "dr_msg_cb",
                           "rebalance_cb",
                           "consume_cb",
                           "log_cb",
                           "plugin.library.paths",
                           "opaque",
                           "allow.auto.create.topics",
                           "partitioner",
                           "partitioner_cb",
                           "interceptors",
                           "ssl_engine_callback_data",
                           "metadata.broker.list",
                           "topic.blacklist",
                           "retries",
                           "message.send.max.retries",
                           "queuing.strategy",
                           "msg_order_cmp",
                           "default_topic_conf",
                           "delivery.report.only.error"}) {
    EXPECT_NE(find_kafka_property(name), nullptr) << name;
    EXPECT_TRUE(why_owned(name)) << name;
  }
  for (const KafkaProperty& each : kafka_properties()) {
    if (!each.alias_of.empty() && each.name != "bootstrap.servers") {
      EXPECT_EQ(why_owned(each.name).has_value(), why_owned(each.alias_of).has_value())
          << each.name;
    }
    if (each.name.ends_with("_cb")) {
      EXPECT_TRUE(why_owned(each.name)) << each.name;
    }
  }
  EXPECT_FALSE(why_owned("linger.ms"));
  EXPECT_FALSE(why_owned("bootstrap.servers"));
}

TEST(KafkaProperties, SecretsAreMarked) {
  for (const char* name : {"sasl.password", "ssl.key.password", "ssl.key.pem",
                           "ssl.keystore.password", "sasl.oauthbearer.client.secret"}) {
    ASSERT_NE(find_kafka_property(name), nullptr) << name;
    EXPECT_TRUE(find_kafka_property(name)->secret) << name;
  }
  for (const KafkaProperty& each : kafka_properties()) {
    if (each.name.find("password") != std::string_view::npos ||
        each.name.find("secret") != std::string_view::npos) {
      EXPECT_TRUE(each.secret) << each.name;
    }
  }
}

TEST(KafkaProperties, ValuesAreChecked) {
  const struct {
    const char* name;
    const char* value;
    const char* wrong;  // empty: nothing
  } kCases[] = {
      {"fetch.min.bytes", "1", ""},
      {"fetch.min.bytes", "0", "expects a whole number from 1 to 100000000"},
      {"fetch.min.bytes", "1k", "expects a whole number from 1 to 100000000"},
      {"linger.ms", "0.5", ""},
      {"linger.ms", "-1", "expects a number from 0 to 900000"},
      {"linger.ms", "nan", "expects a number from 0 to 900000"},
      {"socket.nagle.disable", "true", ""},
      {"socket.nagle.disable", "yes", "expects true or false"},
      {"security.protocol", "SASL_SSL", ""},
      {"security.protocol", "tls", "expects one of plaintext, ssl, sasl_plaintext, sasl_ssl"},
      {"compression.type", "zstd", ""},
      {"debug", "broker, topic", ""},
      {"client.id", "anything at all", ""},
  };
  for (const auto& each : kCases) {
    EXPECT_EQ(check_property(*find_kafka_property(each.name), each.value).value_or(""), each.wrong)
        << each.name << "=" << each.value;
  }
  EXPECT_TRUE(check_property(*find_kafka_property("debug"), "broker,nonsense"));
}

}  // namespace
}  // namespace drawbridge::config

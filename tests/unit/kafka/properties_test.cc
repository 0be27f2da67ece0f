#include "bridge/kafka/properties.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/kafka/client.h"

namespace drawbridge::kafka {
namespace {

TEST(Properties, ScopeComesFromTheLibrary) {
  EXPECT_EQ(property_scope("bootstrap.servers"), PropertyScope::kBoth);
  EXPECT_EQ(property_scope("sasl.password"), PropertyScope::kBoth);
  EXPECT_EQ(property_scope("fetch.max.bytes"), PropertyScope::kConsumer);
  EXPECT_EQ(property_scope("max.partition.fetch.bytes"), PropertyScope::kConsumer);
  EXPECT_EQ(property_scope("linger.ms"), PropertyScope::kProducer);
  EXPECT_EQ(property_scope("compression.codec"), PropertyScope::kProducer);
  EXPECT_EQ(property_scope("compression.level"), PropertyScope::kProducer);  // a topic's
  EXPECT_EQ(property_scope("no.such.thing"), std::nullopt);
  EXPECT_EQ(property_scope("Property"), std::nullopt);  // the table's heading
}

TEST(Properties, WhatTheBridgeOwnsIsNotOffered) {
  for (const char* name :
       {"enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset",
        "enable.partition.eof", "isolation.level", "acks", "enable.idempotence", "transactional.id",
        "message.timeout.ms", "delivery.timeout.ms", "plugin.library.paths", "dr_msg_cb",
        "group.id", "allow.auto.create.topics"}) {
    EXPECT_NE(why_owned(name), "") << name;
    EXPECT_THAT(property_names(), testing::Not(testing::Contains(name)));
  }
  EXPECT_EQ(why_owned("linger.ms"), "");
  EXPECT_THAT(property_names(), testing::Contains("linger.ms"));
  EXPECT_THAT(property_names(), testing::Contains("ssl.ca.location"));
}

ClientConfig config_with(Role role, Properties user) {
  ClientConfig config;
  config.role = role;
  config.name = "target here";
  config.user = std::move(user);
  if (role == Role::kConsumer) config.owned = {{"group.id", "g"}};
  return config;
}

std::string error_of(Role role, Properties user) {
  auto client = Client::make(config_with(role, std::move(user)), nullptr);
  return client ? "" : client.error().message;
}

TEST(Client, LeavesOutWhatIsForTheOtherRole) {
  // Were these handed on, the library would refuse fetch.max.bytes < message.max.bytes.
  EXPECT_EQ(error_of(Role::kProducer, {{"fetch.max.bytes", "1"}, {"linger.ms", "1"}}), "");
  EXPECT_EQ(error_of(Role::kConsumer, {{"max.in.flight", "1000"}, {"linger.ms", "1"}}), "");
  EXPECT_THAT(error_of(Role::kConsumer, {{"fetch.max.bytes", "1"}}),
              testing::HasSubstr("fetch.max.bytes"));
}

TEST(Client, RefusesPropertiesAndNamesThem) {
  EXPECT_THAT(error_of(Role::kProducer, {{"acks", "1"}}),
              testing::AllOf(testing::HasSubstr("target here"), testing::HasSubstr("acks")));
  EXPECT_THAT(error_of(Role::kProducer, {{"lingre.ms", "1"}}), testing::HasSubstr("lingre.ms"));
  EXPECT_THAT(error_of(Role::kProducer, {{"linger.ms", "soon"}}), testing::HasSubstr("linger.ms"));
}

TEST(Client, KeepsSecretsOutOfErrors) {
  const std::string text =
      error_of(Role::kProducer, {{"security.protocol", "ssl"}, {"ssl.key.pem", "hunter2"}});
  EXPECT_NE(text, "");
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("hunter2")));
}

TEST(Client, AUsersValueWinsOverADefaultByAnyOfItsNames) {
  ClientConfig config = config_with(Role::kProducer, {{"queue.buffering.max.ms", "7"}});
  config.defaults = {{"linger.ms", "not a number"}};  // would be refused if it were set
  EXPECT_TRUE(Client::make(config, nullptr));
  config.user.clear();
  EXPECT_FALSE(Client::make(config, nullptr));
}

TEST(Client, TellsWhatStandsBehindATimeout) {
  auto client =
      Client::make(config_with(Role::kProducer, {{"bootstrap.servers", "127.0.0.1:1"}}), nullptr);
  ASSERT_TRUE(client);
  const auto id = (*client)->cluster_id(std::chrono::milliseconds(1500));
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(id.error().message, testing::HasSubstr("refused"));
}

}  // namespace
}  // namespace drawbridge::kafka

// The words for a right that a cluster refuses, the same wherever it is missed, with the command
// that grants it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "bridge/base/error.h"
#include "bridge/pipeline/options.h"

namespace drawbridge::kafka {

enum class Resource : std::uint8_t { kTopic, kGroup, kTransactionalId, kCluster };

// Operations by the names that kafka-acls has for them: "Write", "DescribeConfigs".
using Operations = std::initializer_list<std::string_view>;

// Whom a cluster would grant it to, and where.
struct Grantee {
  std::string principal;  // "User:bridge"
  std::string bootstrap;
};
Grantee grantee_of(const Properties& properties);

// "needs WRITE on topic orders: `kafka-acls --bootstrap-server dc1:9093 --add --allow-principal
// User:bridge --operation Write --topic orders`". Ledgers and transactional ids come by the
// pipeline, and are granted with a prefix.
std::string needed(const Grantee& grantee, Operations operations, Resource resource,
                   std::string_view name);

// `error` with what is needed, where a right is what is missing and nothing was said of it yet.
Error naming_right(Error error, const Grantee& grantee, Operations operations, Resource resource,
                   std::string_view name);

}  // namespace drawbridge::kafka

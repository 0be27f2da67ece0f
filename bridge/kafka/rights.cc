#include "bridge/kafka/rights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "bridge/kafka/properties.h"

namespace drawbridge::kafka {
namespace {

constexpr std::string_view kCommand = "`kafka-acls ";
constexpr std::string_view kLedgers = "__drawbridge.ledger.";

std::string quoted(std::string_view word) {
  const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("._-:/,@=").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// "DescribeConfigs" -> "DESCRIBE_CONFIGS"
std::string in_capitals(std::string_view operation) {
  std::string out;
  for (const char c : operation) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isupper(byte) != 0 && !out.empty()) out += '_';
    out += static_cast<char>(std::toupper(byte));
  }
  return out;
}

// A pipeline's ledgers differ in the last part of their names, its transactional ids as well.
bool by_prefix(Resource resource, std::string_view name) {
  return resource == Resource::kTransactionalId ||
         (resource == Resource::kTopic && name.starts_with(kLedgers));
}

std::string option(Resource resource, std::string_view name) {
  const bool prefixed = by_prefix(resource, name);
  if (prefixed) name = name.substr(0, name.rfind('.') + 1);
  const std::string said =
      quoted(name) + std::string(prefixed ? " --resource-pattern-type prefixed" : "");
  switch (resource) {
    case Resource::kTopic:
      return "--topic " + said;
    case Resource::kGroup:
      return "--group " + said;
    case Resource::kTransactionalId:
      return "--transactional-id " + said;
    case Resource::kCluster:
      return "--cluster";
  }
  return {};
}

std::string described(Resource resource, std::string_view name) {
  switch (resource) {
    case Resource::kTopic:
      return fmt::format("topic {}", name);
    case Resource::kGroup:
      return fmt::format("group {}", name);
    case Resource::kTransactionalId:
      return fmt::format("TransactionalId {}", name);
    case Resource::kCluster:
      return "the cluster";
  }
  return {};
}

}  // namespace

Grantee grantee_of(const Properties& properties) {
  Grantee grantee{"User:ANONYMOUS", value_of(properties, "bootstrap.servers")};
  const std::string user = value_of(properties, "sasl.username");
  std::string protocol = value_of(properties, "security.protocol");
  std::ranges::transform(protocol, protocol.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (protocol.starts_with("sasl")) {
    grantee.principal = user.empty() ? "User:<this client's name>" : "User:" + user;
  } else if (protocol == "ssl") {
    grantee.principal = "User:<the client certificate's subject>";
  }
  return grantee;
}

std::string needed(const Grantee& grantee, Operations operations, Resource resource,
                   std::string_view name) {
  std::string words;
  std::string options;
  for (const std::string_view operation : operations) {
    words += (words.empty() ? "" : " and ") + in_capitals(operation);
    options += fmt::format("--operation {} ", operation);
  }
  return fmt::format("needs {} on {}: {}--bootstrap-server {} --add --allow-principal {} {}{}`",
                     words, described(resource, name), kCommand, quoted(grantee.bootstrap),
                     quoted(grantee.principal), options, option(resource, name));
}

Error naming_right(Error error, const Grantee& grantee, Operations operations, Resource resource,
                   std::string_view name) {
  if (error.code == ErrorCode::kAuthorization &&
      error.message.find(kCommand) == std::string::npos) {
    error.message += "; " + needed(grantee, operations, resource, name);
  }
  return error;
}

}  // namespace drawbridge::kafka

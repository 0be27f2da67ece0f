#include "config/feeds.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

namespace drawbridge::config {
namespace {

// Brokers as written: lower case, without protocol, with a port.
std::set<std::string> servers_of(const ClusterOptions& cluster) {
  std::set<std::string> result;
  const auto property = cluster.properties.find("bootstrap.servers");
  std::string_view text = property == cluster.properties.end() ? "" : property->second;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string server;
    for (const char c : text.substr(0, comma)) {
      if (c != ' ') server += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (const std::size_t scheme = server.find("://"); scheme != std::string::npos) {
      server.erase(0, scheme + 3);
    }
    const std::size_t colon = server.rfind(':');
    if (colon == std::string::npos || server.find(']', colon) != std::string::npos) {
      server += ":9092";
    }
    result.insert(std::move(server));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return result;
}

}  // namespace

bool same_cluster(const ClusterOptions& a, const ClusterOptions& b) {
  if (a.name == b.name) return true;
  const std::set<std::string> servers = servers_of(a);
  return std::ranges::any_of(servers_of(b),
                             [&](const std::string& server) { return servers.contains(server); });
}

}  // namespace drawbridge::config

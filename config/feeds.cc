#include "config/feeds.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "bridge/pipeline/topic_template.h"
#include "config/topic_flow.h"

namespace drawbridge::config {
namespace {

// Brokers as written: lower case, without protocol, with a port.
std::set<std::string> servers_of(const ClusterOptions& cluster) {
  std::set<std::string> result;
  const auto property = cluster.properties.find("bootstrap.servers");
  if (property == cluster.properties.end()) return result;
  std::string_view text = property->second;
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

// Who reads what a pipeline writes.
struct Edge {
  std::size_t reader;
  Flow flow;
};
using Graph = std::vector<std::vector<Edge>>;  // by writer

Graph graph_of(const std::vector<PipelineOptions>& pipelines) {
  FlowBudget budget;
  Graph graph(pipelines.size());
  for (std::size_t i = 0; i < pipelines.size(); ++i) {
    const PipelineOptions& writer = pipelines[i];
    // The Reader has compiled it once.
    const auto name =
        TopicTemplate::compile(writer.target_topic, {writer.source.name, writer.name});
    for (std::size_t j = 0; j < pipelines.size() && name; ++j) {
      if (!same_cluster(writer.target, pipelines[j].source)) continue;
      if (auto flow = find_flow(writer.topics, *name, pipelines[j].topics, budget)) {
        graph[i].push_back({j, std::move(*flow)});
      }
    }
  }
  return graph;
}

// The shortest way from a pipeline back to itself, as the edges taken; empty: none.
std::vector<std::pair<std::size_t, const Edge*>> circle(const Graph& graph, std::size_t start) {
  struct Visit {
    std::size_t pipeline;
    std::size_t from;  // a position in `visits`
    const Edge* by;
  };
  std::vector<Visit> visits{{start, 0, nullptr}};
  std::vector<bool> seen(graph.size());
  for (std::size_t i = 0; i < visits.size(); ++i) {
    for (const Edge& edge : graph[visits[i].pipeline]) {
      if (edge.reader == start) {
        std::vector<std::pair<std::size_t, const Edge*>> result{{visits[i].pipeline, &edge}};
        for (std::size_t at = i; visits[at].by != nullptr; at = visits[at].from) {
          result.emplace_back(visits[visits[at].from].pipeline, visits[at].by);
        }
        std::ranges::reverse(result);
        return result;
      }
      if (seen[edge.reader]) continue;
      seen[edge.reader] = true;
      visits.push_back({edge.reader, i, &edge});
    }
  }
  return {};
}

std::string describe(const PipelineOptions& writer, const PipelineOptions& reader,
                     const Flow& flow) {
  if (flow.written.empty()) {
    return fmt::format(
        "`{}` may write what `{}` reads (the expressions are too complicated to tell; "
        "simplify them)",
        writer.name, reader.name);
  }
  const std::string source =
      flow.read.empty() || flow.read == flow.written ? "" : fmt::format(" from `{}`", flow.read);
  return fmt::format("`{}` writes `{}`{}, which `{}` reads", writer.name, flow.written, source,
                     reader.name);
}

}  // namespace

bool same_cluster(const ClusterOptions& a, const ClusterOptions& b) {
  if (a.name == b.name) return true;
  const std::set<std::string> servers = servers_of(a);
  return std::ranges::any_of(servers_of(b),
                             [&](const std::string& server) { return servers.contains(server); });
}

void lint_feeds(const Configuration& configuration, const std::vector<PipelinePlaces>& places,
                Problems& problems) {
  const std::vector<PipelineOptions>& pipelines = configuration.pipelines;
  const Graph graph = graph_of(pipelines);
  std::vector<bool> told(pipelines.size());
  for (std::size_t i = 0; i < pipelines.size(); ++i) {
    if (told[i]) continue;
    const auto edges = circle(graph, i);
    if (edges.empty()) continue;
    std::string way;
    for (const auto& [writer, edge] : edges) {
      told[writer] = true;
      if (!way.empty()) way += "; ";
      way += describe(pipelines[writer], pipelines[edge->reader], edge->flow);
    }
    problems.error(places[i].target_topic,
                   fmt::format("pipeline `{}` feeds its own source{}: {}", pipelines[i].name,
                               edges.size() > 1 ? " through others" : "", way));
  }
}

}  // namespace drawbridge::config

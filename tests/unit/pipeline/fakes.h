// In-memory fakes behind every interface of the engine; see fake_world.h.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/pipeline/fake_cluster.h"
#include "tests/unit/pipeline/fake_group.h"
#include "tests/unit/pipeline/fake_keys.h"
#include "tests/unit/pipeline/fake_sink.h"
#include "tests/unit/pipeline/fake_source.h"
#include "tests/unit/pipeline/fake_store.h"
#include "tests/unit/pipeline/fake_world.h"

namespace drawbridge::fakes {

// Connects to clusters in memory by their names in the configuration.
class FakeConnector final : public Connector {
 public:
  void add(const std::string& name, FakeCluster& cluster) { clusters_[name] = &cluster; }

  Result<std::unique_ptr<Source>> source(const PipelineOptions& pipeline,
                                         std::span<Waker* const> shard_wakers) override {
    const auto found = clusters_.find(pipeline.source.name);
    if (found == clusters_.end()) return fail(ErrorCode::kUnavailable, "no such cluster");
    return std::make_unique<FakeSource>(
        *found->second, std::vector<Waker*>(shard_wakers.begin(), shard_wakers.end()),
        sharing != nullptr && pipeline.share && !pipeline.exactly_once
            ? std::make_unique<FakeGroup>(*sharing)
            : nullptr);
  }
  Result<std::unique_ptr<Target>> target(const ClusterOptions& cluster,
                                         const Properties& /*properties*/) override {
    const auto found = clusters_.find(cluster.name);
    if (found == clusters_.end()) return fail(ErrorCode::kUnavailable, "no such cluster");
    return std::make_unique<FakeTarget>(*found->second, coordinator);
  }
  Result<std::unique_ptr<Group>> group(const ClusterOptions& /*cluster*/,
                                       const Properties& /*properties*/,
                                       const GroupOptions& /*options*/) override {
    if (sharing == nullptr) return fail(ErrorCode::kUnavailable, "no group here");
    return std::make_unique<FakeGroup>(*sharing);
  }

  FakeGroupCoordinator* sharing = nullptr;  // who deals pipelines out; null: nobody shares
  FakeCoordinator* coordinator = nullptr;   // the target's, for transactions

 private:
  std::map<std::string, FakeCluster*> clusters_;
};

// Remembers what a shard said.
class FakeListener final : public ShardListener {
 public:
  void on_failed(std::uint32_t, const Error& error) override { failures.push_back(error); }
  void on_stopped(std::uint32_t) override { ++stopped; }
  void on_caught_up(std::uint32_t) override {
    ++caught_up;
    if (when_caught_up) when_caught_up();
  }

  std::vector<Error> failures;
  int stopped = 0;
  int caught_up = 0;
  std::function<void()> when_caught_up;
};

}  // namespace drawbridge::fakes

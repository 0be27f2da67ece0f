// A checkpoint store in memory that outlives crashes: what save() promised is there, nothing else.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bridge/checkpoint/store.h"
#include "tests/unit/pipeline/fake_world.h"

namespace drawbridge::fakes {

class FakeStore final : public CheckpointStore {
 public:
  explicit FakeStore(World& world) : world_(world) {}

  [[nodiscard]] std::uint64_t hash_seed() const override { return 0x5eed; }

  Result<std::vector<CheckpointEntry>> load(const std::string& pipeline) override {
    const std::lock_guard lock(world_.mutex);
    std::vector<CheckpointEntry> out;
    for (const auto& [key, checkpoint] : saved_) {
      if (key.pipeline == pipeline) out.push_back({key, checkpoint});
    }
    return out;
  }
  Result<std::vector<CheckpointEntry>> load_all() override {
    const std::lock_guard lock(world_.mutex);
    std::vector<CheckpointEntry> out;
    for (const auto& [key, checkpoint] : saved_) out.push_back({key, checkpoint});
    return out;
  }
  Result<void> save(std::span<const CheckpointEntry> entries) override {
    const std::lock_guard lock(world_.mutex);
    if (!world_.call()) return {};  // the process is gone, whatever it believes
    if (broken) return fail(*broken);
    failing = true;
    if (world_.weather.store_down || world_.random.chance(world_.weather.save_fails)) {
      return fail(world_.random.chance(0.5) ? ErrorCode::kFull : ErrorCode::kIo,
                  "injected: cannot save");
    }
    world_.clock.advance(world_.random.up_to(world_.weather.save_time));
    for (const CheckpointEntry& entry : entries) saved_[entry.key] = entry.checkpoint;
    ++saves;
    failing = false;
    return {};
  }
  Result<void> erase(std::span<const CheckpointKey> keys) override {
    const std::lock_guard lock(world_.mutex);
    for (const CheckpointKey& key : keys) saved_.erase(key);
    return {};
  }
  Result<std::optional<std::uint32_t>> shards(const std::string& pipeline) override {
    const std::lock_guard lock(world_.mutex);
    const auto found = shards_.find(pipeline);
    return found == shards_.end() ? std::nullopt : std::optional(found->second);
  }
  Result<void> set_shards(const std::string& pipeline, std::uint32_t shards) override {
    const std::lock_guard lock(world_.mutex);
    shards_[pipeline] = shards;
    return {};
  }

  // ---- for tests ----
  [[nodiscard]] std::optional<Checkpoint> find(const CheckpointKey& key) const {
    const auto found = saved_.find(key);
    return found == saved_.end() ? std::nullopt : std::optional(found->second);
  }
  using Saved = std::map<CheckpointKey, Checkpoint>;
  [[nodiscard]] const Saved& saved() const { return saved_; }
  void restore(Saved saved) { saved_ = std::move(saved); }
  std::optional<Error> broken;  // every save fails with it
  std::uint64_t saves = 0;
  bool failing = false;  // the newest save did

 private:
  World& world_;
  Saved saved_;
  std::map<std::string, std::uint32_t> shards_;
};

}  // namespace drawbridge::fakes

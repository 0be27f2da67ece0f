#include "bridge/app/positions.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>
#include <utility>

#include "bridge/pipeline/start_position.h"
#include "bridge/pipeline/topic_selector.h"
#include "config/text.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr Duration kLeaving = std::chrono::seconds(3);
constexpr Duration kAgain = std::chrono::milliseconds(500);

}  // namespace

Result<PlaceInLog> PlaceInLog::parse(const std::string& text) {
  if (text == "earliest") return PlaceInLog{Kind::kEarliest, 0};
  if (text == "latest") return PlaceInLog{Kind::kLatest, 0};
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (digits) {
    PlaceInLog place{Kind::kOffset, 0};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), place.number);
    if (error == std::errc{}) return place;
  } else if (const auto time = config::parse_time(text)) {
    return PlaceInLog{Kind::kTime, *time};
  }
  return fail(ErrorCode::kInvalid,
              "`{}` is no place in a log: earliest, latest, an offset, or a time such as "
              "2026-01-31T12:00:00Z",
              config::printable(text));
}

Result<std::unique_ptr<Positions>> Positions::open(const PipelineOptions& pipeline,
                                                   CheckpointStore& store, Connector& connector,
                                                   For purpose) {
  std::unique_ptr<Positions> positions(new Positions(pipeline, store));
  DRAWBRIDGE_ASSIGN(positions->source_, connector.source(pipeline, {}));
  DRAWBRIDGE_ASSIGN(positions->cluster_id_, positions->source_->cluster_id(kTimeout));
  if (pipeline.exactly_once && purpose == For::kSetting) {
    DRAWBRIDGE_TRY(positions->take_ledger(connector));
  }
  return positions;
}

Result<void> Positions::take_ledger(Connector& connector) {
  DRAWBRIDGE_ASSIGN(target_, connector.target(pipeline_.target, pipeline_.target_properties));
  DRAWBRIDGE_ASSIGN(const LedgerPlace place, find_ledger(pipeline_, *target_, kTimeout));
  if (!place.exists) {
    return fail(ErrorCode::kInvalid,
                "pipeline {} has no ledger yet: from.start says where it begins", pipeline_.name);
  }
  DRAWBRIDGE_ASSIGN(hold_, LedgerHold::take(pipeline_, {place.topic, place.epoch, pipeline_.shards},
                                            connector, *target_, clock_));
  return {};
}

std::string Positions::where() const {
  if (hold_) return "LEDGER";
  return pipeline_.exactly_once ? "CHECKPOINT (NOT THE LEDGER)" : "CHECKPOINT";
}

Result<void> Positions::check_topic(const std::string& topic) {
  DRAWBRIDGE_ASSIGN(const auto selector, TopicSelector::compile(pipeline_.topics));
  if (selector.selected(topic, internal_topic(topic))) return {};
  DRAWBRIDGE_ASSIGN(const auto stored, store_.load(pipeline_.name));
  const bool was_selected = std::ranges::any_of(stored, [&](const CheckpointEntry& entry) {
    return entry.key.cluster_id == cluster_id_ && entry.key.at.topic == topic;
  });
  if (was_selected) return {};
  if (hold_ && hold_->knows(cluster_id_, topic)) return {};
  DRAWBRIDGE_ASSIGN(const auto listed, source_->topics(kTimeout));
  std::vector<std::string> names;
  for (const TopicInfo& each : listed) {
    if (selector.selected(each.name, each.internal)) names.push_back(each.name);
  }
  const auto near = config::nearest(topic, names);
  const auto& [include, exclude] = pipeline_.topics;
  return fail(ErrorCode::kInvalid,
              "pipeline {} does not read topic {}, and has no checkpoint of it; it selects {}{}{}",
              pipeline_.name, config::printable(topic, 249), config::joined(include),
              exclude.empty() ? "" : " without " + config::joined(exclude),
              near ? fmt::format("; did you mean `{}`?", *near) : "");
}

Result<std::vector<PositionView>> Positions::look(const std::string& topic,
                                                  std::optional<std::int32_t> partition) {
  DRAWBRIDGE_ASSIGN(const auto topics, source_->topics(kTimeout));
  const auto found = std::ranges::find(topics, topic, &TopicInfo::name);
  if (found == topics.end()) {
    return fail(ErrorCode::kUnknownTopic, "cluster {} has no topic {} that it shows to us",
                pipeline_.source.name, topic);
  }
  if (partition && (*partition < 0 || *partition >= found->partitions())) {
    return fail(ErrorCode::kUnknownTopic, "topic {} has partitions 0 to {}, and no {}", topic,
                found->partitions() - 1, *partition);
  }
  std::vector<TopicPartition> at;
  for (std::int32_t i = 0; i < found->partitions(); ++i) {
    if (!partition || *partition == i) at.push_back({topic, Partition{i}});
  }
  DRAWBRIDGE_ASSIGN(const auto group, source_->committed(at, kTimeout));
  DRAWBRIDGE_ASSIGN(const auto stored, store_.load(pipeline_.name));
  std::vector<PositionView> views;
  for (std::size_t i = 0; i < at.size(); ++i) {
    PositionView view{at[i], std::nullopt, std::nullopt, {}};
    if (group[i]) view.group = group[i]->offset;
    const CheckpointKey key{pipeline_.name, cluster_id_, at[i]};
    const auto entry = std::ranges::find(stored, key, &CheckpointEntry::key);
    if (hold_) {
      if (const LedgerPosition* said = hold_->find(cluster_id_, at[i])) {
        view.next = said->position.next;
      }
    } else if (entry != stored.end()) {
      view.next = entry->checkpoint.position.next;
    }
    DRAWBRIDGE_ASSIGN(view.log, source_->watermarks(at[i], kTimeout));
    views.push_back(std::move(view));
  }
  return views;
}

Result<std::vector<Offset>> Positions::resolve(const PlaceInLog& place,
                                               const std::vector<PositionView>& views) {
  std::vector<Offset> offsets;
  if (place.kind == PlaceInLog::Kind::kTime) {
    std::vector<TopicPartition> at;
    at.reserve(views.size());
    for (const PositionView& view : views) at.push_back(view.at);
    return source_->offsets_at(at, place.number, kTimeout);
  }
  for (const PositionView& view : views) {
    switch (place.kind) {
      case PlaceInLog::Kind::kEarliest:
        offsets.push_back(view.log.low);
        break;
      case PlaceInLog::Kind::kLatest:
        offsets.push_back(view.log.high);
        break;
      case PlaceInLog::Kind::kOffset:
      case PlaceInLog::Kind::kTime:
        offsets.push_back(Offset{place.number});
        break;
    }
    if (offsets.back() < view.log.low || offsets.back() > view.log.high) {
      return fail(ErrorCode::kInvalid,
                  "offset {} is not in the log of {} [{}], which holds {} to {}: nothing was "
                  "changed; choose one of these with --partition {}",
                  offsets.back().value, view.at.topic, view.at.partition.value, view.log.low.value,
                  view.log.high.value, view.at.partition.value);
    }
  }
  return offsets;
}

Result<void> commit_to_group(Source& source, const PipelineOptions& pipeline,
                             std::vector<std::pair<TopicPartition, GroupOffset>> offsets) {
  source.commit(offsets);
  const Instant begun = SystemClock().now();
  const Instant deadline = begun + pipeline.session_timeout + kTimeout;
  bool members = false;
  std::vector<SourceEvent> events;
  while (SystemClock().now() < deadline) {
    events.clear();
    source.poll(events, std::chrono::milliseconds(100));
    for (SourceEvent& event : events) {
      if (event.kind != SourceEvent::Kind::kCommitted) continue;
      if (!event.error) return {};
      if (event.error->code != ErrorCode::kFenced) return fail(std::move(*event.error));
      members = true;
    }
    if (std::exchange(members, false)) {
      if (SystemClock().now() > begun + pipeline.session_timeout + kLeaving) {
        return fail(ErrorCode::kLocked,
                    "other instances run pipeline {}: its group {} on {} has members. Stop them "
                    "first",
                    pipeline.name, pipeline.group, pipeline.source.name);
      }
      std::this_thread::sleep_for(kAgain);
      source.commit(offsets);
    }
  }
  return fail(ErrorCode::kUnavailable,
              "cluster {} did not take the offsets of group {} in time; look at them before you "
              "start the daemon",
              pipeline.source.name, pipeline.group);
}

// Without witnesses, whose hashes are keyed elsewhere.
Result<void> Positions::set_ledger(const std::vector<CheckpointEntry>& entries) {
  if (!hold_) return {};
  std::vector<std::pair<TopicPartition, Position>> positions;
  positions.reserve(entries.size());
  for (const CheckpointEntry& entry : entries) {
    positions.emplace_back(entry.key.at, Position{entry.checkpoint.position.next, std::nullopt});
  }
  return hold_->set(cluster_id_, positions);
}

Result<void> Positions::keep(const std::vector<CheckpointEntry>& entries) {
  if (entries.empty()) return {};
  DRAWBRIDGE_TRY(set_ledger(entries));
  return store_.save(entries);
}

Result<void> Positions::set(std::vector<CheckpointEntry> entries) {
  if (entries.empty()) return {};
  DRAWBRIDGE_TRY(set_ledger(entries));
  DRAWBRIDGE_ASSIGN(const auto stored, store_.load(pipeline_.name));
  // Without a mark: a reset, for every instance.
  std::vector<std::pair<TopicPartition, GroupOffset>> offsets;
  offsets.reserve(entries.size());
  for (const CheckpointEntry& entry : entries) {
    offsets.emplace_back(entry.key.at, GroupOffset{entry.checkpoint.position.next});
  }
  if (auto done = commit_to_group(*source_, pipeline_, std::move(offsets)); !done) {
    if (hold_) done.error().message += "; the ledger is set, and decides";
    return done;
  }
  const WallMillis now = SystemClock().wall();
  for (CheckpointEntry& entry : entries) {
    const auto before = std::ranges::find(stored, entry.key, &CheckpointEntry::key);
    entry.checkpoint.line = next_line(before == stored.end() ? 0 : before->checkpoint.line, now);
    entry.checkpoint.group_committed = entry.checkpoint.position.next;
    entry.checkpoint.group_pending.reset();
    entry.checkpoint.saved_at = now;
  }
  return store_.save(entries);
}

}  // namespace drawbridge

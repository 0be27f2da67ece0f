#include "config/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "bridge/pipeline/topic_selector.h"
#include "bridge/pipeline/topic_template.h"
#include "bridge/transform/lint.h"
#include "config/feeds.h"

namespace drawbridge::config {
namespace {

TopicTemplate template_of(const std::string& text, const PipelineOptions& pipeline) {
  // The Reader has compiled it once.
  return *TopicTemplate::compile(text, {pipeline.source.name, pipeline.name});
}

void lint_chain(const PipelineOptions& pipeline, const PipelinePlaces& places, Problems& problems) {
  for (const ChainProblem& each : check_chain_forms(pipeline.transforms, pipeline.require)) {
    const Place at =
        each.at == ChainProblem::At::kTransform ? places.steps[each.position] : places.require;
    problems.error(at, fmt::format("pipeline `{}`: {}", pipeline.name, each.message));
  }
  if (auto scope = check_scope({pipeline.dataset, std::nullopt}); !scope) {
    problems.error(places.name,
                   fmt::format("pipeline `{}`: {}", pipeline.name, scope.error().message));
  }
}

// A position is one pipeline's: two in one group would commit over each other.
void lint_groups(const Configuration& configuration, const std::vector<PipelinePlaces>& places,
                 Problems& problems) {
  for (std::size_t i = 0; i < configuration.pipelines.size(); ++i) {
    const PipelineOptions& pipeline = configuration.pipelines[i];
    for (std::size_t j = 0; j < i; ++j) {
      const PipelineOptions& other = configuration.pipelines[j];
      if (pipeline.group != other.group || !same_cluster(pipeline.source, other.source)) continue;
      problems.error(places[i].group,
                     fmt::format("pipelines `{}` and `{}` both commit to the group `{}`",
                                 other.name, pipeline.name, pipeline.group));
    }
  }
}

bool envelope_required(const PipelineOptions& pipeline) {
  const auto formats = effective_formats(pipeline.require, pipeline.transforms);
  return formats && formats->out && formats->out->native && !formats->out->clear;
}

// Are dead letters on the target sure to share a topic with what is copied?
bool among_copies(const TopicTemplate& dead_letters, const PipelineOptions& pipeline) {
  const TopicTemplate copies = template_of(pipeline.target_topic, pipeline);
  if (copies.has_topic() == dead_letters.has_topic()) {
    return copies.prefix() == dead_letters.prefix() && copies.suffix() == dead_letters.suffix();
  }
  return std::ranges::any_of(pipeline.topics.include, [&](const std::string& topic) {
    const auto copy = copies.expand(topic);
    const auto dead = dead_letters.expand(topic);
    return !is_pattern(topic) && copy && dead && *copy == *dead;
  });
}

void lint_dead_letter(const PipelineOptions& pipeline, const PipelinePlaces& places,
                      Problems& problems) {
  const DeadLetterOptions& dead_letter = *pipeline.dead_letter;
  const bool to_source = dead_letter.cluster == pipeline.source.name;
  const bool to_target = dead_letter.cluster == pipeline.target.name;
  if (!to_source && !to_target) {
    problems.error(places.dead_letter_cluster,
                   fmt::format("dead letters of `{}` go to its source `{}` or its target `{}`, not "
                               "to `{}`",
                               pipeline.name, pipeline.source.name, pipeline.target.name,
                               dead_letter.cluster));
    return;
  }
  if (pipeline.exactly_once && !to_target) {
    problems.error(places.dead_letter_cluster,
                   fmt::format("`{}` delivers exactly once, so its dead letters go to its target "
                               "`{}`, in one transaction with the records around them",
                               pipeline.name, pipeline.target.name));
  }
  if (to_target && !dead_letter.seal && envelope_required(pipeline)) {
    problems.error(places.dead_letter,
                   fmt::format("the target of `{}` requires envelopes, so its dead letters there "
                               "need `seal: KEY-DOMAIN`; or keep them on the source: `cluster: {}`",
                               pipeline.name, pipeline.source.name));
  }
  if (!to_target && dead_letter.seal) {
    problems.error(places.dead_letter,
                   fmt::format("dead letters of `{}` stay on the source as they came; `seal` is "
                               "for those on the target",
                               pipeline.name));
  }
  const TopicTemplate name = template_of(dead_letter.topic, pipeline);
  if (to_target && among_copies(name, pipeline)) {
    problems.error(places.dead_letter_topic,
                   fmt::format("dead letters of `{}` would stand among its copies", pipeline.name));
  } else if (to_source && name.has_topic() && name.prefix().empty() && name.suffix().empty()) {
    problems.error(places.dead_letter_topic,
                   fmt::format("dead letters of `{}` would go back into the topics that it reads",
                               pipeline.name));
  }
}

// The names that a template makes, as an entry of a topic selection.
std::string pattern_of(const TopicTemplate& name) {
  if (!name.has_topic()) return name.prefix();
  const auto quoted = [](const std::string& text) {
    std::string result;
    for (const char c : text) {
      if (c == '.' || c == '-') result += '\\';
      result += c;
    }
    return result;
  };
  return fmt::format("^{}.*{}", quoted(name.prefix()), quoted(name.suffix()));
}

// No pipeline reads dead letters: a failed record would come back for ever.
void exclude_dead_letters(Configuration& configuration, const std::vector<PipelinePlaces>& places,
                          Problems& problems) {
  std::vector<std::tuple<ClusterOptions, std::string, std::string>> dead;  // cluster, entry, owner
  for (const PipelineOptions& pipeline : configuration.pipelines) {
    if (!pipeline.dead_letter) continue;
    const TopicTemplate name = template_of(pipeline.dead_letter->topic, pipeline);
    if (name.has_topic() && name.prefix().empty() && name.suffix().empty()) continue;
    const bool to_target = pipeline.dead_letter->cluster == pipeline.target.name;
    dead.emplace_back(to_target ? pipeline.target : pipeline.source, pattern_of(name),
                      pipeline.name);
  }
  for (std::size_t i = 0; i < configuration.pipelines.size(); ++i) {
    PipelineOptions& pipeline = configuration.pipelines[i];
    for (const auto& [cluster, entry, owner] : dead) {
      if (!same_cluster(cluster, pipeline.source)) continue;
      const auto entries = TopicEntries::compile({entry});
      for (std::size_t t = 0; t < pipeline.topics.include.size(); ++t) {
        const std::string& topic = pipeline.topics.include[t];
        if (is_pattern(topic) || !entries || !entries->matches(topic)) continue;
        problems.error(
            places[i].topics[t],
            fmt::format("`{}` holds dead letters of `{}`, which no pipeline reads", topic, owner));
      }
      pipeline.topics.exclude.push_back(entry);
    }
  }
}

}  // namespace

void lint(Configuration& configuration, const std::vector<PipelinePlaces>& places,
          Problems& problems) {
  for (std::size_t i = 0; i < configuration.pipelines.size(); ++i) {
    lint_chain(configuration.pipelines[i], places[i], problems);
    if (configuration.pipelines[i].dead_letter) {
      lint_dead_letter(configuration.pipelines[i], places[i], problems);
    }
  }
  lint_groups(configuration, places, problems);
  exclude_dead_letters(configuration, places, problems);
  lint_feeds(configuration, places, problems);
}

}  // namespace drawbridge::config

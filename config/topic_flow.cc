#include "config/topic_flow.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "bridge/pipeline/topic_selector.h"
#include "config/topic_expression.h"

namespace drawbridge::config {
namespace {

enum Tag : unsigned { kLiteral, kPattern, kExclude, kInternal };

constexpr TopicAutomaton::Tags bit(Tag tag) { return TopicAutomaton::Tags{1} << tag; }

// TopicSelector's rule.
bool selected(TopicAutomaton::Tags tags) {
  if ((tags & bit(kExclude)) != 0) return false;
  if ((tags & bit(kLiteral)) != 0) return true;
  return (tags & bit(kPattern)) != 0 && (tags & bit(kInternal)) == 0;
}

TopicAutomaton automaton_of(const TopicSelection& selection) {
  TopicAutomaton result;
  const auto add = [&](const std::string& entry, Tag literal, Tag pattern, bool cautious) {
    if (is_pattern(entry)) {
      result.add_expression(entry, pattern, cautious);
    } else {
      result.add_literal(entry, literal);
    }
  };
  for (const std::string& entry : selection.include) add(entry, kLiteral, kPattern, true);
  for (const std::string& entry : selection.exclude) add(entry, kExclude, kExclude, false);
  result.add_expression("^__.*", kInternal, false);
  result.add_expression(std::string(kOwnTopicPrefix) + ".*", kExclude, false);
  return result;
}

// One symbol of each kind that no expression tells apart.
std::vector<std::size_t> distinct_symbols(const TopicAutomaton& a, const TopicAutomaton& b) {
  std::vector<Symbols> sets = a.symbol_sets();
  const std::vector<Symbols> more = b.symbol_sets();
  sets.insert(sets.end(), more.begin(), more.end());
  std::map<std::vector<bool>, std::size_t> kinds;
  for (std::size_t symbol = 0; symbol < kTopicAlphabet.size(); ++symbol) {
    std::vector<bool> kind;
    kind.reserve(sets.size());
    for (const Symbols& set : sets) kind.push_back(set[symbol]);
    kinds.emplace(std::move(kind), symbol);
  }
  std::vector<std::size_t> result;
  result.reserve(kinds.size());
  for (const auto& [kind, symbol] : kinds) result.push_back(symbol);
  std::ranges::sort(result);
  return result;
}

// Looks for the shortest topic X that the writer reads while the reader reads prefix X suffix:
// breadth first over pairs of state sets.
class Search {
 public:
  Search(const TopicAutomaton& writer, const TopicTemplate& name, const TopicAutomaton& reader,
         FlowBudget& budget)
      : writer_(writer), reader_(reader), name_(name), budget_(budget) {}

  // nullopt: there is none. Throws OutOfBudget.
  std::optional<std::string> run() {
    const std::vector<std::size_t> symbols = distinct_symbols(writer_, reader_);
    const std::size_t most = kMaxTopicName - name_.prefix().size() - name_.suffix().size();
    add({writer_.start(), run_over(reader_.start(), name_.prefix())}, 0, kNoSymbol, 0);
    for (std::size_t i = 0; i < visits_.size(); ++i) {
      const Pair pair = *visits_[i].pair;
      if (visits_[i].length > 0 && accepts(pair)) return topic_of(i);
      if (visits_[i].length == most) continue;
      for (const std::size_t symbol : symbols) {
        Pair next{writer_step(pair.first, symbol), reader_step(pair.second, symbol)};
        if (!next.first.empty() && !next.second.empty()) {
          add(std::move(next), i, symbol, visits_[i].length + 1);
        }
      }
    }
    return std::nullopt;
  }

  struct OutOfBudget {};

 private:
  using States = TopicAutomaton::States;
  using Pair = std::pair<States, States>;
  struct Visit {
    const Pair* pair;
    std::size_t from;
    std::size_t symbol;
    std::size_t length;
  };

  void add(Pair pair, std::size_t from, std::size_t symbol, std::size_t length) {
    const auto [known, fresh] = seen_.emplace(std::move(pair), visits_.size());
    if (fresh) visits_.push_back({&known->first, from, symbol, length});
  }

  States writer_step(const States& states, std::size_t symbol) {
    return charged(writer_.step(states, symbol), states, writer_);
  }
  States reader_step(const States& states, std::size_t symbol) {
    return charged(reader_.step(states, symbol), states, reader_);
  }
  States charged(States result, const States& from, const TopicAutomaton& automaton) {
    budget_.steps -=
        static_cast<std::int64_t>(from.size() + 4 * result.size() + automaton.size() / 64 + 8);
    if (budget_.steps < 0) throw OutOfBudget();
    return result;
  }

  States run_over(States states, const std::string& text) {
    for (const char c : text) states = reader_step(states, symbol_of(c));
    return states;
  }

  bool accepts(const Pair& pair) {
    return selected(writer_.tags(pair.first)) &&
           selected(reader_.tags(run_over(pair.second, name_.suffix())));
  }

  std::string topic_of(std::size_t visit) const {
    std::string topic;
    for (; visits_[visit].length > 0; visit = visits_[visit].from) {
      topic += kTopicAlphabet[visits_[visit].symbol];
    }
    std::ranges::reverse(topic);
    return topic;
  }

  const TopicAutomaton& writer_;
  const TopicAutomaton& reader_;
  const TopicTemplate& name_;
  FlowBudget& budget_;
  std::map<Pair, std::size_t> seen_;
  std::vector<Visit> visits_;
};

bool selects(const TopicSelector& selector, const std::string& topic) {
  return selector.selected(topic, internal_topic(topic));
}

}  // namespace

std::optional<Flow> find_flow(const TopicSelection& writer, const TopicTemplate& name,
                              const TopicSelection& reader, FlowBudget& budget) {
  const auto reads = TopicSelector::compile(writer);
  const auto takes = TopicSelector::compile(reader);
  if (!reads || !takes) return std::nullopt;
  if (!name.has_topic()) {
    if (!selects(*takes, name.prefix())) return std::nullopt;
    return Flow{reads->literals().empty() ? "" : reads->literals().front(), name.prefix()};
  }
  for (const std::string& topic : reads->literals()) {
    const auto written = name.expand(topic);
    if (written && selects(*takes, *written)) return Flow{topic, *written};
  }
  if (std::ranges::none_of(writer.include, is_pattern)) return std::nullopt;
  const TopicAutomaton from = automaton_of(writer);
  const TopicAutomaton to = automaton_of(reader);
  try {
    const auto topic = Search(from, name, to, budget).run();
    if (!topic) return std::nullopt;
    const auto written = name.expand(*topic);
    // Where an expression was not understood, what was found is a guess.
    if (written && selects(*reads, *topic) && selects(*takes, *written)) {
      return Flow{*topic, *written};
    }
  } catch (const Search::OutOfBudget&) {
  }
  return Flow{};
}

}  // namespace drawbridge::config

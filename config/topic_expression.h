// Regular expressions over topic names, as automata: can one match what another lets through?
//
// RE2 decides whether a name matches and nothing more. To find out whether a pipeline can read what
// another writes, expressions in RE2's syntax are parsed here and run side by side, state by state.
// The alphabet is what a topic name can hold. What is not understood (word boundaries, Unicode
// classes, very large repetitions) is taken as "anything" or "nothing", whichever is the cautious
// side, and said so.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace drawbridge::config {

// a-z A-Z 0-9 . _ -
inline constexpr std::string_view kTopicAlphabet =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
// By position in kTopicAlphabet.
using Symbols = std::bitset<kTopicAlphabet.size()>;
inline constexpr std::size_t kNoSymbol = kTopicAlphabet.size();
std::size_t symbol_of(char c);  // kNoSymbol: not in the alphabet

// A non-deterministic automaton of several expressions, each of which bears a tag.
class TopicAutomaton {
 public:
  using State = std::uint32_t;
  using States = std::vector<State>;  // sorted, each once
  // Which tags' expressions match, as bits.
  using Tags = std::uint32_t;

  // Expressions match the whole name. `cautious`: what an expression that is not understood stands
  // for: true, anything; false, nothing.
  void add_expression(std::string_view expression, unsigned tag, bool cautious);
  void add_literal(std::string_view name, unsigned tag);
  // Was everything understood?
  [[nodiscard]] bool exact() const { return exact_; }

  [[nodiscard]] States start() const;
  [[nodiscard]] States step(const States& states, std::size_t symbol) const;
  // What matches if the name ends here.
  [[nodiscard]] Tags tags(const States& states) const;

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  // Every set of symbols that some state goes on by, for finding symbols that are all alike.
  [[nodiscard]] std::vector<Symbols> symbol_sets() const;

 private:
  friend class ExpressionCompiler;
  struct Node {
    enum class Kind : std::uint8_t { kSymbols, kSplit, kBegin, kEnd, kMatch };
    Kind kind;
    Symbols symbols;   // kSymbols
    State next = 0;    // all but kMatch
    State other = 0;   // kSplit
    unsigned tag = 0;  // kMatch
  };
  static constexpr std::size_t kMostNodes = 20'000;

  State add(Node node);
  // Adds `state` and what it reaches without a symbol.
  void close(States& states, std::vector<bool>& seen, State state, bool at_begin,
             bool at_end) const;

  std::vector<Node> nodes_;
  std::vector<State> starts_;
  bool exact_ = true;
};

}  // namespace drawbridge::config

#include "config/topic_expression.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "config/text.h"

namespace drawbridge::config {
namespace {

struct Tree;
using TreePtr = std::unique_ptr<Tree>;
struct Tree {
  enum class Kind : std::uint8_t { kEmpty, kSymbols, kBegin, kEnd, kConcat, kAlternate, kRepeat };
  Kind kind = Kind::kEmpty;
  Symbols symbols;             // kSymbols; none: matches nothing
  std::vector<TreePtr> parts;  // kConcat, kAlternate; one with kRepeat
  int least = 0;               // kRepeat
  int most = 0;                // kRepeat; -1: without end
};

// The parser meets something that it does not understand.
struct NotUnderstood {};

constexpr int kMaxNesting = 100;

TreePtr make(Tree::Kind kind) {
  auto tree = std::make_unique<Tree>();
  tree->kind = kind;
  return tree;
}

TreePtr of_symbols(const Symbols& symbols) {
  TreePtr tree = make(Tree::Kind::kSymbols);
  tree->symbols = symbols;
  return tree;
}

Symbols range(unsigned first, unsigned last) {
  Symbols result;
  for (std::size_t i = 0; i < kTopicAlphabet.size(); ++i) {
    const auto c = static_cast<unsigned char>(kTopicAlphabet[i]);
    result[i] = c >= first && c <= last;
  }
  return result;
}

Symbols digits() { return range('0', '9'); }
Symbols letters() { return range('a', 'z') | range('A', 'Z'); }
Symbols word() { return letters() | digits() | range('_', '_'); }

// Both cases of every letter in the set.
Symbols folded(Symbols symbols) {
  for (std::size_t i = 0; i < 26; ++i) {
    const bool either = symbols[i] || symbols[i + 26];
    symbols[i] = either;
    symbols[i + 26] = either;
  }
  return symbols;
}

// RE2's syntax, as far as it concerns topic names. REQUIRES: RE2 accepts the expression, so that
// nothing ends unexpectedly; what does all the same is not understood.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  TreePtr run() {
    TreePtr tree = alternation();
    if (!text_.empty()) throw NotUnderstood();
    return tree;
  }

 private:
  TreePtr alternation() {
    if (++depth_ > kMaxNesting) throw NotUnderstood();
    const bool fold = fold_;  // flags set inside a group end with it
    TreePtr tree = make(Tree::Kind::kAlternate);
    do {
      tree->parts.push_back(sequence());
    } while (take('|'));
    fold_ = fold;
    --depth_;
    return tree;
  }

  TreePtr sequence() {
    TreePtr tree = make(Tree::Kind::kConcat);
    while (!text_.empty() && text_.front() != '|' && text_.front() != ')') {
      TreePtr part = atom();
      while (repetition(part)) {
      }
      tree->parts.push_back(std::move(part));
    }
    return tree;
  }

  bool repetition(TreePtr& part) {
    int least = 0;
    int most = -1;
    if (take('*')) {
    } else if (take('+')) {
      least = 1;
    } else if (take('?')) {
      most = 1;
    } else if (!counted(least, most)) {
      return false;
    }
    take('?');  // greedy or not, the same names match
    TreePtr repeat = make(Tree::Kind::kRepeat);
    repeat->least = least;
    repeat->most = most;
    repeat->parts.push_back(std::move(part));
    part = std::move(repeat);
    return true;
  }

  // {n}, {n,} or {n,m}; other braces are literal.
  bool counted(int& least, int& most) {
    const std::size_t close = text_.find('}');
    if (!text_.starts_with('{') || close == std::string_view::npos) return false;
    const std::string_view inside = text_.substr(1, close - 1);
    const std::size_t comma = inside.find(',');
    const auto first = parse_integer(inside.substr(0, comma));
    if (!first || *first < 0 || *first > 1000) return false;
    least = static_cast<int>(*first);
    if (comma == std::string_view::npos) {
      most = least;
    } else if (comma + 1 == inside.size()) {
      most = -1;
    } else {
      const auto last = parse_integer(inside.substr(comma + 1));
      if (!last || *last < *first || *last > 1000) return false;
      most = static_cast<int>(*last);
    }
    text_.remove_prefix(close + 1);
    return true;
  }

  TreePtr atom() {
    const char c = text_.front();
    text_.remove_prefix(1);
    switch (c) {
      case '(':
        return group();
      case '[':
        return of_symbols(set());
      case '.':
        return of_symbols(Symbols().set());
      case '^':
        return make(Tree::Kind::kBegin);
      case '$':
        return make(Tree::Kind::kEnd);
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        throw NotUnderstood();
      default:
        return literal(c);
    }
  }

  TreePtr literal(char c) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x80) {
      // Not in a topic's name; but some characters fold into ASCII letters.
      if (fold_) throw NotUnderstood();
      while (!text_.empty() && (static_cast<unsigned char>(text_.front()) & 0xc0) == 0x80) {
        text_.remove_prefix(1);
      }
      return of_symbols({});
    }
    const Symbols symbols = range(code, code);
    return of_symbols(fold_ ? folded(symbols) : symbols);
  }

  TreePtr group() {
    const bool fold = fold_;
    if (take('?')) {
      if (take_word("P<")) {
        const std::size_t close = text_.find('>');
        if (close == std::string_view::npos) throw NotUnderstood();
        text_.remove_prefix(close + 1);
      } else if (!flags()) {
        // (?i) holds to the end of the group around it. RE2 lets a repetition skip over it.
        refuse_repetition();
        return make(Tree::Kind::kEmpty);
      }
    }
    TreePtr tree = alternation();
    if (!take(')')) throw NotUnderstood();
    fold_ = fold;
    return tree;
  }

  // "i:", "-s:" or ":", and then true: a group follows. "i)": false.
  bool flags() {
    bool on = true;
    while (true) {
      if (take(':')) return true;
      if (take(')')) return false;
      if (take('-')) {
        on = false;
      } else if (take('i')) {
        fold_ = on;
      } else if (!take('s') && !take('m') && !take('U')) {
        throw NotUnderstood();  // m, s and U make no difference: names have no lines
      }
    }
  }

  TreePtr escape() {
    if (text_.empty()) throw NotUnderstood();
    if (take('A')) return make(Tree::Kind::kBegin);
    if (take('z')) return make(Tree::Kind::kEnd);
    if (take('Q')) return quoted();
    if (take('C')) return of_symbols(Symbols().set());
    return of_symbols(escaped_set());
  }

  TreePtr quoted() {
    TreePtr tree = make(Tree::Kind::kConcat);
    while (!text_.empty() && !take_word("\\E")) {
      const char c = text_.front();
      text_.remove_prefix(1);
      tree->parts.push_back(literal(c));
    }
    refuse_repetition();  // it would be of the last character only
    return tree;
  }

  void refuse_repetition() const {
    if (!text_.empty() && std::string_view("*+?{").find(text_.front()) != std::string_view::npos) {
      throw NotUnderstood();
    }
  }

  // After a backslash, in a set or out of it.
  Symbols escaped_set() {
    if (text_.empty()) throw NotUnderstood();
    const char c = text_.front();
    text_.remove_prefix(1);
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return ~digits();
      case 'w':
        return word();
      case 'W':
        return ~word();
      case 's':
        return {};
      case 'S':
        return Symbols().set();
      case 'a':
      case 'f':
      case 't':
      case 'n':
      case 'r':
      case 'v':
        return {};
      case 'x': {
        const unsigned code = hexadecimal();
        const Symbols symbols = range(code, code);
        return fold_ ? folded(symbols) : symbols;
      }
      default:
        break;
    }
    if (alphanumeric(c)) throw NotUnderstood();  // \b, \B, \p, \1 ...
    return range(static_cast<unsigned char>(c), static_cast<unsigned char>(c));
  }

  static bool alphanumeric(char c) {
    const std::size_t symbol = symbol_of(c);
    return symbol != kNoSymbol && (letters() | digits())[symbol];
  }

  unsigned hexadecimal() {
    std::string_view digits_text;
    if (take('{')) {
      const std::size_t close = text_.find('}');
      if (close == std::string_view::npos) throw NotUnderstood();
      digits_text = text_.substr(0, close);
      text_.remove_prefix(close + 1);
    } else {
      digits_text = text_.substr(0, 2);
      text_.remove_prefix(digits_text.size());
    }
    unsigned code = 0;
    if (digits_text.empty() || digits_text.size() > 6) throw NotUnderstood();
    for (const char c : digits_text) {
      code *= 16;
      if (c >= '0' && c <= '9') {
        code += static_cast<unsigned>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        code += static_cast<unsigned>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        code += static_cast<unsigned>(c - 'A' + 10);
      } else {
        throw NotUnderstood();
      }
    }
    if (code >= 0x80 && fold_) throw NotUnderstood();
    return code;
  }

  // After "[".
  Symbols set() {
    const bool negated = take('^');
    Symbols symbols;
    bool first = true;
    while (first || !text_.starts_with(']')) {
      if (text_.empty()) throw NotUnderstood();
      first = false;
      symbols |= set_item();
    }
    text_.remove_prefix(1);
    if (fold_) symbols = folded(symbols);
    return negated ? ~symbols : symbols;
  }

  Symbols set_item() {
    if (text_.starts_with("[:")) return posix();
    if (const auto single = set_character()) {
      if (text_.size() >= 2 && text_[0] == '-' && text_[1] != ']') {
        text_.remove_prefix(1);
        const auto last = set_character();
        if (!last) throw NotUnderstood();
        return range(*single, *last);
      }
      return range(*single, *single);
    }
    text_.remove_prefix(1);
    return escaped_set();
  }

  // One character, which can begin or end a range; nullopt before an escape for a whole set.
  std::optional<unsigned> set_character() {
    if (text_.empty()) throw NotUnderstood();
    if (text_.front() != '\\') {
      const auto c = static_cast<unsigned char>(text_.front());
      if (c >= 0x80) throw NotUnderstood();
      text_.remove_prefix(1);
      return c;
    }
    if (text_.size() < 2) throw NotUnderstood();
    const char c = text_[1];
    if (c == 'x') {
      text_.remove_prefix(2);
      return hexadecimal();
    }
    if (alphanumeric(c)) return std::nullopt;
    text_.remove_prefix(2);
    return static_cast<unsigned char>(c);
  }

  Symbols posix() {
    const std::size_t close = text_.find(":]");
    if (close == std::string_view::npos) throw NotUnderstood();
    std::string_view name = text_.substr(2, close - 2);
    text_.remove_prefix(close + 2);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    Symbols symbols;
    if (name == "alnum")
      symbols = letters() | digits();
    else if (name == "alpha")
      symbols = letters();
    else if (name == "ascii" || name == "graph" || name == "print")
      symbols.set();
    else if (name == "digit")
      symbols = digits();
    else if (name == "lower")
      symbols = range('a', 'z');
    else if (name == "punct")
      symbols = ~(letters() | digits());
    else if (name == "upper")
      symbols = range('A', 'Z');
    else if (name == "word")
      symbols = word();
    else if (name == "xdigit")
      symbols = digits() | range('a', 'f') | range('A', 'F');
    else if (name != "blank" && name != "cntrl" && name != "space")
      throw NotUnderstood();
    return negated ? ~symbols : symbols;
  }

  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view expected) {
    if (!text_.starts_with(expected)) return false;
    text_.remove_prefix(expected.size());
    return true;
  }

  std::string_view text_;
  bool fold_ = false;
  int depth_ = 0;
};

}  // namespace

// Thompson's construction, from the end to the beginning.
class ExpressionCompiler {
 public:
  explicit ExpressionCompiler(TopicAutomaton& automaton) : automaton_(automaton) {}

  TopicAutomaton::State compile(const Tree& tree, TopicAutomaton::State next) {
    using Kind = TopicAutomaton::Node::Kind;
    switch (tree.kind) {
      case Tree::Kind::kEmpty:
        return next;
      case Tree::Kind::kSymbols:
        return automaton_.add({Kind::kSymbols, tree.symbols, next, 0, 0});
      case Tree::Kind::kBegin:
        return automaton_.add({Kind::kBegin, {}, next, 0, 0});
      case Tree::Kind::kEnd:
        return automaton_.add({Kind::kEnd, {}, next, 0, 0});
      case Tree::Kind::kConcat:
        for (auto part = tree.parts.rbegin(); part != tree.parts.rend(); ++part) {
          next = compile(**part, next);
        }
        return next;
      case Tree::Kind::kAlternate: {
        TopicAutomaton::State first = compile(*tree.parts.front(), next);
        for (std::size_t i = 1; i < tree.parts.size(); ++i) {
          first = split(first, compile(*tree.parts[i], next));
        }
        return first;
      }
      case Tree::Kind::kRepeat:
        return repeat(tree, next);
    }
    return next;
  }

 private:
  TopicAutomaton::State split(TopicAutomaton::State a, TopicAutomaton::State b) {
    return automaton_.add({TopicAutomaton::Node::Kind::kSplit, {}, a, b, 0});
  }

  TopicAutomaton::State repeat(const Tree& tree, TopicAutomaton::State next) {
    const Tree& part = *tree.parts.front();
    TopicAutomaton::State state = next;
    if (tree.most < 0) {
      state = split(next, next);
      automaton_.nodes_[state].other = compile(part, state);
    } else {
      for (int i = tree.least; i < tree.most; ++i) state = split(next, compile(part, state));
    }
    for (int i = 0; i < tree.least; ++i) state = compile(part, state);
    return state;
  }

  TopicAutomaton& automaton_;
};

std::size_t symbol_of(char c) {
  const std::size_t symbol = kTopicAlphabet.find(c);
  return symbol == std::string_view::npos ? kNoSymbol : symbol;
}

void TopicAutomaton::add_expression(std::string_view expression, unsigned tag, bool cautious) {
  const std::size_t before = nodes_.size();
  const State match = add({Node::Kind::kMatch, {}, 0, 0, tag});
  try {
    const TreePtr tree = Parser(expression).run();
    starts_.push_back(ExpressionCompiler(*this).compile(*tree, match));
    return;
  } catch (const NotUnderstood&) {
  }
  exact_ = false;
  nodes_.resize(before);
  if (!cautious) return;
  nodes_.push_back({Node::Kind::kMatch, {}, 0, 0, tag});
  nodes_.push_back(
      {Node::Kind::kSplit, {}, static_cast<State>(before), static_cast<State>(before + 2), 0});
  nodes_.push_back({Node::Kind::kSymbols, Symbols().set(), static_cast<State>(before + 1), 0, 0});
  starts_.push_back(static_cast<State>(before + 1));
}

void TopicAutomaton::add_literal(std::string_view name, unsigned tag) {
  nodes_.push_back({Node::Kind::kMatch, {}, 0, 0, tag});
  for (auto c = name.rbegin(); c != name.rend(); ++c) {
    Symbols symbols;
    symbols.set(symbol_of(*c));  // REQUIRES: a topic's name
    nodes_.push_back({Node::Kind::kSymbols, symbols, static_cast<State>(nodes_.size() - 1), 0, 0});
  }
  starts_.push_back(static_cast<State>(nodes_.size() - 1));
}

TopicAutomaton::State TopicAutomaton::add(Node node) {
  if (nodes_.size() >= kMostNodes) throw NotUnderstood();
  nodes_.push_back(node);
  return static_cast<State>(nodes_.size() - 1);
}

void TopicAutomaton::close(States& states, std::vector<bool>& seen, State state, bool at_begin,
                           bool at_end) const {
  States work{state};
  while (!work.empty()) {
    const State current = work.back();
    work.pop_back();
    if (seen[current]) continue;
    seen[current] = true;
    states.push_back(current);
    const Node& node = nodes_[current];
    switch (node.kind) {
      case Node::Kind::kSplit:
        work.push_back(node.next);
        work.push_back(node.other);
        break;
      case Node::Kind::kBegin:
        if (at_begin) work.push_back(node.next);
        break;
      case Node::Kind::kEnd:
        if (at_end) work.push_back(node.next);
        break;
      case Node::Kind::kSymbols:
      case Node::Kind::kMatch:
        break;
    }
  }
}

TopicAutomaton::States TopicAutomaton::start() const {
  States states;
  std::vector<bool> seen(nodes_.size());
  for (const State state : starts_) close(states, seen, state, true, false);
  std::ranges::sort(states);
  return states;
}

TopicAutomaton::States TopicAutomaton::step(const States& states, std::size_t symbol) const {
  States result;
  std::vector<bool> seen(nodes_.size());
  for (const State state : states) {
    const Node& node = nodes_[state];
    if (node.kind == Node::Kind::kSymbols && node.symbols[symbol]) {
      close(result, seen, node.next, false, false);
    }
  }
  std::ranges::sort(result);
  return result;
}

TopicAutomaton::Tags TopicAutomaton::tags(const States& states) const {
  States ended;
  std::vector<bool> seen(nodes_.size());
  for (const State state : states) close(ended, seen, state, false, true);
  Tags result = 0;
  for (const State state : ended) {
    if (nodes_[state].kind == Node::Kind::kMatch) result |= Tags{1} << nodes_[state].tag;
  }
  return result;
}

std::vector<Symbols> TopicAutomaton::symbol_sets() const {
  std::vector<Symbols> result;
  for (const Node& node : nodes_) {
    if (node.kind == Node::Kind::kSymbols &&
        std::ranges::find(result, node.symbols) == result.end()) {
      result.push_back(node.symbols);
    }
  }
  return result;
}

}  // namespace drawbridge::config

#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_set>
#include <utility>

#include "bridge/base/utf8.h"
#include "config/text.h"

namespace drawbridge::config {
namespace {

Place place_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

constexpr std::size_t kMaxRepeated = 100;  // problems before reading ends

// Ends parsing: thrown through yaml-cpp by the handler, caught below.
struct Abort {
  YamlProblem problem;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::vector<YamlProblem>& problems) : problems_(problems) {}

  [[nodiscard]] NodePtr take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) throw Abort{{place_of(mark), "a second document; one file is one document"}};
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(Node::Kind::kNull, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw Abort{{place_of(mark), "an alias (`*`) of something that contains it"}};
    }
    if (expects_key()) {
      throw Abort{{place_of(mark), "a key is a plain name, not an alias (`*`)"}};
    }
    attach(found->second, place_of(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(tag, mark);
    NodePtr node = make(Node::Kind::kScalar, mark);
    node->text = value;
    node->quoted = tag == "!";
    if (!node->quoted && (value == "null" || value == "Null" || value == "NULL")) {
      node->kind = Node::Kind::kNull;
    }
    add(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    NodePtr node;
    YAML::anchor_t anchor;
    std::optional<Node::Entry> key;        // kMap: read, its value is not
    std::unordered_set<std::string> seen;  // kMap: keys so far
    bool discard = false;                  // kMap: the value belongs to a repeated key
  };

  NodePtr make(Node::Kind kind, const YAML::Mark& mark) {
    if (++nodes_ > kMaxNodes) too_large(place_of(mark));
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->at = place_of(mark);
    return node;
  }

  [[noreturn]] static void too_large(Place at) {
    throw Abort{{at, fmt::format("more than {} values, aliases written out", kMaxNodes)}};
  }

  static void check_tag(const std::string& tag, const YAML::Mark& mark) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Abort{{place_of(mark), "tags (`!...`) are not supported"}};
  }

  [[nodiscard]] bool expects_key() const {
    return !stack_.empty() && stack_.back().node->kind == Node::Kind::kMap && !stack_.back().key;
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    check_tag(tag, mark);
    if (expects_key()) {
      throw Abort{{place_of(mark), "a key is a plain name, not a list or a map"}};
    }
    if (stack_.size() >= kMaxDepth) {
      throw Abort{{place_of(mark), fmt::format("nested deeper than {} levels", kMaxDepth)}};
    }
    stack_.push_back({make(kind, mark), anchor, {}, {}});
  }

  void close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    add(std::move(frame.node), frame.anchor);
  }

  void add(NodePtr node, YAML::anchor_t anchor) {
    if (expects_key()) return take_key(*node, anchor);
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    // yaml-cpp places nothing at what comes next, lines below.
    if (node->kind == Node::Kind::kNull && !stack_.empty() && stack_.back().key) {
      node->at = stack_.back().key->at;
    }
    const Place at = node->at;
    attach(std::move(node), at);
  }

  void take_key(const Node& node, YAML::anchor_t anchor) {
    if (node.kind != Node::Kind::kScalar || node.text.empty()) {
      throw Abort{{node.at, "a key is missing before `:`"}};
    }
    if (anchor != YAML::NullAnchor) throw Abort{{node.at, "a key cannot bear an anchor (`&`)"}};
    if (node.text == "<<" && !node.quoted) {
      throw Abort{{node.at,
                   "merge keys (`<<`) are not supported; write the keys out, or use an "
                   "alias (`*`) for a whole section"}};
    }
    Frame& frame = stack_.back();
    frame.discard = !frame.seen.insert(node.text).second;
    if (frame.discard) {
      if (problems_.size() == kMaxRepeated) throw Abort{{node.at, "and more repeated keys"}};
      const Place first = frame.node->entry(node.text)->at;
      problems_.push_back({node.at, fmt::format("`{}` stands twice; first on line {}",
                                                printable(node.text), first.line)});
    }
    frame.key = Node::Entry{node.at, node.text, nullptr};
  }

  void attach(NodePtr node, Place at) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    frame.node->weight += node->weight;
    if (frame.node->weight > kMaxNodes) too_large(at);
    if (frame.node->kind == Node::Kind::kList) {
      frame.node->items.push_back(std::move(node));
      return;
    }
    frame.key->value = std::move(node);
    if (!frame.discard) frame.node->entries.push_back(std::move(*frame.key));
    frame.key.reset();
  }

  std::vector<YamlProblem>& problems_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, NodePtr> anchors_;
  NodePtr root_;
  std::size_t nodes_ = 0;
  bool started_ = false;
};

// What yaml-cpp would accept and a configuration cannot mean.
std::optional<YamlProblem> check_text(std::string_view text) {
  if (text.size() > kMaxFileBytes) {
    return YamlProblem{{}, fmt::format("larger than {} bytes", kMaxFileBytes)};
  }
  Place at;
  while (!text.empty()) {
    const Utf8Step step = next_utf8(text);
    if (!step.point) return YamlProblem{at, "not UTF-8 text"};
    const char32_t point = *step.point;
    const bool control = (point < 0x20 && point != '\t' && point != '\n' && point != '\r') ||
                         (point >= 0x7f && point < 0xa0 && point != 0x85);
    if (control) {
      return YamlProblem{
          at, fmt::format("control character U+{:04X}", static_cast<std::uint32_t>(point))};
    }
    if (point == '\n') {
      at = {at.line + 1, 1};
    } else {
      ++at.column;
    }
    text.remove_prefix(step.size);
  }
  return std::nullopt;
}

// The first line up to `last` that is indented by a tab.
std::optional<Place> find_tab(std::string_view text, int last) {
  for (int line = 1; line <= last; ++line) {
    const std::size_t indent = std::min(text.find_first_not_of(' '), text.size());
    if (text.substr(indent).starts_with('\t')) return Place{line, static_cast<int>(indent) + 1};
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

// yaml-cpp's message without what it quotes of the file: that could be a secret.
std::string without_content(const std::string& message) {
  if (message.find("anchor is not defined") != std::string::npos) {
    return "an alias (`*`) without an anchor (`&`) before it; text that begins with * needs quotes";
  }
  if (message == YAML::ErrorMsg::EOF_IN_SCALAR || message == YAML::ErrorMsg::DOC_IN_SCALAR) {
    return "a quote that is not closed";
  }
  return "YAML: " + message.substr(0, message.find(": "));
}

}  // namespace

const Node::Entry* Node::entry(std::string_view key) const {
  const auto found = std::ranges::find(entries, key, &Entry::key);
  return found == entries.end() ? nullptr : &*found;
}

NodePtr Node::find(std::string_view key) const {
  const Entry* found = entry(key);
  return found == nullptr ? nullptr : found->value;
}

NodePtr make_scalar(std::string text, Place at) {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kScalar;
  node->at = at;
  node->text = std::move(text);
  return node;
}

NodePtr make_map(Place at) {
  auto node = std::make_shared<Node>();
  node->kind = Node::Kind::kMap;
  node->at = at;
  return node;
}

YamlResult parse_yaml(const std::string& text) {
  YamlResult result;
  if (auto bad = check_text(text)) {
    result.problems.push_back(std::move(*bad));
    return result;
  }
  TreeBuilder builder(result.problems);
  try {
    // yaml-cpp closes a quote by itself at the end of the text; it does not at a document's end.
    std::istringstream stream(text + "\n...\n");
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    result.root = builder.take_root();
    if (!result.root || result.root->kind == Node::Kind::kNull) {
      result.root = nullptr;
      result.problems.push_back({{}, "the file is empty"});
    }
  } catch (const Abort& abort) {
    result.problems.push_back(abort.problem);
  } catch (const YAML::Exception& error) {
    const Place at = error.mark.is_null() ? Place{} : place_of(error.mark);
    if (const auto tab = find_tab(text, at.line)) {
      result.problems.push_back({*tab, "a tab in the indentation; YAML is indented by spaces"});
    } else {
      result.problems.push_back({at, without_content(error.msg)});
    }
  } catch (const std::exception&) {
    result.problems.push_back({{}, "not YAML that can be read"});
  }
  return result;
}

}  // namespace drawbridge::config

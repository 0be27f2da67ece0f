#include "bridge/transform/lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace drawbridge {
namespace {

using At = ChainProblem::At;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ChainLintTest : public testing::Test {
 protected:
  ChainLintTest() {
    add("encrypt", Form::kClear, Form::kEnvelope);
    add("decrypt", Form::kEnvelope, Form::kClear);
    add("rekey", Form::kEnvelope, Form::kEnvelope);
    add("mask", Form::kClear, std::nullopt);
    add("set-header", std::nullopt, std::nullopt);
    add("change-key", std::nullopt, std::nullopt).changes_key = true;
    add("key-from-value", Form::kClear, std::nullopt).changes_key = true;
  }
  TransformSpec& add(std::string name, std::optional<Form> takes, std::optional<Form> leaves) {
    auto& spec = specs_[name];
    spec.name = name;
    spec.takes = takes;
    spec.leaves = leaves;
    return spec;
  }
  // "1: message", "in: message", "out: message".
  std::vector<std::string> problems(const std::vector<std::string>& names,
                                    const RequireOptions& require = {}) {
    std::vector<TransformStep> steps;
    for (const auto& name : names) steps.push_back({&specs_.at(name), {}});
    std::vector<std::string> texts;
    for (const auto& problem : check_chain_forms(steps, require)) {
      const std::string where = problem.at == At::kTransform   ? std::to_string(problem.position)
                                : problem.at == At::kRequireIn ? "in"
                                                               : "out";
      texts.push_back(where + ": " + problem.message);
    }
    return texts;
  }

  std::map<std::string, TransformSpec> specs_;
};

TEST_F(ChainLintTest, chains_that_hold_together) {
  EXPECT_THAT(problems({}), IsEmpty());
  EXPECT_THAT(problems({"set-header"}), IsEmpty());
  EXPECT_THAT(problems({"encrypt"}), IsEmpty());
  EXPECT_THAT(problems({"rekey"}, {{"native"}, {"native"}, {}}), IsEmpty());
  EXPECT_THAT(problems({"decrypt", "mask", "change-key", "encrypt"}), IsEmpty());
  EXPECT_THAT(problems({"change-key", "encrypt"}), IsEmpty());
  EXPECT_THAT(problems({"change-key"}), IsEmpty());
  EXPECT_THAT(problems({"decrypt"}, {{"native"}, {"clear"}, {}}), IsEmpty());
  EXPECT_THAT(problems({"set-header"}, {{"native", "clear"}, {"clear", "native"}, {}}), IsEmpty());
}

TEST_F(ChainLintTest, reading_ciphertext) {
  EXPECT_THAT(problems({"encrypt", "mask"}), ElementsAre(HasSubstr("1: `mask` reads the value")));
  EXPECT_THAT(problems({"rekey", "key-from-value"}),
              testing::Contains(HasSubstr("left so by `rekey`")));
  EXPECT_THAT(problems({"mask"}, {{"native"}, {}, {}}), ElementsAre(HasSubstr("0: `mask`")));
  EXPECT_THAT(problems({"mask"}, {{"native", "clear"}, {}, {}}),
              ElementsAre(HasSubstr("clear or sealed")));
}

TEST_F(ChainLintTest, sealing_twice) {
  EXPECT_THAT(problems({"encrypt", "encrypt"}), ElementsAre(HasSubstr("1: `encrypt` would seal")));
  EXPECT_THAT(problems({"rekey", "encrypt"}), ElementsAre(HasSubstr("use rekey")));
  EXPECT_THAT(problems({"encrypt"}, {{"native"}, {}, {}}), ElementsAre(HasSubstr("0: ")));
}

TEST_F(ChainLintTest, opening_what_is_clear) {
  EXPECT_THAT(problems({"decrypt", "decrypt"}), ElementsAre(HasSubstr("1: `decrypt` needs")));
  EXPECT_THAT(problems({"decrypt", "rekey"}), ElementsAre(HasSubstr("1: `rekey` needs")));
  EXPECT_THAT(problems({"rekey"}, {{"clear"}, {}, {}}), ElementsAre(HasSubstr("0: `rekey`")));
}

TEST_F(ChainLintTest, changing_the_key_of_a_sealed_value) {
  EXPECT_THAT(problems({"change-key", "rekey"}), ElementsAre(HasSubstr("0: `change-key`")));
  EXPECT_THAT(problems({"rekey", "change-key"}), ElementsAre(HasSubstr("binds that key")));
  EXPECT_THAT(problems({"encrypt", "set-header", "change-key"}), ElementsAre(HasSubstr("2: ")));
  EXPECT_THAT(problems({"change-key"}, {{"native"}, {}, {}}), ElementsAre(HasSubstr("0: ")));
}

TEST_F(ChainLintTest, what_leaves_must_be_what_require_out_accepts) {
  EXPECT_THAT(problems({"decrypt"}, {{}, {"native"}, {}}),
              ElementsAre(HasSubstr("out: values are in clear at the end")));
  EXPECT_THAT(problems({"encrypt"}, {{}, {"clear"}, {}}), ElementsAre(HasSubstr("out: ")));
  EXPECT_THAT(problems({}, {{"clear"}, {"native"}, {}}), ElementsAre(HasSubstr("out: ")));
  EXPECT_THAT(problems({}, {{}, {"native"}, {}}), IsEmpty()) << "held by the guard";
}

TEST_F(ChainLintTest, reports_everything_at_once) {
  EXPECT_THAT(
      problems({"encrypt", "mask", "encrypt"}, {{"avro"}, {"clear"}, {}}),
      ElementsAre(HasSubstr("in: `avro`"), HasSubstr("1: "), HasSubstr("2: "), HasSubstr("out: ")));
}

}  // namespace
}  // namespace drawbridge

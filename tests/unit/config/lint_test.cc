// What single values cannot show: chains, dead letters, groups, circles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> lint(const std::string& pipelines) {
  return problems_of(kClusters + pipelines);
}

TEST(Lint, Chains) {
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    require: {in: [native]}
    transforms:
      - encrypt: {domain: k}
    to: {cluster: b}
)"),
              ElementsAre("8:9: pipeline `p`: `encrypt` would seal what is already sealed here: "
                          "use rekey, or decrypt first"));
  EXPECT_THAT(
      lint(R"(  p:
    from: {cluster: a, topics: [x]}
    transforms: [{encrypt: {domain: k}}, {decrypt: {domain: k}}, {decrypt: {domain: k}}]
    to: {cluster: b}
)"),
      ElementsAre("6:67: pipeline `p`: `decrypt` needs an envelope, but values are in clear "
                  "here, left so by `decrypt`"));
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    require: {out: [native]}
    transforms: [{decrypt: {domain: k}}]
    to: {cluster: b}
)"),
              ElementsAre("6:14: pipeline `p`: values are in clear at the end of the chain, which "
                          "require.out refuses"));
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    require: {in: [native, native]}
    to: {cluster: b}
)"),
              testing::SizeIs(1));
}

TEST(Lint, TransformsCheckTheirOwnFields) {
  const auto problems = lint(R"(  p:
    from: {cluster: a, topics: [x]}
    transforms: [{rekey: {from: k, to: l, mode: rewrap, suite: aes-256-gcm}}]
    to: {cluster: b}
)");
  ASSERT_THAT(problems, testing::SizeIs(1));
  EXPECT_THAT(problems[0], testing::StartsWith("6:57: `rekey`: `suite` "));
}

// As many as there are, each where it stands; those of the chain with them.
TEST(Lint, EveryProblemOfEveryTransformIsTold) {
  const std::string rewrap = "has no meaning with mode: rewrap, which keeps the ciphertext";
  EXPECT_THAT(
      lint(R"(  p:
    from: {cluster: a, topics: [x]}
    transforms:
      - encrypt: {domains: [k, l, k, l]}
      - encrypt: {}
      - rekey:
          {from: k, to: l, mode: rewrap, tenant: ")" +
           std::string(300, 't') + R"(",
           suite: aes-256-gcm, inline: true}
    to: {cluster: b}
)"),
      ElementsAre("7:35: `encrypt`: `domains` names `k` twice",
                  "7:38: `encrypt`: `domains` names `l` twice",
                  "8:9: `encrypt`: give either `domain` or `domains`",
                  "8:9: pipeline `p`: `encrypt` would seal what is already sealed here, left so by "
                  "`encrypt`: use rekey, or decrypt first",
                  "10:42: `rekey`: tenant: at most 254 bytes, not 300",
                  "11:12: `rekey`: `suite` " + rewrap, "11:32: `rekey`: `inline` " + rewrap));
  // The same of values that are wrong by themselves.
  EXPECT_THAT(
      lint(R"(  p:
    from: {cluster: a, topics: [x]}
    transforms:
      - encrypt: {domains: [[k], {}, m, l]}
      - encrypt: {domian: k}
      - rewrap: {}
    to: {cluster: b}
)"),
      ElementsAre(
          "7:29: `pipelines.p.transforms[1].encrypt.domains` expects a list of texts, not a "
          "list",
          "7:34: `pipelines.p.transforms[1].encrypt.domains` expects a list of texts, not a "
          "map",
          "7:38: `pipelines.p.transforms[1].encrypt.domains`: unknown key domain `m`; there "
          "are k, l",
          testing::HasSubstr("unknown key `domian`"),
          testing::HasSubstr("unknown transform `rewrap`")));
}

TEST(Lint, DatasetsMustFitTheEnvelope) {
  EXPECT_THAT(lint("  p: {from: {cluster: a, topics: [x]}, to: {cluster: b}, dataset: " +
                   std::string(300, 'd') + "}\n"),
              testing::SizeIs(1));
}

TEST(Lint, ADeadLetterNeverWeakensProtection) {
  const std::string chain = R"(  p:
    from: {cluster: a, topics: [x]}
    transforms: [{encrypt: {domain: k}}]
    to: {cluster: b}
    on-error: )";
  EXPECT_THAT(lint(chain + "{dead-letter: {topic: dead}}\n"),
              ElementsAre("8:15: the target of `p` requires envelopes, so its dead letters there "
                          "need `seal: KEY-DOMAIN`; or keep them on the source: `cluster: a`"));
  EXPECT_THAT(lint(chain + "{dead-letter: {topic: dead, cluster: b}}\n"), testing::SizeIs(1));
  EXPECT_THAT(lint(chain + "{dead-letter: {topic: dead, seal: l}}\n"), IsEmpty());
  EXPECT_THAT(lint(chain + "{dead-letter: {topic: dead, cluster: a}}\n"), IsEmpty());
  EXPECT_THAT(
      lint(chain + "{dead-letter: {topic: dead, cluster: a, seal: l}}\n"),
      ElementsAre("8:15: dead letters of `p` stay on the source as they came; `seal` is for "
                  "those on the target"));
  // Required by `require` alone, without a transform.
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    require: {in: [native]}
    to: {cluster: b}
    on-error: {dead-letter: {topic: dead}}
)"),
              testing::SizeIs(1));
  // Nothing is required of a plain copy.
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    to: {cluster: b}
    on-error: {dead-letter: {topic: dead}}
)"),
              IsEmpty());
}

// On one and the same cluster the target's rule holds.
TEST(Lint, ADeadLetterOnTheOnlyClusterIsSealed) {
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    transforms: [{encrypt: {domain: k}}]
    to: {cluster: a, topic: y}
    on-error: {dead-letter: {topic: dead, cluster: a}}
)"),
              testing::SizeIs(1));
}

TEST(Lint, DeadLettersGoToTheSourceOrTheTarget) {
  EXPECT_THAT(
      problems_of("clusters: {a: {bootstrap.servers: 'a:1'}, b: {bootstrap.servers: "
                  "'b:1'}, c: {bootstrap.servers: 'c:1'}}\npipelines:\n"
                  "  p:\n"
                  "    from: {cluster: a, topics: [x]}\n"
                  "    to: {cluster: b}\n"
                  "    on-error: {dead-letter: {topic: dead, cluster: c}}\n"),
      ElementsAre("6:52: dead letters of `p` go to its source `a` or its target `b`, not to "
                  "`c`"));
}

TEST(Lint, DeadLettersStayApartFromCopies) {
  const auto with = [](const std::string& topic, const std::string& dead) {
    return lint("  p: {from: {cluster: a, topics: [x, '^z.*']}, to: {cluster: b, topic: '" + topic +
                "'}, on-error: {dead-letter: {topic: '" + dead + "'}}}\n");
  };
  const auto message = "dead letters of `p` would stand among its copies";
  EXPECT_THAT(with("{topic}", "{topic}"), ElementsAre(testing::HasSubstr(message)));
  EXPECT_THAT(with("all", "all"), ElementsAre(testing::HasSubstr(message)));
  EXPECT_THAT(with("{topic}", "x"), ElementsAre(testing::HasSubstr(message)));
  EXPECT_THAT(with("{topic}", "{topic}.dead"), IsEmpty());
  EXPECT_THAT(with("{topic}", "zzz"), IsEmpty()) << "only if the source has such a topic";
}

TEST(Lint, DeadLettersAreNotReadAgain) {
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: ["^.*"]}
    to: {cluster: b}
    on-error: {dead-letter: {topic: "{topic}", cluster: a}}
)"),
              ElementsAre("7:37: dead letters of `p` would go back into the topics that it reads"));
  EXPECT_THAT(lint(R"(  p:
    from: {cluster: a, topics: [x]}
    to: {cluster: b}
    on-error: {dead-letter: {topic: "{topic}.dead", cluster: a}}
  q:
    from: {cluster: a, topics: [x.dead]}
    to: {cluster: b}
)"),
              ElementsAre("9:33: `x.dead` holds dead letters of `p`, which no pipeline reads"));
}

TEST(Lint, AGroupIsOnePipelines) {
  EXPECT_THAT(lint(R"(  p: {from: {cluster: a, topics: [x], group: g}, to: {cluster: b}}
  q: {from: {cluster: a, topics: [y], group: g}, to: {cluster: b}}
  r: {from: {cluster: b, topics: [z], group: g}, to: {cluster: a}}
)"),
              ElementsAre("5:46: pipelines `p` and `q` both commit to the group `g`"));
}

TEST(Lint, APipelineCannotFeedItself) {
  EXPECT_THAT(lint("  p: {from: {cluster: a, topics: [x]}, to: {cluster: a}}\n"),
              ElementsAre("4:44: pipeline `p` feeds its own source: `p` writes `x`, which `p` "
                          "reads"));
  EXPECT_THAT(lint("  p: {from: {cluster: a, topics: [\"^x.*\"]}, to: {cluster: a, topic: "
                   "\"{topic}-copy\"}}\n"),
              ElementsAre("4:69: pipeline `p` feeds its own source: `p` writes `x-copy` from `x`, "
                          "which `p` reads"));
  EXPECT_THAT(lint("  p: {from: {cluster: a, topics: [\"^x.*\"], exclude: [\"^.*-copy\"]}, to: "
                   "{cluster: a, topic: \"{topic}-copy\"}}\n"),
              IsEmpty());
  EXPECT_THAT(lint("  p: {from: {cluster: a, topics: [x]}, to: {cluster: b}}\n"), IsEmpty());
}

TEST(Lint, NorThroughOthers) {
  EXPECT_THAT(lint(R"(  p: {from: {cluster: a, topics: ["^.*"]}, to: {cluster: b}}
  q: {from: {cluster: b, topics: ["^.*"]}, to: {cluster: a}}
)"),
              ElementsAre("4:48: pipeline `p` feeds its own source through others: `p` writes `a`, "
                          "which `q` reads; `q` writes `a`, which `p` reads"));
  // Both ways with prefixes, as is usual: nothing comes back.
  EXPECT_THAT(
      lint(R"(  p: {from: {cluster: a, topics: ["^[^.]+"]}, to: {cluster: b, topic: "a.{topic}"}}
  q: {from: {cluster: b, topics: ["^[^.]+"]}, to: {cluster: a, topic: "b.{topic}"}}
)"),
      IsEmpty());
  // A ring of three, told once.
  EXPECT_THAT(
      problems_of("clusters: {a: {bootstrap.servers: 'a:1'}, b: {bootstrap.servers: 'b:1'}, c: "
                  "{bootstrap.servers: 'c:1'}}\npipelines:\n"
                  "  p: {from: {cluster: a, topics: [x]}, to: {cluster: b, topic: y}}\n"
                  "  q: {from: {cluster: b, topics: [y]}, to: {cluster: c, topic: z}}\n"
                  "  r: {from: {cluster: c, topics: [\"^z|w\"]}, to: {cluster: a, topic: x}}\n"
                  "  s: {from: {cluster: a, topics: [v]}, to: {cluster: b, topic: y}}\n"),
      ElementsAre(
          "3:64: pipeline `p` feeds its own source through others: `p` writes `y` from `x`, "
          "which `q` reads; `q` writes `z` from `y`, which `r` reads; `r` writes `x`, which "
          "`p` reads"));
}

// One cluster by two names is still one cluster.
TEST(Lint, ABrokerInCommonMakesOneCluster) {
  EXPECT_THAT(problems_of("clusters: {a: {bootstrap.servers: 'k1:9092,k2:9092'}, b: "
                          "{bootstrap.servers: 'SSL://K2, k3:9092'}}\npipelines:\n"
                          "  p: {from: {cluster: a, topics: [x]}, to: {cluster: b}}\n"),
              ElementsAre("3:44: pipeline `p` feeds its own source: `p` writes `x`, which `p` "
                          "reads"));
}

TEST(Lint, WhatCannotBeToldIsRefused) {
  EXPECT_THAT(lint("  p: {from: {cluster: a, topics: ['^x.*'], exclude: ['^\\bx-.*']}, to: "
                   "{cluster: a, topic: \"x-{topic}\"}}\n"),
              ElementsAre("4:91: pipeline `p` feeds its own source: `p` may write what `p` reads "
                          "(the expressions are too complicated to tell; simplify them)"));
}

}  // namespace
}  // namespace drawbridge

// What is wrong, where, and what was probably meant: each mistake with its exact message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/unit/config/support.h"

namespace drawbridge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Case {
  std::string text;
  std::vector<std::string> problems;
};

void check(const std::vector<Case>& cases) {
  for (const Case& each : cases) EXPECT_EQ(problems_of(each.text), each.problems) << each.text;
}

// A pipeline on one line, the fourth.
std::string pipeline(const std::string& inside) { return kClusters + "  p: {" + inside + "}\n"; }
const std::string kFrom = "from: {cluster: a, topics: [x]}";
const std::string kTo = "to: {cluster: b}";

TEST(Hostile, Files) {
  check({
      {"", {"1:1: the file is empty"}},
      {"---\n", {"1:1: the file is empty"}},
      {"- a\n",
       {"1:1: a configuration is a map with the keys daemon, clusters, key_domains, pipelines"}},
      {"just text\n",
       {"1:1: a configuration is a map with the keys daemon, clusters, key_domains, pipelines"}},
      {"{}\n",
       {"1:1: the configuration lacks `clusters`: Kafka clusters by name.",
        "1:1: the configuration lacks `pipelines`: Pipelines by name."}},
      {"clusters: {}\npipelines:\n",
       {"1:11: `clusters` expects a map of names, each with its section, not a map",
        "2:1: `pipelines` expects a map of names, each with its section, not nothing"}},
      {"\tclusters: 1\n", {"1:1: a tab in the indentation; YAML is indented by spaces"}},
      {"pipelines: [a]\nclusters: x\n",
       {"1:12: `pipelines` expects a map of names, each with its section, not a list",
        "2:11: `clusters` expects a map of names, each with its section, not a plain value"}},
  });
}

TEST(Hostile, UnknownKeys) {
  check({
      {"cluster: {}\n",
       {"1:1: unknown key `cluster` in the configuration; did you mean `clusters`?",
        "1:1: the configuration lacks `clusters`: Kafka clusters by name.",
        "1:1: the configuration lacks `pipelines`: Pipelines by name."}},
      {pipeline("from: {cluster: a, topcis: [x]}, " + kTo),
       {"4:13: `pipelines.p.from` lacks `topics`: What to read: names, or regular expressions "
        "(RE2) that begin with `^` and match the whole name. Internal topics are read only where "
        "they are named; the bridge's own and its dead-letter topics never.",
        "4:26: unknown key `topcis` in `pipelines.p.from`; did you mean `topics`?"}},
      {pipeline(kFrom + ", " + kTo + ", shard: 2"),
       {"4:58: unknown key `shard` in `pipelines.p`; did you mean `shards`?"}},
      {pipeline(kFrom + ", " + kTo + ", topics: [x]"),
       {"4:58: unknown key `topics` in `pipelines.p`; it stands under `from`"}},
      {pipeline("from: {cluster: a, topics: [x], fetch.min.byte: 1}, " + kTo),
       {"4:39: unknown key `fetch.min.byte` in `pipelines.p.from`; did you mean "
        "`fetch.min.bytes`?"}},
      {pipeline(kFrom + ", " + kTo + ", zzzzz: 2"),
       {"4:58: unknown key `zzzzz` in `pipelines.p`; there are from, dataset, require, transforms, "
        "to, on-error, delivery, commit-interval, share, session-timeout, shards, max-in-flight, "
        "checkpoint, refresh, drain-timeout"}},
      {pipeline("from: {cluster: a, topics: [x], zzzzz: 1}, " + kTo),
       {"4:39: unknown key `zzzzz` in `pipelines.p.from`; there are cluster, topics, exclude, "
        "start, group, on-gap and the client library's properties"}},
      {pipeline(kFrom + ", " + kTo + ", \"a\\e[2Jb\": 2"),
       {"4:58: unknown key `a\\u{1b}[2Jb` in `pipelines.p`; there are from, dataset, require, "
        "transforms, to, on-error, delivery, commit-interval, share, session-timeout, shards, "
        "max-in-flight, checkpoint, refresh, drain-timeout"}},
      {pipeline(kFrom + ", " + kTo + ", transforms: [{encrpyt: {domain: k}}]"),
       {"4:72: unknown transform `encrpyt`; did you mean `encrypt`?"}},
      {pipeline(kFrom + ", " + kTo + ", transforms: [{encrypt: {domian: k}}]"),
       {"4:82: unknown key `domian` in `pipelines.p.transforms[1].encrypt`; did you mean "
        "`domain`?"}},
      {pipeline(kFrom + ", " + kTo + ", transforms: [zip]"),
       {"4:71: unknown transform `zip`; there are decrypt, encrypt, rekey"}},
  });
}

TEST(Hostile, RepeatedKeys) {
  check({
      {pipeline(kFrom + ", " + kTo + ", shards: 2, shards: 3"),
       {"4:69: `shards` stands twice; first on line 4"}},
      {kClusters + "  p: {" + kFrom + ", " + kTo + "}\n  p: {" + kFrom + ", " + kTo + "}\n",
       {"5:3: `p` stands twice; first on line 4"}},
      {"clusters: {a: {bootstrap.servers: 'a:1', compression.codec: lz4, compression.type: lz4}}\n"
       "pipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: a, topic: y}}}\n",
       {"1:66: `compression.type` and `compression.codec` are the same property"}},
  });
}

TEST(Hostile, WrongTypes) {
  const std::string rest = kFrom + ", " + kTo + ", ";
  check({
      {pipeline(rest + "shards: many"),
       {"4:66: `pipelines.p.shards` expects a whole number from 1 to 64, not `many`"}},
      {pipeline(rest + "shards: 0"),
       {"4:66: `pipelines.p.shards` expects a whole number from 1 to 64, not `0`"}},
      {pipeline(rest + "shards: 99999999999999999999999"),
       {"4:66: `pipelines.p.shards` expects a whole number from 1 to 64, not "
        "`99999999999999999999999`"}},
      {pipeline(rest + "shards: \"4\""),
       {"4:66: `pipelines.p.shards` expects a whole number from 1 to 64, not the text \"4\""}},
      {pipeline(rest + "shards: [4]"),
       {"4:66: `pipelines.p.shards` expects a whole number from 1 to 64, not a list"}},
      {pipeline(rest + "shards:"),
       {"4:58: `pipelines.p.shards` expects a whole number from 1 to 64, not nothing"}},
      {pipeline(rest + "refresh: 5"),
       {"4:67: `pipelines.p.refresh` expects a duration such as 250ms, 1s, 10m or 24h, not `5`"}},
      {pipeline(rest + "refresh: 1ms"),
       {"4:67: `pipelines.p.refresh` expects a duration from 100ms to 86400000ms, not `1ms`"}},
      {pipeline(rest + "max-in-flight: lots"),
       {"4:73: `pipelines.p.max-in-flight.bytes` expects a size such as 64MiB, 1GB or 1000, not "
        "`lots`"}},
      {pipeline(rest + "max-in-flight: 10"),
       {"4:73: `pipelines.p.max-in-flight.bytes` expects a size from 1048576 to 68719476736 bytes, "
        "not `10`"}},
      {pipeline(rest + "checkpoint: [1s]"),
       {"4:70: `pipelines.p.checkpoint` expects a map with the keys interval, records, not a "
        "list"}},
      {pipeline(rest + "delivery: once"),
       {"4:68: `pipelines.p.delivery` expects one of at-least-once, exactly-once, not `once`"}},
      {pipeline(rest + "commit-interval: 0ms"),
       {"4:75: `pipelines.p.commit-interval` expects a duration from 1ms to 10000ms, not `0ms`"}},
      {pipeline(rest + "on-error: ignore"),
       {"4:68: `pipelines.p.on-error` is one of stop, drop, {dead-letter: ...}"}},
      {pipeline(rest + "on-error: dead-leter"),
       {"4:68: `pipelines.p.on-error` is one of stop, drop, {dead-letter: ...}; did you mean "
        "`dead-letter`?"}},
      {pipeline(rest + "on-error: dead-letter"),
       {"4:68: `dead-letter` needs its keys: `on-error: {dead-letter: {...}}`"}},
      {pipeline(rest + "on-error: {stop: {}}"), {"4:69: `stop` stands alone: `on-error: stop`"}},
      {pipeline(rest + "on-error: [stop]"),
       {"4:68: `pipelines.p.on-error` expects one of stop, drop, {dead-letter: ...}, not a list"}},
      {pipeline(rest + "transforms: {encrypt: {domain: k}}"),
       {"4:70: `pipelines.p.transforms` expects a list of transforms, `- name: {...}`, not a map"}},
      {pipeline(rest + "transforms: [{encrypt: {domain: k}, decrypt: {domain: k}}]"),
       {"4:71: `pipelines.p.transforms[1]` expects a transform, `name: {...}`, not a map"}},
      {pipeline(rest + "transforms: [encrypt]"),
       {"4:71: `encrypt`: give either `domain` or `domains`"}},
      {pipeline(rest + "transforms: [{encrypt: {domain: [k]}}]"),
       {"4:90: `pipelines.p.transforms[1].encrypt.domain` expects text, not a list"}},
      {pipeline("from: {cluster: a, topics: x}, " + kTo),
       {"4:34: `pipelines.p.from.topics` expects a list, `[a, b]`, not `x`"}},
      {pipeline("from: {cluster: a, topics: []}, " + kTo),
       {"4:34: `pipelines.p.from.topics` expects a list of at least one, not a list"}},
      {pipeline("from: {cluster: a, topics: [[x]]}, " + kTo),
       {"4:35: `pipelines.p.from.topics` expects a list of texts, not a list"}},
      {pipeline("from: {cluster: a, topics: [x], on-gap: latest}, " + kTo),
       {"4:47: `pipelines.p.from.on-gap` expects one of stop, earliest, not `latest`"}},
      {pipeline(kFrom + ", to: {cluster: b, create-topics: maybe}"),
       {"4:72: `pipelines.p.to.create-topics` expects true, false or a map, not `maybe`"}},
      {pipeline(kFrom + ", to: {cluster: b, topic: }"),
       {"4:57: `pipelines.p.to.topic` expects text, not nothing"}},
      {pipeline("from: a, " + kTo),
       {"4:13: `pipelines.p.from` expects a map with the keys cluster, topics, exclude, start, "
        "group, on-gap, not a plain value"}},
      {pipeline("from: {cluster: a, topics: [x], start: yesterday}, " + kTo),
       {"4:46: `pipelines.p.from.start`: `yesterday` is neither `earliest` nor `latest` nor a time "
        "such as 2026-01-31T00:00:00Z"}},
      {pipeline(rest + "require: {in: [plain]}"),
       {"4:73: `pipelines.p.require.in` expects some of native, clear, not `plain`"}},
  });
}

TEST(Hostile, NamesAndReferences) {
  check({
      {pipeline("from: {cluster: aa, topics: [x]}, " + kTo),
       {"4:23: `pipelines.p.from.cluster`: unknown cluster `aa`; there are a, b"}},
      {pipeline(kFrom + ", to: {cluster: elsewhere}"),
       {"4:54: `pipelines.p.to.cluster`: unknown cluster `elsewhere`; there are a, b"}},
      {pipeline(kFrom + ", " + kTo + ", transforms: [{encrypt: {domain: nobody}}]"),
       {"4:90: `pipelines.p.transforms[1].encrypt.domain`: unknown key domain `nobody`; there are "
        "k, l"}},
      {pipeline(kFrom + ", " + kTo + ", transforms: [{encrypt: {domains: [k, m]}}]"),
       {"4:95: `pipelines.p.transforms[1].encrypt.domains`: unknown key domain `m`; there are "
        "k, l"}},
      {pipeline(kFrom + ", " + kTo + ", on-error: {dead-letter: {topic: d, seal: kk}}"),
       {"4:99: `pipelines.p.on-error.dead-letter.seal`: unknown key domain `kk`; there are "
        "k, l"}},
      {kClusters + "  \"a/b\": {" + kFrom + ", " + kTo + "}\n",
       {"4:3: `a/b` is not a name in `pipelines`: 1 to 64 letters, digits, `.`, `_` or `-`, "
        "beginning with a letter or digit"}},
      {"daemon: {name: ../../etc}\n" + pipeline(kFrom + ", " + kTo),
       {"1:16: `daemon.name`: `../../etc` is not a name: 1 to 64 letters, digits, `.`, `_` or `-`, "
        "beginning with a letter or digit"}},
      {"clusters: {a: {bootstrap.servers: 'a:1'}}\nkey_domains: {k: {vault: {}}}\n"
       "pipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: a, topic: y}}}\n",
       {"2:19: unknown key `vault` in `key_domains.k`; there are keyring"}},
      {"clusters: {a: {bootstrap.servers: 'a:1'}}\nkey_domains: {k: {}}\n"
       "pipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: a, topic: y}}}\n",
       {"2:18: `key_domains.k` needs exactly one of keyring"}},
      {"clusters: {a: {bootstrap.servers: 'a:1'}}\nkey_domains: {k: {keyring: {file: f, key: "
       "'A B'}}}\npipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: a, topic: y}}}\n",
       {"2:19: key domain `k`: `key` is `A B`: 1 to 64 of a-z 0-9 . _ -, beginning with a letter "
        "or digit"}},
  });
}

TEST(Hostile, Topics) {
  check({
      {pipeline("from: {cluster: a, topics: [\"orders.*\"]}, " + kTo),
       {"4:35: `pipelines.p.from.topics`: `orders.*` is not a topic name: `*` cannot stand in a "
        "topic name, only a-z A-Z 0-9 . _ - (a regular expression begins with ^)"}},
      {pipeline("from: {cluster: a, topics: [\"^orders(\"]}, " + kTo),
       {"4:35: `pipelines.p.from.topics`: `^orders(` is not a regular expression: missing ): "
        "^orders("}},
      {pipeline("from: {cluster: a, topics: [x], exclude: [\"^[\"]}, " + kTo),
       {"4:49: `pipelines.p.from.exclude`: `^[` is not a regular expression: missing ]: ["}},
      {pipeline("from: {cluster: a, topics: [__drawbridge.ledger]}, " + kTo),
       {"4:35: `pipelines.p.from.topics`: `__drawbridge.ledger` is a topic of the bridge itself, "
        "which no pipeline reads"}},
      {pipeline("from: {cluster: a, topics: [..]}, " + kTo),
       {"4:35: `pipelines.p.from.topics`: `..` is not a topic name: a topic cannot be called `..` "
        "(a regular expression begins with ^)"}},
      {pipeline(kFrom + ", to: {cluster: b, topic: \"{tpoic}\"}"),
       {"4:64: `pipelines.p.to.topic`: unknown placeholder `{tpoic}`; there are {topic}, {cluster} "
        "and {pipeline}"}},
      {pipeline(kFrom + ", to: {cluster: b, topic: \"a b\"}"),
       {"4:64: `pipelines.p.to.topic`: byte 0x20 cannot stand in a topic name, only a-z A-Z 0-9 . "
        "_ -"}},
      {pipeline(kFrom + ", to: {cluster: b, topic: \"__drawbridge.{topic}\"}"),
       {"4:64: `pipelines.p.to.topic`: topics that begin with `__drawbridge` belong to the bridge "
        "itself"}},
      {pipeline(kFrom + ", " + kTo + ", on-error: {dead-letter: {topic: \"d/{topic}\"}}"),
       {"4:90: `pipelines.p.on-error.dead-letter.topic`: `/` cannot stand in a topic name, only "
        "a-z A-Z 0-9 . _ -"}},
  });
}

std::string cluster(const std::string& inside) {
  return "clusters: {a: {bootstrap.servers: 'a:1', " + inside +
         "}}\npipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: a, topic: y}}}\n";
}

TEST(Hostile, ClientProperties) {
  check({
      {cluster("enable.auto.commit: true"),
       {"1:42: `clusters.a.enable.auto.commit` cannot be set: offsets are committed with the "
        "checkpoint, after the target's acknowledgement"}},
      {cluster("group.id: g"), {"1:42: `clusters.a.group.id` cannot be set: use `from.group`"}},
      {cluster("dr_cb: x"),
       {"1:42: `clusters.a.dr_cb` cannot be set: it is set by the program, not by a "
        "configuration"}},
      {cluster("metadata.broker.list: 'b:1'"),
       {"1:42: `clusters.a.metadata.broker.list` cannot be set: use `bootstrap.servers`"}},
      {cluster("socket.timeout.ms: soon"),
       {"1:61: `clusters.a.socket.timeout.ms` expects a whole number from 10 to 300000, not "
        "`soon`"}},
      {cluster("client.id: [x]"),
       {"1:53: `clusters.a.client.id` expects text or a number, not a list"}},
      {cluster("client.id: \"${env:HOME}\""),
       {"1:42: `clusters.a.client.id` cannot be set: references are for secrets; write the value "
        "itself"}},
      {cluster("sasl.mecanism: PLAIN"),
       {"1:42: unknown key `sasl.mecanism` in `clusters.a`; did you mean `sasl.mechanism`?"}},
      {cluster("tls: {}, security.protocol: ssl"),
       {"1:51: `clusters.a.security.protocol` cannot be set: `tls` sets it"}},
      {cluster("tls: {}, ssl.ca.location: /x"),
       {"1:51: `clusters.a.ssl.ca.location` cannot be set: `tls` sets it"}},
      {pipeline("from: {cluster: a, topics: [x], linger.ms: 5}, " + kTo),
       {"4:39: `pipelines.p.from.linger.ms` cannot be set: it is a producer's; it stands under "
        "`to` or a cluster"}},
      {pipeline(kFrom + ", to: {cluster: b, fetch.min.bytes: 5}"),
       {"4:57: `pipelines.p.to.fetch.min.bytes` cannot be set: it is a consumer's; it stands under "
        "`from` or a cluster"}},
      {pipeline(kFrom + ", to: {cluster: b, bootstrap.servers: 'c:1'}"),
       {"4:57: `pipelines.p.to.bootstrap.servers` cannot be set: it belongs to the cluster, so "
        "that all of its clients are alike"}},
      {pipeline(kFrom + ", to: {cluster: b, acks: 1}"),
       {"4:57: `pipelines.p.to.acks` cannot be set: every record waits for all in-sync replicas; "
        "less could lose what a checkpoint covers"}},
  });
  for (const char* servers : {"", "a:0", "a:99999", "a:x", "a:1,", ",", "a b:1", "://x", "a;b"}) {
    const std::string text = "clusters: {a: {bootstrap.servers: \"" + std::string(servers) +
                             "\"}}\npipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: "
                             "a, topic: y}}}\n";
    ASSERT_EQ(problems_of(text).size(), 1u) << servers;
    EXPECT_THAT(problems_of(text)[0], HasSubstr("1:35: `clusters.a.bootstrap.servers`"));
  }
  for (const char* servers :
       {"a", "a:1", "a:1, b:2", "[::1]:9092", "SSL://a.b-c:9093", "10.0.0.1:1"}) {
    EXPECT_TRUE(problems_of("clusters: {a: {bootstrap.servers: \"" + std::string(servers) +
                            "\"}}\npipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: "
                            "a, topic: y}}}\n")
                    .empty())
        << servers;
  }
}

TEST(Hostile, Secrets) {
  const std::string advice =
      ": a secret cannot stand in the configuration; put it into a file and refer to it: "
      "${file:PATH}, ${cred:NAME} or ${env:NAME}";
  ::unsetenv("CREDENTIALS_DIRECTORY");
  check({
      {cluster("sasl.password: hunter2"), {"1:57: `clusters.a.sasl.password`" + advice}},
      {cluster("ssl.key.pem: hunter2"), {"1:55: `clusters.a.ssl.key.pem`" + advice}},
      {cluster("auth: {plain: {username: u, password: hunter2}}"),
       {"1:80: `clusters.a.auth.plain.password`" + advice}},
      {cluster("auth: {plain: {username: u, password: 12345}}"),
       {"1:80: `clusters.a.auth.plain.password`" + advice}},
      {cluster("auth: {plain: {username: u, password: [hunter2]}}"),
       {"1:80: `clusters.a.auth.plain.password` expects text, not a list"}},
      {cluster("auth: {plain: hunter2}"),
       {"1:56: `clusters.a.auth.plain` expects a map with the keys username, password, not a plain "
        "value"}},
      {cluster("auth: hunter2"),
       {"1:48: `clusters.a.auth` is one of {plain: ...}, {scram-sha-256: ...}, {scram-sha-512: "
        "...}"}},
      {cluster("tls: {key-password: hunter2}"), {"1:62: `clusters.a.tls.key-password`" + advice}},
      {cluster("tls: {key: \"-----BEGIN PRIVATE KEY-----\\nhunter2\"}"),
       {"1:53: `clusters.a.tls.key`: a private key cannot stand in the configuration; give its "
        "path"}},
      {cluster("sasl.password: \"${vault:hunter2}\""),
       {"1:57: `clusters.a.sasl.password`: a reference is ${file:PATH}, ${file:PATH:KEY}, "
        "${env:NAME} or ${cred:NAME}"}},
      {cluster("sasl.password: \"x${file:hunter2}\""),
       {"1:57: `clusters.a.sasl.password`" + advice}},
      {cluster("sasl.password: \"${file:/nonexistent/p}\""),
       {"1:57: the secret file `/nonexistent/p` cannot be read: No such file or directory"}},
      {cluster("sasl.password: \"${env:HOME}\""),
       {"1:57: the environment variable `HOME` is not allowed; list it under `daemon: {secrets: "
        "{env: [HOME]}}`"}},
      {"clusters: {a: {bootstrap.servers: 'a:1'}}\nkey_domains: {k: {keyring: {file: "
       "\"${cred:k}\", key: one}}}\npipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: "
       "a, topic: y}}}\n",
       {"2:35: the credential `k` needs $CREDENTIALS_DIRECTORY, which systemd sets for a unit with "
        "LoadCredential="}},
      {"clusters: {a: {bootstrap.servers: 'a:1'}}\nkey_domains: {k: {keyring: {file: "
       "\"${file:k}\", key: one}}}\npipelines: {p: {from: {cluster: a, topics: [x]}, to: {cluster: "
       "a, topic: y}}}\n",
       {"2:35: `key_domains.k.keyring.file`: a path, or ${cred:NAME}"}},
  });
  const std::string missing = cluster("sasl.password: \"${file:/nonexistent/p}\"");
  EXPECT_TRUE(problems_of(missing, {.resolve_secrets = false}).empty());
}

// Whatever is wrong around it, a secret written into the file is not repeated in a message.
TEST(Hostile, NoMessageRepeatsASecret) {
  for (const char* inside :
       {"sasl.password: hunter2", "sasl.password: [hunter2]", "sasl.password: {hunter2: x}",
        "sasl.password: *hunter2", "sasl.password: \"${env:x\" hunter2",
        "auth: {plain: {username: u, password: {a: hunter2}}}", "auth: {plain: [hunter2]}",
        "auth: [hunter2]", "ssl.keystore.password: hunter2, ssl.keystore.password: hunter2",
        "tls: hunter2", "tls: [hunter2]", "ssl.key.pem: \"-----BEGIN hunter2\"",
        "sasl.oauthbearer.client.secret: hunter2", "sasl.password: !hunter2 x",
        "sasl.password: 'hunter2", "sasl.password: hunter2: x"}) {
    for (const std::string& problem : problems_of(cluster(inside))) {
      EXPECT_THAT(problem, Not(HasSubstr("hunter2"))) << inside;
    }
    EXPECT_FALSE(problems_of(cluster(inside)).empty()) << inside;
  }
}

TEST(Hostile, AllErrorsAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(problems_of(R"(
daemon: {nmae: x, log: {level: loud}}
clusters:
  a: {bootstrap.servers: "a:1", acks: 1}
  a: {bootstrap.servers: "a:1"}
pipelines:
  p:
    from: {cluster: z, topics: ["^("]}
    to: {cluster: a, topic: "a b"}
    shards: x
)"),
              ElementsAre("2:10: unknown key `nmae` in `daemon`; did you mean `name`?",
                          HasSubstr("2:32: `daemon.log.level` expects one of"),
                          HasSubstr("4:33: `clusters.a.acks` cannot be set"),
                          "5:3: `a` stands twice; first on line 4",
                          HasSubstr("8:21: `pipelines.p.from.cluster`: unknown cluster `z`"),
                          HasSubstr("8:33: `pipelines.p.from.topics`: `^(`"),
                          HasSubstr("9:29: `pipelines.p.to.topic`: byte 0x20"),
                          HasSubstr("10:13: `pipelines.p.shards`")));
}

TEST(Hostile, TooManyErrorsEndSomewhere) {
  std::string text = "clusters:\n";
  for (int i = 0; i < 1000; ++i) text += "  c" + std::to_string(i) + ": {x: 1}\n";
  const auto problems = problems_of(text);
  EXPECT_EQ(problems.size(), 200u);
  EXPECT_THAT(problems, testing::Contains(HasSubstr("too many errors; correct these first")));
}

}  // namespace
}  // namespace drawbridge

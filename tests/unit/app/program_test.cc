// The built program, as a person calls it. Nothing here needs a broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "bridge/app/exit_codes.h"
#include "tests/unit/app/support.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view kGood = R"(daemon: {name: test, state-directory: state}
clusters:
  dc:    {bootstrap.servers: "127.0.0.1:1"}
  cloud: {bootstrap.servers: "127.0.0.1:2"}
key_domains:
  dc-keys: {keyring: {file: dc.keyring, key: orders}}
pipelines:
  copy:
    from: {cluster: dc, topics: [orders]}
    transforms: [{encrypt: {domain: dc-keys}}]
    to: {cluster: cloud}
)";

class ProgramTest : public testing::Test {
 protected:
  std::string configuration(std::string_view text = kGood) {
    return write_file(directory_, "bridge.yaml", text);
  }
  Finished run(const std::vector<std::string>& arguments) {
    return run_program(directory_, arguments);
  }
  static std::string replaced(std::string_view what, std::string_view with) {
    std::string text(kGood);
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, what.size(), with);
  }

  TemporaryDirectory directory_ = test_directory();
};

TEST_F(ProgramTest, LintIsContentWithWhatIsGood) {
  write_file(directory_, "dc.keyring", "");
  const Finished done = run({"lint", "-c", configuration()});
  EXPECT_EQ(done.status, kExitOk);
  EXPECT_THAT(done.out, HasSubstr("bridge.yaml: ok"));
  EXPECT_EQ(done.err, "");
}

TEST_F(ProgramTest, LintNamesFileLineAndColumnOfEveryProblem) {
  std::string text = replaced("topics: [orders]", "topcis: [orders]");
  text.replace(text.find("domain: dc-keys"), 15, "domain: dc-kyes");
  const std::string file = configuration(text);
  const Finished done = run({"lint", "-c", file});
  EXPECT_EQ(done.status, kExitConfiguration);
  EXPECT_EQ(done.out, "");
  EXPECT_THAT(done.err, HasSubstr(file + ":9:"));
  EXPECT_THAT(done.err, HasSubstr("`topics`"));
  EXPECT_THAT(done.err, HasSubstr(file + ":10:"));
  EXPECT_THAT(done.err, HasSubstr("dc-keys"));
}

TEST_F(ProgramTest, LintLooksForTheFilesThatAreNamed) {
  std::string text = replaced(R"(bootstrap.servers: "127.0.0.1:1")",
                              R"(bootstrap.servers: "127.0.0.1:1", tls: {ca: /nowhere/ca.pem})");
  const std::string_view raw = R"(bootstrap.servers: "127.0.0.1:2")";
  text.insert(text.find(raw) + raw.size(), ", ssl.crl.location: revoked.pem");
  const std::string file = configuration(text);
  const Finished done = run({"lint", "-c", file});
  EXPECT_EQ(done.status, kExitConfiguration);
  EXPECT_THAT(done.err, HasSubstr(file + ":3:55: the file `/nowhere/ca.pem` cannot be read: No"));
  EXPECT_THAT(done.err, HasSubstr(file + ":4:63: the file `" + directory_.path() + "/revoked.pem"));
  EXPECT_THAT(done.err, HasSubstr(file + ":6:29: the file `" + directory_.path() + "/dc.keyring"));
  EXPECT_EQ(std::ranges::count(done.err, '\n'), 3);
  // For another machine they are only told.
  const Finished elsewhere = run({"lint", "-c", file, "--elsewhere"});
  EXPECT_EQ(elsewhere.status, kExitOk);
  EXPECT_THAT(elsewhere.out, HasSubstr("ok"));
  EXPECT_THAT(elsewhere.err, HasSubstr(":3:55: the file `/nowhere/ca.pem` cannot be read"));
  EXPECT_THAT(elsewhere.err, HasSubstr("warning"));
  EXPECT_EQ(run({"lint", "-c", file, "--elsewhere", "--secrets"}).status, kExitUsage);
}

TEST_F(ProgramTest, LintNeedsNoSecretsUnlessAsked) {
  write_file(directory_, "dc.keyring", "");
  const std::string file = configuration(replaced(
      R"(cloud: {bootstrap.servers: "127.0.0.1:2"})",
      R"(cloud: {bootstrap.servers: "127.0.0.1:2", auth: {plain: {username: u, password: "${file:/nowhere/secret}"}}})"));
  const Finished without = run({"lint", "-c", file});
  EXPECT_EQ(without.status, kExitOk) << without.err;
  EXPECT_THAT(without.err, HasSubstr("/nowhere/secret"));
  EXPECT_THAT(without.err, HasSubstr("warning"));
  const Finished with = run({"lint", "-c", file, "--secrets"});
  EXPECT_EQ(with.status, kExitConfiguration);
  EXPECT_THAT(with.err, HasSubstr(file + ":4:"));
  // Whatever needs the secret says the same.
  EXPECT_EQ(run({"run", "-c", file}).status, kExitConfiguration);
}

TEST_F(ProgramTest, AFileThatCannotBeReadIsAConfigurationProblem) {
  for (const char* command : {"run", "lint", "echo", "check"}) {
    const Finished done = run({command, "-c", "nowhere.yaml"});
    EXPECT_EQ(done.status, kExitConfiguration) << command;
    EXPECT_THAT(done.err, HasSubstr("nowhere.yaml")) << command;
  }
}

TEST_F(ProgramTest, RunRefusesAWrongCommandLine) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"run"},
                                             {"run", "-c"},
                                             {"run", "--until-caught-up"},
                                             {"run", "-c", "a", "--for-ever"},
                                             {"run", "bridge.yaml"}}) {
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, kExitUsage) << testing::PrintToString(arguments);
    EXPECT_THAT(done.err, HasSubstr("Usage: drawbridge run -c FILE"));
  }
}

TEST_F(ProgramTest, RunSaysWhichKeyringIsMissing) {
  const Finished done = run({"run", "-c", configuration()});
  EXPECT_NE(done.status, kExitOk);
  EXPECT_THAT(done.err, HasSubstr("dc.keyring"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/state"));
}

TEST_F(ProgramTest, EchoPrintsWhatReadsBackTheSame) {
  const Finished first = run({"echo", "-c", configuration()});
  EXPECT_EQ(first.status, kExitOk) << first.err;
  EXPECT_THAT(first.out, HasSubstr("group: drawbridge-copy"));  // defaults are filled in
  const Finished second = run({"echo", "-c", write_file(directory_, "again.yaml", first.out)});
  EXPECT_EQ(second.status, kExitOk) << second.err;
  EXPECT_EQ(second.out, first.out);
}

TEST_F(ProgramTest, ListKnowsItsWords) {
  EXPECT_THAT(run({"list"}).out, HasSubstr("rekey"));
  EXPECT_THAT(run({"list", "transforms"}).out, HasSubstr("rewrap"));
  EXPECT_THAT(run({"list", "errors"}).out, HasSubstr("envelope-tampered"));
  EXPECT_THAT(run({"list", "key-domains"}).out, HasSubstr("keyring"));
  for (const char* what : {"transforms", "errors", "key-domains"}) {
    const Finished json = run({"list", what, "--format", "json"});
    EXPECT_EQ(json.status, kExitOk);
    EXPECT_THAT(json.out, StartsWith("[\n"));
  }
  const Finished schema = run({"list", "--format", "jsonschema"});
  EXPECT_EQ(schema.status, kExitOk);
  EXPECT_THAT(schema.out, HasSubstr("json-schema.org"));
  const Finished pipelines = run({"list", "pipelines", "-c", configuration()});
  EXPECT_EQ(pipelines.status, kExitOk) << pipelines.err;
  EXPECT_THAT(pipelines.out, HasSubstr("copy"));
  EXPECT_EQ(run({"list", "pipelines"}).status, kExitUsage);
  EXPECT_EQ(run({"list", "everything"}).status, kExitUsage);
  EXPECT_EQ(run({"list", "--format", "xml"}).status, kExitUsage);
}

TEST_F(ProgramTest, ReferenceKnowsItsPages) {
  EXPECT_THAT(run({"reference"}).out, HasSubstr("configuration\n"));
  EXPECT_THAT(run({"reference", "errors"}).out, HasSubstr("unknown-topic"));
  const Finished wrong = run({"reference", "poetry"});
  EXPECT_EQ(wrong.status, kExitConfiguration);
  EXPECT_THAT(wrong.err, HasSubstr("poetry"));
}

TEST_F(ProgramTest, KeysComeAndGo) {
  const std::string file = directory_.path() + "/dc.keyring";
  EXPECT_EQ(run({"keys", "create", "-f", file, "orders"}).status, kExitOk);
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
  EXPECT_NE(run({"keys", "create", "-f", file, "orders"}).status, kExitOk);
  EXPECT_EQ(run({"keys", "rotate", "-f", file, "orders"}).status, kExitOk);
  EXPECT_EQ(run({"keys", "disable", "-f", file, "orders", "--version", "1"}).status, kExitOk);
  const Finished listed = run({"keys", "list", "-f", file});
  EXPECT_EQ(listed.status, kExitOk);
  EXPECT_THAT(listed.out, testing::ContainsRegex("orders +1 +disabled"));
  EXPECT_THAT(listed.out, testing::ContainsRegex("orders +2 +enabled .*wraps"));
  // The material is in the file and nowhere else.
  const std::string text = read_file(file);
  const std::size_t line = text.find("version 2 ");
  const std::size_t end = text.find('\n', line);
  const std::string material =
      text.substr(text.rfind(' ', end) + 1, end - text.rfind(' ', end) - 1);
  ASSERT_GE(material.size(), 40U);
  EXPECT_THAT(listed.out + listed.err, Not(HasSubstr(material)));
  EXPECT_NE(run({"keys", "list", "-f", directory_.path() + "/none"}).status, kExitOk);
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  EXPECT_EQ(run({"keys", "list", "-f", file}).status, kExitState);
}

TEST_F(ProgramTest, OffsetsSayWhenThereIsNoStore) {
  const std::string file = configuration();
  for (const char* verb : {"list", "export"}) {
    const Finished done = run({"offsets", verb, "-c", file});
    EXPECT_NE(done.status, kExitOk) << verb;
    EXPECT_THAT(done.err, HasSubstr("state")) << verb;
    EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/state")) << verb;
  }
}

TEST_F(ProgramTest, OffsetsRefuseWhatTheyCannotDo) {
  const std::string file = configuration();
  const Finished place = run({"offsets", "reset", "-c", file, "--pipeline", "copy", "--topic",
                              "orders", "--to", "yesterday"});
  EXPECT_EQ(place.status, kExitUsage);
  EXPECT_THAT(place.err, HasSubstr("yesterday"));
  const Finished pipeline =
      run({"offsets", "reset", "-c", file, "--pipeline", "cop", "--topic", "orders", "--to", "5"});
  EXPECT_EQ(pipeline.status, kExitConfiguration);
  EXPECT_THAT(pipeline.err, HasSubstr("it has copy"));
  EXPECT_EQ(run({"offsets", "reset", "-c", file, "--to", "5"}).status, kExitUsage);
  const std::string damaged = write_file(directory_, "positions", "drawbridge-offsets\t1\n");
  const Finished import = run({"offsets", "import", "-c", file, damaged});
  EXPECT_EQ(import.status, kExitConfiguration);
  EXPECT_THAT(import.err, HasSubstr(damaged));
  EXPECT_EQ(run({"offsets", "import", "-c", file, "nowhere"}).status, kExitConfiguration);
}

TEST_F(ProgramTest, InspectRefusesAWrongCommandLine) {
  const std::string file = configuration();
  const std::vector<std::string> base{"inspect", "-c", file, "--cluster", "dc", "--topic", "t"};
  for (const auto& more : std::vector<std::vector<std::string>>{{"--decrypt"},
                                                                {"--domain", "dc-keys"},
                                                                {"--count", "0"},
                                                                {"--from", "latest"},
                                                                {"--from", "soon"},
                                                                {"--format", "xml"}}) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(run(arguments).status, kExitUsage) << testing::PrintToString(more);
  }
  const Finished cluster = run({"inspect", "-c", file, "--cluster", "dz", "--topic", "t"});
  EXPECT_EQ(cluster.status, kExitConfiguration);
  EXPECT_THAT(cluster.err, HasSubstr("it has dc, cloud"));
}

TEST_F(ProgramTest, CheckEndsWhereNoBrokerAnswers) {
  const Instant began = SystemClock().now();
  const Finished done = run({"check", "-c", configuration()});
  EXPECT_EQ(done.status, kExitPipeline);
  EXPECT_THAT(done.out, HasSubstr("FAIL  cluster dc"));
  EXPECT_THAT(done.out, HasSubstr("FAIL  key domain dc-keys"));
  EXPECT_THAT(done.out, HasSubstr("OK    state"));
  EXPECT_EQ(done.out.find('\x1b'), std::string::npos);
  EXPECT_LT(SystemClock().now() - began, std::chrono::seconds(40));
}

TEST_F(ProgramTest, VersionNamesTheClientLibrary) {
  for (const char* word : {"version", "--version"}) {
    const Finished done = run({word});
    EXPECT_EQ(done.status, kExitOk);
    EXPECT_THAT(done.out, HasSubstr(std::string("drawbridge ") + DRAWBRIDGE_VERSION));
    EXPECT_THAT(done.out, HasSubstr("librdkafka 2."));
  }
}

TEST_F(ProgramTest, DemoShowsWhatItPromises) {
  const Finished done = run_program(directory_, {"demo"}, {{"TMPDIR", directory_.path()}});
  ASSERT_EQ(done.status, kExitOk) << done.out << done.err;
  for (const char* word : {"re-encrypted", "rewrapped", "revocation", "resumed", "0 lost",
                           "kill -9", "refused:", "mode: reencrypt", "mode: rewrap"}) {
    EXPECT_THAT(done.out, HasSubstr(word));
  }
  EXPECT_EQ(done.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(done.err, "");
  // Nothing is left behind but what this test itself has written.
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("stdout", "stderr"));
  }
}

}  // namespace
}  // namespace drawbridge

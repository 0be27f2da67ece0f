#include "config/secrets.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace drawbridge::config {
namespace {

class Secrets : public testing::Test {
 protected:
  Secrets() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("drawbridge-secrets-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
    sources_.directory = directory_;
    sources_.variables = {"DRAWBRIDGE_TEST_SECRET", "DRAWBRIDGE_TEST_UNSET"};
    ::setenv("DRAWBRIDGE_TEST_SECRET", "from-env", 1);
    ::setenv("CREDENTIALS_DIRECTORY", directory_.c_str(), 1);
  }
  ~Secrets() override {
    ::unsetenv("CREDENTIALS_DIRECTORY");
    ::unsetenv("DRAWBRIDGE_TEST_SECRET");
    std::filesystem::remove_all(directory_);
  }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(directory_ / name, std::ios::binary) << content;
  }
  // The secret, or "error: ...".
  [[nodiscard]] std::string resolved(const std::string& text) const {
    const auto reference = parse_reference(text);
    if (!reference) return "error: " + reference.error().message;
    const auto value = resolve_secret(*reference, sources_);
    return value ? *value : "error: " + value.error().message;
  }
  [[nodiscard]] std::string at(const std::string& name) const { return directory_ / name; }

  std::filesystem::path directory_;
  SecretSources sources_;
};

TEST_F(Secrets, OfAFileLoseTheNewlineAtTheEnd) {
  write("unix", "s3cret\n");
  write("dos", "s3cret\r\n");
  write("bare", "s3cret");
  write("two", "a\n\n");
  EXPECT_EQ(resolved("${file:unix}"), "s3cret");
  EXPECT_EQ(resolved("${file:" + at("unix") + "}"), "s3cret");
  EXPECT_EQ(resolved("${file:dos}"), "s3cret");
  EXPECT_EQ(resolved("${file:bare}"), "s3cret");
  EXPECT_EQ(resolved("${file:two}"), "a\n") << "one newline, not all";
}

TEST_F(Secrets, OfAFileOfKeys) {
  write("p", "# password=wrong\n! password=wrong\n user = bridge \npassword=a=b # c\nempty=\n");
  EXPECT_EQ(resolved("${file:p:user}"), "bridge");
  EXPECT_EQ(resolved("${file:p:password}"), "a=b # c");
  EXPECT_EQ(resolved("${file:p:pass}"),
            "error: the secret file `" + at("p") + "` has no key `pass`");
  EXPECT_EQ(resolved("${file:p:empty}"), "error: the secret `p` is empty");
}

TEST_F(Secrets, OfTheEnvironmentMustBeAllowed) {
  EXPECT_EQ(resolved("${env:DRAWBRIDGE_TEST_SECRET}"), "from-env");
  EXPECT_EQ(resolved("${env:DRAWBRIDGE_TEST_UNSET}"),
            "error: the environment variable `DRAWBRIDGE_TEST_UNSET` is not set");
  EXPECT_EQ(resolved("${env:HOME}"),
            "error: the environment variable `HOME` is not allowed; list it under `daemon: "
            "{secrets: {env: [HOME]}}`");
}

TEST_F(Secrets, OfSystemd) {
  write("dc-password", "credential\n");
  EXPECT_EQ(resolved("${cred:dc-password}"), "credential");
  EXPECT_EQ(resolved("${cred:other}"), "error: the secret file `" + at("other") +
                                           "` cannot be read: No such file or directory");
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_EQ(resolved("${cred:dc-password}"),
            "error: the credential `dc-password` needs $CREDENTIALS_DIRECTORY, which systemd sets "
            "for a unit with LoadCredential=");
}

TEST_F(Secrets, UnusableFilesAreRefused) {
  write("empty", "");
  write("nul", std::string("a\0b", 3));
  write("huge", std::string(70'000, 'x'));
  EXPECT_EQ(resolved("${file:empty}"), "error: the secret `empty` is empty");
  EXPECT_EQ(resolved("${file:nul}"), "error: the secret `nul` has a NUL in it");
  EXPECT_EQ(resolved("${file:huge}"),
            "error: the secret file `" + at("huge") + "` is larger than 65536 bytes");
  EXPECT_EQ(resolved("${file:.}"), "error: the secret `" + at(".") + "` is not a regular file");
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_EQ(resolved("${file:pipe}"),
            "error: the secret `" + at("pipe") + "` is not a regular file")
      << "and it does not wait for a writer";
}

TEST_F(Secrets, MalformedReferencesAreRefusedWithoutBeingQuoted) {
  const std::string forms =
      "error: a reference is ${file:PATH}, ${file:PATH:KEY}, ${env:NAME} or ${cred:NAME}";
  for (const char* text :
       {"",           "hunter2",      "${",           "${}",         "${file}",
        "${file:}",   "${file::k}",   "${file:p:}",   "${env:}",     "${env:A B}",
        "${env:A-B}", "${cred:}",     "${cred:../x}", "${cred:a/b}", "${cred:..}",
        "${vault:x}", "${file:p",     "x${file:p}",   "${file:p}x",  "${file:${env:X}}",
        "$file:p",    "${file:a\nb}", "${FILE:p}"}) {
    EXPECT_EQ(resolved(text), forms) << text;
  }
}

}  // namespace
}  // namespace drawbridge::config

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/app/check_pipeline.h"
#include "bridge/app/check_report.h"
#include "bridge/app/configuration.h"
#include "tests/unit/app/support.h"
#include "transforms/sealer.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;

TEST(CheckReport, CountsAndSaysWhatToDo) {
  testing::internal::CaptureStdout();
  CheckReport report{Style(false)};
  report.ok("cluster dc", "reached");
  report.warning("pipeline a", "replaces timestamps", "set it");
  EXPECT_FALSE(report.failed());
  report.failure("pipeline a", "no topic \x1b[2J", "create it");
  report.failure("key domain dc", {ErrorCode::kKeyDisabled, "version 1 is disabled"});
  const std::string said = testing::internal::GetCapturedStdout();
  EXPECT_TRUE(report.failed());
  EXPECT_EQ(report.summary(), "1 ok, 1 warning, 2 failed");
  EXPECT_THAT(said, HasSubstr("OK    cluster dc"));
  EXPECT_THAT(said, HasSubstr("replaces timestamps; set it\n"));
  EXPECT_THAT(said, HasSubstr("; create it\n"));
  EXPECT_THAT(said, HasSubstr(std::string(info(ErrorCode::kKeyDisabled).remedy)));
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::ranges::count(said, '\n'), 4);
}

PipelineOptions pipeline_with(const std::string& transforms) {
  const auto configuration = parse_configuration(
      "clusters: {a: {bootstrap.servers: \"a:1\"}, b: {bootstrap.servers: \"b:1\"}}\n"
      "key_domains: {dc: {keyring: {file: dc.keyring, key: orders}},\n"
      "              cloud: {keyring: {file: cloud.keyring, key: orders}}}\n"
      "pipelines: {p: {from: {cluster: a, topics: [t]}, to: {cluster: b}, dataset: orders,\n"
      "                transforms: " +
          transforms + "}}\n",
      "test.yaml", catalogue(), {});
  EXPECT_TRUE(configuration) << configuration.error().front().text();
  return configuration->pipelines.front();
}

TEST(EnvelopeOverhead, IsNoneWithoutEnvelopes) {
  EXPECT_EQ(envelope_overhead(pipeline_with("[]")), 0);
  EXPECT_EQ(envelope_overhead(pipeline_with("[{decrypt: {domain: dc}}]")), 0);
}

// What the estimate promises: no record grows by more.
TEST(EnvelopeOverhead, CoversWhatSealingAdds) {
  const TemporaryDirectory directory = test_directory();
  const auto domains = test_domains(directory, {"dc", "cloud"});
  const PipelineOptions pipeline = pipeline_with("[{encrypt: {domains: [dc, cloud]}}]");
  Waker waker;
  Sealer sealer({*domains->cache("dc"), *domains->cache("cloud")}, Scope{"orders", std::nullopt},
                {}, waker);
  const Instant now = SystemClock().now();
  for (;;) {
    auto key = sealer.ready(now);
    if (auto* ready = std::get_if<DekSource::Ready>(&key)) {
      Record record;
      Arena arena;
      Scratch scratch{arena, now};
      const std::string plaintext(1000, 'x');
      ASSERT_EQ(sealer.seal(record, as_bytes(plaintext), *ready, scratch).kind(),
                Outcome::Kind::kKeep);
      std::size_t size = record.value->size();
      for (const Header& header : record.headers.all()) {
        size += header.name.size() + header.value->size();
      }
      EXPECT_GE(envelope_overhead(pipeline), static_cast<std::int64_t>(size - plaintext.size()));
      return;
    }
    waker.wait(std::chrono::milliseconds(10));
  }
}

}  // namespace
}  // namespace drawbridge

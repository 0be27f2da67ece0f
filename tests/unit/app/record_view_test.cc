#include "bridge/app/record_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "bridge/app/record_opener.h"
#include "bridge/pipeline/dead_letter.h"
#include "tests/unit/app/support.h"
#include "transforms/seal.h"
#include "transforms/sealer.h"

namespace drawbridge {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kSecret = "4000 0012 3456 7890";
constexpr Duration kTimeout = std::chrono::seconds(5);

// Records sealed under domain `dc`, beside a domain `cloud` that cannot open them.
class SealedTest : public testing::Test {
 protected:
  class Keys final : public KeyService {
   public:
    explicit Keys(DomainRegistry& domains) : domains_(domains) {}
    Result<std::shared_ptr<KeyCache>> domain(std::string_view name) override {
      return domains_.cache(name);
    }
    Waker& waker() override { return waker_; }
    [[nodiscard]] const std::string& dataset() const override { return dataset_; }

   private:
    DomainRegistry& domains_;
    Waker waker_;
    std::string dataset_ = "orders";
  };

  KeptRecord clear() const {
    KeptRecord record;
    record.topic = "orders";
    record.offset = Offset{7};
    record.key = Bytes{'k'};
    record.value = Bytes(kSecret.begin(), kSecret.end());
    record.headers.emplace_back("mine", Bytes{'1'});
    return record;
  }

  KeptRecord sealed(const KeptRecord& of, bool inline_keys = false) {
    Sealer::Options options;
    options.inline_keys = inline_keys;
    Sealer sealer({*domains_->cache("dc")}, Scope{"orders", std::nullopt}, options, keys_.waker());
    Record record = of.view();
    Arena arena;
    Scratch scratch{arena, SystemClock().now()};
    for (;;) {
      auto key = sealer.ready(scratch.now);
      if (auto* ready = std::get_if<DekSource::Ready>(&key)) {
        const auto plaintext = record.value;
        EXPECT_EQ(sealer.seal(record, plaintext, *ready, scratch).kind(), Outcome::Kind::kKeep);
        return KeptRecord::of(record);
      }
      keys_.waker().wait(std::chrono::milliseconds(10));
    }
  }

  KeptRecord sealed_whole(const KeptRecord& of) {
    const auto seal = make_dead_letter_seal("dc", keys_);
    EXPECT_TRUE(seal);
    Record record = of.view();
    Arena arena;
    Scratch scratch{arena, SystemClock().now()};
    while ((*seal)->apply(record, scratch).kind() == Outcome::Kind::kWait) {
      keys_.waker().wait(std::chrono::milliseconds(10));
    }
    return KeptRecord::of(record);
  }

  Result<KeptRecord> open(const KeptRecord& record, const std::string& domain,
                          const std::string& dataset = "orders") {
    auto opener = RecordOpener::make(*domains_, domain, Scope{dataset, std::nullopt});
    EXPECT_TRUE(opener) << opener.error().message;
    return (*opener)->open(record.view(), kTimeout);
  }

  TemporaryDirectory directory_ = test_directory();
  std::unique_ptr<DomainRegistry> domains_ = test_domains(directory_, {"dc", "cloud"});
  Keys keys_{*domains_};
};

std::string row_text(const KeptRecord& record) {
  const auto row = record_row(RecordView::of(record.view()), nullptr);
  return std::accumulate(row.begin(), row.end(), std::string(),
                         [](std::string all, const std::string& cell) { return all + "|" + cell; });
}

TEST_F(SealedTest, ShowsWhatAnEnvelopeSays) {
  for (const bool inline_keys : {false, true}) {
    const KeptRecord record = sealed(clear(), inline_keys);
    const RecordView view = RecordView::of(record.view());
    EXPECT_EQ(view.form, RecordView::Form::kNative);
    EXPECT_EQ(view.suite, "aes-256-gcm");
    EXPECT_EQ(view.key_id.size(), 64U);
    EXPECT_EQ(view.dataset, "orders");
    EXPECT_FALSE(view.tenant);
    EXPECT_EQ(view.plaintext_bytes, kSecret.size());
    EXPECT_EQ(view.value_bytes, record.value->size());
    EXPECT_EQ(view.inline_keys, inline_keys);
    ASSERT_EQ(view.keys.size(), 1U);
    EXPECT_EQ(view.keys[0].domain, "dc");
    EXPECT_EQ(view.keys[0].kek, "orders:1");
    EXPECT_THAT(row_text(record), HasSubstr("dc (orders:1)"));
    EXPECT_THAT(record_json(view, nullptr),
                HasSubstr(R"("keys":[{"domain":"dc","kek":"orders:1")"));
  }
}

TEST_F(SealedTest, TellsTheFormsApart) {
  KeptRecord record = clear();
  EXPECT_EQ(RecordView::of(record.view()).form, RecordView::Form::kClear);
  record.value.reset();
  EXPECT_EQ(RecordView::of(record.view()).form, RecordView::Form::kNull);
  EXPECT_EQ(RecordView::of(sealed(record).view()).form, RecordView::Form::kTombstone);
  EXPECT_EQ(RecordView::of(sealed_whole(clear()).view()).form, RecordView::Form::kWhole);

  KeptRecord cut = sealed(clear());
  cut.value->resize(20);
  EXPECT_EQ(RecordView::of(cut.view()).form, RecordView::Form::kDamaged);
  EXPECT_NE(RecordView::of(cut.view()).problem, "");
  KeptRecord keyless = sealed(clear());
  keyless.headers.clear();
  EXPECT_EQ(RecordView::of(keyless.view()).form, RecordView::Form::kDamaged);
}

TEST_F(SealedTest, NeverShowsAValueUnasked) {
  // Neither what was sealed nor what never was.
  for (const KeptRecord& record : {clear(), sealed(clear()), sealed_whole(clear())}) {
    EXPECT_THAT(row_text(record), Not(HasSubstr(std::string(kSecret))));
    EXPECT_THAT(record_json(RecordView::of(record.view()), nullptr),
                Not(HasSubstr(std::string(kSecret))));
  }
}

TEST_F(SealedTest, OpensWithTheRightKeyOnly) {
  const KeptRecord record = sealed(clear());
  const auto opened = open(record, "dc");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(as_text(*opened->value), kSecret);
  ASSERT_EQ(opened->headers.size(), 1U);  // the envelope's are gone
  EXPECT_THAT(record_json(RecordView::of(record.view()), &opened), HasSubstr(std::string(kSecret)));

  const auto refused = open(record, "cloud");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kEnvelopeForeign);
  const std::string shown = record_json(RecordView::of(record.view()), &refused);
  EXPECT_THAT(shown, HasSubstr(R"("refused":{"code":"envelope-foreign")"));
  EXPECT_THAT(shown, Not(HasSubstr("\"clear\"")));

  EXPECT_EQ(open(record, "dc", "payments").error().code, ErrorCode::kEnvelopeForeign);
  EXPECT_EQ(open(clear(), "dc").error().code, ErrorCode::kEnvelopeMissing);
  KeptRecord tampered = record;
  tampered.value->back() ^= 1;
  EXPECT_EQ(open(tampered, "dc").error().code, ErrorCode::kEnvelopeTampered);
  KeptRecord moved = record;
  moved.key = Bytes{'x'};
  EXPECT_EQ(open(moved, "dc").error().code, ErrorCode::kEnvelopeTampered);
}

TEST_F(SealedTest, OpensADeadLetterThatWasSealedWhole) {
  const KeptRecord letter = sealed_whole(clear());
  const auto opened = open(letter, "dc");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(as_text(*opened->key), "k");
  EXPECT_EQ(as_text(*opened->value), kSecret);
  ASSERT_EQ(opened->headers.size(), 1U);
  EXPECT_EQ(opened->headers[0].first, "mine");
  EXPECT_EQ(open(letter, "cloud").error().code, ErrorCode::kEnvelopeForeign);
  EXPECT_EQ(open(letter, "dc", "payments").error().code, ErrorCode::kEnvelopeTampered);
}

// Sealed or as it came: its reason stands in headers that anyone can read.
TEST_F(SealedTest, ShowsWhyARecordIsADeadLetter) {
  PipelineOptions pipeline;
  pipeline.name = "copy";
  pipeline.source.name = "dc";
  for (const KeptRecord& kept : {clear(), sealed_whole(clear())}) {
    EXPECT_EQ(record_row(RecordView::of(kept.view()), nullptr).back(), "");
    EXPECT_THAT(record_json(RecordView::of(kept.view()), nullptr), Not(HasSubstr("dead_letter")));
    Record record = kept.view();
    Arena arena;
    // A letter that failed once more tells of the last time.
    append_dead_letter_headers(record, pipeline, "encrypt", {ErrorCode::kTooLarge, "old"}, arena);
    append_dead_letter_headers(record, pipeline, "decrypt",
                               {ErrorCode::kEnvelopeTampered, "the \x1b[2J tag"}, arena);
    record.headers.append("drawbridge.dead-letter.other", as_bytes(std::string_view("hidden")));
    const RecordView view = RecordView::of(record);
    const auto row = record_row(view, nullptr);
    ASSERT_EQ(row.size(), record_columns(false).size());
    EXPECT_EQ(row.back(), "orders [0] 7 of dc, decrypt: the \\u{1b}[2J tag (envelope-tampered)");
    const std::string json = record_json(view, nullptr);
    EXPECT_THAT(json, HasSubstr(R"("dead_letter":{"cluster":"dc","error":"envelope-tampered",)"));
    EXPECT_THAT(json,
                HasSubstr(R"("offset":"7","partition":"0","pipeline":"copy","topic":"orders",)"
                          R"("transform":"decrypt"})"));
    EXPECT_THAT(json, Not(HasSubstr("hidden")));
    EXPECT_THAT(json, Not(HasSubstr(std::string(kSecret))));
  }
}

TEST_F(SealedTest, NamesTheDomainsThereAre) {
  const auto opener = RecordOpener::make(*domains_, "clod", Scope{"orders", std::nullopt});
  ASSERT_FALSE(opener);
  EXPECT_THAT(opener.error().message, HasSubstr("cloud"));
}

TEST(RecordJson, TellsBytesFromText) {
  KeptRecord record;
  record.key = Bytes{0xff, 0x00};
  EXPECT_THAT(record_json(RecordView::of(record.view()), nullptr),
              HasSubstr(R"("key_base64":"/wA=")"));
  record.key.reset();
  EXPECT_THAT(record_json(RecordView::of(record.view()), nullptr), HasSubstr(R"("key":null)"));
}

}  // namespace
}  // namespace drawbridge

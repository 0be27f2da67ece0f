// What the tests of the envelope transforms share: making one from its spec as config/ does, and
// records whose bytes a test owns and can damage.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bridge/envelope/envelope.h"
#include "bridge/transform/transform.h"
#include "tests/unit/transform/fake_key_cache.h"
#include "transforms/catalogue.h"

namespace drawbridge {

// A record with its memory.
struct OwnedRecord {
  std::optional<Bytes> key;
  std::optional<Bytes> value;
  std::vector<std::pair<std::string, std::optional<Bytes>>> headers;

  static Bytes bytes(std::string_view text) { return {text.begin(), text.end()}; }

  OwnedRecord() = default;
  OwnedRecord(std::optional<std::string_view> record_key, std::optional<std::string_view> text) {
    if (record_key) key = bytes(*record_key);
    if (text) value = bytes(*text);
  }
  // A copy of what a transform made.
  explicit OwnedRecord(const Record& record) {
    if (record.key) key.emplace(record.key->begin(), record.key->end());
    if (record.value) value.emplace(record.value->begin(), record.value->end());
    for (const Header& header : record.headers.all()) {
      std::optional<Bytes> copy;
      if (header.value) copy.emplace(header.value->begin(), header.value->end());
      headers.emplace_back(header.name, std::move(copy));
    }
  }

  // Views; valid until this object changes. The headers count as untouched, as consumed ones do.
  [[nodiscard]] Record view() {
    Record record;
    if (key) record.key = *key;
    if (value) record.value = *value;
    record.headers.reset(this, [](void* self, std::vector<Header>& out) {
      for (const auto& [name, bytes] : static_cast<OwnedRecord*>(self)->headers) {
        out.push_back({name, bytes ? std::optional<ByteView>(*bytes) : std::nullopt});
      }
    });
    return record;
  }

  std::optional<Bytes>& header(std::string_view name) {
    for (auto& [each, bytes] : headers) {
      if (each == name) return bytes;
    }
    throw std::logic_error("no such header");
  }
  bool operator==(const OwnedRecord&) const = default;
};

class TransformsTest : public testing::Test {
 protected:
  using Fields = std::vector<std::pair<std::string, FieldValues::Value>>;

  static FieldValues values(const TransformSpec& spec, const Fields& fields) {
    FieldValues filled;
    for (const FieldSpec& field : spec.fields) {
      if (field.fallback) filled.set(field.name, *field.fallback);
    }
    for (const auto& [name, value] : fields) filled.set(name, value);
    return filled;
  }
  Result<std::unique_ptr<Transform>> try_make(const std::string& name, const Fields& fields) {
    const TransformSpec* spec = catalogue_.find(name);
    return spec->make(values(*spec, fields), keys_);
  }
  std::unique_ptr<Transform> make(const std::string& name, const Fields& fields) {
    auto made = try_make(name, fields);
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }

  Outcome apply(Transform& transform, Record& record) {
    Scratch scratch{arena_, now_};
    return transform.apply(record, scratch);
  }
  // What comes out; fails the test unless the record is kept.
  OwnedRecord through(Transform& transform, OwnedRecord input) {
    Record record = input.view();
    const Outcome outcome = apply(transform, record);
    EXPECT_EQ(outcome.kind(), Outcome::Kind::kKeep) << outcome.error().message;
    return OwnedRecord(record);
  }
  // "kept", "dropped", "wait" or the error's name.
  std::string verdict(Transform& transform, OwnedRecord input) {
    Record record = input.view();
    const Outcome outcome = apply(transform, record);
    switch (outcome.kind()) {
      case Outcome::Kind::kKeep:
        return "kept";
      case Outcome::Kind::kDrop:
        return "dropped";
      case Outcome::Kind::kWait:
        return "wait";
      case Outcome::Kind::kFail:
        return std::string(name_of(outcome.error().code));
    }
    return {};
  }
  static EnvelopeView envelope(const OwnedRecord& record) {
    return parse_envelope(*record.value).value();
  }

  FakeKeyService keys_{"orders"};
  FakeKeyCache& dc_ = keys_.fake("dc");
  FakeKeyCache& aws_ = keys_.fake("aws");
  const TransformCatalogue catalogue_ = built_in_transforms();
  Arena arena_;
  Instant now_{};
};

}  // namespace drawbridge

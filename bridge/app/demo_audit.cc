#include "bridge/app/demo_audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "bridge/app/demo_traffic.h"
#include "bridge/app/record_opener.h"
#include "bridge/kafka/topic_reader.h"

namespace drawbridge {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(20);
constexpr std::size_t kBatch = 500;

Result<void> for_each_record(const ClusterOptions& cluster, const std::string& topic,
                             const std::function<Result<void>(const Record&)>& see) {
  DRAWBRIDGE_ASSIGN(const auto reader, kafka::TopicReader::open(cluster, topic, {}, kTimeout));
  Batch batch;
  while (!reader->done()) {
    DRAWBRIDGE_TRY(reader->next(batch, kBatch, kTimeout));
    for (std::size_t i = 0; i < batch.size; ++i) DRAWBRIDGE_TRY(see(batch.records[i]));
    batch.clear();
  }
  return {};
}

// What the source holds, by record number.
struct Original {
  std::int64_t timestamp_ms = 0;
  Bytes value;
};
using Originals = std::map<std::size_t, Original>;

bool same(const DemoRecord& expected, const Original& original, const KeptRecord& opened) {
  const auto& headers = opened.headers;
  return opened.partition == expected.partition && opened.timestamp_ms == original.timestamp_ms &&
         opened.key && as_text(*opened.key) == expected.key && opened.value &&
         as_text(*opened.value) == expected.value && headers.size() == 1 &&
         headers[0].first == "origin" && headers[0].second && as_text(*headers[0].second) == "demo";
}

class CopyAuditor {
 public:
  CopyAuditor(const Originals& originals, RecordOpener& opener, CopyAudit& result)
      : originals_(originals), opener_(opener), result_(result) {}

  Result<void> see(const Record& record) {
    const auto number = record.key ? demo_number(as_text(*record.key)) : std::nullopt;
    const auto original = number ? originals_.find(*number) : originals_.end();
    if (original == originals_.end()) {
      ++result_.altered;
      return {};
    }
    if (seen_[*number]++ > 0) {
      ++result_.twice;
    } else {
      std::size_t& last = last_[record.partition];
      if (last > *number) ++result_.out_of_order;
      last = *number;
    }
    if (record.value && equal(*record.value, original->second.value)) ++result_.same_bytes;
    const auto opened = opener_.open(record, kTimeout);
    if (!opened && class_of(opened.error().code) == ErrorClass::kPause) return fail(opened.error());
    if (!opened || !same(demo_record(*number), original->second, *opened)) ++result_.altered;
    return {};
  }

  void finish() {
    result_.expected = originals_.size();
    result_.found = seen_.size();
    result_.lost = originals_.size() - seen_.size();
  }

 private:
  const Originals& originals_;
  RecordOpener& opener_;
  CopyAudit& result_;
  std::map<std::size_t, std::size_t> seen_;
  std::map<Partition, std::size_t> last_;
};

class Auditor {
 public:
  Auditor(DemoWorld& world, std::size_t sent, std::size_t sample)
      : world_(world), sent_(sent), sample_(demo_record(sample)) {}

  Result<Audit> run() {
    Scope scope{std::string(kDemoDataset), std::nullopt};
    DRAWBRIDGE_ASSIGN(source_opener_,
                      RecordOpener::make(world_.keys(), std::string(kSourceDomain), scope));
    DRAWBRIDGE_ASSIGN(target_opener_,
                      RecordOpener::make(world_.keys(), std::string(kTargetDomain), scope));
    for (const auto department : kDepartments) {
      DRAWBRIDGE_ASSIGN(const Originals originals, read_source(department));
      for (const auto mode : kDemoModes) DRAWBRIDGE_TRY(audit(department, mode, originals));
    }
    return std::move(audit_);
  }

 private:
  // Everything that was sent must be there: otherwise the comparison would prove nothing.
  Result<Originals> read_source(std::string_view department) {
    Originals originals;
    DRAWBRIDGE_TRY(for_each_record(
        world_.source(), std::string(department), [&](const Record& record) -> Result<void> {
          const auto number = record.key ? demo_number(as_text(*record.key)) : std::nullopt;
          if (!number) return fail(ErrorCode::kInternal, "a record that nobody sent");
          originals[*number] = {record.timestamp_ms,
                                Bytes(record.value->begin(), record.value->end())};
          DRAWBRIDGE_ASSIGN(const KeptRecord opened, source_opener_->open(record, kTimeout));
          if (!same(demo_record(*number), originals[*number], opened)) {
            return fail(ErrorCode::kInternal, "record {} is not what was sent", *number);
          }
          keep("", record);
          return {};
        }));
    std::size_t expected = 0;
    for (std::size_t i = 0; i < sent_; ++i) {
      if (demo_record(i).department == department) ++expected;
    }
    if (originals.size() != expected) {
      return fail(ErrorCode::kInternal, "source topic {} holds {} records of {}", department,
                  originals.size(), expected);
    }
    return originals;
  }

  Result<void> audit(std::string_view department, std::string_view mode,
                     const Originals& originals) {
    CopyAudit result;
    result.department = department;
    result.mode = mode;
    CopyAuditor auditor(originals, *target_opener_, result);
    DRAWBRIDGE_TRY(for_each_record(world_.target(), demo_copy(mode, department),
                                   [&](const Record& record) -> Result<void> {
                                     keep(mode, record);
                                     return auditor.see(record);
                                   }));
    auditor.finish();
    audit_.copies.push_back(result);
    return {};
  }

  void keep(std::string_view as, const Record& record) {
    if (!record.key || as_text(*record.key) != sample_.key) return;
    audit_.sample.emplace(as, KeptRecord::of(record));
  }

  DemoWorld& world_;
  const std::size_t sent_;
  const DemoRecord sample_;
  std::unique_ptr<RecordOpener> source_opener_;
  std::unique_ptr<RecordOpener> target_opener_;
  Audit audit_;
};

}  // namespace

Result<Audit> audit_copies(DemoWorld& world, std::size_t sent, std::size_t sample) {
  return Auditor(world, sent, sample).run();
}

}  // namespace drawbridge

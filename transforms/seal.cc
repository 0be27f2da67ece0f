#include "transforms/seal.h"

#include "bridge/envelope/whole.h"
#include "transforms/sealer.h"

namespace drawbridge {
namespace {

class DeadLetterSeal final : public Transform {
 public:
  explicit DeadLetterSeal(Sealer sealer) : sealer_(std::move(sealer)) {}

  Outcome apply(Record& record, Scratch& scratch) override {
    auto dek = sealer_.ready(scratch.now);
    if (auto* outcome = std::get_if<Outcome>(&dek)) return std::move(*outcome);
    const std::vector<Header> headers = record.headers.all();
    const MutableBytes whole =
        scratch.arena.allocate(whole_size(record.key, record.value, headers));
    encode_whole(record.key, record.value, headers, whole);
    record.key.reset();
    record.headers.reset();
    // What is appended from here on is the bridge's own.
    record.headers.keep_native();
    const Outcome sealed = sealer_.seal(record, whole, std::get<DekSource::Ready>(dek), scratch);
    cleanse(whole);
    return sealed;
  }

 private:
  Sealer sealer_;
};

}  // namespace

Result<std::unique_ptr<Transform>> make_dead_letter_seal(const std::string& domain,
                                                         KeyService& keys) {
  DRAWBRIDGE_ASSIGN(auto cache, keys.domain(domain));
  Scope scope{keys.dataset(), {}};
  DRAWBRIDGE_TRY(check_scope(scope));
  Sealer::Options options;
  options.whole = true;
  return std::make_unique<DeadLetterSeal>(
      Sealer({std::move(cache)}, std::move(scope), options, keys.waker()));
}

}  // namespace drawbridge

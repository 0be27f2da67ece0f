// The envelope's cryptography without Kafka: AEAD and key tag of bridge/envelope, CPU per record.
//
//   bench_crypto --size N [--millis N]
//
// Works on batches of 500 records as the bridge's worker does, so that memory is as warm as there.
// Prints a line of JSON: nanoseconds of CPU for seal, open and verify in each suite.
#include <time.h>

#include <cstdio>
#include <vector>

#include "bench/content.h"
#include "bench/flags.h"
#include "bridge/envelope/data_key.h"

namespace drawbridge::bench {
namespace {

constexpr std::size_t kBatch = 500;

double cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// Runs `work(i)` for i over the batch, again and again, for `millis` of CPU; ns for each call.
template <typename Work>
double measure(std::int64_t millis, Work work) {
  for (std::size_t i = 0; i < kBatch; ++i) work(i);
  const double begin = cpu_ns();
  const double enough = begin + static_cast<double>(millis) * 1e6;
  double now = begin;
  std::uint64_t calls = 0;
  while (now < enough) {
    for (std::size_t i = 0; i < kBatch; ++i) work(i);
    calls += kBatch;
    now = cpu_ns();
  }
  return (now - begin) / static_cast<double>(calls);
}

template <typename T>
T must(Result<T> result) {
  if (!result) die(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void run_suite(Suite suite, std::size_t size, std::int64_t millis, bool last) {
  const Content content(size);
  SealingKey sealing = must(SealingKey::generate(suite));
  OpeningKey opening = must(OpeningKey::create(suite, sealing.dek()));
  const ByteView dataset = as_bytes("bench");
  const auto sealing_of = [&](std::size_t i) {
    Sealing made;
    made.associated.dataset = dataset;
    made.record_key = as_bytes(content.key(i));
    return made;
  };

  const std::size_t sealed_size = sealing.sealed_size(sealing_of(0), size);
  std::vector<Bytes> sealed(kBatch, Bytes(sealed_size));
  std::vector<EnvelopeView> views;
  const auto seal = [&](std::size_t i) {
    must(sealing.seal(as_bytes(content.value(i)), sealing_of(i), sealed[i]));
  };
  const double seal_ns = measure(millis, seal);
  for (const Bytes& value : sealed) views.push_back(must(parse_envelope(value)));

  const Expected expected{dataset, std::nullopt, false};
  Bytes plaintext(size);
  const double open_ns = measure(millis, [&](std::size_t i) {
    must(opening.open(views[i], expected, as_bytes(content.key(i)), plaintext));
  });
  const double verify_ns = measure(millis, [&](std::size_t i) {
    must(opening.verify(views[i], expected, as_bytes(content.key(i))));
  });
  std::printf("\"%s\":{\"seal\":%.1f,\"open\":%.1f,\"verify\":%.1f}%s",
              std::string(name_of(suite)).c_str(), seal_ns, open_ns, verify_ns, last ? "}\n" : ",");
}

int run(const Flags& flags) {
  const auto size = static_cast<std::size_t>(flags.number("size"));
  const std::int64_t millis = flags.number("millis", 300);
  std::printf("{\"size\":%zu,", size);
  for (const Suite suite : kAllSuites) run_suite(suite, size, millis, suite == kAllSuites.back());
  return 0;
}

}  // namespace
}  // namespace drawbridge::bench

int main(int argc, char** argv) {
  return drawbridge::bench::run(drawbridge::bench::Flags(argc, argv, 1));
}

// A key store for tests, behind the real interface: as slow, denying, absent, throttled or silent
// as the test wants it, counting what it is asked.
//
//   auto store = std::make_shared<FakeKeyProvider>();
//   const WrappedKey wrapped = store->wrap_now(dek, context);   // not counted
//   store->answer(FakeKeyProvider::Delivery::kHeld);            // until release()
//   store->fail_with(ErrorCode::kKeyDenied);                    // std::nullopt: answers properly
//
// Keys are really wrapped (AES-256-GCM, the context as additional data), under KEK "fake:1";
// another name is foreign, another version not found. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bridge/envelope/wrap.h"
#include "bridge/keys/provider.h"

namespace drawbridge {

class FakeKeyProvider final : public KeyProvider {
 public:
  enum class Delivery {
    kInline,    // within the call
    kHeld,      // when the test calls release(), on its thread
    kThreaded,  // after `delay`, on a thread of the store's own
    kNever,
  };

  explicit FakeKeyProvider(std::uint8_t kek_byte = 0x42) : cipher_(make_cipher(kek_byte)) {}

  ~FakeKeyProvider() override {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // What follows holds for calls made from then on (held ones too, for fail_with).
  void answer(Delivery delivery, std::chrono::milliseconds delay = std::chrono::milliseconds(1)) {
    const std::scoped_lock lock(mutex_);
    delivery_ = delivery;
    delay_ = delay;
  }
  void fail_with(std::optional<ErrorCode> code) {
    const std::scoped_lock lock(mutex_);
    failure_ = code;
  }
  // The next `count` single answers fail with `code`, whatever else is set.
  void fail_next(ErrorCode code, std::size_t count) {
    const std::scoped_lock lock(mutex_);
    next_failure_ = code;
    next_failures_ = count;
  }
  // Answers with this many results fewer than were asked for.
  void answer_short(std::size_t missing) {
    const std::scoped_lock lock(mutex_);
    missing_ = missing;
  }
  void set_metered(bool metered) {
    const std::scoped_lock lock(mutex_);
    metered_ = metered;
  }

  // Answers up to `count` held calls, oldest first, on this thread. How many there were.
  std::size_t release(std::size_t count = SIZE_MAX) {
    std::size_t released = 0;
    for (; released < count; ++released) {
      std::function<void()> job;
      {
        const std::scoped_lock lock(mutex_);
        if (held_.empty()) break;
        job = std::move(held_.front());
        held_.pop_front();
      }
      job();
    }
    return released;
  }
  // Takes a held call out, to be answered by the test when it likes (even after the cache's end).
  std::function<void()> take_held() {
    const std::scoped_lock lock(mutex_);
    if (held_.empty()) throw std::logic_error("no held call");
    auto job = std::move(held_.front());
    held_.pop_front();
    return job;
  }

  // Sizes of the batches asked for so far.
  [[nodiscard]] std::vector<std::size_t> unwrap_batches() const { return copy(unwrap_batches_); }
  [[nodiscard]] std::vector<std::size_t> wrap_batches() const { return copy(wrap_batches_); }
  [[nodiscard]] std::size_t unwraps() const { return sum(unwrap_batches_); }  // requests
  [[nodiscard]] std::size_t wraps() const { return sum(wrap_batches_); }
  [[nodiscard]] std::size_t held() const {
    const std::scoped_lock lock(mutex_);
    return held_.size();
  }

  WrappedKey wrap_now(const SecretBytes& dek, const WrapContext& context) {
    return {std::string(kKek), cipher_.wrap(dek, context).value()};
  }

  [[nodiscard]] KeyProviderInfo info() const override {
    const std::scoped_lock lock(mutex_);
    return {.kind = "fake", .description = "a test's", .binds_context = true, .metered = metered_};
  }

  void unwrap(std::vector<UnwrapRequest> requests, UnwrapCallback done) override {
    const std::size_t size = requests.size();
    dispatch(unwrap_batches_, size,
             [this, shared = std::make_shared<std::vector<UnwrapRequest>>(std::move(requests)),
              done = std::move(done)] { done(answers<SecretBytes>(*shared)); });
  }

  void wrap(std::vector<WrapRequest> requests, WrapCallback done) override {
    const std::size_t size = requests.size();
    dispatch(wrap_batches_, size,
             [this, shared = std::make_shared<std::vector<WrapRequest>>(std::move(requests)),
              done = std::move(done)] { done(answers<WrappedKey>(*shared)); });
  }

  Result<void> probe() override {
    const std::scoped_lock lock(mutex_);
    if (failure_) return fail(*failure_, "the fake store fails");
    return {};
  }

 private:
  static constexpr std::string_view kKek = "fake:1";

  static Aes256GcmWrap make_cipher(std::uint8_t kek_byte) {
    const Bytes kek(32, kek_byte);
    return Aes256GcmWrap::create(SecretBytes::copy_of(kek).value()).value();
  }

  Result<SecretBytes> one(const UnwrapRequest& request) {
    const std::string& kek = request.wrapped.kek;
    if (!kek.starts_with("fake:")) return fail(ErrorCode::kEnvelopeForeign, "not fake's");
    if (kek != kKek) return fail(ErrorCode::kKeyNotFound, "the fake store has no such key");
    return cipher_.unwrap(request.wrapped.bytes, request.context);
  }
  Result<WrappedKey> one(const WrapRequest& request) {
    DRAWBRIDGE_ASSIGN(auto bytes, cipher_.wrap(request.dek, request.context));
    return WrappedKey{std::string(kKek), std::move(bytes)};
  }

  std::optional<ErrorCode> failure_now() {
    const std::scoped_lock lock(mutex_);
    if (next_failures_ > 0) {
      --next_failures_;
      return next_failure_;
    }
    return failure_;
  }

  template <typename Answer, typename Request>
  std::vector<Result<Answer>> answers(const std::vector<Request>& requests) {
    std::size_t missing = 0;
    {
      const std::scoped_lock lock(mutex_);
      missing = missing_;
    }
    std::vector<Result<Answer>> results;
    for (const Request& request : requests) {
      if (results.size() + missing >= requests.size()) break;
      if (const auto code = failure_now()) {
        results.emplace_back(fail(*code, "the fake store fails"));
      } else {
        results.push_back(one(request));
      }
    }
    return results;
  }

  void dispatch(std::vector<std::size_t>& batches, std::size_t size, std::function<void()> job) {
    {
      const std::scoped_lock lock(mutex_);
      batches.push_back(size);
      switch (delivery_) {
        case Delivery::kInline:
          break;
        case Delivery::kHeld:
          held_.push_back(std::move(job));
          return;
        case Delivery::kNever:
          return;
        case Delivery::kThreaded:
          timed_.emplace(std::chrono::steady_clock::now() + delay_, std::move(job));
          if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
          changed_.notify_all();
          return;
      }
    }
    job();
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (timed_.empty()) {
        changed_.wait(lock);
        continue;
      }
      const auto due = timed_.begin()->first;
      if (std::chrono::steady_clock::now() < due) {
        changed_.wait_until(lock, due);
        continue;
      }
      const auto job = std::move(timed_.extract(timed_.begin()).mapped());
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::vector<std::size_t> copy(const std::vector<std::size_t>& batches) const {
    const std::scoped_lock lock(mutex_);
    return batches;
  }
  std::size_t sum(const std::vector<std::size_t>& batches) const {
    std::size_t total = 0;
    for (const std::size_t size : copy(batches)) total += size;
    return total;
  }

  Aes256GcmWrap cipher_;  // thread-safe

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  Delivery delivery_ = Delivery::kInline;
  std::chrono::milliseconds delay_{1};
  std::optional<ErrorCode> failure_;
  ErrorCode next_failure_ = ErrorCode::kInternal;
  std::size_t next_failures_ = 0;
  std::size_t missing_ = 0;
  bool metered_ = true;
  bool stopping_ = false;
  std::vector<std::size_t> unwrap_batches_;
  std::vector<std::size_t> wrap_batches_;
  std::deque<std::function<void()>> held_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> timed_;
  std::thread thread_;
};

}  // namespace drawbridge

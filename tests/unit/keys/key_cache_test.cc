#include "bridge/keys/key_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "tests/unit/keys/fake_key_provider.h"

namespace drawbridge {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Delivery = FakeKeyProvider::Delivery;

bool take_wake_up(Waker& waker) {
  pollfd state{waker.fd(), POLLIN, 0};
  if (poll(&state, 1, 0) != 1) return false;
  waker.wait(Duration::zero());
  return true;
}

bool pending(const KeyCache::Lookup& lookup) {
  return std::holds_alternative<KeyCache::Pending>(lookup);
}
KeyCache::Key key_of(const KeyCache::Lookup& lookup) {
  const auto* key = std::get_if<KeyCache::Key>(&lookup);
  return key == nullptr ? nullptr : *key;
}
template <typename Lookup>
std::optional<ErrorCode> code_of(const Lookup& lookup) {
  const auto* error = std::get_if<Error>(&lookup);
  return error == nullptr ? std::nullopt : std::optional(error->code);
}

struct Wrapped {
  SecretBytes dek;
  WrapContext context;
  WrappedKey wrapped;
};

class KeyCacheTest : public ::testing::Test {
 protected:
  KeyCacheTest() { restart({}); }

  void restart(KeyCacheLimits limits) {
    limits_ = limits;
    cache_ = make_key_cache("dc", store_, limits);
  }

  Wrapped make_key(std::string tenant = "a", std::string dataset = "orders") {
    Wrapped made{SecretBytes::random(32).value(),
                 {KeyId{}, std::move(dataset), std::move(tenant), "dc"},
                 {}};
    const auto number = ++made_;
    std::memcpy(made.context.key_id.bytes.data(), &number, sizeof number);
    made.wrapped = store_->wrap_now(made.dek, made.context);
    return made;
  }

  KeyCache::Lookup ask(const Wrapped& key) { return ask(key, waker_); }
  KeyCache::Lookup ask(const Wrapped& key, Waker& waker) {
    return cache_->unwrap(key.wrapped, key.context, waker, now_);
  }
  bool opens(const Wrapped& key) { return opens(key, ask(key)); }
  static bool opens(const Wrapped& key, const KeyCache::Lookup& lookup) {
    const auto dek = key_of(lookup);
    return dek != nullptr &&
           equal_secret(dek->reveal(SecretAccess{}), key.dek.reveal(SecretAccess{}));
  }

  Instant now_{std::chrono::hours(5)};
  std::uint64_t made_ = 0;
  std::shared_ptr<FakeKeyProvider> store_ = std::make_shared<FakeKeyProvider>();
  KeyCacheLimits limits_;
  Waker waker_;
  std::shared_ptr<KeyCache> cache_;
};

TEST_F(KeyCacheTest, ALocalStoreAnswersAtOnceAndIsAskedOnce) {
  const Wrapped key = make_key();
  EXPECT_TRUE(opens(key));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(opens(key));
  EXPECT_EQ(store_->unwraps(), 1U);
  EXPECT_FALSE(take_wake_up(waker_));  // who had the answer at once is not woken for it
  EXPECT_EQ(cache_->domain(), "dc");
  EXPECT_EQ(cache_->info().kind, "fake");
}

TEST_F(KeyCacheTest, OneCallHoweverManyAskAndEveryAskerIsWoken) {
  store_->answer(Delivery::kHeld);
  const Wrapped key = make_key();
  Waker other;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(pending(ask(key)));
    EXPECT_TRUE(pending(ask(key, other)));
  }
  EXPECT_EQ(store_->unwraps(), 1U);
  EXPECT_FALSE(take_wake_up(waker_));
  store_->release();
  EXPECT_TRUE(take_wake_up(waker_));
  EXPECT_TRUE(take_wake_up(other));
  EXPECT_TRUE(opens(key));
  EXPECT_EQ(key_of(ask(key)), key_of(ask(key, other)));
  EXPECT_EQ(store_->unwraps(), 1U);
}

TEST_F(KeyCacheTest, AHitUnderAnotherContextIsAMissColdAndWarm) {
  const Wrapped key = make_key("tenant-a");
  Wrapped stolen{key.dek.clone().value(), key.context, key.wrapped};
  stolen.context.tenant = "tenant-b";
  EXPECT_EQ(code_of(ask(stolen)), ErrorCode::kEnvelopeTampered);  // cold
  EXPECT_TRUE(opens(key));
  EXPECT_EQ(code_of(ask(stolen)), ErrorCode::kEnvelopeTampered);  // warm
  stolen.context = key.context;
  stolen.context.dataset = "invoices";
  EXPECT_EQ(code_of(ask(stolen)), ErrorCode::kEnvelopeTampered);
  stolen.context = key.context;
  stolen.context.key_id.bytes[0] ^= 0xff;
  EXPECT_EQ(code_of(ask(stolen)), ErrorCode::kEnvelopeTampered);
  stolen.context = key.context;
  stolen.wrapped.bytes[40] ^= 1;
  EXPECT_EQ(code_of(ask(stolen)), ErrorCode::kEnvelopeTampered);
  EXPECT_TRUE(opens(key));
  EXPECT_EQ(store_->unwraps(), 5U);
}

TEST_F(KeyCacheTest, AContextOfAnotherDomainIsABug) {
  Wrapped key = make_key();
  key.context.domain = "aws";
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kInternal);
  EXPECT_EQ(code_of(cache_->wrap(key.dek, key.context, waker_, now_)), ErrorCode::kInternal);
  EXPECT_EQ(store_->unwraps() + store_->wraps(), 0U);
}

TEST_F(KeyCacheTest, AKeyLivesFromTheAnswerAndUseDoesNotExtendIt) {
  const Wrapped key = make_key();
  EXPECT_TRUE(opens(key));
  for (int minute = 1; minute < 10; ++minute) {
    now_ += minutes(1);
    EXPECT_TRUE(opens(key));
  }
  now_ += minutes(1) - Duration(1);
  EXPECT_TRUE(opens(key));
  EXPECT_EQ(store_->unwraps(), 1U);
  now_ += Duration(1);
  store_->answer(Delivery::kHeld);
  EXPECT_TRUE(pending(ask(key)));
  EXPECT_EQ(store_->unwraps(), 2U);
}

TEST_F(KeyCacheTest, AnIdleCacheForgetsItsKeysToo) {
  const Wrapped key = make_key();
  const std::weak_ptr<const SecretBytes> held = key_of(ask(key));
  EXPECT_FALSE(held.expired());
  now_ += minutes(10);
  cache_->expire(now_);
  EXPECT_TRUE(held.expired());
}

TEST_F(KeyCacheTest, ARefusalIsRememberedForItsOwnTime) {
  Wrapped key = make_key();
  key.wrapped.bytes[20] ^= 1;
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kEnvelopeTampered);
  now_ += seconds(10) - Duration(1);
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kEnvelopeTampered);
  EXPECT_EQ(store_->unwraps(), 1U);
  now_ += Duration(1);
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kEnvelopeTampered);
  EXPECT_EQ(store_->unwraps(), 2U);
}

TEST_F(KeyCacheTest, AnAnswerSlowerThanItsLifetimeStillReachesItsAsker) {
  restart({.key_lifetime = seconds(1), .negative_lifetime = seconds(1)});
  store_->answer(Delivery::kHeld);
  const Wrapped key = make_key();
  Wrapped bad = make_key();
  bad.wrapped.bytes[20] ^= 1;
  EXPECT_TRUE(pending(ask(key)));
  EXPECT_TRUE(pending(ask(bad)));
  store_->release();
  now_ += seconds(20);
  EXPECT_TRUE(opens(key));
  EXPECT_EQ(code_of(ask(bad)), ErrorCode::kEnvelopeTampered);
  EXPECT_TRUE(pending(ask(key)));  // once, no more
  EXPECT_TRUE(pending(ask(bad)));
}

TEST_F(KeyCacheTest, AnOutageIsSaidAtOnceAndTriedAgainWithBackOff) {
  for (const ErrorCode code : {ErrorCode::kKeyDenied, ErrorCode::kKeyDisabled,
                               ErrorCode::kKeyThrottled, ErrorCode::kKeyUnavailable}) {
    ASSERT_EQ(class_of(code), ErrorClass::kPause);
    store_->fail_with(code);
    const Wrapped key = make_key();
    const std::size_t before = store_->unwraps();
    EXPECT_EQ(code_of(ask(key)), code);
    std::size_t calls = 1;
    for (const int pause : {1, 2, 4, 8, 8}) {
      now_ += seconds(pause) - Duration(1);
      EXPECT_EQ(code_of(ask(key)), code);
      EXPECT_EQ(store_->unwraps() - before, calls);
      now_ += Duration(1);
      EXPECT_EQ(code_of(ask(key)), code);
      EXPECT_EQ(store_->unwraps() - before, ++calls);
    }
    store_->fail_with(std::nullopt);
    now_ += seconds(8);
    EXPECT_TRUE(opens(key));
    // The next outage begins anew.
    now_ += minutes(10);
    store_->fail_with(code);
    EXPECT_EQ(code_of(ask(key)), code);
    now_ += seconds(1);
    store_->fail_with(std::nullopt);
    EXPECT_TRUE(opens(key));
  }
}

TEST_F(KeyCacheTest, WhileAnOutageIsTriedAgainAskersKnowTheReasonAndAreWokenAtItsEnd) {
  store_->fail_with(ErrorCode::kKeyUnavailable);
  const Wrapped key = make_key();
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kKeyUnavailable);
  now_ += seconds(1);
  store_->answer(Delivery::kHeld);
  store_->fail_with(std::nullopt);
  Waker other;
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kKeyUnavailable);
  EXPECT_EQ(code_of(ask(key, other)), ErrorCode::kKeyUnavailable);
  EXPECT_EQ(store_->held(), 1U);
  EXPECT_FALSE(take_wake_up(other));
  store_->release();
  EXPECT_TRUE(take_wake_up(waker_));
  EXPECT_TRUE(take_wake_up(other));
  EXPECT_TRUE(opens(key));
}

TEST_F(KeyCacheTest, AnOutageOfOneKeyLeavesOthersAlone) {
  const Wrapped stuck = make_key();
  const Wrapped fine = make_key();
  store_->fail_next(ErrorCode::kKeyDisabled, 1);
  EXPECT_EQ(code_of(ask(stuck)), ErrorCode::kKeyDisabled);
  EXPECT_TRUE(opens(fine));
}

TEST_F(KeyCacheTest, AStoreThatNeverAnswersIsUnavailableAfterTheTimeout) {
  store_->answer(Delivery::kNever);
  const Wrapped key = make_key();
  EXPECT_TRUE(pending(ask(key)));
  now_ += seconds(30) - Duration(1);
  EXPECT_TRUE(pending(ask(key)));
  now_ += Duration(1);
  const auto lookup = ask(key);
  EXPECT_EQ(code_of(lookup), ErrorCode::kKeyUnavailable);
  EXPECT_THAT(std::get<Error>(lookup).message, HasSubstr("30 s"));
  EXPECT_TRUE(take_wake_up(waker_));  // whoever else waited would have been told
  store_->answer(Delivery::kInline);
  now_ += seconds(1);
  EXPECT_TRUE(opens(key));
}

TEST_F(KeyCacheTest, AnAnswerAfterTheTimeoutCountsForNothing) {
  store_->answer(Delivery::kHeld);
  const Wrapped key = make_key();
  EXPECT_TRUE(pending(ask(key)));
  const auto late = store_->take_held();
  now_ += seconds(30);
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kKeyUnavailable);
  take_wake_up(waker_);
  late();
  late();  // nor does a second answer
  EXPECT_FALSE(take_wake_up(waker_));
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kKeyUnavailable);
}

TEST_F(KeyCacheTest, HangingCallsDoNotHoldUpTheQueueForEver) {
  store_->answer(Delivery::kNever);
  std::vector<Wrapped> keys;
  for (int i = 0; i < 6; ++i) keys.push_back(make_key());
  for (const Wrapped& key : keys) EXPECT_TRUE(pending(ask(key)));
  EXPECT_EQ(store_->unwraps(), 4U);
  store_->answer(Delivery::kInline);
  now_ += seconds(30);
  cache_->expire(now_);
  EXPECT_TRUE(opens(keys[4]));
  EXPECT_TRUE(opens(keys[5]));
  EXPECT_THAT(store_->unwrap_batches(), ElementsAre(1, 1, 1, 1, 2));
}

TEST_F(KeyCacheTest, WhatIsAskedWhileCallsAreOutGoesInOneBatch) {
  store_->answer(Delivery::kHeld);
  std::vector<Wrapped> keys;
  for (int i = 0; i < 304; ++i) keys.push_back(make_key());
  for (const Wrapped& key : keys) EXPECT_TRUE(pending(ask(key)));
  EXPECT_THAT(store_->unwrap_batches(), ElementsAre(1, 1, 1, 1));
  while (store_->release(1) == 1) {
  }
  EXPECT_THAT(store_->unwrap_batches(), ElementsAre(1, 1, 1, 1, 256, 44));
  for (const Wrapped& key : keys) EXPECT_TRUE(opens(key));
}

TEST_F(KeyCacheTest, AnAnswerOfTooFewResultsIsAnOutageOfTheRest) {
  store_->answer_short(1);
  const Wrapped key = make_key();
  EXPECT_EQ(code_of(ask(key)), ErrorCode::kKeyUnavailable);
  store_->answer_short(0);
  now_ += seconds(1);
  EXPECT_TRUE(opens(key));
}

TEST_F(KeyCacheTest, TheLeastRecentlyUsedKeyGoesFirst) {
  restart({.keys = 3});
  std::vector<Wrapped> keys;
  for (int i = 0; i < 4; ++i) keys.push_back(make_key());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(opens(keys[static_cast<std::size_t>(i)]));
  EXPECT_TRUE(opens(keys[0]));
  EXPECT_TRUE(opens(keys[3]));  // keys[1] goes
  EXPECT_EQ(store_->unwraps(), 4U);
  EXPECT_TRUE(opens(keys[0]));
  EXPECT_TRUE(opens(keys[2]));
  EXPECT_TRUE(opens(keys[3]));
  EXPECT_EQ(store_->unwraps(), 4U);
  EXPECT_TRUE(opens(keys[1]));
  EXPECT_EQ(store_->unwraps(), 5U);
}

TEST_F(KeyCacheTest, GarbageEvictsNoKey) {
  restart({.keys = 3, .dead_burst = 1000});
  const Wrapped key = make_key();
  EXPECT_TRUE(opens(key));
  for (int i = 0; i < 50; ++i) {
    Wrapped bad = make_key();
    bad.wrapped.bytes[20] ^= 1;
    EXPECT_EQ(code_of(ask(bad)), ErrorCode::kEnvelopeTampered);
  }
  const std::size_t asked = store_->unwraps();
  EXPECT_TRUE(opens(key));
  EXPECT_EQ(store_->unwraps(), asked);
}

TEST_F(KeyCacheTest, ADeadReferenceIsNotAskedForAgain) {
  for (const auto& [reference, code] :
       {std::pair{"other:1", ErrorCode::kEnvelopeForeign}, {"fake:9", ErrorCode::kKeyNotFound}}) {
    const std::size_t before = store_->unwraps();
    for (int i = 0; i < 50; ++i) {
      Wrapped bad = make_key();
      bad.wrapped.kek = reference;
      EXPECT_EQ(code_of(ask(bad)), code);
    }
    EXPECT_EQ(store_->unwraps() - before, 1U);
    now_ += seconds(10);
    Wrapped bad = make_key();
    bad.wrapped.kek = reference;
    EXPECT_EQ(code_of(ask(bad)), code);
    EXPECT_EQ(store_->unwraps() - before, 2U);
  }
}

TEST_F(KeyCacheTest, ADatasetFullOfGarbageIsSlowedDownAloneWhereCallsAreMetered) {
  restart({.dead_burst = 5, .dead_per_second = 2});
  const auto ask_garbage = [&] {
    Wrapped bad = make_key();
    bad.wrapped.bytes[20] ^= 1;
    return code_of(ask(bad));
  };
  const Wrapped known = make_key();
  EXPECT_TRUE(opens(known));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask_garbage(), ErrorCode::kEnvelopeTampered);
  EXPECT_EQ(ask_garbage(), ErrorCode::kKeyThrottled);
  EXPECT_EQ(class_of(ErrorCode::kKeyThrottled), ErrorClass::kPause);
  EXPECT_EQ(store_->unwraps(), 6U);
  EXPECT_TRUE(opens(known));
  EXPECT_TRUE(opens(make_key("a", "invoices")));
  now_ += seconds(1);
  EXPECT_EQ(ask_garbage(), ErrorCode::kEnvelopeTampered);
  EXPECT_EQ(ask_garbage(), ErrorCode::kEnvelopeTampered);
  EXPECT_EQ(ask_garbage(), ErrorCode::kKeyThrottled);
  now_ += seconds(60);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask_garbage(), ErrorCode::kEnvelopeTampered);
  EXPECT_EQ(ask_garbage(), ErrorCode::kKeyThrottled);

  store_->set_metered(false);
  restart({.dead_burst = 5, .dead_per_second = 2});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(ask_garbage(), ErrorCode::kEnvelopeTampered);
}

std::vector<SecretBytes> fill_heap(std::size_t leave = 0) {
  std::vector<SecretBytes> filler;
  for (;;) {
    auto piece = SecretBytes::zeroed(32);
    if (!piece) break;
    filler.push_back(std::move(*piece));
  }
  filler.resize(filler.size() - leave);
  return filler;
}

TEST_F(KeyCacheTest, AFullSecureHeapEvicts) {
  std::vector<Wrapped> keys;
  for (int i = 0; i < 64; ++i) keys.push_back(make_key());
  const auto filler = fill_heap(8);
  std::size_t kept = 0;
  for (const Wrapped& key : keys) EXPECT_TRUE(opens(key));
  const std::size_t asked = store_->unwraps();
  EXPECT_GT(asked, 64U);  // some were asked for again, after room was made
  EXPECT_TRUE(opens(keys.back()));
  EXPECT_EQ(store_->unwraps(), asked);
  for (const Wrapped& key : keys) kept += key_of(ask(key)) != nullptr ? 1 : 0;
  EXPECT_EQ(kept, 64U);
}

TEST_F(KeyCacheTest, AFullSecureHeapEvictsForAnAsynchronousStoreToo) {
  const Wrapped first = make_key();
  const Wrapped second = make_key();
  EXPECT_TRUE(opens(first));
  store_->answer(Delivery::kHeld);
  EXPECT_TRUE(pending(ask(second)));
  const auto filler = fill_heap();
  store_->release();
  EXPECT_TRUE(take_wake_up(waker_));
  EXPECT_TRUE(pending(ask(second)));
  store_->release();
  EXPECT_TRUE(opens(second));
}

TEST_F(KeyCacheTest, AFullSecureHeapWithNothingToEvictIsAnOutage) {
  const Wrapped key = make_key();
  auto filler = fill_heap();
  const auto lookup = ask(key);
  EXPECT_EQ(code_of(lookup), ErrorCode::kKeyUnavailable);
  EXPECT_THAT(std::get<Error>(lookup).message, HasSubstr("secure"));
  filler.clear();
  now_ += seconds(1);
  EXPECT_TRUE(opens(key));
}

TEST_F(KeyCacheTest, WhoIsForgottenIsNotWoken) {
  store_->answer(Delivery::kHeld);
  const Wrapped key = make_key();
  Waker stays;
  {
    Waker gone;
    EXPECT_TRUE(pending(ask(key, gone)));
    EXPECT_TRUE(pending(ask(key, stays)));
    cache_->forget(gone);
  }
  store_->release();
  EXPECT_TRUE(take_wake_up(stays));
  EXPECT_TRUE(opens(key));
}

TEST_F(KeyCacheTest, AnAnswerAfterTheEndOfTheCacheIsHarmless) {
  store_->answer(Delivery::kHeld);
  const Wrapped key = make_key();
  const auto waker = std::make_unique<Waker>();
  EXPECT_TRUE(pending(ask(key, *waker)));
  EXPECT_TRUE(
      std::holds_alternative<KeyCache::Pending>(cache_->wrap(key.dek, key.context, *waker, now_)));
  cache_.reset();
  store_->release();
  EXPECT_FALSE(take_wake_up(*waker));
}

TEST_F(KeyCacheTest, ClearDropsKeysAndCallsUnderWay) {
  const Wrapped key = make_key();
  const Wrapped flying = make_key();
  EXPECT_TRUE(opens(key));
  store_->answer(Delivery::kHeld);
  EXPECT_TRUE(pending(ask(flying)));
  cache_->clear();
  EXPECT_TRUE(take_wake_up(waker_));
  store_->release();  // from before: counts for nothing
  EXPECT_TRUE(pending(ask(flying)));
  EXPECT_TRUE(pending(ask(key)));
  store_->release();
  EXPECT_TRUE(opens(flying));
  EXPECT_TRUE(opens(key));
}

class WrapCacheTest : public KeyCacheTest {
 protected:
  KeyCache::WrapLookup wrap(const Wrapped& key) {
    return cache_->wrap(key.dek, key.context, waker_, now_);
  }
  static const WrappedKey* wrapped_of(const KeyCache::WrapLookup& lookup) {
    const auto* wrapped = std::get_if<std::shared_ptr<const WrappedKey>>(&lookup);
    return wrapped == nullptr ? nullptr : wrapped->get();
  }
};

TEST_F(WrapCacheTest, OnceForEachKeyAndContext) {
  const Wrapped key = make_key("a");
  const auto first = wrap(key);
  ASSERT_NE(wrapped_of(first), nullptr);
  EXPECT_EQ(wrapped_of(wrap(key)), wrapped_of(first));
  EXPECT_EQ(store_->wraps(), 1U);
  const Wrapped again{key.dek.clone().value(), key.context, *wrapped_of(first)};
  EXPECT_TRUE(opens(again));

  Wrapped other{key.dek.clone().value(), key.context, {}};
  other.context.tenant = "b";
  const auto second = wrap(other);
  ASSERT_NE(wrapped_of(second), nullptr);
  EXPECT_NE(*wrapped_of(second), *wrapped_of(first));
  EXPECT_EQ(store_->wraps(), 2U);

  now_ += minutes(10);  // so that a rotated KEK comes into use
  EXPECT_NE(wrapped_of(wrap(key)), nullptr);
  EXPECT_EQ(store_->wraps(), 3U);
}

TEST_F(WrapCacheTest, OutagesPassAsWithUnwrapping) {
  const Wrapped key = make_key();
  store_->fail_with(ErrorCode::kKeyDisabled);
  EXPECT_EQ(code_of(wrap(key)), ErrorCode::kKeyDisabled);
  EXPECT_EQ(code_of(wrap(key)), ErrorCode::kKeyDisabled);
  EXPECT_EQ(store_->wraps(), 1U);
  store_->fail_with(std::nullopt);
  store_->answer(Delivery::kHeld);
  now_ += seconds(1);
  EXPECT_EQ(code_of(wrap(key)), ErrorCode::kKeyDisabled);
  store_->release();
  EXPECT_TRUE(take_wake_up(waker_));
  EXPECT_NE(wrapped_of(wrap(key)), nullptr);
}

TEST_F(WrapCacheTest, AFullHeapMakesRoomForTheCopyThatIsWrapped) {
  const Wrapped held = make_key();
  const Wrapped key = make_key();
  EXPECT_TRUE(opens(held));
  auto filler = fill_heap();
  EXPECT_NE(wrapped_of(wrap(key)), nullptr);
  cache_->clear();
  const auto rest = fill_heap();
  EXPECT_EQ(code_of(wrap(key)), ErrorCode::kKeyUnavailable);
}

TEST_F(WrapCacheTest, AStoreWithoutSecureMemoryForAWrapCostsUnwrappedKeysNotWrappedOnes) {
  const Wrapped held = make_key();
  const Wrapped other = make_key();
  const Wrapped key = make_key();
  EXPECT_TRUE(opens(held));
  EXPECT_NE(wrapped_of(wrap(other)), nullptr);
  store_->fail_next(ErrorCode::kFull, 1);
  EXPECT_NE(wrapped_of(wrap(key)), nullptr);
  EXPECT_EQ(store_->wraps(), 3U);
  EXPECT_NE(wrapped_of(wrap(other)), nullptr);
  EXPECT_EQ(store_->wraps(), 3U);
  EXPECT_TRUE(opens(held));
  EXPECT_EQ(store_->unwraps(), 2U);
}

// Shards of a daemon at once, on a store with a thread of its own, and an operator in between.
TEST_F(KeyCacheTest, ManyThreadsGetTheirKeys) {
  restart({.keys = 8, .retry = milliseconds(1)});
  store_->answer(Delivery::kThreaded, milliseconds(0));
  std::vector<Wrapped> keys;
  for (int i = 0; i < 16; ++i) keys.push_back(make_key());
  std::atomic<bool> running{true};
  const SystemClock clock;
  std::vector<std::thread> shards;
  for (std::size_t shard = 0; shard < 4; ++shard) {
    shards.emplace_back([&, shard] {
      Waker waker;
      for (std::size_t i = 0; i < 300; ++i) {
        const Wrapped& key = keys[(i * (shard + 1) + shard) % keys.size()];
        for (;;) {
          const auto lookup = cache_->unwrap(key.wrapped, key.context, waker, clock.now());
          if (opens(key, lookup)) break;
          ASSERT_EQ(key_of(lookup), nullptr);
          if (code_of(lookup)) {
            ASSERT_EQ(code_of(lookup), ErrorCode::kKeyUnavailable);
          }
          waker.wait(milliseconds(1));
        }
        if (i % 10 == 0) {
          const auto wrapped = cache_->wrap(key.dek, key.context, waker, clock.now());
          ASSERT_NE(code_of(wrapped), ErrorCode::kInternal);
        }
      }
      cache_->forget(waker);
    });
  }
  std::thread operator_thread([&] {
    while (running) {
      cache_->clear();
      cache_->expire(clock.now());
      store_->fail_next(ErrorCode::kKeyUnavailable, 1);
      std::this_thread::sleep_for(milliseconds(2));
    }
  });
  for (std::thread& shard : shards) shard.join();
  running = false;
  operator_thread.join();
  EXPECT_GE(store_->unwraps(), keys.size());
}

TEST_F(KeyCacheTest, TheCacheEndsWhileTheStoreAnswers) {
  store_->answer(Delivery::kThreaded, milliseconds(0));
  std::vector<Wrapped> keys;
  for (int i = 0; i < 20; ++i) keys.push_back(make_key());
  for (int round = 0; round < 100; ++round) {
    const auto waker = std::make_unique<Waker>();
    restart({});
    for (const Wrapped& key : keys) ask(key, *waker);
    cache_.reset();
  }
}

TEST_F(KeyCacheTest, TheStoreEndsWithTheCache) {
  store_->answer(Delivery::kThreaded, milliseconds(0));
  const Wrapped key = make_key();
  std::weak_ptr<FakeKeyProvider> store = store_;
  ask(key);
  store_.reset();
  EXPECT_FALSE(store.expired());
  cache_.reset();
  EXPECT_TRUE(store.expired());
}

}  // namespace
}  // namespace drawbridge

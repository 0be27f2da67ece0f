// One direction of a KeyCache: unwrapping or wrapping. Internal to this room; key_cache.h says what
// it does, this is how.
//
// An entry is born by the first ask for it (a miss), waits in the queue, is part of a call, and
// settles as a value, a refusal or an outage. An outage goes back to the queue when it is asked for
// after its pause, and keeps its error meanwhile. Entries in the queue or in a call stand in no
// list and cannot be evicted; the others stand in the list of values or the list of refusals, most
// recently used first.
//
// At most kMaxCalls calls are under way; what is asked for meanwhile gathers in the queue and goes
// out as one batch when a call is answered.
//
// A call belongs to the lane as long as its number is in calls_: one that is overdue, or older than
// a clear(), is taken out, and its late answer finds nothing. The callback holds the lane by a weak
// pointer, so it may come after the cache's end, too.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "bridge/keys/key_cache.h"

namespace drawbridge {

// `Op` says what is asked (Id as stored, Ask as looked up, with hash and equality), what the
// provider wants and gives (Request, Answer), and how to call it.
template <typename Op>
class KeyLane : public std::enable_shared_from_this<KeyLane<Op>> {
 public:
  using Value = std::shared_ptr<const typename Op::Answer>;
  using Lookup = std::variant<Value, KeyCache::Pending, Error>;

  // `provider` is called until close(). `make_room` frees secure memory where this lane's values
  // hold none, and says whether it did; empty: the lane's own shrink().
  KeyLane(KeyProvider& provider, const KeyCacheLimits& limits,
          std::function<bool()> make_room = nullptr)
      : provider_(provider),
        limits_(limits),
        metered_(provider.info().metered),
        make_room_(std::move(make_room)) {}

  // `make_request` gives the Result<Request> for a call; it runs under the lane's lock.
  template <typename MakeRequest>
  Lookup lookup(const typename Op::Ask& ask, Waker& waker, Instant now, MakeRequest make_request) {
    std::unique_lock lock(mutex_);
    latest_ = std::max(latest_, now);
    if (latest_ >= next_sweep_) {
      lock.unlock();
      sweep();
      lock.lock();
    }
    for (int attempt = 0;; ++attempt) {
      Node* node = find(ask);
      if (node != nullptr && !node->second.in_flight && over(node->second, now)) {
        drop(*node);
        node = nullptr;
      }
      if (node == nullptr) {
        if (auto refused = refuse_miss(ask, waker, now)) return std::move(*refused);
      } else if (auto answer = answer_of(*node, waker, now, attempt == 0)) {
        return std::move(*answer);
      }
      // A full heap makes an answer vanish; each time, eviction has made room for it.
      if (attempt == kAttempts) {
        return Error{ErrorCode::kKeyUnavailable, "no secure memory left for another key"};
      }
      auto request = make_request();
      if (!request) {
        return Error{ErrorCode::kKeyUnavailable, std::move(request.error().message)};
      }
      if (node == nullptr) {
        node = &*entries_.try_emplace(Op::id_of(ask)).first;
      } else {
        detach(*node);
      }
      node->second.in_flight = true;
      ++in_flight_;
      queue_.push_back({node, std::move(*request)});
      flush(lock);
    }
  }

  // Time passes: drops what is overdue, calls, values and refusals.
  void advance(Instant now) {
    {
      const std::scoped_lock lock(mutex_);
      latest_ = std::max(latest_, now);
      if (latest_ < next_sweep_) return;
    }
    sweep();
  }

  // Frees a quarter of the values, the least recently used. False: there was none.
  bool shrink() {
    const std::scoped_lock lock(mutex_);
    return shrink_locked();
  }

  void forget(Waker& waker) {
    const std::scoped_lock lock(wake_mutex_, mutex_);
    for (auto& [id, entry] : entries_) std::erase(entry.waiters, &waker);
    std::erase(crowd_, &waker);
  }

  void clear() {
    const std::scoped_lock wake_lock(wake_mutex_);
    std::vector<Waker*> wakers;
    {
      const std::scoped_lock lock(mutex_);
      for (auto& [id, entry] : entries_) take_waiters(entry.waiters, wakers);
      take_waiters(crowd_, wakers);
      forget_all();
    }
    for (Waker* waker : wakers) waker->wake();
  }

  // No call of the provider and no wake-up from here on.
  void close() {
    {
      const std::scoped_lock lock(wake_mutex_, mutex_);
      closed_ = true;
      forget_all();
      crowd_.clear();
    }
    std::unique_lock lock(mutex_);
    flushed_.wait(lock, [this] { return !flushing_; });
  }

 private:
  enum class State : std::uint8_t { kWaiting, kValue, kRefusal, kOutage };
  struct Entry;
  using Node = std::pair<const typename Op::Id, Entry>;
  using List = std::list<Node*>;

  struct Entry {
    State state = State::kWaiting;
    bool in_flight = false;  // in the queue or in a call
    bool seen = false;       // by an asker, since it settled
    Value value;
    std::optional<Error> error;
    // A value or refusal counts until `expires`; one that nobody has seen yet at least until
    // `unseen_until`, so that an answer slower than its own lifetime still reaches its asker.
    Instant expires{};
    Instant unseen_until{};
    Instant retry_at{};  // of an outage, set when it is first seen
    Duration pause{};
    std::vector<Waker*> waiters;
    List* list = nullptr;
    typename List::iterator place{};
  };

  struct Call {
    Instant started;
    std::vector<Node*> nodes;
  };
  struct Queued {
    Node* node;
    typename Op::Request request;
  };
  struct Dead {
    Error error;
    Instant expires;
  };
  struct Bucket {
    double tokens;
    Instant filled;
  };

  static constexpr int kAttempts = 4;
  static constexpr std::size_t kMaxCalls = 4;
  static constexpr std::size_t kMaxBatch = 256;
  static constexpr std::size_t kMaxInFlight = 4096;
  static constexpr std::size_t kMaxDead = 256;
  static constexpr std::size_t kMaxBuckets = 4096;
  static constexpr int kMaxPause = 8;  // times `retry`
  static constexpr Duration kSweepInterval = std::chrono::seconds(1);

  Node* find(const typename Op::Ask& ask) {
    const auto found = entries_.find(ask);
    return found == entries_.end() ? nullptr : &*found;
  }

  // What the entry says; nothing when the store must be asked again.
  std::optional<Lookup> answer_of(Node& node, Waker& waker, Instant now, bool may_retry) {
    Entry& entry = node.second;
    switch (entry.state) {
      case State::kWaiting:
        add_waiter(entry.waiters, waker);
        return KeyCache::Pending{};
      case State::kValue:
      case State::kRefusal:
        entry.seen = true;
        entry.list->splice(entry.list->begin(), *entry.list, entry.place);
        if (entry.state == State::kValue) return entry.value;
        return *entry.error;
      case State::kOutage:
        if (!entry.seen) {
          entry.seen = true;
          entry.retry_at = now + entry.pause;
        }
        entry.expires = now + kMaxPause * limits_.retry + limits_.call_timeout;
        if (!entry.in_flight && may_retry && now >= entry.retry_at) return std::nullopt;
        add_waiter(entry.waiters, waker);
        return *entry.error;
    }
    return std::nullopt;
  }

  // Why a miss may not go to the store, if so.
  std::optional<Lookup> refuse_miss(const typename Op::Ask& ask, Waker& waker, Instant now) {
    if (closed_) return Error{ErrorCode::kCancelled, "the key cache is closed"};
    if (const std::string* reference = Op::reference_of(ask); reference != nullptr) {
      const auto dead = dead_.find(*reference);
      if (dead != dead_.end() && now < dead->second.expires) return dead->second.error;
    }
    if (const auto bucket = buckets_.find(Op::dataset_of(ask)); bucket != buckets_.end()) {
      fill(bucket->second, now);
      if (bucket->second.tokens < 1.0) {
        return Error{
            ErrorCode::kKeyThrottled,
            fmt::format("keys of dataset `{}` keep failing to open: slowed down to {} a second",
                        Op::dataset_of(ask), limits_.dead_per_second)};
      }
    }
    if (in_flight_ >= kMaxInFlight) {
      add_waiter(crowd_, waker);
      return KeyCache::Pending{};
    }
    return std::nullopt;
  }

  // Hands the queue over, in batches. One thread at a time, so that an answer given inline does not
  // call the provider from within the provider; the flusher finds what others queued meanwhile.
  void flush(std::unique_lock<std::mutex>& lock) {
    if (flushing_) return;
    flushing_ = true;
    while (!closed_ && !queue_.empty() && calls_.size() < kMaxCalls) {
      const std::uint64_t id = next_call_++;
      const std::size_t count = std::min(queue_.size(), kMaxBatch);
      std::vector<typename Op::Request> requests;
      requests.reserve(count);
      Call& call = calls_[id];
      call.started = latest_;
      next_sweep_ = std::min(next_sweep_, latest_ + limits_.call_timeout);
      for (std::size_t i = 0; i < count; ++i) {
        call.nodes.push_back(queue_[i].node);
        requests.push_back(std::move(queue_[i].request));
      }
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
      lock.unlock();
      Op::call(provider_, std::move(requests),
               [weak = this->weak_from_this(), id](std::vector<Result<typename Op::Answer>> all) {
                 if (const auto lane = weak.lock()) lane->settle(id, std::move(all));
               });
      lock.lock();
    }
    flushing_ = false;
    flushed_.notify_all();
  }

  // A call's answers, on any thread.
  void settle(std::uint64_t id, std::vector<Result<typename Op::Answer>> results) {
    {
      const std::scoped_lock wake_lock(wake_mutex_);
      std::vector<Waker*> wakers;
      {
        const std::scoped_lock lock(mutex_);
        const auto found = calls_.find(id);
        if (found == calls_.end()) return;  // too late, or answered twice
        const Call call = std::move(found->second);
        calls_.erase(found);
        for (std::size_t i = 0; i < call.nodes.size(); ++i) {
          Node& node = *call.nodes[i];
          take_waiters(node.second.waiters, wakers);
          if (i < results.size()) {
            settle_one(node, std::move(results[i]), call.started);
          } else {
            settle_one(node,
                       fail(ErrorCode::kKeyUnavailable, "the key store answered {} of {} requests",
                            results.size(), call.nodes.size()),
                       call.started);
          }
        }
        take_waiters(crowd_, wakers);
      }
      for (Waker* waker : wakers) waker->wake();
    }
    std::unique_lock lock(mutex_);
    flush(lock);
  }

  void settle_one(Node& node, Result<typename Op::Answer> result, Instant started) {
    Entry& entry = node.second;
    --in_flight_;
    const Duration last_pause = entry.state == State::kOutage ? entry.pause : Duration::zero();
    entry = Entry();
    entry.unseen_until = started + limits_.call_timeout;
    if (result) {
      entry.state = State::kValue;
      entry.value = std::make_shared<const typename Op::Answer>(std::move(*result));
      entry.expires = latest_ + limits_.key_lifetime;
      attach(node, values_);
      while (values_.size() > std::max<std::size_t>(limits_.keys, 1)) drop(*values_.back());
      return;
    }
    Error error = std::move(result.error());
    if (error.code == ErrorCode::kFull) {
      if (make_room_ ? make_room_() : shrink_locked()) {
        drop(node);  // a miss again; there is room now
        return;
      }
      error.code = ErrorCode::kKeyUnavailable;
    }
    if (class_of(error.code) == ErrorClass::kPause) {
      entry.state = State::kOutage;
      entry.pause = last_pause == Duration::zero()
                        ? limits_.retry
                        : std::min(last_pause * 2, limits_.retry * kMaxPause);
      entry.expires = latest_ + kMaxPause * limits_.retry + limits_.call_timeout;
    } else {
      entry.state = State::kRefusal;
      entry.expires = latest_ + limits_.negative_lifetime;
      note_dead(node.first, error);
    }
    entry.error = std::move(error);
    attach(node, refusals_);
    while (refusals_.size() > std::max<std::size_t>(limits_.keys, 1)) drop(*refusals_.back());
  }

  void note_dead(const typename Op::Id& id, const Error& error) {
    const std::string* reference = Op::reference_of(id);
    if (reference == nullptr) return;  // wrapping: nothing that a record chose
    if (error.code == ErrorCode::kKeyNotFound || error.code == ErrorCode::kEnvelopeForeign) {
      if (dead_.size() >= kMaxDead) dead_.clear();
      dead_.insert_or_assign(*reference, Dead{error, latest_ + limits_.negative_lifetime});
    }
    if (!metered_) return;
    if (buckets_.size() >= kMaxBuckets) buckets_.clear();
    const auto [place, fresh] = buckets_.try_emplace(
        Op::dataset_of(id), Bucket{static_cast<double>(limits_.dead_burst), latest_});
    if (!fresh) fill(place->second, latest_);
    place->second.tokens -= 1.0;
  }

  void fill(Bucket& bucket, Instant now) const {
    if (now <= bucket.filled) return;
    const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
    bucket.tokens =
        std::min(static_cast<double>(limits_.dead_burst),
                 bucket.tokens + seconds * static_cast<double>(limits_.dead_per_second));
    bucket.filled = now;
  }

  void give_up_calls(std::vector<Waker*>& wakers) {
    for (auto place = calls_.begin(); place != calls_.end();) {
      if (latest_ < place->second.started + limits_.call_timeout) {
        ++place;
        continue;
      }
      const Call call = std::move(place->second);
      place = calls_.erase(place);
      for (Node* node : call.nodes) {
        take_waiters(node->second.waiters, wakers);
        settle_one(*node,
                   fail(ErrorCode::kKeyUnavailable, "no answer from the key store within {} s",
                        std::chrono::duration<double>(limits_.call_timeout).count()),
                   call.started);
      }
      take_waiters(crowd_, wakers);
    }
  }

  void sweep() {
    {
      const std::scoped_lock wake_lock(wake_mutex_);
      std::vector<Waker*> wakers;
      {
        const std::scoped_lock lock(mutex_);
        give_up_calls(wakers);
        drop_overdue();
        next_sweep_ = latest_ + kSweepInterval;
        for (const auto& [id, call] : calls_) {
          next_sweep_ = std::min(next_sweep_, call.started + limits_.call_timeout);
        }
      }
      for (Waker* waker : wakers) waker->wake();
    }
    std::unique_lock lock(mutex_);
    flush(lock);  // calls given up leave room for others
  }

  void drop_overdue() {
    for (List* list : {&values_, &refusals_}) {
      for (auto place = list->begin(); place != list->end();) {
        Node& node = **place++;
        if (over(node.second, latest_)) drop(node);
      }
    }
    std::erase_if(dead_, [this](const auto& dead) { return latest_ >= dead.second.expires; });
    for (auto& [dataset, bucket] : buckets_) fill(bucket, latest_);
    std::erase_if(buckets_, [this](const auto& bucket) {
      return bucket.second.tokens >= static_cast<double>(limits_.dead_burst);
    });
  }

  static bool over(const Entry& entry, Instant now) {
    return now >= entry.expires && (entry.seen || now >= entry.unseen_until);
  }

  bool shrink_locked() {
    const std::size_t count = (values_.size() + 3) / 4;
    for (std::size_t i = 0; i < count; ++i) drop(*values_.back());
    return count > 0;
  }

  void attach(Node& node, List& list) {
    node.second.list = &list;
    node.second.place = list.insert(list.begin(), &node);
  }
  void detach(Node& node) {
    if (node.second.list != nullptr) node.second.list->erase(node.second.place);
    node.second.list = nullptr;
  }
  void drop(Node& node) {
    detach(node);
    entries_.erase(entries_.find(node.first));
  }
  void forget_all() {
    values_.clear();
    refusals_.clear();
    queue_.clear();
    calls_.clear();
    entries_.clear();
    dead_.clear();
    in_flight_ = 0;
  }

  static void add_waiter(std::vector<Waker*>& waiters, Waker& waker) {
    if (std::ranges::find(waiters, &waker) == waiters.end()) waiters.push_back(&waker);
  }
  static void take_waiters(std::vector<Waker*>& from, std::vector<Waker*>& to) {
    for (Waker* waker : from) add_waiter(to, *waker);
    from.clear();
  }

  // Constant after construction.
  KeyProvider& provider_;
  const KeyCacheLimits limits_;
  const bool metered_;
  const std::function<bool()> make_room_;

  // Held while wakers are woken, and taken before mutex_: whoever drops a waker under it can be
  // sure that it is not woken afterwards.
  std::mutex wake_mutex_;

  std::mutex mutex_;
  std::condition_variable flushed_;  // flushing_ became false
  // Guarded by mutex_:
  std::unordered_map<typename Op::Id, Entry, typename Op::Hash, typename Op::Equal> entries_;
  List values_;
  List refusals_;
  std::vector<Queued> queue_;
  std::map<std::uint64_t, Call> calls_;
  std::uint64_t next_call_ = 0;
  std::size_t in_flight_ = 0;              // entries in queue_ or calls_
  std::vector<Waker*> crowd_;              // askers turned away while too much was in flight
  std::map<std::string, Dead> dead_;       // by KEK reference
  std::map<std::string, Bucket> buckets_;  // by dataset
  bool flushing_ = false;
  bool closed_ = false;
  Instant latest_ = Instant::min();  // the latest `now` of any asker
  Instant next_sweep_ = Instant::min();
};

}  // namespace drawbridge

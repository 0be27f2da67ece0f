// What a transform is.
//
// A transform changes one record in place, drops it, or fails it. It never decides what happens
// to a failure: the pipeline's failure policy does. One instance serves one shard's worker, so it
// may hold state without locks. What it writes goes into the scratch's Arena.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bridge/base/clock.h"
#include "bridge/record/arena.h"
#include "bridge/record/record.h"

namespace drawbridge {

// What apply() may use, valid for the record's life in the pipeline.
struct Scratch {
  Arena& arena;
  Instant now;
};

class Outcome {
 public:
  enum class Kind : std::uint8_t {
    kKeep,  // pass the record on
    kDrop,  // deliberately not copied; the checkpoint moves over it
    kWait,  // a key store has not answered yet; the record is unchanged. Apply again after the
            // shard's waker was woken, or a moment later. `error` says why, where one is known.
    kFail,  // `error` goes to the failure policy. The record may be half changed; the pipeline
            // falls back on the consumed one.
  };

  static Outcome keep() { return {Kind::kKeep, {ErrorCode::kInternal, {}}}; }
  static Outcome drop() { return {Kind::kDrop, {ErrorCode::kInternal, {}}}; }
  static Outcome wait() { return {Kind::kWait, {ErrorCode::kKeyUnavailable, {}}}; }
  // Waits whatever the error's class: the key store fails us, not the record.
  static Outcome wait(Error error) { return {Kind::kWait, std::move(error)}; }
  // Fails the record or makes the shard wait, as the error's class says.
  static Outcome from(Error error) {
    const bool waits = class_of(error.code) == ErrorClass::kPause;
    return {waits ? Kind::kWait : Kind::kFail, std::move(error)};
  }

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const Error& error() const { return error_; }  // kFail, and kWait if not empty

 private:
  Outcome(Kind kind, Error error) : kind_(kind), error_(std::move(error)) {}
  Kind kind_;
  Error error_;
};

class Transform {
 public:
  virtual ~Transform() = default;

  // REQUIRES: on kWait the record is as it was before the call.
  virtual Outcome apply(Record& record, Scratch& scratch) = 0;

  // Starts the key requests that this record will need, so that those of a batch go out together
  // instead of one round trip each. Called for the records behind one that waits; the record is as
  // it came. Only a hint; must not block.
  virtual void prefetch(const Record& /*record*/, Instant /*now*/) {}
};

}  // namespace drawbridge

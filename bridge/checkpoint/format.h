// Constants of the checkpoint store. Grammar, reasons and a worked example: FORMAT.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace drawbridge::checkpoint_format {

inline constexpr std::string_view kDataFile = "checkpoints.mdb";
inline constexpr std::string_view kNewDataFile = "checkpoints.mdb.new";
inline constexpr std::string_view kLockFile = "lock";

// First byte of a key.
inline constexpr std::uint8_t kStoreKey = 0;
inline constexpr std::uint8_t kPipelineKey = 1;
inline constexpr std::uint8_t kCheckpointKey = 2;

inline constexpr std::size_t kMaxPipelineBytes = 120;
inline constexpr std::size_t kMaxClusterBytes = 130;
inline constexpr std::size_t kMaxTopicBytes = 249;
inline constexpr std::size_t kMaxDaemonBytes = 120;
inline constexpr std::size_t kMaxKeyBytes = 511;  // LMDB's
static_assert(1 + kMaxPipelineBytes + 1 + kMaxClusterBytes + 1 + kMaxTopicBytes + 1 + 4 <=
              kMaxKeyBytes);

inline constexpr std::string_view kMagic = "DRAWBRDG";
inline constexpr std::uint16_t kSchema = 1;
inline constexpr std::size_t kStoreIdBytes = 16;

inline constexpr std::uint8_t kPipelineVersion = 1;
inline constexpr std::uint8_t kCheckpointVersion = 2;
inline constexpr std::uint8_t kCheckpointWithoutLine = 1;  // an older version, still written so
inline constexpr std::uint8_t kHasWitness = 1;
inline constexpr std::uint8_t kHasGroupCommitted = 2;
inline constexpr std::uint8_t kHasGroupPending = 4;
inline constexpr std::size_t kChecksumBytes = 8;

}  // namespace drawbridge::checkpoint_format

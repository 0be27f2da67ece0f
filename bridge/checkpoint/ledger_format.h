// Constants of the ledger topic. Grammar, reasons and worked examples: LEDGER.md. The limits of
// names are format.h's.
#pragma once

#include <cstdint>
#include <string_view>

namespace drawbridge::ledger_format {

inline constexpr std::string_view kTopicPrefix = "__drawbridge.ledger.";

// First byte of a key.
inline constexpr std::uint8_t kHeaderKey = 0;
inline constexpr std::uint8_t kPositionKey = 1;

inline constexpr std::uint8_t kHeaderVersion = 1;
inline constexpr std::uint8_t kRenamedHeaderVersion = 2;
inline constexpr std::uint8_t kHasMovedTo = 1;
inline constexpr std::uint8_t kHasRenamedTo = 2;

inline constexpr std::uint8_t kPositionVersion = 1;
inline constexpr std::uint8_t kHasWitness = 1;
inline constexpr std::uint8_t kHasLeaderEpoch = 2;
inline constexpr std::uint8_t kHasTopicId = 4;

// What a position's digest is.
inline constexpr std::uint8_t kNoDigest = 0;
inline constexpr std::uint8_t kGmacDigest = 1;  // read only, as none
inline constexpr std::uint8_t kXxh3Digest = 2;

}  // namespace drawbridge::ledger_format

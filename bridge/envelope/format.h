// Constants of the native envelope. The grammar, the reasons and a worked example stand in
// bridge/envelope/FORMAT.md; a number changes in both or in neither.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace drawbridge {

// Ids on the wire. 3 is reserved for AES-256-SIV; others are free.
enum class Suite : std::uint8_t {
  kAes256Gcm = 1,
  kChaCha20Poly1305 = 2,
};

inline constexpr std::array kAllSuites{Suite::kAes256Gcm, Suite::kChaCha20Poly1305};

std::string_view name_of(Suite suite);  // "aes-256-gcm", "chacha20-poly1305"

namespace format {

// Value.
inline constexpr std::array<std::uint8_t, 4> kMagic{0xdb, 'D', 'B', 'E'};
inline constexpr std::uint8_t kVersion = 1;

// Flags; a bit that is not named here is refused.
inline constexpr std::uint8_t kFlagInline = 0x01;      // wrapped keys ride in the value
inline constexpr std::uint8_t kFlagWhole = 0x02;       // plaintext is a whole record
inline constexpr std::uint8_t kFlagSalted = 0x04;      // content key derived with a salt
inline constexpr std::uint8_t kFlagTombstone = 0x08;   // authenticates a null value
inline constexpr std::uint8_t kFlagCompressed = 0x10;  // reserved: refused in version 1
inline constexpr std::uint8_t kKnownFlags = kFlagInline | kFlagWhole | kFlagSalted | kFlagTombstone;

inline constexpr std::size_t kKeyIdBytes = 32;
inline constexpr std::size_t kSubjectReferenceBytes = 16;
inline constexpr std::size_t kKeyTagBytes = 16;
inline constexpr std::size_t kSaltBytes = 32;
inline constexpr std::size_t kNonceBytes = 12;  // of both suites
inline constexpr std::size_t kTagBytes = 16;    // of both suites
inline constexpr std::size_t kDekBytes = 32;

// Short fields: one length byte, 255 says absent.
inline constexpr std::uint8_t kAbsent = 0xff;
inline constexpr std::size_t kMaxShort = 254;

// magic, version, suite, flags, key id, three length bytes, key tag, nonce, tag: what every value
// grows by, before the optional parts (see sealed_size()).
inline constexpr std::size_t kFixedOverhead =
    kMagic.size() + 3 + kKeyIdBytes + 3 + kKeyTagBytes + kNonceBytes + kTagBytes;
static_assert(kFixedOverhead == 86);

inline constexpr std::size_t kMaxPlaintext = std::size_t{1} << 30;

// Wrapped keys.
inline constexpr std::string_view kKeysHeader = "drawbridge-keys";
inline constexpr std::uint8_t kKeysVersion = 1;
inline constexpr std::size_t kMaxWrappedKeys = 4;
inline constexpr std::size_t kMaxKekReference = 1024;
inline constexpr std::size_t kMaxWrappedBytes = 4096;
inline constexpr std::size_t kMaxKeysBytes = 8192;  // the whole block

// Tombstones.
inline constexpr std::string_view kTombstoneHeader = "drawbridge-tombstone";
inline constexpr std::string_view kTombstoneLabel = "tombstone";

// Whole records.
inline constexpr std::uint8_t kWholeVersion = 1;
inline constexpr std::uint32_t kNull = 0xffffffff;  // length of a null key or value

// Key derivation. Each info string is followed by the version and the suite.
inline constexpr std::string_view kCommitInfo = "drawbridge envelope commit";
inline constexpr std::string_view kContentInfo = "drawbridge envelope content";
inline constexpr std::string_view kBindInfo = "drawbridge envelope bind";

// Wrap context.
inline constexpr std::string_view kContextLabel = "drawbridge wrap context";
inline constexpr std::uint8_t kContextVersion = 1;

// Random 96-bit nonces: at most this many under one content key (NIST SP 800-38D, 8.3).
inline constexpr std::uint64_t kNonceBudget = std::uint64_t{1} << 32;
// Wraps under one AES-GCM key-encryption key, per process.
inline constexpr std::uint64_t kWrapBudget = std::uint64_t{1} << 28;

}  // namespace format
}  // namespace drawbridge

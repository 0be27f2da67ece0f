#include "bridge/keys/keyring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <chrono>
#include <cstring>

namespace drawbridge {
namespace {

namespace chrono = std::chrono;

constexpr std::string_view kCheckLabel = "drawbridge keyring check";
constexpr std::string_view kKeyPrefix = "key ";
constexpr std::string_view kVersionPrefix = "version ";
constexpr std::string_view kEnd = "end";
constexpr std::size_t kMaterialText = 44;

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Decimal digits only, so that every number has one spelling of a given width.
std::optional<unsigned> digits(std::string_view text) {
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

// All ones when low <= c <= high, else zero; without a branch or a table that depends on the key.
int in_range(int c, int low, int high) { return ((low - 1 - c) & (c - high - 1)) >> 8; }

// The value of a base64 digit, -1 for any other character, in constant time.
int base64_value(char character) {
  const int c = static_cast<unsigned char>(character);
  int value = -1;
  value += in_range(c, 'A', 'Z') & (c - 'A' + 1);
  value += in_range(c, 'a', 'z') & (c - 'a' + 26 + 1);
  value += in_range(c, '0', '9') & (c - '0' + 52 + 1);
  value += in_range(c, '+', '+') & (62 + 1);
  value += in_range(c, '/', '/') & (63 + 1);
  return value;
}

// 44 characters to 32 bytes, from and to secret memory. False: not canonical base64 of 32 bytes.
bool decode_material(std::string_view text, MutableBytes out) {
  if (text.size() != kMaterialText || text.back() != '=') return false;
  int bad = 0;
  std::uint32_t group = 0;
  std::size_t written = 0;
  for (std::size_t i = 0; i + 1 < kMaterialText; ++i) {
    const int value = base64_value(text[i]);
    bad |= value;
    group = group << 6 | (static_cast<std::uint32_t>(value) & 63U);
    if (i % 4 != 3) continue;
    out[written++] = static_cast<std::uint8_t>(group >> 16);
    out[written++] = static_cast<std::uint8_t>(group >> 8);
    out[written++] = static_cast<std::uint8_t>(group);
  }
  // The last three characters hold 18 bits, two of them stray.
  out[written++] = static_cast<std::uint8_t>(group >> 10);
  out[written++] = static_cast<std::uint8_t>(group >> 2);
  const bool stray = (group & 3U) != 0;
  return bad >= 0 && !stray;
}

// The text up to the next space, which is taken too. Nothing when there is no space.
std::optional<std::string_view> take_field(std::string_view& rest) {
  const std::size_t space = rest.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view field = rest.substr(0, space);
  rest.remove_prefix(space + 1);
  return field;
}

}  // namespace

std::string_view name_of(KeyState state) {
  switch (state) {
    case KeyState::kEnabled:
      return "enabled";
    case KeyState::kDisabled:
      return "disabled";
  }
  return "disabled";
}

Result<KekCheck> check_of(const SecretBytes& material) {
  const ByteView key = material.reveal(SecretAccess{});
  const ByteView label = as_bytes(kCheckLabel);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), label.data(), label.size(),
           digest.data(), &size) == nullptr ||
      size < kKekCheckBytes) {
    return fail(ErrorCode::kInternal, "HMAC-SHA-256 failed");
  }
  KekCheck check{};
  std::copy_n(digest.begin(), check.size(), check.begin());
  return check;
}

KeyVersion* KeyringKey::find(std::uint32_t number) {
  const auto found = std::ranges::find(versions, number, &KeyVersion::number);
  return found == versions.end() ? nullptr : &*found;
}

KeyringKey* Keyring::find(std::string_view name) {
  const auto found = std::ranges::find(keys, name, &KeyringKey::name);
  return found == keys.end() ? nullptr : &*found;
}

std::size_t Keyring::versions() const {
  std::size_t count = 0;
  for (const KeyringKey& key : keys) count += key.versions.size();
  return count;
}

bool valid_key_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxKeyName || !lower_or_digit(name.front())) return false;
  return std::ranges::all_of(
      name, [](char c) { return lower_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

std::optional<std::uint32_t> parse_version_number(std::string_view text) {
  if (text.empty() || text.size() > 10 || text.front() == '0') return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (value > UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

std::string format_created(WallMillis created) {
  const chrono::sys_seconds time{chrono::floor<chrono::seconds>(chrono::milliseconds(created))};
  const chrono::sys_days day = chrono::floor<chrono::days>(time);
  const chrono::year_month_day date(day);
  const chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::optional<WallMillis> parse_created(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kShape[i] != '0' && text[i] != kShape[i]) return std::nullopt;
  }
  const auto year_number = digits(text.substr(0, 4));
  const auto month_number = digits(text.substr(5, 2));
  const auto day_number = digits(text.substr(8, 2));
  const auto hour = digits(text.substr(11, 2));
  const auto minute = digits(text.substr(14, 2));
  const auto second = digits(text.substr(17, 2));
  if (!year_number || !month_number || !day_number || !hour || !minute || !second) {
    return std::nullopt;
  }
  const chrono::year_month_day date{chrono::year(static_cast<int>(*year_number)),
                                    chrono::month(*month_number), chrono::day(*day_number)};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const chrono::sys_seconds time = chrono::sys_days(date) + chrono::hours(*hour) +
                                   chrono::minutes(*minute) + chrono::seconds(*second);
  return chrono::duration_cast<chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string KeyringParser::where() const { return fmt::format("{}:{}: ", file_, line_); }

Result<void> KeyringParser::line(std::string_view text) {
  ++line_;
  if (text.size() > kMaxKeyringLine) {
    return fail(ErrorCode::kInvalid, "{}line longer than {} characters", where(), kMaxKeyringLine);
  }
  switch (state_) {
    case State::kHeader:
      return header_line(text);
    case State::kEnded:
      return fail(ErrorCode::kInvalid, "{}text after `end`: remove it", where());
    case State::kKeys:
      break;
  }
  if (text == kEnd) {
    DRAWBRIDGE_TRY(close_key());
    state_ = State::kEnded;
    return {};
  }
  if (text.starts_with(kKeyPrefix)) {
    DRAWBRIDGE_TRY(close_key());
    return key_line(text.substr(kKeyPrefix.size()));
  }
  if (text.starts_with(kVersionPrefix)) return version_line(text.substr(kVersionPrefix.size()));
  // What stands there is not quoted: it may be key material.
  return fail(ErrorCode::kInvalid, "{}expected `key NAME`, `version ...` or `end`", where());
}

Result<void> KeyringParser::header_line(std::string_view text) {
  const auto magic = take_field(text);
  const auto number = parse_version_number(text);
  if (!magic || *magic != kKeyringMagic || !number) {
    return fail(ErrorCode::kInvalid,
                "{}not a keyring: it begins with `{} {}` (drawbridge keys create makes one)",
                where(), kKeyringMagic, kKeyringFormat);
  }
  if (*number != kKeyringFormat) {
    return fail(ErrorCode::kForeign,
                "{}keyring format {} is newer than this program, which reads format {}", where(),
                *number, kKeyringFormat);
  }
  state_ = State::kKeys;
  return {};
}

Result<void> KeyringParser::key_line(std::string_view name) {
  if (!valid_key_name(name)) {
    return fail(ErrorCode::kInvalid,
                "{}bad key name: 1 to {} of a-z 0-9 . _ -, beginning with a letter or digit",
                where(), kMaxKeyName);
  }
  if (keyring_.find(name) != nullptr) {
    return fail(ErrorCode::kInvalid, "{}key `{}` is there twice: rename or remove one", where(),
                name);
  }
  keyring_.keys.push_back({std::string(name), {}});
  return {};
}

Result<void> KeyringParser::version_line(std::string_view fields) {
  if (keyring_.keys.empty()) {
    return fail(ErrorCode::kInvalid, "{}a version before any `key NAME`", where());
  }
  std::vector<KeyVersion>& versions = keyring_.keys.back().versions;
  const auto number_text = take_field(fields);
  const auto state_text = take_field(fields);
  const auto created_text = take_field(fields);
  const auto check_text = take_field(fields);
  if (!number_text || !state_text || !created_text || !check_text) {
    return fail(ErrorCode::kInvalid,
                "{}a version has five fields: number, state, created, check, material", where());
  }
  KeyVersion version;
  const auto number = parse_version_number(*number_text);
  if (!number) {
    return fail(ErrorCode::kInvalid, "{}bad version number: 1 to 4294967295, no leading zero",
                where());
  }
  version.number = *number;
  if (!versions.empty() && versions.back().number >= *number) {
    return fail(ErrorCode::kInvalid, "{}version numbers must rise: {} comes after {}", where(),
                *number, versions.back().number);
  }
  if (*state_text == name_of(KeyState::kEnabled)) {
    version.state = KeyState::kEnabled;
  } else if (*state_text == name_of(KeyState::kDisabled)) {
    version.state = KeyState::kDisabled;
  } else {
    return fail(ErrorCode::kInvalid, "{}bad state: `enabled` or `disabled`", where());
  }
  const auto created = parse_created(*created_text);
  if (!created) {
    return fail(ErrorCode::kInvalid, "{}bad time: written as 2026-01-02T03:04:05Z", where());
  }
  version.created = *created;
  if (++versions_ > kMaxKeyringVersions) {
    return fail(ErrorCode::kInvalid, "{}more than {} versions in one keyring", where(),
                kMaxKeyringVersions);
  }
  auto material = SecretBytes::zeroed(kKekBytes);
  if (!material) return fail(material.error().code, "{}{}", where(), material.error().message);
  if (!decode_material(fields, material->reveal_mutable(SecretAccess{}))) {
    return fail(ErrorCode::kInvalid, "{}bad material: base64 of {} bytes, {} characters", where(),
                kKekBytes, kMaterialText);
  }
  version.material = std::move(*material);
  DRAWBRIDGE_ASSIGN(version.check, check_of(version.material));
  if (*check_text != to_hex(version.check)) {
    return fail(ErrorCode::kInvalid,
                "{}the check does not fit the material: the line is damaged, restore it", where());
  }
  versions.push_back(std::move(version));
  return {};
}

Result<void> KeyringParser::close_key() const {
  if (keyring_.keys.empty() || !keyring_.keys.back().versions.empty()) return {};
  return fail(ErrorCode::kInvalid, "{}key `{}` has no version", where(), keyring_.keys.back().name);
}

Result<Keyring> KeyringParser::finish() {
  if (state_ != State::kEnded) {
    return fail(ErrorCode::kInvalid,
                "{}:{}: the last line is not `end`: the file is cut short, restore it", file_,
                line_ + 1);
  }
  return std::move(keyring_);
}

Result<Keyring> parse_keyring(std::string_view text, std::string file) {
  KeyringParser parser(std::move(file));
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return fail(ErrorCode::kInvalid, "{}the next line has no line feed: the file is cut short",
                  parser.where());
    }
    DRAWBRIDGE_TRY(parser.line(text.substr(0, end)));
    text.remove_prefix(end + 1);
  }
  return parser.finish();
}

Result<std::size_t> format_version_line(const KeyVersion& version, SecretBytes& line) {
  const std::string head =
      fmt::format("{}{} {} {} {} ", kVersionPrefix, version.number, name_of(version.state),
                  format_created(version.created), to_hex(version.check));
  const ByteView material = version.material.reveal(SecretAccess{});
  const MutableBytes out = line.reveal_mutable(SecretAccess{});
  // EVP_EncodeBlock writes a NUL behind the text, where the line feed then goes.
  const std::size_t size = head.size() + kMaterialText + 1;
  if (material.size() != kKekBytes || size > kMaxKeyringLine + 1 || size > out.size()) {
    return fail(ErrorCode::kInternal, "a keyring line that cannot be written");
  }
  std::memcpy(out.data(), head.data(), head.size());
  if (EVP_EncodeBlock(out.data() + head.size(), material.data(),
                      static_cast<int>(material.size())) != static_cast<int>(kMaterialText)) {
    return fail(ErrorCode::kInternal, "base64 encoding failed");
  }
  out[size - 1] = '\n';
  return size;
}

std::string format_header_line() { return fmt::format("{} {}\n", kKeyringMagic, kKeyringFormat); }
std::string format_key_line(const KeyringKey& key) {
  return fmt::format("{}{}\n", kKeyPrefix, key.name);
}
std::string format_end_line() { return fmt::format("{}\n", kEnd); }

}  // namespace drawbridge

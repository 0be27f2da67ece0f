// The keyring's parser: any text is refused, or means exactly the bytes it is written back as.
#include <cstdlib>
#include <string>

#include "bridge/keys/keyring.h"

namespace {

using drawbridge::SecretAccess;

std::string written(const drawbridge::Keyring& keyring) {
  auto line = drawbridge::SecretBytes::zeroed(drawbridge::kMaxKeyringLine + 1);
  if (!line) std::abort();
  std::string text = drawbridge::format_header_line();
  for (const auto& key : keyring.keys) {
    text += drawbridge::format_key_line(key);
    for (const auto& version : key.versions) {
      const auto size = drawbridge::format_version_line(version, *line);
      if (!size) std::abort();
      text += drawbridge::as_text(line->reveal(SecretAccess{}).first(*size));
    }
  }
  return text + drawbridge::format_end_line();
}

// A keyring made of the input, so that the fuzzer need not guess a check.
drawbridge::Keyring made_of(drawbridge::ByteView bytes) {
  drawbridge::Keyring keyring;
  std::uint32_t number = 0;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), drawbridge::kKekBytes));
    bytes = bytes.subspan(piece.size());
    if (keyring.keys.empty() || piece[0] % 4 == 0) {
      keyring.keys.emplace_back().name = "k" + std::to_string(keyring.keys.size());
      number = 0;
    }
    auto material = drawbridge::SecretBytes::zeroed(drawbridge::kKekBytes);
    if (!material) std::abort();
    std::copy(piece.begin(), piece.end(), material->reveal_mutable(SecretAccess{}).begin());
    auto& version = keyring.keys.back().versions.emplace_back();
    number += 1U + piece[0];
    version.number = number;
    version.state =
        piece[0] % 2 == 0 ? drawbridge::KeyState::kEnabled : drawbridge::KeyState::kDisabled;
    version.created = static_cast<drawbridge::WallMillis>(number) * 1'000'000'000;
    version.check = drawbridge::check_of(*material).value();
    version.material = std::move(*material);
  }
  return keyring;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const drawbridge::ByteView bytes(data, size);
  const std::string_view text = drawbridge::as_text(bytes);
  if (const auto parsed = drawbridge::parse_keyring(text, "fuzz"); parsed) {
    if (written(*parsed) != text) std::abort();
  } else if (!parsed.error().message.starts_with("fuzz:")) {
    std::abort();
  }

  // Intact round-trips; damaged fails, or means what it says.
  if (size == 0 || size > 32 * drawbridge::kKekBytes) return 0;
  std::string good = written(made_of(bytes));
  const auto again = drawbridge::parse_keyring(good, "fuzz");
  if (!again || written(*again) != good) std::abort();
  good[(data[0] * 257U + data[size - 1]) % good.size()] ^= static_cast<char>(1 + data[0] % 127);
  if (const auto damaged = drawbridge::parse_keyring(good, "fuzz");
      damaged && written(*damaged) != good) {
    std::abort();
  }
  return 0;
}

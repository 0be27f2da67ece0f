// Shared by the tests of formats.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>
#include <string>

#include "bridge/checkpoint/value.h"

namespace drawbridge {

// The body with a checksum that matches, so that what follows the checksum is reached.
inline Bytes sealed(ByteView key, Bytes body) {
  seal_value(key, body);
  return body;
}

// A document's hexadecimal in the section of that heading, from the line that starts with `label`
// to the one before `end`. It stands from the 8th column on, up to the first other word.
inline Bytes document_bytes(const std::string& document, const std::string& heading,
                            const std::string& label, const std::string& end) {
  std::ifstream file(DRAWBRIDGE_SOURCE_DIR "/bridge/checkpoint/" + document);
  Bytes bytes;
  std::string line;
  while (std::getline(file, line) && line != heading) {
  }
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with(label)) inside = true;
    if (inside && line.starts_with(end)) break;
    if (!inside || line.size() < 7 || line.starts_with("       kind")) continue;
    std::istringstream words(line.substr(7));
    for (std::string word; words >> word;) {
      const bool hex = word.size() == 2 &&
                       std::ranges::all_of(word, [](unsigned char c) { return std::isxdigit(c); });
      if (!hex) break;
      bytes.push_back(from_hex(word).value()[0]);
    }
  }
  return bytes;
}

}  // namespace drawbridge

#include <algorithm>
#include <array>
#include <cstdint>

#include "audio.h"

namespace keyword {

std::size_t PcmReader::Read(std::span<float> samples) {
  std::array<unsigned char, 2 * 1024> bytes;
  std::size_t done = 0;
  while (done < samples.size()) {
    const std::size_t wanted = std::min(samples.size() - done, bytes.size() / 2);
    // fread() returns short only at the end of the stream or on an error, so a sample can only
    // be split at the very end.
    const std::size_t got = std::fread(bytes.data(), 1, 2 * wanted, file_) / 2;
    for (std::size_t i = 0; i < got; ++i) {
      const auto bits = static_cast<std::uint16_t>(bytes[2 * i] | (bytes[2 * i + 1] << 8));
      samples[done + i] = static_cast<float>(static_cast<std::int16_t>(bits)) * (1.0f / 32768.0f);
    }
    done += got;
    if (got < wanted) {
      failed_ = std::ferror(file_) != 0;
      break;
    }
  }
  return done;
}

}  // namespace keyword

// ReadAudioFile for programs without libsndfile, such as the static one for boards: a file is raw
// PCM, as PcmReader reads it (arecord -t raw; sox in.wav -r 16000 -c 1 -b 16 -e signed out.raw).
#include <array>
#include <cstdio>
#include <memory>
#include <string_view>

#include "audio.h"

namespace keyword {

bool ReadAudioFile(const std::string& path, std::vector<float>* samples, std::string* error) {
  samples->clear();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  if (file == nullptr) {
    *error = path + ": cannot be opened";
    return false;
  }
  // As PCM a sound file's header would be a click, and its samples might be anything.
  char start[4] = {};
  if (std::fread(start, 1, sizeof(start), file.get()) == sizeof(start) &&
      std::string_view(start, sizeof(start)) == "RIFF") {
    *error = path + ": a WAV file, but this program was built for raw PCM alone";
    return false;
  }
  std::rewind(file.get());
  PcmReader reader(file.get());
  std::array<float, 4096> block;
  for (std::size_t count; (count = reader.Read(block)) != 0;) {
    samples->insert(samples->end(), block.begin(), block.begin() + static_cast<long>(count));
  }
  if (reader.failed() || samples->empty()) {
    samples->clear();
    *error = path + (reader.failed() ? ": cannot be read" : ": holds no samples");
    return false;
  }
  return true;
}

}  // namespace keyword

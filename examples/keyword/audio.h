// Audio input of the keyword spotter: sound files of any kind libsndfile reads, and raw PCM.
#ifndef LANEFUSE_EXAMPLES_KEYWORD_AUDIO_H_
#define LANEFUSE_EXAMPLES_KEYWORD_AUDIO_H_

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace keyword {

// Reads a whole sound file as 16 kHz mono in [-1, 1]: channels are averaged, other sample rates
// are converted with a band-limited resampler. Returns false with a message in `error`, and
// `samples` empty, if the file cannot be opened, is damaged, is empty or holds values that are
// not finite.
[[nodiscard]] bool ReadAudioFile(const std::string& path, std::vector<float>* samples,
                                 std::string* error);

// Reads signed 16-bit little-endian mono PCM at 16 kHz from a stream such as stdin.
class PcmReader {
 public:
  // `file` stays open and must outlive the reader.
  explicit PcmReader(std::FILE* file) : file_(file) {}

  // Fills `samples` as far as the stream allows, waiting for input, and returns the number of
  // samples read. Fewer than asked for means the end of the stream or an error; a stray odd byte
  // at the end is dropped.
  std::size_t Read(std::span<float> samples);

  // Whether reading stopped because of an input error rather than the end of the stream.
  bool failed() const { return failed_; }

 private:
  std::FILE* file_;
  bool failed_ = false;
};

}  // namespace keyword

#endif  // LANEFUSE_EXAMPLES_KEYWORD_AUDIO_H_

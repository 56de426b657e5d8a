// keyword_features: runs the front end alone, for training.
//
//   keyword_features --clips < clips.f32 > features.f32
//       Reads one-second clips (16000 native float32 samples each) until the end of input and
//       writes 490 native float32 coefficients for each.
//   keyword_features [--step FRAMES] FILE... > features.f32
//       Reads sound files and writes 490 coefficients for the first second of each (shorter files
//       are padded with zeros). With --step, also for the second that starts FRAMES hops of 20 ms
//       later, and so on while a whole second is left.
//
// The coefficients are not normalised.
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "audio.h"
#include "frontend.h"

namespace {

using keyword::kClipSamples;
using keyword::kFeatures;

bool Write(std::span<const float> values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), stdout) == values.size()) {
    return true;
  }
  std::fprintf(stderr, "keyword_features: cannot write to standard output\n");
  return false;
}

bool ConvertClips() {
  keyword::FrontEnd front_end;
  std::vector<float> clip(kClipSamples);
  std::array<float, kFeatures> features;
  for (;;) {
    const std::size_t bytes = std::fread(clip.data(), 1, kClipSamples * sizeof(float), stdin);
    if (bytes == 0) break;
    if (bytes != kClipSamples * sizeof(float)) {
      std::fprintf(stderr, "keyword_features: the last clip is incomplete\n");
      return false;
    }
    if (!front_end.Mfcc(clip, features) || !Write(features)) return false;
  }
  return std::ferror(stdin) == 0;
}

bool ConvertFile(const std::string& path, std::size_t step) {
  std::vector<float> samples;
  std::string error;
  if (!keyword::ReadAudioFile(path, &samples, &error)) {
    std::fprintf(stderr, "keyword_features: %s\n", error.c_str());
    return false;
  }
  if (samples.size() < kClipSamples) samples.resize(kClipSamples);
  keyword::FeatureStream stream;
  std::array<float, kFeatures> features;
  std::span<const float> rest(samples);
  while (!rest.empty()) {
    bool new_frame = false;
    rest = rest.subspan(stream.Push(rest, &new_frame));
    if (!new_frame || !stream.ready()) continue;
    const std::size_t start = stream.frames() - keyword::kFrames;
    if (step == 0 ? start != 0 : start % step != 0) continue;
    // The last window has to be a whole second, not just 49 frames.
    if (start * keyword::kHopSamples + kClipSamples > samples.size()) break;
    stream.Features(features);
    if (!Write(features)) return false;
  }
  return true;
}

int Usage() {
  std::fprintf(stderr, "usage: keyword_features --clips | [--step FRAMES] FILE...\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--clips") == 0) {
    return ConvertClips() && std::fflush(stdout) == 0 ? 0 : 1;
  }
  int first = 1;
  std::size_t step = 0;
  if (argc > 2 && std::strcmp(argv[1], "--step") == 0) {
    const char* end = argv[2] + std::strlen(argv[2]);
    const auto [last, code] = std::from_chars(argv[2], end, step);
    if (code != std::errc() || last != end || step == 0) return Usage();
    first = 3;
  }
  if (first >= argc || argv[first][0] == '-') return Usage();
  for (int i = first; i < argc; ++i) {
    if (!ConvertFile(argv[i], step)) return 1;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

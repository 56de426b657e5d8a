#include "audio.h"

#include <samplerate.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "frontend.h"

namespace keyword {
namespace {

struct SoundFileCloser {
  void operator()(SNDFILE* file) const { sf_close(file); }
};
using SoundFile = std::unique_ptr<SNDFILE, SoundFileCloser>;

// Reads to the end in blocks: the frame count in a header may be wrong or unknown (pipes).
bool ReadMono(SNDFILE* file, int channels, std::vector<float>* mono, std::string* error) {
  constexpr sf_count_t kBlock = 4096;
  const auto width = static_cast<std::size_t>(channels);
  std::vector<float> block(static_cast<std::size_t>(kBlock) * width);
  for (;;) {
    const sf_count_t frames = sf_readf_float(file, block.data(), kBlock);
    if (frames <= 0) break;
    for (std::size_t f = 0; f < static_cast<std::size_t>(frames); ++f) {
      double sum = 0.0;
      for (std::size_t c = 0; c < width; ++c) sum += block[f * width + c];
      const double mean = sum / channels;
      if (!std::isfinite(mean)) {
        *error = "holds samples that are not finite";
        return false;
      }
      mono->push_back(static_cast<float>(mean));
    }
  }
  if (sf_error(file) != SF_ERR_NO_ERROR) {
    *error = sf_strerror(file);
    return false;
  }
  if (mono->empty()) {
    *error = "holds no samples";
    return false;
  }
  return true;
}

bool Resample(int from_rate, std::vector<float>* samples, std::string* error) {
  const double ratio = static_cast<double>(kSampleRate) / from_rate;
  if (!src_is_valid_ratio(ratio)) {
    *error = "has a sample rate of " + std::to_string(from_rate) + " Hz, which is out of range";
    return false;
  }
  const double out_frames = std::ceil(static_cast<double>(samples->size()) * ratio) + 1.0;
  constexpr double kMaxFrames = static_cast<double>(std::numeric_limits<std::int32_t>::max());
  if (out_frames > kMaxFrames || static_cast<double>(samples->size()) > kMaxFrames) {
    *error = "is too long";
    return false;
  }
  std::vector<float> out(static_cast<std::size_t>(out_frames));
  SRC_DATA data{};
  data.data_in = samples->data();
  data.input_frames = static_cast<long>(samples->size());
  data.data_out = out.data();
  data.output_frames = static_cast<long>(out.size());
  data.src_ratio = ratio;
  if (const int code = src_simple(&data, SRC_SINC_MEDIUM_QUALITY, /*channels=*/1); code != 0) {
    *error = std::string("cannot be resampled: ") + src_strerror(code);
    return false;
  }
  // The converter may stop a sample short of the nominal length, where `out` is still zero.
  out.resize(std::max<std::size_t>(
      1, static_cast<std::size_t>(std::llround(static_cast<double>(samples->size()) * ratio))));
  *samples = std::move(out);
  return true;
}

}  // namespace

bool ReadAudioFile(const std::string& path, std::vector<float>* samples, std::string* error) {
  samples->clear();
  SF_INFO info{};
  const SoundFile file(sf_open(path.c_str(), SFM_READ, &info));
  if (file == nullptr) {
    *error = path + ": " + sf_strerror(nullptr);
    return false;
  }
  std::string what;
  bool ok = info.channels > 0 && info.samplerate > 0;
  if (!ok) what = "has no usable sample rate or channel count";
  ok = ok && ReadMono(file.get(), info.channels, samples, &what);
  if (ok && info.samplerate != kSampleRate) ok = Resample(info.samplerate, samples, &what);
  if (!ok) {
    samples->clear();
    *error = path + ": " + what;
  }
  return ok;
}

}  // namespace keyword

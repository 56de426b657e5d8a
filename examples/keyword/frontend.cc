#include "frontend.h"

#include <kiss_fftr.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>

namespace keyword {
namespace {

constexpr std::size_t kFftSize = 512;  // The next power of two above the window.
constexpr std::size_t kBins = kFftSize / 2 + 1;
constexpr std::size_t kBands = 40;
constexpr double kLowestHz = 20.0;
constexpr double kHighestHz = 7600.0;  // Below Nyquist, where resampling filters roll off.

// Added to a band's energy before the logarithm. It corresponds to noise at about -80 dB of full
// scale, so digital silence and the rounding noise of 16-bit files look alike.
constexpr float kEnergyFloor = 1e-6f;

double HzToMel(double hz) { return 1127.0 * std::log1p(hz / 700.0); }

struct FftDeleter {
  void operator()(kiss_fftr_state* state) const { kiss_fftr_free(state); }
};

}  // namespace

struct FrontEnd::Tables {
  Tables();

  std::unique_ptr<kiss_fftr_state, FftDeleter> fft;
  std::array<float, kWindowSamples> window;
  // Triangular bands overlap by half, so a bin lies on the falling side of one band and on the
  // rising side of the next: two weights for each bin describe the whole filter bank. Band b is
  // stored at b + 1: slots 0 and kBands + 1 collect what falls outside and are ignored.
  std::array<std::size_t, kBins> slot;
  std::array<float, kBins> falling;
  std::array<float, kBins> rising;
  std::array<float, kCoefficients * kBands> dct;
  // Scratch. Samples beyond the window stay zero: they pad the transform.
  std::array<float, kFftSize> padded{};
  std::array<kiss_fft_cpx, kBins> spectrum{};
};

FrontEnd::Tables::Tables()
    : fft(kiss_fftr_alloc(static_cast<int>(kFftSize), /*inverse_fft=*/0, nullptr, nullptr)) {
  if (fft == nullptr) throw std::bad_alloc();
  // Tables are computed in double so that the float values do not depend on the order of
  // operations a compiler picks.
  constexpr double kPi = std::numbers::pi;
  for (std::size_t i = 0; i < kWindowSamples; ++i) {
    const double phase = 2.0 * kPi * static_cast<double>(i) / kWindowSamples;
    window[i] = static_cast<float>(0.5 - 0.5 * std::cos(phase));
  }
  const double low = HzToMel(kLowestHz);
  const double step = (HzToMel(kHighestHz) - low) / (kBands + 1);
  for (std::size_t k = 0; k < kBins; ++k) {
    const double hz = static_cast<double>(k) * kSampleRate / kFftSize;
    // Band b has its peak at position b + 1 of this axis and reaches zero one step either side.
    const double position = (HzToMel(hz) - low) / step;
    slot[k] = 0;
    falling[k] = 0.0f;
    rising[k] = 0.0f;
    if (position < 0.0 || position >= kBands + 1.0) continue;
    slot[k] = static_cast<std::size_t>(position);
    const double fraction = position - std::floor(position);
    falling[k] = static_cast<float>(1.0 - fraction);
    rising[k] = static_cast<float>(fraction);
  }
  for (std::size_t c = 0; c < kCoefficients; ++c) {
    const double scale = std::sqrt((c == 0 ? 1.0 : 2.0) / kBands);  // Orthonormal DCT-II.
    for (std::size_t b = 0; b < kBands; ++b) {
      const double angle = kPi * static_cast<double>(c) * (static_cast<double>(b) + 0.5) / kBands;
      dct[c * kBands + b] = static_cast<float>(scale * std::cos(angle));
    }
  }
}

FrontEnd::FrontEnd() : tables_(std::make_unique<Tables>()) {}
FrontEnd::~FrontEnd() = default;

void FrontEnd::Frame(std::span<const float, kWindowSamples> samples,
                     std::span<float, kCoefficients> coefficients) {
  Tables& t = *tables_;
  for (std::size_t i = 0; i < kWindowSamples; ++i) t.padded[i] = samples[i] * t.window[i];
  kiss_fftr(t.fft.get(), t.padded.data(), t.spectrum.data());

  std::array<float, kBands + 2> energy{};
  for (std::size_t k = 0; k < kBins; ++k) {
    const kiss_fft_cpx bin = t.spectrum[k];
    const float power = bin.r * bin.r + bin.i * bin.i;
    energy[t.slot[k]] += t.falling[k] * power;
    energy[t.slot[k] + 1] += t.rising[k] * power;
  }
  std::array<float, kBands> log_energy;
  for (std::size_t b = 0; b < kBands; ++b) log_energy[b] = std::log(energy[b + 1] + kEnergyFloor);
  for (std::size_t c = 0; c < kCoefficients; ++c) {
    float sum = 0.0f;
    for (std::size_t b = 0; b < kBands; ++b) sum += t.dct[c * kBands + b] * log_energy[b];
    coefficients[c] = sum;
  }
}

bool FrontEnd::Mfcc(std::span<const float> clip, std::span<float> features) {
  if (clip.size() != kClipSamples || features.size() != kFeatures) return false;
  for (std::size_t f = 0; f < kFrames; ++f) {
    Frame(clip.subspan(f * kHopSamples).first<kWindowSamples>(),
          features.subspan(f * kCoefficients).first<kCoefficients>());
  }
  return true;
}

std::size_t FeatureStream::Push(std::span<const float> samples, bool* new_frame) {
  *new_frame = false;
  const std::size_t consumed = std::min(samples.size(), kWindowSamples - filled_);
  std::copy_n(samples.begin(), consumed, window_.begin() + static_cast<std::ptrdiff_t>(filled_));
  filled_ += consumed;
  if (filled_ < kWindowSamples) return consumed;

  const std::size_t row = frames_ % kFrames;
  front_end_.Frame(window_, std::span(ring_).subspan(row * kCoefficients).first<kCoefficients>());
  ++frames_;
  *new_frame = true;
  // The next window starts one hop later and shares the rest with this one.
  std::copy(window_.begin() + kHopSamples, window_.end(), window_.begin());
  filled_ = kWindowSamples - kHopSamples;
  return consumed;
}

void FeatureStream::Features(std::span<float, kFeatures> features) const {
  const std::size_t oldest = (frames_ % kFrames) * kCoefficients;
  std::rotate_copy(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(oldest), ring_.end(),
                   features.begin());
}

void FeatureStream::Reset() {
  filled_ = 0;
  frames_ = 0;
}

void Normalise(std::span<const float, kCoefficients> mean,
               std::span<const float, kCoefficients> deviation,
               std::span<float, kFeatures> features) {
  for (std::size_t i = 0; i < kFeatures; ++i) {
    const std::size_t c = i % kCoefficients;
    features[i] = (features[i] - mean[c]) / deviation[c];
  }
}

}  // namespace keyword

// MFCC front end of the keyword spotter: 16 kHz mono audio in, ten cepstral coefficients for each
// 30 ms window out, one window every 20 ms.
//
// The same code serves training (through the keyword_features tool) and inference, so the network
// never meets features computed in a different way from those it was trained on.
#ifndef LANEFUSE_EXAMPLES_KEYWORD_FRONTEND_H_
#define LANEFUSE_EXAMPLES_KEYWORD_FRONTEND_H_

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace keyword {

inline constexpr int kSampleRate = 16000;
inline constexpr std::size_t kClipSamples = 16000;  // One second.
inline constexpr std::size_t kWindowSamples = 480;  // 30 ms.
inline constexpr std::size_t kHopSamples = 320;     // 20 ms.
inline constexpr std::size_t kFrames = (kClipSamples - kWindowSamples) / kHopSamples + 1;
inline constexpr std::size_t kCoefficients = 10;
inline constexpr std::size_t kFeatures = kFrames * kCoefficients;
static_assert(kFrames == 49 && kFeatures == 490);

// Computes MFCCs. Every frame depends on its own 480 samples and on nothing else, so a frame
// computed once stays valid while the one-second window slides over it.
//
// One object must not be used by two threads at a time; separate objects share nothing.
class FrontEnd {
 public:
  FrontEnd();
  ~FrontEnd();
  FrontEnd(const FrontEnd&) = delete;
  FrontEnd& operator=(const FrontEnd&) = delete;

  // One frame: 480 samples, nominally in [-1, 1], to ten coefficients (c0 first), not normalised.
  void Frame(std::span<const float, kWindowSamples> samples,
             std::span<float, kCoefficients> coefficients);

  // One second: 49 frames of ten coefficients, frame-major (the NHWC layout of the network's
  // 49 x 10 x 1 input). The last 160 samples of the second belong to no window.
  // Returns false, leaving `features` alone, unless the sizes are kClipSamples and kFeatures.
  [[nodiscard]] bool Mfcc(std::span<const float> clip, std::span<float> features);

 private:
  struct Tables;
  std::unique_ptr<Tables> tables_;
};

// Keeps the features of the most recent second of a stream. Each frame is computed once, however
// often the window over it is classified.
class FeatureStream {
 public:
  // Appends samples, any number of them. Stops early right after a new frame has been completed
  // and returns the number of samples consumed; call again with the rest. `new_frame` tells
  // whether a frame was completed.
  std::size_t Push(std::span<const float> samples, bool* new_frame);

  // True once a whole second (49 frames) is available.
  bool ready() const { return frames_ >= kFrames; }

  // Frames completed since construction or Reset().
  std::size_t frames() const { return frames_; }

  // Copies the latest 49 frames, oldest first, not normalised. Requires ready().
  void Features(std::span<float, kFeatures> features) const;

  void Reset();

 private:
  FrontEnd front_end_;
  std::array<float, kWindowSamples> window_{};
  std::size_t filled_ = 0;  // Valid samples at the front of window_.
  std::array<float, kFeatures> ring_{};
  std::size_t frames_ = 0;  // Frame i is stored in ring row i % kFrames.
};

// In place: feature[t][c] = (feature[t][c] - mean[c]) / deviation[c], with the statistics that
// training stored next to the weights. The first convolution pads with zeros after this step, so
// the normalisation cannot be folded into its weights without changing the border.
void Normalise(std::span<const float, kCoefficients> mean,
               std::span<const float, kCoefficients> deviation,
               std::span<float, kFeatures> features);

}  // namespace keyword

#endif  // LANEFUSE_EXAMPLES_KEYWORD_FRONTEND_H_

// The DS-CNN keyword spotter: one fused call of Lanefuse for each layer.
//
//   49 x 10 x 1   convolution 10 x 4, stride 2, "same" padding, 64 channels, ReLU
//   25 x 5 x 64   four times: depthwise 3 x 3, ReLU; pointwise to 64 channels, ReLU
//   25 x 5 x 64   average over all pixels
//   64            fully connected to 12 words, softmax
//
// Every batchnorm is folded into the weights (pack_main.cc), so bias and ReLU are all that is left
// behind the sums, and they run while the sums are in registers.
#ifndef LANEFUSE_EXAMPLES_KEYWORD_NETWORK_H_
#define LANEFUSE_EXAMPLES_KEYWORD_NETWORK_H_

#include <lanefuse/lanefuse.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "frontend.h"

namespace keyword {

inline constexpr std::size_t kClasses = 12;
inline constexpr std::array<const char*, kClasses> kWords = {
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "unknown", "silence"};
inline constexpr std::size_t kUnknown = 10;  // this class and the next are no words

inline constexpr std::size_t kHeight = 25, kWidth = 5, kChannels = 64, kBlocks = 4;
inline constexpr std::size_t kActivations = kHeight * kWidth * kChannels;

// The layers of the network in the order in which the weight file holds them: the convolution, then
// a depthwise and a pointwise one for each block; the fully connected layer comes last.
inline constexpr std::size_t kConvolutions = 1 + 2 * kBlocks;
lanefuse::Conv2dShape ShapeOf(std::size_t convolution);

// keyword.lfw: this header, then for each layer its packed bytes, each at a multiple of 64.
struct WeightFileHeader {
  char magic[8] = {'L', 'F', 'K', 'W', 'S', '1', '\n', '\0'};
  std::uint32_t sizes[kConvolutions + 1] = {};  // bytes of each layer, before rounding up
  float mean[kCoefficients] = {};               // of the front end's coefficients
  float deviation[kCoefficients] = {};
};
constexpr std::size_t RoundUp64(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

class Network {
 public:
  Network() = default;
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Maps a weight file and points the layers at it; nothing is copied. Returns false with a message
  // in `error` if the file is missing, truncated, damaged or of another network.
  [[nodiscard]] bool Load(const std::string& path, std::string* error);

  // Features as they come from the front end, to the probability of each class. Twelve calls, no
  // allocation.
  [[nodiscard]] lanefuse::Status Classify(std::span<const float, kFeatures> features,
                                          std::span<float, kClasses> probabilities);

  // The same without the front end's normalisation: what a network alone costs.
  [[nodiscard]] lanefuse::Status Run(const float* normalised,
                                     std::span<float, kClasses> probabilities);

  const lanefuse::PackedConv2d& convolution(std::size_t i) const { return convolutions_[i]; }
  const lanefuse::PackedLinear& classifier() const { return classifier_; }

 private:
  void* map_ = nullptr;
  std::size_t map_size_ = 0;
  std::array<lanefuse::PackedConv2d, kConvolutions> convolutions_;
  lanefuse::PackedLinear classifier_;
  std::array<float, kCoefficients> mean_{}, deviation_{};
  alignas(64) std::array<float, kFeatures> input_{};
  alignas(64) std::array<float, kActivations> ping_{}, pong_{};
};

}  // namespace keyword

#endif  // LANEFUSE_EXAMPLES_KEYWORD_NETWORK_H_

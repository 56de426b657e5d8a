// A small network in oneDNN: layers prepared together and executed in order on one stream. It is
// the baseline for a whole model, such as the keyword example's DS-CNN:
//
//   const ChainLayer layers[] = {
//       {.kind = ChainLayer::kConvolution, .convolution = {...}, .weights = w0, .bias = b0,
//        .activation = Relu()},
//       ...
//       {.kind = ChainLayer::kAveragePool, .pool = {.kernel_h = 25, .kernel_w = 5}},
//       {.kind = ChainLayer::kConnected, .outputs = 12, .weights = w9, .bias = b9},
//       {.kind = ChainLayer::kSoftmax}};
//   Chain chain(1, 49, 10, 1, layers);
//   if (!chain.ready()) ...;                 // chain.error() says why
//   chain.SetInput(features);                // copies, plain NHWC
//   chain.Run();
//   chain.Output(probabilities);             // copies, plain
//
// Weights are in format_tag::any. For the activations between the layers three ways are prepared
// and the fastest is kept: every layer chooses and reorders join those that disagree; every layer
// takes what the one before it left and chooses its own output; all plain NHWC. Reorders are part
// of Run. Memory between the layers belongs to the chain.
#ifndef LANEFUSE_BENCH_ONEDNN_CHAIN_H_
#define LANEFUSE_BENCH_ONEDNN_CHAIN_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "bench/onednn/onednn.h"
#include "lanefuse/activation.h"
#include "lanefuse/conv.h"

namespace lanefuse::bench::onednn {

struct ChainLayer {
  enum Kind { kConvolution, kMaxPool, kAveragePool, kConnected, kSoftmax };

  Kind kind = kConvolution;
  Conv2dShape convolution{};
  Pool2dShape pool{};
  size_t outputs = 0;  // kConnected

  // kConvolution: dense OHWI. kConnected: outputs x (height * width * channels), a row in the order
  // of the NHWC input.
  std::span<const float> weights{};
  std::span<const float> bias{};  // or empty
  Activation activation{};

  // The tensor that it reads, and one that is added to its sums before the activation: 0 is the
  // input of the network, i + 1 what layer i makes. The one that is added becomes the output (a sum
  // is in place), so no later layer may read it.
  static constexpr size_t kPrevious = static_cast<size_t>(-1);
  static constexpr size_t kNothing = static_cast<size_t>(-1);
  size_t input = kPrevious;
  size_t add = kNothing;  // kConvolution
};

class Chain {
 public:
  // `layers` and their weights are copied. LimitIsa and SetThreads (onednn.h) come first.
  Chain(size_t images, size_t height, size_t width, size_t channels,
        std::span<const ChainLayer> layers);
  Chain(Chain&&) noexcept;
  Chain& operator=(Chain&&) noexcept;
  ~Chain();

  bool ready() const;
  const std::string& error() const { return error_; }
  // The way that was kept, and how many reorders it has: "each its own, 2 reorders".
  std::string choice() const;

  size_t input_size() const;
  size_t output_size() const;
  void SetInput(std::span<const float> x);
  // Executes every layer, then waits once.
  void Run();
  void Output(std::span<float> y) const;

  // The chain as one layer, with what SetInput gave it. The chain is then no longer ready.
  Layer AsLayer() &&;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
  std::string error_;
};

}  // namespace lanefuse::bench::onednn

#endif  // LANEFUSE_BENCH_ONEDNN_CHAIN_H_

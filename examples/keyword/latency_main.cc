// keyword_latency --list             prints the supported targets
// keyword_latency --target NAME      times the network on one thread: fused (one call a layer),
// unfused
//                                    (our own kernels, one step at a time) and, where oneDNN is
//                                    built in, as a chain of its primitives with post-ops
//
// All ways run interleaved, in blocks of a few runs, and the medians of the blocks are compared.
// Before anything is timed the outputs are checked: unfused must give the same bits, oneDNN nearly
// so.
#include <lanefuse/lanefuse.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "network.h"

#ifdef LANEFUSE_HAVE_ONEDNN
#include "bench/onednn/chain.h"
#include "bench/onednn/onednn.h"
#endif

#ifndef KEYWORD_WEIGHTS
#define KEYWORD_WEIGHTS "keyword.lfw"
#endif

namespace keyword {
namespace {

using lanefuse::Epilogue;
using lanefuse::ImageView;
using lanefuse::MatView;
using lanefuse::Status;

// Weights without their panels, and the layer packed again without its bias, so that multiplying,
// adding the bias and ReLU can be three passes.
struct PlainLayer {
  std::vector<float> weights;  // OHWI
  std::vector<float> bias;
  std::vector<std::byte> bytes;
  lanefuse::PackedConv2d convolution;
  lanefuse::PackedLinear linear;
};

// Output o, depth k of panels of 16 outputs (lanefuse/packed.h).
std::vector<float> Unpack(const float* panels, std::size_t outputs, std::size_t depth) {
  std::vector<float> weights(outputs * depth);
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t k = 0; k < depth; ++k) {
      weights[o * depth + k] = panels[(o / 16 * depth + k) * 16 + o % 16];
    }
  }
  return weights;
}

class Unfused {
 public:
  explicit Unfused(const Network& network) : ping_(kActivations), pong_(kActivations) {
    for (std::size_t i = 0; i < kConvolutions; ++i) {
      PlainLayer& layer = layers_[i];
      const lanefuse::Conv2dShape shape = ShapeOf(i);
      const std::size_t depth = shape.kernel_h * shape.kernel_w * shape.channels / shape.groups;
      layer.weights = Unpack(network.convolution(i).panels(), kChannels, depth);
      layer.bias.assign(network.convolution(i).bias(), network.convolution(i).bias() + kChannels);
      layer.bytes.resize(lanefuse::PackedConv2d::Bytes(shape));
      ok_ = ok_ && lanefuse::PackedConv2d::Pack(shape, layer.weights, {}, {}, layer.bytes,
                                                layer.convolution)
                       .ok();
    }
    PlainLayer& last = layers_[kConvolutions];
    last.weights = Unpack(network.classifier().panels(), kClasses, kChannels);
    last.bias.assign(network.classifier().bias(), network.classifier().bias() + kClasses);
    last.bytes.resize(lanefuse::PackedLinear::Bytes(kClasses, kChannels));
    ok_ = ok_ && lanefuse::PackedLinear::Pack({last.weights.data(), kClasses, kChannels}, {},
                                              nullptr, last.bytes, last.linear)
                     .ok();
  }
  bool ok() const { return ok_; }
  const PlainLayer& layer(std::size_t i) const { return layers_[i]; }

  // The passes of one layer's map: + bias, then ReLU, each a call of its own.
  static bool Passes(std::span<const float> bias, float* map) {
    const lanefuse::Parallel one{.threads = 1};
    const MatView<float> pixels(map, kActivations / kChannels, kChannels);
    return lanefuse::Apply(pixels, Epilogue().Bias(bias), pixels, one).ok() &&
           lanefuse::Apply(pixels, Epilogue().Act(lanefuse::Relu()), pixels, one).ok();
  }

  bool Run(const float* input, std::span<float, kClasses> probabilities) {
    const lanefuse::Parallel one{.threads = 1};
    float* from = ping_.data();
    float* to = pong_.data();
    const auto map = [](float* data) { return ImageView<float>(data, kHeight, kWidth, kChannels); };
    bool ok = lanefuse::Conv2d(ImageView<const float>(input, kFrames, kCoefficients, 1),
                               layers_[0].convolution, Epilogue(), map(from), one)
                  .ok() &&
              Passes(layers_[0].bias, from);
    for (std::size_t i = 1; ok && i < kConvolutions; ++i) {
      ok = lanefuse::Conv2d(map(from), layers_[i].convolution, Epilogue(), map(to), one).ok() &&
           Passes(layers_[i].bias, to);
      std::swap(from, to);
    }
    std::array<float, kChannels> average;
    const PlainLayer& last = layers_[kConvolutions];
    const MatView<float> row(probabilities);
    return ok &&
           lanefuse::GlobalAveragePool(map(from), Epilogue(), {average.data(), 1, 1, kChannels},
                                       one)
               .ok() &&
           lanefuse::Linear(MatView<const float>(average), last.linear, Epilogue(), row, one)
               .ok() &&
           lanefuse::Apply(row, Epilogue().Bias(last.bias), row, one).ok() &&
           lanefuse::Softmax(row, {}, row, one).ok();
  }

 private:
  std::array<PlainLayer, kConvolutions + 1> layers_;
  std::vector<float> ping_, pong_;
  bool ok_ = true;
};

#ifdef LANEFUSE_HAVE_ONEDNN
lanefuse::bench::onednn::Chain OnednnNetwork(const Unfused& plain) {
  using lanefuse::bench::onednn::ChainLayer;
  std::vector<ChainLayer> layers;
  for (std::size_t i = 0; i < kConvolutions; ++i) {
    ChainLayer layer{.kind = ChainLayer::kConvolution};
    layer.convolution = ShapeOf(i);
    layer.weights = plain.layer(i).weights;
    layer.bias = plain.layer(i).bias;
    layer.activation = lanefuse::Relu();
    layers.push_back(layer);
  }
  ChainLayer pool{.kind = ChainLayer::kAveragePool};
  pool.pool = {.kernel_h = kHeight, .kernel_w = kWidth};
  layers.push_back(pool);
  ChainLayer connected{.kind = ChainLayer::kConnected};
  connected.outputs = kClasses;
  connected.weights = plain.layer(kConvolutions).weights;
  connected.bias = plain.layer(kConvolutions).bias;
  layers.push_back(connected);
  layers.push_back({.kind = ChainLayer::kSoftmax});
  return {1, kFrames, kCoefficients, 1, layers};
}
#endif

// Median microseconds a run of each function, over interleaved blocks.
template <class... F>
std::array<double, sizeof...(F)> Medians(F&&... functions) {
  constexpr std::size_t kBlocks = 301, kRuns = 10;
  std::array<std::vector<double>, sizeof...(F)> times;
  const auto block = [](auto& function, std::vector<double>& to) {
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < kRuns; ++i) function();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
    to.push_back(time.count() / kRuns);
  };
  for (std::size_t b = 0; b < kBlocks; ++b) {
    std::size_t i = 0;
    (block(functions, times[i++]), ...);
  }
  std::array<double, sizeof...(F)> medians;
  for (std::size_t i = 0; i < times.size(); ++i) {
    std::nth_element(times[i].begin(), times[i].begin() + kBlocks / 2, times[i].end());
    medians[i] = times[i][kBlocks / 2];
  }
  return medians;
}

int Time(const char* target) {
  if (Status status = lanefuse::LimitTarget(target); !status.ok()) {
    std::fprintf(stderr, "keyword_latency: %s\n", status.message().c_str());
    return 1;
  }
  Network network;
  std::string error;
  if (!network.Load(KEYWORD_WEIGHTS, &error)) {
    std::fprintf(stderr, "keyword_latency: %s\n", error.c_str());
    return 1;
  }
  Unfused unfused(network);
  std::array<float, kFeatures> input;
  for (std::size_t i = 0; i < kFeatures; ++i) input[i] = std::sin(0.37f * static_cast<float>(i));
  std::array<float, kClasses> fused_result, unfused_result;
  if (!unfused.ok() || !network.Run(input.data(), fused_result).ok() ||
      !unfused.Run(input.data(), unfused_result)) {
    std::fprintf(stderr, "keyword_latency: a layer failed\n");
    return 1;
  }
  if (std::memcmp(&fused_result, &unfused_result, sizeof(fused_result)) != 0) {
    std::fprintf(stderr, "keyword_latency: fused and unfused differ\n");
    return 1;
  }
  const auto run_fused = [&] { (void)network.Run(input.data(), fused_result); };
  const auto run_unfused = [&] { (void)unfused.Run(input.data(), unfused_result); };
#ifdef LANEFUSE_HAVE_ONEDNN
  namespace onednn = lanefuse::bench::onednn;
  if (onednn::LimitIsa(target)) {
    onednn::SetThreads(1);
    onednn::Chain chain = OnednnNetwork(unfused);
    std::array<float, kClasses> result;
    if (chain.ready()) {
      chain.SetInput(input);
      chain.Run();
      chain.Output(result);
      for (std::size_t i = 0; i < kClasses; ++i) {
        if (!(std::fabs(result[i] - fused_result[i]) <= 1e-4f)) {
          std::fprintf(stderr, "keyword_latency: oneDNN's result differs\n");
          return 1;
        }
      }
      const auto [fused, plain, dnn] = Medians(run_fused, run_unfused, [&] { chain.Run(); });
      std::printf(
          "%-12s fused %7.2f us   unfused %7.2f us   oneDNN %7.2f us   fused/unfused %.2f   "
          "fused/oneDNN %.2f   (%s, %s)\n",
          target, fused, plain, dnn, fused / plain, fused / dnn, onednn::Version().c_str(),
          chain.choice().c_str());
      return 0;
    }
    std::fprintf(stderr, "keyword_latency: oneDNN: %s\n", chain.error().c_str());
  }
#endif
  const auto [fused, plain] = Medians(run_fused, run_unfused);
  std::printf("%-12s fused %7.2f us   unfused %7.2f us   oneDNN       -      fused/unfused %.2f\n",
              target, fused, plain, fused / plain);
  return 0;
}

}  // namespace
}  // namespace keyword

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const std::string_view name : lanefuse::SupportedTargets()) {
      std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
    }
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "--target") == 0) return keyword::Time(argv[2]);
  std::fprintf(stderr, "usage: keyword_latency --list | --target NAME\n");
  return 2;
}

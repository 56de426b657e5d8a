// Networks as tables of layers, with random weights.
#ifndef LANEFUSE_BENCH_NETS_NETWORK_H_
#define LANEFUSE_BENCH_NETS_NETWORK_H_

#include <cstddef>
#include <vector>

#include "bench/onednn/chain.h"
#include "bench/support/buffer.h"
#include "lanefuse/activation.h"

namespace lanefuse::bench {

// Pixels and channels of one image.
struct Shape {
  size_t height = 0, width = 0, channels = 0;
  size_t size() const { return height * width * channels; }
};

// Layers are those of the oneDNN chain; tensor 0 is the input, tensor i + 1 what layer i makes.
class Network {
 public:
  using Layer = onednn::ChainLayer;

  // Without `values` it is a table alone, whose layers have no weights and no bias.
  Network(bool values, Shape input) : with_values_(values), shapes_{input} {}

  // Each appends a layer and returns its tensor. Convolutions have "same" padding as TensorFlow
  // means it (the odd pixel behind the image), a bias, and weights whose scale keeps the size of
  // the activations about what it was.
  struct Convolution {
    size_t outputs, kernel_h, kernel_w, stride;
    Activation activation{};
    size_t input = Layer::kPrevious;
    size_t add = Layer::kNothing;
  };
  size_t Add(const Convolution& convolution);
  size_t AddDepthwise(size_t kernel, size_t stride, Activation activation);
  size_t AddMaxPool(size_t kernel, size_t stride);
  size_t AddGlobalAveragePool();
  size_t AddConnected(size_t outputs, Activation activation);
  size_t AddSoftmax();

  const std::vector<Layer>& layers() const { return layers_; }
  const Shape& shape(size_t tensor) const { return shapes_[tensor]; }
  const Shape& output() const { return shapes_.back(); }
  size_t InputOf(size_t layer) const {
    const size_t input = layers_[layer].input;
    return input == Layer::kPrevious ? layer : input;
  }
  size_t last() const { return layers_.size(); }  // the newest tensor

  double multiply_adds() const { return multiply_adds_; }
  double weights() const { return weights_; }  // and biases

 private:
  size_t Append(Layer layer, const Shape& output, size_t terms, double multiply_adds);
  size_t AddConvolution(Conv2dShape shape, const Convolution& convolution);

  bool with_values_;
  std::vector<Layer> layers_;
  std::vector<Shape> shapes_;
  std::vector<FloatBuffer> values_;  // what the layers' spans see
  double multiply_adds_ = 0.0;
  double weights_ = 0.0;
};

// The seven networks of the benchmarks, made when they are asked for.
struct NamedNetwork {
  const char* name;
  Network (*make)(bool values);
};
extern const std::vector<NamedNetwork> kNetworks;

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_NETS_NETWORK_H_

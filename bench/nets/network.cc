#include "bench/nets/network.h"

#include <cmath>
#include <utility>

namespace lanefuse::bench {
namespace {

// "Same" padding along one axis: as many outputs as strides fit.
void Same(size_t size, size_t kernel, size_t stride, size_t& before, size_t& after) {
  const size_t covered = ((size - 1) / stride) * stride + kernel;
  const size_t total = covered > size ? covered - size : 0;
  before = total / 2;
  after = total - before;
}

}  // namespace

size_t Network::Append(Layer layer, const Shape& output, size_t terms, double multiply_adds) {
  if (with_values_ && terms != 0) {
    const auto seed = static_cast<uint32_t>(2 * layers_.size() + 1);
    FloatBuffer weights = Random(output.channels * terms, seed);
    FloatBuffer bias = Random(output.channels, seed + 1);
    // The variance of a sum of `terms` products is that of an input; of one after a ReLU, half.
    const float scale =
        std::sqrt((layer.activation.kind == ActivationKind::kIdentity ? 3.0f : 6.0f) /
                  static_cast<float>(terms));
    for (float& value : weights.span()) value *= scale;
    for (float& value : bias.span()) value *= 0.1f;
    layer.weights = weights.span();
    layer.bias = bias.span();
    weights_ += static_cast<double>(weights.size() + bias.size());
    values_.push_back(std::move(weights));
    values_.push_back(std::move(bias));
  }
  multiply_adds_ += multiply_adds;
  layers_.push_back(layer);
  shapes_.push_back(output);
  return last();
}

size_t Network::AddConvolution(Conv2dShape shape, const Convolution& c) {
  const Shape from = shapes_[c.input == Layer::kPrevious ? last() : c.input];
  shape.channels = from.channels;
  shape.outputs = c.outputs;
  shape.kernel_h = c.kernel_h;
  shape.kernel_w = c.kernel_w;
  shape.stride_h = shape.stride_w = c.stride;
  Padding& p = shape.padding;
  Same(from.height, c.kernel_h, c.stride, p.top, p.bottom);
  Same(from.width, c.kernel_w, c.stride, p.left, p.right);
  Layer layer{.kind = Layer::kConvolution};
  layer.convolution = shape;
  layer.activation = c.activation;
  layer.input = c.input;
  layer.add = c.add;
  const Shape to = {(from.height - 1) / c.stride + 1, (from.width - 1) / c.stride + 1, c.outputs};
  const size_t terms = c.kernel_h * c.kernel_w * from.channels / shape.groups;
  return Append(layer, to, terms, static_cast<double>(to.size()) * static_cast<double>(terms));
}

size_t Network::Add(const Convolution& convolution) { return AddConvolution({}, convolution); }

size_t Network::AddDepthwise(size_t kernel, size_t stride, Activation activation) {
  const size_t channels = output().channels;
  return AddConvolution({.groups = channels}, {channels, kernel, kernel, stride, activation});
}

size_t Network::AddMaxPool(size_t kernel, size_t stride) {
  const Shape from = output();
  Layer layer{.kind = Layer::kMaxPool};
  layer.pool = {.kernel_h = kernel, .kernel_w = kernel, .stride_h = stride, .stride_w = stride};
  Same(from.height, kernel, stride, layer.pool.padding.top, layer.pool.padding.bottom);
  Same(from.width, kernel, stride, layer.pool.padding.left, layer.pool.padding.right);
  return Append(layer,
                {(from.height - 1) / stride + 1, (from.width - 1) / stride + 1, from.channels}, 0,
                0.0);
}

size_t Network::AddGlobalAveragePool() {
  const Shape from = output();
  Layer layer{.kind = Layer::kAveragePool};
  layer.pool = {.kernel_h = from.height, .kernel_w = from.width};
  return Append(layer, {1, 1, from.channels}, 0, 0.0);
}

size_t Network::AddConnected(size_t outputs, Activation activation) {
  Layer layer{.kind = Layer::kConnected};
  layer.outputs = outputs;
  layer.activation = activation;
  const size_t inputs = output().size();
  return Append(layer, {1, 1, outputs}, inputs,
                static_cast<double>(outputs) * static_cast<double>(inputs));
}

size_t Network::AddSoftmax() { return Append(Layer{.kind = Layer::kSoftmax}, output(), 0, 0.0); }

namespace {

// MLPerf Tiny (Banbury et al., arXiv 2106.07597): keyword spotting, visual wake words, image
// classification, anomaly detection.
Network DsCnn(bool values) {
  Network net(values, {49, 10, 1});
  net.Add({64, 10, 4, 2, Relu()});
  for (int block = 0; block < 4; ++block) {
    net.AddDepthwise(3, 1, Relu());
    net.Add({64, 1, 1, 1, Relu()});
  }
  net.AddGlobalAveragePool();
  net.AddConnected(12, Identity());
  net.AddSoftmax();
  return net;
}

// Howard et al., arXiv 1704.04861, Table 1.
Network MobileNetV1(bool values, size_t size, size_t first, size_t classes, Activation act) {
  Network net(values, {size, size, 3});
  net.Add({first, 3, 3, 2, act});
  struct Block {
    size_t outputs, stride;
  };
  for (const Block b : {Block{2, 1},
                        {4, 2},
                        {4, 1},
                        {8, 2},
                        {8, 1},
                        {16, 2},
                        {16, 1},
                        {16, 1},
                        {16, 1},
                        {16, 1},
                        {16, 1},
                        {32, 2},
                        {32, 1}}) {
    net.AddDepthwise(3, b.stride, act);
    net.Add({b.outputs * first, 1, 1, 1, act});
  }
  net.AddGlobalAveragePool();
  net.AddConnected(classes, Identity());
  net.AddSoftmax();
  return net;
}

Network MobileNetV1Quarter(bool values) { return MobileNetV1(values, 96, 8, 2, Relu()); }
Network MobileNetV1Full(bool values) { return MobileNetV1(values, 224, 32, 1000, Relu6()); }

// Sandler et al., arXiv 1801.04381, Table 2.
Network MobileNetV2(bool values) {
  Network net(values, {224, 224, 3});
  net.Add({32, 3, 3, 2, Relu6()});
  struct Stage {
    size_t expansion, outputs, repeats, stride;
  };
  for (const Stage s : {Stage{1, 16, 1, 1},
                        {6, 24, 2, 2},
                        {6, 32, 3, 2},
                        {6, 64, 4, 2},
                        {6, 96, 3, 1},
                        {6, 160, 3, 2},
                        {6, 320, 1, 1}}) {
    for (size_t i = 0; i < s.repeats; ++i) {
      const size_t stride = i == 0 ? s.stride : 1;
      const size_t input = net.last();
      const size_t channels = net.output().channels;
      if (s.expansion != 1) net.Add({s.expansion * channels, 1, 1, 1, Relu6()});
      net.AddDepthwise(3, stride, Relu6());
      const bool residual = stride == 1 && channels == s.outputs;
      net.Add({s.outputs, 1, 1, 1, Identity(), Network::Layer::kPrevious,
               residual ? input : Network::Layer::kNothing});
    }
  }
  net.Add({1280, 1, 1, 1, Relu6()});
  net.AddGlobalAveragePool();
  net.AddConnected(1000, Identity());
  net.AddSoftmax();
  return net;
}

// He et al., arXiv 1512.03385, as MLPerf Tiny cuts it: three stages of one block.
Network ResNet8(bool values) {
  Network net(values, {32, 32, 3});
  net.Add({16, 3, 3, 1, Relu()});
  for (const size_t outputs : {16, 32, 64}) {
    const size_t input = net.last();
    const size_t stride = outputs == 16 ? 1 : 2;
    const size_t shortcut =
        stride == 1 ? input : net.Add({outputs, 1, 1, stride, Identity(), input});
    net.Add({outputs, 3, 3, stride, Relu(), input});
    net.Add({outputs, 3, 3, 1, Relu(), Network::Layer::kPrevious, shortcut});
  }
  net.AddGlobalAveragePool();
  net.AddConnected(10, Identity());
  net.AddSoftmax();
  return net;
}

// The same paper, Table 1, with the stride in the 3 x 3 convolution.
Network ResNet50(bool values) {
  Network net(values, {224, 224, 3});
  net.Add({64, 7, 7, 2, Relu()});
  net.AddMaxPool(3, 2);
  struct Stage {
    size_t width, repeats, stride;
  };
  for (const Stage s : {Stage{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}}) {
    for (size_t i = 0; i < s.repeats; ++i) {
      const size_t stride = i == 0 ? s.stride : 1;
      const size_t input = net.last();
      const size_t shortcut =
          i == 0 ? net.Add({4 * s.width, 1, 1, stride, Identity(), input}) : input;
      net.Add({s.width, 1, 1, 1, Relu(), input});
      net.Add({s.width, 3, 3, stride, Relu()});
      net.Add({4 * s.width, 1, 1, 1, Relu(), Network::Layer::kPrevious, shortcut});
    }
  }
  net.AddGlobalAveragePool();
  net.AddConnected(1000, Identity());
  net.AddSoftmax();
  return net;
}

Network Autoencoder(bool values) {
  Network net(values, {1, 1, 640});
  for (const size_t outputs : {128, 128, 128, 128, 8, 128, 128, 128, 128}) {
    net.AddConnected(outputs, Relu());
  }
  net.AddConnected(640, Identity());
  return net;
}

}  // namespace

const std::vector<NamedNetwork> kNetworks = {
    {"ds_cnn", DsCnn},
    {"mobilenet_v1_025_96", MobileNetV1Quarter},
    {"resnet8_32", ResNet8},
    {"autoencoder_640", Autoencoder},
    {"mobilenet_v1_224", MobileNetV1Full},
    {"mobilenet_v2_224", MobileNetV2},
    {"resnet50_224", ResNet50},
};

}  // namespace lanefuse::bench

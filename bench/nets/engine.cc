#include "bench/nets/engine.h"

#include <algorithm>
#include <span>

#include "bench/support/suite.h"
#include "lanefuse/elementwise.h"
#include "lanefuse/softmax.h"

namespace lanefuse::bench {

using Layer = Network::Layer;

PackedNetwork::PackedNetwork(const Network& network, bool with_bias) {
  const std::vector<Layer>& layers = network.layers();
  convolutions_.resize(layers.size());
  connected_.resize(layers.size());
  for (size_t i = 0; i < layers.size() && status_.ok(); ++i) {
    const Layer& layer = layers[i];
    const std::span<const float> bias = with_bias ? layer.bias : std::span<const float>();
    if (layer.kind == Layer::kConvolution) {
      bytes_.emplace_back(PackedConv2d::Bytes(layer.convolution) / sizeof(float));
      status_ = PackedConv2d::Pack(layer.convolution, layer.weights, bias, {},
                                   bytes_.back().bytes(), convolutions_[i]);
    } else if (layer.kind == Layer::kConnected) {
      const size_t inputs = layer.weights.size() / layer.outputs;
      bytes_.emplace_back(PackedLinear::Bytes(layer.outputs, inputs) / sizeof(float));
      status_ = PackedLinear::Pack({layer.weights.data(), layer.outputs, inputs}, bias, nullptr,
                                   bytes_.back().bytes(), connected_[i]);
    }
  }
}

Engine::Engine(const Network& network, const PackedNetwork& weights, Way way, const float* input,
               float* output)
    : network_(network), weights_(weights), way_(way), tensors_(network.layers().size() + 1) {
  tensors_.front() = const_cast<float*>(input);  // only ever read: no layer makes tensor 0
  tensors_.back() = output;
  Build(Groups(way == Way::kBlocks));
}

bool Engine::IsPointwise(size_t layer) const {
  const Layer& l = network_.layers()[layer];
  const Conv2dShape& s = l.convolution;
  return l.kind == Layer::kConvolution && s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 &&
         s.stride_w == 1 && s.groups == 1;
}

bool Engine::IsDepthwise(size_t layer) const {
  const Layer& l = network_.layers()[layer];
  return l.kind == Layer::kConvolution && l.convolution.groups > 1 &&
         l.convolution.groups == l.convolution.channels;
}

size_t Engine::LastReader(size_t tensor) const {
  const std::vector<Layer>& layers = network_.layers();
  size_t last = tensor == layers.size() ? tensor : 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (network_.InputOf(i) == tensor || layers[i].add == tensor) last = i;
  }
  return last;
}

bool Engine::FeedsOnlyNext(size_t layer) const {
  const std::vector<Layer>& layers = network_.layers();
  return layer + 1 < layers.size() && network_.InputOf(layer + 1) == layer + 1 &&
         layers[layer].add == Layer::kNothing && layers[layer + 1].add != layer + 1 &&
         LastReader(layer + 1) == layer + 1;
}

std::vector<Engine::Group> Engine::Groups(bool blocks) const {
  std::vector<Group> groups;
  const size_t layers = network_.layers().size();
  for (size_t i = 0; i < layers; i += groups.back().count) {
    const auto separable = [&](size_t at) {
      return at + 1 < layers && IsDepthwise(at) && FeedsOnlyNext(at) && IsPointwise(at + 1);
    };
    size_t count = 1;
    if (blocks && separable(i)) count = 2;
    if (blocks && IsPointwise(i) && FeedsOnlyNext(i) && separable(i + 1)) count = 3;
    groups.push_back({i, count});
  }
  return groups;
}

ImageView<const float> Engine::Image(size_t tensor) const {
  const Shape& s = network_.shape(tensor);
  return {tensors_[tensor], s.height, s.width, s.channels};
}
ImageView<float> Engine::OutputImage(size_t layer) const {
  const Shape& s = network_.shape(layer + 1);
  return {tensors_[layer + 1], s.height, s.width, s.channels};
}
MatView<float> Engine::OutputRows(size_t layer) const {
  const Shape& s = network_.shape(layer + 1);
  return {tensors_[layer + 1], s.height * s.width, s.channels};
}

// All but the bias, which the packed weights have.
Epilogue Engine::EpilogueOf(size_t layer) const {
  const Layer& l = network_.layers()[layer];
  Epilogue epilogue;
  if (l.add != Layer::kNothing) epilogue.Add(Image(l.add));
  if (l.activation.kind != ActivationKind::kIdentity) epilogue.Act(l.activation);
  return epilogue;
}

size_t Engine::ScratchOf(const Group& group) const {
  const ImageView<const float> x = Image(network_.InputOf(group.first));
  const auto weights = [&](size_t i) -> const PackedConv2d& {
    return weights_.convolution(group.first + i);
  };
  if (group.count == 2) return SeparableConv2dScratch(x, weights(0), weights(1), Threads());
  if (group.count == 3) {
    return InvertedResidualScratch(x, weights(0), weights(1), weights(2), Threads());
  }
  return 0;
}

// Gives the tensors between the groups and the scratch of the groups their places, then adds the
// calls.
void Engine::Build(const std::vector<Group>& groups) {
  const std::vector<Layer>& layers = network_.layers();
  std::vector<size_t> group_of(layers.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    for (size_t i = 0; i < groups[g].count; ++i) group_of[groups[g].first + i] = g;
  }
  std::vector<Lifetime> buffers;
  std::vector<size_t> buffer_of(tensors_.size());
  std::vector<size_t> scratch_of(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    const size_t layer = groups[g].last();
    const size_t tensor = layer + 1;
    if (tensor != layers.size()) {
      const size_t last = group_of[LastReader(tensor)];
      const size_t add = layers[layer].add;
      // A residual that nothing reads any more becomes the output, unless it is the input too.
      const bool in_place = way_ != Way::kUnfused && add != Layer::kNothing && add != 0 &&
                            LastReader(add) == layer && network_.InputOf(groups[g].first) != add;
      if (in_place) {
        buffer_of[tensor] = buffer_of[add];
        buffers[buffer_of[add]].last = last;
      } else {
        buffer_of[tensor] = buffers.size();
        buffers.push_back({network_.shape(tensor).size() * sizeof(float), g, last});
      }
    }
    scratch_of[g] = buffers.size();
    buffers.push_back({ScratchOf(groups[g]) * sizeof(float), g, g});
  }
  arena_ = FloatBuffer((PlaceBuffers(buffers) + sizeof(float) - 1) / sizeof(float));
  const auto at = [&](size_t buffer) {
    return arena_.data() + buffers[buffer].offset / sizeof(float);
  };
  for (const Group& group : groups) {
    const size_t tensor = group.last() + 1;
    if (tensor != layers.size()) tensors_[tensor] = at(buffer_of[tensor]);
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    const size_t scratch = scratch_of[g];
    AddGroup(groups[g], at(scratch), buffers[scratch].bytes / sizeof(float));
  }
}

void Engine::AddGroup(const Group& group, float* scratch, size_t scratch_size) {
  if (group.count == 1) {
    if (way_ == Way::kUnfused) return AddUnfused(group.first);
    return AddKernel(group.first, EpilogueOf(group.first));
  }
  ++blocks_;
  const size_t i = group.first;
  const std::span<float> room(scratch, scratch_size);
  const ImageView<const float> x = Image(network_.InputOf(i));
  const ImageView<float> y = OutputImage(group.last());
  const auto& w0 = weights_.convolution(i);
  const auto& w1 = weights_.convolution(i + 1);
  const Epilogue e0 = EpilogueOf(i), e1 = EpilogueOf(i + 1);
  if (group.count == 2) {
    calls_.emplace_back(
        [=, &w0, &w1] { return SeparableConv2d(x, w0, e0, w1, e1, y, room, Threads()); });
    return;
  }
  const auto& w2 = weights_.convolution(i + 2);
  const Epilogue e2 = EpilogueOf(i + 2);
  calls_.emplace_back([=, &w0, &w1, &w2] {
    return InvertedResidual(x, w0, e0, w1, e1, w2, e2, y, room, Threads());
  });
}

void Engine::AddKernel(size_t layer, const Epilogue& epilogue) {
  const Layer& l = network_.layers()[layer];
  const ImageView<const float> x = Image(network_.InputOf(layer));
  const ImageView<float> y = OutputImage(layer);
  switch (l.kind) {
    case Layer::kConvolution: {
      const auto& w = weights_.convolution(layer);
      calls_.emplace_back([=, &w] { return Conv2d(x, w, epilogue, y, Threads()); });
      return;
    }
    case Layer::kMaxPool: {
      const Pool2dShape pool = l.pool;
      calls_.emplace_back([=] { return MaxPool2d(x, pool, epilogue, y, Threads()); });
      return;
    }
    case Layer::kAveragePool:
      calls_.emplace_back([=] { return GlobalAveragePool(x, epilogue, y, Threads()); });
      return;
    case Layer::kConnected: {
      const auto& w = weights_.connected(layer);
      const MatView<const float> row(x.data, 1, network_.shape(network_.InputOf(layer)).size());
      calls_.emplace_back(
          [=, &w, out = OutputRows(layer)] { return Linear(row, w, epilogue, out, Threads()); });
      return;
    }
    case Layer::kSoftmax: {
      const MatView<const float> row(x.data, 1, x.channels);
      calls_.emplace_back(
          [=, out = OutputRows(layer)] { return Softmax(row, {}, epilogue, out, Threads()); });
      return;
    }
  }
}

void Engine::AddUnfused(size_t layer) {
  const Layer& l = network_.layers()[layer];
  AddKernel(layer, {});
  const MatView<float> y = OutputRows(layer);
  const auto pass = [&](const Epilogue& step) {
    calls_.emplace_back([=] { return Apply(y, step, y, Threads()); });
  };
  if (!l.bias.empty()) pass(Epilogue().Bias(l.bias));
  if (l.add != Layer::kNothing) {
    pass(Epilogue().Add(MatView<const float>(tensors_[l.add], y.rows, y.cols)));
  }
  if (l.activation.kind != ActivationKind::kIdentity) pass(Epilogue().Act(l.activation));
}

}  // namespace lanefuse::bench

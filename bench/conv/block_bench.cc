// Blocks of MobileNetV1 and V2 at 224 x 224, of MobileNetV1 0.25 at 96 x 96 and of the DS-CNN: one
// call against one call of Conv2d a layer ("unfused": each layer has its bias and its clamp). The
// layers themselves are compared with oneDNN in conv/.
#include <string>
#include <vector>

#include "bench/support/buffer.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"
#include "lanefuse/conv.h"

namespace lanefuse::bench {
namespace {

struct Block {
  size_t height, width, channels, expanded, outputs, stride;  // expanded 0: no layer in front

  size_t between() const { return expanded == 0 ? channels : expanded; }
  size_t OutHeight() const { return (height - 1) / stride + 1; }
  size_t OutWidth() const { return (width - 1) / stride + 1; }
  std::string Name() const {
    return Text("h", height, "w", width, "_ic", channels, "_e", expanded, "_oc", outputs, "_s",
                stride);
  }
};

class Layer {
 public:
  Layer(const Conv2dShape& shape, uint32_t seed)
      : bias_(Random(shape.outputs, seed + 1)), bytes_(PackedConv2d::Bytes(shape) / sizeof(float)) {
    const size_t terms = shape.kernel_h * shape.kernel_w * (shape.channels / shape.groups);
    const FloatBuffer weights = Random(shape.outputs * terms, seed);
    status_ = PackedConv2d::Pack(shape, weights.span(), bias_.span(), {}, bytes_.bytes(), packed_);
  }
  const PackedConv2d& packed() const { return packed_; }
  const Status& status() const { return status_; }

 private:
  FloatBuffer bias_, bytes_;
  PackedConv2d packed_;
  Status status_;
};

class BlockProblem {
 public:
  explicit BlockProblem(const Block& block)
      : b_(block),
        expand_({.outputs = b_.between(), .channels = b_.channels}, 1),
        depthwise_({.outputs = b_.between(),
                    .channels = b_.between(),
                    .kernel_h = 3,
                    .kernel_w = 3,
                    .stride_h = b_.stride,
                    .stride_w = b_.stride,
                    .groups = b_.between(),
                    .padding = {1, 1, 1, 1}},
                   2),
        pointwise_({.outputs = b_.outputs, .channels = b_.between()}, 3),
        x_(Random(b_.height * b_.width * b_.channels, 4)),
        expanded_(b_.height * b_.width * b_.expanded),
        middle_(b_.OutHeight() * b_.OutWidth() * b_.between()),
        y_(b_.OutHeight() * b_.OutWidth() * b_.outputs),
        expected_(y_.size()),
        scratch_(
            b_.expanded == 0
                ? SeparableConv2dScratch(x(), depthwise_.packed(), pointwise_.packed(), Threads())
                : InvertedResidualScratch(x(), expand_.packed(), depthwise_.packed(),
                                          pointwise_.packed(), Threads())) {
    if (b_.expanded == 0) {
      last_.Act(Relu6());
    } else if (b_.stride == 1 && b_.channels == b_.outputs) {
      last_.Add(x());
    }
    if (Unfused().ok()) std::copy_n(y_.data(), y_.size(), expected_.data());
  }

  Status Fused() {
    if (b_.expanded == 0) {
      return SeparableConv2d(x(), depthwise_.packed(), relu6_, pointwise_.packed(), last_, y(),
                             scratch_.span(), Threads());
    }
    return InvertedResidual(x(), expand_.packed(), relu6_, depthwise_.packed(), relu6_,
                            pointwise_.packed(), last_, y(), scratch_.span(), Threads());
  }
  Status Unfused() {
    ImageView<const float> input = x();
    for (const Layer* layer : {&expand_, &depthwise_, &pointwise_}) {
      if (!layer->status().ok()) return layer->status();
    }
    if (b_.expanded != 0) {
      const ImageView<float> to(expanded_.data(), b_.height, b_.width, b_.expanded);
      if (Status s = Conv2d(input, expand_.packed(), relu6_, to, Threads()); !s.ok()) return s;
      input = to;
    }
    const ImageView<float> between(middle_.data(), b_.OutHeight(), b_.OutWidth(), b_.between());
    if (Status s = Conv2d(input, depthwise_.packed(), relu6_, between, Threads()); !s.ok()) {
      return s;
    }
    return Conv2d(between, pointwise_.packed(), last_, y(), Threads());
  }
  size_t steps() const { return 3; }
  onednn::Layer Onednn() const {
    return onednn::Layer::Failed("oneDNN has no such primitive; its layers are in conv/");
  }
  std::span<const float> output() const { return y_.span(); }
  // The bits of the layers one by one, which conv/ compares with double precision.
  Estimate Reference(size_t i) const { return {static_cast<double>(expected_.span()[i]), 0.0}; }

  Work work() const {
    const auto pixels = static_cast<double>(b_.OutHeight() * b_.OutWidth());
    const auto between = static_cast<double>(b_.between());
    const double macs = pixels * between * (9.0 + static_cast<double>(b_.outputs)) +
                        static_cast<double>(b_.height * b_.width * b_.channels * b_.expanded);
    const auto weights =
        static_cast<double>(b_.between() * (9 + b_.outputs) + b_.channels * b_.expanded);
    return {2.0 * macs, 4.0 * (static_cast<double>(x_.size() + y_.size()) + weights)};
  }

 private:
  ImageView<const float> x() const { return {x_.data(), b_.height, b_.width, b_.channels}; }
  ImageView<float> y() { return {y_.data(), b_.OutHeight(), b_.OutWidth(), b_.outputs}; }

  Block b_;
  Layer expand_, depthwise_, pointwise_;
  FloatBuffer x_, expanded_, middle_, y_, expected_, scratch_;
  Epilogue relu6_ = Epilogue().Act(Relu6());
  Epilogue last_;
};

void AddBlocks(Suite& suite) {
  const auto add = [&](const char* what, const Block& b) {
    suite.Add<BlockProblem>("block", what, b.Name(), b);
  };
  struct Step {
    size_t size, channels, outputs, stride;
  };
  // Howard et al., arXiv 1704.04861, Table 1.
  for (const Step s : {Step{112, 32, 64, 1},
                       {112, 64, 128, 2},
                       {56, 128, 128, 1},
                       {56, 128, 256, 2},
                       {28, 256, 256, 1},
                       {28, 256, 512, 2},
                       {14, 512, 512, 1},
                       {14, 512, 1024, 2},
                       {7, 1024, 1024, 1},
                       {48, 8, 16, 1},
                       {24, 32, 32, 1},
                       {12, 64, 64, 1},
                       {6, 128, 128, 1}}) {
    add("separable", {s.size, s.size, s.channels, 0, s.outputs, s.stride});
  }
  add("separable", {25, 5, 64, 0, 64, 1});
  // Sandler et al., arXiv 1801.04381, Table 2.
  for (const Step s : {Step{112, 16, 24, 2},
                       {56, 24, 24, 1},
                       {56, 24, 32, 2},
                       {28, 32, 32, 1},
                       {28, 32, 64, 2},
                       {14, 64, 64, 1},
                       {14, 64, 96, 1},
                       {14, 96, 96, 1},
                       {14, 96, 160, 2},
                       {7, 160, 160, 1},
                       {7, 160, 320, 1}}) {
    add("inverted_residual", {s.size, s.size, s.channels, 6 * s.channels, s.outputs, s.stride});
  }
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddBlocks);

}  // namespace
}  // namespace lanefuse::bench

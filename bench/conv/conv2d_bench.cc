// Convolutions: the layers of the networks in bench/nets, and a few shapes beside.
#include <algorithm>
#include <string>

#include "bench/nets/network.h"
#include "bench/support/buffer.h"
#include "bench/support/epilogues.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"
#include "lanefuse/conv.h"

namespace lanefuse::bench {
namespace {

struct Geometry {
  size_t height, width;
  Conv2dShape shape;

  size_t OutHeight() const {
    return (height + shape.padding.top + shape.padding.bottom -
            shape.dilation_h * (shape.kernel_h - 1) - 1) /
               shape.stride_h +
           1;
  }
  size_t OutWidth() const {
    return (width + shape.padding.left + shape.padding.right -
            shape.dilation_w * (shape.kernel_w - 1) - 1) /
               shape.stride_w +
           1;
  }
  size_t Taps() const { return shape.kernel_h * shape.kernel_w; }
  size_t GroupChannels() const { return shape.channels / shape.groups; }

  // h112w112_ic32_oc32_k3x3_s1_p1_g32; _d2 follows a dilation, p4x5x1x1 is uneven padding.
  std::string Name() const {
    const Padding& p = shape.padding;
    const bool even = p.top == p.bottom && p.top == p.left && p.top == p.right;
    std::string name =
        Text("h", height, "w", width, "_ic", shape.channels, "_oc", shape.outputs, "_k",
             shape.kernel_h, "x", shape.kernel_w, "_s", shape.stride_h, "_p", p.top);
    if (!even) name += Text("x", p.bottom, "x", p.left, "x", p.right);
    name += Text("_g", shape.groups);
    if (shape.dilation_h > 1) name += Text("_d", shape.dilation_h);
    return name;
  }
};

class ConvProblem {
 public:
  ConvProblem(const Geometry& geometry, const std::string& epilogue)
      : g_(geometry),
        x_(Random(g_.height * g_.width * g_.shape.channels, 1)),
        w_(Random(g_.shape.outputs * g_.Taps() * g_.GroupChannels(), 2)),
        y_(g_.OutHeight() * g_.OutWidth() * g_.shape.outputs),
        chain_(epilogue, 1, g_.OutHeight(), g_.OutWidth(), g_.shape.outputs, true),
        in_place_(chain_.sums() ? chain_.OntoOutput(y_.data()) : Epilogue()),
        bytes_(PackedConv2d::Bytes(g_.shape) / sizeof(float)),
        packing_(PackedConv2d::Pack(g_.shape, w_.span(), {}, {}, bytes_.bytes(), packed_)) {}

  Status Fused() {
    if (!packing_.ok()) return packing_;
    return Conv2d(x(), packed_, chain_.fused(), y(), Threads());
  }
  bool sums() const { return chain_.sums(); }
  void Restore() { chain_.Restore(y_.data()); }
  Status InPlace() {
    if (!packing_.ok()) return packing_;
    return Conv2d(x(), packed_, in_place_, y(), Threads());
  }
  Status Unfused() {
    const Status status = Conv2d(x(), packed_, Epilogue(), y(), Threads());
    return status.ok() ? chain_.ApplyOneByOne(y_.data(), y_.data(), Threads()) : status;
  }
  size_t steps() const { return chain_.steps(); }
  onednn::Layer Onednn() const {
    return onednn::Convolution(x(), g_.shape, w_.span(), chain_.fused());
  }
  std::span<const float> output() const { return y_.span(); }

  Estimate Reference(size_t i) const {
    const Conv2dShape& s = g_.shape;
    const size_t o = i % s.outputs, ox = i / s.outputs % g_.OutWidth(),
                 oy = i / s.outputs / g_.OutWidth();
    const size_t channels = g_.GroupChannels(), first = o / (s.outputs / s.groups) * channels;
    double sum = 0.0, squares = 0.0;
    for (size_t ky = 0; ky < s.kernel_h; ++ky) {
      for (size_t kx = 0; kx < s.kernel_w; ++kx) {
        // Unsigned, so that a place above or left of the image is far beyond its end.
        const size_t iy = oy * s.stride_h + ky * s.dilation_h - s.padding.top;
        const size_t ix = ox * s.stride_w + kx * s.dilation_w - s.padding.left;
        if (iy >= g_.height || ix >= g_.width) continue;
        const float* x = x_.data() + (iy * g_.width + ix) * s.channels + first;
        const float* w = w_.data() + ((o * s.kernel_h + ky) * s.kernel_w + kx) * channels;
        for (size_t c = 0; c < channels; ++c) {
          const double product = static_cast<double>(x[c]) * static_cast<double>(w[c]);
          sum += product;
          squares += product * product;
        }
      }
    }
    return Through(chain_.fused(), {0, oy, ox, o}, {sum, SumBound(g_.Taps() * channels, squares)});
  }

  Work work() const {
    const double macs = static_cast<double>(y_.size() * g_.Taps() * g_.GroupChannels());
    return {2.0 * macs,
            4.0 * static_cast<double>(x_.size() + w_.size() + y_.size()) + chain_.operand_bytes()};
  }

 private:
  ImageView<const float> x() const { return {x_.data(), g_.height, g_.width, g_.shape.channels}; }
  ImageView<float> y() { return {y_.data(), g_.OutHeight(), g_.OutWidth(), g_.shape.outputs}; }

  Geometry g_;
  FloatBuffer x_, w_, y_;
  EpilogueChain chain_;
  Epilogue in_place_;
  FloatBuffer bytes_;
  PackedConv2d packed_;
  Status packing_;
};

// Square image and kernel, padding that keeps the size at stride 1.
Geometry Square(size_t size, size_t in, size_t out, size_t kernel, size_t stride, size_t groups = 1,
                size_t dilation = 1) {
  const size_t pad = dilation * (kernel - 1) / 2;
  return {size,
          size,
          {.outputs = out,
           .channels = in,
           .kernel_h = kernel,
           .kernel_w = kernel,
           .stride_h = stride,
           .stride_w = stride,
           .dilation_h = dilation,
           .dilation_w = dilation,
           .groups = groups,
           .padding = {pad, pad, pad, pad}}};
}

Geometry Depthwise(size_t size, size_t channels, size_t stride, size_t kernel = 3) {
  return Square(size, channels, channels, kernel, stride, channels);
}

Geometry Pointwise(size_t size, size_t in, size_t out, size_t stride = 1) {
  return Square(size, in, out, 1, stride);
}

// A row of pixels and a kernel of one row.
Geometry Signal(size_t width, size_t in, size_t out, size_t kernel, size_t groups,
                size_t dilation = 1) {
  const size_t pad = dilation * (kernel - 1) / 2;
  return {1,
          width,
          {.outputs = out,
           .channels = in,
           .kernel_h = 1,
           .kernel_w = kernel,
           .dilation_w = dilation,
           .groups = groups,
           .padding = {.left = pad, .right = pad}}};
}

void AddShape(Suite& suite, const std::string& epilogue, const Geometry& geometry) {
  // Networks share layers: each is measured once.
  const std::string name = Text("conv/", epilogue, "/f32/", geometry.Name());
  for (const Suite::Case& c : suite.cases()) {
    if (c.name == name) return;
  }
  suite.Add<ConvProblem>("conv", epilogue, geometry.Name(), geometry, epilogue);
}

// Every convolution of the networks in bench/nets.
void AddNetworks(Suite& suite) {
  for (const NamedNetwork& named : kNetworks) {
    const Network net = named.make(false);
    for (size_t i = 0; i < net.layers().size(); ++i) {
      const Network::Layer& layer = net.layers()[i];
      if (layer.kind != Network::Layer::kConvolution) continue;
      std::string epilogue = "bias";
      if (layer.add != Network::Layer::kNothing) epilogue += "_add";
      if (layer.activation.kind == ActivationKind::kRelu) epilogue += "_relu";
      if (layer.activation.kind == ActivationKind::kRelu6) epilogue += "_relu6";
      const Shape& x = net.shape(net.InputOf(i));
      AddShape(suite, epilogue, {x.height, x.width, layer.convolution});
    }
  }
}

void AddConv(Suite& suite) {
  AddNetworks(suite);

  // The published comparison, with a ReLU, where the networks above have a ReLU6.
  for (const Geometry& g :
       {Square(224, 3, 32, 3, 2), Depthwise(112, 32, 1), Pointwise(56, 128, 128),
        Depthwise(14, 512, 1), Pointwise(14, 512, 512), Pointwise(7, 1024, 1024),
        Square(28, 128, 128, 3, 1), Square(32, 16, 16, 3, 1), Pointwise(48, 8, 16)}) {
    AddShape(suite, "bias_relu", g);
  }

  // ResNet-50, ResNeXt, DeepLab, MobileNetV3, and one pixel: the overhead.
  AddShape(suite, "bias_relu", Square(56, 64, 64, 3, 1));
  AddShape(suite, "bias_add_relu", Pointwise(56, 64, 256));
  AddShape(suite, "bias_relu", Square(14, 256, 256, 3, 1));
  AddShape(suite, "bias_relu", Square(7, 512, 512, 3, 1));
  AddShape(suite, "bias_relu", Square(28, 256, 256, 3, 1, 32));
  AddShape(suite, "bias_relu", Square(28, 64, 64, 3, 1, 1, 2));
  AddShape(suite, "affine_hardswish", Depthwise(28, 120, 1, 5));
  AddShape(suite, "affine_hardswish", Depthwise(14, 240, 1, 5));
  AddShape(suite, "bias_hardswish", Pointwise(14, 240, 80));
  AddShape(suite, "bias_relu", Square(56, 128, 128, 3, 1, 32));
  AddShape(suite, "bias_relu", Depthwise(28, 96, 2, 5));
  AddShape(suite, "bias", Depthwise(28, 192, 1, 7));
  AddShape(suite, "bias", Depthwise(14, 384, 2, 7));
  AddShape(suite, "bias", Depthwise(14, 192, 1, 31));
  AddShape(suite, "none", Pointwise(1, 1, 1));
  // First layers on grey images.
  AddShape(suite, "bias_relu", Square(28, 1, 16, 3, 1));
  AddShape(suite, "bias_relu", Square(96, 1, 8, 3, 2));
  AddShape(suite, "bias_relu", Square(224, 1, 16, 3, 1));

  // Off the edges of tiles, panels and images.
  AddShape(suite, "bias_relu", Square(31, 17, 33, 3, 1));
  AddShape(suite, "bias_relu", Square(15, 65, 63, 3, 2));
  AddShape(suite, "bias_relu", Pointwise(17, 127, 129));
  AddShape(suite, "bias_relu", Pointwise(31, 33, 65));
  AddShape(suite, "bias_relu", Depthwise(33, 65, 1));
  AddShape(suite, "bias_relu", Depthwise(17, 127, 2));

  // Kernels between the small ones and the large, channels that end within a vector, dilation.
  AddShape(suite, "bias_relu", Depthwise(32, 128, 1, 9));
  AddShape(suite, "bias_relu", Depthwise(28, 12, 1));
  AddShape(suite, "bias_relu", Depthwise(28, 20, 1, 5));
  AddShape(suite, "bias_relu", Depthwise(7, 960, 1, 5));
  AddShape(suite, "bias_relu", Square(33, 160, 160, 5, 1, 160, 2));
  // Few outputs of many inputs, and large kernels on groups and few outputs.
  AddShape(suite, "bias", Square(48, 32, 1, 5, 1));
  AddShape(suite, "bias", Square(48, 64, 3, 3, 1));
  AddShape(suite, "bias_relu", Square(28, 16, 32, 5, 1));
  AddShape(suite, "bias_relu", Square(20, 64, 64, 5, 1, 4));
  AddShape(suite, "bias", Square(64, 128, 1, 3, 1));
  AddShape(suite, "bias", Square(75, 80, 2, 5, 1));

  // Signals, as in conformers and temporal networks; few channels with dilation, and groups.
  AddShape(suite, "bias_relu", Signal(512, 256, 256, 15, 256));
  AddShape(suite, "bias_relu", Signal(250, 512, 512, 9, 512));
  AddShape(suite, "bias_relu", Signal(1000, 64, 64, 31, 64));
  AddShape(suite, "bias_relu", Signal(1000, 64, 64, 3, 4));
  AddShape(suite, "bias_relu", Signal(1000, 32, 32, 3, 1, 4));
  AddShape(suite, "bias_relu", Square(64, 3, 16, 3, 1, 1, 2));
  AddShape(suite, "bias_relu", Square(64, 16, 16, 3, 1, 1, 2));
  AddShape(suite, "bias_relu", Square(28, 64, 64, 3, 1, 16, 2));
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddConv);

}  // namespace
}  // namespace lanefuse::bench

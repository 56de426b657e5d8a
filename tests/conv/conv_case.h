// One convolution with its data between guard pages: what all tests of Conv2d share.
#ifndef LANEFUSE_TESTS_CONV_CONV_CASE_H_
#define LANEFUSE_TESTS_CONV_CONV_CASE_H_

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "lanefuse/conv.h"
#include "lanefuse/target.h"
#include "tests/reference/bound.h"
#include "tests/reference/conv_ref.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {

// Gaps between pixels, rows and images, and where the guard page stands.
struct Layout {
  size_t pixel_gap = 0, row_gap = 0, image_gap = 0;
  Guard guard = Guard::kAtEnd;
  size_t offset = 0;
};

// Every combination of dense or not, guard before or behind, aligned or not, in turn.
inline Layout LayoutNumber(size_t i) {
  constexpr Layout kLayouts[] = {
      {},
      {.pixel_gap = 3},
      {.guard = Guard::kAtBegin},
      {.row_gap = 5, .image_gap = 2, .guard = Guard::kAtBegin, .offset = 1},
      {.pixel_gap = 1, .row_gap = 1, .image_gap = 1},
      {.offset = 3},
      {.pixel_gap = 13, .image_gap = 7, .guard = Guard::kAtBegin},
      {},  // before the first one: neither input nor output has gaps
  };
  return kLayouts[i % std::size(kLayouts)];
}

inline GuardedImage MakeImage(size_t images, size_t height, size_t width, size_t channels,
                              const Layout& l) {
  return GuardedImage(images, height, width, channels, l.pixel_gap, l.row_gap, l.image_gap, l.guard,
                      l.offset);
}

struct ConvCase {
  Conv2dShape shape;
  size_t images = 1, height = 1, width = 1;
  bool has_bias = false;
  Data data = Data::kUniform;
  size_t layout = 0;    // x is laid out as LayoutNumber(layout), y as LayoutNumber(layout + 1)
  size_t specials = 0;  // how many special values overwrite the input, and as many the weights

  std::string Name() const {
    const Conv2dShape& s = shape;
    const auto pair = [](size_t a, size_t b) {
      return std::to_string(a) + "x" + std::to_string(b);
    };
    return std::to_string(images) + " images of " + pair(height, width) + "x" +
           std::to_string(s.channels) + ", kernel " + pair(s.kernel_h, s.kernel_w) + ", outputs " +
           std::to_string(s.outputs) + ", groups " + std::to_string(s.groups) + ", stride " +
           pair(s.stride_h, s.stride_w) + ", dilation " + pair(s.dilation_h, s.dilation_w) +
           ", padding " + std::to_string(s.padding.top) + " " + std::to_string(s.padding.bottom) +
           " " + std::to_string(s.padding.left) + " " + std::to_string(s.padding.right) +
           (has_bias ? ", bias" : "") + ", layout " + std::to_string(layout) + ", data " +
           std::to_string(static_cast<int>(data));
  }
};

// A square kernel, and the padding that keeps the size at stride 1 where it is odd.
inline Conv2dShape Square(size_t kernel, size_t channels, size_t outputs, size_t groups = 1) {
  const size_t p = kernel / 2;
  return {.outputs = outputs,
          .channels = channels,
          .kernel_h = kernel,
          .kernel_w = kernel,
          .groups = groups,
          .padding = {p, p, p, p}};
}

inline Conv2dShape Strided(Conv2dShape s, size_t stride) {
  s.stride_h = s.stride_w = stride;
  return s;
}

// The padding grows as the kernel does.
inline Conv2dShape Dilated(Conv2dShape s, size_t dilation) {
  s.dilation_h = s.dilation_w = dilation;
  const Padding& p = s.padding;
  s.padding = {p.top * dilation, p.bottom * dilation, p.left * dilation, p.right * dilation};
  return s;
}

// Padding as much as keeps the size, more and on one side, or none and a larger image, in turn.
inline void PadInTurn(size_t i, ConvCase& c) {
  Conv2dShape& s = c.shape;
  const size_t high = s.dilation_h * (s.kernel_h - 1), wide = s.dilation_w * (s.kernel_w - 1);
  s.padding = {high / 2, high - high / 2, wide / 2, wide - wide / 2};
  if (i % 4 == 1) s.padding = {high + 1, 0, 0, wide + 2};
  if (i % 4 == 2) {
    s.padding = {};
    c.height += high;
    c.width += wide;
  }
}

// As many outputs as channels.
inline Conv2dShape Depthwise(size_t channels, size_t stride = 1, size_t kernel = 3) {
  return Strided(Square(kernel, channels, channels, channels), stride);
}

// The case with its input and its packed weights, both read-only and between guard pages.
class ConvRig {
 public:
  ConvRig(const ConvCase& c, Random& random)
      : spec(c),
        x(MakeImage(c.images, c.height, c.width, c.shape.channels, LayoutNumber(c.layout))),
        weights(c.shape.outputs * TermsPerOutput(c.shape)),
        bias(c.has_bias ? c.shape.outputs : 0),
        bytes_(PackedConv2d::Bytes(c.shape)) {
    std::vector<float> input(c.images * c.height * c.width * c.shape.channels);
    random.FillOperands(c.data, input, weights);
    random.FillUniform(bias, -2.0f, 2.0f);
    random.PlantSpecials(input, c.specials);
    random.PlantSpecials(weights, c.specials);
    x.Fill(input);
    x.ReadOnly();
    Pack({});
  }

  // Packs again, with batchnorms.
  void Pack(const Conv2dFold& fold) {
    bytes_.Writable();
    const Status status =
        PackedConv2d::Pack(spec.shape, weights, bias, fold, bytes_.span(), packed);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(bytes_.CheckCanaries());
    bytes_.ReadOnly();
  }

  size_t OutHeight() const { return OutputHeight(spec.shape, spec.height); }
  size_t OutWidth() const { return OutputWidth(spec.shape, spec.width); }
  size_t OutPixels() const { return spec.images * OutHeight() * OutWidth(); }
  GuardedImage MakeOutput() const {
    return MakeImage(spec.images, OutHeight(), OutWidth(), spec.shape.outputs,
                     LayoutNumber(spec.layout + 1));
  }

  // One call into a fresh output, with its canaries checked. Empty after a failure.
  std::vector<float> Run(const Epilogue& epilogue = {}, Parallel parallel = {.threads = 1}) const {
    const GuardedImage y = MakeOutput();
    const Status status = Conv2d(x.cview(), packed, epilogue, y.view(), parallel);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(y.CheckCanaries());
    return status.ok() ? y.Dense() : std::vector<float>();
  }

  ConvCase spec;
  GuardedImage x;
  std::vector<float> weights, bias;
  PackedConv2d packed;

 private:
  Guarded<std::byte> bytes_;
};

// What a convolution without epilogue must give: in scalar float and in double.
struct ConvAnswers {
  explicit ConvAnswers(const ConvRig& rig)
      : model(ConvModel(rig.x.cview(), rig.spec.shape, rig.weights, rig.bias)) {
    if (rig.spec.specials != 0) return;  // Infinities have no bound: the model alone judges.
    ForEachOutput(rig.spec.images, rig.OutHeight(), rig.OutWidth(), rig.spec.shape.outputs,
                  [&](const OutputIndex& at) {
                    expected.push_back(
                        ConvExpected(rig.x.cview(), rig.spec.shape, rig.weights, rig.bias, at));
                  });
  }
  std::vector<float> model;
  std::vector<Expected> expected;
};

// Runs the case on every target against both answers.
inline void CheckConv(const ConvCase& c, Random& random) {
  SCOPED_TRACE(c.Name());
  const ConvRig rig(c, random);
  const ConvAnswers answers(rig);
  ForEachTarget([&](std::string_view target) {
    const std::vector<float> y = rig.Run();
    if (c.specials == 0) {
      EXPECT_TRUE(AllWithin(y, answers.expected, BoundFactor(target)));
    }
    if (FusesMulAdd(target)) {
      EXPECT_SAME_BITS(y, answers.model);
    }
  });
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_CONV_CONV_CASE_H_

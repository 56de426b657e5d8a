// Conv2d against its oracle and against the stated order of its sums, on every target: the geometry
// of kernels, strides, dilation and padding, and the values that arithmetic treats in its own way.
#include "lanefuse/conv.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "tests/conv/conv_case.h"

namespace lanefuse::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Pair {
  size_t h, w;
};

constexpr Pair kKernels[] = {{1, 1}, {3, 3}, {5, 5}, {7, 7}, {1, 7}, {10, 4}, {2, 2}, {4, 1}};
constexpr Pair kStrides[] = {{1, 1}, {2, 2}, {3, 3}, {1, 2}, {2, 1}, {3, 2}};
constexpr Pair kDilations[] = {{1, 1}, {2, 2}, {3, 1}, {1, 3}, {3, 3}};

// The rows (or columns) that a kernel reaches over.
size_t Reach(size_t kernel, size_t dilation) { return (kernel - 1) * dilation + 1; }

// Channels, outputs and groups that take every path: pointwise, dense, grouped, depthwise with and
// without a multiplier; in turn.
void SetChannels(size_t i, Conv2dShape& s) {
  struct Channels {
    size_t channels, outputs, groups;
  };
  constexpr Channels kChannels[] = {
      {1, 64, 1}, {3, 16, 1}, {8, 17, 1}, {16, 33, 1}, {17, 3, 1}, {4, 4, 4},    {33, 33, 33},
      {7, 14, 7}, {6, 10, 2}, {5, 15, 5}, {12, 20, 4}, {70, 1, 1}, {64, 64, 64}, {15, 80, 1}};
  const Channels& c = kChannels[i % std::size(kChannels)];
  s.channels = c.channels;
  s.outputs = c.outputs;
  s.groups = c.groups;
}

// No padding; some on every side, each different; more than the kernel reaches, so that whole
// windows lie in it.
Padding PaddingNumber(size_t i, size_t reach_h, size_t reach_w) {
  switch (i % 4) {
    case 0:
      return {};
    case 1:
      return {.top = reach_h / 2,
              .bottom = (reach_h - 1) / 2,
              .left = (reach_w - 1) / 2,
              .right = reach_w / 2};
    case 2:
      return {.top = 1, .bottom = 0, .left = 2, .right = 3};
    default:
      return {.top = reach_h + 1, .bottom = 2, .left = 0, .right = reach_w + 2};
  }
}

TEST(Conv2d, EveryKernelStrideDilationAndPadding) {
  Random random(__LINE__);
  size_t i = 0;
  for (const Pair& kernel : kKernels) {
    for (const Pair& stride : kStrides) {
      for (const Pair& dilation : kDilations) {
        for (size_t padding = 0; padding < 4; ++padding, ++i) {
          const size_t reach_h = Reach(kernel.h, dilation.h);
          const size_t reach_w = Reach(kernel.w, dilation.w);
          ConvCase c{.shape = {.kernel_h = kernel.h,
                               .kernel_w = kernel.w,
                               .stride_h = stride.h,
                               .stride_w = stride.w,
                               .dilation_h = dilation.h,
                               .dilation_w = dilation.w,
                               .padding = PaddingNumber(padding, reach_h, reach_w)},
                     .images = i % 5 == 0 ? size_t{2} : size_t{1},
                     .has_bias = i % 3 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          SetChannels(i, c.shape);
          // Padding alone may make a window; without it the image has to hold one.
          c.height = (padding == 0 ? reach_h : size_t{1}) + i % 7;
          c.width = (padding == 0 ? reach_w : size_t{1}) + i % 11;
          if (c.height + c.shape.padding.top + c.shape.padding.bottom < reach_h) c.height = reach_h;
          if (c.width + c.shape.padding.left + c.shape.padding.right < reach_w) c.width = reach_w;
          CheckConv(c, random);
          if (HasFailure()) return;  // One case is a report, a thousand are noise.
        }
      }
    }
  }
}

// Images smaller than the kernel, seen through padding: every output mixes image and padding, or
// is padding alone.
TEST(Conv2d, PaddingLargerThanTheImage) {
  Random random(__LINE__);
  size_t i = 0;
  for (size_t height = 1; height <= 3; ++height) {
    for (size_t width = 1; width <= 3; ++width) {
      for (const Pair& kernel : {Pair{1, 1}, Pair{3, 3}, Pair{5, 5}, Pair{2, 7}}) {
        for (size_t extra : {0, 1, 6}) {
          ConvCase c{.shape = {.kernel_h = kernel.h,
                               .kernel_w = kernel.w,
                               .stride_h = 1 + i % 2,
                               .stride_w = 1 + i % 3,
                               .padding = {.top = kernel.h + extra,
                                           .bottom = kernel.h,
                                           .left = kernel.w,
                                           .right = kernel.w + extra}},
                     .images = 2,
                     .height = height,
                     .width = width,
                     .has_bias = i % 2 == 0,
                     .layout = i};
          SetChannels(i++, c.shape);
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// An image without rows or columns is all padding: sums of zeros, then the bias.
TEST(Conv2d, AnImageWithoutPixelsIsAllPadding) {
  Random random(__LINE__);
  for (const Pair& size : {Pair{0, 4}, Pair{4, 0}, Pair{0, 0}}) {
    CheckConv({.shape = {.outputs = 19,
                         .channels = 5,
                         .kernel_h = 3,
                         .kernel_w = 3,
                         .padding = {.top = 2, .bottom = 2, .left = 2, .right = 2}},
               .height = size.h,
               .width = size.w,
               .has_bias = true},
              random);
  }
}

// Nothing to compute is success, whatever is missing, and writes nothing.
TEST(Conv2d, NoImagesIsSuccess) {
  Random random(__LINE__);
  for (const size_t kernel : {1, 3}) {
    ConvCase c{.shape = {.outputs = 19, .channels = 5, .kernel_h = kernel, .kernel_w = kernel},
               .images = 0,
               .height = 5,
               .width = 5};
    const ConvRig rig(c, random);
    ForEachTarget([&](std::string_view) {
      EXPECT_TRUE(rig.Run().empty());
      ImageView<const float> x(nullptr, 0, 5, 5, 5);
      const ImageView<float> y(nullptr, 0, 6 - kernel, 6 - kernel, 19);
      const Status status = Conv2d(x, rig.packed, {}, y);
      EXPECT_TRUE(status.ok()) << status.message();
    });
  }
}

TEST(Conv2d, SpecialValuesAnywhere) {
  Random random(__LINE__);
  size_t i = 0;
  for (const Pair& kernel : kKernels) {
    for (size_t repeat = 0; repeat < 14; ++repeat, ++i) {
      ConvCase c{.shape = {.kernel_h = kernel.h,
                           .kernel_w = kernel.w,
                           .stride_h = 1 + i % 2,
                           .stride_w = 1 + i / 2 % 2,
                           .padding = PaddingNumber(i + 1, kernel.h, kernel.w)},
                 .height = kernel.h + 4,
                 .width = kernel.w + 9,
                 .has_bias = i % 3 == 0,
                 .data = kAllData[i % 2],
                 .layout = i,
                 .specials = 1 + i % 9};
      SetChannels(i, c.shape);
      CheckConv(c, random);
      if (HasFailure()) return;
    }
  }
}

// One special value at each place of the input, alone: it reaches the outputs that read it, as the
// model says, and no others (a kernel that multiplies it by a zero of its own would spread NaN).
TEST(Conv2d, OneSpecialValueAtEachPlaceOfTheInput) {
  Random random(__LINE__);
  const ConvCase cases[] = {
      {.shape =
           {.outputs = 18, .channels = 3, .kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
       .height = 3,
       .width = 8},
      {.shape = {.outputs = 18, .channels = 9}, .height = 2, .width = 7},
      {.shape = {.outputs = 19,
                 .channels = 19,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 19,
                 .padding = {1, 1, 1, 1}},
       .height = 3,
       .width = 8},
      {.shape = {.outputs = 6,
                 .channels = 6,
                 .kernel_h = 2,
                 .kernel_w = 2,
                 .stride_w = 2,
                 .groups = 2,
                 .padding = {0, 1, 1, 0}},
       .height = 3,
       .width = 5},
      {.shape = Square(3, 24, 24, 3), .height = 4, .width = 8},
      {.shape = Square(3, 16, 16, 4), .height = 3, .width = 7},
      {.shape = Square(3, 3, 7), .height = 3, .width = 18},
      {.shape = Square(3, 1, 8), .height = 3, .width = 17},
      {.shape = Square(3, 3, 16), .height = 3, .width = 17},
      {.shape = Square(3, 20, 2), .height = 3, .width = 16},
      {.shape = Depthwise(8), .height = 3, .width = 15, .layout = 7},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(c.Name());
    ConvRig rig(c, random);
    const std::vector<float> input = rig.x.Dense();
    for (size_t i = 0; i < input.size(); ++i) {
      for (const float special : {kNaN, kInf, -0.0f, 0x1p-149f}) {
        std::vector<float> changed = input;
        changed[i] = special;
        rig.x.Writable();
        rig.x.Fill(changed);
        const std::vector<float> model = ConvModel(rig.x.cview(), c.shape, rig.weights, rig.bias);
        ForEachFusingTarget([&](std::string_view) { EXPECT_SAME_BITS(rig.Run(), model); });
        ASSERT_FALSE(HasFailure()) << "special " << special << " at " << i;
      }
    }
  }
}

// A tap in the padding adds 0 * w like any other, so a weight that is not finite gives NaN there.
TEST(Conv2d, WeightsThatAreNotFiniteGiveNaNInThePadding) {
  Random random(__LINE__);
  for (const Conv2dShape& shape : {Square(3, 5, 10), Square(3, 5, 10, 5), Square(3, 8, 10),
                                   Square(3, 8, 20), Square(3, 512, 512, 64), Square(3, 32, 32, 8),
                                   Square(3, 16, 16, 16), Square(3, 24, 24, 4), Square(3, 3, 8)}) {
    // Vectors of pixels begin at 13.
    const ConvCase c{.shape = shape, .height = 4, .width = shape.outputs == 8 ? size_t{17} : 9};
    ConvRig rig(c, random);
    const size_t terms = TermsPerOutput(c.shape);
    for (const float special : {kInf, -kInf, kNaN}) {
      for (size_t k = 0; k < terms; ++k) {
        SCOPED_TRACE("term " + std::to_string(k));
        const float kept = std::exchange(rig.weights[7 * terms + k], special);
        rig.Pack({});
        const std::vector<float> model = ConvModel(rig.x.cview(), c.shape, rig.weights, {});
        ForEachFusingTarget([&](std::string_view) { EXPECT_SAME_BITS(rig.Run(), model); });
        rig.weights[7 * terms + k] = kept;
        ASSERT_FALSE(HasFailure());
      }
    }
  }
}

// Deep and wide enough that a tile leaves out single pixels in the padding: the first, the last,
// some of both sides of a row, or of rows that end within the tile.
TEST(Conv2d, EveryWidthWithDeepChannels) {
  Random random(__LINE__);
  Conv2dShape lopsided = Square(3, 40, 50);
  lopsided.padding = {0, 2, 1, 3};
  for (const Conv2dShape& shape :
       {Square(3, 33, 64), Square(5, 32, 49), Strided(Square(3, 32, 64), 2),
        Dilated(Square(3, 32, 64), 2), lopsided}) {
    for (size_t width = 1; width <= 20; ++width) {
      CheckConv({.shape = shape,
                 .height = 3,
                 .width = width,
                 .has_bias = width % 2 == 0,
                 .data = kAllData[width % 3],
                 .layout = width},
                random);
      if (HasFailure()) return;
    }
  }
}

// Taps in the padding add +0 or -0: a sum that underflowed to -0 becomes +0 by a positive weight
// there. A kernel that leaves such taps out must give the same.
TEST(Conv2d, PaddingTurnsNegativeZerosIntoPositiveOnes) {
  Random random(__LINE__);
  const Conv2dShape shapes[] = {
      Depthwise(8),
      Depthwise(37),
      Depthwise(37, 1, 5),
      Depthwise(37, 1, 7),
      Depthwise(37, 2),
      Depthwise(37, 2, 5),
      Depthwise(37, 2, 7),
      Depthwise(48),
      Depthwise(48, 2),
      Depthwise(69, 1, 11),
      Depthwise(37, 1, 31),
      Dilated(Depthwise(8), 2),
      Dilated(Depthwise(37), 2),
      Dilated(Depthwise(21, 1, 5), 3),
      Square(3, 5, 5),
      Square(3, 8, 8),
      Square(3, 8, 16),
      Square(3, 20, 20),
      Square(3, 40, 70),
      Square(5, 35, 64),
      Square(5, 16, 16),
      Square(5, 32, 32, 2),
      Strided(Square(5, 33, 33), 2),
      Dilated(Square(3, 40, 40), 3),
      Square(3, 32, 32, 2),
      Square(3, 24, 24, 3),
      Strided(Square(3, 32, 32, 4), 2),
      Square(3, 16, 16, 4),
      Strided(Square(3, 32, 32, 8), 2),
      Square(7, 12, 12, 3),
      Square(3, 30, 18, 3),
      Square(5, 24, 20, 4),
      Square(1, 20, 20),
  };
  size_t negative = 0, positive = 0;
  for (const Conv2dShape& shape : shapes) {
    for (const size_t side : {1, 2, 4, 7, 10, 14, 15}) {  // the last without any gaps
      const ConvCase c{.shape = shape,
                       .height = side,
                       .width = side + side % 3,
                       .layout = side == 15 ? size_t{7} : 0};
      SCOPED_TRACE(c.Name());
      ConvRig rig(c, random);
      rig.x.Writable();
      // Most inputs are zero, and every product of two others underflows.
      for (float& v : rig.x.span()) v = random.Below(8) == 0 ? v * 0x1p-90f : 0.0f;
      for (float& v : rig.weights) v = (random.Below(2) == 0 ? v : -std::abs(v)) * 0x1p-70f;
      rig.Pack({});
      const std::vector<float> model = ConvModel(rig.x.cview(), shape, rig.weights, rig.bias);
      for (const float v : model) {
        ASSERT_EQ(v, 0.0f);
        negative += std::signbit(v);
        positive += !std::signbit(v);
      }
      ForEachFusingTarget([&](std::string_view) { EXPECT_SAME_BITS(rig.Run(), model); });
    }
  }
  ASSERT_GT(negative, 100u) << "the data miss their aim";
  ASSERT_GT(positive, 100u) << "the data miss their aim";
}

// Sums of subnormals, and products that underflow, as IEEE has them: nothing is flushed to zero,
// but on the targets that cannot do otherwise.
TEST(Conv2d, SubnormalsAreKept) {
  for (const size_t groups : {1, 8}) {
    const Conv2dShape shape{
        .outputs = 24, .channels = 8, .kernel_h = 2, .kernel_w = 2, .groups = groups};
    Random random(__LINE__);
    ConvRig rig({.shape = shape, .height = 4, .width = 9}, random);
    rig.x.Writable();
    for (float& v : rig.x.span()) v *= 0x1p-100f;
    for (float& v : rig.weights) v *= 0x1p-45f;
    rig.Pack({});
    const std::vector<float> model = ConvModel(rig.x.cview(), shape, rig.weights, rig.bias);
    size_t subnormal = 0;
    for (const float v : model) subnormal += v != 0.0f && std::abs(v) < 0x1p-126f;
    if (IsIeee(ActiveTarget())) {
      ASSERT_GT(subnormal, model.size() / 2) << "the data miss their aim";
    } else {
      ASSERT_EQ(subnormal, 0u);
    }
    ForEachFusingTarget([&](std::string_view) { EXPECT_SAME_BITS(rig.Run(), model); });
  }
}

}  // namespace
}  // namespace lanefuse::test

// Conv2d with few channels: where lanes are pixels, vectors hold two pixels, or tiles are copied.
#include <gtest/gtest.h>

#include "tests/conv/conv_case.h"

namespace lanefuse::test {
namespace {

// Up to eight outputs of few inputs, whose vectors are pixels: every distance of two pixels and one
// that has no code, rows of one tile and of several, any padding.
TEST(Conv2dPixels, EveryDistance) {
  Random random(__LINE__);
  struct Kernel {
    size_t h, w;
  };
  constexpr size_t kDense[] = {0, 2, 3, 5, 7};  // layouts without gaps between pixels
  size_t i = 0;
  for (const size_t stride : {1, 2, 3}) {
    for (const size_t channels : {1, 2, 3, 4, 5, 6, 8}) {
      for (const Kernel& kernel :
           {Kernel{3, 3}, {1, 3}, {5, 5}, {2, 2}, {4, 3}, {8, 2}, {9, 2}, {3, 7}}) {
        for (size_t n = 0; n < 3; ++n, ++i) {
          const size_t across = 12 + i * 11 % 45;
          ConvCase c{.shape = {.outputs = 1 + (i + i / 24) % 8,
                               .channels = channels,
                               .kernel_h = kernel.h,
                               .kernel_w = kernel.w,
                               .stride_h = i % 7 == 6 ? 3 - stride % 3 : stride,
                               .stride_w = stride},
                     .images = 1 + i % 2,
                     .height = kernel.h + i * 5 % 13,
                     .width = (across - 1) * stride + kernel.w,
                     .has_bias = i % 3 != 0,
                     .data = kAllData[i % 3],
                     .layout = kDense[i % 5]};
          if (n == 1) c.shape.padding = {kernel.h / 2, kernel.h / 2, kernel.w / 2, kernel.w / 2};
          if (n == 2) c.shape.padding = {i % 3, i % 4, i % 5, i % 23};
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Up to four outputs of many inputs, whose rows are transposed, at once or for each tap: one vector
// of pixels and two, sums in one group and several, images lower than the kernel, any padding.
TEST(Conv2dPixels, UpToFourOutputsOfManyInputs) {
  Random random(__LINE__);
  struct Kernel {
    size_t h, w;
  };
  size_t i = 0;
  for (size_t outputs = 1; outputs <= 4; ++outputs) {
    for (const size_t channels : {4, 7, 9, 30, 49, 64, 113, 226}) {
      for (const Kernel& kernel :
           {Kernel{3, 3}, {5, 5}, {7, 7}, {9, 9}, {3, 5}, {9, 2}, {1, 9}, {1, 1}, {4, 4}}) {
        ConvCase c{.shape = {.outputs = outputs,
                             .channels = channels,
                             .kernel_h = kernel.h,
                             .kernel_w = kernel.w},
                   .images = 1 + i % 2,
                   .height = 1 + i * 5 % 11,
                   .width = 8 + i * 7 % 26,
                   .has_bias = i % 3 != 0,
                   .data = kAllData[i % 3],
                   .layout = i};
        c.shape.padding = {kernel.h / 2, kernel.h / 2, kernel.w / 2, kernel.w / 2};
        if (i % 4 == 1) c.shape.padding = {kernel.h - 1, i % 3, i % 5, kernel.w};
        if (i % 4 == 3) c.shape.padding = {kernel.h, kernel.h, 0, 0};
        c.width += i % 4 == 3 ? kernel.w - 1 : 0;
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Large kernels on few channels, whose tiles are copied with the padding where a patch holds them,
// and look up their taps where it does not: pixels that lie further apart than a kernel is wide,
// too.
TEST(Conv2dPixels, LargeKernelsOfFewChannels) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t outputs : {5, 8, 13, 32, 40}) {
    for (size_t channels = 1; channels <= 9; ++channels) {
      for (const size_t width : {1, 2, 4, 5, 7, 8, 10, 20}) {
        const size_t height = 1 + i * 7 % 9;
        const size_t stride = 1 + i % 3;
        const size_t across = 3 + i * 5 % 23;
        CheckConv(
            {.shape = {.outputs = outputs,
                       .channels = channels,
                       .kernel_h = height,
                       .kernel_w = width,
                       .stride_h = 1 + i % 2,
                       .stride_w = stride,
                       .padding = {height / 2, height / 3, width / 2, i % 4 == 3 ? 9 : width / 2}},
             .images = 1 + i % 2,
             .height = height + i % 6,
             .width = std::max((across - 1) * stride, width),
             .has_bias = i % 3 != 0,
             .data = kAllData[i % 3]},
            random);
        if (HasFailure()) return;
        ++i;
      }
    }
  }
}

// Rows of one tile, of several, and of tiles that have pixels in common.
void CheckEveryWidth(Conv2dShape shape, Random& random) {
  size_t i = 0;
  for (size_t width = 10; width <= 51; ++width) {
    for (const Padding& padding : {Padding{1, 1, 1, 1},
                                   {0, 0, 0, 0},
                                   {0, 1, 0, 1},
                                   {1, 0, 1, 0},
                                   {2, 3, 1, 0},
                                   {1, 1, 1, 2}}) {
      shape.padding = padding;
      CheckConv({.shape = shape,
                 .images = 1 + i % 2,
                 .height = 3 + i % 17,
                 .width = width * shape.stride_w,
                 .has_bias = i % 3 != 0,
                 .data = kAllData[i % 3],
                 .layout = i % 4 == 3 ? 2 : size_t{7}},
                random);
      if (testing::Test::HasFailure()) return;
      ++i;
    }
  }
}

// Inputs that are broadcast once for all pixels.
TEST(Conv2dPixels, OneVectorOfOutputsOfOneOrThreeChannels) {
  Random random(__LINE__);
  for (const size_t outputs : {8, 16}) {
    for (const size_t channels : {1, 3}) {
      for (const size_t stride : {1, 2}) {
        CheckEveryWidth({.outputs = outputs,
                         .channels = channels,
                         .kernel_h = 3,
                         .kernel_w = 3,
                         .stride_h = stride,
                         .stride_w = stride},
                        random);
      }
    }
  }
}

// Two pixels share a vector of sixteen lanes.
TEST(Conv2dPixels, PairsOfEightChannels) {
  Random random(__LINE__);
  CheckEveryWidth({.outputs = 8, .channels = 8, .kernel_h = 3, .kernel_w = 3, .groups = 8}, random);
}

// Rows whose first and last pixels find taps in the padding, as many as tall tiles leave out and
// more: one vector of outputs or two, whole ones or not, images narrower and wider than a tile.
TEST(Conv2dPixels, RowsThatMeetThePadding) {
  Random random(__LINE__);
  constexpr size_t kOutputs[] = {8, 16, 32, 5, 13, 24, 16};
  size_t i = 0;
  for (const size_t kernel : {3, 5, 7, 9}) {
    for (const size_t channels : {3, 21}) {
      for (const size_t groups : {1, 2}) {
        for (const size_t width : {2, 5, 6, 7, 8, 9, 12, 13, 16, 17, 20, 23, 24, 25, 33, 49}) {
          const size_t outputs = groups * kOutputs[i % 7];
          ConvCase c{.shape = Square(kernel, groups * channels, outputs, groups),
                     .images = 1 + i % 2,
                     .height = 1 + i % 7,
                     .width = width,
                     .has_bias = i % 2 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.padding = {.top = i % kernel,
                             .bottom = kernel - 1,
                             .left = kernel / 2 + i % 5 / 4,
                             .right = kernel / 2 + i % 3};
          ++i;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Two vectors of outputs, and blocks of them, where neither images nor rows have gaps: tiles go on
// in the next row, as few pixels as there may be in it, and in several images.
TEST(Conv2dPixels, TilesThatGoOnInTheNextRow) {
  Random random(__LINE__);
  constexpr size_t kOutputs[] = {16, 32, 48}, kChannels[] = {16, 8, 21, 35};
  constexpr size_t kWithoutGaps = 7;
  size_t i = 0;
  for (const size_t kernel_h : {1, 3, 4, 5}) {
    for (const size_t kernel_w : {1, 2, 3, 5, 9, 13}) {
      for (const size_t width : {4, 5, 6, 7, 8, 9, 10, 11, 13, 17, 26}) {
        const bool inside = width > 20;  // some tiles meet no padding
        const size_t groups = i % 5 == 4 || inside ? 3 : 1;
        ConvCase c{.shape = {.outputs = groups == 1 ? kOutputs[i % 3] : groups * 16,
                             .channels = groups * kChannels[i / 2 % 4],
                             .kernel_h = kernel_h,
                             .kernel_w = kernel_w,
                             .dilation_h = 1 + i % 7 / 6,
                             .dilation_w = 1 + i % 12 / 9,
                             .groups = groups},
                   .images = 1 + i % 2,
                   .height = inside ? 9 : 1 + i * 5 % 7,
                   .width = width,
                   .has_bias = i % 2 == 0,
                   .data = kAllData[i % 3],
                   .layout = kWithoutGaps};
        PadInTurn(i, c);
        c.shape.stride_h = 1 + i % 13 / 10;
        c.shape.stride_w = 1 + i % 17 / 13;
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Few channels, and few outputs, whose pixels run as far apart as taps: more phases than there are
// pixels, and phases that begin in the padding, end in it, or lie in it.
TEST(Conv2dPixels, WithDilation) {
  Random random(__LINE__);
  constexpr size_t kChannels[] = {1, 3, 4, 8, 12, 16, 24, 36};
  constexpr size_t kOutputs[] = {16, 8, 20, 32, 3, 16, 48};
  size_t i = 0;
  for (const size_t kernel_h : {1, 2, 3, 5}) {
    for (const size_t kernel_w : {1, 2, 3, 5}) {
      for (const size_t down : {1, 2, 3}) {
        for (const size_t across : {1, 2, 4, 13}) {
          ConvCase c{.shape = {.outputs = kOutputs[i % 7],
                               .channels = kChannels[i % 8],
                               .kernel_h = kernel_h,
                               .kernel_w = kernel_w,
                               .dilation_h = down,
                               .dilation_w = across},
                     .images = 1 + i % 2,
                     .height = down * (1 + i * 3 % (2 * kernel_h + 3)) + i % 2,
                     .width = across * (4 + i * 7 % 17) + i % 5,
                     .has_bias = i % 2 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          PadInTurn(i++, c);
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// The same of groups, in strips and in tall tiles.
TEST(Conv2dPixels, GroupsWithDilation) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t size : {3, 4, 8, 16}) {
    for (const size_t groups : {2, 3, 4, 8}) {
      for (const size_t dilation : {2, 3}) {
        for (const size_t kernel : {1, 3}) {
          ConvCase c{.shape = Square(3, size * groups, size * groups, groups),
                     .images = 1 + i % 2,
                     .height = dilation * 6 + i % 3,
                     .width = dilation * (7 + i * 5 % 9) + i % 2,
                     .has_bias = i % 3 != 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.kernel_h = kernel;
          c.shape.dilation_h = c.shape.dilation_w = dilation;
          const size_t high = dilation * (kernel - 1) / 2;
          c.shape.padding = {high, high, dilation - i % 5 / 4, dilation};
          ++i;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

}  // namespace
}  // namespace lanefuse::test

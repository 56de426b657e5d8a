// Depthwise Conv2d against its oracles: every tail of its tiles, blocks of rows and of channels,
// and kernels of every size.
#include <gtest/gtest.h>

#include "tests/conv/conv_case.h"

namespace lanefuse::test {
namespace {

TEST(Conv2dDepthwise, WithAndWithoutMultiplier) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t channels : {1, 3, 4, 7, 8, 15, 16, 17, 33, 64, 70, 1100}) {
    for (const size_t multiplier : {1, 2, 3}) {
      for (const size_t kernel : {1, 2, 3, 5, 7}) {
        const bool deep = channels > 1000;
        ConvCase c{.shape = Square(kernel, channels, channels * multiplier, channels),
                   .images = deep ? size_t{1} : 1 + i % 2,
                   .height = deep ? size_t{2} : 1 + i % 6,
                   .width = 1 + i % 13,
                   .has_bias = i % 2 == 0,
                   .data = kAllData[i % 3],
                   .layout = i};
        c.shape.stride_h = 1 + i % 2;
        c.shape.stride_w = 1 + i / 2 % 3;
        c.shape.dilation_h = 1 + i / 3 % 2;
        c.shape.dilation_w = 1 + i / 5 % 3;
        // Wide enough for a dilated window.
        c.height += c.shape.dilation_h * (kernel - 1);
        c.width += c.shape.dilation_w * (kernel - 1);
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Depthwise needs every tail of its tiles at every stride: all widths at one height.
TEST(Conv2dDepthwise, AtEveryWidth) {
  Random random(__LINE__);
  for (const size_t channels : {1, 15, 16, 17, 32, 48, 65}) {
    for (size_t width = 1; width <= 20; ++width) {
      for (const size_t stride : {1, 2}) {
        ConvCase c{.shape = Square(3, channels, channels, channels),
                   .height = 4,
                   .width = width,
                   .has_bias = true,
                   .layout = width + stride};
        c.shape.stride_h = c.shape.stride_w = stride;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Every part of a vector of channels, alone and behind whole ones, in one panel and across two.
TEST(Conv2dDepthwise, WithEveryNumberOfChannels) {
  Random random(__LINE__);
  size_t i = 0;
  for (size_t channels = 1; channels <= 40; ++channels) {
    for (const size_t kernel : {3, 4, 5, 7}) {
      for (const size_t stride : {1, 2}) {
        ConvCase c{.shape = Square(kernel, channels, channels, channels),
                   .images = 1 + i % 2,
                   .height = 5 + i % 3,
                   .width = 3 + i % 11,
                   .has_bias = i % 2 == 0,
                   .data = kAllData[i % 3],
                   .layout = i};
        c.shape.stride_h = c.shape.stride_w = stride;
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// More channels than a table and what stands for no bias have, with and without a bias.
TEST(Conv2dDepthwise, WithManyChannels) {
  Random random(__LINE__);
  for (const size_t channels : {512, 513, 1100}) {
    for (const size_t kernel : {1, 3, 5, 7, 9}) {
      for (const size_t stride : {1, 2}) {
        for (const bool has_bias : {false, true}) {
          ConvCase c{.shape = Square(kernel, channels, channels, channels),
                     .height = 2,
                     .width = 3 + kernel,
                     .has_bias = has_bias,
                     .layout = stride};
          c.shape.stride_h = c.shape.stride_w = stride;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Several rows of outputs for a table of addresses, in several blocks of channels.
TEST(Conv2dDepthwise, InBlocks) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t channels : {150, 400, 600}) {
    for (const size_t kernel : {3, 5, 7}) {
      for (const size_t height : {6, 9, 15}) {
        ConvCase c{.shape = Square(kernel, channels, channels, channels),
                   .height = height,
                   .width = 13 + i % 6,
                   .has_bias = true,
                   .layout = i};
        c.shape.stride_h = 1 + i / 2 % 2;
        c.shape.stride_w = 1 + i % 2;
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Pixels a power of two apart, whose lines fall into few sets of a cache.
TEST(Conv2dDepthwise, WithLinesThatMeet) {
  Random random(__LINE__);
  for (const size_t channels : {512, 1024}) {
    for (const size_t width : {5, 7, 14}) {
      for (const size_t height : {1, 4, 7}) {
        CheckConv({.shape = Square(3, channels, channels, channels),
                   .height = height,
                   .width = width,
                   .has_bias = height != 4},
                  random);
        if (HasFailure()) return;
      }
    }
  }
}

// Kernels of every width that a table of addresses holds, and some beyond it, of other heights.
TEST(Conv2dDepthwise, WithEveryKernel) {
  Random random(__LINE__);
  size_t i = 0;
  for (size_t kernel_w = 1; kernel_w <= 13; ++kernel_w) {
    for (const size_t kernel_h : {1, 3, 5, 7, 8}) {
      for (const size_t channels : {7, 24, 65}) {
        for (const size_t stride : {1, 2, 3}) {
          ConvCase c{.shape = {.outputs = channels,
                               .channels = channels,
                               .kernel_h = kernel_h,
                               .kernel_w = kernel_w,
                               .groups = channels,
                               .padding = {.top = kernel_h / 2,
                                           .bottom = (kernel_h - 1) / 2,
                                           .left = kernel_w / 2,
                                           .right = (kernel_w - 1) / 2}},
                     .height = 3 + i % 5,
                     .width = 1 + i % 19,
                     .has_bias = i % 2 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.stride_h = 1 + i % 2;
          c.shape.stride_w = stride;
          c.shape.dilation_w = 1 + i / 7 % 2;
          c.width += (c.shape.dilation_w - 1) * (kernel_w - 1);
          ++i;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Kernels much wider than a tile, on images narrower and wider than they, with more padding than
// either and with none.
TEST(Conv2dDepthwise, WithWideKernels) {
  Random random(__LINE__);
  constexpr size_t kChannels[] = {16, 37, 24, 50, 11};
  size_t i = 0;
  for (const size_t kernel_w : {8, 9, 12, 13, 14, 15, 24, 31}) {
    for (const size_t kernel_h : {1, 2, 3, 8, 11}) {
      for (const size_t padding : {size_t{0}, kernel_w / 2, kernel_w + 9}) {
        for (const size_t width : {1, 6, 7, 8, 13, 14, 15, 29, 45}) {
          if (width + 2 * padding < kernel_w) continue;
          ConvCase c{.shape = {.outputs = kChannels[i % 5],
                               .kernel_h = kernel_h,
                               .kernel_w = kernel_w,
                               .stride_h = 1 + i % 2,
                               .dilation_h = 1 + i / 3 % 2,
                               .padding = {.top = kernel_h,
                                           .bottom = kernel_h,
                                           .left = padding,
                                           .right = padding}},
                     .height = 1 + i % 6,
                     .width = width,
                     .has_bias = i % 3 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.channels = c.shape.groups = c.shape.outputs;
          ++i;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Strips and blocks of rows that are cut anywhere, of whole vectors of channels and of parts.
TEST(Conv2dDepthwise, AtEveryHeight) {
  Random random(__LINE__);
  for (const size_t kernel : {3, 5, 7}) {
    for (const size_t stride : {1, 2}) {
      for (size_t height = 1; height <= 48; ++height) {
        const size_t channels = height % 3 == 0 ? 40 : 37;
        ConvCase c{.shape = Square(kernel, channels, channels, channels),
                   .height = height,
                   .width = 1 + height * 5 % 14,
                   .has_bias = height % 2 == 0,
                   .data = kAllData[height % 3],
                   .layout = height};
        c.shape.stride_h = c.shape.stride_w = stride;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Images that an eighth of L2 does not hold, and with stride 2 one that is larger than 2 MB.
TEST(Conv2dDepthwise, OnLargeImages) {
  Random random(__LINE__);
  for (const size_t channels : {96, 100, 112}) {
    for (const size_t stride : {1, 2}) {
      const bool huge = channels == 112 && stride == 2;
      ConvCase c{.shape = Square(3, channels, channels, channels),
                 .height = huge ? size_t{77} : 30 + stride,
                 .width = huge ? size_t{75} : 31,
                 .has_bias = channels == 96,
                 .layout = stride};
      c.shape.stride_h = c.shape.stride_w = stride;
      CheckConv(c, random);
      if (HasFailure()) return;
    }
  }
}

// Strips that keep rows of the image: pixels 512 floats apart, with and without a part of a vector,
// each with all widths of a tile and every padding that strips may have.
TEST(Conv2dDepthwise, WithRowsThatAreKept) {
  Random random(__LINE__);
  constexpr size_t kGap = 3;  // of LayoutNumber(1)
  size_t i = 0;
  for (const size_t stride : {1, 2}) {
    for (size_t width = 4; width <= 16; ++width) {
      for (const size_t channels : {size_t{512}, 512 - kGap}) {
        ConvCase c{.shape = Depthwise(channels, stride),
                   .images = 1 + i % 2,
                   .height = (7 + i % 3) * stride,
                   .width = width * stride - i / 3 % stride,
                   .has_bias = i % 2 == 0,
                   .data = kAllData[i % 3],
                   .layout = channels == 512 ? size_t{0} : 1};
        c.shape.padding = {
            .top = i / 2 % 2, .bottom = i / 4 % 2, .left = i / 8 % 2, .right = i % 2};
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Pixels as far apart as taps run as images of their own: more of them than there are pixels, or
// images that begin in the padding, or end in it, or lie in it.
TEST(Conv2dDepthwise, WithDilation) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t kernel : {2, 3, 5, 7}) {
    for (const size_t down : {1, 2, 3, 5}) {
      for (const size_t across : {1, 2, 4, 13}) {
        for (const size_t channels : {16, 37}) {
          ConvCase c{.shape = Square(kernel, channels, channels, channels),
                     .images = 1 + i % 2,
                     .height = 1 + i % 11,
                     .width = 1 + i * 5 % 23,
                     .has_bias = i % 2 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.dilation_h = down;
          c.shape.dilation_w = across;
          PadInTurn(i++, c);
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// No padding, one pixel and two on each side: strips run where there is at most one.
TEST(Conv2dDepthwise, WithEveryPadding) {
  Random random(__LINE__);
  for (size_t i = 0; i < 3 * 3 * 3 * 3; ++i) {
    for (const size_t stride : {1, 2}) {
      for (const size_t channels : {16, 40}) {
        ConvCase c{.shape = Square(3, channels, channels, channels),
                   .images = 1 + i % 2,
                   .height = 3 + i % 5,
                   .width = 3 + i * 7 % 13,
                   .has_bias = i % 2 == 0,
                   .data = kAllData[i % 3],
                   .layout = i};
        c.shape.stride_h = c.shape.stride_w = stride;
        c.shape.padding = {
            .top = i % 3, .bottom = i / 3 % 3, .left = i / 9 % 3, .right = i / 27 % 3};
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Rows of outputs in pairs and alone, with padding from none to more than all taps, on images
// narrower and wider than the kernel.
TEST(Conv2dDepthwise, InPairsOfRows) {
  Random random(__LINE__);
  constexpr size_t kChannels[] = {8, 13, 24, 37};
  size_t i = 0;
  for (const size_t kernel_w : {3, 5, 7}) {
    for (const size_t kernel_h : {1, 2, 5, 7}) {
      for (size_t left = 0; left <= kernel_w; ++left) {
        for (const size_t width : {1, 3, 4, 7, 9, 12, 18, 23}) {
          const size_t right = i * 3 % (kernel_w + 2);
          if (width + left + right < kernel_w) continue;
          ConvCase c{.shape = {.outputs = kChannels[i / 2 % 4],
                               .kernel_h = kernel_h,
                               .kernel_w = kernel_w,
                               .stride_h = 1 + i % 2,
                               .stride_w = 1 + i / 3 % 2,
                               .padding = {.top = i % (kernel_h + 1),
                                           .bottom = i / 2 % (kernel_h + 1),
                                           .left = left,
                                           .right = right}},
                     .images = 1 + i % 2,
                     .height = kernel_h + i % 5,
                     .width = width,
                     .has_bias = i % 3 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.channels = c.shape.groups = c.shape.outputs;
          ++i;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Images of one row, whose tiles run in pairs beside each other or keep a block of taps at a time,
// and batches of them.
TEST(Conv2dDepthwise, OnSignals) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t kernel : {3, 4, 5, 7, 9, 15, 22, 43, 44}) {
    for (const size_t channels : {5, 8, 13, 24, 37, 48}) {
      for (const size_t stride : {1, 2}) {
        for (const size_t width : {29, 64, 105}) {
          ConvCase c{.shape = {.outputs = channels,
                               .channels = channels,
                               .kernel_h = 1,
                               .kernel_w = kernel,
                               .stride_h = 1 + i % 2,
                               .stride_w = stride,
                               .groups = channels,
                               .padding = {i % 5 / 4, i % 7 / 6, i % kernel, i * 3 % (kernel + 9)}},
                     .images = 1 + i % 3,
                     .width = width + (kernel > 22 ? 15 : 0),
                     .has_bias = i % 2 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
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

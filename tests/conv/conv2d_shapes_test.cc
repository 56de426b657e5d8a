// Conv2d against its oracles at every tail: channels, outputs, groups, widths and heights around
// the edges of panels (16 outputs), vectors and tiles, and the shapes of real networks.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/conv/conv_case.h"

namespace lanefuse::test {
namespace {

struct Extents {
  size_t height, width;
};

constexpr size_t kChannels[] = {1, 3, 4, 7, 8, 15, 16, 17, 33, 64, 70, 1100};

// 'Same' padding as TensorFlow has it: the odd pixel goes to the bottom and to the right.
Conv2dShape Same(Conv2dShape s, size_t height, size_t width) {
  const auto needed = [](size_t extent, size_t kernel, size_t stride) {
    const size_t covered = ((extent + stride - 1) / stride - 1) * stride + kernel;
    return covered > extent ? covered - extent : 0;
  };
  const size_t h = needed(height, s.kernel_h, s.stride_h);
  const size_t w = needed(width, s.kernel_w, s.stride_w);
  s.padding = {.top = h / 2, .bottom = h - h / 2, .left = w / 2, .right = w - w / 2};
  return s;
}

TEST(Conv2dShapes, EveryNumberOfOutputs) {
  Random random(__LINE__);
  for (size_t outputs = 1; outputs <= 81; ++outputs) {
    for (const size_t kernel : {1, 3}) {
      CheckConv({.shape = Square(kernel, 5, outputs),
                 .height = 2,
                 .width = 7,
                 .has_bias = outputs % 2 == 0,
                 .data = kAllData[outputs % 3],
                 .layout = outputs},
                random);
      if (HasFailure()) return;
    }
  }
}

TEST(Conv2dShapes, EveryPairOfChannelsAndOutputs) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t channels : kChannels) {
    for (const size_t outputs : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80}) {
      for (const size_t kernel : {1, 3}) {
        // 1100 channels: the width alone makes a tail of every tile, and padding a part of a tap.
        const bool deep = channels > 1000;
        if (deep && outputs > 17 && outputs != 48) continue;
        CheckConv({.shape = Square(kernel, channels, outputs),
                   .height = deep ? size_t{1} : 1 + i % 3,
                   .width = deep ? size_t{7} : 1 + i % 8,
                   .has_bias = i % 3 == 0,
                   .data = kAllData[i % 3],
                   .layout = i},
                  random);
        ++i;
        if (HasFailure()) return;
      }
    }
  }
}

TEST(Conv2dShapes, EveryWidthAndHeight) {
  Random random(__LINE__);
  struct Size {
    size_t channels, outputs, groups;
  };
  for (const Size& size :
       {Size{6, 17, 1}, Size{2, 33, 1}, Size{3, 64, 1}, Size{17, 17, 17}, Size{3, 8, 1}}) {
    for (size_t height : {1, 2, 3, 6, 7, 13}) {
      for (size_t width = 1; width <= 20; ++width) {
        for (const size_t kernel : {1, 3}) {
          ConvCase c{.shape = Square(kernel, size.channels, size.outputs, size.groups),
                     .height = height,
                     .width = width,
                     .has_bias = width % 2 == 0,
                     .data = kAllData[width % 3],
                     .layout = height + width};
          c.shape.stride_w = 1 + height % 2;
          CheckConv(c, random);
          // The same on its side: a single column, or a few.
          std::swap(c.height, c.width);
          c.images = 1 + width % 2;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Images of a few rows, whose data and layout change with the width.
void CheckWidth(const Conv2dShape& shape, size_t width, Random& random) {
  CheckConv({.shape = shape,
             .images = 1 + width % 2,
             .height = 3 + width % 3,
             .width = width,
             .has_bias = width % 2 == 0,
             .data = kAllData[width % 3],
             .layout = width},
            random);
}

// Rows of any width are cut into tiles of up to 24 pixels, where outputs are few and kernels deep,
// or come in blocks; their first pixels and their last may lie in the padding, alone or with
// others.
TEST(Conv2dShapes, DeepRowsOfFewOutputs) {
  Random random(__LINE__);
  Conv2dShape dilated = Dilated(Square(3, 9, 16), 2);
  dilated.padding.left = dilated.padding.right = 1;
  Conv2dShape lopsided = Square(3, 11, 32);
  lopsided.padding = {0, 3, 1, 0};
  for (const Conv2dShape& shape :
       {Square(3, 8, 16), Square(3, 9, 13), Square(3, 10, 32), Square(3, 9, 19),
        Strided(Square(3, 8, 16), 2), Strided(Square(5, 8, 24), 2), dilated, lopsided,
        Square(5, 8, 16), Square(3, 16, 32, 2), Square(3, 18, 34, 2), Square(3, 9, 8),
        Square(3, 8, 9), Square(5, 8, 7), Square(3, 24, 24, 3), Square(3, 12, 48), Square(5, 8, 80),
        Square(3, 13, 64), Strided(Square(7, 8, 70), 2)}) {
    for (size_t width = 4; width <= 34; width += width < 18 ? 1 : 4) {
      CheckWidth(shape, width, random);
      if (HasFailure()) return;
    }
  }
}

// First layers, whose rows of taps are runs, but for the first pixel and the last.
TEST(Conv2dShapes, WideRowsOfFewChannels) {
  Random random(__LINE__);
  Conv2dShape lopsided = Strided(Square(3, 2, 8), 2);
  lopsided.padding = {0, 1, 0, 1};
  for (const Conv2dShape& shape :
       {Strided(Square(3, 3, 8), 2), Square(3, 1, 16), Strided(Square(5, 3, 16), 2), lopsided,
        Square(3, 3, 12), Square(3, 4, 32), Square(3, 1, 5)}) {
    for (size_t width = 76; width <= 83; ++width) {
      CheckWidth(shape, width, random);
      if (HasFailure()) return;
    }
  }
}

// Image and output larger than half of an L2 of 2 MB: tiles ask for what comes next.
TEST(Conv2dShapes, PointwiseOnLargeImages) {
  Random random(__LINE__);
  for (const size_t outputs : {128, 132}) {
    CheckConv({.shape = Square(1, 128, outputs), .height = 47, .width = 49, .has_bias = true},
              random);
  }
}

// More weights than L2 holds: tiles ask for the next block, and few of them have full height.
TEST(Conv2dShapes, LargeWeights) {
  Random random(__LINE__);
  for (const Conv2dShape& shape : {Square(1, 1030, 610), Square(3, 260, 250), Square(3, 700, 70)}) {
    CheckConv({.shape = shape, .height = 3, .width = 7, .has_bias = true}, random);
  }
}

// Strides whose tiles span more columns than are ever copied, at the padding.
TEST(Conv2dShapes, TilesThatSpanManyColumns) {
  Random random(__LINE__);
  for (const size_t stride : {7, 30, 57, 128, 600}) {
    for (const size_t channels : {1, 3, 16}) {
      for (const size_t kernel : {2, 3, 5}) {
        ConvCase c{.shape = Square(kernel, channels, 17),
                   .height = 3,
                   .width = 7 * stride + 1,
                   .has_bias = true,
                   .layout = stride};
        c.shape.stride_w = stride;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Rows of small images are copied some at a time: more rows than one copy holds, one tile across or
// several, runs of every length.
TEST(Conv2dShapes, TallImagesOfFewChannels) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t channels : {1, 2, 3, 4, 6}) {
    for (const Extents& kernel : {Extents{10, 4}, Extents{3, 3}, Extents{5, 2}, Extents{4, 1}}) {
      for (const size_t width : {1, 5, 6, 9, 30, 70}) {
        ConvCase c{.shape = {.outputs = i / 6 % 3 == 0 ? size_t{17} : 4 * (i / 6 % 3),
                             .channels = channels,
                             .kernel_h = kernel.height,
                             .kernel_w = kernel.width,
                             .stride_h = 1 + i % 2,
                             .stride_w = 1 + i / 2 % 2,
                             .dilation_h = 1 + i / 7 % 2},
                   .images = 2,
                   .height = 2 * kernel.height + 37,
                   .width = width + kernel.width,
                   .has_bias = true,
                   .layout = i % 3 == 0 ? 0 : i};
        c.shape.padding = {i % kernel.height, 2, i % kernel.width, kernel.width - 1};
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Groups that take turns at a tile, those whose inputs are looked up in one vector, in two, or
// gathered, and those that begin at any lane of a vector; some have more channels than there are
// zeros for the padding.
TEST(Conv2dShapes, ManyGroups) {
  Random random(__LINE__);
  struct Size {
    size_t groups, in, out;
  };
  size_t i = 0;
  for (const Size& size :
       {Size{32, 4, 4},  Size{32, 8, 8},  Size{33, 2, 2},   Size{19, 3, 3}, Size{24, 8, 4},
        Size{21, 16, 2}, Size{40, 1, 3},  Size{12, 16, 24}, Size{20, 5, 7}, Size{9, 40, 8},
        Size{350, 3, 4}, Size{130, 8, 8}, Size{70, 15, 2},  Size{72, 4, 4}, Size{6, 4, 4},
        Size{300, 4, 4}, Size{17, 8, 8},  Size{6, 8, 8},    Size{11, 6, 6}, Size{5, 32, 4},
        Size{13, 10, 7}, Size{9, 6, 5},   Size{7, 40, 1}}) {
    for (const size_t width : {2, 7, 12}) {
      for (const size_t kernel : {1, 3, 5}) {
        ConvCase c{
            .shape = Square(kernel, size.groups * size.in, size.groups * size.out, size.groups),
            .images = 1 + i % 2,
            .height = 1 + i % 4,
            .width = width,
            .has_bias = i % 2 == 0,
            .data = kAllData[i % 3],
            .layout = i};
        c.shape.stride_w = 1 + i % 2;
        ++i;
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Small groups whose outputs go down strips: strips that have as many pixels as their tile and
// those that begin further left, cut anywhere from the top down, with one row of padding or none.
TEST(Conv2dShapes, StripsOfGroups) {
  Random random(__LINE__);
  struct Size {
    size_t groups, each;
  };
  size_t i = 0;
  for (const Size& size :
       {Size{2, 8}, Size{3, 8}, Size{7, 8}, Size{2, 4}, Size{4, 4}, Size{10, 4}}) {
    for (const size_t stride : {1, 2}) {
      for (size_t across = 4; across <= 23; ++across, ++i) {
        const size_t channels = size.groups * size.each;
        ConvCase c{.shape = Strided(Square(3, channels, channels, size.groups), stride),
                   .images = 1 + i % 2,
                   .height = 1 + i * 7 % 17,
                   .width = across * stride - i % stride,
                   .has_bias = i % 2 == 0,
                   .data = kAllData[i % 3],
                   .layout = i};
        // No padding at all where the image has the size for it.
        if (i % 5 == 4 && c.height >= 3) c.shape.padding = {};
        if (i % 5 == 3) c.shape.padding = {0, 1, 0, 1};
        c.height = std::max(c.height, 3 - c.shape.padding.top - c.shape.padding.bottom);
        CheckConv(c, random);
        if (HasFailure()) return;
      }
    }
  }
}

// Strips of several lengths one above the other, of images that L2 holds and of one that it does
// not.
TEST(Conv2dShapes, StripsOfGroupsOnLargeImages) {
  Random random(__LINE__);
  for (const size_t each : {4, 8}) {
    for (const size_t stride : {1, 2}) {
      for (const size_t side : {31, 81}) {
        const size_t channels = side == 81 ? 112 : 56;
        CheckConv({.shape = Strided(Square(3, channels, channels, channels / each), stride),
                   .height = side,
                   .width = side - stride,
                   .has_bias = stride == 1},
                  random);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(Conv2dShapes, GroupsWithOddChannels) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t groups : {2, 3, 4}) {
    for (const size_t in : {1, 2, 3, 5, 7, 17}) {
      for (const size_t out : {1, 2, 3, 5, 9, 16, 17, 33}) {
        for (const size_t kernel : {1, 3}) {
          ConvCase c{.shape = Square(kernel, groups * in, groups * out, groups),
                     .images = 1 + i % 2,
                     .height = 1 + i % 4,
                     .width = 1 + i % 9,
                     .has_bias = i % 2 == 0,
                     .data = kAllData[i % 3],
                     .layout = i};
          c.shape.stride_w = 1 + i % 2;
          ++i;
          CheckConv(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST(Conv2dShapes, SeveralImagesWithGaps) {
  Random random(__LINE__);
  for (size_t layout = 0; layout < 8; ++layout) {
    for (const size_t groups : {1, 6}) {
      for (const size_t kernel : {1, 3}) {
        CheckConv({.shape = Square(kernel, 6, 18, groups),
                   .images = 3,
                   .height = 4,
                   .width = 5,
                   .has_bias = true,
                   .layout = layout},
                  random);
        if (HasFailure()) return;
      }
    }
  }
}

// The keyword spotter DS-CNN (Zhang et al., arXiv 1711.07128): 49 frames of 10 features, then
// depthwise and pointwise layers of 64 channels on 25 x 5 pixels.
TEST(Conv2dShapes, DsCnn) {
  Random random(__LINE__);
  const Conv2dShape first = Same(
      {.outputs = 64, .channels = 1, .kernel_h = 10, .kernel_w = 4, .stride_h = 2, .stride_w = 2},
      49, 10);
  EXPECT_EQ(first.padding.top, 4u);
  EXPECT_EQ(first.padding.bottom, 5u);
  EXPECT_EQ(first.padding.left, 1u);
  EXPECT_EQ(first.padding.right, 1u);
  EXPECT_EQ(OutputHeight(first, 49), 25u);
  EXPECT_EQ(OutputWidth(first, 10), 5u);
  for (const Data data : kAllData) {
    CheckConv({.shape = first, .height = 49, .width = 10, .has_bias = true, .data = data}, random);
    CheckConv(
        {.shape = Square(3, 64, 64, 64), .height = 25, .width = 5, .has_bias = true, .data = data},
        random);
    CheckConv(
        {.shape = Square(1, 64, 64), .height = 25, .width = 5, .has_bias = true, .data = data},
        random);
  }
}

// MobileNet's stem and blocks, ResNet's, and a sequence model's, each on fewer pixels.
TEST(Conv2dShapes, LayersOfRealNetworks) {
  Random random(__LINE__);
  const Conv2dShape stem = Same(
      {.outputs = 32, .channels = 3, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2},
      18, 18);
  CheckConv({.shape = stem, .height = 18, .width = 18, .has_bias = true}, random);
  Conv2dShape resnet = Square(7, 3, 64);
  resnet.stride_h = resnet.stride_w = 2;
  CheckConv({.shape = resnet, .height = 16, .width = 16, .has_bias = true}, random);
  CheckConv({.shape = Square(3, 64, 64), .height = 7, .width = 7, .has_bias = true}, random);
  CheckConv({.shape = Square(1, 320, 96), .height = 4, .width = 7, .has_bias = true}, random);
  // More weights than an L2 of 2 MB keeps.
  CheckConv({.shape = Square(1, 1030, 530), .height = 6, .width = 7, .has_bias = true}, random);
  CheckConv({.shape = Square(1, 40, 144), .height = 5, .width = 7, .has_bias = true}, random);
  // Three vectors of AVX2; then their weights are halved.
  CheckConv({.shape = Square(1, 144, 24), .height = 5, .width = 7, .has_bias = true}, random);
  CheckConv({.shape = Square(3, 24, 24), .height = 5, .width = 6, .has_bias = true}, random);
  CheckConv({.shape = Square(3, 24, 24), .height = 3, .width = 3, .has_bias = true}, random);
  CheckConv({.shape = Square(1, 20000, 24), .height = 1, .width = 7, .has_bias = true}, random);
  Conv2dShape down = Square(1, 64, 128);
  down.stride_h = down.stride_w = 2;
  CheckConv({.shape = down, .height = 7, .width = 7}, random);
  const Conv2dShape sequence{
      .outputs = 40, .channels = 40, .kernel_w = 9, .dilation_w = 4, .padding = {.left = 32}};
  CheckConv({.shape = sequence, .height = 1, .width = 50, .has_bias = true}, random);
}

}  // namespace
}  // namespace lanefuse::test

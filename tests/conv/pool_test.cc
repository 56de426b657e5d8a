// Max, average and global average pooling against their models and oracles, on every target.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "lanefuse/conv.h"
#include "lanefuse/target.h"
#include "tests/reference/conv_ref.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"
#include "tests/conv/pool_case.h"

namespace lanefuse::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Pair {
  size_t h, w;
};

TEST(Pool, EveryKernelStrideAndPadding) {
  Random random(__LINE__);
  size_t i = 0;
  for (const Pair& kernel : {Pair{1, 1}, {2, 2}, {3, 3}, {5, 5}, {7, 7}, {1, 7}, {4, 1}, {10, 4}}) {
    for (const Pair& stride : {Pair{1, 1}, {2, 2}, {3, 3}, {1, 2}, {3, 1}}) {
      for (size_t padding = 0; padding < 4; ++padding) {
        for (const PoolKind kind : {PoolKind::kMax, PoolKind::kAverage, PoolKind::kAverageAll}) {
          PoolCase c{.kind = kind,
                     .shape = {.kernel_h = kernel.h,
                               .kernel_w = kernel.w,
                               .stride_h = stride.h,
                               .stride_w = stride.w},
                     .images = 1 + i % 3,
                     .height = kernel.h + i % 5,
                     .width = kernel.w + i % 9,
                     .channels = (size_t{1} << i % 6) + i % 2,
                     .data = kAllData[i % 3],
                     .layout = i};
          // None; on some sides; on every side; as much as is allowed.
          Padding& p = c.shape.padding;
          if (padding == 1) p = {kernel.h / 2, 0, 0, kernel.w / 2};
          if (padding == 2) p = {kernel.h / 2, kernel.h / 2, kernel.w / 2, kernel.w / 2};
          if (padding == 3) p = {kernel.h - 1, kernel.h - 1, kernel.w - 1, kernel.w - 1};
          ++i;
          CheckPool(c, random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST(Pool, EveryNumberOfChannels) {
  Random random(__LINE__);
  size_t i = 0;
  for (size_t channels = 1; channels <= 1100; channels += channels < 70 ? 1 : 515) {
    for (const PoolKind kind : kPoolKinds) {
      CheckPool({.kind = kind,
                 .shape = {.kernel_h = 2,
                           .kernel_w = 3,
                           .stride_h = 1,
                           .stride_w = 2,
                           .padding = {1, 0, 1, 2}},
                 .images = 2,
                 .height = 3,
                 .width = 5,
                 .channels = channels,
                 .data = kAllData[i % 3],
                 .layout = i++},
                random);
      if (HasFailure()) return;
    }
  }
}

// Down to images of one pixel, which padding makes large enough.
TEST(Pool, EveryWidthAndHeight) {
  Random random(__LINE__);
  for (size_t height = 1; height <= 20; height += 1 + height / 4) {
    for (size_t width = 1; width <= 20; ++width) {
      for (const PoolKind kind : kPoolKinds) {
        for (const size_t stride : {1, 2}) {
          CheckPool({.kind = kind,
                     .shape = {.kernel_h = 3,
                               .kernel_w = 3,
                               .stride_h = stride,
                               .stride_w = stride,
                               .padding = {1, 1, 1, 1}},
                     .height = height,
                     .width = width,
                     .channels = 5 + width,
                     .layout = height + width},
                    random);
          if (HasFailure()) return;
        }
      }
    }
  }
}

// Without ceil mode a window that would hang over the padding's edge is left out.
TEST(Pool, PartialWindowsAreLeftOut) {
  const Pool2dShape shape{.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
  const GuardedImage x(1, 5, 5, 1), rounded_down(1, 2, 2, 1), rounded_up(1, 3, 3, 1);
  x.Fill(std::vector<float>(25, 1.0f));
  ForEachTarget([&](std::string_view) {
    EXPECT_TRUE(MaxPool2d(x.cview(), shape, {}, rounded_down.view()).ok());
    EXPECT_TRUE(AveragePool2d(x.cview(), shape, {}, rounded_down.view()).ok());
    EXPECT_EQ(MaxPool2d(x.cview(), shape, {}, rounded_up.view()).code(),
              StatusCode::kShapeMismatch);
    EXPECT_EQ(AveragePool2d(x.cview(), shape, {}, rounded_up.view()).code(),
              StatusCode::kShapeMismatch);
  });
}

TEST(Pool, SpecialValuesAnywhere) {
  Random random(__LINE__);
  for (size_t i = 0; i < 120; ++i) {
    for (const PoolKind kind : kPoolKinds) {
      CheckPool({.kind = kind,
                 .shape = {.kernel_h = 1 + i % 3,
                           .kernel_w = 2 + i % 2,
                           .stride_h = 1 + i % 2,
                           .padding = {i % 3 == 0 ? size_t{0} : size_t{1}, 0, 1, 1}},
                 .images = 1 + i % 2,
                 .height = 4,
                 .width = 6,
                 .channels = 1 + i % 37,
                 .layout = i,
                 .specials = 1 + i % 11},
                random);
      if (HasFailure()) return;
    }
  }
}

// A special value at each place of a window, the first and the last included, in each lane.
TEST(Pool, OneSpecialValueAtEachPlace) {
  Random random(__LINE__);
  for (const PoolKind kind : kPoolKinds) {
    const PoolCase c{.kind = kind,
                     .shape = {.kernel_h = 3, .kernel_w = 2, .padding = {1, 1, 1, 0}},
                     .height = 3,
                     .width = 3,
                     .channels = 19};
    SCOPED_TRACE(c.Name());
    const PoolRig rig(c, random);
    const std::vector<float> input = rig.x.Dense();
    for (size_t i = 0; i < input.size(); ++i) {
      for (const float special : {kNaN, -kNaN, kInf, -kInf, 0x1p-149f}) {
        std::vector<float> changed = input;
        changed[i] = special;
        rig.x.Fill(changed);
        const std::vector<float> model = rig.Model();
        ForEachTarget(
            [&](std::string_view target) { CheckPoolResult(rig, target, rig.Run(), model); });
        ASSERT_FALSE(HasFailure()) << "special " << special << " at " << i;
      }
    }
  }
}

// Padding never wins a maximum: not against negative values, nor against -inf alone.
TEST(Pool, PaddingNeverWins) {
  for (const float value : {-1.0f, -3e38f, -kInf}) {
    const GuardedImage x(1, 2, 2, 21), y(1, 3, 3, 21);
    x.Fill(std::vector<float>(4 * 21, value));
    const Pool2dShape shape{.kernel_h = 2, .kernel_w = 2, .padding = {1, 1, 1, 1}};
    ForEachTarget([&](std::string_view) {
      ASSERT_TRUE(MaxPool2d(x.cview(), shape, {}, y.view()).ok());
      EXPECT_SAME_BITS(y.cview(), std::vector<float>(9 * 21, value));
    });
  }
}

TEST(Pool, CountPaddingDividesByTheWholeWindow) {
  const GuardedImage x(1, 2, 2, 3), y(1, 3, 3, 3);
  x.Fill(std::vector<float>(12, 1.0f));
  Pool2dShape shape{.kernel_h = 2, .kernel_w = 2, .padding = {1, 1, 1, 1}};
  ForEachTarget([&](std::string_view) {
    shape.count_padding = false;
    ASSERT_TRUE(AveragePool2d(x.cview(), shape, {}, y.view()).ok());
    EXPECT_SAME_BITS(y.cview(), std::vector<float>(27, 1.0f));
    shape.count_padding = true;
    ASSERT_TRUE(AveragePool2d(x.cview(), shape, {}, y.view()).ok());
    const std::vector<float> corners = {0.25f, 0.5f, 0.25f, 0.5f, 1.0f, 0.5f, 0.25f, 0.5f, 0.25f};
    for (size_t pixel = 0; pixel < 9; ++pixel) {
      EXPECT_EQ(y.at(0, pixel / 3, pixel % 3, 2), corners[pixel]) << "pixel " << pixel;
    }
  });
}

// A window of 2^32 pixels, all but one of them padding: more than a 32-bit size_t counts.
TEST(Pool, CountPaddingCountsBeyondTheAddressSpace) {
  constexpr size_t kSide = size_t{1} << 16, kAround = kSide - 1;
  const GuardedImage x(1, 1, 1, 3), y(1, 1, 1, 3);
  x.Fill(std::vector<float>{1.0f, -3.0f, 0.0f});
  const Pool2dShape shape{.kernel_h = kSide,
                          .kernel_w = kSide,
                          .stride_h = kSide,
                          .stride_w = kSide,
                          .padding = {kAround, 0, kAround, 0},
                          .count_padding = true};
  ForEachTarget([&](std::string_view) {
    ASSERT_TRUE(AveragePool2d(x.cview(), shape, {}, y.view()).ok());
    EXPECT_SAME_BITS(y.cview(), (std::vector<float>{0x1p-32f, -0x1.8p-31f, 0.0f}));
  });
}

// The mean of many pixels: the sum's order shows in its last bits.
TEST(Pool, GlobalAverageOfLargeImages) {
  Random random(__LINE__);
  size_t i = 0;
  for (const Pair& size : {Pair{1, 1}, {1, 200}, {200, 1}, {31, 33}, {64, 64}}) {
    for (const size_t channels : {1, 7, 16, 33, 70}) {
      CheckPool({.kind = PoolKind::kGlobal,
                 .images = 2,
                 .height = size.h,
                 .width = size.w,
                 .channels = channels,
                 .data = kAllData[i % 3],
                 .layout = i++},
                random);
      if (HasFailure()) return;
    }
  }
}

TEST(Pool, GlobalAverageNeedsPixels) {
  const GuardedImage y(1, 1, 1, 5);
  y.Fill(std::vector<float>(5, 2.0f));
  const float one = 1.0f;
  ForEachTarget([&](std::string_view) {
    for (const Pair& size : {Pair{0, 3}, {3, 0}, {0, 0}}) {
      const ImageView<const float> x(&one, size.h, size.w, 5);
      const Status status = GlobalAveragePool(x, {}, y.view());
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.message();
      EXPECT_SAME_BITS(y.cview(), std::vector<float>(5, 2.0f));
    }
  });
}

TEST(Pool, NoImagesIsSuccess) {
  ForEachTarget([&](std::string_view) {
    const ImageView<const float> x(nullptr, 0, 4, 4, 5);
    const ImageView<float> y(nullptr, 0, 3, 3, 5), mean(nullptr, 0, 1, 1, 5);
    const Pool2dShape shape{.kernel_h = 2, .kernel_w = 2};
    EXPECT_TRUE(MaxPool2d(x, shape, {}, y).ok());
    EXPECT_TRUE(AveragePool2d(x, shape, {}, y).ok());
    EXPECT_TRUE(GlobalAveragePool(x, {}, mean).ok());
  });
}

}  // namespace
}  // namespace lanefuse::test

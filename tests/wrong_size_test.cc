// Sizes at the edge of what a size_t counts, 32 bits or 64: nothing wraps around, and every call
// refuses what does not fit the address space.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "src/common/check.h"
#include "tests/support/wrong_calls.h"

namespace lanefuse::test {
namespace {

// 0, 1, and a little below, at and above each power of two that a product of two or three may make
// overflow.
std::vector<size_t> Edges() {
  constexpr size_t kBits = sizeof(size_t) * 8;
  std::vector<size_t> edges = {0, 1, 3, SIZE_MAX - 1, SIZE_MAX};
  for (const size_t bits : {kBits / 3, kBits / 2 - 1, kBits / 2, kBits - 3, kBits - 2, kBits - 1}) {
    const size_t power = size_t{1} << bits;
    for (const size_t edge : {power - 1, power, power + 1}) edges.push_back(edge);
  }
  return edges;
}

// a * b + c < kMaxElements, by division: nothing here can overflow.
bool Fits(size_t a, size_t b, size_t c) {
  return c < kMaxElements && (a == 0 || b <= (kMaxElements - 1 - c) / a);
}

TEST(WrongSize, MulAddSizeIsExactOrFalse) {
  size_t fitting = 0;
  for (const size_t a : Edges()) {
    for (const size_t b : Edges()) {
      for (const size_t c : Edges()) {
        size_t out = 0;
        EXPECT_EQ(MulAddSize(a, b, c, out), Fits(a, b, c)) << a << " * " << b << " + " << c;
        if (!Fits(a, b, c)) continue;
        ++fitting;
        EXPECT_EQ(out, a * b + c);
      }
    }
  }
  EXPECT_GT(fitting, 100u);
}

// Rows that do not fit, whatever the strides say: each call that takes a matrix refuses them.
TEST(WrongSize, MatricesBeyondTheAddressSpace) {
  constexpr ViewTexts kTexts = {"null", "stride #, #", "too large"};
  float in = 1.0f, out = 7.0f;
  size_t refused = 0;
  for (const size_t rows : Edges()) {
    for (const size_t cols : Edges()) {
      for (const size_t stride : Edges()) {
        if (rows == 0 || cols == 0) continue;
        const size_t steps = rows == 1 ? 0 : stride;
        const bool fits = Fits(rows - 1, steps, cols);
        const bool fine = fits && (rows == 1 || stride >= cols);
        MatView<const float> x(&in, rows, cols);
        MatView<float> y(&out, rows, cols);
        x.stride = y.stride = stride;
        EXPECT_EQ(CheckView(x, kTexts).ok(), fine) << rows << " x " << cols << ", " << stride;
        if (fine) continue;
        ++refused;
        EXPECT_FALSE(Apply(x, Epilogue().Act(Relu()), y).ok()) << rows << " x " << cols;
        EXPECT_FALSE(Softmax(x, {}, y).ok()) << rows << " x " << cols;
        EXPECT_FALSE(Gemv(x, {&in, cols}, {}, {&out, rows}).ok()) << rows << " x " << cols;
        if (x.stride == cols) {
          EXPECT_EQ(PackedLinear::Bytes(rows, cols), 0u) << rows << " x " << cols;
        }
      }
    }
  }
  EXPECT_GT(refused, 1000u);
  EXPECT_EQ(out, 7.0f);
}

// The same for images, with the strides that a dense image has, as far as they are right.
TEST(WrongSize, ImagesBeyondTheAddressSpace) {
  float in = 1.0f, out = 7.0f;
  const Pool2dShape one{.kernel_h = 1, .kernel_w = 1};
  size_t refused = 0;
  for (const size_t images : Edges()) {
    for (const size_t height : Edges()) {
      for (const size_t width : Edges()) {
        for (const size_t channels : Edges()) {
          if (images == 0 || height == 0 || width == 0 || channels == 0) continue;
          if (Fits(width, channels, 0) && Fits(height, width * channels, 0) &&
              Fits(images, height * width * channels, 0)) {
            continue;
          }
          ++refused;
          const ImageView<const float> x(&in, images, height, width, channels);
          const ImageView<float> y(&out, images, height, width, channels);
          EXPECT_FALSE(MaxPool2d(x, one, {}, y).ok());
          EXPECT_FALSE(
              GlobalAveragePool(x, {}, ImageView<float>(&out, images, 1, 1, channels)).ok());
        }
      }
    }
  }
  EXPECT_GT(refused, 1000u);
  EXPECT_EQ(out, 7.0f);
}

// Taps 2^16 apart, 2^16 times: on a 32-bit platform the product of the two is 0, and the kernel
// would look as if it reached over one pixel.
TEST(WrongSize, KernelsThatReachBeyondTheAddressSpace) {
  Arena arena;
  struct Args {
    Conv2dShape shape;
    ImageView<const float> x;
    ImageView<float> y;
    std::span<const float> weights;
    std::span<std::byte> bytes;
  };
  constexpr size_t kFar = size_t{1} << 16;
  const std::vector<float> weights(kFar + 1, 1.0f);
  std::vector<std::byte> bytes(
      PackedConv2d::Bytes({.outputs = 1, .channels = 1, .kernel_h = kFar + 1}));
  ASSERT_FALSE(bytes.empty());
  WrongCalls<Args> wrong(
      arena,
      {.shape =
           {.outputs = 1, .channels = 1, .kernel_h = 2, .kernel_w = 1, .padding = {.bottom = 1}},
       .x = ImageView<const float>(arena.Floats(1).data(), 1, 1, 1, 1),
       .y = ImageView<float>(arena.Floats(1).data(), 1, 1, 1, 1),
       .weights = weights,
       .bytes = bytes},
      [](const Args& args) {
        PackedConv2d w;
        const auto dense = args.weights.first(args.shape.kernel_h * args.shape.kernel_w);
        const Status status = PackedConv2d::Pack(args.shape, dense, {}, {}, args.bytes, w);
        EXPECT_TRUE(status.ok()) << status.message();
        return Conv2d(args.x, w, {}, args.y);
      });
  wrong(StatusCode::kShapeMismatch, "y", [](Args& args) {
    args.shape = {
        .outputs = 1, .channels = 1, .kernel_h = kFar + 1, .kernel_w = 1, .dilation_h = kFar};
  });
  wrong(StatusCode::kShapeMismatch, "y", [](Args& args) {
    args.shape = {
        .outputs = 1, .channels = 1, .kernel_h = 1, .kernel_w = kFar + 1, .dilation_w = kFar};
  });
}

}  // namespace
}  // namespace lanefuse::test

// Whether an output shares memory with an input, against every element of both: an overlap that is
// missed corrupts data, one that is imagined refuses channels side by side (a concatenation).
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

std::set<const float*> ElementsOf(const ImageView<const float>& v) {
  std::set<const float*> elements;
  for (size_t n = 0; n < v.images; ++n) {
    for (size_t y = 0; y < v.height; ++y) {
      for (size_t x = 0; x < v.width; ++x) {
        for (size_t c = 0; c < v.channels; ++c) {
          elements.insert(v.data + n * v.image_stride + y * v.row_stride + x * v.pixel_stride + c);
        }
      }
    }
  }
  return elements;
}

ImageView<const float> AsImage(MatView<const float> m) {
  ImageView<const float> image(m.data, 1, m.rows, 1, m.cols);
  image.row_stride = m.stride;
  return image;
}

bool Share(const ImageView<const float>& a, const ImageView<const float>& b) {
  const std::set<const float*> left = ElementsOf(a);
  for (const float* element : ElementsOf(b)) {
    if (left.contains(element)) return true;
  }
  return false;
}

// How often each case came up: a property that no case exercised is not tested.
struct Seen {
  size_t shared = 0, apart = 0, interleaved = 0;

  // `same_grid`: the strides are equal, so that a view modulo its stride tells everything.
  void Check(const Status& status, bool share, bool same_grid, bool between) {
    if (share) {
      ++shared;
      EXPECT_EQ(status.code(), StatusCode::kOverlap) << status.message();
    } else if (same_grid) {
      ++(between ? interleaved : apart);
      EXPECT_TRUE(status.ok()) << status.message();
    } else {
      // Strides that differ may be refused, but only as an overlap.
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::kOverlap) << status.message();
    }
  }
  void ExpectEnough() const {
    EXPECT_GT(shared, 500u);
    EXPECT_GT(apart, 500u);
    EXPECT_GT(interleaved, 100u);
  }
};

class Overlap : public testing::Test {
 protected:
  Overlap() : memory_(400) { random_.FillUniform(memory_, 0.5f, 1.0f); }

  MatView<float> Matrix(size_t rows, size_t cols, size_t stride) {
    const size_t extent = (rows - 1) * stride + cols;
    return {memory_.data() + random_.Below(memory_.size() - extent + 1), rows, cols, stride};
  }
  // Whether the ranges from first to last element meet.
  static bool Between(const ImageView<const float>& a, const ImageView<const float>& b) {
    const auto left = ElementsOf(a), right = ElementsOf(b);
    return *left.begin() < *right.rbegin() && *right.begin() < *left.rbegin();
  }

  Random random_{__LINE__};
  std::vector<float> memory_;
  Seen seen_;
};

TEST_F(Overlap, OfMatrices) {
  std::vector<std::byte> bytes(4096 + 64);
  const std::vector<float> weights(20 * 20, 0.5f);
  for (int repeat = 0; repeat < 20'000; ++repeat) {
    const size_t rows = random_.Between(1, 5), inputs = random_.Between(1, 9);
    const size_t outputs = random_.Between(1, 9), x_stride = inputs + random_.Below(14);
    const size_t y_stride =
        random_.Below(4) == 0 ? outputs + random_.Below(14) : std::max(x_stride, outputs);
    const MatView<float> x = Matrix(rows, inputs, x_stride), y = Matrix(rows, outputs, y_stride);
    const bool share = Share(AsImage(x), AsImage(y));
    // The grid must hold the wider of the two, and both must lie within one stride.
    const bool same_grid = x_stride == y_stride;
    PackedLinear w;
    ASSERT_TRUE(PackedLinear::Pack({weights.data(), outputs, inputs}, {}, nullptr, bytes, w).ok());
    const std::vector<float> before(x.data, x.data + (rows - 1) * x_stride + inputs);
    const Status status = Linear(x, w, Epilogue(), y);
    seen_.Check(status, share, same_grid, Between(AsImage(x), AsImage(y)));
    if (!status.ok()) continue;
    for (size_t m = 0; m < rows; ++m) {
      for (size_t k = 0; k < inputs; ++k) {
        EXPECT_EQ(x.data[m * x_stride + k], before[m * x_stride + k]) << "an input was overwritten";
      }
    }
    for (float& f : memory_) f = 0.75f;
  }
  seen_.ExpectEnough();
}

TEST_F(Overlap, OfOperandsWithTheOutput) {
  const std::vector<float> x(9 * 9, 1.0f);
  for (int repeat = 0; repeat < 20'000; ++repeat) {
    const size_t rows = random_.Between(1, 5), cols = random_.Between(1, 9);
    const size_t stride = cols + random_.Below(14);
    const MatView<float> y = Matrix(rows, cols, stride);
    MatView<float> operand = Matrix(rows, cols, stride);
    if (random_.Below(8) == 0) operand = y;
    if (random_.Below(4) == 0 && rows > 1) operand.stride = std::max(cols, stride - 1);
    const bool same_grid = operand.stride == stride || rows == 1;
    const Status status = Apply({x.data(), rows, cols}, Epilogue().Add(operand), y);
    if (operand.data == y.data && same_grid) {
      EXPECT_TRUE(status.ok()) << "the output itself, element for element: " << status.message();
      continue;
    }
    seen_.Check(status, Share(AsImage(operand), AsImage(y)), same_grid,
                Between(AsImage(operand), AsImage(y)));
  }
  seen_.ExpectEnough();
}

TEST_F(Overlap, OfImages) {
  for (int repeat = 0; repeat < 20'000; ++repeat) {
    ImageView<float> x(memory_.data(), random_.Between(1, 2), random_.Between(1, 3),
                       random_.Between(1, 3), random_.Between(1, 4));
    x.pixel_stride = x.channels + random_.Below(8);
    x.row_stride = x.width * x.pixel_stride;
    x.image_stride = x.height * x.row_stride;
    const size_t extent = x.images * x.image_stride;
    ImageView<float> y = x;
    x.data += random_.Below(memory_.size() - extent + 1);
    y.data += random_.Below(memory_.size() - extent + 1);
    if (x.data == y.data) continue;
    const Status status = MaxPool2d(x, {}, Epilogue(), y);  // 1 x 1: a copy
    seen_.Check(status, Share(x, y), true, Between(x, y));
  }
  seen_.ExpectEnough();
}

}  // namespace
}  // namespace lanefuse::test

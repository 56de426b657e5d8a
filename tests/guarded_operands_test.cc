// What an epilogue points at is read exactly as far as it reaches: factors for each channel,
// residuals and gates, each read-only and up against a page that faults, behind every kernel.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// The operands of one chain that has every kind of step with memory of its own, for images x 1 x
// width pixels (or as many rows) of `channels` values.
class Operands {
 public:
  Operands(size_t images, size_t width, size_t channels, Guard guard, size_t gap, uint64_t salt)
      : bias_(channels, guard),
        scale_(channels, guard),
        shift_(channels, guard),
        slope_(channels, guard),
        add_matrix_(images * width, channels, channels + gap, guard),
        mul_matrix_(images * width, channels, channels + 2 * gap, guard),
        add_image_(images, 1, width, channels, gap, 2 * gap, gap, guard),
        mul_image_(images, 1, width, channels, 2 * gap, gap, 0, guard) {
    Random random(salt);
    for (Guarded<float>* v : {&bias_, &scale_, &shift_, &slope_}) {
      random.FillUniform(v->span());
      v->ReadOnly();
    }
    std::vector<float> values(images * width * channels);
    random.FillUniform(values);
    add_matrix_.Fill(values);
    add_image_.Fill(values);
    random.FillUniform(values);
    mul_matrix_.Fill(values);
    mul_image_.Fill(values);
    for (GuardedMat* m : {&add_matrix_, &mul_matrix_}) m->ReadOnly();
    for (GuardedImage* i : {&add_image_, &mul_image_}) i->ReadOnly();
  }

  // Chain 0 runs in registers, chain 1 step by step.
  Epilogue ForMatrix(size_t chain) const {
    return Chain(chain, add_matrix_.cview(), mul_matrix_.cview());
  }
  Epilogue ForImage(size_t chain) const {
    return Chain(chain, add_image_.cview(), mul_image_.cview());
  }

 private:
  template <class View>
  Epilogue Chain(size_t chain, View add, View mul) const {
    Epilogue e;
    if (chain == 0) return e.Bias(bias_.cspan()).Add(add).Act(Relu());
    return e.Affine(scale_.cspan(), shift_.cspan())
        .Act(PRelu(slope_.cspan()))
        .Add(add)
        .ScaleChannels(scale_.cspan())
        .Mul(mul)
        .Bias(bias_.cspan());
  }

  Guarded<float> bias_, scale_, shift_, slope_;
  GuardedMat add_matrix_, mul_matrix_;
  GuardedImage add_image_, mul_image_;
};

// Runs a kernel with both chains from guarded operands, at either end of their pages, with gaps and
// without; all must give the same bits. `run` fills the result; a read too far ends the program.
void CheckOperands(size_t images, size_t width, size_t channels,
                   const std::function<std::vector<float>(const Operands&, size_t chain)>& run) {
  SCOPED_TRACE(std::to_string(images * width) + " x " + std::to_string(channels));
  ForEachTarget([&](std::string_view) {
    for (size_t chain = 0; chain < 2; ++chain) {
      std::vector<float> first;
      for (const Guard guard : kGuards) {
        for (const size_t gap : {0, 3}) {
          const Operands operands(images, width, channels, guard, gap, channels);
          const std::vector<float> y = run(operands, chain);
          ASSERT_EQ(y.size(), images * width * channels);
          if (first.empty()) first = y;
          EXPECT_SAME_BITS(y, first) << "chain " << chain;
        }
      }
    }
  });
}

std::vector<float> Values(size_t n) {
  Random random(n);
  std::vector<float> values(n);
  random.FillUniform(values);
  return values;
}

constexpr size_t kRows[] = {1, 7};

TEST(GuardedOperands, Apply) {
  for (size_t cols = 1; cols <= 70; ++cols) {
    for (const size_t rows : kRows) {
      const std::vector<float> x = Values(rows * cols);
      CheckOperands(1, rows, cols, [&](const Operands& operands, size_t chain) {
        const GuardedMat y(rows, cols);
        EXPECT_TRUE(
            Apply(MatView<const float>(x.data(), rows, cols), operands.ForMatrix(chain), y.view())
                .ok());
        return y.Dense();
      });
    }
  }
}

TEST(GuardedOperands, Softmax) {
  for (size_t cols = 1; cols <= 70; ++cols) {
    for (const size_t rows : kRows) {
      const std::vector<float> x = Values(rows * cols);
      CheckOperands(1, rows, cols, [&](const Operands& operands, size_t chain) {
        const GuardedMat y(rows, cols);
        EXPECT_TRUE(Softmax(MatView<const float>(x.data(), rows, cols), {},
                            operands.ForMatrix(chain), y.view())
                        .ok());
        return y.Dense();
      });
    }
  }
}

TEST(GuardedOperands, GemvAndLinear) {
  constexpr size_t kInputs = 5;
  for (size_t outputs = 1; outputs <= 70; ++outputs) {
    const std::vector<float> w = Values(outputs * kInputs);
    const MatView<const float> weights(w.data(), outputs, kInputs);
    std::vector<std::byte> bytes(PackedLinear::Bytes(outputs, kInputs));
    PackedLinear packed;
    ASSERT_TRUE(PackedLinear::Pack(weights, {}, nullptr, bytes, packed).ok());
    for (const size_t rows : kRows) {
      const std::vector<float> x = Values(rows * kInputs);
      CheckOperands(1, rows, outputs, [&](const Operands& operands, size_t chain) {
        const GuardedMat y(rows, outputs);
        EXPECT_TRUE(Linear(MatView<const float>(x.data(), rows, kInputs), packed,
                           operands.ForMatrix(chain), y.view())
                        .ok());
        return y.Dense();
      });
    }
    const std::vector<float> x = Values(kInputs);
    CheckOperands(1, 1, outputs, [&](const Operands& operands, size_t chain) {
      const GuardedMat y(1, outputs);
      EXPECT_TRUE(Gemv(weights, x, operands.ForMatrix(chain), y.span()).ok());
      return y.Dense();
    });
  }
}

// Dense, depthwise and grouped; pictures of one row, several of them.
TEST(GuardedOperands, Conv2d) {
  for (size_t outputs = 1; outputs <= 70; ++outputs) {
    for (const size_t groups : {size_t{1}, size_t{2}, outputs}) {
      if (outputs % groups != 0) continue;
      const Conv2dShape shape{.outputs = outputs,
                              .channels = groups == 1 ? 3 : groups,
                              .kernel_w = outputs % 2 ? size_t{1} : size_t{3},
                              .groups = groups};
      const size_t terms = shape.kernel_w * shape.channels / groups;
      std::vector<std::byte> bytes(PackedConv2d::Bytes(shape));
      PackedConv2d packed;
      ASSERT_TRUE(PackedConv2d::Pack(shape, Values(outputs * terms), {}, {}, bytes, packed).ok());
      for (const size_t width : {1, 8}) {
        const size_t in_width = width + shape.kernel_w - 1;
        const std::vector<float> x = Values(2 * in_width * shape.channels);
        CheckOperands(2, width, outputs, [&](const Operands& operands, size_t chain) {
          const GuardedImage y(2, 1, width, outputs);
          EXPECT_TRUE(Conv2d(ImageView<const float>(x.data(), 2, 1, in_width, shape.channels),
                             packed, operands.ForImage(chain), y.view())
                          .ok());
          return y.Dense();
        });
      }
    }
  }
}

TEST(GuardedOperands, Pools) {
  for (size_t channels = 1; channels <= 70; ++channels) {
    const std::vector<float> x = Values(3 * 5 * channels);
    const ImageView<const float> in(x.data(), 3, 1, 5, channels);
    for (const size_t kernel : {1, 4}) {
      const Pool2dShape shape{.kernel_w = kernel};
      const size_t width = 6 - kernel;
      CheckOperands(3, width, channels, [&](const Operands& operands, size_t chain) {
        const GuardedImage y(3, 1, width, channels);
        EXPECT_TRUE(MaxPool2d(in, shape, operands.ForImage(chain), y.view()).ok());
        return y.Dense();
      });
      CheckOperands(3, width, channels, [&](const Operands& operands, size_t chain) {
        const GuardedImage y(3, 1, width, channels);
        EXPECT_TRUE(AveragePool2d(in, shape, operands.ForImage(chain), y.view()).ok());
        return y.Dense();
      });
    }
    CheckOperands(3, 1, channels, [&](const Operands& operands, size_t chain) {
      const GuardedImage y(3, 1, 1, channels);
      EXPECT_TRUE(GlobalAveragePool(in, operands.ForImage(chain), y.view()).ok());
      return y.Dense();
    });
  }
}

}  // namespace
}  // namespace lanefuse::test

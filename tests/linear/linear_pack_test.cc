// PackedLinear as Linear uses it: layout, bias, folded batchnorm. Its file format: packed_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "lanefuse/linear.h"
#include "lanefuse/target.h"
#include "tests/reference/linear_ref.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

struct Layer {
  Layer(size_t outputs, size_t inputs, uint64_t salt)
      : bytes(PackedLinear::Bytes(outputs, inputs)),
        w(outputs, inputs, inputs + 2),
        bias(outputs),
        gamma(outputs),
        beta(outputs),
        mean(outputs),
        variance(outputs) {
    Random random(salt);
    std::vector<float> dense(outputs * inputs);
    random.FillWide(dense);
    w.Fill(dense);
    for (Guarded<float>* v : {&bias, &gamma, &beta, &mean}) random.FillUniform(v->span());
    random.FillUniform(variance.span(), 1e-3f, 4.0f);
    w.ReadOnly();
    for (Guarded<float>* v : {&bias, &gamma, &beta, &mean, &variance}) v->ReadOnly();
  }
  BatchNorm batchnorm() const {
    return {gamma.cspan(), beta.cspan(), mean.cspan(), variance.cspan(), 1e-3f};
  }

  Guarded<std::byte> bytes;
  GuardedMat w;
  Guarded<float> bias, gamma, beta, mean, variance;
};

// Weight (n, k) where packed.h's picture puts it.
float PackedWeight(const PackedLinear& packed, size_t n, size_t k) {
  return packed.panels()[(n / 16 * packed.inputs() + k) * 16 + n % 16];
}

struct Shape {
  size_t outputs, inputs;
};
constexpr Shape kShapes[] = {{1, 1},   {1, 40}, {15, 7}, {16, 3}, {17, 9},
                             {32, 33}, {33, 5}, {64, 1}, {5, 0},  {100, 12}};

TEST(PackedLinearLayout, IsThePictureOfTheHeaderZeroPadded) {
  for (const Shape& shape : kShapes) {
    const size_t outputs = shape.outputs, inputs = shape.inputs;
    const Layer layer(outputs, inputs, outputs);
    PackedLinear packed;
    ASSERT_TRUE(
        PackedLinear::Pack(layer.w.cview(), layer.bias.cspan(), nullptr, layer.bytes.span(), packed)
            .ok());
    EXPECT_TRUE(layer.bytes.CheckCanaries());
    EXPECT_EQ(packed.outputs(), outputs);
    EXPECT_EQ(packed.inputs(), inputs);
    const size_t padded = (outputs + 15) / 16 * 16;
    std::vector<float> expected, found;
    for (size_t n = 0; n < padded; ++n) {
      for (size_t k = 0; k < inputs; ++k) {
        expected.push_back(n < outputs ? layer.w.row(n)[k] : 0.0f);
        found.push_back(PackedWeight(packed, n, k));
      }
    }
    EXPECT_SAME_BITS(found, expected);
    ASSERT_NE(packed.bias(), nullptr);
    EXPECT_SAME_BITS(std::span(packed.bias(), outputs), layer.bias.cspan());
    for (size_t n = outputs; n < padded; ++n) EXPECT_EQ(packed.bias()[n], 0.0f);
    // All that the pointers reach lies within the bytes.
    const auto* begin = reinterpret_cast<const float*>(layer.bytes.data());
    const auto* end = reinterpret_cast<const float*>(layer.bytes.data() + layer.bytes.size());
    EXPECT_EQ(reinterpret_cast<const std::byte*>(packed.panels()) - layer.bytes.data(), 128);
    EXPECT_GE(packed.panels(), begin);
    EXPECT_LE(packed.bias() + padded, end);
    EXPECT_LE(packed.panels() + padded * inputs, end);
  }
}

TEST(PackedLinearLayout, NoBiasIsNull) {
  const Layer layer(20, 10, __LINE__);
  PackedLinear packed;
  ASSERT_TRUE(PackedLinear::Pack(layer.w.cview(), {}, nullptr, layer.bytes.span(), packed).ok());
  EXPECT_EQ(packed.bias(), nullptr);
}

TEST(PackedLinearLayout, SameWeightsGiveTheSameBytes) {
  for (const Shape& shape : kShapes) {
    const size_t outputs = shape.outputs, inputs = shape.inputs;
    const Layer layer(outputs, inputs, outputs);
    const BatchNorm batchnorm = layer.batchnorm();
    std::vector<std::byte> first;
    // Neither what the buffer held before nor the target in force leaks into the bytes.
    ForEachTarget([&](std::string_view) {
      for (const std::byte before : {std::byte{0}, std::byte{0xFF}}) {
        std::fill(layer.bytes.span().begin(), layer.bytes.span().end(), before);
        PackedLinear packed;
        ASSERT_TRUE(PackedLinear::Pack(layer.w.cview(), layer.bias.cspan(), &batchnorm,
                                       layer.bytes.span(), packed)
                        .ok());
        const std::vector<std::byte> now(layer.bytes.data(),
                                         layer.bytes.data() + layer.bytes.size());
        if (first.empty()) first = now;
        EXPECT_EQ(now, first) << outputs << " x " << inputs;
      }
    });
  }
}

TEST(PackedLinearLayout, BytesOverflowsToZeroAndGrowsWithTheShape) {
  const size_t most = std::numeric_limits<size_t>::max();
  EXPECT_EQ(PackedLinear::Bytes(most, most), 0u);
  EXPECT_EQ(PackedLinear::Bytes(most, 1), 0u);
  EXPECT_EQ(PackedLinear::Bytes(1, most), 0u);
  EXPECT_EQ(PackedLinear::Bytes(most / 64, 64), 0u);
  // The first power of two whose square overflows.
  const size_t root = size_t{1} << (sizeof(size_t) * 4);
  EXPECT_EQ(PackedLinear::Bytes(root, root), 0u);
  EXPECT_EQ(PackedLinear::Bytes(17, most / 128 + 1), 0u);
  EXPECT_GE(PackedLinear::Bytes(1, 1), 128u + 64u);
  EXPECT_GE(PackedLinear::Bytes(16, 100), 128u + 6400u);
  EXPECT_GE(PackedLinear::Bytes(17, 100), 128u + 12800u);
  EXPECT_LE(PackedLinear::Bytes(17, 100), 128u + 12800u + 128u);
}

TEST(PackedLinearLayout, PackAndViewAllocateNothing) {
  const Layer layer(33, 20, __LINE__);
  const BatchNorm batchnorm = layer.batchnorm();
  PackedLinear packed;
  Status status;
  EXPECT_NO_ALLOC(status = PackedLinear::Pack(layer.w.cview(), layer.bias.cspan(), &batchnorm,
                                              layer.bytes.span(), packed));
  EXPECT_TRUE(status.ok());
  EXPECT_NO_ALLOC(status = PackedLinear::View(layer.bytes.cspan(), packed));
  EXPECT_TRUE(status.ok());
}

TEST(PackedLinearBias, EqualsABiasStep) {
  Random random(__LINE__);
  for (const Shape& shape : kShapes) {
    const size_t outputs = shape.outputs, inputs = shape.inputs;
    const Layer layer(outputs, inputs, outputs);
    const Layer plain(outputs, inputs, outputs);
    PackedLinear with, without;
    ASSERT_TRUE(
        PackedLinear::Pack(layer.w.cview(), layer.bias.cspan(), nullptr, layer.bytes.span(), with)
            .ok());
    ASSERT_TRUE(PackedLinear::Pack(layer.w.cview(), {}, nullptr, plain.bytes.span(), without).ok());
    for (const size_t rows : {1, 7, 20}) {
      std::vector<float> x(rows * inputs), residual(rows * outputs);
      random.FillWide(x);
      random.FillUniform(residual);
      const GuardedMat packed_bias(rows, outputs, outputs + 1), step(rows, outputs);
      const MatView<const float> add(residual.data(), rows, outputs);
      ForEachTarget([&](std::string_view) {
        for (const bool rest : {false, true}) {
          Epilogue first, second;
          second.Bias(layer.bias.cspan());
          if (rest) {
            first.Add(add).Act(Silu());
            second.Add(add).Act(Silu());
          }
          const MatView<const float> in(x.data(), rows, layer.w.cols());
          ASSERT_TRUE(Linear(in, with, first, packed_bias.view()).ok());
          ASSERT_TRUE(Linear(in, without, second, step.view()).ok());
          EXPECT_SAME_BITS(packed_bias.view(), step.view()) << outputs << " x " << inputs;
          EXPECT_TRUE(packed_bias.CheckCanaries());
        }
      });
    }
  }
}

// A packed bias takes none of the eight steps away.
TEST(PackedLinearBias, LeavesRoomForEightSteps) {
  const Layer layer(20, 6, __LINE__);
  PackedLinear packed;
  ASSERT_TRUE(
      PackedLinear::Pack(layer.w.cview(), layer.bias.cspan(), nullptr, layer.bytes.span(), packed)
          .ok());
  const std::vector<float> x(6, 1.0f);
  std::vector<float> y(20), expected(20);
  Epilogue eight;
  for (size_t i = 0; i < Epilogue::kMaxSteps; ++i) eight.Bias(layer.bias.cspan());
  ForEachTarget([&](std::string_view) {
    ASSERT_TRUE(Linear(std::span<const float>(x), packed, Epilogue(), std::span(expected)).ok());
    for (size_t i = 0; i < Epilogue::kMaxSteps; ++i) {
      for (size_t n = 0; n < 20; ++n) expected[n] += layer.bias[n];
    }
    const Status status = Linear(std::span<const float>(x), packed, eight, std::span(y));
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_SAME_BITS(y, expected);
  });
}

TEST(PackedLinearBatchNorm, FoldsInDoubleAndRoundsOnce) {
  for (const Shape& shape : kShapes) {
    const size_t outputs = shape.outputs, inputs = shape.inputs;
    const Layer layer(outputs, inputs, inputs + 100);
    // With and without a bias, gamma and beta: all eight.
    for (int parts = 0; parts < 8; ++parts) {
      BatchNorm batchnorm = layer.batchnorm();
      if ((parts & 1) == 0) batchnorm.gamma = {};
      if ((parts & 2) == 0) batchnorm.beta = {};
      const auto bias = (parts & 4) == 0 ? std::span<const float>() : layer.bias.cspan();
      PackedLinear packed;
      const Status status =
          PackedLinear::Pack(layer.w.cview(), bias, &batchnorm, layer.bytes.span(), packed);
      ASSERT_TRUE(status.ok()) << status.message();
      const Folded folded = FoldBatchNorm(layer.w.Dense(), bias, batchnorm);
      ASSERT_NE(packed.bias(), nullptr) << "a folded batchnorm always has a bias";
      for (size_t n = 0; n < outputs; ++n) {
        EXPECT_SAME_BITS(packed.bias()[n], static_cast<float>(folded.bias[n]));
        for (size_t k = 0; k < inputs; ++k) {
          EXPECT_SAME_BITS(PackedWeight(packed, n, k),
                           static_cast<float>(folded.weights[n * inputs + k]));
        }
      }
    }
  }
}

// End to end: the folded layer against matrix, bias and batchnorm in double.
TEST(PackedLinearBatchNorm, FoldedLayerIsTheUnfoldedOne) {
  Random random(__LINE__);
  for (const Shape& shape : kShapes) {
    const size_t outputs = shape.outputs, inputs = shape.inputs;
    const Layer layer(outputs, inputs, inputs + 7);
    const BatchNorm batchnorm = layer.batchnorm();
    PackedLinear packed;
    ASSERT_TRUE(PackedLinear::Pack(layer.w.cview(), layer.bias.cspan(), &batchnorm,
                                   layer.bytes.span(), packed)
                    .ok());
    std::vector<float> x(inputs), y(outputs);
    random.FillUniform(x);
    std::vector<Expected> expected;
    for (size_t n = 0; n < outputs; ++n) {
      const double scale =
          static_cast<double>(layer.gamma[n]) /
          std::sqrt(static_cast<double>(layer.variance[n]) + static_cast<double>(1e-3f));
      const Expected sum = LinearExpected(x, layer.w.row(n), outputs);
      double magnitude = 0.0;
      for (size_t k = 0; k < x.size(); ++k) {
        magnitude += std::fabs(static_cast<double>(x[k]) * static_cast<double>(layer.w.row(n)[k]));
      }
      const double shift =
          (static_cast<double>(layer.bias[n]) - static_cast<double>(layer.mean[n])) * scale +
          static_cast<double>(layer.beta[n]);
      const double value = sum.value * scale + shift;
      // Besides the sum's error: one rounding for each weight, for the bias and for their sum.
      const double rounded = kUnitRoundoff * (magnitude * std::fabs(scale) + std::fabs(shift) +
                                              std::fabs(value) + std::fabs(scale) * sum.bound);
      expected.push_back({value, std::fabs(scale) * sum.bound * 1.0001 + rounded * 1.0001});
    }
    ForEachTarget([&](std::string_view target) {
      ASSERT_TRUE(Linear(std::span<const float>(x), packed, Epilogue(), std::span(y)).ok());
      EXPECT_TRUE(AllWithin(y, expected, BoundFactor(target))) << outputs << " x " << inputs;
    });
  }
}

}  // namespace
}  // namespace lanefuse::test

// The elementary functions on a sample of all floats, on the values that IEEE singles out and
// around every argument where an implementation changes its mind. tests/exhaustive.cc takes every
// float.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "lanefuse/target.h"
#include "tests/common/math_check.h"
#include "tests/support/bits.h"

namespace lanefuse::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

// A prime, so that the sample meets all low bits: 1.05 million floats over all exponents.
constexpr uint64_t kStride = 4093;
// Every how many of them go to a target that emulates fused multiply-add.
constexpr size_t kBaselineStride = 16;

std::vector<float> Inputs(const MathFunction& function) {
  std::vector<float> x;
  const auto add = [&](float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if (bits >= function.first_bits) x.push_back(value);
  };
  for (uint64_t bits = function.first_bits; bits < uint64_t{1} << 32; bits += kStride) {
    add(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  // Where results overflow, underflow or saturate, where a branch or the sign of a logarithm
  // changes, and where the reduced argument jumps: log(2) / 2 times odd numbers.
  std::vector<float> breakpoints = {
      0.0f,    kTiny,         0x1p-126f,     kMax,        kInf,        0x1p-24f, 0x1.6a09e6p-1f,
      1.0f,    0x1.6a09e6p0f, 2.0f,          3.92f,       3.95f,       5.0f,     9.02f,
      9.1f,    10.0f,         13.0f,         13.2425f,    13.27f,      16.63f,   17.33f,
      32.0f,   44.36f,        0x1.5d589ep6f, 88.7228394f, 103.972084f, 104.0f,   110.0f,
      0x1p22f, 0x1p23f,       0x1p64f,       0x1p96f};
  for (int n = 1; n < 320; n += 2) breakpoints.push_back(0x1.62e43p-2f * static_cast<float>(n));
  for (const float b : breakpoints) {
    for (int step = -8; step <= 8; ++step) {
      const float near =
          std::bit_cast<float>(std::bit_cast<uint32_t>(b) + static_cast<uint32_t>(step));
      add(near);
      add(-near);
    }
  }
  for (const float nan : {kNaN, -kNaN, std::bit_cast<float>(0x7F800001u)}) add(nan);
  return x;
}

size_t FunctionId(const std::string& name) {
  size_t id = 0;
  while (id < MathFunctions().size() && name != MathFunctions()[id].name) ++id;
  return id;
}

TEST(MathTest, EveryTargetIsChecked) {
  // AVX512_VNNI, NEON_DOTPROD and SVE2 are other names of the code of AVX512, NEON and SVE.
  size_t kernels = 0;
  for (const std::string_view name : SupportedTargets()) {
    if (name != "AVX512_VNNI" && name != "NEON_DOTPROD" && name != "SVE2") ++kernels;
  }
  EXPECT_EQ(MathKernels().size(), kernels);
}

TEST(MathTest, ErrorsStayWithinBoundsAndBitsAgree) {
  const std::vector<MathKernel> kernels = MathKernels();
  for (size_t function = 0; function < MathFunctions().size(); ++function) {
    const MathFunction& f = MathFunctions()[function];
    const std::vector<float> x = Inputs(f);
    ASSERT_GE(x.size(), size_t{1} << 19);
    std::vector<MathErrors> errors(kernels.size());
    CheckMathBlock(function, x, kernels, kBaselineStride, 0, errors);
    for (size_t k = 0; k < kernels.size(); ++k) {
      const MathErrors& e = errors[k];
      EXPECT_TRUE(WithinBounds(f, kernels[k], e))
          << f.name << " on " << kernels[k].target_name << ": " << e.max_ulp << " ULP at "
          << Describe(e.max_ulp_at) << ", error " << e.max_absolute << " at "
          << Describe(e.max_absolute_at) << ", error / |x| " << e.max_per_x << " at "
          << Describe(e.max_per_x_at) << "; " << e.differing << " of " << e.count << " differ from "
          << kernels[0].target_name << ", first at " << Describe(e.differing_at);
    }
  }
}

TEST(MathTest, SpecialValuesAreExact) {
  struct Case {
    const char* function;
    float x, y;
  };
  const Case cases[] = {
      {"exp", 0.0f, 1.0f},
      {"exp", -0.0f, 1.0f},
      {"exp", -kInf, 0.0f},
      {"exp", kInf, kInf},
      {"exp", kMax, kInf},
      {"exp", -kMax, 0.0f},
      {"exp", -103.9f, kTiny},
      {"exp", 88.73f, kInf},
      {"exp_non_positive", -0.0f, 1.0f},
      {"exp_non_positive", 0.0f, 1.0f},
      {"exp_non_positive", -kTiny, 1.0f},
      {"exp_non_positive", -kInf, 0.0f},
      {"exp_non_positive", -kMax, 0.0f},
      {"exp_non_positive", -88.0f, 0.0f},
      {"expm1_non_positive", 0.0f, 0.0f},
      {"expm1_non_positive", -0.0f, 0.0f},
      {"expm1_non_positive", -kTiny, -kTiny},
      {"expm1_non_positive", -kInf, -1.0f},
      {"expm1_non_positive", -kMax, -1.0f},
      {"log", 1.0f, 0.0f},
      {"log", 0.0f, -kInf},
      {"log", -0.0f, -kInf},
      {"log", -kTiny, kNaN},
      {"log", -1.0f, kNaN},
      {"log", -kInf, kNaN},
      {"log", kInf, kInf},
      {"tanh", 0.0f, 0.0f},
      {"tanh", -0.0f, -0.0f},
      {"tanh", kInf, 1.0f},
      {"tanh", -kInf, -1.0f},
      {"tanh", kTiny, kTiny},
      {"tanh", -kMax, -1.0f},
      {"erf", 0.0f, 0.0f},
      {"erf", -0.0f, -0.0f},
      {"erf", kInf, 1.0f},
      {"erf", -kInf, -1.0f},
      {"erf", kTiny, kTiny},
      {"erf", kMax, 1.0f},
      {"sigmoid", 0.0f, 0.5f},
      {"sigmoid", -0.0f, 0.5f},
      {"sigmoid", kInf, 1.0f},
      {"sigmoid", -kInf, 0.0f},
      {"sigmoid", -kMax, 0.0f},
      {"sigmoid", -103.9f, kTiny},
      {"silu", 0.0f, 0.0f},
      {"silu", -0.0f, -0.0f},
      {"silu", kInf, kInf},
      {"silu", -kInf, -0.0f},
      {"silu", kMax, kMax},
      {"silu", -kMax, -0.0f},
      {"mish", 0.0f, 0.0f},
      {"mish", -0.0f, -0.0f},
      {"mish", kInf, kInf},
      {"mish", -kInf, -0.0f},
      {"mish", kMax, kMax},
      {"mish", -kMax, -0.0f},
      {"normal_cdf", 0.0f, 0.5f},
      {"normal_cdf", -0.0f, 0.5f},
      {"normal_cdf", kInf, 1.0f},
      {"normal_cdf", -kInf, 0.0f},
      {"normal_cdf", -14.0f, 0.0f},
      {"normal_cdf", kMax, 1.0f},
      {"gelu", 0.0f, 0.0f},
      {"gelu", -0.0f, -0.0f},
      {"gelu", kInf, kInf},
      {"gelu", -kInf, -0.0f},
      {"gelu", kMax, kMax},
      {"gelu", -kMax, -0.0f},
      {"gelu_tanh", 0.0f, 0.0f},
      {"gelu_tanh", -0.0f, -0.0f},
      {"gelu_tanh", kInf, kInf},
      {"gelu_tanh", -kInf, -0.0f},
      {"gelu_tanh", kMax, kMax},
      {"gelu_tanh", -kMax, -0.0f},
  };
  for (const MathKernel& kernel : MathKernels()) {
    for (const Case& c : cases) {
      float y = -1.0f;
      ASSERT_EQ(kernel.run(FunctionId(c.function), &c.x, &y, 1), kernel.target) << c.function;
      const bool cut_off = !kernel.ieee && std::fabs(c.y) == kTiny && y == 0.0f;
      EXPECT_TRUE(cut_off || SameBits(y, c.y))
          << c.function << "(" << Describe(c.x) << ") = " << Describe(y) << " on "
          << kernel.target_name << ", not " << Describe(c.y);
    }
    for (size_t function = 0; function < MathFunctions().size(); ++function) {
      for (const float x : {kNaN, -kNaN}) {
        float y = -1.0f;
        ASSERT_EQ(kernel.run(function, &x, &y, 1), kernel.target);
        EXPECT_TRUE(std::isnan(y))
            << MathFunctions()[function].name << " on " << kernel.target_name;
      }
    }
  }
}

TEST(MathTest, OddFunctionsAreOdd) {
  for (const MathKernel& kernel : MathKernels()) {
    for (const char* name : {"tanh", "erf"}) {
      for (float x = kTiny; x < 100.0f; x *= 1.7f) {
        const float in[2] = {x, -x};
        float out[2] = {};
        kernel.run(FunctionId(name), in, out, 2);
        EXPECT_TRUE(SameBits(out[0], -out[1]))
            << name << " at " << Describe(x) << " on " << kernel.target_name;
        if (x < 2 * kTiny) x = 2 * kTiny;  // 1.7 times the smallest subnormal is 2 of them.
      }
    }
  }
}

// The judge itself: an error measure that cannot fail would pass everything.
TEST(MathTest, UlpErrorCountsUnitsOfTheExactResult) {
  EXPECT_EQ(UlpError(1.0f, 1.0), 0.0);
  EXPECT_EQ(UlpError(1.0f + 0x1p-23f, 1.0), 1.0);
  EXPECT_EQ(UlpError(1.0f, 1.0 + 0x1p-24), 0.5);
  EXPECT_EQ(UlpError(-1.0f, -1.0 - 0x1p-24), 0.5);
  EXPECT_EQ(UlpError(1.0f, 1.0 - 0x1p-25), 0.5);  // Below 1 a unit is half as large.
  EXPECT_EQ(UlpError(0.0f, 0x1p-149), 1.0);
  EXPECT_EQ(UlpError(kTiny, 0x1p-150), 0.5);
  EXPECT_EQ(UlpError(0.0f, 1e-300), 1e-300 * 0x1p149);
  EXPECT_EQ(UlpError(kInf, 0x1p300), 0.0);
  EXPECT_EQ(UlpError(kInf, static_cast<double>(kInf)), 0.0);
  EXPECT_EQ(UlpError(-kInf, -0x1p300), 0.0);
  EXPECT_EQ(UlpError(kInf, static_cast<double>(kMax)), 1.0);
  EXPECT_GT(UlpError(kMax, 0x1p129), 1e6);
  EXPECT_GT(UlpError(kInf, -0x1p129), 1e6);
  EXPECT_EQ(UlpError(kNaN, static_cast<double>(kNaN)), 0.0);
  EXPECT_EQ(UlpError(kNaN, 1.0), static_cast<double>(kInf));
  EXPECT_EQ(UlpError(1.0f, static_cast<double>(kNaN)), static_cast<double>(kInf));
}

TEST(MathTest, WrongBitsAndWrongValuesAreSeen) {
  std::vector<MathKernel> kernels(2);
  kernels[0] = {
      1, "right", true, false, true, [](size_t, const float* x, float* y, size_t n) -> int64_t {
        for (size_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
        return 1;
      }};
  kernels[1] = kernels[0];
  kernels[1].run = [](size_t, const float* x, float* y, size_t n) -> int64_t {
    for (size_t i = 0; i < n; ++i) y[i] = std::exp(x[i]) * (i == 5 ? 1.0f + 0x1p-22f : 1.0f);
    return 1;
  };
  const std::vector<float> x(10, 1.0f);
  std::vector<MathErrors> errors(2);
  const size_t exp = FunctionId("exp");
  CheckMathBlock(exp, x, kernels, 1, 0, errors);
  EXPECT_TRUE(WithinBounds(MathFunctions()[exp], kernels[0], errors[0]));
  EXPECT_FALSE(WithinBounds(MathFunctions()[exp], kernels[1], errors[1]));
  EXPECT_EQ(errors[1].differing, 1u);
  EXPECT_GT(errors[1].max_ulp, 1.0);
  EXPECT_NE(errors[0].hash, errors[1].hash);
}

}  // namespace
}  // namespace lanefuse::test

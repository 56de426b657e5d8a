// Apply: each step and activation against its oracle, on every target.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "arch/subnormals.h"
#include "lanefuse/elementwise.h"
#include "lanefuse/target.h"
#include "tests/reference/elementwise_ref.h"
#include "tests/reference/epilogue_ref.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kAlphas[] = {0.3f, 1.0f, -0.7f};

// The result of one call on dense values, in a matrix with gaps between guard pages.
std::vector<float> ApplyTo(std::span<const float> values, size_t cols, const Epilogue& epilogue,
                           size_t gap = 0, Guard guard = Guard::kAtEnd, size_t offset = 0) {
  const size_t rows = values.size() / cols;
  GuardedMat x(rows, cols, cols + gap, guard, offset);
  x.Fill(values);
  x.ReadOnly();
  const GuardedMat y(rows, cols, cols + 2 * gap, guard, offset);
  const Status status = Apply(x.cview(), epilogue, y.view(), {.threads = 1});
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(y.CheckCanaries());
  return y.Dense();
}

// One row of values through one activation.
std::vector<float> Activate(std::span<const float> values, Activation act) {
  return ApplyTo(values, values.size(), Epilogue().Act(act));
}

// Activations with an alpha take each of kAlphas, the others one.
std::vector<float> AlphasOf(ActivationKind kind) {
  if (kind == ActivationKind::kElu || kind == ActivationKind::kLeakyRelu) {
    return {std::begin(kAlphas), std::end(kAlphas)};
  }
  return {kAlphas[0]};
}

// Every exponent with both signs and several mantissas, and densely where the activations bend.
std::vector<float> ManyMagnitudes(size_t per_exponent) {
  Random random(__LINE__);
  std::vector<float> values;
  for (int exponent = -149; exponent <= 127; ++exponent) {
    for (size_t i = 0; i < per_exponent; ++i) {
      const float mantissa = i == 0 ? 1.0f : random.Uniform(1.0f, 2.0f);
      for (const float sign : {1.0f, -1.0f})
        values.push_back(sign * std::ldexp(mantissa, exponent));
    }
  }
  for (const float range : {0.01f, 1.0f, 6.0f, 20.0f, 110.0f}) {
    for (size_t i = 0; i < 400 * per_exponent; ++i) values.push_back(random.Uniform(-range, range));
  }
  // The places where a formula changes: 3 and 6, the ends of exp, erf and tanh, and their
  // neighbours.
  for (const float edge : {3.0f,  6.0f,    0.5f,    3.92f,  5.5f,   8.0f,   9.01f,  10.0f, 13.3f,
                           16.6f, 17.4f,   20.0f,   32.0f,  40.0f,  64.0f,  87.3f,  88.0f, 88.7228f,
                           88.8f, 103.28f, 103.97f, 104.0f, 110.0f, 120.0f, 128.0f, 1e10f, 3e38f}) {
    for (const float v : {edge, std::nextafter(edge, 0.0f), std::nextafter(edge, kInf)}) {
      values.push_back(v);
      values.push_back(-v);
    }
  }
  return values;
}

// The bound where arithmetic is not IEEE's: the divisions of an activation (ELU has that of tanh,
// too), and inputs, results and what is between them may be subnormal and count as zero.
Expected WithoutIeee(ActivationKind kind, Expected e, float x) {
  const double divisions = IsExactActivation(kind) ? 0.0 : kind == ActivationKind::kElu ? 2.0 : 1.0;
  e.bound += divisions * (kDivisionRoundoffs - 1.0) * kUnitRoundoff * std::fabs(e.value);
  // Twice the smallest normal number, because some have x / 2 on the way.
  const double cut_off = 2.0 * FLT_MIN * std::max(1.0, std::fabs(double{x}));
  if (std::fabs(e.value) < cut_off || std::fabs(x) < 2.0 * FLT_MIN) e.bound += cut_off;
  return e;
}

TEST(Apply, ActivationsAreWithinTheirBounds) {
  ForEachTarget([&](std::string_view target) {
    const std::vector<float> x = ManyMagnitudes(IsSlow(target) ? 3 : 40);
    for (const NamedActivation& act : AllActivations()) {
      for (const float alpha : AlphasOf(act.kind)) {
        SCOPED_TRACE(std::string(act.name) + ", alpha " + std::to_string(alpha));
        const std::vector<float> slopes(x.size(), alpha);
        const std::vector<float> y =
            Activate(x, {.kind = act.kind, .alpha = alpha, .slope = slopes});
        for (size_t i = 0; i < x.size(); ++i) {
          Expected expected = TightExpected(act.kind, x[i], alpha, !FusesMulAdd(target));
          if (!IsIeee(target)) expected = WithoutIeee(act.kind, expected, x[i]);
          ASSERT_TRUE(IsWithin(y[i], expected, BoundFactor(target)))
              << "at " << Describe(x[i]) << ": " << Describe(y[i]) << ", not " << expected.value
              << "; off by " << std::abs(y[i] - expected.value) / UlpAt(expected.value)
              << " ULP, allowed " << BoundFactor(target) * expected.bound / UlpAt(expected.value);
        }
      }
    }
  });
}

TEST(Apply, ActivationsThatNeedNoRoundingAreExact) {
  std::vector<float> x = ManyMagnitudes(2);
  x.insert(x.end(), std::begin(kSpecials), std::end(kSpecials));
  std::vector<float> slopes(x.size());
  Random random(__LINE__);
  random.FillWide(slopes);
  ForEachTarget([&](std::string_view target) {
    for (const NamedActivation& act : AllActivations()) {
      if (!IsExactActivation(act.kind)) continue;
      for (const float alpha : AlphasOf(act.kind)) {
        std::vector<float> model;
        for (size_t i = 0; i < x.size(); ++i) {
          const arch::SubnormalsLikeVectors mode;
          model.push_back(ExactActivation(act.kind, x[i], alpha, slopes[i]));
        }
        const std::vector<float> y =
            Activate(x, {.kind = act.kind, .alpha = alpha, .slope = slopes});
        EXPECT_SAME_BITS(WithoutSubnormals(target, y), WithoutSubnormals(target, model))
            << act.name;
      }
    }
  });
}

TEST(Apply, NaNStaysNaNInEveryLane) {
  ForEachTarget([&](std::string_view) {
    for (const NamedActivation& act : AllActivations()) {
      for (size_t lane = 0; lane < 37; ++lane) {
        for (const float nan : {std::nanf(""), -std::nanf("")}) {
          std::vector<float> x(37, 0.25f);
          const std::vector<float> slopes(x.size(), 0.5f);
          const Activation activation{.kind = act.kind, .alpha = 0.5f, .slope = slopes};
          std::vector<float> expected = Activate(x, activation);
          EXPECT_FALSE(std::isnan(expected[lane])) << act.name;
          x[lane] = nan;
          expected[lane] = nan;
          EXPECT_SAME_BITS(Activate(x, activation), expected) << act.name << ", lane " << lane;
          EXPECT_SAME_BITS(ApplyTo(x, 37, Epilogue().Clamp(-1.0f, 1.0f)), x) << "lane " << lane;
        }
      }
    }
  });
}

TEST(Apply, LimitsOfEveryActivation) {
  ForEachTarget([&](std::string_view) {
    for (const NamedActivation& act : AllActivations()) {
      SCOPED_TRACE(act.name);
      const float alpha = 0.3f;
      const ActivationLimits limits = LimitsOf(act.kind, alpha, alpha);
      // 19 values: the body of a vector and its tail.
      const std::vector<float> slopes(19, alpha);
      const auto at = [&](float x) {
        const std::vector<float> y = Activate(std::vector<float>(19, x),
                                              {.kind = act.kind, .alpha = alpha, .slope = slopes});
        for (const float v : y) EXPECT_TRUE(SameBits(v, y[0])) << "body and tail disagree at " << x;
        return y[0];
      };
      EXPECT_EQ(at(-kInf), limits.at_minus_inf);  // == : the sign of a zero is free here.
      EXPECT_SAME_BITS(at(-0.0f), limits.at_minus_zero);
      EXPECT_SAME_BITS(at(0.0f), limits.at_plus_zero);
      EXPECT_SAME_BITS(at(kInf), limits.at_plus_inf);
    }
  });
}

// Below 0, above 0: the activations that only grow there must not step back by more than their
// error. (Tables and joined formulas show their seams here.)
TEST(Apply, MonotoneActivationsHaveNoSeams) {
  using enum ActivationKind;
  std::vector<float> x;
  for (float v = -30.0f; v <= 30.0f; v += 0x1p-8f) x.push_back(v);
  ForEachTarget([&](std::string_view target) {
    if (IsSlow(target)) return;  // Its bits are those of the others, which other tests show.
    for (const ActivationKind kind : {kRelu, kRelu6, kSigmoid, kTanh, kHardSigmoid, kExp}) {
      const std::vector<float> y = Activate(x, {.kind = kind});
      for (size_t i = 1; i < x.size(); ++i) {
        const double slack = 4.0 * UlpAt(y[i]) * BoundFactor(target);
        ASSERT_GE(y[i], y[i - 1] - slack) << static_cast<int>(kind) << " at " << x[i];
      }
    }
  });
}

// Shapes around vectors (4, 8, 16 lanes) and tiles, with gaps and odd alignments.
struct Layout {
  size_t gap;
  Guard guard;
  size_t offset;
};
constexpr Layout kLayouts[] = {{0, Guard::kAtEnd, 0},
                               {3, Guard::kAtEnd, 0},
                               {0, Guard::kAtBegin, 1},
                               {5, Guard::kAtBegin, 0},
                               {1, Guard::kAtEnd, 3}};

TEST(Apply, ArithmeticStepsAreRoundedOnce) {
  Random random(__LINE__);
  size_t n = 0;
  for (size_t cols = 1; cols <= 70; ++cols, ++n) {
    const size_t rows = 1 + n % 5;
    const Layout& l = kLayouts[n % std::size(kLayouts)];
    std::vector<float> x(rows * cols), operand(x.size()), scale(cols), shift(cols);
    for (std::vector<float>* v : {&x, &operand, &scale, &shift}) {
      random.FillWide(*v);
      random.PlantSpecials(*v, v->size() / 8);
    }
    const MatView<const float> m(operand.data(), rows, cols);
    const auto model = [&](auto&& step) {
      const arch::SubnormalsLikeVectors mode;
      std::vector<float> y;
      for (size_t i = 0; i < x.size(); ++i) y.push_back(step(x[i], i, i % cols));
      return y;
    };
    ForEachTarget([&](std::string_view target) {
      const auto run = [&](const Epilogue& e) {
        return ApplyTo(x, cols, e, l.gap, l.guard, l.offset);
      };
      const auto check = [&](const Epilogue& e, auto&& step) {
        EXPECT_SAME_BITS(run(e), model(step));
      };
      EXPECT_SAME_BITS(run(Epilogue()), x);
      check(Epilogue().Bias(shift),
            [&](float v, size_t, size_t c) { return BiasModel(v, shift[c]); });
      check(Epilogue().Scale(-0.7f), [&](float v, size_t, size_t) { return ScaleModel(v, -0.7f); });
      check(Epilogue().ScaleChannels(scale),
            [&](float v, size_t, size_t c) { return ScaleModel(v, scale[c]); });
      check(Epilogue().Add(m), [&](float v, size_t i, size_t) { return AddModel(v, operand[i]); });
      check(Epilogue().Mul(m), [&](float v, size_t i, size_t) { return MulModel(v, operand[i]); });
      for (const auto& [lo, hi] : {std::pair(-1.5f, 2.0f), std::pair(-0.0f, kInf)}) {
        const auto clamp = [low = lo, high = hi](float v, size_t, size_t) {
          return ClampModel(v, low, high);
        };
        EXPECT_SAME_BITS(WithoutSubnormals(target, run(Epilogue().Clamp(lo, hi))),
                         WithoutSubnormals(target, model(clamp)));
      }
      if (FusesMulAdd(target)) {
        check(Epilogue().Affine(scale, shift),
              [&](float v, size_t, size_t c) { return AffineModel(v, scale[c], shift[c]); });
      }
    });
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace lanefuse::test

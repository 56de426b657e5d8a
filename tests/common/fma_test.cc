// The product-sum that everything is built from, where rounding it twice would show.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/support/bits.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// Sums halfway between two floats but for less than a double can hold, around every exponent, also
// where floats are subnormal and where they end. A target that has no fused multiply-add goes by
// way of doubles, and rounds twice if anything is left out there.
TEST(FusedMultiplyAdd, RoundsOnce) {
  Random random(__LINE__);
  std::vector<float> x, scale, shift, once, twice;
  const auto add = [&](float a, float b, float c) {
    x.push_back(a);
    scale.push_back(b);
    shift.push_back(c);
    once.push_back(std::fma(a, b, c));
    twice.push_back(static_cast<float>(static_cast<double>(a) * b + c));
  };
  for (int exponent = -149; exponent <= 127; ++exponent) {
    // Half of a unit in the last place is low * high; of a subnormal c it is no float.
    const int half = std::max(exponent - 23, -149) - 1;
    const float low = std::ldexp(1.0f, half / 2), high = std::ldexp(1.0f, half - half / 2);
    for (int i = 0; i < 40; ++i) {
      const float significand = 1.0f + static_cast<float>(random.Below(1 << 23)) * 0x1p-23f;
      const float c = std::ldexp(significand, exponent);
      const float sign = random.Below(2) == 0 ? 1.0f : -1.0f;
      // (1 + d) (1 - d) is d^2 below 1: 2^-28 to 2^-46.
      const float d = std::ldexp(1.0f, -static_cast<int>(14 + random.Below(10)));
      add(sign * (1.0f + d) * low, (1.0f - d) * high, c);
      add(sign * (1.0f + d) * low, (1.0f + d) * high, c);
      add(sign * low, high, c);
      add(1.0f + d, c, -c);  // all that is left is small
    }
  }
  for (const float a : {0.0f, -0.0f, 1.0f, FLT_MIN, -FLT_MAX}) {
    for (const float b : {0.0f, -0.0f, 0x1p-149f, -1.0f, FLT_MAX}) {
      for (const float c : {0.0f, -0.0f, -0x1p-149f, 1.0f, FLT_MAX, -FLT_MAX, INFINITY}) {
        add(a, b, c);
      }
    }
  }
  ASSERT_GT(CountDiffering(twice, once), 1000u) << "these data show nothing";
  std::vector<float> y(x.size());
  const MatView<const float> in(x.data(), 1, x.size());
  ForEachFusingTarget([&](std::string_view name) {
    if (!IsIeee(name)) return;
    ASSERT_TRUE(Apply(in, Epilogue().Affine(scale, shift), std::span(y)).ok());
    EXPECT_SAME_BITS(y, once);
  });
}

}  // namespace
}  // namespace lanefuse::test

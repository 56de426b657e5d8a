// Oracles for softmax: double precision with a computed bound, and the stated order of the sum in
// scalar float, bit for bit. Written from the card in lanefuse/softmax.h alone.
#ifndef LANEFUSE_TESTS_REFERENCE_SOFTMAX_REF_H_
#define LANEFUSE_TESTS_REFERENCE_SOFTMAX_REF_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "lanefuse/softmax.h"
#include "tests/reference/bound.h"

namespace lanefuse::test {

// How many columns of row r are visible: [0, r + causal_offset], without overflow.
inline size_t VisibleColumns(const SoftmaxOptions& options, size_t r, size_t cols) {
  if (!options.causal) return cols;
  if (r >= cols || options.causal_offset >= cols - r) return cols;
  return r + options.causal_offset + 1;
}

// z of the visible columns of row r: x * scale + mask, two rounded operations.
inline std::vector<float> SoftmaxInput(MatView<const float> x, const SoftmaxOptions& options,
                                       size_t r) {
  std::vector<float> z;
  const size_t visible = VisibleColumns(options, r, x.cols);
  for (size_t c = 0; c < visible; ++c) {
    float v = x.data[r * x.stride + c];
    if (options.scale != 1.0f) v *= options.scale;
    if (options.mask.data != nullptr) {
      const size_t mask_row = options.mask.rows == 1 ? 0 : r;
      v += options.mask.data[mask_row * options.mask.stride + c];
    }
    z.push_back(v);
  }
  return z;
}

// The stated sum: element i belongs to lane i mod 64, lanes meet at distance 32, 16, 8, 4, 2, 1.
inline float Sum64(std::span<const float> values) {
  float lanes[64] = {};
  for (size_t i = 0; i < values.size(); ++i) lanes[i % 64] += values[i];
  for (size_t distance = 32; distance > 0; distance /= 2) {
    for (size_t i = 0; i < distance; ++i) lanes[i] += lanes[i + distance];
  }
  return lanes[0];
}

// What one element of the result has to be.
struct SoftmaxExpected {
  enum class Rule {
    kValue,  // within `bound` of `value`
    kExact,  // `value`, exactly
    kNaN,    // NaN
    kSmall,  // 0, or within `bound` of `value`: at the argument where exp becomes 0
  };
  Rule rule = Rule::kValue;
  double value = 0.0;
  double bound = 0.0;

  bool Accepts(float got, double slack) const {
    switch (rule) {
      case Rule::kExact:
        return got == value;
      case Rule::kNaN:
        return std::isnan(got);
      case Rule::kSmall:
        if (got == 0.0f) return true;
        break;
      case Rule::kValue:
        break;
    }
    // An infinite or NaN result fails: the comparison is false.
    return std::abs(got - value) <= bound * slack;
  }
};

// The row of results for visible inputs z, then `cols` - z.size() masked ones. z - max is taken
// rounded to float, as the formula writes it; the card's bound comes on top of that rounding.
inline std::vector<SoftmaxExpected> SoftmaxRowExpected(std::span<const float> z, size_t cols,
                                                       bool log) {
  using Rule = SoftmaxExpected::Rule;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const double masked = log ? -static_cast<double>(kInf) : 0.0;
  std::vector<SoftmaxExpected> row(cols, {Rule::kExact, masked, 0.0});

  // Lower scores count as this one when the maximum is taken.
  float max = -std::numeric_limits<float>::max() / 2;
  bool poisoned = false;
  for (float v : z) {
    poisoned = poisoned || std::isnan(v) || v == kInf;
    max = std::max(max, v);
  }
  if (poisoned) {
    for (size_t c = 0; c < z.size(); ++c) row[c].rule = Rule::kNaN;
    return row;
  }

  // Where exp would be subnormal it is 0: below about -87.3365, which the card rounds to -87.33.
  constexpr float kMayVanish = -87.33f, kVanishes = -87.34f;
  double sum = 0.0;
  for (float v : z) {
    if (v - max >= kVanishes) sum += std::exp(static_cast<double>(v - max));
  }
  if (sum == 0.0) sum = 1.0;  // A row of masked or very low scores: 0, or z - max.
  const double log_sum = std::log(sum);
  const double relative = (static_cast<double>(cols) / 64 + 16) * kUnitRoundoff;
  for (size_t c = 0; c < z.size(); ++c) {
    const float difference = z[c] - max;
    if (std::isinf(difference)) continue;  // As if masked.
    if (log) {
      // The relative error of the sum becomes an absolute one of its logarithm; two more ULP of the
      // logarithm itself and a rounded subtraction.
      const double value = static_cast<double>(difference) - log_sum;
      row[c] = {Rule::kValue, value, relative + kUnitRoundoff * (4 * log_sum + std::abs(value))};
    } else if (difference >= kVanishes) {
      const double value = std::exp(static_cast<double>(difference)) / sum;
      row[c] = {difference < kMayVanish ? Rule::kSmall : Rule::kValue, value,
                relative * value + 0x1p-149};
    }
  }
  return row;
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_SOFTMAX_REF_H_

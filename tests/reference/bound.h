// A value in double precision and how far a result in float may be from it.
#ifndef LANEFUSE_TESTS_REFERENCE_BOUND_H_
#define LANEFUSE_TESTS_REFERENCE_BOUND_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <span>

namespace lanefuse::test {

// The unit roundoff of float: a correctly rounded operation errs by at most this, relatively.
inline constexpr double kUnitRoundoff = 0x1p-24;

struct Expected {
  double value = 0.0;
  double bound = 0.0;  // absolute
};

// NaN expects NaN, an infinity expects itself, and so does what lies beyond float's largest value.
inline bool IsWithin(float actual, const Expected& expected, double factor = 1.0) {
  if (std::isnan(expected.value)) return std::isnan(actual);
  const double value = static_cast<double>(actual);
  if (std::isinf(expected.value) || std::isinf(actual)) {
    return value == expected.value ||
           value == static_cast<double>(static_cast<float>(expected.value));
  }
  return std::fabs(value - expected.value) <= factor * expected.bound;
}

// `factor` widens all bounds (targets that round a product-sum twice: BoundFactor()).
inline testing::AssertionResult AllWithin(std::span<const float> actual,
                                          std::span<const Expected> expected, double factor = 1.0) {
  if (actual.size() != expected.size()) {
    return testing::AssertionFailure() << actual.size() << " values, expected " << expected.size();
  }
  for (size_t i = 0; i < actual.size(); ++i) {
    if (IsWithin(actual[i], expected[i], factor)) continue;
    return testing::AssertionFailure()
           << "[" << i << "] is " << actual[i] << ", expected " << expected[i].value << " within "
           << factor * expected[i].bound << ", off by "
           << std::fabs(static_cast<double>(actual[i]) - expected[i].value);
  }
  return testing::AssertionSuccess();
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_BOUND_H_

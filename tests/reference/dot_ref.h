// Oracles for Dot and Gemv: the sum in double with the bound that include/lanefuse/dot.h states,
// and a scalar model of the stated order, which targets that promise equal bits must match.
#ifndef LANEFUSE_TESTS_REFERENCE_DOT_REF_H_
#define LANEFUSE_TESTS_REFERENCE_DOT_REF_H_

#include <cmath>
#include <cstddef>
#include <span>

#include "arch/subnormals.h"
#include "tests/reference/bound.h"

namespace lanefuse::test {

// |error| <= (n / 64 + 7) * 2^-24 * sum |a b|. "To first order" is made strict by 1 / (1 - steps *
// 2^-24); each operation may also lose half of the smallest subnormal to underflow; and the oracle
// itself errs by its own n roundings.
inline Expected SumBound(double sum, double magnitude, double steps, double n) {
  const double strict = steps * kUnitRoundoff / (1.0 - steps * kUnitRoundoff);
  return {sum, strict * magnitude + n * 0x1p-53 * magnitude + (n + 64) * 0x1p-150};
}

inline Expected DotExpected(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0, magnitude = 0.0;
  for (size_t k = 0; k < a.size(); ++k) {
    const double product = static_cast<double>(a[k]) * static_cast<double>(b[k]);  // Exact.
    sum += product;
    magnitude += std::fabs(product);
  }
  const auto n = static_cast<double>(a.size());
  return SumBound(sum, magnitude, n / 64.0 + 7.0, n);
}

// Element k belongs to virtual lane k mod 64; a lane adds its products by fused multiply-add, k
// ascending; the last block of 64 is filled up with zeros (which turns a -0 that underflowed into
// +0); the lanes meet at distance 32, 16, 8, 4, 2, 1.
inline float DotModel(std::span<const float> a, std::span<const float> b) {
  const arch::SubnormalsLikeVectors mode;
  float lanes[64] = {};
  for (size_t k = 0; k < a.size(); ++k) lanes[k % 64] = std::fma(a[k], b[k], lanes[k % 64]);
  for (size_t k = a.size(); k % 64 != 0; ++k) lanes[k % 64] = std::fma(0.0f, 0.0f, lanes[k % 64]);
  for (size_t distance = 32; distance != 0; distance /= 2) {
    for (size_t i = 0; i < distance; ++i) lanes[i] += lanes[i + distance];
  }
  return lanes[0];
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_DOT_REF_H_

// What the activations must give on their own: bounds that are relative to the exact result
// wherever it is small, and the limits. They are tighter than those of epilogue_ref.h, which only
// has to judge sums behind a kernel. Written from the formulas in lanefuse/activation.h.
#ifndef LANEFUSE_TESTS_REFERENCE_ELEMENTWISE_REF_H_
#define LANEFUSE_TESTS_REFERENCE_ELEMENTWISE_REF_H_

#include <algorithm>
#include <cmath>
#include <limits>

#include "lanefuse/activation.h"
#include "tests/reference/bound.h"
#include "tests/reference/epilogue_ref.h"

namespace lanefuse::test {

// The distance between neighbouring floats at `exact`.
inline double UlpAt(double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);  // |exact| is in [1/2, 1) * 2^exponent
  return exact == 0.0 ? 0x1p-149 : std::ldexp(1.0, std::max(exponent - 24, -149));
}

// 1 / (1 + exp(-x)) in double, without overflow.
inline double SigmoidInDouble(double x) {
  const double e = std::exp(-std::fabs(x));
  return x < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

// act(x) for finite x, exact in double (to about 1e-15) with the bound that `kind` must keep. In
// units u = 2^-24 of the exact result's magnitude, where 2 ULP are at most 4 u:
//   (and below the smallest normal float, where a ULP is 2^-149, two of those)
//   Exp, Sigmoid, Tanh   2 ULP: activation.h says so.
//   Silu         6 u   a sigmoid of 2 ULP, a product, and as much slack as one more rounding.
//   Elu         10 u   exp(x) - 1 of 4 ULP, as it is had from a tanh or an exp without
//   cancellation;
//                      then times alpha.
//   GeluErf      8 u   a normal distribution of 2 ULP and a product, doubled; below the smallest
//                      normal float the tail may be cut off. Where a product-sum rounds twice, so
//                      does x^2 / 2 in the exponent of the tail, and costs x^2 / 2 u more.
//   GeluTanh     (8 + 6 |z|) u, z = 2 sqrt(2/pi) (x + 0.044715 x^3) for x < 0: the argument of the
//                      sigmoid itself is rounded (three operations and two constants), and its tail
//                      exp(z) multiplies that error by |z|.
//   Mish        16 u   x w / (w + 2) with w = e (e + 2): an exp of 2 ULP enters twice, and six
//                      operations round.
//   HardSigmoid        1/6 is no float: an error of u |x| / 6, and two roundings of at most 1. It
//   is
//                      flat beyond +-3, so larger |x| do not count.
//   HardSwish          |x| times that, and a product.
// The others are exact and have a model in epilogue_ref.h.
inline Expected TightExpected(ActivationKind kind, float x_float, float alpha,
                              bool rounds_twice = false) {
  const double x = x_float;
  const double u = kUnitRoundoff;
  const auto relative = [&](double value, double units) {
    return Expected{value, units * u * std::fabs(value) + 0x1p-148};
  };
  switch (kind) {
    case ActivationKind::kExp:
      return {std::exp(x), 2.0 * UlpAt(std::exp(x))};
    case ActivationKind::kSigmoid:
      return {SigmoidInDouble(x), 2.0 * UlpAt(SigmoidInDouble(x))};
    case ActivationKind::kTanh:
      return {std::tanh(x), 2.0 * UlpAt(std::tanh(x))};
    case ActivationKind::kSilu:
      return relative(x * SigmoidInDouble(x), 6.0);
    case ActivationKind::kElu:
      return x < 0.0 ? relative(double{alpha} * std::expm1(x), 10.0) : Expected{x, 0.0};
    case ActivationKind::kGeluErf: {
      const double units = 8.0 + (rounds_twice && x < 0.0 ? 0.5 * x * x : 0.0);
      Expected e = relative(x * 0.5 * std::erfc(-x / std::sqrt(2.0)), units);
      if (std::fabs(e.value) < 0x1p-126) e.bound = 0x1p-126;
      return e;
    }
    case ActivationKind::kGeluTanh: {
      const double z = 2.0 * std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
      return relative(x * SigmoidInDouble(z), 8.0 + (x < 0.0 ? 6.0 * std::fabs(z) : 0.0));
    }
    case ActivationKind::kMish: {
      const double e = std::exp(std::min(x, 40.0));  // Above, mish(x) is x in double, too.
      return relative(x > 40.0 ? x : x * (e * (e + 2.0) / (e * (e + 2.0) + 2.0)), 16.0);
    }
    case ActivationKind::kHardSigmoid: {
      const double value = std::clamp(x / 6.0 + 0.5, 0.0, 1.0);
      return {value, u * (std::min(std::fabs(x), 3.0) / 6.0 + 2.0 * value) + 0x1p-149};
    }
    case ActivationKind::kHardSwish: {
      const Expected gate = TightExpected(ActivationKind::kHardSigmoid, x_float, 0.0f);
      const double value = x * gate.value;
      // Beyond +-3 the gate is exact.
      const double gate_bound = std::fabs(x) > 3.0 ? 0.0 : gate.bound;
      return {value, std::fabs(x) * gate_bound + u * std::fabs(value) + 0x1p-149};
    }
    default:
      return {ExactActivation(kind, x_float, alpha, alpha), 0.0};
  }
}

// The limits at -inf, -0, +0 and +inf. Where a formula written down literally gives inf * 0, its
// limit counts. Signs of zero are not part of a limit at -inf, but -0 and +0 go through the
// activations that are odd, or the identity, near 0.
struct ActivationLimits {
  ActivationKind kind;
  float at_minus_inf, at_minus_zero, at_plus_zero, at_plus_inf;
};

inline ActivationLimits LimitsOf(ActivationKind kind, float alpha, float slope) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  switch (kind) {
    case ActivationKind::kIdentity:
      return {kind, -kInf, -0.0f, 0.0f, kInf};
    case ActivationKind::kRelu6:
      return {kind, 0.0f, -0.0f, 0.0f, 6.0f};
    case ActivationKind::kLeakyRelu:
      return {kind, alpha * -kInf, -0.0f, 0.0f, kInf};
    case ActivationKind::kPRelu:
      return {kind, slope * -kInf, -0.0f, 0.0f, kInf};
    case ActivationKind::kElu:
      return {kind, -alpha, -0.0f, 0.0f, kInf};
    case ActivationKind::kSigmoid:
    case ActivationKind::kHardSigmoid:
      return {kind, 0.0f, 0.5f, 0.5f, 1.0f};
    case ActivationKind::kTanh:
      return {kind, -1.0f, -0.0f, 0.0f, 1.0f};
    case ActivationKind::kExp:
      return {kind, 0.0f, 1.0f, 1.0f, kInf};
    case ActivationKind::kRelu:
    case ActivationKind::kSilu:
    case ActivationKind::kHardSwish:
    case ActivationKind::kGeluErf:
    case ActivationKind::kGeluTanh:
    case ActivationKind::kMish:
      break;
  }
  return {kind, 0.0f, -0.0f, 0.0f, kInf};
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_ELEMENTWISE_REF_H_

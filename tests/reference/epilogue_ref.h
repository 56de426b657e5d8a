// Oracles for the steps of an epilogue, one element at a time. Steps of plain arithmetic have one
// right answer in float; the activations are computed in double from the formulas of
// include/lanefuse/activation.h, with a bound. Chains need no oracle of their own: fused equals
// unfused, bit for bit, and each unfused step has one here.
#ifndef LANEFUSE_TESTS_REFERENCE_EPILOGUE_REF_H_
#define LANEFUSE_TESTS_REFERENCE_EPILOGUE_REF_H_

#include <algorithm>
#include <cmath>

#include "lanefuse/activation.h"
#include "tests/reference/bound.h"

namespace lanefuse::test {

// The steps that are one operation, rounded once.
inline float BiasModel(float x, float bias) { return x + bias; }
inline float AffineModel(float x, float scale, float shift) { return std::fma(x, scale, shift); }
inline float ScaleModel(float x, float factor) { return x * factor; }
inline float AddModel(float x, float operand) { return x + operand; }
inline float MulModel(float x, float operand) { return x * operand; }
inline float ClampModel(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }

// True for the activations whose result in float is exact: one comparison, one multiplication.
inline bool IsExactActivation(ActivationKind kind) {
  return kind == ActivationKind::kIdentity || kind == ActivationKind::kRelu ||
         kind == ActivationKind::kRelu6 || kind == ActivationKind::kLeakyRelu ||
         kind == ActivationKind::kPRelu;
}

inline float ExactActivation(ActivationKind kind, float x, float alpha, float slope) {
  switch (kind) {
    case ActivationKind::kRelu:
      return x < 0.0f ? 0.0f : x;
    case ActivationKind::kRelu6:
      return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
    case ActivationKind::kLeakyRelu:
      return x < 0.0f ? alpha * x : x;
    case ActivationKind::kPRelu:
      return x < 0.0f ? slope * x : x;
    default:
      return x;
  }
}

// act(x) in double. `alpha` and `slope` where the activation has them.
inline double ActivationValue(ActivationKind kind, double x, double alpha, double slope) {
  const auto sigmoid = [](double v) { return 1.0 / (1.0 + std::exp(-v)); };
  const double hard = std::clamp(x / 6.0 + 0.5, 0.0, 1.0);
  switch (kind) {
    case ActivationKind::kIdentity:
      return x;
    case ActivationKind::kRelu:
      return x < 0.0 ? 0.0 : x;
    case ActivationKind::kRelu6:
      return x < 0.0 ? 0.0 : x > 6.0 ? 6.0 : x;
    case ActivationKind::kLeakyRelu:
      return x < 0.0 ? alpha * x : x;
    case ActivationKind::kPRelu:
      return x < 0.0 ? slope * x : x;
    case ActivationKind::kElu:
      return x < 0.0 ? alpha * std::expm1(x) : x;
    case ActivationKind::kSigmoid:
      return sigmoid(x);
    case ActivationKind::kTanh:
      return std::tanh(x);
    case ActivationKind::kSilu:
      return x * sigmoid(x);
    case ActivationKind::kHardSigmoid:
      return std::isnan(x) ? x : hard;
    case ActivationKind::kHardSwish:
      return std::isnan(x) ? x : x * hard;
    case ActivationKind::kGeluErf:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));  // 1 + erf(t) = erfc(-t)
    case ActivationKind::kGeluTanh:
      return x * sigmoid(2.0 * std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x));
    case ActivationKind::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case ActivationKind::kExp:
      return std::exp(x);
  }
  return std::nan("");
}

// The value with a bound for finite x: Exp, Sigmoid and Tanh are stated as 2 ULP. The others are
// short compositions of them; 8 units of roundoff of the largest term in the formula hold any that
// is right, and tests/exhaustive holds each to its own statement.
inline Expected ActivationExpected(ActivationKind kind, float x, float alpha, float slope) {
  const double value = ActivationValue(kind, x, alpha, slope);
  const double ulps = 4.0 * kUnitRoundoff * std::fabs(value) + 0x1p-149;  // 2 ULP <= 4 roundoffs
  switch (kind) {
    case ActivationKind::kExp:
    case ActivationKind::kSigmoid:
    case ActivationKind::kTanh:
      return {value, ulps};
    default:
      break;
  }
  double largest = std::fabs(value);
  if (kind == ActivationKind::kHardSigmoid) largest = std::max(largest, 1.0);
  if (kind == ActivationKind::kElu) largest = std::max(largest, std::fabs(double{alpha}));
  if (kind == ActivationKind::kGeluErf || kind == ActivationKind::kGeluTanh ||
      kind == ActivationKind::kMish || kind == ActivationKind::kSilu ||
      kind == ActivationKind::kHardSwish) {
    largest = std::max(largest, std::fabs(double{x}));
  }
  return {value, 8.0 * kUnitRoundoff * largest + 0x1p-149};
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_EPILOGUE_REF_H_

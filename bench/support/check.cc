#include "bench/support/check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numbers>

namespace lanefuse::bench {
namespace {

// What polynomials and tables may add, relative to max(1, |x|). Lanefuse states a few ULP; oneDNN
// states nothing and its own tests accept 1e-5 and more.
constexpr double kElementaryError = 2e-6;

double Activate(ActivationKind kind, double alpha, double slope, double x) {
  const double gate = std::clamp(x / 6.0 + 0.5, 0.0, 1.0);
  switch (kind) {
    case ActivationKind::kIdentity:
      return x;
    case ActivationKind::kRelu:
      return std::max(x, 0.0);
    case ActivationKind::kRelu6:
      return std::clamp(x, 0.0, 6.0);
    case ActivationKind::kLeakyRelu:
      return x < 0 ? alpha * x : x;
    case ActivationKind::kPRelu:
      return x < 0 ? slope * x : x;
    case ActivationKind::kElu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case ActivationKind::kSigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case ActivationKind::kTanh:
      return std::tanh(x);
    case ActivationKind::kSilu:
      return x / (1.0 + std::exp(-x));
    case ActivationKind::kHardSigmoid:
      return gate;
    case ActivationKind::kHardSwish:
      return x * gate;
    case ActivationKind::kGeluErf:
      return x / 2.0 * (1.0 + std::erf(x / std::numbers::sqrt2));
    case ActivationKind::kGeluTanh:
      return x / 2.0 *
             (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case ActivationKind::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case ActivationKind::kExp:
      return std::exp(x);
  }
  return x;
}

// Exact but for the rounding of the sum or product that they contain.
bool IsPiecewiseLinear(ActivationKind kind) {
  return kind == ActivationKind::kIdentity || kind == ActivationKind::kRelu ||
         kind == ActivationKind::kRelu6 || kind == ActivationKind::kLeakyRelu ||
         kind == ActivationKind::kPRelu;
}

double OperandAt(const Step& step, const Place& p) {
  return step.data[p.image * step.image_stride + p.y * step.row_stride + p.x * step.pixel_stride +
                   p.channel];
}

Estimate Multiplied(const Estimate& e, double factor) {
  const double value = e.value * factor;
  return {value, e.bound * std::abs(factor) + kEpsilon * std::abs(value)};
}

Estimate Added(const Estimate& e, double term) {
  const double value = e.value + term;
  return {value, e.bound + kEpsilon * std::abs(value)};
}

Estimate Activated(const Step& step, const Place& place, const Estimate& e) {
  const double slope =
      step.act == ActivationKind::kPRelu ? static_cast<double>(step.data[place.channel]) : 0.0;
  const double value = Activate(step.act, static_cast<double>(step.lo), slope, e.value);
  // No activation here is steeper than 1.5, given |alpha| and |slope| <= 1; Exp is as steep as
  // high.
  const double steepness = step.act == ActivationKind::kExp ? value : 1.5;
  const double own = IsPiecewiseLinear(step.act)
                         ? kEpsilon * std::abs(value)
                         : kElementaryError * std::max({1.0, std::abs(e.value), std::abs(value)});
  return {value, e.bound * steepness + own};
}

std::string Difference(const char* what, size_t i, double a, double b, double bound) {
  char text[160];
  std::snprintf(text, sizeof(text), "%s at output %zu: %.9g and %.9g (bound %.3g)", what, i, a, b,
                bound);
  return text;
}

}  // namespace

double SumBound(size_t n, double squares) {
  return 16.0 * kEpsilon * std::sqrt(static_cast<double>(n) * squares);
}

Estimate Through(const Epilogue& epilogue, const Place& place, Estimate e) {
  for (const Step& step : epilogue.steps()) {
    switch (step.kind) {
      case StepKind::kBias:
        e = Added(e, step.data[place.channel]);
        break;
      case StepKind::kAffine:
        e = Added(Multiplied(e, step.data[place.channel]), step.shift[place.channel]);
        break;
      case StepKind::kScale:
        e = Multiplied(e, step.lo);
        break;
      case StepKind::kScaleChannels:
        e = Multiplied(e, step.data[place.channel]);
        break;
      case StepKind::kAdd:
        e = Added(e, OperandAt(step, place));
        break;
      case StepKind::kMul:
        e = Multiplied(e, OperandAt(step, place));
        break;
      case StepKind::kClamp:
        e.value = std::clamp(e.value, static_cast<double>(step.lo), static_cast<double>(step.hi));
        break;
      case StepKind::kAct:
        e = Activated(step, place, e);
        break;
    }
  }
  return e;
}

std::string CompareBits(std::span<const float> a, std::span<const float> b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return Difference("bits differ", i, static_cast<double>(a[i]), static_cast<double>(b[i]),
                        0.0);
    }
  }
  return {};
}

std::string CompareWithin(std::span<const float> a, std::span<const float> b, double bound) {
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    if (!(std::abs(x - y) <= bound)) return Difference("too far apart", i, x, y, bound);
  }
  return {};
}

}  // namespace lanefuse::bench

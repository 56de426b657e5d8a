#include "tests/common/math_check.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/common/math_check.cc"
#include "hwy/foreach_target.h"
#include "src/common/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

template <class Function>
HWY_INLINE void Map(const Function& function, const float* x, float* y, size_t count) {
  const DF d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreN(function(d, hn::LoadN(d, x + i, count - i)), d, y + i, count - i);
  }
}

// The cases are in the order of kFunctions below.
int64_t RunMath(size_t function, const float* x, float* y, size_t count) {
  const auto map = [=](const auto& f) HWY_ATTR { Map(f, x, y, count); };
  switch (function) {
    case 0: map([](DF d, VF v) HWY_ATTR { return Exp(d, v); }); break;
    case 1: map([](DF d, VF v) HWY_ATTR { return ExpNonPositive(d, v); }); break;
    case 2: map([](DF d, VF v) HWY_ATTR { return Log(d, v); }); break;
    case 3: map([](DF d, VF v) HWY_ATTR { return Tanh(d, v); }); break;
    case 4: map([](DF d, VF v) HWY_ATTR { return Erf(d, v); }); break;
    case 5: map([](DF d, VF v) HWY_ATTR { return Sigmoid(d, v); }); break;
    case 6: map([](DF d, VF v) HWY_ATTR { return Silu(d, v); }); break;
    case 7: map([](DF d, VF v) HWY_ATTR { return Mish(d, v); }); break;
    case 8: map([](DF d, VF v) HWY_ATTR { return NormalCdf(d, v); }); break;
    case 9: map([](DF d, VF v) HWY_ATTR { return Gelu(d, v); }); break;
    case 10: map([](DF d, VF v) HWY_ATTR { return GeluTanh(d, v); }); break;
    default: return 0;
  }
  return HWY_TARGET;
}

// Bit 0: kSameBits, bit 1: kEmulateFma.
int TargetFacts() { return (kSameBits ? 1 : 0) | (kEmulateFma ? 2 : 0); }

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {
HWY_EXPORT(RunMath);
HWY_EXPORT(TargetFacts);

namespace test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double ExpReference(double x) { return std::exp(x); }
double ExpNonPositiveReference(double x) { return x < -0x1.5d589ep6 ? 0.0 : std::exp(x); }
double LogReference(double x) { return std::log(x); }
double TanhReference(double x) { return std::tanh(x); }
double ErfReference(double x) { return std::erf(x); }
double SigmoidReference(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double SiluReference(double x) { return x == -kInfinity ? -0.0 : x / (1.0 + std::exp(-x)); }
double MishReference(double x) {
  if (x > 40.0) return x;
  if (x == -kInfinity) return -0.0;
  const double e = std::exp(x);
  return x * (e * (e + 2.0) / (e * (e + 2.0) + 2.0));
}
double NormalCdfReference(double x) { return 0.5 * std::erfc(-x * M_SQRT1_2); }
double GeluReference(double x) { return x == -kInfinity ? -0.0 : x * NormalCdfReference(x); }
double GeluTanhReference(double x) {
  if (x == -kInfinity) return -0.0;
  return x / (1.0 + std::exp(-2.0 * M_SQRT2 * M_2_SQRTPI / 2.0 * (x + 0.044715 * x * x * x)));
}

constexpr MathFunction kFunctions[] = {
    {"exp", ExpReference, -kInfinity, 0, {1.5}, {2.0}},
    {"exp_non_positive", ExpNonPositiveReference, -kInfinity, 0x80000000u, {2.0}, {4.0}},
    {"log", LogReference, -kInfinity, 0, {1.5}, {2.0}},
    {"tanh", TanhReference, -kInfinity, 0, {2.0}, {4.0}},
    {"erf", ErfReference, -kInfinity, 0, {2.0, 0, 2e-7}, {4.0, 0, 3e-7}},
    {"sigmoid", SigmoidReference, -kInfinity, 0, {2.0}, {4.0}},
    {"silu", SiluReference, -kInfinity, 0, {2.5}, {4.0}},
    {"mish", MishReference, -kInfinity, 0, {4.0}, {8.0}},
    {"normal_cdf", NormalCdfReference, -13.0, 0, {4.0, 0x1p-126}, {64.0, 0x1p-126}},
    {"gelu", GeluReference, -13.0, 0, {4.0, 0x1p-126}, {64.0, 0x1p-126}},
    {"gelu_tanh", GeluTanhReference, -1.0, 0, {8.0, 0x1p-24}, {16.0, 0x1p-23}},
};

struct Larger {
  double& value;
  float& at;
  void operator()(double candidate, float x) {
    if (candidate > value) {
      value = candidate;
      at = x;
    }
  }
};

uint64_t Mix(uint64_t h) {
  h = (h ^ (h >> 32)) * 0x9E3779B97F4A7C15u;
  return (h ^ (h >> 29)) * 0xBF58476D1CE4E5B9u;
}

bool SameBits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

void AddErrors(const MathFunction& function, std::span<const float> x, std::span<const float> y,
               std::span<const double> exact, uint64_t block, MathErrors& errors) {
  uint64_t hash = Mix(block);
  for (size_t i = 0; i < x.size(); ++i) {
    const bool is_nan = std::isnan(y[i]);
    hash = (hash ^ (is_nan ? 0x7FC00000u : std::bit_cast<uint32_t>(y[i]))) * 0x9E3779B97F4A7C15u;
    if (y[i] == exact[i] || (is_nan && std::isnan(exact[i]))) continue;
    const double ulp = UlpError(y[i], exact[i]);
    const double error = std::isinf(y[i]) ? 0.0 : std::abs(y[i] - exact[i]);
    if (x[i] < function.ulp_from) {
      Larger{errors.max_per_x, errors.max_per_x_at}(is_nan ? kInfinity : error / -x[i], x[i]);
    } else {
      Larger{errors.max_ulp, errors.max_ulp_at}(ulp, x[i]);
    }
    Larger{errors.max_absolute, errors.max_absolute_at}(error, x[i]);
  }
  errors.count += x.size();
  errors.hash += Mix(hash);
}

}  // namespace

std::span<const MathFunction> MathFunctions() { return kFunctions; }

std::vector<MathKernel> MathKernels() {
  std::vector<MathKernel> kernels;
  // The baseline always runs; the others if both the compiler and the CPU have them. The fastest
  // target has the lowest bit.
  const int64_t targets = (hwy::SupportedTargets() & (HWY_TARGETS)) | HWY_STATIC_TARGET;
  for (int64_t rest = targets; rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    hwy::ChosenTarget chosen;
    chosen.Update(target);
    const size_t index = chosen.GetIndex();
    const auto run = HWY_DISPATCH_TABLE(RunMath)[index];
    float x = 0.0f;
    float y = 0.0f;
    if (run(0, &x, &y, 1) != target) continue;
    const int facts = HWY_DISPATCH_TABLE(TargetFacts)[index]();
    kernels.push_back({target, hwy::TargetName(target), (facts & 1) != 0, (facts & 2) != 0, run});
  }
  return kernels;
}

void MathErrors::Merge(const MathErrors& other) {
  count += other.count;
  Larger{max_ulp, max_ulp_at}(other.max_ulp, other.max_ulp_at);
  Larger{max_absolute, max_absolute_at}(other.max_absolute, other.max_absolute_at);
  Larger{max_per_x, max_per_x_at}(other.max_per_x, other.max_per_x_at);
  hash += other.hash;
  if (differing == 0) differing_at = other.differing_at;
  differing += other.differing;
}

double UlpError(float got, double exact) {
  if (std::isnan(got) || std::isnan(exact)) {
    return std::isnan(got) && std::isnan(exact) ? 0.0 : kInfinity;
  }
  // Infinity stands for 2^128 and all that is above, unless the result is finite and `exact` is not.
  double value = got;
  if (std::isinf(got)) value = std::copysign(0x1p128, got);
  double limit = std::isinf(got) ? 0x1p128 : 0x1p200;
  const double target = std::clamp(exact, -limit, limit);
  const int exponent = static_cast<int>((std::bit_cast<uint64_t>(target) >> 52) & 0x7FF) - 1023;
  const int ulp_exponent = std::max(exponent, -126) - 23;
  const double inverse_ulp = std::bit_cast<double>(uint64_t(1023 - ulp_exponent) << 52);
  return std::abs(value - target) * inverse_ulp;
}

bool WithinBounds(const MathFunction& function, const MathKernel& kernel,
                  const MathErrors& errors) {
  const MathBound& bound = kernel.same_bits ? function.bound : function.loose_bound;
  return errors.count != 0 && errors.max_ulp <= bound.ulp && errors.max_per_x <= bound.per_x &&
         (bound.absolute == 0.0 || errors.max_absolute <= bound.absolute) &&
         (!kernel.same_bits || errors.differing == 0);
}

void CheckMathBlock(size_t function, std::span<const float> x, std::span<const MathKernel> kernels,
                    size_t baseline_stride, uint64_t block, std::span<MathErrors> errors) {
  const MathFunction& f = kFunctions[function];
  std::vector<double> exact(x.size());
  for (size_t i = 0; i < x.size(); ++i) exact[i] = f.reference(x[i]);

  std::vector<float> first;  // Of the first target with same_bits.
  MathErrors first_errors;
  for (size_t k = 0; k < kernels.size(); ++k) {
    const size_t stride = kernels[k].emulated ? baseline_stride : 1;
    std::vector<float> inputs;
    std::vector<double> references;
    for (size_t i = 0; i < x.size(); i += stride) {
      inputs.push_back(x[i]);
      references.push_back(exact[i]);
    }
    std::vector<float> y(inputs.size());
    kernels[k].run(function, inputs.data(), y.data(), y.size());

    MathErrors seen;
    if (kernels[k].same_bits && !first.empty()) {
      for (size_t i = 0; i < y.size(); ++i) {
        if (SameBits(y[i], first[i * stride])) continue;
        if (seen.differing++ == 0) seen.differing_at = inputs[i];
      }
    }
    // Equal bits have equal errors: no need to look at each again.
    if (kernels[k].same_bits && !first.empty() && stride == 1 && seen.differing == 0) {
      seen = first_errors;
    } else {
      AddErrors(f, inputs, y, references, block, seen);
    }
    errors[k].Merge(seen);
    if (kernels[k].same_bits && first.empty()) {
      first = std::move(y);
      first_errors = seen;
    }
  }
}

}  // namespace test
}  // namespace lanefuse
#endif  // HWY_ONCE

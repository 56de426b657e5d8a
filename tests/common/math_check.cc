#include "tests/common/math_check.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <utility>

#include "tests/support/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/common/math_check.cc"
#include "hwy/foreach_target.h"
#include "src/common/gated_math-inl.h"
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
    case 0:
      map([](DF d, VF v) HWY_ATTR { return Exp(d, v); });
      break;
    case 1:
      map([](DF d, VF v) HWY_ATTR { return ExpNonPositive(d, v); });
      break;
    case 2:
      map([](DF d, VF v) HWY_ATTR { return Log(d, v); });
      break;
    case 3:
      map([](DF d, VF v) HWY_ATTR { return Tanh(d, v); });
      break;
    case 4:
      map([](DF d, VF v) HWY_ATTR { return Erf(d, v); });
      break;
    case 5:
      map([](DF d, VF v) HWY_ATTR { return Sigmoid(d, v); });
      break;
    case 6:
      map([](DF d, VF v) HWY_ATTR { return Silu(d, v); });
      break;
    case 7:
      map([](DF d, VF v) HWY_ATTR { return Mish(d, v); });
      break;
    case 8:
      map([](DF d, VF v) HWY_ATTR { return NormalCdf(d, v); });
      break;
    case 9:
      map([](DF d, VF v) HWY_ATTR { return Gelu(d, v); });
      break;
    case 10:
      map([](DF d, VF v) HWY_ATTR { return GeluTanh(d, v); });
      break;
    case 11:
      map([](DF d, VF v) HWY_ATTR { return Expm1NonPositive(d, v); });
      break;
    default:
      return 0;
  }
  return HWY_TARGET;
}

// Bit 0: kSameBits, bit 1: kEmulateFma, bit 2: kIeee.
int TargetFacts() { return (kSameBits ? 1 : 0) | (kEmulateFma ? 2 : 0) | (kIeee ? 4 : 0); }

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
double Expm1Reference(double x) { return std::expm1(x); }
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

// The order is that of the cases in RunMath.
constexpr MathFunction kFunctions[] = {
    {"exp", ExpReference, -kInfinity, 0, {1.0}, {2.0}},
    {"exp_non_positive", ExpNonPositiveReference, -kInfinity, 0x80000000u, {2.0}, {3.0}},
    {"log", LogReference, -kInfinity, 0, {1.0}, {1.0}},
    {"tanh", TanhReference, -kInfinity, 0, {2.0}, {3.0}, true},
    {"erf", ErfReference, -kInfinity, 0, {2.0, 0.0, 0x1p-23}, {3.0, 0.0, 0x1p-22}},
    {"sigmoid", SigmoidReference, -kInfinity, 0, {2.0}, {3.0}, true},
    {"silu", SiluReference, -kInfinity, 0, {2.0}, {3.0}, true},
    {"mish", MishReference, -kInfinity, 0, {4.0}, {5.0}, true},
    {"normal_cdf", NormalCdfReference, -13.0, 0, {6.0, 0x1p-128}, {96.0, 0x1p-128}, true},
    {"gelu", GeluReference, -13.0, 0, {6.0, 0x1p-128}, {96.0, 0x1p-128}, true},
    {"gelu_tanh", GeluTanhReference, -1.0, 0, {4.0, 0x1p-24}, {6.0, 0x1p-23}, true},
    {"expm1_non_positive", Expm1Reference, -kInfinity, 0x80000000u, {2.0}, {3.0}},
};

void KeepLarger(double candidate, float x, double& value, float& at) {
  if (!(candidate > value)) return;
  value = candidate;
  at = x;
}

uint64_t Mix(uint64_t h) {
  h = (h ^ (h >> 32)) * 0x9E3779B97F4A7C15u;
  return (h ^ (h >> 29)) * 0xBF58476D1CE4E5B9u;
}

bool SameBits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

// For finite values.
inline double FiniteUlpError(float got, double exact) {
  const int exponent = static_cast<int>((std::bit_cast<uint64_t>(exact) >> 52) & 0x7FF) - 1023;
  const int ulp_exponent = std::max(exponent, -126) - 23;
  return std::abs(got - exact) * std::bit_cast<double>(uint64_t(1023 - ulp_exponent) << 52);
}

uint64_t BlockHash(std::span<const float> y, uint64_t block) {
  uint64_t hash = Mix(block);
  for (const float value : y) {
    const uint32_t bits = std::isnan(value) ? 0x7FC00000u : std::bit_cast<uint32_t>(value);
    hash = (hash ^ bits) * 0x9E3779B97F4A7C15u;
  }
  return Mix(hash);
}

// True where a target may give y because it takes a subnormal number as zero: x, the result, or
// what x is multiplied by.
bool CutOff(const MathFunction& function, float x, float y, double exact) {
  if (std::abs(x) < FLT_MIN && y == function.reference(std::copysign(0.0, x))) return true;
  const double most = FLT_MIN * std::max(1.0, std::abs(double{x}));
  return std::abs(exact) < most && std::abs(y - exact) <= most;
}

void UpdateMaxima(const MathFunction& function, bool ieee, std::span<const float> x,
                  std::span<const float> y, std::span<const double> exact, MathErrors& errors) {
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(y[i] - exact[i]);
    if (error == 0.0 || (!ieee && CutOff(function, x[i], y[i], exact[i]))) continue;
    const double ulp = error < 0x1p126 && std::abs(exact[i]) < 0x1p126
                           ? FiniteUlpError(y[i], exact[i])
                           : UlpError(y[i], exact[i]);
    const bool below = x[i] < function.ulp_from;
    const double per_x = std::isfinite(ulp) ? error / -x[i] : ulp;
    if (below) KeepLarger(per_x, x[i], errors.max_per_x, errors.max_per_x_at);
    if (!below) KeepLarger(ulp, x[i], errors.max_ulp, errors.max_ulp_at);
    // An infinite result is right or wrong in ULPs; its distance says nothing.
    if (!std::isinf(y[i])) KeepLarger(error, x[i], errors.max_absolute, errors.max_absolute_at);
  }
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
    kernels.push_back({target, hwy::TargetName(target), (facts & 1) != 0, (facts & 2) != 0,
                       (facts & 4) != 0, run});
  }
  return kernels;
}

void MathErrors::Merge(const MathErrors& other) {
  count += other.count;
  KeepLarger(other.max_ulp, other.max_ulp_at, max_ulp, max_ulp_at);
  KeepLarger(other.max_absolute, other.max_absolute_at, max_absolute, max_absolute_at);
  KeepLarger(other.max_per_x, other.max_per_x_at, max_per_x, max_per_x_at);
  hash += other.hash;
  if (differing == 0) differing_at = other.differing_at;
  differing += other.differing;
}

double UlpError(float got, double exact) {
  if (std::isnan(got) || std::isnan(exact)) {
    return std::isnan(got) && std::isnan(exact) ? 0.0 : kInfinity;
  }
  if (!std::isinf(got)) return FiniteUlpError(got, std::clamp(exact, -0x1p200, 0x1p200));
  // Infinity stands for 2^128 and all that is above.
  const double nearest = std::clamp(exact, -0x1p128, 0x1p128);
  return std::abs(std::copysign(0x1p128, got) - nearest) / 0x1p104;
}

bool WithinBounds(const MathFunction& function, const MathKernel& kernel,
                  const MathErrors& errors) {
  MathBound bound = kernel.same_bits || !kernel.ieee ? function.bound : function.loose_bound;
  if (!kernel.ieee && function.divides) {
    // 2^-24 of a value is at most one of its ULPs, and of the values here, which are below |x| or
    // 1, at most as much of |x| or 1.
    const double roundoffs = kDivisionRoundoffs - 1.0;
    bound.ulp += roundoffs;
    if (bound.per_x != 0.0) bound.per_x += roundoffs * 0x1p-24;
    if (bound.absolute != 0.0) bound.absolute += roundoffs * 0x1p-24;
  }
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
  size_t first_kernel = 0;
  uint64_t first_hash = 0;
  for (size_t k = 0; k < kernels.size(); ++k) {
    const size_t stride = kernels[k].emulated ? baseline_stride : 1;
    std::vector<float> some_x;
    std::vector<double> some_exact;
    if (stride != 1) {
      for (size_t i = 0; i < x.size(); i += stride) {
        some_x.push_back(x[i]);
        some_exact.push_back(exact[i]);
      }
    }
    const std::span<const float> inputs = stride == 1 ? x : some_x;
    std::vector<float> y(inputs.size());
    kernels[k].run(function, inputs.data(), y.data(), y.size());

    uint64_t differing = 0;
    float differing_at = 0.0f;
    const bool compare = kernels[k].same_bits && !first.empty();
    if (compare) {
      for (size_t i = 0; i < y.size(); ++i) {
        if (SameBits(y[i], first[i * stride])) continue;
        if (differing++ == 0) differing_at = inputs[i];
      }
    }
    // Equal bits have equal errors and an equal hash: no need to look at each again.
    const bool equal = compare && stride == 1 && differing == 0;
    MathErrors seen = errors[equal ? first_kernel : k];
    seen.count = y.size();
    seen.hash = equal ? first_hash : BlockHash(y, block);
    seen.differing = differing;
    seen.differing_at = differing_at;
    if (!equal) UpdateMaxima(f, kernels[k].ieee, inputs, y, stride == 1 ? exact : some_exact, seen);
    errors[k].Merge(seen);
    if (kernels[k].same_bits && first.empty()) {
      first = std::move(y);
      first_kernel = k;
      first_hash = seen.hash;
    }
  }
}

}  // namespace test
}  // namespace lanefuse
#endif  // HWY_ONCE

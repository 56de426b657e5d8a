// The smooth activations that multiply their argument by a sigmoid, a tanh or a normal
// distribution: SiLU, Mish, GELU. Cards and rules as in src/common/math-inl.h. Per-target header:
// include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_GATED_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_GATED_MATH_INL_H_
#undef LANEFUSE_SRC_COMMON_GATED_MATH_INL_H_
#else
#define LANEFUSE_SRC_COMMON_GATED_MATH_INL_H_
#endif

#include "src/common/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Subnormal results of a multiplication cost Intel's CPUs a hundred cycles and more, and those that
// read them as many again. GELU and SiLU have such results for a narrow range of arguments, and one
// lane in it is enough: integers make them. AVX512, arguments in [-15, 15]: GELU takes 0.37 of the
// time, its form with tanh 0.31; in [-100, 100], SiLU 0.24; where there is none, 1.01 to 1.04. AVX2
// would take 1.03 to 1.08 there, and in [-100, 100] up to 1.5.
constexpr bool kAvoidSubnormals = !kSmallCode && kVectorRegisters == 32;

// Numbers below this are subnormal times 2^-64. `sum` is v + kScaledSubnormal for such a v >= 0:
// its last bits are those of v * 2^-64, rounded once.
constexpr float kScaledSubnormal = 0x1p-62f;
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SubnormalOf(D d, V sum) {
  const hn::RebindToUnsigned<D> du;
  const auto end = hn::BitCast(du, hn::Set(d, kScaledSubnormal));
  return hn::BitCast(d, hn::Sub(hn::BitCast(du, sum), end));
}

// x * sigmoid(z), where z has the sign of x and |z| >= |x|. Dividing x avoids the rounding of the
// sigmoid; the scale comes off last, so that x / divisor never overflows nor underflows too early.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V MulSigmoid(D d, V x, V z) {
  const V quotient = hn::Div(x, ScaledLogisticDivisor(d, Clamped(d, z, -110.0f, 33.0f)));
  // 110 * exp(-110) < 2^-150: the result is -0.
  const V lower = hn::IfThenElse(hn::Lt(z, hn::Set(d, -110.0f)), hn::Set(d, -0.0f), quotient);
  const V scale = hn::Set(d, kLogisticScale);
  V y;
  // By z, which is there long before the quotient is.
  if (kAvoidSubnormals && HWY_UNLIKELY(!hn::AllFalse(d, hn::Lt(z, hn::Set(d, -84.0f))))) {
    const V end = hn::Set(d, kScaledSubnormal);
    const V magnitude = hn::Abs(lower);
    const auto small = hn::Lt(magnitude, end);
    const V subnormal = hn::CopySign(SubnormalOf(d, hn::Add(magnitude, end)), lower);
    y = hn::IfThenElse(small, subnormal, hn::Mul(hn::IfThenElse(small, end, lower), scale));
  } else {
    y = hn::Mul(lower, scale);
  }
  return hn::IfThenElse(hn::Gt(z, hn::Set(d, 32.0f)), x, y);
}

// x / (1 + exp(-x)).
// Error     1.94 ULP. silu(+-0) = +-0, silu(-inf) = -0, silu(inf) = inf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Silu(D d, V x) {
  return MulSigmoid(d, x, x);
}

// x * tanh(log(1 + exp(x))).
// Method    With e = exp(x) this is x * w / (w + 2), w = e * (e + 2), where nothing cancels. w
//           carries a scale of 2^64 so that it does not underflow before x * w does.
// Error     3.88 ULP. mish(+-0) = +-0, mish(-inf) = -0, mish(inf) = inf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Mish(D d, V x) {
  const V magic = hn::Set(d, kRoundMagic + 127 + 64);
  const V unscale = hn::Set(d, 0x1p-64f);
  const V z = Clamped(d, x, -110.0f, 11.0f);
  const V sum = Fma(z, hn::Set(d, kLog2E), magic);
  const V y = ExpReduced(d, SubLn2Multiple(d, z, hn::Sub(sum, magic)));
  const V e = hn::Mul(y, PowerOfTwo(d, sum));  // 2^64 * exp(x)
  const V w = Fma(e, hn::Mul(e, unscale), hn::Add(e, e));
  const V quotient = hn::Div(hn::Mul(z, w), Fma(w, unscale, hn::Set(d, 2.0f)));
  // From 9.02 on, w / (w + 2) rounds to 1. Below -110 |x| * exp(x) < 2^-150.
  const V lower = hn::IfThenElse(hn::Lt(x, hn::Set(d, -110.0f)), hn::Set(d, -0.0f), quotient);
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, 10.0f)), x, hn::Mul(lower, unscale));
}

// The normal distribution's tail below a <= 0, with a small relative error all the way down.
// Method    exp(-a^2/2) * P(-a) / Q(-a). -a^2/2 - n log(2) is formed in one Fma, so that the
//           rounding of a^2 does no harm; all coefficients are positive in -a. P / Q fits
//           g(x) = erfc(x/sqrt(2)) * exp(x^2/2) / 2 with a relative error of 4.3e-9 on [0, 5.5] and
//           3.3e-8 up to 13.3. fpminimax has no quotients: this is least squares on P - g * Q in 40
//           digits, reweighted until the largest relative error is least; then each coefficient in
//           turn was rounded to float and the others fitted again.
//           P(0) / Q(0) = 1/2 exactly, and Q(0) = 1.6 instead of 1: just above a power of two a
//           rounding weighs most, and near 0 is where activations live.
// Domain    [-13.27, 0] or NaN. Below -13.2425, where n = -127, the result is exactly 0.
// Result    In two factors, of which s is a power of two, or 0.
constexpr float kNormalTailEnd = -13.27f;
template <class D, class V = hn::Vec<D>>
HWY_INLINE V NormalTailParts(D d, V a, V& s) {
  const V magic = hn::Set(d, kRoundMagic + 127);
  const V a2 = hn::Mul(a, a);
  const V sum = Fma(a2, hn::Set(d, -0.5f * kLog2E), magic);
  const V n = hn::Sub(sum, magic);
  const V high = Fma(a, hn::Mul(a, hn::Set(d, -0.5f)), hn::Mul(n, hn::Set(d, -kLn2High)));
  const V t = Fma(n, hn::Set(d, -kLn2Low), high);
  const V m = hn::Mul(t, ExpSlope(d, t));
  // c0 + a * (odd + a * even): fewer roundings in a row than Horner's rule, as many operations.
  const V p_odd = Polynomial(d, a2, -0x1.5e8caep-1f, -0x1.f2d7aap-5f);
  const V p_even = Polynomial(d, a2, 0x1.1faa72p-2f, 0x1.87afa4p-8f);
  const V p = Fma(Fma(p_even, a, p_odd), a, hn::Set(d, 0x1.99999ap-1f));
  const V q_odd = Polynomial(d, a2, -0x1.52ae7ap1f, -0x1.7007fp-1f, -0x1.eae4fp-7f);
  const V q_even = Polynomial(d, a2, 0x1.df7d5cp0f, 0x1.38a30ep-3f);
  const V q = Fma(Fma(q_even, a, q_odd), a, hn::Set(d, 0x1.99999ap0f));
  s = PowerOfTwo(d, sum);
  return hn::Div(Fma(m, p, p), q);
}

// (1 + erf(x / sqrt(2))) / 2.
// Error     4.9 ULP for x >= -5, 5.4 for x >= -13; absolute 1.1e-7. From -13.2425 down the result
//           is 0 instead of a subnormal. normal_cdf(inf) = 1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V NormalCdf(D d, V x) {
  const V negative = hn::Or(x, hn::SignBit(d));  // -|x|
  V s;
  const V y = NormalTailParts(d, MaxKeepNaN(negative, hn::Set(d, kNormalTailEnd)), s);
  const V tail = hn::Mul(y, s);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail));
}

// Gelu(x) where `a`, -|x|, is no more than -12.9, from the parts of its tail, with the subnormal
// numbers that the two multiplications would make: x, or a * tail.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GeluEnd(D d, V x, V a, V y, V s) {
  const V end = hn::Set(d, kScaledSubnormal);
  // 2^64 * the tail, rounded as the subnormal number that it may be, and a * that.
  V tail = hn::Mul(y, hn::Mul(s, hn::Set(d, 0x1p64f)));
  tail = hn::IfThenElse(hn::Lt(tail, end), hn::Sub(hn::Add(tail, end), end), tail);
  const V product = hn::Mul(a, tail);
  const auto small = hn::Gt(product, hn::Neg(end));
  const V subnormal = hn::Or(SubnormalOf(d, Fma(hn::Neg(a), tail, end)), hn::SignBit(d));
  const V normal = hn::Mul(hn::IfThenElse(small, end, product), hn::Set(d, 0x1p-64f));
  return hn::IfNegativeThenElse(x, hn::IfThenElse(small, subnormal, normal), x);
}

// x * (1 + erf(x / sqrt(2))) / 2.
// Method    max(x, 0) - |x| * NormalTail(-|x|): the same formula for both signs.
// Error     5.3 ULP for x >= -5, 5.8 for x >= -13. From -13.2425 down the result is -0.
//           gelu(+-0) = +-0, gelu(-inf) = -0, gelu(inf) = inf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Gelu(D d, V x) {
  const V negative = MaxKeepNaN(hn::Or(x, hn::SignBit(d)), hn::Set(d, kNormalTailEnd));
  // By the sign bit: clang 14 turns a compare with 0 that selects -0 into a maximum that loses +0.
  const V relu = hn::IfNegativeThenElse(x, hn::Set(d, -0.0f), x);
  V s;
  const V y = NormalTailParts(d, negative, s);
  const auto far = hn::Lt(negative, hn::Set(d, -12.9f));
  if (kAvoidSubnormals && HWY_UNLIKELY(!hn::AllFalse(d, far))) {
    const V tail = hn::Mul(y, hn::IfThenElse(far, hn::Set(d, 1.0f), s));
    return hn::IfThenElse(far, GeluEnd(d, x, negative, y, s), Fma(negative, tail, relu));
  }
  return Fma(negative, hn::Mul(y, s), relu);
}

// x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2.
// Method    x * sigmoid(z), z = x * (k0 + k1 x^2), k0 = 2 sqrt(2/pi), k1 = 0.044715 k0. An x^2 that
//           overflows gives z = +-inf.
// Error     2.44 ULP for x >= -1; below, 3.7e-8 * |x|: the rounding of z makes the relative error
//           grow with |z|.
//           gelu(+-0) = +-0, gelu(-inf) = -0, gelu(inf) = inf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GeluTanh(D d, V x) {
  const V inner = Fma(hn::Mul(x, x), hn::Set(d, 0x1.2444f2p-4f), hn::Set(d, 0x1.988454p0f));
  return MulSigmoid(d, x, hn::Mul(x, inner));
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_GATED_MATH_INL_H_

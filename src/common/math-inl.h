// Elementary functions on vectors of float. Every step is exact or correctly rounded (Fma, Add,
// Mul, Div, compares, integer ops), there are no tables and no approximate reciprocals: all targets
// with kSameBits give the same bits.
//
// Each card says: the method; the largest error over every float, in ULPs of the exact result (a
// ULP below 2^-126 is 2^-149), measured by tests/exhaustive.cc; the special values. SSE4 rounds
// twice in Fma and has its own bounds, in tests/common/math_check.cc. NaN gives NaN everywhere.
// Results below 2^-126 underflow gradually, unless the card says at which argument they become 0.
//
// The polynomials are our own minimax fits, rounded to float by sollya's fpminimax; each card has
// the command, with h = log(2)/2. Horner's rule is used throughout: it has the fewest operations,
// and in loops over independent vectors the out-of-order core hides its latency.
//
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_MATH_INL_H_
#undef LANEFUSE_SRC_COMMON_MATH_INL_H_
#else
#define LANEFUSE_SRC_COMMON_MATH_INL_H_
#endif

#include "src/common/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// ------------------------------------------------------------------ shared pieces

// c0 + x * (c1 + x * (c2 + ...)), one Fma per coefficient after the last.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Polynomial(D d, V /*x*/, float c) {
  return hn::Set(d, c);
}
template <class D, class V = hn::Vec<D>, class... C>
HWY_INLINE V Polynomial(D d, V x, float c0, C... higher) {
  return Fma(Polynomial(d, x, higher...), x, hn::Set(d, c0));
}

// Adding 1.5 * 2^23 + bias rounds a float of magnitude below 2^22 to an integer n (to nearest, ties
// to even) and leaves n + bias in the low bits of the sum. With the exponent's bias of 127 a shift
// by 23 then turns the sum into 2^n; for another bias, into 2^(n + bias - 127).
constexpr float kRoundMagic = 0x1.8p23f;

constexpr float kLog2E = 0x1.715476p0f;
// log(2) in two parts. The high one has 15 bits, so n * kLn2High is exact for |n| < 512 and the
// remainder x - n * log(2) stays right even where Fma rounds twice (SSE4).
constexpr float kLn2High = 0x1.62e4p-1f;
constexpr float kLn2Low = 0x1.7f7d1cp-20f;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V PowerOfTwo(D d, V magic_sum) {
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, magic_sum)));
}

// x - n * log(2), to a few bits more than float has.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SubLn2Multiple(D d, V x, V n) {
  const V high = Fma(n, hn::Set(d, -kLn2High), x);
  return Fma(n, hn::Set(d, -kLn2Low), high);
}

// (exp(t) - 1) / t for |t| <= log(2) / 2; relative error that this leaves in exp(t): 3.8e-9.
// fpminimax(exp(x), [|1,...,6|], [|single...|], [-h;h], floating, relative, 1).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpSlope(D d, V t) {
  return Polynomial(d, t, 1.0f, 0x1.fffff8p-2f, 0x1.55548cp-3f, 0x1.555b82p-5f, 0x1.123cf6p-7f,
                    0x1.686a36p-10f);
}

// exp(t) for |t| <= log(2) / 2, exactly 1 at 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpReduced(D d, V t) {
  return Fma(t, ExpSlope(d, t), hn::Set(d, 1.0f));
}

// exp(z) = s + s * p for z in [-20, 0], with s a power of two, in the form that exp(z) - 1 wants: p
// is exp(t) - 1 with a relative error near 1 ULP, and s = 1 where |z| is small. p = t + t^2 * (...)
// has half the rounding errors of t * (1 + t * (...)). Relative error of the polynomial 1.3e-8:
// fpminimax(expm1(x)/x, [|1,...,5|], [|single...|], [-h;h], floating, relative, 1). One part of
// log(2) is enough: its error grows with n, but s shrinks faster.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Expm1Parts(D d, V z, V& s) {
  const V magic = hn::Set(d, kRoundMagic + 127);
  const V sum = Fma(z, hn::Set(d, kLog2E), magic);
  s = PowerOfTwo(d, sum);
  const V t = Fma(hn::Sub(sum, magic), hn::Set(d, -0x1.62e43p-1f), z);
  return Fma(hn::Mul(t, t),
             Polynomial(d, t, 0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.555716p-5f, 0x1.12279p-7f,
                        0x1.6b734p-10f),
             t);
}

// ------------------------------------------------------------------ exp and log

// exp(x).
// Method    x = n log(2) + t, degree-6 polynomial, then 2^n in two factors, so that only the last
//           multiplication rounds when the result is subnormal.
// Error     0.90 ULP. exp(0) = 1, exp(-inf) = 0, exp(inf) = inf; overflow gives inf.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  // The bias 254 makes the halves of n + 254 the biased exponents of the two factors.
  constexpr float kMagic = kRoundMagic + 254;
  // Clamping n from above (as an integer, which has no NaN) keeps the factors finite; t is then
  // large and positive, so the result overflows as it should. From below the result is replaced.
  const auto sum = hn::Min(hn::BitCast(di, Fma(x, hn::Set(d, kLog2E), hn::Set(d, kMagic))),
                           hn::BitCast(di, hn::Set(d, kMagic + 150)));
  const V n = hn::Sub(hn::BitCast(d, sum), hn::Set(d, kMagic));
  const V y = ExpReduced(d, SubLn2Multiple(d, x, n));
  const auto half = hn::ShiftRight<1>(sum);
  const V s0 = PowerOfTwo(d, hn::BitCast(d, half));
  const V s1 = PowerOfTwo(d, hn::BitCast(d, hn::Sub(sum, half)));
  // exp(-104) < 2^-150, half of the smallest subnormal.
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -104.0f)), hn::Mul(hn::Mul(y, s0), s1));
}

// exp(x) for x <= 0: softmax and attention.
// Method    As Exp, with one power of two and a degree-5 polynomial (relative error 9.2e-8):
//           fpminimax(exp(x), [|1,...,5|], [|single...|], [-h;h], floating, relative, 1).
// Domain    x <= 0, -inf or NaN. (Up to 88 the result is right too; above it is not.)
// Error     1.99 ULP. exp(0) = 1, exp(-inf) = 0. Below -0x1.5d589ep6 = -87.33654, where exp(x)
//           passes 2^-126, the result is 0 instead of a subnormal.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpNonPositive(D d, V x) {
  const V magic = hn::Set(d, kRoundMagic + 127);
  const V sum = Fma(x, hn::Set(d, kLog2E), magic);
  const V t = SubLn2Multiple(d, x, hn::Sub(sum, magic));
  const V y = Polynomial(d, t, 1.0f, 0x1.fffff6p-1f, 0x1.fffdc6p-2f, 0x1.555a8p-3f, 0x1.573a1ep-5f,
                         0x1.0f9facp-7f);
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -0x1.5d589ep6f)), hn::Mul(y, PowerOfTwo(d, sum)));
}

// exp(x) - 1 for x <= 0: ELU.
// Domain    x <= 0, -inf or NaN.
// Error     0.95 ULP. -0 gives 0, -inf gives -1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Expm1NonPositive(D d, V x) {
  V s;
  const V p = Expm1Parts(d, x, s);
  const V y = Fma(s, p, hn::Sub(s, hn::Set(d, 1.0f)));
  // From -17.33 on, the result rounds to -1.
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, -18.0f)), hn::Set(d, -1.0f), y);
}

// log(x).
// Method    x = 2^e * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)) and log(1 + f) = f - f^2/2 +
//           f^3 * P(f). P: fpminimax((log1p(x)-x+x^2/2)/x^3, 8, [|single...|],
//           [sqrt(1/2)-1;sqrt(2)-1], floating, absolute); relative error of the sum 4.6e-9.
// Error     0.85 ULP, also for subnormal x. log(1) = 0, log(+-0) = -inf, log(inf) = inf; x < 0
//           gives NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Log(D d, V x) {
  const hn::RebindToSigned<D> di;
  const auto subnormal = hn::Lt(x, hn::Set(d, 0x1p-126f));
  const V scaled = hn::IfThenElse(subnormal, hn::Mul(x, hn::Set(d, 0x1p24f)), x);
  // Subtracting the bits of sqrt(1/2) makes the exponent field carry at sqrt(2), not at 2.
  const auto bits = hn::BitCast(di, scaled);
  const auto above = hn::Sub(bits, hn::BitCast(di, hn::Set(d, 0x1.6a09e6p-1f)));
  const auto exponent = hn::ShiftRight<23>(above);
  const V m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(exponent)));
  const V e = hn::Sub(hn::ConvertTo(d, exponent), hn::IfThenElseZero(subnormal, hn::Set(d, 24.0f)));
  const V f = hn::Sub(m, hn::Set(d, 1.0f));
  const V f2 = hn::Mul(f, f);
  const V p =
      Polynomial(d, f, 0x1.555554p-2f, -0x1.ffffe6p-3f, 0x1.999d2ap-3f, -0x1.556288p-3f,
                 0x1.23de4p-3f, -0x1.fbbf2ep-4f, 0x1.dc75e8p-4f, -0x1.ddb2cep-4f, 0x1.2cb40ep-4f);
  V y = Fma(e, hn::Set(d, kLn2Low), hn::Mul(hn::Mul(f, f2), p));
  y = Fma(f2, hn::Set(d, -0.5f), y);
  y = Fma(e, hn::Set(d, kLn2High), hn::Add(f, y));
  // NaN and inf go through as they are.
  y = hn::IfThenElse(hn::Lt(x, hn::Inf(d)), y, x);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(hn::Inf(d)), y);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::NaN(d), y);
}

// ------------------------------------------------------------------ tanh, erf, sigmoid

// tanh(x).
// Method    (1 - e) / (1 + e) with e = exp(-2|x|) = s + s * p; 1 - e and 1 + e each round once, one
//           path for all x.
// Error     1.96 ULP; odd. tanh(+-0) = +-0, tanh(+-inf) = +-1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  const V negative = hn::Or(x, hn::SignBit(d));  // -|x|
  V s;
  const V p = Expm1Parts(d, hn::Add(negative, negative), s);
  const V y =
      hn::Div(Fma(s, p, hn::Sub(s, hn::Set(d, 1.0f))), Fma(s, p, hn::Add(s, hn::Set(d, 1.0f))));
  // From 9.02 on, tanh rounds to 1.
  const auto one = hn::Lt(negative, hn::Set(d, -9.1f));
  return hn::CopySign(hn::IfThenElse(one, hn::Set(d, -1.0f), y), x);
}

// erf(x).
// Method    1 - exp(-z) with z = -log(1 - erf(|x|)) = |x| + |x| * R(|x|), a function that is smooth
//           where erf saturates; Expm1Parts keeps relative accuracy near 0. R has degree 8 and
//           leaves a relative error of 4.3e-9 in erf: for k = 0..8, the coefficient of x^k in
//           remez(w*(R-s), [|w*x^k,...,w*x^8|], [1b-20;3.95], 1) is rounded to single and added to
//           s, with R = -log(erfc(x))/x-1 and w = x*erfc(x)/erf(x). (Odd signs here: in -|x|.)
// Error     1.82 ULP, absolute 7.1e-8; odd. erf(+-0) = +-0, erf(+-inf) = +-1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Erf(D d, V x) {
  const V negative = hn::Or(x, hn::SignBit(d));  // -|x|
  const V r = Polynomial(d, negative, 0x1.06eba8p-3f, -0x1.45f3p-1f, 0x1.a4f8c4p-4f, 0x1.39b7c6p-6f,
                         -0x1.638a96p-13f, -0x1.b749ecp-10f, -0x1.4e3414p-11f, -0x1.f2af46p-14f,
                         -0x1.3b2f28p-17f);
  V s;
  const V p = Expm1Parts(d, Fma(negative, r, negative), s);
  const V y = Fma(s, p, hn::Sub(s, hn::Set(d, 1.0f)));
  // From 3.92 on, erf rounds to 1.
  const auto one = hn::Lt(negative, hn::Set(d, -3.95f));
  return hn::CopySign(hn::IfThenElse(one, hn::Set(d, -1.0f), y), x);
}

// 2^-64 * (1 + exp(-x)) for x in [-120, 40], where exp(-x) itself would overflow below -88.7.
// With exp(-x) = s + s * p this is (1 + s) + s * p. What 1 + s loses (from n = 24 on) is kept, so
// that the only rounding that weighs is the last.
constexpr float kLogisticScale = 0x1p-64f;
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ScaledLogisticDivisor(D d, V x) {
  const V magic = hn::Set(d, kRoundMagic + 127 - 64);
  const V sum = Fma(x, hn::Set(d, -kLog2E), magic);
  const V s = PowerOfTwo(d, sum);
  // u = -t, so the odd coefficients of ExpSlope change sign.
  const V n = hn::Sub(sum, magic);
  const V u = Fma(n, hn::Set(d, kLn2Low), Fma(n, hn::Set(d, kLn2High), x));
  const V p = Polynomial(d, u, -1.0f, 0x1.fffff8p-2f, -0x1.55548cp-3f, 0x1.555b82p-5f,
                         -0x1.123cf6p-7f, 0x1.686a36p-10f);
  const V one = hn::Set(d, kLogisticScale);
  const V one_plus_s = hn::Add(one, s);
  const V lost = hn::Sub(one, hn::Sub(one_plus_s, s));
  return hn::Add(one_plus_s, Fma(hn::Mul(u, s), p, lost));
}

// x between lo and hi: where the result is replaced, what lies beyond would only make subnormal
// numbers on the way, which cost a hundred cycles each.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Clamped(D d, V x, float lo, float hi) {
  return MinKeepNaN(MaxKeepNaN(x, hn::Set(d, lo)), hn::Set(d, hi));
}

// 1 / (1 + exp(-x)).
// Error     1.81 ULP. sigmoid(0) = 1/2, sigmoid(-inf) = 0, sigmoid(inf) = 1.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V low = hn::Set(d, -104.0f);
  const V y = hn::Div(hn::IfThenZeroElse(hn::Lt(x, low), hn::Set(d, kLogisticScale)),
                      ScaledLogisticDivisor(d, Clamped(d, x, -104.0f, 33.0f)));
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, 32.0f)), hn::Set(d, 1.0f), y);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_MATH_INL_H_

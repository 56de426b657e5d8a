// The dot product that Dot and Gemv share: kRows rows of `a` against one `b`.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_DOT_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_DOT_DOT_INL_H_
#undef LANEFUSE_SRC_DOT_DOT_INL_H_
#else
#define LANEFUSE_SRC_DOT_DOT_INL_H_
#endif

#include <algorithm>

#include "src/common/lanes64-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// One step of register kRegister of the 64 lanes, elements i on: full, or what `n` leaves of it
// with zeros behind. In the last, partial step every register takes part, so that a lane's sum does
// not depend on how many lanes share its register.
template <size_t kRegisters, size_t kRegister, bool kFull>
HWY_INLINE void DotStep(const float* a, const float* b, size_t i, size_t n, VF& sum) {
  if constexpr (kRegister < kRegisters) {
    const DF d;
    i += kRegister * hn::Lanes(d);
    if constexpr (kFull) {
      sum = Fma(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum);
    } else {
      const size_t rest = i < n ? std::min(n - i, hn::Lanes(d)) : 0;
      const size_t at = rest == 0 ? 0 : i;
      sum = Fma(hn::LoadN(d, a + at, rest), hn::LoadN(d, b + at, rest), sum);
    }
  }
}

template <size_t kRegisters>
HWY_INLINE float DotOneRow(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t n) {
  const VF zero = hn::Zero(DF());
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero;
  VF s8 = zero, s9 = zero, sa = zero, sb = zero, sc = zero, sd = zero, se = zero, sf = zero;
  size_t i = 0;
  for (; i + kVirtualLanes <= n; i += kVirtualLanes) {
    DotStep<kRegisters, 0, true>(a, b, i, n, s0);
    DotStep<kRegisters, 1, true>(a, b, i, n, s1);
    DotStep<kRegisters, 2, true>(a, b, i, n, s2);
    DotStep<kRegisters, 3, true>(a, b, i, n, s3);
    DotStep<kRegisters, 4, true>(a, b, i, n, s4);
    DotStep<kRegisters, 5, true>(a, b, i, n, s5);
    DotStep<kRegisters, 6, true>(a, b, i, n, s6);
    DotStep<kRegisters, 7, true>(a, b, i, n, s7);
    DotStep<kRegisters, 8, true>(a, b, i, n, s8);
    DotStep<kRegisters, 9, true>(a, b, i, n, s9);
    DotStep<kRegisters, 10, true>(a, b, i, n, sa);
    DotStep<kRegisters, 11, true>(a, b, i, n, sb);
    DotStep<kRegisters, 12, true>(a, b, i, n, sc);
    DotStep<kRegisters, 13, true>(a, b, i, n, sd);
    DotStep<kRegisters, 14, true>(a, b, i, n, se);
    DotStep<kRegisters, 15, true>(a, b, i, n, sf);
  }
  if (i < n) {
    DotStep<kRegisters, 0, false>(a, b, i, n, s0);
    DotStep<kRegisters, 1, false>(a, b, i, n, s1);
    DotStep<kRegisters, 2, false>(a, b, i, n, s2);
    DotStep<kRegisters, 3, false>(a, b, i, n, s3);
    DotStep<kRegisters, 4, false>(a, b, i, n, s4);
    DotStep<kRegisters, 5, false>(a, b, i, n, s5);
    DotStep<kRegisters, 6, false>(a, b, i, n, s6);
    DotStep<kRegisters, 7, false>(a, b, i, n, s7);
    DotStep<kRegisters, 8, false>(a, b, i, n, s8);
    DotStep<kRegisters, 9, false>(a, b, i, n, s9);
    DotStep<kRegisters, 10, false>(a, b, i, n, sa);
    DotStep<kRegisters, 11, false>(a, b, i, n, sb);
    DotStep<kRegisters, 12, false>(a, b, i, n, sc);
    DotStep<kRegisters, 13, false>(a, b, i, n, sd);
    DotStep<kRegisters, 14, false>(a, b, i, n, se);
    DotStep<kRegisters, 15, false>(a, b, i, n, sf);
  }
  return SumLanes64<kRegisters>(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf);
}

// sum_k a[k] * b[k] in the order of lanefuse/dot.h.
HWY_INLINE float DotProduct(const float* a, const float* b, size_t n) {
  switch (kVirtualLanes / hn::Lanes(DF())) {
    case 4:
      return DotOneRow<4>(a, b, n);
    case 8:
      return DotOneRow<8>(a, b, n);
    default:
      return DotOneRow<16>(a, b, n);
  }
}

// One register of four rows: b is loaded once for all of them.
template <size_t kRegister, bool kFull>
HWY_INLINE void DotStepFourRows(const float* a, size_t stride, const float* b, size_t i, size_t n,
                                VF& s0, VF& s1, VF& s2, VF& s3) {
  const DF d;
  i += kRegister * hn::Lanes(d);
  if constexpr (kFull) {
    const VF vb = hn::LoadU(d, b + i);
    s0 = Fma(hn::LoadU(d, a + i), vb, s0);
    s1 = Fma(hn::LoadU(d, a + stride + i), vb, s1);
    s2 = Fma(hn::LoadU(d, a + 2 * stride + i), vb, s2);
    s3 = Fma(hn::LoadU(d, a + 3 * stride + i), vb, s3);
  } else {
    const size_t rest = i < n ? std::min(n - i, hn::Lanes(d)) : 0;
    const size_t at = rest == 0 ? 0 : i;
    const VF vb = hn::LoadN(d, b + at, rest);
    s0 = Fma(hn::LoadN(d, a + at, rest), vb, s0);
    s1 = Fma(hn::LoadN(d, a + stride + at, rest), vb, s1);
    s2 = Fma(hn::LoadN(d, a + 2 * stride + at, rest), vb, s2);
    s3 = Fma(hn::LoadN(d, a + 3 * stride + at, rest), vb, s3);
  }
}

// Four rows of `a`, where 64 lanes are four registers: 16 sums hide the latency, and the loads of b
// are shared. y[r] is what DotProduct(a + r * stride, b) gives.
HWY_INLINE void DotFourRows(const float* HWY_RESTRICT a, size_t stride, const float* HWY_RESTRICT b,
                            size_t n, float* HWY_RESTRICT y) {
  const VF zero = hn::Zero(DF());
  VF s00 = zero, s01 = zero, s02 = zero, s03 = zero, s10 = zero, s11 = zero, s12 = zero, s13 = zero;
  VF s20 = zero, s21 = zero, s22 = zero, s23 = zero, s30 = zero, s31 = zero, s32 = zero, s33 = zero;
  size_t i = 0;
  for (; i + kVirtualLanes <= n; i += kVirtualLanes) {
    DotStepFourRows<0, true>(a, stride, b, i, n, s00, s10, s20, s30);
    DotStepFourRows<1, true>(a, stride, b, i, n, s01, s11, s21, s31);
    DotStepFourRows<2, true>(a, stride, b, i, n, s02, s12, s22, s32);
    DotStepFourRows<3, true>(a, stride, b, i, n, s03, s13, s23, s33);
  }
  if (i < n) {
    DotStepFourRows<0, false>(a, stride, b, i, n, s00, s10, s20, s30);
    DotStepFourRows<1, false>(a, stride, b, i, n, s01, s11, s21, s31);
    DotStepFourRows<2, false>(a, stride, b, i, n, s02, s12, s22, s32);
    DotStepFourRows<3, false>(a, stride, b, i, n, s03, s13, s23, s33);
  }
  y[0] = SumLanes64(s00, s01, s02, s03);
  y[1] = SumLanes64(s10, s11, s12, s13);
  y[2] = SumLanes64(s20, s21, s22, s23);
  y[3] = SumLanes64(s30, s31, s32, s33);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_DOT_DOT_INL_H_

// The dot product that Dot and Gemv share: rows of `a` against one `b`.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_DOT_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_DOT_DOT_INL_H_
#undef LANEFUSE_SRC_DOT_DOT_INL_H_
#else
#define LANEFUSE_SRC_DOT_DOT_INL_H_
#endif

#include <algorithm>

#include "arch/tiles-inl.h"
#include "src/common/lanes64-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// One step of register kRegister of the 64 lanes.
template <size_t kRegisters, size_t kRegister>
HWY_INLINE void DotStep(const float* a, const float* b, VF& sum) {
  if constexpr (kRegister < kRegisters) {
    const DF d;
    const size_t at = kRegister * hn::Lanes(d);
    sum = Fma(hn::LoadU(d, a + at), hn::LoadU(d, b + at), sum);
  }
}

// The same in the last, partial round, of which `rest` elements are left. By the order of
// lanefuse/dot.h the lanes without an element add 0 * 0, which turns a sum of -0 into +0 and does
// nothing else; EndOfSums() makes up for the registers that are left out here.
template <size_t kRegisters, size_t kRegister>
HWY_INLINE void DotRest(const float* a, const float* b, size_t rest, VF& sum) {
  if constexpr (kRegister < kRegisters) {
    const DF d;
    const size_t at = kRegister * hn::Lanes(d);
    if (rest >= at + hn::Lanes(d)) {
      DotStep<kRegisters, kRegister>(a, b, sum);
    } else if (rest > at) {
      sum = Fma(hn::LoadN(d, a + at, rest - at), hn::LoadN(d, b + at, rest - at), sum);
    }
  }
}

// What is added to the joined lanes: a sum whose lanes are all -0 stays -0 only if every lane had
// an element in every round.
HWY_INLINE VF EndOfSums(VF sum, size_t n) {
  return hn::Add(sum, hn::Set(DF(), n % kVirtualLanes == 0 ? -0.0f : 0.0f));
}

// The 64 lanes of one row, down to one register. kRegisters: 64 / Lanes, or fewer where n leaves
// the registers behind them empty.
template <size_t kRegisters>
HWY_INLINE VF DotRow(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t n) {
  const VF zero = hn::Zero(DF());
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero;
  VF s8 = zero, s9 = zero, sa = zero, sb = zero, sc = zero, sd = zero, se = zero, sf = zero;
  size_t i = 0;
  for (; i + kVirtualLanes <= n; i += kVirtualLanes) {
    DotStep<kRegisters, 0>(a + i, b + i, s0);
    DotStep<kRegisters, 1>(a + i, b + i, s1);
    DotStep<kRegisters, 2>(a + i, b + i, s2);
    DotStep<kRegisters, 3>(a + i, b + i, s3);
    DotStep<kRegisters, 4>(a + i, b + i, s4);
    DotStep<kRegisters, 5>(a + i, b + i, s5);
    DotStep<kRegisters, 6>(a + i, b + i, s6);
    DotStep<kRegisters, 7>(a + i, b + i, s7);
    DotStep<kRegisters, 8>(a + i, b + i, s8);
    DotStep<kRegisters, 9>(a + i, b + i, s9);
    DotStep<kRegisters, 10>(a + i, b + i, sa);
    DotStep<kRegisters, 11>(a + i, b + i, sb);
    DotStep<kRegisters, 12>(a + i, b + i, sc);
    DotStep<kRegisters, 13>(a + i, b + i, sd);
    DotStep<kRegisters, 14>(a + i, b + i, se);
    DotStep<kRegisters, 15>(a + i, b + i, sf);
  }
  if (i < n) {
    DotRest<kRegisters, 0>(a + i, b + i, n - i, s0);
    DotRest<kRegisters, 1>(a + i, b + i, n - i, s1);
    DotRest<kRegisters, 2>(a + i, b + i, n - i, s2);
    DotRest<kRegisters, 3>(a + i, b + i, n - i, s3);
    DotRest<kRegisters, 4>(a + i, b + i, n - i, s4);
    DotRest<kRegisters, 5>(a + i, b + i, n - i, s5);
    DotRest<kRegisters, 6>(a + i, b + i, n - i, s6);
    DotRest<kRegisters, 7>(a + i, b + i, n - i, s7);
    DotRest<kRegisters, 8>(a + i, b + i, n - i, s8);
    DotRest<kRegisters, 9>(a + i, b + i, n - i, s9);
    DotRest<kRegisters, 10>(a + i, b + i, n - i, sa);
    DotRest<kRegisters, 11>(a + i, b + i, n - i, sb);
    DotRest<kRegisters, 12>(a + i, b + i, n - i, sc);
    DotRest<kRegisters, 13>(a + i, b + i, n - i, sd);
    DotRest<kRegisters, 14>(a + i, b + i, n - i, se);
    DotRest<kRegisters, 15>(a + i, b + i, n - i, sf);
  }
  return EndOfSums(
      AddLanes64<kRegisters>(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf), n);
}

// The same, with the registers of this target.
HWY_INLINE VF DotRow(const float* a, const float* b, size_t n) {
  const size_t lanes = hn::Lanes(DF());
  if (lanes == 16 || n <= 4 * lanes) return DotRow<4>(a, b, n);
  if (lanes == 8) return DotRow<8>(a, b, n);
  return DotRow<16>(a, b, n);
}

// sum_k a[k] * b[k] in the order of lanefuse/dot.h.
HWY_INLINE float DotProduct(const float* a, const float* b, size_t n) {
  return SumOneRegister(DF(), DotRow(a, b, n));
}

// The same where it is called at several places of one function.
HWY_NOINLINE inline VF DotRowCall(const float* a, const float* b, size_t n) {
  return DotRow(a, b, n);
}

// One register of four rows: b is loaded once for all of them.
template <size_t kRegister, bool kFull>
HWY_INLINE void DotStepFourRows(const float* a, size_t stride, const float* b, size_t rest, VF& s0,
                                VF& s1, VF& s2, VF& s3) {
  const DF d;
  const size_t at = kRegister * hn::Lanes(d);
  a += at;
  b += at;
  if (kFull || rest >= at + hn::Lanes(d)) {
    const VF vb = hn::LoadU(d, b);
    s0 = Fma(vb, hn::LoadU(d, a), s0);
    s1 = Fma(vb, hn::LoadU(d, a + stride), s1);
    s2 = Fma(vb, hn::LoadU(d, a + 2 * stride), s2);
    s3 = Fma(vb, hn::LoadU(d, a + 3 * stride), s3);
  } else if (rest > at) {
    rest -= at;
    const VF vb = hn::LoadN(d, b, rest);
    s0 = Fma(vb, hn::LoadN(d, a, rest), s0);
    s1 = Fma(vb, hn::LoadN(d, a + stride, rest), s1);
    s2 = Fma(vb, hn::LoadN(d, a + 2 * stride, rest), s2);
    s3 = Fma(vb, hn::LoadN(d, a + 3 * stride, rest), s3);
  }
}

// One register of two rows.
template <size_t kRegister, bool kFull>
HWY_INLINE void DotStepTwoRows(const float* a, size_t stride, const float* b, size_t rest, VF& s0,
                               VF& s1) {
  const DF d;
  const size_t at = kRegister * hn::Lanes(d);
  a += at;
  b += at;
  if (kFull || rest >= at + hn::Lanes(d)) {
    const VF vb = hn::LoadU(d, b);
    s0 = Fma(vb, hn::LoadU(d, a), s0);
    s1 = Fma(vb, hn::LoadU(d, a + stride), s1);
  } else if (rest > at) {
    rest -= at;
    const VF vb = hn::LoadN(d, b, rest);
    s0 = Fma(vb, hn::LoadN(d, a, rest), s0);
    s1 = Fma(vb, hn::LoadN(d, a + stride, rest), s1);
  }
}

// Two rows whose 64 lanes are eight registers each; their sums before the last levels of the tree
// in r0 and r1. Of 16 registers 14 keep sums: L1 keeps two, four accesses more for eight loads of b
// less.
HWY_INLINE void DotTwoRows(const float* HWY_RESTRICT a, size_t stride, const float* HWY_RESTRICT b,
                           size_t n, VF& r0, VF& r1) {
  const VF zero = hn::Zero(DF());
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero;
  VF t0 = zero, t1 = zero, t2 = zero, t3 = zero, t4 = zero, t5 = zero, t6 = zero, t7 = zero;
  size_t i = 0;
  for (; i + kVirtualLanes <= n; i += kVirtualLanes) {
    DotStepTwoRows<0, true>(a + i, stride, b + i, 0, s0, t0);
    DotStepTwoRows<1, true>(a + i, stride, b + i, 0, s1, t1);
    DotStepTwoRows<2, true>(a + i, stride, b + i, 0, s2, t2);
    DotStepTwoRows<3, true>(a + i, stride, b + i, 0, s3, t3);
    DotStepTwoRows<4, true>(a + i, stride, b + i, 0, s4, t4);
    DotStepTwoRows<5, true>(a + i, stride, b + i, 0, s5, t5);
    DotStepTwoRows<6, true>(a + i, stride, b + i, 0, s6, t6);
    DotStepTwoRows<7, true>(a + i, stride, b + i, 0, s7, t7);
  }
  if (i < n) {
    DotStepTwoRows<0, false>(a + i, stride, b + i, n - i, s0, t0);
    DotStepTwoRows<1, false>(a + i, stride, b + i, n - i, s1, t1);
    DotStepTwoRows<2, false>(a + i, stride, b + i, n - i, s2, t2);
    DotStepTwoRows<3, false>(a + i, stride, b + i, n - i, s3, t3);
    DotStepTwoRows<4, false>(a + i, stride, b + i, n - i, s4, t4);
    DotStepTwoRows<5, false>(a + i, stride, b + i, n - i, s5, t5);
    DotStepTwoRows<6, false>(a + i, stride, b + i, n - i, s6, t6);
    DotStepTwoRows<7, false>(a + i, stride, b + i, n - i, s7, t7);
  }
  // AddLanes64 looks at the first eight.
  const auto join = [n](VF v0, VF v1, VF v2, VF v3, VF v4, VF v5, VF v6, VF v7) HWY_ATTR {
    return EndOfSums(AddLanes64<8>(v0, v1, v2, v3, v4, v5, v6, v7, v0, v1, v2, v3, v4, v5, v6, v7),
                     n);
  };
  r0 = join(s0, s1, s2, s3, s4, s5, s6, s7);
  r1 = join(t0, t1, t2, t3, t4, t5, t6, t7);
}

// Apart from the rest of Gemv, whose short rows would pay for the stack that these sums need.
HWY_NOINLINE inline void DotTwiceTwoRows(const float* a, size_t stride, const float* b, size_t n,
                                         float* HWY_RESTRICT y) {
  VF r0, r1, r2, r3;
  DotTwoRows(a, stride, b, n, r0, r1);
  DotTwoRows(a + 2 * stride, stride, b, n, r2, r3);
  SumFourRegisters(DF(), r0, r1, r2, r3, y);
}

// y[r] = DotProduct(a + r * stride, b) for four rows. As many of them as registers allow run side
// by side and share the loads of b: L1 delivers two loads a cycle, and none while a line arrives.
HWY_INLINE void DotFourRows(const float* HWY_RESTRICT a, size_t stride, const float* HWY_RESTRICT b,
                            size_t n, float* HWY_RESTRICT y) {
  const DF d;
  const size_t rows = GemvRows(hn::Lanes(d));
  if (rows != 4) {
    if (n <= 4 * hn::Lanes(d)) {
      return SumFourRegisters(d, DotRow<4>(a, b, n), DotRow<4>(a + stride, b, n),
                              DotRow<4>(a + 2 * stride, b, n), DotRow<4>(a + 3 * stride, b, n), y);
    }
    if (rows == 2) return DotTwiceTwoRows(a, stride, b, n, y);
    return SumFourRegisters(d, DotRowCall(a, b, n), DotRowCall(a + stride, b, n),
                            DotRowCall(a + 2 * stride, b, n), DotRowCall(a + 3 * stride, b, n), y);
  }
  const VF zero = hn::Zero(d);
  VF s00 = zero, s01 = zero, s02 = zero, s03 = zero, s10 = zero, s11 = zero, s12 = zero, s13 = zero;
  VF s20 = zero, s21 = zero, s22 = zero, s23 = zero, s30 = zero, s31 = zero, s32 = zero, s33 = zero;
  size_t i = 0;
  for (; i + kVirtualLanes <= n; i += kVirtualLanes) {
    DotStepFourRows<0, true>(a + i, stride, b + i, 0, s00, s10, s20, s30);
    DotStepFourRows<1, true>(a + i, stride, b + i, 0, s01, s11, s21, s31);
    DotStepFourRows<2, true>(a + i, stride, b + i, 0, s02, s12, s22, s32);
    DotStepFourRows<3, true>(a + i, stride, b + i, 0, s03, s13, s23, s33);
  }
  if (i < n) {
    DotStepFourRows<0, false>(a + i, stride, b + i, n - i, s00, s10, s20, s30);
    DotStepFourRows<1, false>(a + i, stride, b + i, n - i, s01, s11, s21, s31);
    DotStepFourRows<2, false>(a + i, stride, b + i, n - i, s02, s12, s22, s32);
    DotStepFourRows<3, false>(a + i, stride, b + i, n - i, s03, s13, s23, s33);
  }
  const auto join = [n](VF s0, VF s1, VF s2, VF s3) HWY_ATTR {
    return EndOfSums(hn::Add(hn::Add(s0, s2), hn::Add(s1, s3)), n);
  };
  SumFourRegisters(d, join(s00, s01, s02, s03), join(s10, s11, s12, s13), join(s20, s21, s22, s23),
                   join(s30, s31, s32, s33), y);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_DOT_DOT_INL_H_

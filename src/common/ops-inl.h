// The few vector operations whose meaning must not depend on the target. Everything here is exact
// or correctly rounded, so that a kernel built from it gives the same bits everywhere.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_OPS_INL_H_
#undef LANEFUSE_SRC_COMMON_OPS_INL_H_
#else
#define LANEFUSE_SRC_COMMON_OPS_INL_H_
#endif

#include <cmath>
#include <cstddef>

#include "arch/features-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One panel of packed weights holds 16 outputs, so no kernel wants more lanes than that: a target
// with longer vectors (SVE above 512 bits) uses 16 of its lanes and runs the same code.
constexpr size_t kPanel = 16;
using DF = hn::CappedTag<float, kPanel>;
using VF = hn::Vec<DF>;

#if LANEFUSE_FMA_BY_DOUBLES
// a * b + c of floats in double precision, rounded to odd: exact where a double can hold it, else
// that of its two neighbours whose last bit is 1. That one never lies halfway between two floats,
// nor is there one between it and the sum, so rounding it gives what rounding the sum would have
// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
// rounding to odd", IEEE Transactions on Computers 57(4), 2008).
template <class V>
HWY_INLINE V FmaToOdd(V a, V b, V c) {
  const hn::DFromV<V> d;
  const hn::RebindToSigned<decltype(d)> di;
  const V product = hn::Mul(a, b);  // exact: 48 bits of 53
  const V sum = hn::Add(product, c);
  const V from = hn::Sub(sum, product);
  const V error = hn::Add(hn::Sub(product, hn::Sub(sum, from)), hn::Sub(c, from));  // exact, too
  const auto bits = hn::BitCast(di, sum);
  const auto inexact = hn::BitCast(di, hn::VecFromMask(hn::Gt(hn::Abs(error), hn::Zero(d))));
  const auto one = hn::And(inexact, hn::AndNot(bits, hn::Set(di, 1)));  // where the last bit is 0
  const auto less = hn::BroadcastSignBit(hn::Xor(bits, hn::BitCast(di, error)));
  return hn::BitCast(d, hn::Add(bits, hn::Sub(hn::Xor(one, less), less)));  // + one or - one
}
#endif

// One call for each vector: inlined into every tile, it would be the greater part of the library.
template <class V>
HWY_NOINLINE V EmulatedFma(V a, V b, V c) {
  const hn::DFromV<V> d;
#if LANEFUSE_FMA_BY_DOUBLES
  const hn::RepartitionToWide<decltype(d)> wide;
  const hn::Half<decltype(d)> half;
  const auto lower = FmaToOdd(hn::PromoteLowerTo(wide, a), hn::PromoteLowerTo(wide, b),
                              hn::PromoteLowerTo(wide, c));
  const auto upper = FmaToOdd(hn::PromoteUpperTo(wide, a), hn::PromoteUpperTo(wide, b),
                              hn::PromoteUpperTo(wide, c));
  return hn::Combine(d, hn::DemoteTo(half, upper), hn::DemoteTo(half, lower));
#else
  HWY_ALIGN float pa[kPanel], pb[kPanel], pc[kPanel];
  hn::Store(a, d, pa);
  hn::Store(b, d, pb);
  hn::Store(c, d, pc);
  for (size_t i = 0; i < hn::Lanes(d); ++i) pc[i] = std::fma(pa[i], pb[i], pc[i]);
  return hn::Load(d, pc);
#endif
}

// a * b + c, rounded once: the one product-sum of this library. Where the hardware has no fused
// multiply-add, it is emulated, slowly (kEmulateFma); SSE4 alone rounds twice.
template <class V>
HWY_INLINE V Fma(V a, V b, V c) {
  if constexpr (kEmulateFma) {
    return EmulatedFma(a, b, c);
  } else {
    return hn::MulAdd(a, b, c);
  }
}

// Where registers are many: GCC would make a vector that has been loaded the operand in memory of
// each multiply-add that takes it.
template <class V>
HWY_INLINE V InRegister(V v) {
  if constexpr (kVectorRegisters == 32) LANEFUSE_IN_REGISTER(v);
  return v;
}

// max(v, lo) and min(v, hi) that let NaN through and keep v where it equals the bound. The
// machine's own Min and Max disagree between x86 and Arm on NaN and on the sign of zero.
template <class V>
HWY_INLINE V MaxKeepNaN(V v, V lo) {
  if constexpr (kMinMaxReturnSecond) return hn::Max(lo, v);
  return hn::IfThenElse(hn::Lt(v, lo), lo, v);
}
template <class V>
HWY_INLINE V MinKeepNaN(V v, V hi) {
  if constexpr (kMinMaxReturnSecond) return hn::Min(hi, v);
  return hn::IfThenElse(hn::Gt(v, hi), hi, v);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_OPS_INL_H_

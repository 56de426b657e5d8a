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

// One call for each vector: inlined into every tile, it would be the greater part of the library.
template <class V>
HWY_NOINLINE V EmulatedFma(V a, V b, V c) {
  const hn::DFromV<V> d;
  HWY_ALIGN float pa[kPanel], pb[kPanel], pc[kPanel];
  hn::Store(a, d, pa);
  hn::Store(b, d, pb);
  hn::Store(c, d, pc);
  for (size_t i = 0; i < hn::Lanes(d); ++i) pc[i] = std::fma(pa[i], pb[i], pc[i]);
  return hn::Load(d, pc);
}

// a * b + c, rounded once: the one product-sum of this library. Where the hardware has no fused
// multiply-add, std::fma gives the same bits slowly (kEmulateFma); SSE4 alone rounds twice.
template <class V>
HWY_INLINE V Fma(V a, V b, V c) {
  if constexpr (kEmulateFma) {
    return EmulatedFma(a, b, c);
  } else {
    return hn::MulAdd(a, b, c);
  }
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

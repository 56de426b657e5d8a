// Sums with one output: element i belongs to virtual lane i mod 64, each lane adds its elements in
// ascending order, and the lanes meet at distance 32, 16, 8, 4, 2, 1. A target holds the 64 lanes
// in 64 / Lanes registers (4 of AVX-512, 8 of AVX2, 16 of NEON), and the first levels of the tree
// are additions of whole registers: the same additions everywhere, hence the same bits. Per-target
// header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_LANES64_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_LANES64_INL_H_
#undef LANEFUSE_SRC_COMMON_LANES64_INL_H_
#else
#define LANEFUSE_SRC_COMMON_LANES64_INL_H_
#endif

#include "src/common/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

constexpr size_t kVirtualLanes = 64;

// The lanes of one register at distance Lanes / 2, ..., 2, 1.
template <class D>
HWY_INLINE float SumOneRegister(D d, hn::Vec<D> v) {
  if constexpr (!kConstexprLanes) {
    HWY_ALIGN float lane[kPanel];
    hn::Store(v, d, lane);
    for (size_t distance = hn::Lanes(d) / 2; distance != 0; distance /= 2) {
      for (size_t i = 0; i < distance; ++i) lane[i] += lane[i + distance];
    }
    return lane[0];
  } else if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return SumOneRegister(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  } else {
    v = hn::Add(v, hn::Shuffle1032(v));
    return hn::GetLane(hn::Add(v, hn::Shuffle2301(v)));
  }
}

// The same for four registers at once, r[i] from v_i: from four lanes on, they share the additions.
template <class D>
HWY_INLINE void SumFourRegisters(D d, hn::Vec<D> v0, hn::Vec<D> v1, hn::Vec<D> v2, hn::Vec<D> v3,
                                 float* r) {
  if constexpr (!kConstexprLanes) {
    r[0] = SumOneRegister(d, v0);
    r[1] = SumOneRegister(d, v1);
    r[2] = SumOneRegister(d, v2);
    r[3] = SumOneRegister(d, v3);
  } else if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    SumFourRegisters(half, hn::Add(hn::LowerHalf(half, v0), hn::UpperHalf(half, v0)),
                     hn::Add(hn::LowerHalf(half, v1), hn::UpperHalf(half, v1)),
                     hn::Add(hn::LowerHalf(half, v2), hn::UpperHalf(half, v2)),
                     hn::Add(hn::LowerHalf(half, v3), hn::UpperHalf(half, v3)), r);
  } else {
    const auto v01 = hn::Add(hn::ConcatLowerLower(d, v1, v0), hn::ConcatUpperUpper(d, v1, v0));
    const auto v23 = hn::Add(hn::ConcatLowerLower(d, v3, v2), hn::ConcatUpperUpper(d, v3, v2));
    hn::StoreU(hn::Add(hn::ConcatEven(d, v23, v01), hn::ConcatOdd(d, v23, v01)), d, r);
  }
}

// The levels of the tree that add whole registers, kRegisters = 64 / Lanes of them; those beyond
// kRegisters are not looked at.
template <size_t kRegisters>
HWY_INLINE VF AddLanes64(VF v0, VF v1, VF v2, VF v3, VF v4, VF v5, VF v6, VF v7, VF v8, VF v9,
                         VF va, VF vb, VF vc, VF vd, VF ve, VF vf) {
  if constexpr (kRegisters == 16) {
    v0 = hn::Add(v0, v8);
    v1 = hn::Add(v1, v9);
    v2 = hn::Add(v2, va);
    v3 = hn::Add(v3, vb);
    v4 = hn::Add(v4, vc);
    v5 = hn::Add(v5, vd);
    v6 = hn::Add(v6, ve);
    v7 = hn::Add(v7, vf);
  }
  if constexpr (kRegisters >= 8) {
    v0 = hn::Add(v0, v4);
    v1 = hn::Add(v1, v5);
    v2 = hn::Add(v2, v6);
    v3 = hn::Add(v3, v7);
  }
  return hn::Add(hn::Add(v0, v2), hn::Add(v1, v3));
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_LANES64_INL_H_

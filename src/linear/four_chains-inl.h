// Linear with few outputs and many inputs: four chains of sums for each output (order.h).
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_LINEAR_FOUR_CHAINS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_LINEAR_FOUR_CHAINS_INL_H_
#undef LANEFUSE_SRC_LINEAR_FOUR_CHAINS_INL_H_
#else
#define LANEFUSE_SRC_LINEAR_FOUR_CHAINS_INL_H_
#endif

#include "hwy/cache_control.h"
#include "src/common/partition.h"
#include "src/linear/linear-inl.h"
#include "src/linear/order.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE VF JoinChains(VF c0, VF c1, VF c2, VF c3) {
  return hn::Add(hn::Add(c0, c2), hn::Add(c1, c3));
}

// One row against two vectors, all four chains at once: again eight sums in flight.
HWY_INLINE void TwoVectorsFourChains(const float* x, size_t inputs, const TileWeights& w,
                                     const TileOut& out) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* b0 = w.Vector(0);
  const float* b1 = out.cols > lanes ? w.Vector(1) : b0;
  VF c00 = hn::Zero(d), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  size_t k = 0;
  for (; k + kChains <= inputs; k += kChains) {
    const VF four = FourFactors(x + k);
    const VF a0 = Factor<0>(four, x[k]);
    const VF a1 = Factor<1>(four, x[k + 1]);
    const VF a2 = Factor<2>(four, x[k + 2]);
    const VF a3 = Factor<3>(four, x[k + 3]);
    c00 = Fma(a0, hn::LoadU(d, b0 + k * kPanel), c00);
    c01 = Fma(a0, hn::LoadU(d, b1 + k * kPanel), c01);
    c10 = Fma(a1, hn::LoadU(d, b0 + (k + 1) * kPanel), c10);
    c11 = Fma(a1, hn::LoadU(d, b1 + (k + 1) * kPanel), c11);
    c20 = Fma(a2, hn::LoadU(d, b0 + (k + 2) * kPanel), c20);
    c21 = Fma(a2, hn::LoadU(d, b1 + (k + 2) * kPanel), c21);
    c30 = Fma(a3, hn::LoadU(d, b0 + (k + 3) * kPanel), c30);
    c31 = Fma(a3, hn::LoadU(d, b1 + (k + 3) * kPanel), c31);
  }
  if (k < inputs) {
    const VF a = hn::Set(d, x[k]);
    c00 = Fma(a, hn::LoadU(d, b0 + k * kPanel), c00);
    c01 = Fma(a, hn::LoadU(d, b1 + k * kPanel), c01);
  }
  if (k + 1 < inputs) {
    const VF a = hn::Set(d, x[k + 1]);
    c10 = Fma(a, hn::LoadU(d, b0 + (k + 1) * kPanel), c10);
    c11 = Fma(a, hn::LoadU(d, b1 + (k + 1) * kPanel), c11);
  }
  if (k + 2 < inputs) {
    const VF a = hn::Set(d, x[k + 2]);
    c20 = Fma(a, hn::LoadU(d, b0 + (k + 2) * kPanel), c20);
    c21 = Fma(a, hn::LoadU(d, b1 + (k + 2) * kPanel), c21);
  }
  const VF v0 = JoinChains(c00, c10, c20, c30);
  const VF v1 = JoinChains(c01, c11, c21, c31);
  FinishRow<2>(out, Finish(out), 0, 0, v0, v1, v0, v0);
}

// One step of one row: all four chains.
HWY_INLINE void AddFourChains(const float* a, VF w0, VF w1, VF w2, VF w3, VF& c0, VF& c1, VF& c2,
                              VF& c3) {
  const VF four = FourFactors(a);
  c0 = Fma(Factor<0>(four, a[0]), w0, c0);
  c1 = Fma(Factor<1>(four, a[1]), w1, c1);
  c2 = Fma(Factor<2>(four, a[2]), w2, c2);
  c3 = Fma(Factor<3>(four, a[3]), w3, c3);
}

// The `rest` < 4 inputs behind the last step belong to the first chains.
HWY_INLINE void AddRest(const float* a, size_t rest, VF w0, VF w1, VF w2, VF& c0, VF& c1, VF& c2) {
  const DF d;
  c0 = Fma(hn::Set(d, a[0]), w0, c0);
  if (rest > 1) c1 = Fma(hn::Set(d, a[1]), w1, c1);
  if (rest > 2) c2 = Fma(hn::Set(d, a[2]), w2, c2);
}

// Four floats on, to an address of which the compiler knows nothing: it would take an index again.
HWY_INLINE void NextFour(const float*& a) {
  a += kChains;
  asm volatile("" : "+r"(a));
}

// kRows <= 6 rows against one vector, all four chains: as many sums as a wide tile has.
template <size_t kRows>
HWY_NOINLINE void FourChainTile(const float* x, size_t stride, size_t inputs, const float* b,
                                const TileOut& out) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF c00 = zero, c01 = zero, c02 = zero, c03 = zero;
  VF c10 = zero, c11 = zero, c12 = zero, c13 = zero;
  VF c20 = zero, c21 = zero, c22 = zero, c23 = zero;
  VF c30 = zero, c31 = zero, c32 = zero, c33 = zero;
  VF c40 = zero, c41 = zero, c42 = zero, c43 = zero;
  VF c50 = zero, c51 = zero, c52 = zero, c53 = zero;
  const float* a0 = x;
  const float* a1 = x + (kRows > 1 ? stride : 0);
  const float* a2 = x + (kRows > 2 ? 2 * stride : 0);
  const float* a3 = x + (kRows > 3 ? 3 * stride : 0);
  const float* a4 = x + (kRows > 4 ? 4 * stride : 0);
  const float* a5 = x + (kRows > 5 ? 5 * stride : 0);
  size_t k = 0, left = inputs;
  for (; left >= kChains; left -= kChains, b += kChains * kPanel) {
    const VF w0 = hn::LoadU(d, b);
    const VF w1 = hn::LoadU(d, b + kPanel);
    const VF w2 = hn::LoadU(d, b + 2 * kPanel);
    const VF w3 = hn::LoadU(d, b + 3 * kPanel);
    AddFourChains(a0 + k, w0, w1, w2, w3, c00, c01, c02, c03);
    if constexpr (kRows > 1) AddFourChains(a1 + k, w0, w1, w2, w3, c10, c11, c12, c13);
    if constexpr (kRows > 2) AddFourChains(a2 + k, w0, w1, w2, w3, c20, c21, c22, c23);
    if constexpr (kRows > 3) AddFourChains(a3 + k, w0, w1, w2, w3, c30, c31, c32, c33);
    if constexpr (kRows > 4) AddFourChains(a4 + k, w0, w1, w2, w3, c40, c41, c42, c43);
    if constexpr (kRows > 5) AddFourChains(a5 + k, w0, w1, w2, w3, c50, c51, c52, c53);
    if constexpr (kBroadcastOperands) {
      // An operand in memory that has an index is a micro-operation of its own, so each row has a
      // pointer.
      NextFour(a0);
      if constexpr (kRows > 1) NextFour(a1);
      if constexpr (kRows > 2) NextFour(a2);
      if constexpr (kRows > 3) NextFour(a3);
      if constexpr (kRows > 4) NextFour(a4);
      if constexpr (kRows > 5) NextFour(a5);
    } else {
      k += kChains;
    }
  }
  if (left != 0) {
    const VF w0 = hn::LoadU(d, b);
    const VF w1 = hn::LoadU(d, b + (left > 1 ? kPanel : 0));
    const VF w2 = hn::LoadU(d, b + (left > 2 ? 2 * kPanel : 0));
    AddRest(a0 + k, left, w0, w1, w2, c00, c01, c02);
    if constexpr (kRows > 1) AddRest(a1 + k, left, w0, w1, w2, c10, c11, c12);
    if constexpr (kRows > 2) AddRest(a2 + k, left, w0, w1, w2, c20, c21, c22);
    if constexpr (kRows > 3) AddRest(a3 + k, left, w0, w1, w2, c30, c31, c32);
    if constexpr (kRows > 4) AddRest(a4 + k, left, w0, w1, w2, c40, c41, c42);
    if constexpr (kRows > 5) AddRest(a5 + k, left, w0, w1, w2, c50, c51, c52);
  }
  const VF v0 = JoinChains(c00, c01, c02, c03);
  const VF v1 = JoinChains(c10, c11, c12, c13);
  const VF v2 = JoinChains(c20, c21, c22, c23);
  const VF v3 = JoinChains(c30, c31, c32, c33);
  const VF v4 = JoinChains(c40, c41, c42, c43);
  const VF v5 = JoinChains(c50, c51, c52, c53);
  FinishColumns<kRows, 1>(out, Finish(out), 0, 0, v0, v0, v1, v1, v2, v2, v3, v3, v4, v4, v5, v5);
}

// The same where registers are few: kRows <= 3 rows against kVectors <= 2 vectors, two chains at a
// time. Chains `first` and first + 2, added.
template <size_t kRows, size_t kVectors>
HWY_INLINE void TwoChains(const float* a0, const float* a1, const float* a2, const float* b0,
                          const float* b1, size_t inputs, size_t first, VF& s00, VF& s01, VF& s10,
                          VF& s11, VF& s20, VF& s21) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF c00 = zero, c01 = zero, c10 = zero, c11 = zero, c20 = zero, c21 = zero;
  VF e00 = zero, e01 = zero, e10 = zero, e11 = zero, e20 = zero, e21 = zero;
  const auto step = [&](size_t k, VF& d00, VF& d01, VF& d10, VF& d11, VF& d20, VF& d21) HWY_ATTR {
    hwy::Prefetch(b0 + (k + kTwoChainsAhead) * kPanel);  // every second line: no stream to follow
    const VF w0 = hn::LoadU(d, b0 + k * kPanel);
    const VF w1 = hn::LoadU(d, b1 + k * kPanel);
    MulAddRow<kVectors>(hn::Set(d, a0[k]), w0, w1, w1, w1, d00, d01, d01, d01);
    if constexpr (kRows > 1)
      MulAddRow<kVectors>(hn::Set(d, a1[k]), w0, w1, w1, w1, d10, d11, d11, d11);
    if constexpr (kRows > 2)
      MulAddRow<kVectors>(hn::Set(d, a2[k]), w0, w1, w1, w1, d20, d21, d21, d21);
  };
  size_t k = first;
  for (; k + 2 < inputs; k += kChains) {
    step(k, c00, c01, c10, c11, c20, c21);
    step(k + 2, e00, e01, e10, e11, e20, e21);
  }
  if (k < inputs) step(k, c00, c01, c10, c11, c20, c21);
  s00 = hn::Add(c00, e00);
  s01 = hn::Add(c01, e01);
  s10 = hn::Add(c10, e10);
  s11 = hn::Add(c11, e11);
  s20 = hn::Add(c20, e20);
  s21 = hn::Add(c21, e21);
}

template <size_t kRows, size_t kVectors>
HWY_NOINLINE void FourChainNarrowTile(const float* x, size_t stride, size_t inputs,
                                      const TileWeights& w, const TileOut& out) {
  const float* a1 = x + (kRows > 1 ? stride : 0);
  const float* a2 = x + (kRows > 2 ? 2 * stride : 0);
  const float* b0 = w.Vector(0);
  const float* b1 = w.Vector(kVectors > 1 ? 1 : 0);
  VF s00, s01, s10, s11, s20, s21, t00, t01, t10, t11, t20, t21;
  TwoChains<kRows, kVectors>(x, a1, a2, b0, b1, inputs, 0, s00, s01, s10, s11, s20, s21);
  TwoChains<kRows, kVectors>(x, a1, a2, b0, b1, inputs, 1, t00, t01, t10, t11, t20, t21);
  const VF v00 = hn::Add(s00, t00);
  FinishColumns<kRows, kVectors>(out, Finish(out), 0, 0, v00, hn::Add(s01, t01), hn::Add(s10, t10),
                                 hn::Add(s11, t11), hn::Add(s20, t20), hn::Add(s21, t21), v00, v00,
                                 v00, v00, v00, v00);
}

// A tile of at most kRowTileFourChains rows and kVectorTileFourChains vectors.
template <size_t kRows>
HWY_INLINE void FourChainRows(const float* x, size_t stride, size_t inputs, const TileWeights& w,
                              const TileOut& out) {
  if constexpr (kVectorTileFourChains == 1) {
    FourChainTile<kRows>(x, stride, inputs, w.Vector(0), out);
  } else if (out.cols > hn::Lanes(DF())) {
    FourChainNarrowTile<std::min(kRows, kRowTileFourChains), 2>(x, stride, inputs, w, out);
  } else {
    FourChainNarrowTile<std::min(kRows, kRowTileFourChains), 1>(x, stride, inputs, w, out);
  }
}

HWY_INLINE void RunFourChainTile(size_t rows, const float* x, size_t stride, size_t inputs,
                                 const TileWeights& w, const TileOut& out) {
  if (rows == 1) return FourChainRows<1>(x, stride, inputs, w, out);
  if (rows == 2) return FourChainRows<2>(x, stride, inputs, w, out);
  if (rows == 4) return FourChainRows<4>(x, stride, inputs, w, out);
  if constexpr (!kSmallCode) {
    if (rows == 3) return FourChainRows<3>(x, stride, inputs, w, out);
    if (rows == 5) return FourChainRows<5>(x, stride, inputs, w, out);
  }
  return FourChainRows<kRowTile>(x, stride, inputs, w, out);
}

// Few outputs, many inputs (src/linear/order.h).
HWY_NOINLINE void LinearFourChains(const LinearArgs& args, size_t m0, size_t m1, size_t n0,
                                   size_t n1) {
  const size_t lanes = hn::Lanes(DF());
  if (m1 - m0 == 1 && lanes != kPanel) {
    const size_t width = 2 * lanes;
    for (size_t n = n0; n < n1; n += width) {
      TwoVectorsFourChains(args.x + m0 * args.x_stride, args.inputs, LinearWeights(args, n),
                           LinearOut(args, m0, n, std::min(width, n1 - n)));
    }
    return;
  }
  const size_t tiles = (m1 - m0 + kRowTileFourChains - 1) / kRowTileFourChains;
  const size_t width = kVectorTileFourChains * lanes;
  size_t m = m0;
  for (size_t t = 0; m < m1; ++t) {
    // Tiles of nearly equal height, or, where there are few heights, the next that fits.
    const size_t rows = kSmallCode ? PieceOf(std::min(m1 - m, kRowTileFourChains))
                                   : PartRange(m1 - m0, tiles, t).size();
    for (size_t n = n0; n < n1; n += width) {
      RunFourChainTile(rows, args.x + m * args.x_stride, args.x_stride, args.inputs,
                       LinearWeights(args, n), LinearOut(args, m, n, std::min(width, n1 - n)));
    }
    m += rows;
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_LINEAR_FOUR_CHAINS_INL_H_

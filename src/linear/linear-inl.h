// The loops of Linear around the register tile.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_LINEAR_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_LINEAR_LINEAR_INL_H_
#undef LANEFUSE_SRC_LINEAR_LINEAR_INL_H_
#else
#define LANEFUSE_SRC_LINEAR_LINEAR_INL_H_
#endif

#include "src/common/tile-inl.h"
#include "src/linear/linear_args.h"
#include "src/linear/order.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE TileOut LinearOut(const LinearArgs& args, size_t m, size_t n, size_t cols) {
  return {
      args.chain, {.pixel = m, .channel = n}, args.y + m * args.y_stride + n, args.y_stride, cols};
}

HWY_INLINE TileWeights LinearWeights(const LinearArgs& args, size_t n) {
  const size_t panel_stride = args.inputs * kPanel;
  return {args.panels + n / kPanel * panel_stride + n % kPanel, panel_stride};
}

HWY_INLINE Taps LinearTaps(const LinearArgs& args, size_t m) {
  Taps taps;
  taps.length = taps.chunk = args.inputs;
  taps.data = args.x + m * args.x_stride;
  taps.stride = args.x_stride;
  return taps;
}

template <size_t kVectors, size_t kVector>
HWY_INLINE void AddVector(VF a, const float* w, VF& sum) {
  if constexpr (kVector < kVectors) sum = Fma(a, hn::LoadU(DF(), w), sum);
}

template <size_t kVectors, size_t kVector>
HWY_INLINE void FinishOf(const Finish& finish, bool full, VF v) {
  if constexpr (kVector < kVectors) {
    const size_t c = kVector * hn::Lanes(DF());
    if (HWY_LIKELY(full)) {
      FinishVector<true>(finish, 0, c, v);
    } else {
      FinishVector<false>(finish, 0, c, v);
    }
  }
}

// One row of x against up to eight vectors of outputs: eight chains hide the latency, and as many
// streams of weights keep the prefetchers busy.
template <size_t kVectors>
HWY_NOINLINE void OneRow(const float* x, size_t inputs, const TileWeights& w, const TileOut& out) {
  const DF d;
  const float* b0 = w.Vector(0);
  const float* b1 = w.Vector(kVectors > 1 ? 1 : 0);
  const float* b2 = w.Vector(kVectors > 2 ? 2 : 0);
  const float* b3 = w.Vector(kVectors > 3 ? 3 : 0);
  const float* b4 = w.Vector(kVectors > 4 ? 4 : 0);
  const float* b5 = w.Vector(kVectors > 5 ? 5 : 0);
  const float* b6 = w.Vector(kVectors > 6 ? 6 : 0);
  const float* b7 = w.Vector(kVectors > 7 ? 7 : 0);
  VF c0 = hn::Zero(d), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0;
#pragma GCC unroll 4
  for (size_t k = 0; k < inputs; ++k) {
    const VF a = hn::Set(d, x[k]);
    AddVector<kVectors, 0>(a, b0 + k * kPanel, c0);
    AddVector<kVectors, 1>(a, b1 + k * kPanel, c1);
    AddVector<kVectors, 2>(a, b2 + k * kPanel, c2);
    AddVector<kVectors, 3>(a, b3 + k * kPanel, c3);
    AddVector<kVectors, 4>(a, b4 + k * kPanel, c4);
    AddVector<kVectors, 5>(a, b5 + k * kPanel, c5);
    AddVector<kVectors, 6>(a, b6 + k * kPanel, c6);
    AddVector<kVectors, 7>(a, b7 + k * kPanel, c7);
  }
  const size_t lanes = hn::Lanes(d);
  if (out.chain->in_registers) {
    const Finish finish(out);
    const bool full = out.cols == kVectors * lanes;
    FinishOf<kVectors, 0>(finish, full, c0);
    FinishOf<kVectors, 1>(finish, full, c1);
    FinishOf<kVectors, 2>(finish, full, c2);
    FinishOf<kVectors, 3>(finish, full, c3);
    FinishOf<kVectors, 4>(finish, full, c4);
    FinishOf<kVectors, 5>(finish, full, c5);
    FinishOf<kVectors, 6>(finish, full, c6);
    FinishOf<kVectors, 7>(finish, full, c7);
    return;
  }
  HWY_ALIGN float tile[8 * kPanel];
  StoreRow<4>(tile, 0, c0, c1, c2, c3);
  StoreRow<4>(tile, 1, c4, c5, c6, c7);
  FinishTile(out, 1, tile, 8 * lanes);
}

HWY_INLINE void RunOneRow(size_t vectors, const float* x, size_t inputs, const TileWeights& w,
                          const TileOut& out) {
  switch (vectors) {
    case 1:
      return OneRow<1>(x, inputs, w, out);
    case 2:
      return OneRow<2>(x, inputs, w, out);
    case 3:
      return OneRow<3>(x, inputs, w, out);
    case 4:
      return OneRow<4>(x, inputs, w, out);
    case 5:
      return OneRow<5>(x, inputs, w, out);
    case 6:
      return OneRow<6>(x, inputs, w, out);
    case 7:
      return OneRow<7>(x, inputs, w, out);
    default:
      return OneRow<8>(x, inputs, w, out);
  }
}

HWY_NOINLINE void LinearOneChain(const LinearArgs& args, size_t m0, size_t m1, size_t n0,
                                 size_t n1) {
  const size_t lanes = hn::Lanes(DF());
  const size_t rows = m1 - m0;
  size_t n = n0;
  if (rows == 1) {
    const float* x = args.x + m0 * args.x_stride;
    const size_t width = kVectorTileOneRow * lanes;
    for (; n < n1; n += width) {
      const size_t cols = std::min(width, n1 - n);
      RunOneRow((cols + lanes - 1) / lanes, x, args.inputs, LinearWeights(args, n),
                LinearOut(args, m0, n, cols));
    }
    return;
  }
  // Rows in tiles of nearly equal height: 7 rows are 4 + 3, not 6 + 1. Small calls must not pay for
  // the two divisions.
  const size_t tiles = (rows + kRowTile - 1) / kRowTile;
  const size_t height = tiles <= 1 ? rows : rows / tiles;
  const size_t higher = rows - height * tiles;  // tiles with one row more
  size_t width = VectorsFor(height + (higher != 0 ? 1 : 0)) * lanes;
  // A block of weights that would not stay in L2 while all rows pass is halved.
  if (tiles > 1 && args.inputs * width * sizeof(float) > args.large_weights && width > kPanel) {
    width /= 2;
  }
  for (; n < n1; n += width) {
    const TileWeights weights = LinearWeights(args, n);
    const size_t cols = std::min(width, n1 - n);
    for (size_t m = m0, t = 0; t < tiles; ++t) {
      const size_t count = height + (t < higher ? 1 : 0);
      RunTile(count, LinearTaps(args, m), weights, LinearOut(args, m, n, cols));
      m += count;
    }
  }
}

// (chain 0 + chain 2) + (chain 1 + chain 3) over `count` sums of each chain.
HWY_INLINE void JoinChains(float* sums, size_t count) {
  const DF d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const VF even = hn::Add(hn::LoadU(d, sums + i), hn::LoadU(d, sums + 2 * count + i));
    const VF odd = hn::Add(hn::LoadU(d, sums + count + i), hn::LoadU(d, sums + 3 * count + i));
    hn::StoreU(hn::Add(even, odd), d, sums + i);
  }
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
    const VF a0 = hn::Set(d, x[k]);
    const VF a1 = hn::Set(d, x[k + 1]);
    const VF a2 = hn::Set(d, x[k + 2]);
    const VF a3 = hn::Set(d, x[k + 3]);
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
  HWY_ALIGN float tile[2 * kPanel];
  const VF v0 = hn::Add(hn::Add(c00, c20), hn::Add(c10, c30));
  const VF v1 = hn::Add(hn::Add(c01, c21), hn::Add(c11, c31));
  StoreRow<2>(tile, 0, v0, v1, v0, v0);
  FinishTile(out, 1, tile, 2 * lanes);
}

// Few outputs, many inputs (src/linear/order.h). With several rows each chain is one pass of the
// tile over every fourth k; a pass reads other lines of the weights than its neighbours.
// Not inlined: its buffer is 3 KiB of stack.
HWY_NOINLINE void LinearFourChains(const LinearArgs& args, size_t m0, size_t m1, size_t n0,
                                   size_t n1) {
  const size_t lanes = hn::Lanes(DF());
  const size_t width = 2 * lanes;
  const size_t tiles = (m1 - m0 + kRowTile - 1) / kRowTile;
  HWY_ALIGN float sums[kChains * kRowTile * 2 * kPanel];
  for (size_t n = n0; n < n1; n += width) {
    const TileWeights weights = LinearWeights(args, n);
    const size_t cols = std::min(width, n1 - n);
    if (m1 - m0 == 1) {
      TwoVectorsFourChains(args.x + m0 * args.x_stride, args.inputs, weights,
                           LinearOut(args, m0, n, cols));
      continue;
    }
    const size_t vectors = cols > lanes ? 2 : 1;
    for (size_t t = 0; t < tiles; ++t) {
      const Range range = PartRange(m1 - m0, tiles, t);
      const size_t rows = range.end - range.begin;
      const size_t m = m0 + range.begin;
      const TileOut out = LinearOut(args, m, n, cols);
      const size_t count = rows * vectors * lanes;
      for (size_t chain = 0; chain < kChains; ++chain) {
        Taps taps = LinearTaps(args, m);
        taps.data += chain;
        taps.length = taps.chunk = args.inputs - chain;
        const TileWeights from{weights.first + chain * kPanel, weights.panel_stride};
        float* to = sums + chain * count;
        if (vectors == 2) {
          TileRows<2, kChains>(rows, taps, from, out, to);
        } else {
          TileRows<1, kChains>(rows, taps, from, out, to);
        }
      }
      JoinChains(sums, count);
      FinishTile(out, rows, sums, vectors * lanes);
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_LINEAR_LINEAR_INL_H_

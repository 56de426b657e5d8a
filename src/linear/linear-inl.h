// The loops of Linear around the register tile.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_LINEAR_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_LINEAR_LINEAR_INL_H_
#undef LANEFUSE_SRC_LINEAR_LINEAR_INL_H_
#else
#define LANEFUSE_SRC_LINEAR_LINEAR_INL_H_
#endif

#include "src/common/divide.h"
#include "src/common/run_tiles-inl.h"
#include "src/common/tall_tile-inl.h"
#include "src/linear/linear_args.h"

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

HWY_INLINE Taps LinearTaps(const LinearArgs& args, size_t m, size_t rows) {
  Taps taps;
  taps.length = args.inputs;
  taps.data = args.x + m * args.x_stride;
  taps.stride = args.x_stride;
  taps.tile_step = rows * args.x_stride;
  return taps;
}

template <size_t kVectors, size_t kVector>
HWY_INLINE void AddVector(VF a, const float* w, VF& sum) {
  if constexpr (kVector < kVectors) sum = Fma(a, hn::LoadU(DF(), w), sum);
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
  const auto step = [&](VF a, size_t k) HWY_ATTR __attribute__((always_inline)) {
    AddVector<kVectors, 0>(a, b0 + k * kPanel, c0);
    AddVector<kVectors, 1>(a, b1 + k * kPanel, c1);
    AddVector<kVectors, 2>(a, b2 + k * kPanel, c2);
    AddVector<kVectors, 3>(a, b3 + k * kPanel, c3);
    AddVector<kVectors, 4>(a, b4 + k * kPanel, c4);
    AddVector<kVectors, 5>(a, b5 + k * kPanel, c5);
    AddVector<kVectors, 6>(a, b6 + k * kPanel, c6);
    AddVector<kVectors, 7>(a, b7 + k * kPanel, c7);
  };
  size_t k = 0;
  if constexpr (kLaneFactors) {
    for (; k + 4 <= inputs; k += 4) {
      const VF four = FourFactors(x + k);
      step(Factor<0>(four, x[k]), k);
      step(Factor<1>(four, x[k + 1]), k + 1);
      step(Factor<2>(four, x[k + 2]), k + 2);
      step(Factor<3>(four, x[k + 3]), k + 3);
    }
  }
#pragma GCC unroll kTileUnroll
  for (; k < inputs; ++k) step(hn::Set(d, x[k]), k);
  const Finish finish(out);
  FinishRow<std::min<size_t>(4, kVectors)>(out, finish, 0, 0, c0, c1, c2, c3);
  if constexpr (kVectors > 4) {
    FinishRow<kVectors - 4>(out, finish, 0, 4 * hn::Lanes(d), c4, c5, c6, c7);
  }
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

// `count` tiles of `rows` rows each, from row m on. `own`: they ask for their own weights.
HWY_NOINLINE inline void LinearTiles(const LinearArgs& args, bool own, size_t rows, size_t m,
                                     const TileWeights& weights, const TileOut& out, size_t count) {
  const Taps taps = LinearTaps(args, m, rows);
  if (kAskOwn && own) return RunTiles<Source::kRuns>(rows, taps, weights, out, count);
  RunTiles<kOneRun>(rows, taps, weights, out, count);
}

// A block of weights after the other, each with all rows.
HWY_NOINLINE inline void LinearBlocks(const LinearArgs& args, size_t m0, size_t m1, size_t n0,
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
  // Rows in tiles of nearly equal height: 7 rows are 4 + 3, not 6 + 1 (or 5 + 2). Small calls must
  // not pay for the two divisions.
  const size_t tiles = QuotientUp(rows, kRowTile);
  const size_t height = tiles <= 1 ? rows : Quotient(rows, tiles);
  const size_t higher = rows - height * tiles;  // tiles with one row more
  size_t width = VectorsFor(height + (higher != 0 ? 1 : 0)) * lanes;
  // A block of weights that would not stay in L2 while all rows pass is halved.
  if (tiles > 1 && args.inputs * width * sizeof(float) > args.large_weights && width > kPanel) {
    width /= 2;
  }
  // Where the weights do not stay in L2, tiles of full height ask for the next block while this one
  // does; where L2 has no room for both, or such tiles are too few, tiles ask for their own.
  constexpr size_t kMinAskingTiles = 4;  // a block of AVX512 has as many panels
  const size_t depth_bytes = args.inputs * sizeof(float);
  const bool far = depth_bytes * (n1 - n0) > args.large_weights;
  const bool large = depth_bytes * 2 * width > args.large_weights;
  const bool few = tiles < kMinAskingTiles || height + (higher != 0 ? 1 : 0) < kRowTile;
  const bool own = kAskOwn && (large || (far && few));
  const bool asks = kPrefetchNext && far && !large && !own;
  for (; n < n1; n += width) {
    TileWeights weights = LinearWeights(args, n);
    const size_t cols = std::min(width, n1 - n);
    if constexpr (kTallTiles) {
      if (LastIsTall(rows, cols, args.inputs)) {
        return RunTallRows<VF>(rows, LinearTaps(args, m0, rows), weights,
                               LinearOut(args, m0, n, cols));
      }
    }
    if (asks && n + cols < n1) {
      weights.SetNext(LinearWeights(args, n + cols).first, std::min(width, n1 - n - cols));
    }
    if (higher != 0) {
      LinearTiles(args, own, height + 1, m0, weights, LinearOut(args, m0, n, cols), higher);
    }
    if (higher != tiles) {
      const size_t m = m0 + higher * (height + 1);
      LinearTiles(args, own, height, m, weights, LinearOut(args, m, n, cols), tiles - higher);
    }
  }
}

// Shallow sums whose outputs are more than L2 holds take as long as their stores, and those of a
// block lie a row apart. With a few rows at a time neighbouring lines leave L2 one after the other:
// 768x17 to 2048 outputs takes 0.76 (AVX2) and 0.84 (AVX512) of the time, 1024x16 to 1000 0.99 and
// 0.61. 512x128 to 3072 would take 1.03, fewer outputs 0.93 to 1.08.
HWY_NOINLINE inline void LinearOneChain(const LinearArgs& args, size_t m0, size_t m1, size_t n0,
                                        size_t n1) {
  constexpr size_t kRows = 8 * kRowTile, kShallow = 64;
  constexpr size_t kLeastOutputs = kVectorRegisters == 32 ? 256 : 1000;
  const size_t outputs = n1 - n0;
  if (kSmallCode || args.inputs > kShallow || outputs < kLeastOutputs ||
      (m1 - m0) * outputs <= args.large_weights / sizeof(float)) {
    return LinearBlocks(args, m0, m1, n0, n1);
  }
  for (size_t end; m0 < m1; m0 = end) {
    end = std::min(m0 + kRows, m1);
    LinearBlocks(args, m0, end, n0, n1);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_LINEAR_LINEAR_INL_H_

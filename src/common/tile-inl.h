// The register tile behind Linear and Conv2d: rows x vectors of sums over taps and channels.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_TILE_INL_H_
#undef LANEFUSE_SRC_COMMON_TILE_INL_H_
#else
#define LANEFUSE_SRC_COMMON_TILE_INL_H_
#endif

#include <algorithm>

#include "arch/tiles-inl.h"
#include "hwy/cache_control.h"
#include "src/common/ops-inl.h"
#include "src/common/runs.h"
#include "src/common/taps.h"
#include "src/common/weights-inl.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

template <size_t kVectors>
HWY_INLINE void MulAddRow(VF a, VF w0, VF w1, VF w2, VF w3, VF& c0, VF& c1, VF& c2, VF& c3) {
  c0 = Fma(a, w0, c0);
  if constexpr (kVectors > 1) c1 = Fma(a, w1, c1);
  if constexpr (kVectors > 2) c2 = Fma(a, w2, c2);
  if constexpr (kVectors > 3) c3 = Fma(a, w3, c3);
}

// Inputs of a row, four of them or one, where a multiply-add picks its factor out of a vector.
HWY_INLINE VF FourFactors(const float* a) {
  if constexpr (kLaneFactors) return hn::LoadU(DF(), a);
  return hn::Zero(DF());
}
HWY_INLINE VF OneFactor(const float* a) {
  if constexpr (kLaneFactors) return hn::Set(DF(), *a);
  return hn::Zero(DF());
}

// Input `a`, which is lane kLane of `factors`, in all lanes.
template <int kLane>
HWY_INLINE VF Factor(VF factors, const float& a) {
  if constexpr (kLaneFactors) return hn::BroadcastLane<kLane>(factors);
  return hn::Set(DF(), a);
}

template <int kLane>
struct Lane {};

// Asks for the operand that a tile adds at its end.
template <size_t kRows>
HWY_INLINE void PrefetchOperand(const Finish& f) {
  if constexpr (kPrefetchOperand) {
    if (f.add == nullptr) return;
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t c = 0; c < f.cols; c += kPanel) hwy::Prefetch(f.add + r * f.add_stride + c);
    }
  }
}

// Whether one of the sums, kRows rows of kVectors, holds -0, which is the least integer.
template <size_t kRows, size_t kVectors>
HWY_INLINE bool AnyNegativeZero(VF c00, VF c01, VF c02, VF c03, VF c10, VF c11, VF c12, VF c13,
                                VF c20, VF c21, VF c22, VF c23, VF c30, VF c31, VF c32, VF c33,
                                VF c40, VF c41, VF c42, VF c43, VF c50, VF c51, VF c52, VF c53) {
  const hn::RebindToSigned<DF> di;
  auto least = hn::BitCast(di, c00);
  const auto meet = [&](VF v) HWY_ATTR { least = hn::Min(least, hn::BitCast(di, v)); };
  const auto row = [&](VF c0, VF c1, VF c2, VF c3) HWY_ATTR {
    meet(c0);
    if constexpr (kVectors > 1) meet(c1);
    if constexpr (kVectors > 2) meet(c2);
    if constexpr (kVectors > 3) meet(c3);
  };
  row(c00, c01, c02, c03);
  if constexpr (kRows > 1) row(c10, c11, c12, c13);
  if constexpr (kRows > 2) row(c20, c21, c22, c23);
  if constexpr (kRows > 3) row(c30, c31, c32, c33);
  if constexpr (kRows > 4) row(c40, c41, c42, c43);
  if constexpr (kRows > 5) row(c50, c51, c52, c53);
  const auto lowest = hn::Set(di, hwy::LimitsMin<int32_t>());
  return !hn::AllFalse(di, hn::Eq(least, lowest));
}

// Where the inputs of a row come from: taps.runs, for one tile; a run of memory for each of
// kernel_h tap rows; or one run, whose loop has fewer addresses to keep.
enum class Source : uint8_t { kTable, kRuns, kRun };
constexpr Source kOneRun = kSmallCode ? Source::kRuns : Source::kRun;

// `count` tiles below each other, each of kRows <= 6 rows and kVectors <= 4 vectors, or up to 8
// rows of one vector. Named accumulators, because SVE vectors cannot be array elements; rows 6 and
// 7 have the second ones of rows 0 and 1. kAsks: each of them asks for a part of what is at
// weights.next. Of one run otherwise for nothing, of others for its own weights.
template <size_t kRows, size_t kVectors, Source kSource, bool kAsks = false>
LANEFUSE_ONE_COPY HWY_NOINLINE void Tiles(const Taps& taps, const TileWeights& weights,
                                          const TileOut& out, size_t count) {
  const DF d;
  const VF zero = hn::Zero(d);
  const float* data = taps.data;
  // Copies, where they save time: a store to the output might change a member, for all that the
  // compiler knows, and it would look again for each tile.
  constexpr bool kKeep = kSource == Source::kRun;
  const size_t kept_length = taps.length;
  const size_t kept_stride = taps.stride;
  const size_t kept_step = taps.tile_step;
  const float* const kept0 = weights.Vector(0);
  const float* const kept1 = weights.Vector(kVectors > 1 ? 1 : 0);
  const float* const kept2 = weights.Vector(kVectors > 2 ? 2 : 0);
  const float* const kept3 = weights.Vector(kVectors > 3 ? 3 : 0);
  Finish finish(out);
  size_t tile = 0;
  do {
    PrefetchOperand<kRows>(finish);
    VF c00 = zero, c01 = zero, c02 = zero, c03 = zero;
    VF c10 = zero, c11 = zero, c12 = zero, c13 = zero;
    VF c20 = zero, c21 = zero, c22 = zero, c23 = zero;
    VF c30 = zero, c31 = zero, c32 = zero, c33 = zero;
    VF c40 = zero, c41 = zero, c42 = zero, c43 = zero;
    VF c50 = zero, c51 = zero, c52 = zero, c53 = zero;
    const float* b0 = kKeep ? kept0 : weights.Vector(0);
    const float* b1 = kKeep ? kept1 : weights.Vector(kVectors > 1 ? 1 : 0);
    const float* b2 = kKeep ? kept2 : weights.Vector(kVectors > 2 ? 2 : 0);
    const float* b3 = kKeep ? kept3 : weights.Vector(kVectors > 3 ? 3 : 0);
    const float* next = kAsks ? weights.next + tile * weights.Part() : nullptr;
    const auto pass = [&](size_t steps) HWY_ATTR __attribute__((always_inline)) {
      b0 += steps * kPanel;
      b1 += steps * kPanel;
      b2 += steps * kPanel;
      b3 += steps * kPanel;
    };
    const auto run = [&](const float* a0, const float* a1, const float* a2, const float* a3,
                         const float* a4, const float* a5, const float* a6, const float* a7,
                         size_t steps) HWY_ATTR __attribute__((always_inline)) {
      // Step k, whose inputs are lanes kLane of x0 to x5.
      const auto step = [&]<int kLane>(Lane<kLane>, size_t k, VF x0, VF x1, VF x2, VF x3, VF x4,
                                       VF x5) HWY_ATTR __attribute__((always_inline)) {
        const VF v0 = hn::LoadU(d, b0 + k * kPanel);
        const VF v1 = kVectors > 1 ? hn::LoadU(d, b1 + k * kPanel) : zero;
        const VF v2 = kVectors > 2 ? hn::LoadU(d, b2 + k * kPanel) : zero;
        const VF v3 = kVectors > 3 ? hn::LoadU(d, b3 + k * kPanel) : zero;
        if constexpr (kSmallCode || kSource != Source::kRun) {
          PrefetchWeights<kRows, kVectors>(b0 + k * kPanel, b1 + k * kPanel, b2 + k * kPanel,
                                           b3 + k * kPanel);
        }
        const auto row = [&](const float* a, VF x, VF& c0, VF& c1, VF& c2, VF& c3) HWY_ATTR
            __attribute__((always_inline)) {
          MulAddRow<kVectors>(Factor<kLane>(x, a[k]), v0, v1, v2, v3, c0, c1, c2, c3);
        };
        row(a0, x0, c00, c01, c02, c03);
        if constexpr (kRows > 1) row(a1, x1, c10, c11, c12, c13);
        if constexpr (kRows > 2) row(a2, x2, c20, c21, c22, c23);
        if constexpr (kRows > 3) row(a3, x3, c30, c31, c32, c33);
        if constexpr (kRows > 4) row(a4, x4, c40, c41, c42, c43);
        if constexpr (kRows > 5) row(a5, x5, c50, c51, c52, c53);
        if constexpr (kRows > 6) c01 = Fma(hn::Set(d, a6[k]), v0, c01);
        if constexpr (kRows > 7) c11 = Fma(hn::Set(d, a7[k]), v0, c11);
      };
      size_t k = 0;
      if constexpr (kLaneFactors) {
        for (; k + 4 <= steps; k += 4) {
          const VF x0 = FourFactors(a0 + k);
          const VF x1 = kRows > 1 ? FourFactors(a1 + k) : x0;
          const VF x2 = kRows > 2 ? FourFactors(a2 + k) : x0;
          const VF x3 = kRows > 3 ? FourFactors(a3 + k) : x0;
          const VF x4 = kRows > 4 ? FourFactors(a4 + k) : x0;
          const VF x5 = kRows > 5 ? FourFactors(a5 + k) : x0;
          step(Lane<0>(), k, x0, x1, x2, x3, x4, x5);
          step(Lane<1>(), k + 1, x0, x1, x2, x3, x4, x5);
          step(Lane<2>(), k + 2, x0, x1, x2, x3, x4, x5);
          step(Lane<3>(), k + 3, x0, x1, x2, x3, x4, x5);
        }
      }
      if constexpr (kBroadcastOperands && kVectors == 1) {
        // A multiply-add whose operand in memory has an index is two micro-operations instead of
        // one. So each row has a pointer of its own, of which the compiler knows nothing.
        for (; steps >= 4; steps -= 4) {
          step(Lane<0>(), 0, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), 1, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), 2, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), 3, zero, zero, zero, zero, zero, zero);
          pass(4);
          const auto on = [](const float*& a) HWY_ATTR {
            a += 4;
            asm volatile("" : "+r"(a));
          };
          on(a0);
          if constexpr (kRows > 1) on(a1);
          if constexpr (kRows > 2) on(a2);
          if constexpr (kRows > 3) on(a3);
          if constexpr (kRows > 4) on(a4);
          if constexpr (kRows > 5) on(a5);
          if constexpr (kRows > 6) on(a6);
          if constexpr (kRows > 7) on(a7);
        }
      }
      if constexpr (kAsks) {
        for (; k + 4 <= steps; k += 4) {
          for (size_t i = 0; i < 4; i += kAskEvery, next += kPanel) PrefetchToL2(next);
          step(Lane<0>(), k, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), k + 1, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), k + 2, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), k + 3, zero, zero, zero, zero, zero, zero);
        }
      }
#pragma GCC unroll kTileUnroll
      for (; k < steps; ++k) {
        step(Lane<0>(), k, OneFactor(a0 + k), OneFactor(a1 + k), OneFactor(a2 + k),
             OneFactor(a3 + k), OneFactor(a4 + k), OneFactor(a5 + k));
      }
      pass(steps);
    };
    if constexpr (kSource == Source::kTable) {
      RunTable& table = *taps.runs;
      table.Rewind();
      do {
        for (size_t i = 0; i < table.runs(); ++i) {
          const float* const* row = table.rows(i) + taps.first;
          const size_t at = taps.offset;
          if constexpr (!kSmallCode) pass(table.left_out(i));
          run(row[0] + at, row[kRows > 1 ? 1 : 0] + at, row[kRows > 2 ? 2 : 0] + at,
              row[kRows > 3 ? 3 : 0] + at, row[kRows > 4 ? 4 : 0] + at, row[kRows > 5 ? 5 : 0] + at,
              row[kRows > 6 ? 6 : 0] + at, row[kRows > 7 ? 7 : 0] + at, table.length(i));
        }
      } while (table.Next());
      if constexpr (!kSmallCode) {
        if (table.LeftOut()) {
          constexpr size_t kOnes = std::min<size_t>(kRows, 6);
          const bool again =
              AnyNegativeZero<kOnes, kVectors>(c00, c01, c02, c03, c10, c11, c12, c13, c20, c21,
                                               c22, c23, c30, c31, c32, c33, c40, c41, c42, c43,
                                               c50, c51, c52, c53) ||
              (kRows > 6 &&
               AnyNegativeZero<2, 1>(c01, zero, zero, zero, kRows > 7 ? c11 : zero, zero, zero,
                                     zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
                                     zero, zero, zero, zero, zero, zero, zero));
          if (again) {
            table.KeepPadding();
            --tile;  // once more
            continue;
          }
        }
      }
    } else {
      const float* a = data;
      const size_t stride = kKeep ? kept_stride : taps.stride;
      const size_t length = kKeep ? kept_length : taps.length;
      const size_t kernel_h = kSource == Source::kRun ? 1 : taps.kernel_h;
      for (size_t ky = 0; ky < kernel_h; ++ky, a += taps.step_h) {
        run(a, a + (kRows > 1 ? stride : 0), a + (kRows > 2 ? 2 * stride : 0),
            a + (kRows > 3 ? 3 * stride : 0), a + (kRows > 4 ? 4 * stride : 0),
            a + (kRows > 5 ? 5 * stride : 0), a + (kRows > 6 ? 6 * stride : 0),
            a + (kRows > 7 ? 7 * stride : 0), length);
      }
      data += kKeep ? kept_step : taps.tile_step;
    }

    // Only tiles that look up addresses can afford a call at their end.
    constexpr bool kSmall = kSmallCode || (kSource == Source::kTable && kVectors > 2);
    constexpr bool kCall = !kSmallCode && kVectors == 1 && kSource == Source::kTable;
    constexpr size_t kFirst = std::min<size_t>(kRows, 6);
    if constexpr (kCall) {
      FinishOneVector<kFirst>(out, finish, tile * kRows, 0, c00, c10, c20, c30, c40, c50);
    } else {
      FinishRows<kFirst, kVectors, kSmall>(out, finish, tile * kRows, 0, c00, c01, c02, c03, c10,
                                           c11, c12, c13, c20, c21, c22, c23, c30, c31, c32, c33,
                                           c40, c41, c42, c43, c50, c51, c52, c53);
    }
    finish.Advance(kFirst);
    if constexpr (kRows > kFirst) {
      static_assert(kVectors == 1);
      if constexpr (kCall) {
        FinishOneVector<kRows - kFirst>(out, finish, tile * kRows + kFirst, 0, c01, c11, c01, c01,
                                        c01, c01);
      } else {
        FinishColumns<kRows - kFirst, 1>(out, finish, tile * kRows + kFirst, 0, c01, zero, c11,
                                         zero, zero, zero, zero, zero, zero, zero, zero, zero);
      }
      finish.Advance(kRows - kFirst);
    }
  } while (++tile < count);
}

// Where code is small, tiles have four heights: this many rows, then the rest.
constexpr size_t PieceOf(size_t rows) {
  return rows >= kRowTile ? kRowTile : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

// Tiles of which the first ask for weights.
template <size_t kRows, size_t kVectors, Source kSource>
HWY_NOINLINE void AskingTiles(Taps taps, const TileWeights& weights, TileOut out, size_t count) {
  const size_t ask = std::min(count, weights.next_parts);
  Tiles<kRows, kVectors, kSource, true>(taps, weights, out, ask);
  if (ask == count) return;
  taps.data += ask * taps.tile_step;
  out.y += ask * kRows * out.y_stride;
  out.pos.pixel += ask * kRows;
  Tiles<kRows, kVectors, kSource>(taps, weights, out, count - ask);
}

// Tiles of full height.
template <size_t kRows, size_t kVectors, Source kSource>
HWY_INLINE void FullTiles(const Taps& taps, const TileWeights& weights, const TileOut& out,
                          size_t count) {
  if constexpr (kSource == Source::kRun && kVectors == kVectorTile && kRows == kRowTile) {
    if (weights.next_parts != 0) {
      return AskingTiles<kRows, kVectors, kSource>(taps, weights, out, count);
    }
  }
  Tiles<kRows, kVectors, kSource>(taps, weights, out, count);
}

template <size_t kVectors, Source kSource>
HWY_INLINE void TileRows(size_t rows, const Taps& taps, const TileWeights& weights,
                         const TileOut& out, size_t count) {
  if (rows == 1) return Tiles<1, kVectors, kSource>(taps, weights, out, count);
  if (rows == 2) return Tiles<2, kVectors, kSource>(taps, weights, out, count);
  if (rows == 4) return Tiles<4, kVectors, kSource>(taps, weights, out, count);
  if constexpr (!kSmallCode) {
    if (rows == 3) return Tiles<3, kVectors, kSource>(taps, weights, out, count);
    if (rows == 5) return Tiles<5, kVectors, kSource>(taps, weights, out, count);
  }
  if constexpr (kVectors == 1 && kRowTileOneVector > kRowTile) {
    if (rows == 7) return Tiles<7, 1, kSource>(taps, weights, out, count);
    if (rows == 8) return Tiles<8, 1, kSource>(taps, weights, out, count);
  }
  return FullTiles<kRowTile, kVectors, kSource>(taps, weights, out, count);
}

// How many vectors a tile of `rows` rows may have.
constexpr size_t VectorsFor(size_t rows) {
  return rows <= 2 ? std::max(kVectorTile, kVectorTileTwoRows) : kVectorTile;
}

// Whether `outputs` are a tile of three vectors where others have two.
HWY_INLINE bool ThreeVectors(size_t outputs) {
  return kThreeVectors && outputs == 3 * hn::Lanes(DF());
}

// How many vectors the tiles of `outputs` have, of `rows` rows. Five are 3 + 2 and nine 3 + 3 + 3,
// or there would be a single one, whose sums wait for each other (0.93 to 1.00 of the time).
HWY_INLINE size_t BlockVectors(size_t rows, size_t outputs) {
  const size_t lanes = hn::Lanes(DF());
  const bool five_or_nine = outputs == 5 * lanes || outputs == 9 * lanes;
  const bool three = ThreeVectors(outputs) || (!kSmallCode && kVectorTile == 4 && five_or_nine);
  return rows > 2 && three ? 3 : VectorsFor(rows);
}

template <Source kSource>
HWY_INLINE void RunWholeTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                              const TileOut& out, size_t count) {
  const size_t vectors = (out.cols + hn::Lanes(DF()) - 1) / hn::Lanes(DF());
  if constexpr (kVectorTile >= 4) {
    if (vectors == 4) return TileRows<4, kSource>(rows, taps, weights, out, count);
    if (vectors == 3) return TileRows<3, kSource>(rows, taps, weights, out, count);
  } else {
    if (vectors >= 3 && rows == 1) return Tiles<1, 4, kSource>(taps, weights, out, count);
    if (vectors >= 3 && rows == 2) return Tiles<2, 4, kSource>(taps, weights, out, count);
    if constexpr (kThreeVectors) {
      if (vectors == 3 && rows == 3) return Tiles<3, 3, kSource>(taps, weights, out, count);
      if (vectors == 3) return Tiles<4, 3, kSource>(taps, weights, out, count);
    }
  }
  if (vectors == 2) return TileRows<2, kSource>(rows, taps, weights, out, count);
  return TileRows<1, kSource>(rows, taps, weights, out, count);
}

// Any number of rows, equally far apart, in pieces.
template <Source kSource>
HWY_NOINLINE void RunPieces(size_t rows, Taps taps, const TileWeights& weights, TileOut out) {
  while (rows != 0) {
    const size_t piece = PieceOf(rows);
    RunWholeTiles<kSource>(piece, taps, weights, out, 1);
    taps.first += piece;
    taps.data += kSource == Source::kTable ? 0 : piece * taps.stride;
    out.y += piece * out.y_stride;
    out.pos.pixel += piece;
    rows -= piece;
  }
}

// Whether tiles of `rows` rows may follow each other at any distance; if not, one must begin where
// the one before ends.
constexpr bool RunsTogether(size_t rows) { return !kSmallCode || rows == PieceOf(rows); }

// `count` tiles of `rows` rows and out.cols <= VectorsFor(rows) * lanes outputs; one tile of a
// table.
template <Source kSource>
HWY_INLINE void RunTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                         const TileOut& out, size_t count) {
  if (!RunsTogether(rows)) {
    return RunPieces<kSource>(rows * count, taps, weights, out);
  }
  RunWholeTiles<kSource>(rows, taps, weights, out, count);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_TILE_INL_H_

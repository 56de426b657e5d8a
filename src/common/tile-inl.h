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

// Asks for the lines of kRows rows.
template <size_t kRows>
HWY_INLINE void PrefetchRows(const float* first, size_t stride, size_t cols) {
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t c = 0; c < cols; c += kPanel) hwy::Prefetch(first + r * stride + c);
  }
}

// Asks for what a tile ends with, long before: the operand that it adds, and, where they are `far`,
// the lines of its output, for which its stores would have to wait.
template <size_t kRows>
HWY_INLINE void PrefetchFinish(const Finish& f, bool far) {
  if ((kPrefetchOperand || far) && f.add != nullptr) {
    PrefetchRows<kRows>(f.add, f.add_stride, f.cols);
  }
  if (far) PrefetchRows<kRows>(f.y, f.y_stride, f.cols);
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

// What tiles ask for: nothing; what they end with, if that is far; or that, and as much as a panel
// of what is at weights.next each. Tiles of several runs ask for their own weights, or, with 16
// registers, for the next.
enum class Asks : uint8_t { kNothing, kFinish, kNext };

// `count` tiles below each other, each of kRows <= 6 rows and kVectors <= 4 vectors, or up to 12
// rows of one vector (8 of a table). Named accumulators, because SVE vectors cannot be array
// elements; rows 6 to 11 have the second ones of rows 0 to 5.
template <size_t kRows, size_t kVectors, Source kSource, Asks kAsks = Asks::kNothing>
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
    PrefetchFinish<kRows>(finish, kPrefetchFinish && kAsks != Asks::kNothing && out.far);
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
    const float* next = kAsks == Asks::kNext ? weights.next + tile * weights.panel_stride : nullptr;
    const auto pass = [&](size_t steps) HWY_ATTR __attribute__((always_inline)) {
      b0 += steps * kPanel;
      b1 += steps * kPanel;
      b2 += steps * kPanel;
      b3 += steps * kPanel;
    };
    const auto run = [&](const float* a0, const float* a1, const float* a2, const float* a3,
                         const float* a4, const float* a5, const float* a6, const float* a7,
                         const float* a8, const float* a9, const float* a10, const float* a11,
                         size_t steps, uint32_t outside = 0) HWY_ATTR
        __attribute__((always_inline)) {
      // Step k, whose inputs are lanes kLane of x0 to x5, without the rows in `left_out`.
      const auto step = [&]<int kLane>(Lane<kLane>, size_t k, VF x0, VF x1, VF x2, VF x3, VF x4,
                                       VF x5, uint32_t left_out = 0) HWY_ATTR
          __attribute__((always_inline)) {
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
        if (!(left_out & 1)) row(a0, x0, c00, c01, c02, c03);
        if (kRows > 1 && !(left_out & 2)) row(a1, x1, c10, c11, c12, c13);
        if (kRows > 2 && !(left_out & 4)) row(a2, x2, c20, c21, c22, c23);
        if (kRows > 3 && !(left_out & 8)) row(a3, x3, c30, c31, c32, c33);
        if (kRows > 4 && !(left_out & 16)) row(a4, x4, c40, c41, c42, c43);
        if (kRows > 5 && !(left_out & 32)) row(a5, x5, c50, c51, c52, c53);
        if constexpr (kRows > 6) c01 = Fma(hn::Set(d, a6[k]), v0, c01);
        if constexpr (kRows > 7) c11 = Fma(hn::Set(d, a7[k]), v0, c11);
        if constexpr (kRows > 8) c21 = Fma(hn::Set(d, a8[k]), v0, c21);
        if constexpr (kRows > 9) c31 = Fma(hn::Set(d, a9[k]), v0, c31);
        if constexpr (kRows > 10) c41 = Fma(hn::Set(d, a10[k]), v0, c41);
        if constexpr (kRows > 11) c51 = Fma(hn::Set(d, a11[k]), v0, c51);
      };
      size_t k = 0;
      if constexpr (kSource == Source::kTable && LeavesOutRows(kRows, kVectors)) {
        // The first row or the last have loops of their own, which are shorter.
        constexpr uint32_t kFirst = 1, kLast = 1u << (kRows - 1);
        if (outside == kFirst) {
#pragma GCC unroll 2
          for (; k < steps; ++k) step(Lane<0>(), k, zero, zero, zero, zero, zero, zero, kFirst);
        } else if (outside == kLast) {
#pragma GCC unroll 2
          for (; k < steps; ++k) step(Lane<0>(), k, zero, zero, zero, zero, zero, zero, kLast);
        } else if (outside != 0) {
#pragma GCC unroll 1
          for (; k < steps; ++k) {
            asm volatile("" : "+r"(outside));  // or there would be a loop for each of its values
            step(Lane<0>(), k, zero, zero, zero, zero, zero, zero, outside);
          }
        }
      }
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
      if constexpr (kAsks == Asks::kNext) {
        for (; k + 4 <= steps; k += 4) {
          for (size_t i = 0; i < 4; ++i, next += kPanel) PrefetchToL2(next);
          step(Lane<0>(), k, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), k + 1, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), k + 2, zero, zero, zero, zero, zero, zero);
          step(Lane<0>(), k + 3, zero, zero, zero, zero, zero, zero);
        }
      }
      if constexpr (UnrollsLess(kVectors, kSource == Source::kRun)) {
#pragma GCC unroll 2
        for (; k < steps; ++k) step(Lane<0>(), k, zero, zero, zero, zero, zero, zero);
      } else {
#pragma GCC unroll kTileUnroll
        for (; k < steps; ++k) {
          step(Lane<0>(), k, OneFactor(a0 + k), OneFactor(a1 + k), OneFactor(a2 + k),
               OneFactor(a3 + k), OneFactor(a4 + k), OneFactor(a5 + k));
        }
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
              row[kRows > 6 ? 6 : 0] + at, row[kRows > 7 ? 7 : 0] + at, nullptr, nullptr, nullptr,
              nullptr, table.length(i), table.outside(i) & ((1u << kRows) - 1));
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
            a + (kRows > 7 ? 7 * stride : 0), a + (kRows > 8 ? 8 * stride : 0),
            a + (kRows > 9 ? 9 * stride : 0), a + (kRows > 10 ? 10 * stride : 0),
            a + (kRows > 11 ? 11 * stride : 0), length);
      }
      data += kKeep ? kept_step : taps.tile_step;
    }

    // Only tiles that look up addresses can afford a call at their end.
    constexpr bool kLookUp = kSource == Source::kTable;
    if constexpr (kVectors == 1 && !kSmallCode) {
      static_assert(kRows <= (kLookUp ? RunTable::kRows : kRowTileOneVector));
      FinishColumn<kRows, kLookUp>(out, finish, tile * kRows, c00, c10, c20, c30, c40, c50, c01,
                                   c11, c21, c31, c41, c51);
    } else {
      static_assert(kRows <= 6);
      FinishRows<kRows, kVectors, kSmallCode || (kLookUp && (kVectors > 2))>(
          out, finish, tile * kRows, 0, c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23,
          c30, c31, c32, c33, c40, c41, c42, c43, c50, c51, c52, c53);
      finish.Advance(kRows);
    }
  } while (++tile < count);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_TILE_INL_H_

// Register tiles of up to six rows and two vectors of outputs, which go on in the next row of an
// image. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_TURNING_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_TURNING_TILE_INL_H_
#undef LANEFUSE_SRC_COMMON_TURNING_TILE_INL_H_
#else
#define LANEFUSE_SRC_COMMON_TURNING_TILE_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "src/common/tall_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// With 16 registers two vectors of outputs have six rows, and five are not as good: ten sums keep
// the adder busy for 0.95 of the time. So a tile that comes to the end of a row of the image goes
// on in the next, and six addresses fit the registers for integers. They are found anew for each
// tap, from a table of how far a row lies behind the first, and which rows find the tap in the
// image is a bit for each: most taps are for all rows, whose loop has no conditions.

template <size_t kRow>
HWY_INLINE const float* RowAddress(const float* first, const size_t* ahead) {
  const float* a = At(first, ahead[kRow]);
  asm volatile("" : "+r"(a));  // or all rows would be sums of the first
  return a;
}

// Step k of the rows among `rows`, or of all.
template <bool kAll, class V, size_t... kRow>
HWY_INLINE void TurningStep(const float* const* a, size_t k, const float* b, size_t apart,
                            uint32_t rows, V (*c)[2], std::index_sequence<kRow...>) {
  TallWeights<1, 2, V> w;
  LoadStep<2>(b, apart, w.step[0], Indices<2>());
  const auto row = [&](size_t r) HWY_ATTR __attribute__((always_inline)) {
    if (kAll || (rows & 1u << r) != 0) TallRow<2>(a[r] + k, w.step, c[r], Indices<1>());
  };
  (row(kRow), ...);
}

// One tap of `length` inputs. Zeros for rows that do not find it would be slower: 20x20x16 with 5x5
// taps takes 0.97 of the time without them. So would conditions for all: 28x28x32 0.98.
template <class V, size_t... kRow>
HWY_INLINE void TurningTap(const float* first, const size_t* ahead, size_t length, const float* b,
                           size_t apart, uint32_t rows, V (*c)[2],
                           std::index_sequence<kRow...> all) {
  const float* const a[] = {RowAddress<kRow>(first, ahead)...};
  if (rows + 1 == 1u << sizeof...(kRow)) {
#pragma GCC unroll 2
    for (size_t k = 0; k < length; ++k, b += kPanel) {
      TurningStep<true>(a, k, b, apart, rows, c, all);
    }
  } else {
#pragma GCC unroll 1
    for (size_t k = 0; k < length; ++k, b += kPanel) {
      asm volatile("" : "+r"(rows));  // or there would be a loop for each of its values
      TurningStep<false>(a, k, b, apart, rows, c, all);
    }
  }
}

// As TallTilesOf, of two vectors.
template <size_t kRows, class V>
LANEFUSE_ONE_COPY HWY_NOINLINE bool TurningTilesOf(size_t rows, const Taps& taps,
                                                   const TileWeights& weights, const TileOut& out,
                                                   size_t count) {
  const uint32_t all = (1u << rows) - 1;
  const hn::DFromV<V> d;
  Finish finish(out);
  const size_t apart = weights.Vector(1) - weights.first;
  const size_t length = taps.length;
  size_t ahead[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    ahead[r] = r * taps.stride + (r < taps.turn ? 0 : taps.turn_step);
  }
  const uint32_t upper = taps.turn < rows ? (1u << taps.turn) - 1 : all;
  const EdgeTap whole{0, 0, 0, all};
  const EdgeTap* const first = taps.edge == nullptr ? &whole : taps.edge;
  const EdgeTap* const last = first + (taps.edge == nullptr ? 1 : taps.kernel_w);
  size_t tile = 0;
  do {
    TallSums<kRows, 2, V> c;
    const auto clear = [&](auto& sum, size_t) HWY_ATTR __attribute__((always_inline)) {
      sum = hn::Zero(d);
    };
    EachTall(c, clear);
    TallWalk at;
    at.ky = std::min(taps.rows.first, taps.turned_rows.first);
    at.last = std::min(std::max(taps.rows.last, taps.turned_rows.last), taps.kernel_h);
    at.row = At(taps.data, tile * taps.tile_step + at.ky * taps.step_h);
    const float* b = weights.first + at.ky * taps.kernel_w * length * kPanel;
    for (; at.ky < InMemory(at).last; ++at.ky) {
      const float* const row = at.row;
      const uint32_t down =
          (taps.rows.Has(at.ky) ? upper : 0) | (taps.turned_rows.Has(at.ky) ? all & ~upper : 0);
      for (const EdgeTap* tap = first; tap != last; ++tap) {
        const uint32_t found = tap->rows & down;
        if (found != 0) {
          TurningTap(At(row, tap->offset), ahead, length, b, apart, found, c.row, Indices<kRows>());
        }
        b += length * kPanel;
      }
      at.row = At(row, taps.step_h);
    }
    if (taps.border && NegativeZero(c)) return true;
    FinishTall(out, finish, tile * rows, rows, c);
  } while (++tile < count);
  return false;
}

// Up to six rows: fewer than five are those of small images.
template <class V>
HWY_NOINLINE bool TurningTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                               const TileOut& out, size_t count) {
  if (rows <= 5) return TurningTilesOf<5, V>(rows, taps, weights, out, count);
  return TurningTilesOf<6, V>(rows, taps, weights, out, count);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_TURNING_TILE_INL_H_

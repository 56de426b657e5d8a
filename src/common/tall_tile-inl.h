// Register tiles of many rows and one or two vectors of outputs. Per-target header: include it
// after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_TALL_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_TALL_TILE_INL_H_
#undef LANEFUSE_SRC_COMMON_TALL_TILE_INL_H_
#else
#define LANEFUSE_SRC_COMMON_TALL_TILE_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "arch/tiles-inl.h"
#include "src/common/divide.h"
#include "src/common/ops-inl.h"
#include "src/common/taps.h"
#include "src/common/weights-inl.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Eight sums hide the latency of the adder only if none ever waits, and more than eight rows have
// no registers for their addresses. So one address goes down the rows, a few steps of k at a time,
// whose weights stay in registers: with AVX-512, where inputs are operands in memory, 16 rows of
// one vector are 64 multiply-adds for 68 loads in four steps. The first row and the last have
// addresses of their own, so that they may lie in the padding: tiles at the border look up nothing.
// Up to eight outputs have vectors of eight lanes, with all of those registers.

// Arrays of vectors, which scalable targets do not have: they never come here.
template <size_t kRows, size_t kVectors, class V>
struct TallSums {
  V row[kRows][kVectors];
};
template <size_t kSteps, size_t kVectors, class V>
struct TallWeights {
  V step[kSteps][kVectors];
};

template <size_t kN>
using Indices = std::make_index_sequence<kN>;

// The row below `a`: an address of which the compiler knows nothing more, or it would keep one for
// each row.
template <class T>
HWY_INLINE T* Below(T* a, size_t stride) {
  a += stride;
  asm volatile("" : "+r"(a));
  return a;
}

// Keeps a variable in memory. Where addresses are many, GCC would keep it in a vector register, and
// what is moved back from there waits behind the multiply-adds that came before.
template <class T>
HWY_INLINE T& InMemory(T& variable) {
  asm volatile("" : "+m"(variable));
  return variable;
}

template <class V, size_t... kVector>
HWY_INLINE void TallStep(V a, const V* w, V* c, std::index_sequence<kVector...>) {
  ((c[kVector] = Fma(a, w[kVector], c[kVector])), ...);
}

template <size_t kVectors, class V, size_t... kStep>
HWY_INLINE void TallRow(const float* a, const V (*w)[kVectors], V* c,
                        std::index_sequence<kStep...>) {
  (TallStep(hn::Set(hn::DFromV<V>(), a[kStep]), w[kStep], c, Indices<kVectors>()), ...);
}

// Row kRow, at `a`, and those below; the last at `last`.
template <size_t kRow, size_t kSteps, size_t kRows, size_t kVectors, class V>
HWY_INLINE void TallRows(const float* a, size_t stride, const float* last,
                         const TallWeights<kSteps, kVectors, V>& w,
                         TallSums<kRows, kVectors, V>& c) {
  TallRow<kVectors>(a, w.step, c.row[kRow], Indices<kSteps>());
  if constexpr (kRow + 2 < kRows) {
    TallRows<kRow + 1>(Below(a, stride), stride, last, w, c);
  } else {
    TallRow<kVectors>(last, w.step, c.row[kRow + 1], Indices<kSteps>());
  }
}

template <size_t kVectors, class V, size_t... kVector>
HWY_INLINE void LoadStep(const float* b, size_t apart, V* w, std::index_sequence<kVector...>) {
  ((w[kVector] = hn::LoadU(hn::DFromV<V>(), b + kVector * apart)), ...);
}

// kSteps steps of k of all rows, from weights b on.
template <size_t kSteps, size_t kRows, size_t kVectors, class V>
HWY_INLINE void TallSteps(const float* first, const float* second, size_t stride, const float* last,
                          const float* b, size_t apart, TallSums<kRows, kVectors, V>& c) {
  TallWeights<kSteps, kVectors, V> w;
  LoadStep<kVectors>(b, apart, w.step[0], Indices<kVectors>());
  if constexpr (kSteps > 1) {
    LoadStep<kVectors>(b + kPanel, apart, w.step[1], Indices<kVectors>());
  }
  if constexpr (kSteps > 2) {
    LoadStep<kVectors>(b + 2 * kPanel, apart, w.step[2], Indices<kVectors>());
    LoadStep<kVectors>(b + 3 * kPanel, apart, w.step[3], Indices<kVectors>());
  }
  TallRow<kVectors>(first, w.step, c.row[0], Indices<kSteps>());
  TallRows<1>(second, stride, last, w, c);
}

// Whether a sum is -0, which is the least integer.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE bool NegativeZero(const TallSums<kRows, kVectors, V>& c) {
  const hn::RebindToSigned<hn::DFromV<V>> di;
  auto least = hn::BitCast(di, c.row[0][0]);
  for (const auto& row : c.row) {
    for (const V& sum : row) least = hn::Min(least, hn::BitCast(di, sum));
  }
  return !hn::AllFalse(di, hn::Eq(least, hn::Set(di, hwy::LimitsMin<int32_t>())));
}

// Adds rows of memory, `stride` apart, from row kRow on.
template <size_t kRow, size_t kRows, size_t kVectors, class V>
HWY_INLINE void AddTall(const float* from, size_t stride, TallSums<kRows, kVectors, V>& c) {
  const hn::DFromV<V> d;
  c.row[kRow][0] = hn::Add(c.row[kRow][0], hn::LoadU(d, from));
  if constexpr (kVectors > 1) {
    c.row[kRow][1] = hn::Add(c.row[kRow][1], hn::LoadU(d, from + hn::Lanes(d)));
  }
  if constexpr (kRow + 1 < kRows) AddTall<kRow + 1>(Below(from, stride), stride, c);
}

template <size_t kRow, size_t kRows, size_t kVectors, class V>
HWY_INLINE void StoreTall(float* y, size_t stride, const TallSums<kRows, kVectors, V>& c) {
  const hn::DFromV<V> d;
  hn::StoreU(c.row[kRow][0], d, y);
  if constexpr (kVectors > 1) hn::StoreU(c.row[kRow][1], d, y + hn::Lanes(d));
  if constexpr (kRow + 1 < kRows) StoreTall<kRow + 1>(Below(y, stride), stride, c);
}

// Finishes a tile `row` rows below `out`, where `f` is, and moves on to the tile below.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE void FinishTall(const TileOut& out, Finish& f, size_t row,
                           TallSums<kRows, kVectors, V>& c) {
  const hn::DFromV<V> d;
  const size_t cols = kVectors * hn::Lanes(d);
  const bool inside = out.chain->in_registers && cols <= f.cols;
  if (__builtin_expect_with_probability(inside, 1, 0.9999)) {
    V bias[kVectors];
    LoadStep<kVectors>(f.bias, hn::Lanes(d), bias, Indices<kVectors>());
    for (auto& sums : c.row) {
      for (size_t v = 0; v < kVectors; ++v) sums[v] = hn::Add(sums[v], bias[v]);
    }
    if (f.add != nullptr) AddTall<0>(f.add, f.add_stride, c);
    const V lo = hn::Set(d, f.lo);
    const V hi = hn::Set(d, f.hi);
    for (auto& sums : c.row) {
      for (V& v : sums) v = MinKeepNaN(MaxKeepNaN(v, lo), hi);
    }
    StoreTall<0>(f.y, f.y_stride, c);
  } else {
    HWY_ALIGN float tile[kRows * kVectors * kPanel];
    StoreTall<0>(tile, cols, c);
    FinishCopied(out, f, row, 0, kRows, tile, cols);
  }
  f.Advance(kRows);
}

// Which tap a tile has come to. It stays in memory (InMemory), or each tap would begin with hardly
// a multiply-add left to do: 3x3 taps of eight channels take 0.87 of the time.
struct TallWalk {
  const Taps* taps;
  size_t ky, kx;
  const float* row;  // what the first pixel reads as tap 0 of row ky
  const float* tap;  // as tap kx
  size_t down;       // to the next pixel, or 0 above and below the image
  size_t across;     // to the next tap, the same

  // All but kx and what StartTallRow sets: shallow sums would take 1.02 to 1.07 of the time.
  TallWalk(const Taps& of, size_t tile)
      : taps(&of),
        ky(of.run.first),
        row(At(of.data, tile * of.tile_step + of.run.first * of.step_h)) {}
};

HWY_INLINE void StartTallRow(TallWalk& at) {
  const Taps& taps = *at.taps;
  const bool outside = at.ky < taps.rows.first || at.ky >= taps.rows.last;
  at.tap = outside ? kZeros : at.row;
  at.down = outside ? 0 : taps.stride;
  at.across = outside ? 0 : taps.step_w;
  at.row = At(at.row, taps.step_h);
}

// `count` tiles, taps.tile_step apart, of kRows rows each. In taps left of taps.taps the first row
// lies in the padding, in those right of it the last; in taps above or below taps.rows all rows do.
template <size_t kRows, size_t kVectors, class V>
LANEFUSE_ONE_COPY HWY_NOINLINE void TallTiles(const Taps& taps, const TileWeights& weights,
                                              const TileOut& out, size_t count) {
  // Four vectors of weights beside 16 or 24 sums, two beside 12.
  constexpr size_t kSteps = (kVectorRegisters == 32 ? 4 : 2) / kVectors;
  const hn::DFromV<V> d;
  Finish finish(out);
  const size_t apart = kVectors == 1 ? 0 : weights.Vector(1) - weights.first;
  bool keep_padding = false;
  size_t tile = 0;
  do {
    TallSums<kRows, kVectors, V> c;
    for (auto& row : c.row) {
      for (V& sum : row) sum = hn::Zero(d);
    }
    TallWalk at(taps, tile);
    const float* b = weights.first + at.ky * taps.kernel_w * taps.length * kPanel;
    const size_t end = keep_padding ? taps.kernel_h : std::min(taps.run.last, taps.kernel_h);
    for (; at.ky < end; ++at.ky) {
      StartTallRow(InMemory(at));
      for (at.kx = 0; at.kx < InMemory(at).taps->kernel_w; ++at.kx) {
        const size_t down = at.down;
        const float* first = at.kx < at.taps->taps.first ? kZeros : at.tap;
        const float* second = At(at.tap, down);
        const float* last = at.kx >= at.taps->taps.last ? kZeros : At(at.tap, (kRows - 1) * down);
        const size_t length = at.taps->length;
        at.tap = At(at.tap, at.across);
        InMemory(at);
        size_t k = 0;
#pragma GCC unroll 1
        for (; k + kSteps <= length; k += kSteps, b += kSteps * kPanel) {
          TallSteps<kSteps>(first + k, second + k, down, last + k, b, apart, c);
        }
#pragma GCC unroll 1
        for (; k < length; ++k, b += kPanel) {
          TallSteps<1>(first + k, second + k, down, last + k, b, apart, c);
        }
      }
    }
    if (end < taps.kernel_h && NegativeZero(c)) {
      keep_padding = true;
      --tile;  // once more
      continue;
    }
    keep_padding = false;
    FinishTall(out, finish, tile * kRows, c);
  } while (++tile < count);
}

// Tiles of kRows rows and less, down to kLeast.
template <size_t kRows, size_t kLeast, size_t kVectors, class V>
HWY_INLINE void TallTilesOf(size_t rows, const Taps& taps, const TileWeights& weights,
                            const TileOut& out, size_t count) {
  if constexpr (kRows > kLeast) {
    if (rows != kRows) {
      return TallTilesOf<kRows - 1, kLeast, kVectors, V>(rows, taps, weights, out, count);
    }
  }
  TallTiles<kRows, kVectors, V>(taps, weights, out, count);
}

// The heights that rows of more pixels than a tile's are cut into.
template <size_t kVectors, class V>
HWY_INLINE void RunTallTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                             const TileOut& out, size_t count) {
  constexpr size_t kMost = kVectors == 1 ? kRowTileOneVector : kRowTileTwoVectors;
  constexpr size_t kLeast = kVectorRegisters == 32 ? kMost / 2 : kVectors == 1 ? 7 : 4;
  TallTilesOf<kMost, kLeast, kVectors, V>(rows, taps, weights, out, count);
}

// Whether `rows` rows of `cols` <= 8 or 16 outputs gain by that where a single vector is left of
// wider tiles, whose inputs are at hand: 384x256 to 80 outputs takes 0.92 (AVX512), to 24 0.90
// (AVX2), 129x129 to 129 0.94 and 0.99. Sums that are not deep do not hide that a part of a vector
// ends by way of memory.
HWY_INLINE bool LastIsTall(size_t rows, size_t cols, size_t depth) {
  constexpr size_t kLeastRows = 16, kLeastDepth = 128;
  const size_t lanes = hn::Lanes(DF());
  const bool one = cols == lanes || (cols < lanes && depth >= kLeastDepth);
  return kTallTiles && one && rows >= kLeastRows;
}

// So many rows, equally far apart, of one vector of outputs, in tiles of nearly equal heights.
template <class V>
HWY_NOINLINE void RunTallRows(size_t rows, const Taps& of, const TileWeights& weights,
                              const TileOut& to) {
  const size_t tiles = QuotientUp(rows, kRowTileOneVector);
  const size_t height = Quotient(rows, tiles);
  const size_t higher = rows - height * tiles;  // tiles with one row more
  Taps taps = of;
  TileOut out = to;
  const auto run = [&](size_t each, size_t count) HWY_ATTR {
    if (count == 0) return;
    taps.tile_step = each * taps.stride;
    RunTallTiles<1, V>(each, taps, weights, out, count);
    taps.data += each * count * taps.stride;
    out.y += each * count * out.y_stride;
    out.pos.pixel += each * count;
  };
  run(height + 1, higher);
  run(height, tiles - higher);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_TALL_TILE_INL_H_

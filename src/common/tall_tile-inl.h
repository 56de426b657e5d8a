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
// whose weights stay in registers: with AVX-512, where inputs are operands in memory, 24 rows of
// one vector are 96 multiply-adds for 100 loads in four steps. Rows that find a tap in the padding
// are left out, at either end by a comparison for each, so that tiles at the border look up nothing
// and do less. Up to eight outputs have vectors of eight lanes, with all of those registers.
//
// A tap is a few hundred cycles or less, and what it begins with must not wait for the
// multiply-adds before it: addresses come from a table that is made once for a tile, and none is
// moved by way of a vector register. That was 14 cycles a tap: 18x18x64 in groups of sixteen
// took 1.08 of the time.

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

template <size_t kRow>
using RowIndex = std::integral_constant<size_t, kRow>;

// Calls `row` for kRows rows with whether it is one of [begin, end); not at all behind them. begin
// <= kTallPadding<kVectors>; as many may be missing at the end, beside those of a lower tile.
template <size_t kRow, size_t kRows, size_t kVectors, class Row>
HWY_INLINE void TallRows(size_t begin, size_t end, const Row& row) {
  if constexpr (kRow < kRows) {
    constexpr size_t kMayEnd = kTallPadding<kVectors> + kTallGrain;
    if constexpr (kRow + kMayEnd > kRows) {
      if (end <= kRow) return;
    }
    row(RowIndex<kRow>(), kRow >= kTallPadding<kVectors> || begin <= kRow);
    TallRows<kRow + 1, kRows, kVectors>(begin, end, row);
  }
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

template <size_t kVectors, class V, size_t... kVector>
HWY_INLINE void LoadStep(const float* b, size_t apart, V* w, std::index_sequence<kVector...>) {
  ((w[kVector] = hn::LoadU(hn::DFromV<V>(), b + kVector * apart)), ...);
}

// kSteps steps of k of rows [begin, end), row 0 at `a`, from weights b on.
template <size_t kSteps, size_t kRows, size_t kVectors, class V>
HWY_INLINE void TallSteps(const float* a, size_t stride, size_t begin, size_t end, const float* b,
                          size_t apart, TallSums<kRows, kVectors, V>& c) {
  TallWeights<kSteps, kVectors, V> w;
  LoadStep<kVectors>(b, apart, w.step[0], Indices<kVectors>());
  if constexpr (kSteps > 1) {
    LoadStep<kVectors>(b + kPanel, apart, w.step[1], Indices<kVectors>());
  }
  if constexpr (kSteps > 2) {
    LoadStep<kVectors>(b + 2 * kPanel, apart, w.step[2], Indices<kVectors>());
    LoadStep<kVectors>(b + 3 * kPanel, apart, w.step[3], Indices<kVectors>());
  }
  asm volatile("" : "+r"(a));
  const auto row = [&]<size_t kRow>(RowIndex<kRow>, bool inside) HWY_ATTR
      __attribute__((always_inline)) {
    constexpr size_t kNear = kRow % kTallNear<kVectors>;
    if (inside) TallRow<kVectors>(a + kNear * stride, w.step, c.row[kRow], Indices<kSteps>());
    if constexpr (kRow + 1 < kRows && kNear + 1 == kTallNear<kVectors>) {
      a = Below(a, kTallNear<kVectors> * stride);
    }
  };
  TallRows<0, kRows, kVectors>(begin, end, row);
}

// Calls `each` for every sum: loops of 24 steps would not be unrolled, and sums be in memory.
template <size_t kRows, size_t kVectors, class V, class Each, size_t... kRow>
HWY_INLINE void EachTallRow(TallSums<kRows, kVectors, V>& c, const Each& each,
                            std::index_sequence<kRow...>) {
  (each(c.row[kRow][0], 0), ...);
  if constexpr (kVectors > 1) (each(c.row[kRow][kVectors - 1], 1), ...);
}
template <size_t kRows, size_t kVectors, class V, class Each>
HWY_INLINE void EachTall(TallSums<kRows, kVectors, V>& c, const Each& each) {
  EachTallRow(c, each, Indices<kRows>());
}

// Whether a sum is -0, which is the least integer.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE bool NegativeZero(TallSums<kRows, kVectors, V>& c) {
  const hn::RebindToSigned<hn::DFromV<V>> di;
  auto least = hn::BitCast(di, c.row[0][0]);
  const auto meet = [&](auto& sum, size_t) HWY_ATTR __attribute__((always_inline)) {
    least = hn::Min(least, hn::BitCast(di, sum));
  };
  EachTall(c, meet);
  return !hn::AllFalse(di, hn::Eq(least, hn::Set(di, hwy::LimitsMin<int32_t>())));
}

// Adds the first `rows` rows of memory, `stride` apart.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE void AddTall(const float* from, size_t stride, size_t rows,
                        TallSums<kRows, kVectors, V>& c) {
  const auto add = [&]<size_t kRow>(RowIndex<kRow>, bool) HWY_ATTR __attribute__((always_inline)) {
    const hn::DFromV<V> d;
    c.row[kRow][0] = hn::Add(c.row[kRow][0], hn::LoadU(d, from));
    if constexpr (kVectors > 1) {
      c.row[kRow][1] = hn::Add(c.row[kRow][1], hn::LoadU(d, from + hn::Lanes(d)));
    }
    if constexpr (kRow + 1 < kRows) from = Below(from, stride);
  };
  TallRows<0, kRows, kVectors>(0, rows, add);
}

// Stores the first `rows` rows, or all of them.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE void StoreTall(float* y, size_t stride, const TallSums<kRows, kVectors, V>& c,
                          size_t rows = kRows) {
  const auto store = [&]<size_t kRow>(RowIndex<kRow>, bool) HWY_ATTR
      __attribute__((always_inline)) {
    const hn::DFromV<V> d;
    hn::StoreU(c.row[kRow][0], d, y);
    if constexpr (kVectors > 1) hn::StoreU(c.row[kRow][1], d, y + hn::Lanes(d));
    if constexpr (kRow + 1 < kRows) y = Below(y, stride);
  };
  TallRows<0, kRows, kVectors>(0, rows, store);
}

// Finishes a tile of `rows` rows, `row` rows below `out`, where `f` is, and moves on to the tile
// below.
template <size_t kRows, size_t kVectors, class V>
HWY_INLINE void FinishTall(const TileOut& out, Finish& f, size_t row, size_t rows,
                           TallSums<kRows, kVectors, V>& c) {
  const hn::DFromV<V> d;
  const size_t cols = kVectors * hn::Lanes(d);
  const bool inside = out.chain->in_registers && cols <= f.cols;
  if (__builtin_expect_with_probability(inside, 1, 0.9999)) {
    V bias[kVectors];
    LoadStep<kVectors>(f.bias, hn::Lanes(d), bias, Indices<kVectors>());
    const auto add_bias = [&](auto& sum, size_t v) HWY_ATTR __attribute__((always_inline)) {
      sum = hn::Add(sum, bias[v]);
    };
    EachTall(c, add_bias);
    if (f.add != nullptr) AddTall(f.add, f.add_stride, rows, c);
    const V lo = hn::Set(d, f.lo);
    const V hi = hn::Set(d, f.hi);
    const auto clamp = [&](auto& sum, size_t) HWY_ATTR __attribute__((always_inline)) {
      sum = MinKeepNaN(MaxKeepNaN(sum, lo), hi);
    };
    EachTall(c, clamp);
    StoreTall(f.y, f.y_stride, c, rows);
  } else {
    HWY_ALIGN float tile[kRows * kVectors * kPanel];
    StoreTall(tile, cols, c, rows);
    FinishCopied(out, f, row, 0, rows, tile + out.skip, cols);
  }
  f.Advance(rows);
}

// Where a tile has come to. It stays in memory (InMemory), or each tap would begin with hardly a
// multiply-add left to do: 3x3 taps of eight channels take 0.87 of the time.
struct TallWalk {
  size_t ky, last;
  const float* row;  // what the first pixel reads as tap 0 of row ky
};

// `count` tiles, taps.tile_step apart, of `rows` rows each. Taps that rows find in the padding
// (taps.edge, taps.rows) are left out: they add 0 * w, with a finite w nothing but to -0. Whether a
// sum is -0 in the end, so that the tile, which is then the only one, must run again.
template <size_t kRows, size_t kVectors, class V>
LANEFUSE_ONE_COPY HWY_NOINLINE bool TallTilesOf(size_t rows, const Taps& taps,
                                                const TileWeights& weights, const TileOut& out,
                                                size_t count) {
  // Four vectors of weights beside 24 sums, two beside 12.
  constexpr size_t kSteps = (kVectorRegisters == 32 ? 4 : 2) / kVectors;
  const hn::DFromV<V> d;
  Finish finish(out);
  const size_t apart = kVectors == 1 ? 0 : weights.Vector(1) - weights.first;
  const size_t length = taps.length, down = taps.stride;
  const EdgeTap whole{0, 0, static_cast<uint16_t>(rows), 0};
  const EdgeTap* const first = taps.edge == nullptr ? &whole : taps.edge;
  const EdgeTap* const last = first + (taps.edge == nullptr ? 1 : taps.kernel_w);
  size_t tile = 0;
  do {
    TallSums<kRows, kVectors, V> c;
    const auto clear = [&](auto& sum, size_t) HWY_ATTR __attribute__((always_inline)) {
      sum = hn::Zero(d);
    };
    EachTall(c, clear);
    TallWalk at;
    at.ky = taps.rows.first;
    at.last = std::min(taps.rows.last, taps.kernel_h);
    at.row = At(taps.data, tile * taps.tile_step + at.ky * taps.step_h);
    const float* b = weights.first + at.ky * taps.kernel_w * length * kPanel;
    for (; at.ky < InMemory(at).last; ++at.ky) {
      const float* const row = at.row;
      for (const EdgeTap* tap = first; tap != last; ++tap) {
        const size_t begin = tap->begin, end = tap->end;
        const float* a = At(row, tap->offset);
        if (begin >= end) {
          b += length * kPanel;
          continue;
        }
        size_t k = 0;
#pragma GCC unroll 1
        for (; k + kSteps <= length; k += kSteps, b += kSteps * kPanel) {
          TallSteps<kSteps>(a + k, down, begin, end, b, apart, c);
        }
#pragma GCC unroll 1
        for (; k < length; ++k, b += kPanel) {
          TallSteps<1>(a + k, down, begin, end, b, apart, c);
        }
      }
      at.row = At(row, taps.step_h);
    }
    if (taps.border && NegativeZero(c)) return true;
    FinishTall(out, finish, tile * rows, rows, c);
  } while (++tile < count);
  return false;
}

// The code of so many rows, or of a few more.
template <size_t kVectors, class V>
HWY_NOINLINE bool TallTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                            const TileOut& out, size_t count) {
  if constexpr (kVectors == 1) {
    if (rows <= 8) return TallTilesOf<8, kVectors, V>(rows, taps, weights, out, count);
    if constexpr (kTallRows > 12) {
      if (rows > 20) return TallTilesOf<24, kVectors, V>(rows, taps, weights, out, count);
      if (rows > 16) return TallTilesOf<20, kVectors, V>(rows, taps, weights, out, count);
      if (rows > 12) return TallTilesOf<16, kVectors, V>(rows, taps, weights, out, count);
    }
    return TallTilesOf<12, kVectors, V>(rows, taps, weights, out, count);
  } else {
    if (rows <= 8) return TallTilesOf<8, kVectors, V>(rows, taps, weights, out, count);
    return TallTilesOf<12, kVectors, V>(rows, taps, weights, out, count);
  }
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
  const size_t tiles = QuotientUp(rows, kTallRows);
  const size_t height = Quotient(rows, tiles);
  const size_t higher = rows - height * tiles;  // tiles with one row more
  Taps taps = of;
  TileOut out = to;
  const auto run = [&](size_t each, size_t count) HWY_ATTR {
    if (count == 0) return;
    taps.tile_step = each * taps.stride;
    TallTiles<1, V>(each, taps, weights, out, count);
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

// Tall tiles of one vector that copy each row of the image, with the padding, so that the taps of a
// row are one run: kernels with more than a pixel of padding at either side, and few channels,
// whose taps would each begin with looking up addresses. Per-target header: include it after
// hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_COPIED_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_COPIED_TILE_INL_H_
#undef LANEFUSE_SRC_COMMON_COPIED_TILE_INL_H_
#else
#define LANEFUSE_SRC_COMMON_COPIED_TILE_INL_H_
#endif

#include <algorithm>

#include "src/common/tall_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// The columns of a row of the image that begins at `from`. No call, for which the sums of the tile
// would have to leave their registers. Channels are a vector or more, whose last may overlap.
template <class V>
HWY_INLINE void CopyRow(const RowCopy& copy, const float* from) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  float* to = copy.to;
#pragma GCC unroll 1
  for (size_t i = 0; i < copy.columns; ++i, from = At(from, copy.step), to += copy.channels) {
    const bool inside = i >= copy.first && i < copy.last;
#pragma GCC unroll 1
    for (size_t c = 0; c < copy.channels; c += lanes) {
      const size_t at = std::min(c, copy.channels - lanes);
      hn::StoreU(inside ? hn::LoadU(d, from + at) : hn::Zero(d), d, to + at);
    }
  }
}

// A tile of kRows rows, taps.stride apart in a copy of each row of taps of `length` inputs, a
// multiple of four.
template <size_t kRows, class V>
HWY_NOINLINE void CopiedTile(const Taps& taps, const RowCopy& copy, const TileWeights& weights,
                             const TileOut& out) {
  constexpr size_t kSteps = 4;
  const hn::DFromV<V> d;
  const size_t length = taps.length;
  size_t ky = taps.run.first;
  size_t end = std::min(taps.run.last, taps.kernel_h);
  TallSums<kRows, 1, V> c;
  for (;;) {
    for (auto& sum : c.row) sum[0] = hn::Zero(d);
    const float* b = weights.first + ky * length * kPanel;
    const float* row = At(taps.data, ky * taps.step_h);
    for (; ky < end; ++ky, row = At(row, taps.step_h)) {
      const bool outside = ky < taps.rows.first || ky >= taps.rows.last;
      if (!outside) CopyRow<V>(copy, row);
      const float* a = outside ? kZeros : copy.to;
      const size_t down = outside ? 0 : taps.stride;
      const float* const last = a + (kRows - 1) * down;
#pragma GCC unroll 1
      for (size_t k = 0; k < length; k += kSteps, b += kSteps * kPanel) {
        TallSteps<kSteps>(a + k, a + k + down, down, last + k, b, 0, c);
      }
    }
    if (end == taps.kernel_h || !NegativeZero(c)) break;
    // Rows in the padding that were left out would make it +0.
    ky = 0;
    end = taps.kernel_h;
  }
  // By way of memory, which is less code, and short beside sums of several hundred terms.
  HWY_ALIGN float tile[kRows * kPanel];
  StoreTall<0>(tile, kPanel, c);
  FinishTile(out, kRows, tile, kPanel);
}

template <size_t kRows, class V>
HWY_INLINE void CopiedTilesOf(size_t rows, const Taps& taps, const RowCopy& copy,
                              const TileWeights& weights, const TileOut& out) {
  // The least of RunTallTiles.
  if constexpr (kRows > kRowTileOneVector / 2) {
    if (rows != kRows) return CopiedTilesOf<kRows - 1, V>(rows, taps, copy, weights, out);
  }
  CopiedTile<kRows, V>(taps, copy, weights, out);
}
template <class V>
HWY_NOINLINE void RunCopiedTile(size_t rows, const Taps& taps, const RowCopy& copy,
                                const TileWeights& weights, const TileOut& out) {
  CopiedTilesOf<kRowTileOneVector, V>(rows, taps, copy, weights, out);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_COPIED_TILE_INL_H_

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
#include "src/common/ops-inl.h"
#include "src/common/taps.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Packed weights from the tile's first output on. Vector v of a tile holds outputs
// [v * lanes, (v + 1) * lanes): part of panel v * lanes / 16.
struct TileWeights {
  const float* first;
  size_t panel_stride;

  HWY_INLINE const float* Vector(size_t v) const {
    const size_t lane = v * hn::Lanes(DF());
    return first + lane / kPanel * panel_stride + lane % kPanel;
  }
};

template <size_t kVectors>
HWY_INLINE void MulAddRow(float a, VF w0, VF w1, VF w2, VF w3, VF& c0, VF& c1, VF& c2, VF& c3) {
  const VF va = hn::Set(DF(), a);
  c0 = Fma(va, w0, c0);
  if constexpr (kVectors > 1) c1 = Fma(va, w1, c1);
  if constexpr (kVectors > 2) c2 = Fma(va, w2, c2);
  if constexpr (kVectors > 3) c3 = Fma(va, w3, c3);
}

// kRows <= 6 rows of kVectors <= 4 vectors. kStep is 1, or 4 for one of the four chains of a sum
// (src/linear/order.h): then only every fourth k takes part. `sums`, if not null, gets the sums
// instead of `out`. Named accumulators, because SVE vectors cannot be array elements.
template <size_t kRows, size_t kVectors, size_t kStep>
HWY_NOINLINE void Tile(const Taps& taps, const TileWeights& weights, const TileOut& out,
                       float* sums) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF c00 = zero, c01 = zero, c02 = zero, c03 = zero;
  VF c10 = zero, c11 = zero, c12 = zero, c13 = zero;
  VF c20 = zero, c21 = zero, c22 = zero, c23 = zero;
  VF c30 = zero, c31 = zero, c32 = zero, c33 = zero;
  VF c40 = zero, c41 = zero, c42 = zero, c43 = zero;
  VF c50 = zero, c51 = zero, c52 = zero, c53 = zero;
  const float* b0 = weights.Vector(0);
  const float* b1 = weights.Vector(kVectors > 1 ? 1 : 0);
  const float* b2 = weights.Vector(kVectors > 2 ? 2 : 0);
  const float* b3 = weights.Vector(kVectors > 3 ? 3 : 0);

  const float* table[Taps::kMaxColumns];
  for (size_t ky = 0; ky < taps.kernel_h; ++ky) {
    if (taps.tap_step != 0) taps.Fill(kRows, ky, 0, table);
    for (size_t kx = 0; kx < taps.kernel_w; ++kx) {
      if (taps.tap_step == 0) taps.Fill(kRows, ky, kx, table);
      const float* const* pixel = table + kx * taps.tap_step;
      for (size_t c = 0; c < taps.length; c += taps.chunk) {
        const size_t length = std::min(taps.chunk, taps.length - c);
        const float* a0 = Channel(pixel[0], c);
        const float* a1 = Channel(pixel[kRows > 1 ? taps.row_step : 0], c);
        const float* a2 = Channel(pixel[kRows > 2 ? 2 * taps.row_step : 0], c);
        const float* a3 = Channel(pixel[kRows > 3 ? 3 * taps.row_step : 0], c);
        const float* a4 = Channel(pixel[kRows > 4 ? 4 * taps.row_step : 0], c);
        const float* a5 = Channel(pixel[kRows > 5 ? 5 * taps.row_step : 0], c);
#pragma GCC unroll 4
        for (size_t k = 0; k < length; k += kStep) {
          const VF w0 = hn::LoadU(d, b0 + k * kPanel);
          const VF w1 = kVectors > 1 ? hn::LoadU(d, b1 + k * kPanel) : zero;
          const VF w2 = kVectors > 2 ? hn::LoadU(d, b2 + k * kPanel) : zero;
          const VF w3 = kVectors > 3 ? hn::LoadU(d, b3 + k * kPanel) : zero;
          MulAddRow<kVectors>(a0[k], w0, w1, w2, w3, c00, c01, c02, c03);
          if constexpr (kRows > 1) MulAddRow<kVectors>(a1[k], w0, w1, w2, w3, c10, c11, c12, c13);
          if constexpr (kRows > 2) MulAddRow<kVectors>(a2[k], w0, w1, w2, w3, c20, c21, c22, c23);
          if constexpr (kRows > 3) MulAddRow<kVectors>(a3[k], w0, w1, w2, w3, c30, c31, c32, c33);
          if constexpr (kRows > 4) MulAddRow<kVectors>(a4[k], w0, w1, w2, w3, c40, c41, c42, c43);
          if constexpr (kRows > 5) MulAddRow<kVectors>(a5[k], w0, w1, w2, w3, c50, c51, c52, c53);
        }
        b0 += length * kPanel;
        b1 += length * kPanel;
        b2 += length * kPanel;
        b3 += length * kPanel;
      }
    }
  }

  if (sums == nullptr && out.chain->in_registers) {
    const Finish finish(out);
    if (HWY_LIKELY(out.cols == kVectors * hn::Lanes(d))) {
      FinishRow<kVectors, true>(finish, 0, c00, c01, c02, c03);
      if constexpr (kRows > 1) FinishRow<kVectors, true>(finish, 1, c10, c11, c12, c13);
      if constexpr (kRows > 2) FinishRow<kVectors, true>(finish, 2, c20, c21, c22, c23);
      if constexpr (kRows > 3) FinishRow<kVectors, true>(finish, 3, c30, c31, c32, c33);
      if constexpr (kRows > 4) FinishRow<kVectors, true>(finish, 4, c40, c41, c42, c43);
      if constexpr (kRows > 5) FinishRow<kVectors, true>(finish, 5, c50, c51, c52, c53);
      return;
    }
  }
  HWY_ALIGN float tile[kRows * kVectors * kPanel];
  float* to = sums == nullptr ? tile : sums;
  StoreRow<kVectors>(to, 0, c00, c01, c02, c03);
  if constexpr (kRows > 1) StoreRow<kVectors>(to, 1, c10, c11, c12, c13);
  if constexpr (kRows > 2) StoreRow<kVectors>(to, 2, c20, c21, c22, c23);
  if constexpr (kRows > 3) StoreRow<kVectors>(to, 3, c30, c31, c32, c33);
  if constexpr (kRows > 4) StoreRow<kVectors>(to, 4, c40, c41, c42, c43);
  if constexpr (kRows > 5) StoreRow<kVectors>(to, 5, c50, c51, c52, c53);
  if (sums == nullptr) FinishTile(out, kRows, tile, kVectors * hn::Lanes(d));
}

template <size_t kVectors, size_t kStep = 1>
HWY_INLINE void TileRows(size_t rows, const Taps& taps, const TileWeights& weights,
                         const TileOut& out, float* sums = nullptr) {
  switch (rows) {
    case 1:
      return Tile<1, kVectors, kStep>(taps, weights, out, sums);
    case 2:
      return Tile<2, kVectors, kStep>(taps, weights, out, sums);
    case 3:
      return Tile<3, kVectors, kStep>(taps, weights, out, sums);
    case 4:
      return Tile<4, kVectors, kStep>(taps, weights, out, sums);
    case 5:
      return Tile<5, kVectors, kStep>(taps, weights, out, sums);
    default:
      return Tile<6, kVectors, kStep>(taps, weights, out, sums);
  }
}

// How many vectors a tile of `rows` rows may have.
constexpr size_t VectorsFor(size_t rows) {
  return rows <= 2 ? std::max(kVectorTile, kVectorTileTwoRows) : kVectorTile;
}

// A tile of `rows` rows and out.cols <= VectorsFor(rows) * lanes outputs.
HWY_INLINE void RunTile(size_t rows, const Taps& taps, const TileWeights& weights,
                        const TileOut& out) {
  const size_t vectors = (out.cols + hn::Lanes(DF()) - 1) / hn::Lanes(DF());
  if constexpr (kVectorTile >= 4) {
    if (vectors == 4) return TileRows<4>(rows, taps, weights, out);
    if (vectors == 3) return TileRows<3>(rows, taps, weights, out);
  } else {
    if (vectors >= 3 && rows == 1) return Tile<1, 4, 1>(taps, weights, out, nullptr);
    if (vectors >= 3) return Tile<2, 4, 1>(taps, weights, out, nullptr);
  }
  if (vectors == 2) return TileRows<2>(rows, taps, weights, out);
  return TileRows<1>(rows, taps, weights, out);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_TILE_INL_H_

// Depthwise convolution of any shape: the addresses of a tile are looked up for each tap or row of
// taps. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_TILE_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_TILE_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_TILE_INL_H_
#endif

#include "src/conv/conv-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

template <size_t kVectors, bool kTail>
HWY_INLINE void DepthwiseRow(const float* a, size_t cols, VF w0, VF w1, VF w2, VF w3, VF& c0,
                             VF& c1, VF& c2, VF& c3) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  if constexpr (kTail) {
    c0 = Fma(hn::LoadN(d, a, cols), w0, c0);
  } else {
    c0 = Fma(hn::LoadU(d, a), w0, c0);
    if constexpr (kVectors > 1) c1 = Fma(hn::LoadU(d, a + lanes), w1, c1);
    if constexpr (kVectors > 2) c2 = Fma(hn::LoadU(d, a + 2 * lanes), w2, c2);
    if constexpr (kVectors > 3) c3 = Fma(hn::LoadU(d, a + 3 * lanes), w3, c3);
  }
}

// kTail: a single vector that the channels do not fill. The weights are loaded once for a tap, each
// input is the memory operand of its multiply-add.
template <size_t kRows, size_t kVectors, bool kTail>
HWY_NOINLINE void DepthwiseTile(const Taps& taps, const TileWeights& weights, const TileOut& out) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23;
  VF c30, c31, c32, c33, c40, c41, c42, c43, c50, c51, c52, c53;
  // Small code leaves out the first rows alone, whose zeros meet sums of +0.
  Taps::Range rows{taps.rows.first, kSmallCode ? taps.kernel_h : taps.rows.last};
  Taps::Range across = kSmallCode ? Taps::Range{0, taps.kernel_w} : taps.taps;
  const float* table[Taps::kMaxColumns];
  for (;;) {
    c00 = c01 = c02 = c03 = c10 = c11 = c12 = c13 = c20 = c21 = c22 = c23 = zero;
    c30 = c31 = c32 = c33 = c40 = c41 = c42 = c43 = c50 = c51 = c52 = c53 = zero;
    const size_t first = (rows.first * taps.kernel_w + across.first) * kPanel;
    const size_t left_out = (taps.kernel_w - (across.last - across.first)) * kPanel;  // of a row
    const float* b0 = weights.Vector(0) + first;
    const float* b1 = weights.Vector(kVectors > 1 ? 1 : 0) + first;
    const float* b2 = weights.Vector(kVectors > 2 ? 2 : 0) + first;
    const float* b3 = weights.Vector(kVectors > 3 ? 3 : 0) + first;
    for (size_t ky = rows.first; ky < rows.last; ++ky) {
      if (taps.tap_step != 0) taps.Fill(ky, 0, table);
      for (size_t kx = across.first; kx < across.last; ++kx) {
        if (taps.tap_step == 0) taps.Fill(ky, kx, table);
        const float* const* pixel = table + taps.first * taps.row_step + kx * taps.tap_step;
        const VF w0 = hn::LoadU(d, b0);
        const VF w1 = kVectors > 1 ? hn::LoadU(d, b1) : zero;
        const VF w2 = kVectors > 2 ? hn::LoadU(d, b2) : zero;
        const VF w3 = kVectors > 3 ? hn::LoadU(d, b3) : zero;
        DepthwiseRow<kVectors, kTail>(pixel[0], out.cols, w0, w1, w2, w3, c00, c01, c02, c03);
        if constexpr (kRows > 1) {
          DepthwiseRow<kVectors, kTail>(pixel[taps.row_step], out.cols, w0, w1, w2, w3, c10, c11,
                                        c12, c13);
        }
        if constexpr (kRows > 2) {
          DepthwiseRow<kVectors, kTail>(pixel[2 * taps.row_step], out.cols, w0, w1, w2, w3, c20,
                                        c21, c22, c23);
        }
        if constexpr (kRows > 3) {
          DepthwiseRow<kVectors, kTail>(pixel[3 * taps.row_step], out.cols, w0, w1, w2, w3, c30,
                                        c31, c32, c33);
        }
        if constexpr (kRows > 4) {
          DepthwiseRow<kVectors, kTail>(pixel[4 * taps.row_step], out.cols, w0, w1, w2, w3, c40,
                                        c41, c42, c43);
        }
        if constexpr (kRows > 5) {
          DepthwiseRow<kVectors, kTail>(pixel[5 * taps.row_step], out.cols, w0, w1, w2, w3, c50,
                                        c51, c52, c53);
        }
        b0 += kPanel;
        b1 += kPanel;
        b2 += kPanel;
        b3 += kPanel;
      }
      b0 += left_out;
      b1 += left_out;
      b2 += left_out;
      b3 += left_out;
    }
    if constexpr (kSmallCode) break;
    const bool all =
        rows.last == taps.kernel_h && across.first == 0 && across.last == taps.kernel_w;
    // Zeros times the weights that were left out would turn -0 into +0.
    if (all || !AnyNegativeZero<kRows, kVectors>(c00, c01, c02, c03, c10, c11, c12, c13, c20, c21,
                                                 c22, c23, c30, c31, c32, c33, c40, c41, c42, c43,
                                                 c50, c51, c52, c53)) {
      break;
    }
    rows = {0, taps.kernel_h};
    across = {0, taps.kernel_w};
  }
  FinishRows<kRows, kVectors>(out, Finish(out), 0, 0, c00, c01, c02, c03, c10, c11, c12, c13, c20,
                              c21, c22, c23, c30, c31, c32, c33, c40, c41, c42, c43, c50, c51, c52,
                              c53);
}

// The most vectors of tiles of up to three rows, which are rare: rows of one to three pixels, or of
// seven.
constexpr size_t kVectorsOfFewRows = kSmallCode ? kVectorTile : kVectorTile / 2;

template <size_t kVectors, bool kTail>
HWY_INLINE void DepthwiseRows(size_t rows, Taps& taps, const TileWeights& weights, TileOut out) {
  if constexpr (kSmallCode || kTail) {
    // Parts of vectors are rare, too.
    constexpr size_t kMost = kTail ? (kSmallCode ? 1 : 4) : kRowTile;
    for (taps.first = 0; taps.first < rows;) {
      const size_t piece = PieceOf(std::min(rows - taps.first, kMost));
      if (piece == 1) DepthwiseTile<1, kVectors, kTail>(taps, weights, out);
      if constexpr (kMost > 1) {
        if (piece == 2) DepthwiseTile<2, kVectors, kTail>(taps, weights, out);
        if (piece == 4) DepthwiseTile<4, kVectors, kTail>(taps, weights, out);
      }
      if constexpr (kMost == kRowTile) {
        if (piece == kRowTile) DepthwiseTile<kRowTile, kVectors, kTail>(taps, weights, out);
      }
      taps.first += piece;
      out.y += piece * out.y_stride;
      out.pos.pixel += piece;
    }
    taps.first = 0;
  } else {
    if constexpr (kVectors <= kVectorsOfFewRows) {
      if (rows == 1) return DepthwiseTile<1, kVectors, kTail>(taps, weights, out);
      if (rows == 2) return DepthwiseTile<2, kVectors, kTail>(taps, weights, out);
      if (rows == 3) return DepthwiseTile<3, kVectors, kTail>(taps, weights, out);
    }
    if (rows == 4) return DepthwiseTile<4, kVectors, kTail>(taps, weights, out);
    if (rows == 5) return DepthwiseTile<5, kVectors, kTail>(taps, weights, out);
    return DepthwiseTile<kRowTile, kVectors, kTail>(taps, weights, out);
  }
}

// Channels [c, end) of a tile whose addresses do not fit a table.
HWY_NOINLINE inline void DepthwiseChannels(const ConvArgs& args, const ConvTile& t, size_t c,
                                           size_t end) {
  const size_t lanes = hn::Lanes(DF());
  const size_t panel_stride = args.shape->kernel_h * args.shape->kernel_w * kPanel;
  Taps taps;
  while (c < end) {
    const TileWeights weights{args.panels + c / kPanel * panel_stride + c % kPanel, panel_stride};
    const size_t most = t.pixels <= 3 ? kVectorsOfFewRows : kVectorTile;
    size_t vectors = std::min((end - c) / lanes, most);
    if (vectors == 3) vectors = 2;  // then one, whose code is there in any case
    const size_t cols = vectors == 0 ? end - c : vectors * lanes;
    ImageTaps(args, t, c, taps);
    const TileOut out = ConvOut(args, t, c, cols);
    switch (vectors) {
      case 0:
        DepthwiseRows<1, true>(t.pixels, taps, weights, out);
        break;
      case 1:
        DepthwiseRows<1, false>(t.pixels, taps, weights, out);
        break;
      case 2:
        DepthwiseRows<2, false>(t.pixels, taps, weights, out);
        break;
      default:
        DepthwiseRows<kVectorTile, false>(t.pixels, taps, weights, out);
        break;
    }
    c += cols;
  }
}

// The same of a tile with more pixels than kRowTile.
HWY_NOINLINE inline void DepthwisePixels(const ConvArgs& args, ConvTile t, size_t c, size_t end) {
  for (size_t left = t.pixels; left != 0; left -= t.pixels, t.pixel += t.pixels) {
    t.pixels = std::min(left, kRowTile);
    DepthwiseChannels(args, t, c, end);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_TILE_INL_H_

// Depthwise convolution with wide kernels at stride 1. Per-target header: include it after
// hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_
#endif

#include <algorithm>

#include "src/common/tall_tile-inl.h"
#include "src/conv/depthwise_tile-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A vector of the image is loaded once and meets all pixels of a tile, each with another tap, whose
// weights are the memory operands. No address is looked up, and no multiply-add is spent on the
// padding: 31x31 on an image of 14x14 has 196 taps in the image and 765 outside. Tiles go down
// strips, so that image and weights stay in L1.

// A column of the image as a tap of pixels kFirst and up. `w`: the tap of pixel 0, or where it
// would be; the second vector's are `apart` floats behind it.
template <size_t kFirst, size_t kPixels, size_t kVectors, class V, size_t... kPixel>
HWY_INLINE void WideVector(const float* a, const float* w, size_t vector,
                           TallSums<kPixels, kVectors, V>& c, std::index_sequence<kPixel...>) {
  const hn::DFromV<V> d;
  const V x = InRegister(hn::LoadU(d, a));
  ((c.row[kFirst + kPixel][vector] =
        Fma(x, hn::LoadU(d, w - (kFirst + kPixel) * kPanel), c.row[kFirst + kPixel][vector])),
   ...);
}
template <size_t kFirst, size_t kLast, size_t kPixels, size_t kVectors, class V>
HWY_INLINE void WideColumn(const float*& a, size_t stride, const float*& w, size_t apart,
                           TallSums<kPixels, kVectors, V>& c) {
  constexpr auto kEach = Indices<kLast - kFirst>();
  WideVector<kFirst>(a, w, 0, c, kEach);
  if constexpr (kVectors > 1) WideVector<kFirst>(a + hn::Lanes(DF()), w + apart, 1, c, kEach);
  a += stride;
  w += kPanel;
  // Or GCC would keep weights for the next columns. That gains where registers are many (without,
  // 9x9 would take 1.10 of the time, 31x31 1.23), and loses where they are not: 0.80 to 0.90 so.
  if constexpr (kVectorRegisters == 16) asm volatile("" : "+r"(w));
}

// The columns that only the first pixels meet, from `before` on: one pixel more with each.
template <size_t kColumn, size_t kPixels, size_t kVectors, class V>
HWY_INLINE void WideLeft(size_t before, const float*& a, size_t stride, const float*& w,
                         size_t apart, TallSums<kPixels, kVectors, V>& c) {
  if constexpr (kColumn + 1 < kPixels) {
    if (before <= kColumn) WideColumn<0, kColumn + 1>(a, stride, w, apart, c);
    WideLeft<kColumn + 1>(before, a, stride, w, apart, c);
  }
}
// Those that only the last ones meet, `count` of them.
template <size_t kFirst, size_t kPixels, size_t kVectors, class V>
HWY_INLINE void WideRight(size_t count, const float*& a, size_t stride, const float*& w,
                          size_t apart, TallSums<kPixels, kVectors, V>& c) {
  if constexpr (kFirst < kPixels) {
    if (count < kFirst) return;
    WideColumn<kFirst, kPixels>(a, stride, w, apart, c);
    WideRight<kFirst + 1>(count, a, stride, w, apart, c);
  }
}

// kVectors vectors of channels, from `channel` on, of a tile of up to kPixels pixels, whose channel
// 0 reads `taps`. False, and nothing is written, where the image ends among the first columns, or a
// sum is -0: taps in the padding, which are left out, may make it +0.
template <size_t kPixels, size_t kVectors, class V>
HWY_NOINLINE bool DepthwiseWideTile(const ConvArgs& args, const ConvTile& t, const Taps& taps,
                                    size_t channel) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const size_t kernel_w = s.kernel_w;
  const size_t panel_stride = s.kernel_h * kernel_w * kPanel;
  const size_t apart = lanes == kPanel ? panel_stride : lanes;
  // Columns of the image, by the tap of the first pixel that meets them, or would.
  const size_t left = s.padding.left;
  const size_t before = left - std::min(left, t.pixel);
  const size_t right = args.x.width + left - std::min(args.x.width + left, t.pixel);
  const size_t end = std::min(t.pixels - 1 + kernel_w, right);
  if (end < kPixels - 1 || before > kernel_w) return false;
  const size_t all = std::min(kernel_w, end);  // end of the columns that all pixels meet
  const size_t first = std::max(before, kPixels - 1);
  const size_t stride = taps.stride;
  const float* weights =
      args.panels + channel / kPanel * panel_stride + channel % kPanel + before * kPanel;
  const float* image = At(taps.data, before * stride + channel);
  TallSums<kPixels, kVectors, V> c;
  for (auto& row : c.row) {
    for (auto& sum : row) sum = hn::Zero(d);
  }
  for (size_t ky = taps.rows.first; ky < taps.rows.last; ++ky) {
    const float* a = At(image, ky * taps.step_h);
    const float* w = weights + ky * kernel_w * kPanel;
    WideLeft<0>(before, a, stride, w, apart, c);
    // And on the right those that the tile does not have, too.
#pragma GCC unroll 1
    for (size_t tap = first; tap < all; ++tap) WideColumn<0, kPixels>(a, stride, w, apart, c);
    WideRight<1>(end - all, a, stride, w, apart, c);
  }
  if (NegativeZero(c)) return false;
  HWY_ALIGN float tile[kPixels * kVectors * kPanel];
  StoreTall(tile, kVectors * lanes, c);
  FinishTile(ConvOut(args, t, channel, kVectors * lanes), t.pixels, tile, kVectors * lanes);
  return true;
}

// Rows of a strip, whose inputs stay in L1 beside the weights of two vectors, but no fewer than
// eight (112x112x128 with 9x9 taps takes 0.85 to 0.91 of the time of rows one by one). Where the
// weights alone would not, rows share them in L2: 20x20x512 with 25x25 taps takes 1.02 to 1.04 of
// the time with 16 of them.
HWY_INLINE size_t MostWideRows(const ConvArgs& args) {
  constexpr size_t kLeast = 8, kSharing = 64;
  const Conv2dShape& s = *args.shape;
  const size_t pair = 2 * hn::Lanes(DF()) * sizeof(float);
  const size_t weights = s.kernel_h * s.kernel_w * pair;
  if (weights > args.l1 / 2) return kSharing;
  const size_t row = (args.pixels + s.kernel_w) * pair;  // of the image
  const size_t rows = Quotient(args.l1 / 4 * 3 - weights, row);
  return std::max(kLeast, rows - std::min(rows, s.kernel_h - 1));
}

// All channels of `rows` rows of tile t.
template <class V>
HWY_NOINLINE void RunWideStrip(const ConvArgs& args, const ConvTile& t, size_t rows,
                               bool /*alone*/) {
  const size_t lanes = hn::Lanes(DF());
  const size_t channels = args.shape->channels;
  const bool pairs = t.pixels <= kRowTileWidePair;
  for (size_t c = 0, vectors, end; c < channels; c = end) {
    vectors = std::min<size_t>(Quotient(channels - c, lanes), pairs ? 2 : 1);
    end = vectors == 0 ? channels : c + vectors * lanes;
    ConvTile tile = t;
    for (size_t r = 0; r < rows; ++r, ++tile.row) {
      Taps taps;
      EdgeTaps(args, tile, 0, 1, taps);
      bool done = false;
      if (vectors == 2) {
        done = DepthwiseWideTile<kRowTileWidePair, 2, V>(args, tile, taps, c);
      } else if (vectors == 1 && pairs) {
        done = DepthwiseWideTile<kRowTileWidePair, 1, V>(args, tile, taps, c);
      } else if (vectors == 1) {
        done = DepthwiseWideTile<kRowTileWide, 1, V>(args, tile, taps, c);
      }
      if (!done) DepthwisePixels(args, tile, c, end);
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_

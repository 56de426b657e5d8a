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
#include "src/conv/conv-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A vector of the image is loaded once and meets all pixels of a tile, each with another tap, whose
// weights are the memory operands. No address is looked up, and no multiply-add is spent on the
// padding: 31x31 on an image of 14x14 has 196 taps in the image and 765 outside. One vector of
// channels at a time, so that image and weights stay in L1.

// Column x of the image as a tap of pixel kPixel. `w`: the tap of pixel 0, or where it would be.
template <size_t kPixel, size_t kPixels, class V>
HWY_INLINE void WidePixel(V x, const float* w, TallSums<kPixels, 1, V>& c) {
  if constexpr (kPixel < kPixels) {
    V& sum = c.row[kPixel][0];
    sum = Fma(x, hn::LoadU(hn::DFromV<V>(), w - kPixel * kPanel), sum);
  }
}
template <size_t kPixels, class V, size_t... kPixel>
HWY_INLINE void WideColumn(V x, const float* w, TallSums<kPixels, 1, V>& c,
                           std::index_sequence<kPixel...>) {
  (WidePixel<kPixel>(x, w, c), ...);
}

// The same for pixels 0 to `last`, and for those from `first` on, by one jump into all of them.
static_assert(kRowTileWide <= 14);
template <size_t kPixels, class V>
HWY_INLINE void WideLeft(V x, const float* w, size_t last, TallSums<kPixels, 1, V>& c) {
  switch (last) {
    case 12:
      WidePixel<12>(x, w, c);
      [[fallthrough]];
    case 11:
      WidePixel<11>(x, w, c);
      [[fallthrough]];
    case 10:
      WidePixel<10>(x, w, c);
      [[fallthrough]];
    case 9:
      WidePixel<9>(x, w, c);
      [[fallthrough]];
    case 8:
      WidePixel<8>(x, w, c);
      [[fallthrough]];
    case 7:
      WidePixel<7>(x, w, c);
      [[fallthrough]];
    case 6:
      WidePixel<6>(x, w, c);
      [[fallthrough]];
    case 5:
      WidePixel<5>(x, w, c);
      [[fallthrough]];
    case 4:
      WidePixel<4>(x, w, c);
      [[fallthrough]];
    case 3:
      WidePixel<3>(x, w, c);
      [[fallthrough]];
    case 2:
      WidePixel<2>(x, w, c);
      [[fallthrough]];
    case 1:
      WidePixel<1>(x, w, c);
      [[fallthrough]];
    default:
      WidePixel<0>(x, w, c);
  }
}
template <size_t kPixels, class V>
HWY_INLINE void WideRight(V x, const float* w, size_t first, TallSums<kPixels, 1, V>& c) {
  switch (first) {
    case 1:
      WidePixel<1>(x, w, c);
      [[fallthrough]];
    case 2:
      WidePixel<2>(x, w, c);
      [[fallthrough]];
    case 3:
      WidePixel<3>(x, w, c);
      [[fallthrough]];
    case 4:
      WidePixel<4>(x, w, c);
      [[fallthrough]];
    case 5:
      WidePixel<5>(x, w, c);
      [[fallthrough]];
    case 6:
      WidePixel<6>(x, w, c);
      [[fallthrough]];
    case 7:
      WidePixel<7>(x, w, c);
      [[fallthrough]];
    case 8:
      WidePixel<8>(x, w, c);
      [[fallthrough]];
    case 9:
      WidePixel<9>(x, w, c);
      [[fallthrough]];
    case 10:
      WidePixel<10>(x, w, c);
      [[fallthrough]];
    case 11:
      WidePixel<11>(x, w, c);
      [[fallthrough]];
    case 12:
      WidePixel<12>(x, w, c);
      [[fallthrough]];
    default:
      WidePixel<13>(x, w, c);
  }
}

// One vector of channels, from `channel` on, of a tile of up to kPixels pixels, whose channel 0
// reads `taps`. False, and nothing is written, where a sum is -0: taps in the padding, which are
// left out, may make it +0.
template <size_t kPixels, class V>
HWY_NOINLINE bool DepthwiseWideTile(const ConvArgs& args, const ConvTile& t, const Taps& taps,
                                    size_t channel) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const size_t kernel_w = s.kernel_w;
  const size_t panel_stride = s.kernel_h * kernel_w * kPanel;
  // Columns of the image, by the tap of the first pixel that meets them, or would.
  const size_t left = s.padding.left;
  const size_t before = left - std::min(left, t.pixel);
  const size_t right = args.x.width + left - std::min(args.x.width + left, t.pixel);
  const size_t end = std::min(t.pixels - 1 + kernel_w, right);
  const float* weights = args.panels + channel / kPanel * panel_stride + channel % kPanel;
  TallSums<kPixels, 1, V> c;
  for (auto& row : c.row) row[0] = hn::Zero(d);
  for (size_t ky = taps.rows.first; ky < taps.rows.last; ++ky) {
    const float* a = At(taps.data, ky * taps.step_h + before * taps.stride + channel);
    const float* w = weights + (ky * kernel_w + before) * kPanel;
    size_t tap = before;
    for (; tap < std::min(kPixels - 1, end); ++tap, a += taps.stride, w += kPanel) {
      WideLeft(hn::LoadU(d, a), w, tap, c);
    }
    // All pixels, and on the right those that the tile does not have, too.
#pragma GCC unroll 1
    for (; tap < std::min(kernel_w, end); ++tap, a += taps.stride, w += kPanel) {
      WideColumn(hn::LoadU(d, a), w, c, Indices<kPixels>());
    }
    for (; tap < end; ++tap, a += taps.stride, w += kPanel) {
      WideRight(hn::LoadU(d, a), w, tap - kernel_w + 1, c);
    }
  }
  if (NegativeZero(c)) return false;
  HWY_ALIGN float tile[kPixels * kPanel];
  StoreTall<0>(tile, lanes, c);
  FinishTile(ConvOut(args, t, channel, lanes), t.pixels, tile, lanes);
  return true;
}

// Units (tiles) [begin, end), whole vectors of channels up to `channels`. `rest` runs the channels
// [c, end) of a tile in any other way.
template <class V, class Rest>
HWY_INLINE void ConvDepthwiseWide(const ConvArgs& args, size_t begin, size_t end,
                                  const Rest& rest) {
  constexpr size_t kLines = 4;  // of a pixel at a time, if their weights are few
  const size_t lanes = hn::Lanes(DF());
  const Conv2dShape& s = *args.shape;
  const size_t weights = s.kernel_h * s.kernel_w * kPanel * sizeof(float);
  const size_t step = kLines * weights <= args.l1 / 4 ? kLines * kPanel : lanes;
  for (size_t first = 0; first < s.channels; first += step) {
    const size_t last = std::min(first + step, s.channels);
    TileCursor cursor(args, begin);
    for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
      const ConvTile& t = cursor.tile();
      Taps taps;
      EdgeTaps(args, t, 0, 1, taps);
      for (size_t c = first; c < last; c += lanes) {
        constexpr size_t kHalf = kRowTileWide / 2;
        const bool done =
            c + lanes <= last &&
            (t.pixels <= kHalf ? DepthwiseWideTile<kHalf, V>(args, t, taps, c)
                               : DepthwiseWideTile<kRowTileWide, V>(args, t, taps, c));
        if (!done) rest(t, c, std::min(c + lanes, last));
      }
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_

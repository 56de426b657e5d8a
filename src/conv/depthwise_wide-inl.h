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

// Column x of the image and the pixels of a tile from kPixel on that it meets, which are bits of
// `meets`. `w`: the tap of pixel 0, or where it would be.
template <size_t kPixel, size_t kPixels, class V>
HWY_INLINE void WideColumn(V x, const float* w, uint32_t meets, TallSums<kPixels, 1, V>& c) {
  if (meets >> kPixel & 1) {
    V& sum = c.row[kPixel][0];
    sum = Fma(x, hn::LoadU(hn::DFromV<V>(), w - kPixel * kPanel), sum);
  }
  if constexpr (kPixel + 1 < kPixels) WideColumn<kPixel + 1>(x, w, meets, c);
}

// The same where bits are not known in advance.
template <size_t kPixels, class V>
HWY_INLINE void WideEdge(V x, const float* w, uint32_t meets, TallSums<kPixels, 1, V>& c) {
  asm volatile("" : "+r"(meets));  // or there would be a loop for each of its values
  WideColumn<0>(x, w, meets, c);
}

// One vector of channels, from `channel` on, of a tile of up to kPixels pixels. False, and nothing
// is written, where a sum is -0: taps in the padding, which are left out, may make it +0.
template <size_t kPixels, class V>
HWY_NOINLINE bool DepthwiseWideTile(const ConvArgs& args, const ConvTile& t, size_t channel) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const size_t kernel_w = s.kernel_w;
  const size_t panel_stride = s.kernel_h * kernel_w * kPanel;
  Taps taps;
  EdgeTaps(args, t, channel, 1, taps);
  // Columns of the image, by the tap of the first pixel that meets them, or would.
  const size_t left = s.padding.left;
  const size_t before = left - std::min(left, t.pixel);
  const size_t right = args.x.width + left - std::min(args.x.width + left, t.pixel);
  const size_t end = std::min(t.pixels - 1 + kernel_w, right);
  const float* weights = args.panels + channel / kPanel * panel_stride + channel % kPanel;
  const uint32_t live = (uint32_t{1} << t.pixels) - 1;
  TallSums<kPixels, 1, V> c;
  for (auto& row : c.row) row[0] = hn::Zero(d);
  for (size_t ky = taps.rows.first; ky < taps.rows.last; ++ky) {
    const float* a = At(taps.data, ky * taps.step_h + before * taps.stride);
    const float* w = weights + (ky * kernel_w + before) * kPanel;
    size_t tap = before;
    for (; tap < std::min(kPixels - 1, end); ++tap, a += taps.stride, w += kPanel) {
      WideEdge(hn::LoadU(d, a), w, live & ((uint32_t{2} << tap) - 1), c);
    }
    // All pixels, and those that the tile does not have.
#pragma GCC unroll 1
    for (; tap < std::min(kernel_w, end); ++tap, a += taps.stride, w += kPanel) {
      WideColumn<0>(hn::LoadU(d, a), w, (uint32_t{1} << kPixels) - 1, c);
    }
    for (; tap < end; ++tap, a += taps.stride, w += kPanel) {
      WideEdge(hn::LoadU(d, a), w, live & ~((uint32_t{2} << (tap - kernel_w)) - 1), c);
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
  const size_t lanes = hn::Lanes(DF());
  const size_t channels = args.shape->channels;
  for (size_t c = 0; c < channels; c += lanes) {
    TileCursor cursor(args, begin);
    for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
      const ConvTile& t = cursor.tile();
      constexpr size_t kHalf = kRowTileWide / 2;
      const bool done = c + lanes <= channels &&
                        (t.pixels <= kHalf ? DepthwiseWideTile<kHalf, V>(args, t, c)
                                           : DepthwiseWideTile<kRowTileWide, V>(args, t, c));
      if (!done) rest(t, c, std::min(c + lanes, channels));
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_WIDE_INL_H_

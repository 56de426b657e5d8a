// The loops of Conv2d: dense and grouped plans around the register tile.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_CONV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_CONV_INL_H_
#undef LANEFUSE_SRC_CONV_CONV_INL_H_
#else
#define LANEFUSE_SRC_CONV_CONV_INL_H_
#endif

#include "src/common/partition.h"
#include "src/common/tile-inl.h"
#include "src/conv/conv_args.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE TileOut ConvOut(const ConvArgs& args, const ConvTile& t, size_t channel, size_t cols) {
  float* y = args.y.data + t.image * args.y.image_stride + t.row * args.y.row_stride +
             t.pixel * args.y.pixel_stride + channel;
  return {args.chain, {t.image, t.row, t.pixel, channel}, y, args.y.pixel_stride, cols};
}

// What the pixels of a tile read, from `channel` on, `channels` for each tap.
HWY_INLINE Taps ConvTaps(const ConvArgs& args, const ConvTile& t, size_t channel,
                         size_t channels) {
  const Conv2dShape& s = *args.shape;
  Taps taps;
  taps.kernel_h = s.kernel_h;
  taps.kernel_w = s.kernel_w;
  taps.length = channels;
  const float* image = args.x.data + t.image * args.x.image_stride + channel;
  const auto y = static_cast<ptrdiff_t>(t.row * s.stride_h) - static_cast<ptrdiff_t>(s.padding.top);
  const auto x =
      static_cast<ptrdiff_t>(t.pixel * s.stride_w) - static_cast<ptrdiff_t>(s.padding.left);
  const size_t last_y = static_cast<size_t>(y) + s.dilation_h * (s.kernel_h - 1);
  const size_t last_x =
      static_cast<size_t>(x) + s.dilation_w * (s.kernel_w - 1) + (t.pixels - 1) * s.stride_w;
  taps.border = y < 0 || x < 0 || last_y >= args.x.height || last_x >= args.x.width;
  if (taps.border) {
    taps.data = image;
    taps.chunk = kZeroRun;
    taps.y = y;
    taps.x = x;
    taps.stride_w = s.stride_w;
    taps.dilation_h = s.dilation_h;
    taps.dilation_w = s.dilation_w;
    taps.height = args.x.height;
    taps.width = args.x.width;
    taps.row_stride = args.x.row_stride;
    taps.pixel_stride = args.x.pixel_stride;
    return taps;
  }
  taps.data = image + static_cast<size_t>(y) * args.x.row_stride +
              static_cast<size_t>(x) * args.x.pixel_stride;
  taps.stride = s.stride_w * args.x.pixel_stride;
  taps.step_h = s.dilation_h * args.x.row_stride;
  taps.step_w = s.dilation_w * args.x.pixel_stride;
  if (taps.step_w == channels) {  // Neighbouring taps are neighbours in memory: one long run.
    taps.length *= taps.kernel_w;
    taps.kernel_w = 1;
  }
  taps.chunk = taps.length;
  return taps;
}

// Units (tiles) [begin, end) of a dense convolution. A block of weights, as wide as a tile, stays in
// cache while all pixels pass.
HWY_INLINE void ConvDense(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = s.channels / s.groups;
  const size_t outputs = s.outputs / s.groups;
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  const size_t panels = (outputs + kPanel - 1) / kPanel;
  const size_t pixels = (args.y.width + args.tiles - 1) / args.tiles;
  const size_t width = VectorsFor(pixels) * hn::Lanes(DF());
  for (size_t g = 0; g < s.groups; ++g) {
    const float* group = args.panels + g * panels * panel_stride;
    for (size_t n = 0; n < outputs; n += width) {
      const TileWeights weights{group + n / kPanel * panel_stride + n % kPanel, panel_stride};
      const size_t cols = std::min(width, outputs - n);
      TileCursor cursor(args, begin);
      for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
        const ConvTile& t = cursor.tile();
        RunTile(t.pixels, ConvTaps(args, t, g * channels, channels), weights,
                ConvOut(args, t, g * outputs + n, cols));
      }
    }
  }
}

// Small groups: every lane is an output and reads the inputs of its own group.
HWY_INLINE void ConvGrouped(const ConvArgs& args, size_t begin, size_t end) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const size_t channels = s.channels / s.groups;
  const size_t outputs = s.outputs / s.groups;
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  for (size_t n = 0; n < s.outputs; n += lanes) {
    const size_t cols = std::min(lanes, s.outputs - n);
    HWY_ALIGN int32_t first[kPanel];  // of the group of each lane
    for (size_t i = 0; i < lanes; ++i) {
      // Lanes behind the last output repeat it, so that they read what may be read.
      const size_t output = std::min(n + i, s.outputs - 1);
      first[i] = static_cast<int32_t>(output / outputs * channels);
    }
    const auto index = hn::Load(di, first);
    TileCursor cursor(args, begin);
    for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
      const ConvTile& t = cursor.tile();
      const Taps taps = ConvTaps(args, t, 0, s.channels);
      const size_t taps_w = s.kernel_w;
      HWY_ALIGN float tile[kRowTile * kPanel];
      for (size_t r = 0; r < t.pixels; ++r) {
        const float* w = args.panels + n / kPanel * panel_stride + n % kPanel;
        VF sum = hn::Zero(d);
        for (size_t ky = 0; ky < s.kernel_h; ++ky) {
          for (size_t kx = 0; kx < taps_w; ++kx) {
            const float* a = taps.Row(r, ky, kx, 0);
            for (size_t c = 0; c < channels; ++c, w += kPanel) {
              const VF x = a == kZeros ? hn::Zero(d) : hn::GatherIndex(d, a + c, index);
              sum = Fma(x, hn::LoadU(d, w), sum);
            }
          }
        }
        hn::StoreU(sum, d, tile + r * lanes);
      }
      FinishTile(ConvOut(args, t, n, cols), t.pixels, tile, lanes);
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_CONV_INL_H_

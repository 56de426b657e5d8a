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

// Units (tiles) [begin, end) of one group of a dense convolution, outputs [n0, n1) of the group.
HWY_INLINE void ConvDenseBlock(const ConvArgs& args, size_t begin, size_t end, size_t g, size_t n0,
                               size_t n1, size_t width) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = s.channels / s.groups;
  const size_t outputs = s.outputs / s.groups;
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  const float* group = args.panels + g * ((outputs + kPanel - 1) / kPanel) * panel_stride;
  HWY_ALIGN float patch[kPatchFloats];
  const size_t inner_end = InnerEnd(args);
  TileCursor cursor(args, begin);
  Taps taps;
  bool inner = false;  // `taps` are those of the last tile, an inner one of the same row
  size_t step = 0;
  for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
    const ConvTile& t = cursor.tile();
    if (inner && t.pixel != 0 && t.pixel + t.pixels <= inner_end) {
      taps.data += step;
    } else {
      taps = DenseTaps(args, t, g * channels, channels, patch);
      inner = taps.columns == 0 && taps.data != patch;
    }
    step = t.pixels * taps.stride;
    for (size_t n = n0; n < n1; n += width) {
      const TileWeights weights{group + n / kPanel * panel_stride + n % kPanel, panel_stride};
      const size_t cols = std::min(width, n1 - n);
      RunTile(t.pixels, taps, weights, ConvOut(args, t, g * outputs + n, cols));
    }
  }
}

// Units [begin, end) of a dense convolution. Weights that fit half of L1 stay there while tiles
// pass; of larger ones, a block as wide as a tile stays in L2 while all pixels pass.
HWY_INLINE void ConvDense(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  const size_t outputs = s.outputs / s.groups;
  const size_t depth = s.kernel_h * s.kernel_w * (s.channels / s.groups);
  const size_t pixels = (args.y.width + args.tiles - 1) / args.tiles;
  size_t width = VectorsFor(pixels) * hn::Lanes(DF());
  // A block of weights that would leave no room in L2 is halved.
  if (depth * width * sizeof(float) > args.large_weights && width > kPanel) width /= 2;
  const bool small = depth * outputs * sizeof(float) <= args.small_weights;
  const size_t block = small ? outputs : width;
  for (size_t g = 0; g < s.groups; ++g) {
    for (size_t n = 0; n < outputs; n += block) {
      ConvDenseBlock(args, begin, end, g, n, std::min(n + block, outputs), width);
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
      const Taps taps = ImageTaps(args, t, 0, channels);
      const float* table[Taps::kMaxColumns];
      HWY_ALIGN float tile[kRowTile * kPanel];
      for (size_t r = 0; r < t.pixels; ++r) {
        const float* w = args.panels + n / kPanel * panel_stride + n % kPanel;
        VF sum = hn::Zero(d);
        for (size_t ky = 0; ky < s.kernel_h; ++ky) {
          if (taps.tap_step != 0) taps.Fill(t.pixels, ky, 0, table);
          for (size_t kx = 0; kx < s.kernel_w; ++kx) {
            if (taps.tap_step == 0) taps.Fill(t.pixels, ky, kx, table);
            const float* a = table[r * taps.row_step + kx * taps.tap_step];
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

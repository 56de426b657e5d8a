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
  const TilePos pos = {t.image + args.origin.image, t.row + args.origin.row,
                       t.pixel + args.origin.pixel, channel};
  return {args.chain, pos, y, args.y.pixel_stride, cols};
}

// Units (tiles) [begin, end) of one group of a dense convolution, outputs [n0, n1) of the group, in
// blocks of `width`. Inner tiles of one height in one row run together, as many as `together`.
HWY_INLINE void ConvDenseBlock(const ConvArgs& args, size_t begin, size_t end, size_t g, size_t n0,
                               size_t n1, size_t width, size_t together) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  const float* group = args.panels + g * ((outputs + kPanel - 1) / kPanel) * panel_stride;
  Patch patch;
  const size_t inner_end = InnerEnd(args);
  RunTable table = TableFor(args, g * channels, channels);
  Taps taps;
  taps.runs = &table;
  TileCursor cursor(args, begin);
  if (args.scattered) {
    const size_t row = Quotient(cursor.tile().pixel, args.across);
    const size_t image = Quotient(row, args.down);
    table.Seek(image, row - image * args.down, cursor.tile().pixel - row * args.across);
  }
  for (size_t unit = begin; unit < end;) {
    const ConvTile& t = cursor.tile();
    size_t count = 1;
    bool strided;
    if (args.scattered) {
      const ConvTile here = {table.image(), table.row(), table.column(), t.pixels};
      strided = here.pixel + t.pixels <= args.across &&
                StridedTaps(args, here, g * channels, channels, nullptr, taps);
      if (strided) table.Skip(t.pixels);
    } else {
      strided = StridedTaps(args, t, g * channels, channels, &patch, taps);
      if (strided && !taps.copied) {
        count = cursor.Together(std::min(together, end - unit), inner_end);
      }
      if (!strided) table.Seek(t.image, t.row, t.pixel);
    }
    if (!strided) table.Take(t.pixels);
    for (size_t n = n0; n < n1; n += width) {
      const TileWeights weights{group + n / kPanel * panel_stride + n % kPanel, panel_stride};
      const TileOut out = ConvOut(args, t, g * outputs + n, std::min(width, n1 - n));
      if (strided) {
        RunTiles<false>(t.pixels, taps, weights, out, count);
      } else {
        RunTiles<true>(t.pixels, taps, weights, out, 1);
      }
    }
    unit += count;
    cursor.Advance(count);
  }
}

// Units (tiles) [begin, end) of a dense convolution. Either all weights meet a few tiles, whose
// inputs stay in L1, before the next few: then the weights are read from L2 again for each of them.
// Or a block of weights as wide as a tile meets all tiles: then the image is read again for each
// block. Whichever reads less; in doubt the first, which writes each output pixel at once.
HWY_INLINE void ConvDense(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  const size_t outputs = GroupOutputs(s);
  const size_t depth = s.kernel_h * s.kernel_w * GroupChannels(s);
  const size_t pixels = args.pixels + (args.longer != 0 ? 1 : 0);
  size_t width = VectorsFor(pixels) * hn::Lanes(DF());
  // A block of weights that would leave no room in L2 is halved.
  if (depth * width * sizeof(float) > args.large_weights && width > kPanel) width /= 2;
  const size_t weights = depth * outputs * sizeof(float);
  const size_t row_bytes = pixels * s.stride_w * args.x.pixel_stride * sizeof(float);  // of a tile
  const size_t together =
      std::max(Quotient(args.tile_inputs, std::max(s.kernel_h * row_bytes, size_t{1})), size_t{1});
  const size_t units = end - begin;
  const bool weights_stay = weights <= args.tile_inputs || units < together;
  const bool image_stays = units * row_bytes <= args.tile_inputs;
  // units / together * weights against outputs / width * units * row_bytes, twice.
  const bool weights_are_less = depth * width * sizeof(float) <= 2 * together * row_bytes;
  const bool all_weights =
      weights <= args.small_weights && (weights_stay || (!image_stays && weights_are_less));
  const size_t block = all_weights ? outputs : width;
  for (size_t g = 0; g < s.groups; ++g) {
    for (size_t n = 0; n < outputs; n += block) {
      ConvDenseBlock(args, begin, end, g, n, std::min(n + block, outputs), width,
                     all_weights ? together : args.tiles);
    }
  }
}

// Small groups: every lane is an output and reads the inputs of its own group.
HWY_INLINE void ConvGrouped(const ConvArgs& args, size_t begin, size_t end) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
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
      Taps taps;
      ImageTaps(args, t, 0, channels, taps);
      const float* table[Taps::kMaxColumns];
      HWY_ALIGN float tile[kRowTile * kPanel];
      for (size_t r = 0; r < t.pixels; ++r) {
        const float* w = args.panels + n / kPanel * panel_stride + n % kPanel;
        VF sum = hn::Zero(d);
        for (size_t ky = 0; ky < s.kernel_h; ++ky) {
          if (taps.tap_step != 0) taps.Fill(ky, 0, table);
          for (size_t kx = 0; kx < s.kernel_w; ++kx) {
            if (taps.tap_step == 0) taps.Fill(ky, kx, table);
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

// Dense and grouped convolutions in tall tiles, and which gain by them.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_CONV_TALL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_CONV_TALL_INL_H_
#undef LANEFUSE_SRC_CONV_CONV_TALL_INL_H_
#else
#define LANEFUSE_SRC_CONV_CONV_TALL_INL_H_
#endif

#include <algorithm>
#include <cmath>

#include "src/common/tall_tile-inl.h"
#include "src/conv/conv_args.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE TileOut ConvOut(const ConvArgs& args, const ConvTile& t, size_t channel, size_t cols) {
  return {args.chain, PosOf(args, t, channel), OutputOf(args, t, channel), args.y.pixel_stride,
          cols};
}

// TallTiles of one width.
using TallRun = bool (*)(size_t rows, const Taps& taps, const TileWeights& weights,
                         const TileOut& out, size_t count);

// A tile that has a sum of -0: once more, with the padding, whose zeros may make it +0. `weights`:
// of its first output.
HWY_NOINLINE inline void PaddedTile(const ConvArgs& args, const ConvTile& t, size_t channel,
                                    const TileWeights& weights, TileOut out) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const size_t channels = GroupChannels(s);
  out.skip = 0;
  HWY_ALIGN float sums[2 * kPanel];
  for (size_t p = 0; p < t.pixels; ++p) {
    for (size_t o = 0; o < out.cols; ++o) {
      const float* w = weights.first + o / kPanel * weights.panel_stride + o % kPanel;
      float sum = 0.0f;
      for (size_t ky = 0; ky < s.kernel_h; ++ky) {
        const size_t y = t.row * s.stride_h + ky * s.dilation_h - s.padding.top;
        for (size_t kx = 0; kx < s.kernel_w; ++kx) {
          const size_t x = (t.pixel + p) * s.stride_w + kx * s.dilation_w - s.padding.left;
          const bool inside = y < image.height && x < image.width;
          const float* a = inside ? image.data + t.image * image.image_stride +
                                        y * image.row_stride + x * image.pixel_stride + channel
                                  : nullptr;
          for (size_t c = 0; c < channels; ++c, w += kPanel) {
            sum = std::fma(inside ? a[c] : 0.0f, *w, sum);
          }
        }
      }
      sums[o] = sum;
    }
    FinishTile(out, 1, sums, 2 * kPanel);
    out.y += out.y_stride;
    ++out.pos.pixel;
  }
}

// Units (tiles) [begin, end) of outputs [n0, n1) of groups [g0, g1) in tall tiles: all outputs, or,
// of one group, as many as a tile has.
HWY_NOINLINE inline void ConvTallGroups(const ConvArgs& args, size_t begin, size_t end, size_t g0,
                                        size_t g1, size_t n0, size_t n1, TallRun run) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel = s.kernel_h * s.kernel_w * channels * kPanel;
  // Where outputs are packed without regard to groups, those of one begin at any lane of a panel,
  // and may end in the next. Eight lanes are read from there, or the last of the panel.
  const bool shared = args.plan == ConvPlan::kGrouped;
  const size_t each = shared ? outputs : QuotientUp(outputs, kPanel) * kPanel;
  EdgeTap edge[EdgeTap::kTaps];
  TileCursor cursor(args, begin);
  while (begin < end) {
    const ConvTile& t = cursor.tile();
    Taps taps;
    size_t count = 1;
    if (StridedTaps(args, t, g0 * channels, channels, nullptr, taps) != Strided::kNot) {
      count = cursor.Together(end - begin, args.inner_end);
    } else {
      EdgeTaps(args, t, g0 * channels, channels, taps);
      EdgeRows(args, t, edge);
      taps.edge = edge;
    }
    for (size_t g = g0; g < g1; ++g) {
      for (size_t n = n0, cols; n < n1; n += cols) {
        const size_t packed = g * each + n;
        const size_t lane = packed % kPanel;
        cols = shared ? std::min(n1 - n, kPanel - lane) : n1 - n;
        const TileWeights weights{args.panels + packed / kPanel * panel + lane, panel};
        TileWeights loaded = weights;
        TileOut out = ConvOut(args, t, g * outputs + n, cols);
        out.skip = lane - std::min(lane, kPanel / 2);
        loaded.first -= out.skip;
        if (run(t.pixels, taps, loaded, out, count)) {
          PaddedTile(args, t, g * channels, weights, out);
        }
      }
      taps.data = At(taps.data, channels);
    }
    begin += count;
    cursor.Advance(count);
  }
}

// The same of all groups. Small ones take turns at each tile, which reads all channels of its
// pixels once.
HWY_INLINE void ConvTall(const ConvArgs& args, size_t begin, size_t end, TallRun run) {
  const Conv2dShape& s = *args.shape;
  const size_t outputs = GroupOutputs(s);
  const size_t weights = s.kernel_h * s.kernel_w * s.channels * kPanel * sizeof(float);
  const size_t together = weights <= args.small_weights ? s.groups : 1;
  for (size_t g = 0; g < s.groups; g += together) {
    ConvTallGroups(args, begin, end, g, g + together, 0, outputs, run);
  }
}

// The same of outputs [args.n0, args.n1) of the only group, a block of two vectors after the other.
template <class V>
HWY_NOINLINE void ConvTallBlocks(const ConvArgs& args, size_t begin, size_t end) {
  const size_t lanes = hn::Lanes(hn::DFromV<V>());
  for (size_t n = args.n0, last; n < args.n1; n = last) {
    last = std::min(n + 2 * lanes, args.n1);
    ConvTallGroups(args, begin, end, 0, 1, n, last,
                   last - n <= lanes ? TallTiles<1, V> : TallTiles<2, V>);
  }
}

// Lanes of the vectors that tall tiles of so many outputs have.
HWY_INLINE size_t TallLanes(size_t outputs) {
  return kTallEights && outputs <= 8 ? 8 : hn::Lanes(DF());
}

// Whether rows of `width` pixels are worth cutting into tall tiles, if those can run them. With 16
// registers two vectors have six rows, tall or not: what is gained are the addresses, and lost are
// rows that are cut badly, for only other tiles go on in the next row. Groups lose more by that.
HWY_INLINE bool GainsByTallTiles(const Conv2dShape& s, size_t width) {
  const size_t lanes = hn::Lanes(DF());
  const size_t outputs = GroupOutputs(s);
  if (!kTallTiles || outputs > 2 * lanes) return false;
  const bool one = outputs <= lanes;
  // Shallow sums do not hide that parts of vectors end by way of memory.
  const size_t depth = DepthOf(s);
  if (depth < DeepSum(one) && outputs % TallLanes(outputs) != 0) return false;
  // Four pixels of one vector would take 0.98 to 1.27.
  constexpr size_t kLeast = 5;
  if (one) return Quotient(width, QuotientUp(width, kTallRows)) >= kLeast;
  if (kVectorRegisters == 32) return width > 1;
  constexpr size_t kMostDepth = 256;  // 14x14x64 would take 1.02
  // Seven pixels are tiles of four and three, which have no code.
  return s.groups == 1 && outputs == 2 * lanes && depth >= DeepSum(one) && depth <= kMostDepth &&
         width >= 4 && width != 7;
}

// Whether more outputs than a tall tile has gain by blocks of two vectors, for which the image is
// read again. AVX512, with 64 outputs: 8x8x64 with 3x3 taps takes 0.95 of the time, 12x12x16 0.90,
// 16x16x24 0.94, 8x8x16 with 5x5 taps 0.77, 28x28x16 0.94, 14x14x64 with 7x7 0.82; with 48, whose
// last block is one vector, 12x12x16 0.93, while 13 pixels and more would take 1.01 to 1.06. First
// layers and rows of less than seven pixels would take 1.0 to 1.4. And where a block of four
// vectors would leave no room in L2: 7x7x512 0.90, 80 outputs of it 0.62.
HWY_INLINE bool BlocksGainByTallTiles(const ConvArgs& args) {
  constexpr size_t kLeastRun = 32, kFewChannels = 64;  // inputs of a row of taps, and of a tap
  const Conv2dShape& s = *args.shape;
  const size_t lanes = hn::Lanes(DF());
  const size_t pixels = args.y.width;
  if (!kTallTiles || kVectorRegisters != 32 || s.groups != 1 || s.outputs <= 2 * lanes) {
    return false;
  }
  if (s.kernel_h * s.kernel_w == 1 || pixels < 3 || pixels >= 32) return false;
  if (DepthOf(s) * kVectorTile * lanes * sizeof(float) > args.large_weights) return true;
  if (s.kernel_w < 3 || s.kernel_w * s.channels < kLeastRun || pixels < 7) return false;
  const bool whole = s.outputs % (2 * lanes) == 0 && s.channels <= kFewChannels;
  return s.kernel_w >= 5 || pixels <= 12 || (whole && pixels <= 24);
}

// Whether groups that lie side by side in the lanes of panels, up to seven outputs each, gain by
// tall tiles of their own. Lanes that look up their inputs are better where these are few channels,
// of one vector of eight or two of sixteen, or the lanes all outputs: with two channels and outputs
// tall tiles would take 3 (AVX2) and 4 (AVX512) times as long and more, with three 0.8 and 1.3.
// With six they take 0.45 and 0.65, with eight and two outputs 0.25 and 0.35, with 32 and four 0.1.
HWY_INLINE bool GroupsGainByTallTiles(const Conv2dShape& s) {
  constexpr bool kWide = kVectorRegisters == 32;
  constexpr size_t kChannels = 5, kOutputs = kWide ? 7 : 5;
  const size_t lanes = hn::Lanes(DF());
  const size_t channels = GroupChannels(s), outputs = GroupOutputs(s);
  const size_t reach = QuotientUp(lanes, outputs) * channels;  // of a vector of outputs
  const bool far = reach > (kWide ? 2 * lanes : lanes) && s.outputs >= lanes;
  return kTallTiles && (channels >= kChannels || outputs >= kOutputs || far);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_CONV_TALL_INL_H_

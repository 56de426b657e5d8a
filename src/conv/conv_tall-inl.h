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

#include "src/common/turning_tile-inl.h"
#include "src/conv/conv_args.h"
#include "src/conv/tall_reader.h"

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
// as the tile has them.
HWY_NOINLINE inline void PaddedTile(const ConvArgs& args, const ConvTile& t, size_t channel,
                                    const TileWeights& weights, TileOut out) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const size_t channels = GroupChannels(s);
  const float* const first = weights.first + out.skip;
  out.skip = 0;
  HWY_ALIGN float sums[2 * kPanel];
  for (size_t p = 0; p < t.pixels; ++p) {
    for (size_t o = 0; o < out.cols; ++o) {
      const float* w = first + o / kPanel * weights.panel_stride + o % kPanel;
      float sum = 0.0f;
      const bool turned = t.pixel + p >= args.across;
      const size_t line = t.row + (turned ? 1 : 0);
      const size_t column = t.pixel + p - (turned ? args.across : 0);
      for (size_t ky = 0; ky < s.kernel_h; ++ky) {
        const size_t y = line * s.stride_h + ky * s.dilation_h - s.padding.top;
        for (size_t kx = 0; kx < s.kernel_w; ++kx) {
          const size_t x = column * s.stride_w + kx * s.dilation_w - s.padding.left;
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

// Those of two vectors.
template <class V>
HWY_INLINE TallRun TwoVectors() {
  if constexpr (kTurns<2>) return TurningTiles<V>;
  return TallTiles<2, V>;
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
  TallReader reader(args, g0 * channels, channels);
  TileCursor cursor(args, begin);
  while (begin < end) {
    const ConvTile& t = cursor.tile();
    ConvTile at = t;  // in the image
    if (args.turns) {
      at.row = Quotient(t.pixel, args.across);
      at.pixel -= at.row * args.across;
    }
    Taps& taps = reader.Read(at);
    const size_t count =
        taps.border ? 1 : cursor.Together(end - begin, t.pixel - at.pixel + args.inner_end);
    for (size_t g = g0; g < g1; ++g) {
      for (size_t n = n0, cols; n < n1; n += cols) {
        const size_t packed = g * each + n;
        const size_t lane = packed % kPanel;
        cols = shared ? std::min(n1 - n, kPanel - lane) : n1 - n;
        const size_t skip = lane - std::min(lane, kPanel / 2);
        const TileWeights weights{args.panels + packed / kPanel * panel + lane - skip, panel};
        TileOut out = ConvOut(args, t, g * outputs + n, cols);
        out.skip = skip;
        if (run(t.pixels, taps, weights, out, count)) {
          PaddedTile(args, at, g * channels, weights, out);
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
                   last - n <= lanes ? TallTiles<1, V> : TwoVectors<V>());
  }
}

// Lanes of the vectors that tall tiles of so many outputs have.
HWY_INLINE size_t TallLanes(size_t outputs) {
  return kTallEights && outputs <= 8 ? 8 : hn::Lanes(DF());
}

// Whether rows of `width` pixels are worth cutting into tall tiles, if those can run them. With 16
// registers two vectors have six rows, tall or not, and what is gained are the addresses; where
// these cannot turn, as there are gaps between rows, other tiles cut rows better.
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
  return s.groups == 1 && outputs == 2 * lanes && depth >= DeepSum(one) && depth <= kMostDepth &&
         width >= 4;
}

// Whether tiles turn: where pixels lie in memory without gaps, in blocks of two vectors of outputs.
// A tile meets two rows of the image, no more. Other tiles ask for weights far beyond L2 in
// advance: 14x14x512 with 512 outputs and stride 2 would take 1.05.
HWY_INLINE bool GainsByTurningTiles(const ConvArgs& args) {
  constexpr size_t kLeastWidth = kTallRowsTwoVectors - 1, kFarWeights = 6;  // times L2
  const Conv2dShape& s = *args.shape;
  const size_t block = 2 * hn::Lanes(DF());
  const size_t outputs = GroupOutputs(s);
  const size_t depth = DepthOf(s);
  if (!kTurns<2> || !args.flat || s.kernel_h * s.kernel_w == 1) return false;
  if (args.y.width < kLeastWidth || depth < DeepSum(false)) return false;
  if (depth * outputs * sizeof(float) > kFarWeights * args.l2) return false;
  return outputs % block == 0 && (s.groups == 1 || outputs == block) &&
         CanRunTallTiles(args, kTallPadding<2>);
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

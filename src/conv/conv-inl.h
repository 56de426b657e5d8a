// The loops of Conv2d's dense plan around the register tile.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_CONV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_CONV_INL_H_
#undef LANEFUSE_SRC_CONV_CONV_INL_H_
#else
#define LANEFUSE_SRC_CONV_CONV_INL_H_
#endif

#include <cmath>

#include "src/common/partition.h"
#include "src/common/run_tiles-inl.h"
#include "src/common/tall_tile-inl.h"
#include "src/conv/conv_args.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE TileOut ConvOut(const ConvArgs& args, const ConvTile& t, size_t channel, size_t cols) {
  return {args.chain, PosOf(args, t, channel), OutputOf(args, t, channel), args.y.pixel_stride,
          cols};
}

// The tallest kernels whose tiles fit a table.
constexpr size_t kTableKernel = 7;

// Kernels whose tiles fit a table: the addresses are found once for up to kMaxTileCols channels.
HWY_INLINE bool FitsTable(const Conv2dShape& s) {
  return s.stride_w <= 2 && s.kernel_h <= kTableKernel && s.kernel_w <= TapTable::kColumns &&
         s.dilation_w <= TapTable::kColumns &&
         (kRowTile - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w < TapTable::kColumns;
}

// Whether tiles are wide (src/conv/depthwise_wide-inl.h).
HWY_INLINE bool UsesWideTiles(const Conv2dShape& s, bool finite) {
  return kRowTileWide != 0 && finite && !FitsTable(s) && s.stride_w == 1 && s.dilation_w == 1 &&
         s.kernel_w >= (s.kernel_h > 1 ? kWideKernel : kWideKernelOfOneRow) &&
         s.channels >= hn::Lanes(DF());
}

// Where the tiles of a scattered output begin, each where the one before ends.
HWY_INLINE void SeekScattered(const ConvArgs& args, const ConvTile& t, RunTable& table) {
  const size_t row = Quotient(t.pixel, args.across);
  const size_t image = Quotient(row, args.down);
  table.Seek(image, row - image * args.down, t.pixel - row * args.across);
}

// Outputs [n0, n1) of groups [g0, g1): what ConvDenseBlock makes at a time, in blocks of `width`.
struct DenseBlock {
  size_t g0, g1, n0, n1, width;
  size_t next = 0;      // outputs of the next block, where tiles ask for its weights
  bool inputs = false;  // tiles ask for the inputs of as many behind them
  bool own = false;  // tiles of one run ask for their own: L2 has no room for those of two blocks
};

// Channels from which on leaving out a row of a run pays for the branches: 16 and 24 take 1.00 to
// 1.03 of the time with it.
constexpr size_t kLongRun = 32;

// RunTiles, apart from the loops around it: with theirs its copies would be more than 4 KB of stack
// (clang 14).
template <Source kSource>
HWY_NOINLINE void RunDenseTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                                const TileOut& out, size_t count) {
  RunTiles<kSource>(rows, taps, weights, out, count);
}

// Units (tiles) [begin, end) of a block of a dense convolution. Tiles that find their inputs alike
// run together, as many as `together` of a row of the image.
HWY_INLINE void ConvDenseBlock(const ConvArgs& args, size_t begin, size_t end,
                               const DenseBlock& block, size_t together) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  const size_t group_stride = (outputs + kPanel - 1) / kPanel * panel_stride;
  Patch own_patch;
  Patch* const patch = block.g1 - block.g0 == 1 ? &own_patch : nullptr;
  const size_t channel = block.g0 * channels;
  const bool leave_out = args.finite && !kSmallCode;
  const size_t vectors = QuotientUp(std::min(block.width, block.n1 - block.n0), hn::Lanes(DF()));
  const bool leave_out_rows = leave_out && LeavesOutRows(kRowTile, vectors) && channels >= kLongRun;
  RunTable table = TableFor(args, channel, channels, leave_out, leave_out_rows);
  Taps taps;
  taps.runs = &table;
  TileCursor cursor(args, begin);
  if (args.scattered) SeekScattered(args, cursor.tile(), table);
  for (size_t unit = begin; unit < end;) {
    const ConvTile& t = cursor.tile();
    size_t count = 1;
    Strided strided = Strided::kNot;
    if (args.scattered) {
      const ConvTile here = {table.image(), table.row(), table.column(), t.pixels};
      if (here.pixel + t.pixels <= args.across) {
        strided = StridedTaps(args, here, channel, channels, nullptr, taps);
      }
      if (strided != Strided::kNot) table.Skip(t.pixels);
    } else {
      strided = StridedTaps(args, t, channel, channels, patch, taps);
      const size_t most = std::min(together, end - unit);
      if (strided == Strided::kInner) count = cursor.Together(most, args.inner_end);
      if (strided == Strided::kRow) count = cursor.Together(most, args.y.width);
      if (strided == Strided::kBelow && RunsTogether(t.pixels)) {
        count = std::min(patch->row + patch->rows - t.row, end - unit);
      }
      if (strided == Strided::kNot) table.Seek(t.image, t.row, t.pixel);
    }
    if (strided == Strided::kNot) table.Take(t.pixels);
    taps.offset = 0;
    for (size_t g = block.g0; g < block.g1; ++g) {
      const float* group = args.panels + g * group_stride;
      for (size_t n = block.n0; n < block.n1; n += block.width) {
        TileWeights weights{group + n / kPanel * panel_stride + n % kPanel, panel_stride};
        if (kPrefetchNext && block.next != 0) {
          weights.SetNext(weights.first + block.width / kPanel * panel_stride, block.next);
          weights.Advance(unit - begin);
        }
        if (block.inputs && n == block.n0 && strided != Strided::kNot) {
          const size_t inputs = count * taps.tile_step;
          weights.next = At(taps.data, inputs);
          weights.next_panels = QuotientUp(inputs, weights.panel_stride);
        }
        const size_t cols = std::min(block.width, block.n1 - n);
        TileOut out = ConvOut(args, t, g * outputs + n, cols);
        out.far = args.far_output && DepthOf(s) >= kPrefetchDepth;
        // Behind blocks that have just read the same inputs.
        if constexpr (kTallTiles) {
          if (strided == Strided::kInner && taps.kernel_h == 1 && n != block.n0 &&
              LastIsTall(count * t.pixels, cols, taps.length)) {
            RunTallRows<VF>(count * t.pixels, taps, weights, out);
            continue;
          }
        }
        if (strided == Strided::kNot) {
          RunDenseTiles<Source::kTable>(t.pixels, taps, weights, out, 1);
        } else if (kOneRun == Source::kRun && taps.kernel_h == 1 && !block.own) {
          RunDenseTiles<kOneRun>(t.pixels, taps, weights, out, count);
        } else {
          RunDenseTiles<Source::kRuns>(t.pixels, taps, weights, out, count);
        }
      }
      taps.offset += channels;
      taps.data += channels;
    }
    unit += count;
    if (strided == Strided::kBelow) {
      for (; count != 0; --count) cursor.SkipRow();
    } else {
      cursor.Advance(count);
    }
  }
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

// Units (tiles) [begin, end) of groups [g0, g1) in tall tiles.
HWY_NOINLINE inline void ConvTallGroups(const ConvArgs& args, size_t begin, size_t end, size_t g0,
                                        size_t g1, TallRun run) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel = s.kernel_h * s.kernel_w * channels * kPanel;
  // Where outputs are packed without regard to groups, those of one begin at any lane of a panel,
  // and may end in the next. Eight lanes are read from there, or the last of the panel.
  const bool lanes = args.plan == ConvPlan::kGrouped;
  const size_t each = lanes ? outputs : QuotientUp(outputs, kPanel) * kPanel;
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
      for (size_t n = 0, cols; n < outputs; n += cols) {
        const size_t lane = (g * each + n) % kPanel;
        cols = lanes ? std::min(outputs - n, kPanel - lane) : outputs;
        const TileWeights weights{args.panels + (g * each + n) / kPanel * panel + lane, panel};
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
  const size_t weights = s.kernel_h * s.kernel_w * s.channels * kPanel * sizeof(float);
  if (weights <= args.small_weights) return ConvTallGroups(args, begin, end, 0, s.groups, run);
  for (size_t g = 0; g < s.groups; ++g) ConvTallGroups(args, begin, end, g, g + 1, run);
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

// Whether groups that lie side by side in the lanes of panels, up to seven outputs each, gain by
// tall tiles of their own. Lanes that look up their inputs are better where these are few channels,
// of one vector of eight or two of sixteen, or the lanes all outputs: with two channels and outputs
// tall tiles would take 3.0 (AVX2) and 4.4 (AVX512) of the time, with three 0.8 and 1.3. With six
// they take 0.45 and 0.65, with eight and two outputs 0.25 and 0.35, with 32 and four 0.1.
HWY_INLINE bool GroupsGainByTallTiles(const Conv2dShape& s) {
  constexpr bool kWide = kVectorRegisters == 32;
  constexpr size_t kChannels = 5, kOutputs = kWide ? 7 : 5;
  const size_t lanes = hn::Lanes(DF());
  const size_t channels = GroupChannels(s), outputs = GroupOutputs(s);
  const size_t reach = QuotientUp(lanes, outputs) * channels;  // of a vector of outputs
  const bool far = reach > (kWide ? 2 * lanes : lanes) && s.outputs >= lanes;
  return kTallTiles && (channels >= kChannels || outputs >= kOutputs || far);
}

// Whether a convolution with dilation that is not depthwise gains as several without. With few
// channels each tap would be a short run of its own, and rows of the image are copied instead:
// 64x64x1 takes 0.27 to 0.30 of the time, 64x64x3 0.45 to 0.56, 12x12x4 0.65 to 0.74, 64x64x8 0.59
// to 0.88, 64x64x12 with 24 outputs 0.79 and 0.92 (AVX512, AVX2), 1x1000x16 with 16 0.84 (AVX512).
// With more, few pixels of a phase have taps left or right of the image, and tiles are tall:
// 64x64x16 with 16 outputs 0.69 and 0.86, 64x64x32 with 32 0.88 (AVX512). Narrow phases, whose
// taps are padding for the most part, and others would take 1.0 to 1.3. Groups of four have strips
// (28x28x64: 0.40 and 0.47), those of sixteen tall tiles (0.80, AVX512); strips of eight, 0.56, are
// left out, as they would take more stack than is stated.
HWY_NOINLINE inline bool GainsByPhases(const ConvArgs& args) {
  constexpr size_t kLeastTall = 12;    // pixels: 24 channels with 8 would take 1.06
  constexpr size_t kLeastWork = 2048;  // multiply-adds: what it costs to begin a phase
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s), outputs = GroupOutputs(s);
  const size_t down = s.kernel_h > 1 ? s.dilation_h : 1;
  const size_t across = s.kernel_w > 1 ? s.dilation_w : 1;
  const size_t rows = Quotient(std::min(args.x.height, args.y.height), down);
  const size_t pixels = Quotient(std::min(args.x.width, args.y.width), across);
  // What is copied has the padding with it; up to four channels gain in any case.
  const bool four = s.groups == 1 && channels <= 4;
  const size_t kernels = four ? 1 : 2;
  if (rows * pixels * outputs * DepthOf(s) < kLeastWork) return false;
  if (pixels < std::max<size_t>(four ? 4 : 7, kernels * s.kernel_w)) return false;
  if (s.kernel_h > 1 && rows < kernels * s.kernel_h) return false;
  if (s.groups == 1 &&
      channels <= (s.kernel_h == 1 && outputs > 8 && outputs <= kPanel ? 16 : 12)) {
    return s.kernel_h * (kRowTile - 1 + s.kernel_w) * channels <= Patch::kFloats;
  }
  if (s.groups > 1 && channels == 4 && outputs == 4) {
    if (s.kernel_h == 1) return s.kernel_w == 3 && pixels >= kLeastTall;
    return s.kernel_h == 3 && s.kernel_w == 3 && s.padding.top <= down && s.padding.left <= across;
  }
  if (s.groups > 1 && kVectorRegisters != 32) return false;
  const size_t lanes = hn::Lanes(DF());
  return outputs % lanes == 0 && outputs > 8 && pixels >= kLeastTall &&
         DepthOf(s) >= DeepSum(outputs <= lanes) && GainsByTallTiles(s, pixels);
}

// Whether a convolution with dilation (IsDilated) runs as several without (ConvPhases). Not with a
// tensor that the chain adds: its pixels would have to be as far apart.
HWY_INLINE bool RunsInPhases(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  if (kSmallCode || s.stride_h != 1 || s.stride_w != 1) return false;
  if (!args.chain->in_registers || args.chain->add != nullptr) return false;
  return args.plan == ConvPlan::kDepthwise || GainsByPhases(args);
}

// Units (tiles) [begin, end) of a dense convolution. Either all weights meet a few tiles, whose
// inputs stay in L1, before the next few: then the weights are read from L2 again for each of them.
// Or a block of weights as wide as a tile meets all tiles: then the image is read again for each
// block. Whichever reads less; in doubt the first, which writes each output pixel at once. With
// several taps as many weights as L2 holds: finding a tile's inputs takes longer than reading
// weights again (3x3 on AVX2: 0.88 to 0.98 of the time). An image that L2 does not hold is read as
// few times as possible, too (1x1 on AVX512: 0.88 to 0.97).
HWY_NOINLINE inline void ConvDense(const ConvArgs& args, size_t begin, size_t end) {
  if constexpr (kTallTiles) {
    if (args.kind == TileKind::kTall) {
      const size_t outputs = GroupOutputs(*args.shape);
      const size_t lanes = hn::Lanes(DF());
      if constexpr (kTallEights) {
        using VHalf = hn::Vec<hn::Half<DF>>;
        if (TallLanes(outputs) < lanes) return ConvTall(args, begin, end, TallTiles<1, VHalf>);
      }
      return ConvTall(args, begin, end, outputs <= lanes ? TallTiles<1, VF> : TallTiles<2, VF>);
    }
  }
  const Conv2dShape& s = *args.shape;
  const size_t outputs = args.n1 - args.n0;
  const size_t depth = DepthOf(s);
  const size_t pixels = args.pixels + (args.longer != 0 ? 1 : 0);
  size_t width = BlockVectors(pixels, outputs) * hn::Lanes(DF());
  // A block of weights that would leave no room in L2 is halved.
  if (depth * width * sizeof(float) > args.large_weights && width > kPanel) {
    width = std::max(width / 2 / kPanel * kPanel, kPanel);
  }
  const size_t weights = depth * outputs * sizeof(float);
  const size_t row_bytes = pixels * s.stride_w * args.x.pixel_stride * sizeof(float);  // of a tile
  const size_t together =
      std::max(Quotient(args.tile_inputs, std::max(s.kernel_h * row_bytes, size_t{1})), size_t{1});
  const size_t units = end - begin;
  const bool weights_stay = weights <= args.tile_inputs || units < together;
  const bool image_stays = units * row_bytes <= args.tile_inputs;
  // units / together * weights against outputs / width * units * row_bytes, twice.
  const bool weights_are_less = depth * width * sizeof(float) <= 2 * together * row_bytes;
  const bool several_taps = s.kernel_h * s.kernel_w > 1;
  const bool large_image = units * row_bytes > args.small_weights;
  const bool all_weights =
      weights <= args.small_weights &&
      (weights_stay || several_taps || large_image || (!image_stays && weights_are_less));
  // Groups that are small together take turns at each tile, which reads all channels of its pixels
  // once, and whose addresses serve them all. Zeros of the padding move with the channels.
  if (s.groups > 1 && s.groups * weights <= args.small_weights && s.channels <= kZeroRun) {
    return ConvDenseBlock(args, begin, end, {0, s.groups, 0, outputs, width}, together);
  }
  const size_t fit = several_taps ? Quotient(args.small_weights, depth * width * sizeof(float)) : 1;
  const size_t block = all_weights ? outputs : std::max(fit, size_t{1}) * width;
  const bool large = 2 * depth * width * sizeof(float) > args.large_weights;
  const bool asks = kPrefetchNext && block == width && !large;
  for (size_t g = 0; g < s.groups; ++g) {
    for (size_t n = args.n0; n < args.n1; n += block) {
      DenseBlock part{g, g + 1, n, std::min(n + block, args.n1), width};
      part.own = kAskOwn && large;
      part.inputs = kPrefetchFinish && all_weights && outputs > width && large_image &&
                    IsPointwise(s) && depth >= kPrefetchDepth;
      if (asks && n + block < args.n1) part.next = std::min(block, args.n1 - n - block);
      ConvDenseBlock(args, begin, end, part, block <= width ? args.tiles : together);
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_CONV_INL_H_

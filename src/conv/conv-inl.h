// The loops of Conv2d's dense plan around the register tile.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_CONV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_CONV_INL_H_
#undef LANEFUSE_SRC_CONV_CONV_INL_H_
#else
#define LANEFUSE_SRC_CONV_CONV_INL_H_
#endif

#include "src/common/partition.h"
#include "src/common/run_tiles-inl.h"
#include "src/conv/conv_args.h"
#include "src/conv/conv_tall-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

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

// Whether a convolution with dilation that is not depthwise gains as several without. With up to
// four channels each tap would be a short run of its own, and rows of the image are copied instead:
// 64x64x3 takes 0.60 and 0.64 of the time (AVX2, AVX512), 64x64x4 0.76 and 0.67, while six channels
// would take 0.96 to 1.03, and the taps of a single row need no copy. Groups of four have strips:
// 28x28x64 takes 0.66 and 0.55, 1x1000x64 0.61 and 0.71. Those of eight are left out, as they would
// take more stack than is stated.
HWY_NOINLINE inline bool GainsByPhases(const ConvArgs& args) {
  constexpr size_t kLeastLine = 12;    // pixels of a single row
  constexpr size_t kLeastWork = 2048;  // multiply-adds: what it costs to begin a phase
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s), outputs = GroupOutputs(s);
  const size_t down = s.kernel_h > 1 ? s.dilation_h : 1;
  const size_t across = s.kernel_w > 1 ? s.dilation_w : 1;
  const size_t rows = Quotient(std::min(args.x.height, args.y.height), down);
  const size_t pixels = Quotient(std::min(args.x.width, args.y.width), across);
  if (channels > 4 || rows * pixels * outputs * DepthOf(s) < kLeastWork) return false;
  if (s.groups == 1) {
    return s.kernel_h > 1 && pixels >= std::max<size_t>(4, s.kernel_w) && rows >= s.kernel_h &&
           s.kernel_h * (kRowTile - 1 + s.kernel_w) * channels <= Patch::kFloats;
  }
  if (channels != 4 || outputs != 4 || pixels < std::max<size_t>(7, 2 * s.kernel_w)) return false;
  if (s.kernel_h == 1) return s.kernel_w == 3 && pixels >= kLeastLine;
  return s.kernel_h == 3 && s.kernel_w == 3 && rows >= 2 * s.kernel_h && s.padding.top <= down &&
         s.padding.left <= across;
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
      if (outputs > 2 * lanes) return ConvTallBlocks<VF>(args, begin, end);
      if constexpr (kTallEights) {
        using VHalf = hn::Vec<hn::Half<DF>>;
        if (TallLanes(outputs) < lanes) return ConvTall(args, begin, end, TallTiles<1, VHalf>);
      }
      if (outputs <= lanes) return ConvTall(args, begin, end, TallTiles<1, VF>);
      return ConvTall(args, begin, end, TwoVectors<VF>());
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

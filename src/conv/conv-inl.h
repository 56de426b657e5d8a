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
         s.kernel_w >= (s.kernel_h > 2 ? kWideKernel : kWideKernelOfFewRows) &&
         s.channels >= hn::Lanes(DF());
}

HWY_INLINE size_t ImageBytes(const ConvArgs& args) {
  return args.x.height * args.x.width * args.x.channels * sizeof(float);
}

// Lines of L1 into whose sets pixels fall that lie a power of two apart.
HWY_INLINE size_t LinesForPixels(const ConvArgs& args) {
  constexpr size_t kPage = 4096;  // of memory: a line for each set
  const size_t bytes = args.x.pixel_stride * sizeof(float);
  return Quotient(args.l1, std::min(bytes & (~bytes + 1), kPage));
}

// Rows of outputs that a strip of a depthwise convolution goes down, in equal parts: all, where the
// image is small, so that weights are loaded seldom and rows of the image once. Of larger ones nine
// rows of the image: what comes from L2 is asked for in advance in the order of channels, which a
// strip leaves the longer alone the lower it is (28x28x192 with AVX-512, in strips of 4, 7 and 14
// rows: 0.97, 0.87 and 1.03 of the time of pairs of rows; stride 2, of 2, 4 and 7: 1.02, 0.88 and
// 1.10). Vectors of half a line go down less far at stride 2 (24x24x32: 0.84 with 6 rows, 0.99 with
// 12), and beyond L2 no strip does (112x112x64: 1.1 with 4 rows).
HWY_INLINE size_t MostStripRows(const ConvArgs& args) {
  const bool one = args.shape->stride_h == 1;
  const bool small = ImageBytes(args) <= args.strip_image;
  if (small && (one || kVectorRegisters == 32)) return 14;
  return small || one ? 7 : ImageBytes(args) <= args.l2 ? 4 : 1;
}

// The rows of the first of `height` in equal parts of at most `most`.
HWY_INLINE size_t StripRows(size_t height, size_t most) {
  return QuotientUp(height, QuotientUp(height, most));
}

// Whether strips can run a shape: three by three taps, no more than a row and a column of the
// padding on each side.
HWY_INLINE bool FitsStrips(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t stride = s.stride_w;
  return args.finite && s.channels >= hn::Lanes(DF()) && s.kernel_h == 3 && s.kernel_w == 3 &&
         s.stride_h == stride && stride <= 2 && (s.dilation_h | s.dilation_w) == 1 &&
         s.padding.top <= 1 && s.padding.left <= 1 &&
         (args.y.height - 1) * stride + 2 <= args.x.height + s.padding.top &&
         (args.y.width - 1) * stride + 2 <= args.x.width + s.padding.left;
}

// Whether groups of four or eight inputs and outputs go down strips (src/conv/group_strip-inl.h),
// which end in registers alone: other chains are rare, and would take more stack than is stated.
// With an odd number of eights on sixteen lanes the last but one runs twice; stride 2, where a
// vector is read for fewer pixels, gains less than that with a few (three groups would take 1.09,
// five 1.00).
HWY_INLINE bool UsesGroupStrips(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t lanes = hn::Lanes(DF());
  const size_t size = GroupOutputs(s);
  if (!kGroupStrips || GroupChannels(s) != size || !args.chain->in_registers) return false;
  if (size == 8) {
    if (lanes != kPanel || (s.groups % 2 != 0 && s.groups <= 5 && s.stride_w == 2)) return false;
  } else if (size != 4 || s.outputs % lanes != 0) {
    return false;
  }
  // Pixels that two strips run: 5x5 and 6x6 would take 1.1 to 1.5 in strips of four.
  const size_t pixels = StripPixels(s.stride_w);
  return FitsStrips(args) &&
         (args.y.width == pixels || args.y.width >= std::max<size_t>(pixels, 7));
}

// Whether depthwise convolutions go down strips (src/conv/depthwise_strip-inl.h): those with no
// more than a row and a column of the padding on each side. Where a vector is half a line of the
// cache, the line must still be in L1 when the other half is wanted: pixels that fall into the same
// sets (28x28x256) and large images would take 1.0 to 1.4.
HWY_INLINE bool UsesStrips(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t lanes = hn::Lanes(DF());
  const size_t stride = s.stride_w;
  if (!kDepthwiseStrips || !FitsStrips(args)) return false;
  if (lanes == kPanel) return true;
  const size_t bytes = ImageBytes(args);
  if (stride == 2 && bytes > args.l2) return false;
  const size_t rows = StripRows(args.y.height, MostStripRows(args));
  const size_t pixels = std::min(StripPixels(stride), args.y.width);
  const size_t lines = ((rows - 1) * stride + 3) * ((pixels - 1) * stride + 3) + rows * pixels;
  // Stores of a part of a vector go by way of L1 there, which takes as long as some whole ones: 16
  // vectors with such an end take 0.81 of the time, 9 would take 1.2.
  const bool whole = s.channels % lanes == 0 || s.channels >= 12 * lanes;
  return whole && (stride == 2 || bytes <= args.l2 / 2) &&
         (bytes <= args.l1 || lines <= LinesForPixels(args));
}

// The most pixels that a tile of a depthwise convolution may have, and whether tiles go down
// strips.
HWY_INLINE size_t DepthwiseRowTile(ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  args.strips = UsesStrips(args);
  if (args.strips) return StripPixels(s.stride_w);
  return UsesWideTiles(s, args.finite) ? kRowTileWide : kRowTile;
}

// Whether a depthwise convolution with dilation runs as several without (ConvPhases). Not with a
// tensor that the chain adds: its pixels would have to be as far apart.
HWY_INLINE bool RunsInPhases(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const bool dilated = (s.kernel_h > 1 && s.dilation_h > 1) || (s.kernel_w > 1 && s.dilation_w > 1);
  return !kSmallCode && dilated && s.stride_h == 1 && s.stride_w == 1 && args.chain->in_registers &&
         args.chain->add == nullptr;
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

// Units (tiles) [begin, end) of groups [g0, g1), each of kVectors vectors V of outputs, in tall
// tiles.
template <size_t kVectors, class V>
HWY_NOINLINE void ConvTallGroups(const ConvArgs& args, size_t begin, size_t end, size_t g0,
                                 size_t g1) {
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel = s.kernel_h * s.kernel_w * channels * kPanel;
  const size_t panels = outputs > kPanel ? 2 : 1;  // of a group
  TileCursor cursor(args, begin);
  while (begin < end) {
    const ConvTile& t = cursor.tile();
    Taps taps;
    size_t count = 1;
    if (StridedTaps(args, t, g0 * channels, channels, nullptr, taps) != Strided::kNot) {
      count = cursor.Together(end - begin, args.inner_end);
    } else {
      EdgeTaps(args, t, g0 * channels, channels, taps);
    }
    for (size_t g = g0; g < g1; ++g) {
      const TileWeights weights{args.panels + g * panels * panel, panel};
      RunTallTiles<kVectors, V>(t.pixels, taps, weights, ConvOut(args, t, g * outputs, outputs),
                                count);
      taps.data = At(taps.data, channels);
    }
    begin += count;
    cursor.Advance(count);
  }
}

// The same of all groups. Small ones take turns at each tile, which reads all channels of its
// pixels once.
template <size_t kVectors, class V>
HWY_INLINE void ConvTall(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  const size_t weights = s.kernel_h * s.kernel_w * s.channels * kPanel * sizeof(float);
  if (weights <= args.small_weights) {
    return ConvTallGroups<kVectors, V>(args, begin, end, 0, s.groups);
  }
  for (size_t g = 0; g < s.groups; ++g) ConvTallGroups<kVectors, V>(args, begin, end, g, g + 1);
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
  if (depth < kDeepSum && outputs % TallLanes(outputs) != 0) return false;
  if (kVectorRegisters == 32) return width > (one ? kRowTileOneVectorTable : kRowTile);
  const size_t least = s.groups == 1 ? 7 : 9;  // pixels: groups of eight would take 1.03 with 7
  if (one) return Quotient(width, QuotientUp(width, kRowTileOneVector)) >= least;
  constexpr size_t kMostDepth = 256;  // 14x14x64 would take 1.02
  // Seven pixels are tiles of four and three.
  return s.groups == 1 && outputs == 2 * lanes && depth >= kDeepSum && depth <= kMostDepth &&
         width >= 4 && width != 7;
}

// Units (tiles) [begin, end) of a dense convolution. Either all weights meet a few tiles, whose
// inputs stay in L1, before the next few: then the weights are read from L2 again for each of them.
// Or a block of weights as wide as a tile meets all tiles: then the image is read again for each
// block. Whichever reads less; in doubt the first, which writes each output pixel at once. With
// several taps as many weights as L2 holds: finding a tile's inputs takes longer than reading
// weights again (3x3 on AVX2: 0.88 to 0.98 of the time). An image that L2 does not hold is read as
// few times as possible, too (1x1 on AVX512: 0.88 to 0.97).
HWY_INLINE void ConvDense(const ConvArgs& args, size_t begin, size_t end) {
  if constexpr (kTallTiles) {
    if (args.tall) {
      const size_t outputs = GroupOutputs(*args.shape);
      const size_t lanes = hn::Lanes(DF());
      if constexpr (kTallEights) {
        using VHalf = hn::Vec<hn::Half<DF>>;
        if (TallLanes(outputs) < lanes) return ConvTall<1, VHalf>(args, begin, end);
      }
      if (outputs <= lanes) return ConvTall<1, VF>(args, begin, end);
      return ConvTall<2, VF>(args, begin, end);
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

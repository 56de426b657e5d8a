// Depthwise convolution: lanes are channels, a tile is pixels x vectors of channels.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_INL_H_
#endif

#include "src/conv/conv-inl.h"
#include "src/conv/depthwise_pair_strip-inl.h"
#include "src/conv/depthwise_pairs-inl.h"
#include "src/conv/depthwise_rolling-inl.h"
#include "src/conv/depthwise_signal-inl.h"
#include "src/conv/depthwise_strip-inl.h"
#include "src/conv/depthwise_wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Runs `rows` rows of a tile (DepthwiseTablePixels). `to` moves on: a copy of it would load in
// large words what has just been stored in small ones, and wait for them.
using DepthwiseTableRows = void (*)(const TapTable::Row* table, const ConvArgs& args, size_t pixels,
                                    size_t first, size_t shift, DepthwiseOut& to, size_t rows);

// All channels of the tile at `cursor` and of those of its height behind it that end at unit
// `most` or before it, for block.rows rows of outputs from there down. How many tiles of a row.
HWY_INLINE size_t DepthwiseTableTiles(const ConvArgs& args, const TileCursor& cursor, size_t most,
                                      const DepthwiseBlock& block, const LastVector& last,
                                      DepthwiseTableRows run) {
  const size_t rows = kSmallCode ? 1 : block.rows;
  const size_t channels = kSmallCode ? kMaxTileCols : block.channels;
  const Conv2dShape& s = *args.shape;
  const ConvTile& t = cursor.tile();
  const size_t step = t.pixels * s.stride_w * args.x.pixel_stride;
  TapTable table;
  size_t count = 1;
  static_assert(kMaxTileCols <= kZeroRun);
  for (size_t first = 0; first < s.channels; first += kMaxTileCols) {
    const bool border = table.Fill(args, t, first, s.kernel_h + (rows - 1) * s.stride_h);
    if (!border) count = cursor.Together(most, args.inner_end);
    const size_t end = std::min(first + kMaxTileCols, s.channels);
    for (size_t i = 0; i < count; ++i) {
      for (size_t c = first, cols; c < end; c += cols) {
        cols = std::min(channels, end - c);
        const size_t shift = i * step + c - first;
        const ConvTile here = {t.image, t.row, t.pixel + i * t.pixels, t.pixels};
        DepthwiseOut to(ConvOut(args, here, c, cols));
        if (c + cols == s.channels && cols >= hn::Lanes(DF())) to.last = last;
        run(table.pixel, args, t.pixels, c, shift, to, rows);
      }
    }
  }
  return count;
}

// All channels of units (tiles) [begin, end), as many whole rows at a time as fit a table. One
// function for all kernels, which differ in what `run` is.
HWY_NOINLINE inline void DepthwiseTableUnits(const ConvArgs& args, size_t begin, size_t end,
                                             const LastVector& last, DepthwiseTableRows run) {
  const DepthwiseBlock most = DepthwiseBlockFor(args);
  TileCursor cursor(args, begin);
  for (size_t unit = begin; unit < end;) {
    const ConvTile& t = cursor.tile();
    if (kSmallCode || t.pixel != 0 || end - unit < args.tiles) {
      const size_t count =
          DepthwiseTableTiles(args, cursor, end - unit, {1, most.channels}, last, run);
      unit += count;
      cursor.Advance(count);
      continue;
    }
    DepthwiseBlock block = most;
    block.rows = std::min(most.rows, args.y.height - t.row);
    while (block.rows * args.tiles > end - unit) --block.rows;
    for (size_t i = 0; i < args.tiles;) {
      const size_t count = DepthwiseTableTiles(args, cursor, args.tiles - i, block, last, run);
      i += count;
      cursor.Advance(count);
    }
    for (size_t r = 1; r < block.rows; ++r) cursor.SkipRow();
    unit += block.rows * args.tiles;
  }
}

HWY_NOINLINE inline void ConvDepthwiseTable(const ConvArgs& args, size_t begin, size_t end,
                                            DepthwiseTableRows run) {
  HWY_ALIGN float copy[std::max<size_t>(kLastVectorFloats, 1)];
  DepthwiseTableUnits(args, begin, end, LastVectorOf(args, copy), run);
}

// Taps from which on a kernel is large: those of 64 channels are half of an L1 of 48 KB. 31x31 took
// 0.94 (AVX512) and 0.91 (AVX2) of the time before its tiles were wide; 13x13 takes 0.98 to 1.01,
// and 9x9 gained nothing.
constexpr size_t kLargeKernel = 100;

// Units (tiles) [begin, end): pixels outside, so that an input row is read while it is in L1 and
// the weights, 64 bytes a tap and panel, stay there too.
HWY_INLINE void ConvDepthwise(const ConvArgs& args, size_t begin, size_t end) {
  if constexpr (kDepthwiseStrips) {
    if (args.kind == TileKind::kRolling) {
      constexpr size_t kAllRows = size_t{1} << 20;
      if (args.shape->stride_w == 1) return ForStrips(args, kAllRows, begin, end, RunRolling<1>);
      return ForStrips(args, kAllRows, begin, end, RunRolling<2>);
    }
    if (args.kind == TileKind::kStrips || args.kind == TileKind::kPairStrips) {
      const size_t most = MostStripRows(args);
      if constexpr (kStripPairs != 0) {
        if (args.kind == TileKind::kPairStrips) {
          return ForStrips(args, most, begin, end, RunPairStrip<kStripPairs>);
        }
      }
      if (args.shape->stride_w == 1) return ForStrips(args, most, begin, end, RunStrip<1>);
      return ForStrips(args, most, begin, end, RunStrip<2>);
    }
  }
  if constexpr (kSignalTaps != 0) {
    if (args.kind == TileKind::kSignals) return ForStrips(args, 1, begin, end, RunSignal<VF>);
  }
  if constexpr (kRowTileWide != 0) {
    if (UsesWideTiles(*args.shape, args.finite)) {
      return ForStrips(args, MostWideRows(args), begin, end, RunWideStrip<VF>);
    }
  }
  if constexpr (kPairsOfRows) {
    if (args.kind == TileKind::kRowPairs) {
      const bool signal = args.shape->kernel_h == 1 && args.y.height == 1;
      if (signal) return ConvTilePairs<VF>(args, begin, end);
      return ForStrips(args, DepthwiseBlockFor(args).rows, begin, end, RunRowPairs<VF>);
    }
  }
  if (FitsTable(*args.shape)) {
    const Conv2dShape& s = *args.shape;
    const bool plain = s.dilation_w == 1;
    if constexpr (kDepthwiseThrees) {
      if (plain && s.kernel_w == 3 && s.stride_w == 1) {
        return ConvDepthwiseTable(args, begin, end, DepthwiseTablePixels<3, 1>);
      }
    }
    return ConvDepthwiseTable(args, begin, end, DepthwiseTablePixels<0, 0>);
  }
  // The weights of a large kernel leave L1 with each tile, unless all tiles meet some of them
  // before the next.
  const Conv2dShape& s = *args.shape;
  const bool large = s.kernel_h * s.kernel_w >= kLargeKernel;
  const size_t step = large ? kVectorTile * hn::Lanes(DF()) : s.channels;
  for (size_t c = 0; c < s.channels; c += step) {
    TileCursor cursor(args, begin);
    for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
      DepthwiseChannels(args, cursor.tile(), c, std::min(c + step, s.channels));
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_INL_H_

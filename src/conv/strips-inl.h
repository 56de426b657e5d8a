// Which convolutions run in strips of several rows of the output, what a strip reads, and the loop
// that runs those.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_STRIPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_STRIPS_INL_H_
#undef LANEFUSE_SRC_CONV_STRIPS_INL_H_
#else
#define LANEFUSE_SRC_CONV_STRIPS_INL_H_
#endif

#include <algorithm>

#include "src/conv/conv-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// What a strip reads of a row of the image. The first column and the last have addresses of their
// own, so that they may lie in the padding.
struct StripRow {
  const float* first;
  const float* second;
  const float* last;
  size_t step;  // floats from a column to the next
};

// Floats to the next column, the one after it and the third, of which the compiler knows nothing:
// it would add one to the other instead of using them as indices.
struct StripSteps {
  size_t one, two, three;
};
HWY_INLINE StripSteps StepsOf(size_t one) {
  size_t two = 2 * one;
  size_t three = 3 * one;
  asm volatile("" : "+r"(one), "+r"(two), "+r"(three));
  return {one, two, three};
}

// The column kIndex % 4 columns behind `at`. Every fourth has an address; those between are
// indices.
template <size_t kIndex>
HWY_INLINE const float* ColumnOf(const float* at, const StripSteps& steps) {
  if constexpr (kIndex % 4 == 1) return at + steps.one;
  if constexpr (kIndex % 4 == 2) return at + steps.two;
  if constexpr (kIndex % 4 == 3) return at + steps.three;
  return at;
}

// Of all channels.
struct Strip {
  StripRow top;                        // the row of the image that its first taps meet
  size_t down, first_down, last_down;  // floats to the row below; 0: the column is padding
  bool above, below;                   // whether the first and the last row of the image are, too
  size_t rows;                         // of outputs
};

// `rows` rows of tile t. `columns` of the image.
HWY_INLINE Strip StripAt(const ConvArgs& args, const ConvTile& t, size_t rows) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const size_t columns = (t.pixels - 1) * s.stride_w + 3;
  // Unsigned: -1 is beyond the image, and wraps back.
  const size_t y = t.row * s.stride_h - s.padding.top;
  const size_t x = t.pixel * s.stride_w - s.padding.left;
  const size_t step = image.pixel_stride;
  Strip strip;
  strip.top.second =
      At(image.data, t.image * image.image_stride + y * image.row_stride + (x + 1) * step);
  strip.top.step = step;
  const bool left = x >= image.width;
  const bool right = x + columns - 1 >= image.width;
  strip.top.first = left ? kZeros : At(strip.top.second, -step);
  strip.top.last = right ? kZeros : At(strip.top.second, (columns - 2) * step);
  strip.down = image.row_stride;
  strip.first_down = left ? 0 : strip.down;
  strip.last_down = right ? 0 : strip.down;
  strip.above = y >= image.height;
  strip.below = y + (rows - 1) * s.stride_h + 2 >= image.height;
  strip.rows = rows;
  return strip;
}

// Lines of L1 into whose sets pixels fall that lie a power of two apart.
HWY_INLINE size_t LinesForPixels(const ConvArgs& args) {
  constexpr size_t kPage = 4096;  // of memory: a line for each set
  const size_t bytes = args.x.pixel_stride * sizeof(float);
  return Quotient(args.l1, std::min(bytes & (~bytes + 1), kPage));
}

// Floats apart, pixels fall into eight sets of L1, or into two.
constexpr size_t kFewSets = 512 / sizeof(float), kTwoSets = 2048 / sizeof(float);

// Rows of outputs that a strip of a depthwise convolution goes down, in equal parts: all, where the
// image is small, so that weights are loaded seldom and rows of the image once. Of larger ones nine
// rows of the image: what comes from L2 is asked for in advance in the order of channels, which a
// strip leaves the longer alone the lower it is (28x28x192 with AVX-512, in strips of 4, 7 and 14
// rows: 0.97, 0.87 and 1.03 of the time of pairs of rows; stride 2, of 2, 4 and 7: 1.02, 0.88 and
// 1.10). Vectors of half a line go down less far at stride 2 (24x24x32: 0.84 with 6 rows, 0.99 with
// 12), and beyond L2 no strip does (112x112x64: 1.1 with 4 rows).
HWY_NOINLINE inline size_t MostStripRows(const ConvArgs& args) {
  const size_t bytes = ImageBytes(args.x);
  // Where one vector is all channels, what is set up for each strip counts: 48x48x8, 112x112x8 and,
  // with AVX-512, 112x112x16 take 0.67 to 0.92 with 64 rows. With two vectors it would be 0.9 to
  // 1.2; 224x224x8 would take 1.4.
  if (args.shape->channels <= hn::Lanes(DF()) && bytes <= args.l2 / 2) return 64;
  const bool one = args.shape->stride_h == 1;
  if constexpr (kVectorRegisters == 32) {
    // Pixels that fall into a few sets of L1 push each other out: 14x14x1024 takes 0.9 of the time
    // of higher strips, 14x14x256 at stride 2 0.82, 12x12x128 0.78.
    if (one && args.y.pixel_stride % kTwoSets == 0) return 4;
    if (!one && args.x.pixel_stride % kFewSets == 0 && bytes > args.l1) return 4;
  }
  const bool small = bytes <= args.strip_image;
  // Row by row, the image is read three times, from L1 if the window of a strip stays there: 16
  // rows of eight pixels (in strips of 14 rows 10x10x128 takes 1.20 of the time of 7,
  // 14x14x128 1.18).
  if (kStripsByRows && one) return small && LinesForPixels(args) >= 128 ? 14 : 7;
  if (small && kVectorRegisters == 32) return 14;
  return small || one ? 7 : bytes <= args.l2 ? 4 : 1;
}

// The rows of the first of `height` in equal parts of at most `most`.
HWY_INLINE size_t StripRows(size_t height, size_t most) {
  return QuotientUp(height, QuotientUp(height, most));
}

// Runs units (tiles) [begin, end) by run(args, tile, rows, alone), whole rows where there are some,
// at most `most` at a time, an even number of them where they are pairs; `alone`, where the rest of
// a row may be another thread's. One function for all strips.
using StripRun = void (*)(const ConvArgs& args, const ConvTile& t, size_t rows, bool alone);
HWY_NOINLINE inline void ForStrips(const ConvArgs& args, size_t most, size_t begin, size_t end,
                                   StripRun run) {
  most = StripRows(args.y.height, most);
  if (args.kind == TileKind::kRowPairs) most += most % 2;
  TileCursor cursor(args, begin);
  for (size_t unit = begin; unit < end;) {
    const ConvTile& t = cursor.tile();
    if (t.pixel != 0 || end - unit < args.tiles) {
      run(args, t, 1, true);
      ++unit;
      cursor.Next();
      continue;
    }
    size_t rows = std::min(most, args.y.height - t.row);
    while (rows * args.tiles > end - unit) --rows;
    for (size_t i = 0; i < args.tiles; ++i, cursor.Next()) run(args, cursor.tile(), rows, false);
    for (size_t r = 1; r < rows; ++r) cursor.SkipRow();
    unit += rows * args.tiles;
  }
}

// Whether strips can run a shape: three by three taps, no more than a row and a column of the
// padding on each side, `channels` or more.
HWY_NOINLINE inline bool FitsStrips(const ConvArgs& args, size_t channels) {
  const Conv2dShape& s = *args.shape;
  const size_t stride = s.stride_w;
  return args.finite && s.channels >= channels && s.kernel_h == 3 && s.kernel_w == 3 &&
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
  return FitsStrips(args, lanes) &&
         (args.y.width == pixels || args.y.width >= std::max<size_t>(pixels, 7));
}

// Whether depthwise convolutions go down strips (src/conv/depthwise_strip-inl.h): those with no
// more than a row and a column of the padding on each side. Where a vector is half a line of the
// cache, the line must still be in L1 when the other half is wanted: pixels that fall into the same
// sets (28x28x256) and large images would take 1.0 to 1.5.
HWY_INLINE bool UsesStrips(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t lanes = hn::Lanes(DF());
  const size_t stride = s.stride_w;
  if (!kDepthwiseStrips || !FitsStrips(args, lanes)) return false;
  if (args.y.width < kLeastStrip) return false;
  if (lanes == kPanel) return true;
  const size_t bytes = ImageBytes(args.x);
  const size_t rows = StripRows(args.y.height, MostStripRows(args));
  const size_t pixels = std::min(DepthwiseStripPixels(stride), args.y.width);
  const size_t inputs = ((rows - 1) * stride + 3) * ((pixels - 1) * stride + 3);
  const size_t lines = LinesForPixels(args);
  if (stride == 1) {
    // Beyond half of L2, where only several threads come here, tables, whose channels come in the
    // order of memory: with two, 28x28x192 and 28x28x272 would take 1.16 in strips, though
    // 56x56x144 0.90 and 112x112x96 0.91. Where a pixel is no more than two lines, either does.
    constexpr size_t kFewChannels = 32;
    const bool near = bytes <= args.l2 / 2 || args.x.pixel_stride <= kFewChannels;
    return near && (bytes <= args.l1 || inputs <= lines);
  }
  // The last of several vectors that channels do not fill takes as long as a whole one: 0.45 to
  // 0.82 of the time of tiles. With other chains than the frequent ones its stores go by way of L1:
  // 16 vectors with such an end take 0.81 of the time, 9 would take 1.2.
  const bool plain = args.chain->in_registers && args.chain->add == nullptr;
  const bool whole = plain || s.channels % lanes == 0 || s.channels >= 12 * lanes;
  return whole && bytes <= args.l2 && (bytes <= args.l1 || inputs + rows * pixels <= lines);
}

// Whether strips take a few lines of each pixel at a time (src/conv/depthwise_rolling-inl.h). On
// Zen 5, AVX512 and AVX2: 14x14x512 takes 0.67 and 0.78 of the time, 7x7x1024 0.51 and 0.62,
// 56x56x144 0.90 and 0.91, 112x112x32 0.92 and 0.97; at stride 2 28x28x256 0.81 and 0.82,
// 112x112x64 0.82 and 0.75. What is kept first is much where rows are few: with AVX-512, 4x4x1024
// would take 0.9 and 4x4x512 1.5. With 16 registers other strips lose more, as their vectors are
// half lines. What the chain leaves to RunRest follows a few rows at a time, too.
HWY_INLINE bool UsesRolling(const ConvArgs& args) {
  constexpr size_t kLeastRows = kVectorRegisters == 32 ? 7 : 4, kManyRows = 28;
  if (!kDepthwiseStrips || !FitsStrips(args, hn::Lanes(DF()))) return false;
  // The strips of two threads meet: at stride 1 they gain little (0.88 to 1.30), and 14x14x512 took
  // 1.4 to 2.1 of the time of one thread while the two did not share a cache.
  const bool one = args.shape->stride_w == 1;
  if (one && !args.alone) return false;
  const size_t rows = args.y.height, bytes = args.image_bytes;
  const size_t tiles = QuotientUp(args.y.width, kRollingPixels);
  if (rows < kLeastRows || Quotient(args.y.width, tiles) < kLeastRolling) return false;
  if (bytes <= args.l1 || args.chain->rest != 0) return false;
  const auto apart = [&](size_t floats) HWY_ATTR {
    return args.x.pixel_stride % floats == 0 || args.y.pixel_stride % floats == 0;
  };
  const bool large = bytes > args.l2 / 2;
  if constexpr (kVectorRegisters == 32) {
    if (apart(kTwoSets)) return true;
    if (one) return large;
    return bytes > args.l2 || (large && apart(kFewSets));
  }
  if (!one) return large || apart(kFewSets);
  return large || apart(2 * kFewSets) || (rows >= kManyRows && bytes > args.l2 / 8);
}

// Rows of a table that is not one of strips. Without more of them larger kernels would read their
// weights and most of the image from L2 for each row of outputs (7x7 with 16 instead of 8: 0.84 to
// 0.96 of the time, 5x5: 0.94 to 1.01). 3x3 gains where channels are few, and filling the table is
// much of the work (8 to 64 channels: 0.91 to 0.97).
constexpr size_t BlockRows(const Conv2dShape& s) {
  return s.kernel_h > 3 || s.channels * s.stride_h <= 64 ? TapTable::kRows : 8;
}

// How much of an image one table, or one strip of pairs of rows, serves at a time.
struct DepthwiseBlock {
  size_t rows;      // of outputs
  size_t channels;  // whose inputs for so many rows of a tile stay in L1
};

// The largest block that the rows of a table have room for; channels in equal parts.
HWY_INLINE DepthwiseBlock DepthwiseBlockFor(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  if (kSmallCode || s.dilation_h != 1) return {1, kMaxTileCols};
  const size_t table = BlockRows(s);
  const size_t further = table - s.kernel_h;
  const size_t most = (s.stride_h == 1 ? further : Quotient(further, s.stride_h)) + 1;
  const size_t rows = QuotientUp(args.y.height, QuotientUp(args.y.height, most));
  const size_t columns = (kRowTile - 1) * s.stride_w + s.kernel_w;
  const size_t window = table * columns * sizeof(float);  // of a channel
  if (rows == 1 || s.channels * window <= args.l1) return {rows, kMaxTileCols};
  const size_t stay = std::max(Quotient(args.l1, window), kPanel);
  const size_t parts = QuotientUp(s.channels, std::min(stay, kMaxTileCols));
  // Whole pairs of vectors: with one left over in each part, 14x14x192 with 5x5 taps and stride 2
  // took 1.09 of the time, 56x56x96 with 7x7 taps 1.13.
  const size_t pair = 2 * hn::Lanes(DF());
  return {rows, QuotientUp(QuotientUp(s.channels, parts), pair) * pair};
}

// Whether rows of outputs run in pairs (src/conv/depthwise_pairs-inl.h): where no pixel has all of
// its taps in the padding.
HWY_INLINE bool UsesRowPairs(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t taps = s.kernel_w;
  const size_t stride = s.stride_w;
  return kPairsOfRows && args.finite && (kMaskedLoads || s.channels >= hn::Lanes(DF())) &&
         stride <= 2 && (s.dilation_h | s.dilation_w) == 1 && (taps == 5 || taps == 7) &&
         s.kernel_h <= kTableKernel && args.y.width >= kLeastOfPairs - 1 && s.padding.left < taps &&
         (args.y.width - 1) * stride < s.padding.left + args.x.width;
}

// Whether such strips have pairs of pixels in their vectors: eight channels, which would fill half
// of them.
HWY_INLINE bool UsesPairs(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  return kStripPairs != 0 && s.channels == kPanel / 2 && s.stride_w == 1 &&
         args.x.pixel_stride == s.channels && args.y.pixel_stride == s.channels &&
         args.y.width >= 2 * kStripPairs && args.chain->in_registers &&
         args.chain->add == nullptr && FitsStrips(args, s.channels);
}

// Whether tiles are those of signals (src/conv/depthwise_signal-inl.h). Three taps would take 1.0
// to 1.4 of the time. What meets the padding is copied, and so is a part of a vector: kernels that
// have tables gain where most tiles are inside, and those of few taps where all are whole.
HWY_INLINE bool UsesSignals(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  if (kSignalTaps == 0 || s.kernel_h != 1 || s.kernel_w <= 3) return false;
  if (s.stride_h != 1 || s.stride_w != 1 || s.dilation_w != 1) return false;
  if (s.kernel_w < 8 && s.channels % hn::Lanes(DF()) != 0) return false;
  return kSignalPixels - 1 + s.kernel_w <= kSignalColumns &&
         args.y.width >= (FitsTable(s) ? 5 : 2) * kSignalPixels;
}

// The most pixels that a tile of a depthwise convolution may have, and whether tiles go down
// strips. Rows of seven pixels are one tile of a pair.
HWY_INLINE size_t DepthwiseRowTile(ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  if (UsesPairs(args)) {
    args.kind = TileKind::kPairStrips;
    return 2 * kStripPairs;
  }
  if (UsesRolling(args)) {
    args.kind = TileKind::kRolling;
    return kRollingPixels;
  }
  if (UsesStrips(args)) {
    args.kind = TileKind::kStrips;
    return DepthwiseStripPixels(s.stride_w);
  }
  if (UsesRowPairs(args)) {
    args.kind = TileKind::kRowPairs;
    return PairWidth(args.y.width);
  }
  if (UsesSignals(args)) {
    args.kind = TileKind::kSignals;
    return kSignalPixels;
  }
  if (!UsesWideTiles(s, args.finite)) return kRowTile;
  return s.kernel_w >= kRowTileWide ? kRowTileWide : kRowTileWidePair;
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_STRIPS_INL_H_

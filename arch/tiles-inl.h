// Register tiles for each kernel family, with their arithmetic.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_ARCH_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_ARCH_TILES_INL_H_
#undef LANEFUSE_ARCH_TILES_INL_H_
#else
#define LANEFUSE_ARCH_TILES_INL_H_
#endif

#include "arch/features-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A tile has kRowTile rows (pixels, batch rows) of kVectorTile vectors of outputs. It keeps
// kRowTile * kVectorTile sums, kVectorTile weights and one broadcast input in registers:
//   32 registers   6 x 4 = 24 + 4 + 1 = 29    24 multiply-adds for 10 loads
//   16 registers   6 x 2 = 12 + 2 + 1 = 15    12 multiply-adds for  8 loads
// Two loads a cycle feed two multiply-adds a cycle in both. Where loads run ahead of their use,
// 5 x 4 = 20 sums leave registers for them; GCC keeps three sums of 6 x 4 in memory there.
constexpr size_t kRowTile = kLoadsAhead ? 5 : 6;
constexpr size_t kVectorTile = kVectorRegisters == 32 ? 4 : 2;

// One vector of outputs: 6 sums wait for each other, 8 hide the latency of the adder where nothing
// comes between, 12 also where short runs begin and end: 0.92 to 0.95 of the time of first layers
// with 8 outputs. Tables of addresses have 8 rows.
constexpr size_t kRowTileOneVectorTable = kSmallCode ? kRowTile : 8;

// With 16 registers, tiles of one run of memory for each row have up to 12 rows of one vector.
constexpr size_t kRowTileOneVector =
    kSmallCode || kVectorRegisters == 32 ? kRowTileOneVectorTable : 12;

// One or two vectors of outputs have tiles that walk down their rows and leave out what these find
// in the padding (src/common/tall_tile-inl.h). Of the time of others, AVX-512: 32x32x16 with
// 16 outputs 0.84, 8x8x16 with as many 0.84 and, of 5x5 taps, 0.68, 16x16x32 with 32 outputs 0.94,
// 6x6x16 with 32 outputs 0.81 and, of 7x7 taps, 0.62; AVX2: 8 outputs 0.92 to 0.99, 6x6x16 with 8
// outputs 0.76, groups of eight 0.67 to 0.97. First layers gain where rows are wide: 96x96x3 with 8
// outputs and stride 2 takes 0.83 to 0.93, 224x224x3 with 16 or 32 outputs 0.94 to 1.00; 28x28x1
// would take 1.35. 1x1, whose tiles read each input once, has as few rows as others: 112x112x32
// with 16 outputs would take 1.18.
constexpr bool kTallTiles = !kSmallCode;
constexpr size_t kTallRows = kVectorRegisters == 32 ? 24 : 12;
constexpr size_t kTallRowsTwoVectors = kTallRows / 2;

// With 16 registers those of two vectors have an address for each row instead, and may go on in the
// next row of an image (src/common/turning_tile-inl.h). AVX2, 3x3 taps, of the time of tiles that
// look up what they read: 32 or 64 outputs on 5 to 12 pixels a row 0.83 to 0.99, on 13 to 56 0.93
// to 1.01; 20x20x16 with 5x5 taps 0.89; in groups of sixteen with as many 0.88.
template <size_t kVectors>
constexpr bool kTurns = kVectorRegisters == 16 && kVectors == 2 && kTallTiles;

// Heights of tall tiles share code by fours: a row that may not be there costs a comparison. Of
// those with an address for each row any may be missing.
constexpr size_t kTallGrain = 4;
// Rows at either end that may find a tap in the padding.
template <size_t kVectors>
constexpr size_t kTallPadding = kTurns<kVectors> ? kTallRowsTwoVectors : 4;

// Rows that a tall tile finds from one address. With an index, a multiply-add whose operand is in
// memory is two micro-operations instead of one; a load is not.
template <size_t kVectors>
constexpr size_t kTallNear = kVectors == 1 && kBroadcastOperands ? 1 : 3;

// Terms of a sum from which on tall tiles gain wherever they can run, with one vector of outputs or
// two: 3x3x8 takes 0.82 to 0.94 of the time; AVX512, 16 outputs: 28x28x6 0.78, 32x32x5 0.82,
// 1x200x128 in groups of 16 with three taps 0.82, while 32 outputs of 36 terms would take 1.02 to
// 1.09; AVX2, 48 terms, 1.02 to 1.26.
constexpr size_t DeepSum(bool one) { return kVectorRegisters != 32 ? 64 : one ? 32 : 48; }

// Whether a tile that looks up addresses leaves out single rows in the padding: 3x3 on images 7 to
// 28 pixels wide take 0.94 to 0.99 of the time. Narrower tiles lose by the branches, 1.02 to 1.2,
// and gain 0.98 to 1.01 where the first row and the last have loops of their own.
constexpr bool LeavesOutRows(size_t rows, size_t vectors) {
  return !kSmallCode && kVectorTile == 4 && vectors == 4 && rows > 2;
}

// Whether up to eight outputs have tall tiles of eight lanes, with all 32 registers.
constexpr bool kTallEights = kTallTiles && kVectorRegisters == 32;

// Whether few outputs of few inputs, those of half a vector, have lanes of pixels
// (src/conv/pixel_lanes-inl.h). AVX-512: 96x96x3 with 8 outputs and stride 2 takes 0.61 of the
// time, 64x64x8 0.59, 28x28x1 with 6 outputs of 5x5 taps 0.50; two passes for 16 outputs would take
// 0.96 to 1.5. AVX2: 48x48x3 with 3 outputs 0.68, 64x64x1 with 4 outputs of 7x7 taps 0.45; two
// passes for 8 outputs would take 0.9 to 1.5.
constexpr bool kPixelLanes = !kSmallCode;
constexpr size_t kPixelOutputs = kVectorRegisters == 32 ? 8 : 4;
constexpr size_t kPixelVectors = 3;   // of pixels: 3 x 8 or 3 x 4 sums, 3 of inputs and a weight
constexpr size_t kPixelWidth = 13;    // 14 pixels take 0.74 to 0.88, 12 would take 0.8 to 1.1
constexpr size_t kPlaneFloats = 896;  // of all rows that a tile reads: less than 4 KiB of stack
constexpr size_t kPixelRows = 8;      // of taps
constexpr size_t kPixelTaps = 32;     // inputs of a row of taps

// Whether up to four outputs of many inputs have lanes of pixels, too (src/conv/pixel_rows-inl.h):
// 48x48x32 with one output of 5x5 taps takes 0.17 of the time, 48x48x64 with three of 3x3 0.57. On
// AVX-512 this code runs as well (0.17, 0.59).
constexpr bool kPixelRowTiles = !kSmallCode && kVectorRegisters == 16;

// Whether a tile with one vector of outputs of one or three channels broadcasts an input once for
// all of its pixels (src/conv/column_tile-inl.h): twelve of them, three weights and an input. AVX2,
// eight outputs: 120x160x1 takes 0.63 of the time, 96x96x3 with stride 2 0.72, 25x25x3 0.75,
// 224x224x3 0.96. AVX512, sixteen: 96x96x1 with stride 2 0.61, 32x32x3 0.81, 224x224x3 with stride
// 2 0.87, 224x224x1 0.95; 24 pixels would take 1.04 to 1.27. Two vectors, one after the other,
// would take 1.02 to 1.35.
constexpr bool kColumnTiles = !kSmallCode;
constexpr size_t kColumnPixels = 12;

// Whether two groups of eight outputs each share a vector.
constexpr bool kPairsOfEights = !kSmallCode && kVectorRegisters == 32;

// Whether a depthwise tile loads a column that several of its pixels read once for all. With three
// taps at stride 2 that is slower: each sum would wait for the one before. 0 taps: any number.
constexpr bool SharesColumns(size_t taps, size_t stride) { return taps == 3 && stride == 1; }

// Depthwise convolutions with three by three taps go down strips of the output. With 32 registers
// these keep the sums of three rows at stride 1, and of two at stride 2: nine weights and a pixel
// fit beside 3 x 7 sums, and images 7, 14, 28 and so on pixels wide are cut without a rest. With
// 16, a pixel and three weights fit beside 2 x 6, and, where strips of groups have stride 1, 3 x 4.
constexpr bool kDepthwiseStrips = !kSmallCode;
constexpr size_t kLeastStrip = 2;  // pixels: rows of one are rare
constexpr size_t StripPixels(size_t stride) {
  return kVectorRegisters == 32 ? 7 : stride == 1 ? 4 : 6;
}

// With 16 registers those of stride 1 go row by row: 6 sums, nine weights and a pixel. AVX2,
// against 3 x 4 sums, built with GCC 12 and with GCC 16: 12x12x64 takes 0.88 and 0.76 of the time,
// 28x28x192 0.90 and 0.79, 14x14x384 0.97 and 0.86, 7x7x960 0.98 and 0.87; at stride 2 it would
// be 1.0 to 1.2.
constexpr bool kStripsByRows = kDepthwiseStrips && kVectorRegisters == 16;
constexpr size_t DepthwiseStripPixels(size_t stride) {
  return kStripsByRows && stride == 1 ? 6 : StripPixels(stride);
}

// Others keep rows of the image instead of sums (src/conv/depthwise_rolling-inl.h): the sums of a
// row, three weights and a pixel. Images 7, 14, 28 and so on pixels wide are cut without a rest.
constexpr size_t kRollingPixels = 7, kLeastRolling = 4;

// Eight channels fill half a vector of sixteen lanes: two pixels share it, and each of three rows
// has six such vectors. 48x48x8 takes 0.53 to 0.57 of the time, 14x14x8 0.91. 0: none.
constexpr size_t kStripPairs = !kSmallCode && kVectorRegisters == 32 ? 6 : 0;

// Groups of four and eight do, too, with the inputs of each lane instead of a pixel. Two groups of
// eight on AVX-512 keep eight vectors that say where each lane finds them: 29 registers or 30.
constexpr bool kGroupStrips = !kSmallCode;

// Depthwise convolutions with five or seven taps in a row have tiles of two rows of the output,
// which have inputs in common (src/conv/depthwise_pairs-inl.h). Against one row of two vectors,
// AVX512 takes 0.77 to 1.00 of the time, on images of 7x7 0.55 to 0.66, at stride 2 0.64 to 0.74;
// AVX2, against one row of one, 0.82 to 0.92, 0.73 to 0.91 and 0.87 to 0.91. Tiles four to seven
// pixels wide have code. With 16 registers those of seven, where one weight stays, are for rows of
// that width alone: others would take 0.93 to 1.00.
constexpr bool kPairsOfRows = !kSmallCode;
constexpr size_t kLeastOfPairs = 4, kMostOfPairs = 7;
constexpr size_t PairWidth(size_t width) {
  return kVectorRegisters == 32 || width == kMostOfPairs ? kMostOfPairs : kRowTile;
}

// Yet others keep kRowTile sums for each vector of channels. Two vectors hide the latency of the
// sums, if what they share fits registers.
constexpr size_t kDepthwiseVectors = kSmallCode && kVectorRegisters == 16 ? 1 : 2;

// Whether kernels three taps wide have tiles of their own. Where strips run nearly all of them, the
// rest is not worth the code.
constexpr bool kDepthwiseThrees = kSmallCode || kVectorRegisters == 16;

// Pixels of a depthwise tile with a kernel of kWideKernel taps and more that fits no table: sums of
// two vectors for each, and a vector of the image (src/conv/depthwise_wide-inl.h). 9x9 takes 0.44
// to 0.66 of the time of tiles whose addresses are looked up, 13x13 0.34 to 0.69. With 32 registers
// and weights that L1 does not hold, from kRowTileWide taps on, one vector of twice as many pixels:
// each line of weights is read half as often (31x31 takes 0.5 of the time of two vectors). 0: no
// such tiles.
constexpr size_t kRowTileWidePair = kSmallCode ? 0 : 7;
constexpr size_t kRowTileWide = kVectorRegisters == 32 ? 2 * kRowTileWidePair : kRowTileWidePair;
constexpr size_t kWideKernel = 8;           // or taps would be first ones and last ones at once
constexpr size_t kWideKernelOfOneRow = 24;  // 1x15 would take 1.0 to 1.3

// Depthwise kernels of one row, but those of three, five and seven taps: so many pixels, a block of
// taps, and a vector of the image are 15 of 16 registers, or 23 of 32. 1x512x256 with 15 taps takes
// 0.48 (AVX512) and 0.46 (AVX2) of the time of tiles whose addresses are looked up, 9 taps 0.59 to
// 0.71, 4 taps 0.67 to 0.88, 31 taps 0.71 to 0.80 of wide tiles. 0: no such tiles.
constexpr size_t kSignalTaps = kSmallCode ? 0 : kVectorRegisters == 32 ? 8 : 4;
constexpr size_t kSignalPixels = kVectorRegisters == 32 ? 14 : 10;
constexpr size_t kSignalColumns = 56;  // that are copied at the padding: 3.5 KB

// With one or two rows the sums are too few to hide the latency of the adder (4 cycles x 2 pipes =
// 8 sums), so such tiles are wider: 1 x 8 and 2 x 4.
constexpr size_t kVectorTileTwoRows = 4;
constexpr size_t kVectorTileOneRow = 8;

// Three vectors of outputs, where a full tile has two: 4 x 3 sums are as many as 6 x 2, and leave
// no single vector, whose 6 sums wait for each other. Convolutions with 24 outputs: 0.81 to 0.87 of
// the time.
constexpr bool kThreeVectors = !kSmallCode && kVectorTile == 2;
constexpr size_t kRowTileThreeVectors = 4;

// A tile that keeps four chains for each output has kRowTile rows x 1 vector x 4 chains, or 3 rows
// x 2 vectors x 2 chains at a time.
constexpr size_t kRowTileFourChains = kVectorRegisters == 32 ? kRowTile : 3;
constexpr size_t kVectorTileFourChains = kVectorRegisters == 32 ? 1 : 2;

// Whether a pass of several steps takes four vectors at a time where steps are short: with eight
// lanes, its conditions cost as much as the arithmetic. AVX2 takes 0.58 to 1.05 of the time,
// AVX-512 0.90 to 1.14, and 1.06 to 1.5 where rows are two vectors.
constexpr bool kFourVectorPasses = !kSmallCode && kVectorRegisters == 16;

// Steps of k by which a tile asks for its weights in advance. Tiles of 16 registers are narrow:
// they have no load to spare for it, and want less (0: none).
constexpr size_t kPrefetchAhead = kVectorRegisters == 32 ? 16 : 0;

// Whether tiles ask for the weights of those that come after all of them: a line in every step, so
// that the first tiles ask for a panel each. A line in every fourth step left most of a panel of
// AVX2 unasked for where 16 rows have one tile of full height: 1.2 to 1.3 of the time with 8 MB of
// weights and more.
constexpr bool kPrefetchNext = !kSmallCode;

// Whether tiles of several runs do, too: those that do not ask for their own weights. AVX2, 3x3
// with 9 MB of weights: 0.88 to 0.93 of the time.
constexpr bool kAskInRuns = kPrefetchNext && kPrefetchAhead == 0;

// Whether a tile of one run gains by asking for its own weights where they fill L2.
constexpr bool kAskOwn = kPrefetchNext && kPrefetchAhead != 0;

// Whether full tiles of one run ask for the lines that they end with, and for the inputs of those
// behind them, and from how many steps of k on that is hidden. 1x1 where the output or an image are
// larger than half of L2 takes 0.83 to 1.01 of the time on Zen 4, AVX-512 and AVX2.
constexpr bool kPrefetchFinish = !kSmallCode;
constexpr size_t kPrefetchDepth = kVectorRegisters == 32 ? 64 : 128;

// Whether any tile asks for the tensor that it adds. Residuals of large images: a tenth faster on
// AVX2; with 32 registers a tile wants four times as many lines.
constexpr bool kPrefetchOperand = !kSmallCode && kVectorRegisters == 16;

// Steps of k that one turn of a tile's loop makes. Where four inputs are loaded at once, this loop
// makes only those that are left.
constexpr size_t kTileUnroll = kLaneFactors ? 1 : kSmallCode ? 2 : 4;

// Whether it makes two instead of four: in tiles with many addresses GCC keeps fewer of them in
// memory then. AVX-512: 3x3 0.97 to 0.99 of the time, first layers with 32 outputs 0.92 to 0.95.
// One vector needs four (28x28x1 to 16: 1.28), and one run has few addresses.
constexpr bool UnrollsLess(size_t vectors, bool one_run) {
  return !kSmallCode && kVectorRegisters == 32 && vectors > 1 && !one_run;
}

// kPrefetchAhead for a tile that reads every second line of its weights (two chains at a time): no
// hardware follows that. 16 rows, AVX2: a quarter faster with it.
constexpr size_t kTwoChainsAhead = 16;

// Rows of weights that Gemv reads side by side: 64 lanes of sums are four registers of 32, or
// eight.
constexpr size_t GemvRows(size_t lanes) {
  return lanes == 16 && kVectorRegisters == 32 ? 4 : lanes == 8 ? 2 : 1;
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_ARCH_TILES_INL_H_

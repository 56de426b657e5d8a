// What Conv2d's entry hands to its kernels, and the plan it chose. No SIMD.
#ifndef LANEFUSE_SRC_CONV_CONV_ARGS_H_
#define LANEFUSE_SRC_CONV_CONV_ARGS_H_

#include <cstddef>

#include "lanefuse/conv.h"
#include "src/common/divide.h"
#include "src/common/runs.h"
#include "src/common/taps.h"
#include "src/epilogue/chain.h"

namespace lanefuse {

enum class ConvPlan : uint8_t {
  kDense,      // a tile of pixels x outputs for each group; an input is broadcast over the outputs
  kDepthwise,  // lanes are channels: one input channel for each output
  kGrouped,    // lanes are outputs of several small groups, which gather inputs, or run one by one
  kEights,     // packed as kDense, run as kGrouped: groups of eight, in pairs or in strips
};

// Whether weights are read from L2 tile by tile, and tiles may cross the rows of an image.
inline bool IsDense(ConvPlan plan) { return plan == ConvPlan::kDense || plan == ConvPlan::kEights; }

// Channels and outputs of one group.
inline size_t GroupChannels(const Conv2dShape& s) {
  return s.groups == 1 ? s.channels : Quotient(s.channels, s.groups);
}
inline size_t GroupOutputs(const Conv2dShape& s) {
  return s.groups == 1 ? s.outputs : Quotient(s.outputs, s.groups);
}

// Terms of the sum of an output.
inline size_t DepthOf(const Conv2dShape& s) { return s.kernel_h * s.kernel_w * GroupChannels(s); }

// How a shape is packed, for all targets.
ConvPlan PlanFor(const Conv2dShape& shape);

// How the tiles of a row are made, where they do not look up what they read.
enum class TileKind : uint8_t {
  kPlain,       // they do, or it is one run of memory
  kTall,        // src/common/tall_tile-inl.h
  kColumns,     // inputs are broadcast once: column_tile-inl.h
  kPixelLanes,  // lanes are pixels: pixel_lanes-inl.h
  kPixelRows,   // the same, of many inputs: pixel_rows-inl.h
  kStrips,      // tiles go down strips: depthwise_strip-inl.h, group_strip-inl.h
  kRolling,     // the same, a few lines of each pixel at a time: depthwise_rolling-inl.h
  kPairStrips,  // the same, with pairs of pixels of eight channels: depthwise_pair_strip-inl.h
  kRowPairs,    // rows of outputs in pairs: depthwise_pairs-inl.h
  kSignals,     // depthwise_signal-inl.h
};

// The most outputs that tiles of kPixelRows have.
constexpr size_t kPixelRowOutputs = 4;

struct ConvArgs {
  ImageView<const float> x;
  ImageView<float> y;
  const Conv2dShape* shape;
  const float* panels;
  bool finite;  // all weights
  const Chain* chain;
  ConvPlan plan;
  int target;            // whose code runs
  size_t n0, n1;         // outputs of each group that are made; all, but for a dense plan's parts
  size_t l1, l2;         // bytes
  size_t tile_inputs;    // bytes of inputs that stay in L1 beside a block of weights
  size_t small_weights;  // bytes that stay in L2 beside the images
  size_t large_weights;  // bytes of a block beyond which it does not stay in L2
  bool far_output;       // what a tile writes is not in L2 before
  bool alone = true;     // one thread makes all tiles
  size_t image_bytes;    // of one image, of which x may be some rows that are not in L2 before
  size_t strip_image;    // bytes of an image up to which depthwise goes down it at once
  size_t tiles = 0;      // of one output row: the first `longer` have a pixel more than `pixels`
  size_t pixels = 0, longer = 0;
  size_t inner_end = 0;  // the first pixel of a row whose taps leave the image on the right: tiles
                         // that end before it, and follow an inner tile, are inner tiles too
  TileKind kind = TileKind::kPlain;
  bool phases = false;     // pixels as far apart as taps run as images of their own (ConvPhases)
  bool flat = false;       // neither the whole output nor operands of the chain have gaps
  bool scattered = false;  // y is one row of pixels, whose tiles do not end with an image's rows
  bool turns = false;      // the same, of tall tiles: a row of pixels for each image
  size_t down = 0;         // pixels of an image of the output, whatever form y has taken
  size_t across = 0;
  TilePos origin = {};  // where y begins in the whole output: what operands of the chain go by
};

// Of one image.
inline size_t ImageBytes(const ImageView<const float>& x) {
  return x.height * x.width * x.channels * sizeof(float);
}

// y = chain(w * x), not yet cut into tiles: `chain` and w must outlive it.
ConvArgs ConvArgsFor(const PackedConv2d& w, const Chain& chain, const ImageView<const float>& x,
                     const ImageView<float>& y);

// A 1x1 convolution with stride 1 and without padding: its pixels know nothing of each other.
bool IsPointwise(const Conv2dShape& shape);

// Chooses the code for `args` and cuts their images into tiles. An output without gaps between rows
// can be one long row of pixels, whatever the image, so that all tiles have full height, and a
// batch is no different from a large image: pointwise convolutions where the input has no gaps
// either, and dense ones whose rows would be cut badly. `flat`: as in ConvArgs (IsFlat); the whole
// output has `height` rows in each image.
void CutTiles(ConvArgs& args, bool flat, size_t height, int target);

// Cuts the rows of the output into args.tiles tiles.
void CutRows(ConvArgs& args);

// Units (tiles) [begin, end) of all output rows of all images.
using ConvKernel = void (*)(const ConvArgs& args, size_t begin, size_t end);

// The kernel of any plan but kDense, for target number `target`.
ConvKernel ChannelsKernel(ConvPlan plan, int target);

// The code that runs units of `args`, but for what the chain leaves to RunRest.
ConvKernel KernelFor(const ConvArgs& args);

// Runs all tiles, on this thread.
void RunConv(const ConvArgs& args);

// Whether taps are further apart than pixels.
inline bool IsDilated(const Conv2dShape& s) {
  return (s.kernel_h > 1 && s.dilation_h > 1) || (s.kernel_w > 1 && s.dilation_w > 1);
}

// Units [begin, end) of a convolution with dilation (ConvArgs::phases): rows of outputs, or phases
// of the only row.
void ConvPhases(const ConvArgs& args, size_t begin, size_t end);

// A tile of output pixels: `pixels` neighbours of one output row.
struct ConvTile {
  size_t image, row, pixel, pixels;
};

// Where output `channel` of its first pixel lies: in the whole output, and in memory.
inline TilePos PosOf(const ConvArgs& args, const ConvTile& t, size_t channel) {
  const TilePos& origin = args.origin;
  return {t.image + origin.image, t.row + origin.row, t.pixel + origin.pixel, channel};
}
inline float* OutputOf(const ConvArgs& args, const ConvTile& t, size_t channel) {
  const ImageView<float>& y = args.y;
  return y.data + t.image * y.image_stride + t.row * y.row_stride + t.pixel * y.pixel_stride +
         channel;
}

// Walks the tiles of an output, rows outside, without a division for each tile. The tiles of a row
// differ by one pixel at most: 7 pixels are 4 + 3, not 6 + 1.
class TileCursor {
 public:
  TileCursor(const ConvArgs& args, size_t unit)
      : height_(args.y.height),
        width_(args.y.width),
        each_(args.pixels),
        extra_(args.longer),
        tiles_(args.tiles) {
    const size_t line = unit == 0 ? 0 : Quotient(unit, tiles_);
    index_ = unit - line * tiles_;
    tile_.image = line == 0 ? 0 : Quotient(line, height_);
    tile_.row = line - tile_.image * height_;
    tile_.pixel = index_ * each_ + (index_ < extra_ ? index_ : extra_);
    tile_.pixels = each_ + (index_ < extra_ ? 1 : 0);
  }
  const ConvTile& tile() const { return tile_; }
  // How many tiles from this one on, in its row, have its height and end at `end` or before it: at
  // most `most`, at least this one.
  size_t Together(size_t most, size_t end) const {
    const size_t equal = (index_ < extra_ ? extra_ : tiles_) - index_;
    if (equal < most) most = equal;
    size_t count = 1;
    for (size_t next = tile_.pixel + 2 * tile_.pixels; count < most && next <= end;
         next += tile_.pixels) {
      ++count;
    }
    return count;
  }
  void Next() { Advance(1); }
  void SkipRow() {  // from its first tile
    if (++tile_.row == height_) {
      tile_.row = 0;
      ++tile_.image;
    }
  }
  void Advance(size_t count) {  // tiles of one height in one row
    index_ += count;
    tile_.pixel += count * tile_.pixels;
    if (tile_.pixel == width_) {
      index_ = 0;
      tile_.pixel = 0;
      SkipRow();
    }
    tile_.pixels = each_ + (index_ < extra_ ? 1 : 0);
  }

 private:
  size_t height_, width_, each_, extra_, tiles_, index_;
  ConvTile tile_;
};

// The addresses that a tile of a small depthwise kernel reads: for each row of taps, the columns of
// the image, and kZeros for those in the padding.
struct TapTable {
  static constexpr size_t kColumns = 17;  // seven taps at stride 2: (6 - 1) * 2 + 7
  static constexpr size_t kRows = 16;     // of taps, and those of further rows of outputs
  static constexpr size_t kWidth = (kColumns + 3) / 4 * 4;  // Fill writes four at a time
  using Row = const float* [kWidth];
  Row pixel[kRows];

  // The first `rows` rows, for the channels from `channel` on. True where they meet the padding.
  bool Fill(const ConvArgs& args, const ConvTile& t, size_t channel, size_t rows);
};

// What the pixels of a depthwise tile read, from `channel` on, straight from the image.
void ImageTaps(const ConvArgs& args, const ConvTile& t, size_t channel, Taps& taps);

// Inputs of a tile, copied with the padding around them. Where that is the whole row of the output,
// for rows [row, row + rows) of it, as many as there is room for: their taps overlap.
struct Patch {
  static constexpr size_t kFloats = 480;  // with 704, Conv2d on SVE used more than 8 KiB of stack
  size_t image = 0, row = 0, rows = 0;
  size_t stride = 0;  // floats of a window
  alignas(64) float data[kFloats];
};

// Whether tiles of `pixels` that do not lie in the image as one run for each row of taps always fit
// a patch, so that none looks up addresses.
bool PatchHolds(const Conv2dShape& shape, size_t pixels);

// Which tiles find their inputs as this one does, taps.tile_step behind those of the one before.
enum class Strided : uint8_t {
  kNot,    // not even this one: that takes a table
  kTile,   // no other
  kInner,  // those of its height behind it, up to ConvArgs::inner_end
  kRow,    // those of its height behind it in the row
  kBelow,  // those below it, up to the end of the patch
};

// What a dense tile reads, where its pixels lie equally far apart, as they do away from the
// padding: neighbouring taps that are neighbours in memory become one long run, and those of a
// kernel of one row, if they are not, a run each. With a `patch`, where runs would be short or meet
// the padding and a tile reads little (first layers), its inputs are copied there.
Strided StridedTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels,
                    Patch* patch, Taps& taps);

// What a tile of a wide depthwise kernel reads: where its first pixel finds tap 0, and the rows of
// taps that lie in the image. Of dense ones: TallReader.
void EdgeTaps(const ConvArgs& args, const ConvTile& t, size_t channel, size_t channels, Taps& taps);

// Whether tall tiles can run the rows of an image: at most `padding` pixels at either end have taps
// beside it.
bool CanRunTallTiles(const ConvArgs& args, size_t padding);
// Whether they gain, too: sums have `deep` terms, or rows of taps are runs and rows of pixels wide.
bool FitsTallTiles(const ConvArgs& args, size_t deep, size_t padding);

// For any dense tile. `leave_out` and `leave_out_rows`: as in RunTable::Kernel.
RunTable TableFor(const ConvArgs& args, size_t channel, size_t channels, bool leave_out = false,
                  bool leave_out_rows = false);

// Floats of all panels of a valid shape; false where they overflow.
bool PanelFloats(const Conv2dShape& shape, size_t& floats);

// Zero sizes, groups that do not divide, an effective kernel beyond what a size_t counts.
Status CheckShape(const Conv2dShape& shape);

// What is wrong with two sizes.
inline Status SizeMismatch(const char* text, size_t first, size_t second) {
  return {StatusCode::kShapeMismatch, text, static_cast<int64_t>(first),
          static_cast<int64_t>(second)};
}

// The images of a call: y has as many as x, of height x width pixels; both are views of memory
// that is there, apart from each other. `output` is that of y.
Status CheckPixels(const ImageView<const float>& x, const ImageView<const float>& y, size_t height,
                   size_t width);
Status CheckViews(const ImageView<const float>& x, const ImageView<const float>& y, Extent& output);

// All of that, for the images of a convolution.
Status CheckImages(const ImageView<const float>& x, const Conv2dShape& s,
                   const ImageView<const float>& y, Extent& output);

// The memory of packed weights.
Extent ExtentOf(const PackedConv2d& w);

// Output pixels along one axis; 0 where the kernel is larger than the padded image.
size_t OutputSize(size_t input, size_t before, size_t after, size_t kernel, size_t stride,
                  size_t dilation);

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_CONV_CONV_ARGS_H_

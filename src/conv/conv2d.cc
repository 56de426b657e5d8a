#include "arch/cache.h"
#include "arch/target.h"
#include "lanefuse/conv.h"
#include "src/common/check.h"
#include "src/common/packed_format.h"
#include "src/common/partition.h"
#include "src/conv/conv_args.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/conv/conv2d.cc"
#include "hwy/foreach_target.h"
#include "src/conv/column_tile-inl.h"
#include "src/conv/pixel_rows-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

void ConvDenseF32(const ConvArgs& args, size_t begin, size_t end) {
  if constexpr (kPixelLanes) {
    if (args.kind == TileKind::kPixelLanes) return ConvPixelLanes<VF>(args, begin, end);
  }
  if constexpr (kPixelRowTiles) {
    if (args.kind == TileKind::kPixelRows) return ConvPixelRows<VF>(args, begin, end);
  }
  if constexpr (kColumnTiles) {
    if (args.kind == TileKind::kColumns) return ConvColumnTiles<VF>(args, begin, end);
  }
  ConvDense(args, begin, end);
}

bool ConvInPhases(const ConvArgs& args) { return RunsInPhases(args); }

// The most pixels that a tile may have, and whether tiles are tall, or go down strips.
size_t ConvRowTile(ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t width = args.y.width;
  args.kind = TileKind::kPlain;
  args.turns = false;
  const auto tiles = [&](TileKind kind, size_t most) HWY_ATTR {
    args.kind = kind;
    return most;
  };
  if (args.plan == ConvPlan::kDepthwise) return DepthwiseRowTile(args);
  if (UsesGroupStrips(args)) {
    if (args.plan == ConvPlan::kDense) args.plan = ConvPlan::kEights;
    return tiles(TileKind::kStrips, StripPixels(s.stride_w));
  }
  if (args.plan == ConvPlan::kGrouped && GroupsGainByTallTiles(s) &&
      CanRunTallTiles(args, kTallPadding<1>)) {
    return tiles(TileKind::kTall, kTallRows);
  }
  if (args.plan != ConvPlan::kDense) return kRowTile;
  if (UsesPixelLanes(args)) {
    return tiles(TileKind::kPixelLanes, PixelVectors(s, width) * kPixelLane);
  }
  if (UsesPixelRows(args)) return tiles(TileKind::kPixelRows, RowVectors(s, width) * kPixelLane);
  if (UsesColumnTiles(args)) return tiles(TileKind::kColumns, kColumnPixels);
  if (ThreeVectors(GroupOutputs(s))) return kRowTileThreeVectors;
  const size_t lanes = hn::Lanes(DF());
  const size_t outputs = GroupOutputs(s);
  if (GainsByTurningTiles(args)) {
    args.turns = true;
    return tiles(TileKind::kTall, kTallRowsTwoVectors);
  }
  if (GainsByTallTiles(s, width)) {
    const bool one = outputs <= lanes;
    if (FitsTallTiles(args, DeepSum(one), one ? kTallPadding<1> : kTallPadding<2>)) {
      return tiles(TileKind::kTall, one ? kTallRows : kTallRowsTwoVectors);
    }
  }
  if (BlocksGainByTallTiles(args) && CanRunTallTiles(args, kTallPadding<2>)) {
    return tiles(TileKind::kTall, kTallRowsTwoVectors);
  }
  if (outputs > lanes) return kRowTile;
  if (kVectorRegisters == 32) return kRowTileOneVectorTable;  // taller ones are tall tiles alone
  // Tiles of one height follow each other without a call.
  const bool whole = width % kRowTileOneVectorTable == 0 && width % kRowTileOneVector != 0;
  const bool no_table = IsPointwise(s) || PatchHolds(s, kRowTileOneVector);
  return no_table && !whole ? kRowTileOneVector : kRowTileOneVectorTable;
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(ConvDenseF32);
HWY_EXPORT(ConvInPhases);
HWY_EXPORT(ConvRowTile);

namespace {

// What the chain leaves to RunRest, for units (tiles) [begin, end).
void RunRestOf(const ConvArgs& args, size_t begin, size_t end) {
  TileCursor cursor(args, begin);
  while (begin < end) {
    // Tiles of a row, or of all rows where they have no gaps.
    const ConvTile first = cursor.tile();
    size_t pixels = 0;
    do {
      pixels += cursor.tile().pixels;
      cursor.Next();
    } while (++begin < end && (args.flat || cursor.tile().pixel != 0));
    RunRest(*args.chain, PosOf(args, first, 0), pixels, args.y.channels, OutputOf(args, first, 0),
            args.y.pixel_stride);
  }
}

// Units (tiles) [begin, end). Steps that do not run in registers follow while the outputs are in
// the caches: in L1, where a kernel makes pairs of rows and reads few weights, otherwise in L2.
void RunUnits(ConvKernel kernel, const ConvArgs& args, size_t begin, size_t end) {
  if (args.chain->rest == 0) return kernel(args, begin, end);
  const arch::CacheBytes& caches = arch::Caches();
  const bool dense = IsDense(args.plan);
  const size_t room = dense ? caches.l2 / 4 : caches.l1 / 2;
  const size_t bytes = (args.pixels + 1) * args.y.channels * sizeof(float);  // of a tile
  const size_t rows = 2 * args.tiles;
  size_t units = Quotient(room, bytes);
  units = std::max(units > rows ? Quotient(units, rows) * rows : units, dense ? size_t{1} : rows);
  while (begin < end) {
    const size_t stop = begin + std::min(units, end - begin);
    kernel(args, begin, stop);
    RunRestOf(args, begin, stop);
    begin = stop;
  }
}

// Outputs that make a part of their own: whole blocks on every target.
constexpr size_t kPartOutputs = 64;

struct ConvPart {
  ConvKernel kernel;
  const ConvArgs& args;
  size_t tiles;     // all
  bool by_outputs;  // the units to share out are kPartOutputs outputs of all tiles, not tiles
  void operator()(size_t begin, size_t end) const {
    if (by_outputs) return RunOutputs(begin, end);
    RunUnits(kernel, args, begin, end);
  }
  // Its copy of the arguments is no part of other calls' stack.
  HWY_NOINLINE void RunOutputs(size_t begin, size_t end) const {
    ConvArgs part = args;
    part.n0 = begin * kPartOutputs;
    part.n1 = std::min(end * kPartOutputs, args.n1);
    kernel(part, 0, tiles);  // SplitsOutputs leaves nothing to RunRest
  }
};

// Whether `parts` split the outputs, so that each reads its own weights alone: where there are more
// weights than inputs, unless the tiles are easier to share out. Seven by seven pixels are 9 tiles.
bool SplitsOutputs(const ConvArgs& args, size_t parts, size_t tiles) {
  const Conv2dShape& s = *args.shape;
  const size_t pixels = args.x.images * args.x.height * args.x.width;
  if (args.plan != ConvPlan::kDense || s.groups != 1 || args.chain->rest != 0 ||
      s.kernel_h * s.kernel_w * s.outputs <= pixels) {
    return false;
  }
  const size_t blocks = QuotientUp(s.outputs, kPartOutputs);
  return QuotientUp(blocks, parts) * tiles <= QuotientUp(tiles, parts) * blocks;
}

// Whether groups that are packed one by one run in pairs, on vectors of 16 lanes.
bool RunsEights(const Conv2dShape& s, int target) {
  return s.groups % 2 == 0 && GroupOutputs(s) == 8 && GroupChannels(s) == 8 &&
         s.channels <= kZeroRun && arch::NarrowIndex(target) != target;
}

// Chooses the code that runs a shape and its tiles; returns the most pixels that one may have.
size_t ChooseTiles(ConvArgs& args, int target) {
  const Conv2dShape& s = *args.shape;
  const auto choose = [&](int index) {
    args.target = index;
    return HWY_DISPATCH_TABLE(ConvRowTile)[index](args);
  };
  if (IsDilated(s)) {
    // Each phase chooses for itself.
    args.target = target;
    args.phases = HWY_DISPATCH_TABLE(ConvInPhases)[target](args);
    if (args.phases) return args.y.width;
  }
  const int narrow = arch::NarrowIndex(target);
  if (args.plan == ConvPlan::kGrouped && narrow != target) {
    // Narrow vectors have strips for fewer pixels and groups. Tall tiles have eight lanes in both.
    for (const int index : {target, narrow}) {
      const size_t most = choose(index);
      if (args.kind == TileKind::kStrips || (index == target && args.kind == TileKind::kTall)) {
        return most;
      }
    }
  }
  if (args.plan == ConvPlan::kDepthwise && s.outputs < kPanelOutputs && narrow != target) {
    // Pairs of pixels for eight channels, strips of two vectors for more: 0.57 to 0.74 of the time.
    const bool pairs = s.outputs == 8;
    const size_t most = choose(pairs ? target : narrow);
    if (args.kind == (pairs ? TileKind::kPairStrips : TileKind::kStrips)) return most;
  }
  if (args.plan != ConvPlan::kDense) {
    // Loads of a few lanes are branches on narrow vectors: up to seven channels with 5x5 or 7x7
    // taps take 0.18 to 0.41 of the time with masks.
    const bool masks = args.plan == ConvPlan::kDepthwise && s.outputs < 8 && s.kernel_w > 3;
    return choose(s.outputs <= 8 && !masks ? narrow : target);
  }
  const size_t outputs = GroupOutputs(s);
  if (outputs > 8) return choose(arch::IndexForOutputs(target, outputs));
  // Up to four outputs run on rows of pixels, whose vectors are narrow; up to eight in strips of
  // two groups, on lanes of pixels, or in tall tiles with eight lanes of 32 registers, where there
  // are such strips and tiles; else groups run in pairs, or all on narrow vectors.
  const bool pairs = RunsEights(s, target);
  if (narrow != target) {
    if (s.outputs <= kPixelRowOutputs) {
      const size_t most = choose(narrow);
      if (args.kind == TileKind::kPixelRows) return most;
    }
    const size_t most = choose(target);
    if (args.kind != TileKind::kPlain) return most;
  }
  if (!pairs) return choose(narrow);
  args.plan = ConvPlan::kEights;
  return choose(target);
}

}  // namespace

ConvKernel KernelFor(const ConvArgs& args) {
  if (args.phases) return ConvPhases;
  const bool dense = args.plan == ConvPlan::kDense || args.kind == TileKind::kTall;
  return dense ? HWY_DISPATCH_TABLE(ConvDenseF32)[args.target]
               : ChannelsKernel(args.plan, args.target);
}

ConvArgs ConvArgsFor(const PackedConv2d& w, const Chain& chain, const ImageView<const float>& x,
                     const ImageView<float>& y) {
  const arch::CacheBytes& caches = arch::Caches();
  return {.x = x,
          .y = y,
          .shape = &w.shape(),
          .panels = w.panels(),
          .finite = w.finite(),
          .chain = &chain,
          .plan = PlanFor(w.shape()),
          .target = -1,
          .n0 = 0,
          .n1 = GroupOutputs(w.shape()),
          .l1 = caches.l1,
          .l2 = caches.l2,
          .tile_inputs = caches.l1 * 3 / 8,
          .small_weights = caches.l2 / 2,
          .large_weights = caches.l2 * 3 / 4,
          .far_output = y.images * y.height * y.width * y.channels > caches.l2 / 2 / sizeof(float),
          .image_bytes = ImageBytes(x),
          .strip_image = caches.l2 / 8};
}

bool IsPointwise(const Conv2dShape& s) {
  const Padding& p = s.padding;
  return s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 && s.stride_w == 1 &&
         (p.top | p.bottom | p.left | p.right) == 0;
}

void CutTiles(ConvArgs& args, bool flat, size_t height, int target) {
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& x = args.x;
  args.flat = flat;
  const size_t most = ChooseTiles(args, target);
  args.down = args.y.height;
  args.across = args.y.width;
  args.tiles = QuotientUp(args.across, most);
  // What is left to RunRest goes by tiles, which phases are not.
  if (args.phases && args.y.height == 1 && args.chain->rest == 0) {
    args.tiles = std::min(s.kernel_w > 1 ? s.dilation_w : 1, args.across);
  }
  bool one_row = false;
  if (flat && IsPointwise(s)) {
    const bool rows_meet = x.height <= 1 || x.row_stride == x.width * x.pixel_stride;
    const bool images_meet = x.images <= 1 || x.image_stride == x.height * x.width * x.pixel_stride;
    one_row = rows_meet && images_meet;
    if (one_row) {
      args.x.width = x.images * x.height * x.width;
      args.x.height = args.x.images = 1;
      args.across *= args.y.images * args.y.height;
      args.down = 1;
    }
  } else if (flat && IsDense(args.plan)) {
    // Addresses take about 100 cycles for each tile. A tile of depth 64 takes 400 and more, and is
    // worth them where rows cut on their own would leave more than a 32nd of their tiles empty.
    constexpr size_t kMinDepth = 64;
    // Each tap at the border is a run of its own. Rows whose tiles are copied with the padding have
    // none: one channel takes 0.20 to 0.49 of the time, three 0.45 to 0.88, eight 0.74 to 1.08,
    // nine 0.89 to 1.19.
    constexpr size_t kFewChannels = 8;
    const bool copied = s.channels <= kFewChannels && PatchHolds(s, most);
    const size_t depth = DepthOf(s);
    args.scattered = most <= RunTable::kRows && args.kind == TileKind::kPlain && !copied &&
                     depth >= kMinDepth && (args.tiles * most - args.across) * 32 > args.across;
    one_row = args.scattered;
  }
  if (one_row) {
    TilePos& origin = args.origin;
    origin = {0, 0, (origin.image * height + origin.row) * args.y.width + origin.pixel, 0};
    args.y.width = args.y.images * args.y.height * args.y.width;
    args.y.height = args.y.images = 1;
    args.tiles = QuotientUp(args.y.width, most);
  }
  if (args.turns) {
    TilePos& origin = args.origin;
    origin = {origin.image, 0, origin.row * args.y.width + origin.pixel, 0};
    args.y.width *= args.y.height;
    args.y.height = 1;
    args.tiles = QuotientUp(args.y.width, most);
  }
  CutRows(args);
}

void CutRows(ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  args.pixels = args.tiles <= 1 ? args.y.width : Quotient(args.y.width, args.tiles);
  args.longer = args.y.width - args.pixels * args.tiles;
  const size_t inner =
      OutputSize(args.x.width, s.padding.left, 0, s.kernel_w, s.stride_w, s.dilation_w);
  args.inner_end = std::min(inner, args.y.width);
}

void RunConv(const ConvArgs& args) {
  RunUnits(KernelFor(args), args, 0, args.tiles * args.y.height * args.y.images);
}

Status Conv2d(const ImageView<const float>& x, const PackedConv2d& w, const Epilogue& epilogue,
              const ImageView<float>& y, const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (w.panels() == nullptr) {
    return {StatusCode::kInvalidArgument, "w is empty: Pack or View it first"};
  }
  const Conv2dShape& shape = w.shape();
  const ImageView<const float> output = y;
  Extent memory;
  if (Status status = CheckImages(x, shape, output, memory); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  if (Meet(memory, ExtentOf(w))) return {StatusCode::kOverlap, "y overlaps w"};
  Chain chain;
  if (Status status = CompileChain(
          epilogue, w.bias(), [&] { return output; }, false, target, chain);
      !status.ok()) {
    return status;
  }
  if (y.images == 0 || y.height == 0 || y.width == 0) return {};

  if (!chain.in_registers) SplitChain(chain, output);
  ConvArgs args = ConvArgsFor(w, chain, x, y);
  size_t work = 0;  // asked for by several threads alone
  if (parallel.threads != 1 &&
      (!MulAddSize(y.images * y.height * y.width, shape.kernel_h * shape.kernel_w, 0, work) ||
       !MulAddSize(work, GroupChannels(shape), 0, work) ||
       !MulAddSize(work, shape.outputs, 0, work))) {
    work = kMaxElements;
  }
  const bool depthwise = args.plan == ConvPlan::kDepthwise;
  const size_t least = depthwise ? kMinDepthwiseMulAdds : kMinMulAdds;
  const bool large = parallel.threads != 1 && work >= 2 * least;
  const size_t parts = large ? PartsFor(parallel, work, least, kMaxElements) : 1;
  args.alone = parts == 1;
  CutTiles(args, IsFlat(chain, output), y.height, target);
  const size_t tiles = args.tiles * args.y.height * args.y.images;
  ConvPart part{KernelFor(args), args, tiles, false};
  size_t units = tiles;
  part.by_outputs = parts > 1 && SplitsOutputs(args, parts, tiles);
  if (part.by_outputs) units = QuotientUp(shape.outputs, kPartOutputs);
  ForEachPart(parallel, work, least, units, part);
  return {};
}

}  // namespace lanefuse
#endif  // HWY_ONCE

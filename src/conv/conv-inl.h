// The loops of Conv2d: dense and grouped plans around the register tile.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_CONV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_CONV_INL_H_
#undef LANEFUSE_SRC_CONV_CONV_INL_H_
#else
#define LANEFUSE_SRC_CONV_CONV_INL_H_
#endif

#include "src/common/partition.h"
#include "src/common/tile-inl.h"
#include "src/conv/conv_args.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE TileOut ConvOut(const ConvArgs& args, const ConvTile& t, size_t channel, size_t cols) {
  return {args.chain, PosOf(args, t, channel), OutputOf(args, t, channel), args.y.pixel_stride,
          cols};
}

// Outputs [n0, n1) of groups [g0, g1): what ConvDenseBlock makes at a time, in blocks of `width`.
struct DenseBlock {
  size_t g0, g1, n0, n1, width;
  size_t next = 0;   // outputs of the next block, where tiles ask for its weights
  bool own = false;  // tiles of one run ask for their own: L2 has no room for those of two blocks
};

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
  RunTable table = TableFor(args, channel, channels, args.finite && !kSmallCode);
  Taps taps;
  taps.runs = &table;
  TileCursor cursor(args, begin);
  if (args.scattered) {
    const size_t row = Quotient(cursor.tile().pixel, args.across);
    const size_t image = Quotient(row, args.down);
    table.Seek(image, row - image * args.down, cursor.tile().pixel - row * args.across);
  }
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
        const size_t cols = std::min(block.width, block.n1 - n);
        const TileOut out = ConvOut(args, t, g * outputs + n, cols);
        if (strided == Strided::kNot) {
          RunTiles<Source::kTable>(t.pixels, taps, weights, out, 1);
        } else if (kOneRun == Source::kRun && taps.kernel_h == 1 && !block.own) {
          RunTiles<kOneRun>(t.pixels, taps, weights, out, count);
        } else {
          RunTiles<Source::kRuns>(t.pixels, taps, weights, out, count);
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

// Units (tiles) [begin, end) of a dense convolution. Either all weights meet a few tiles, whose
// inputs stay in L1, before the next few: then the weights are read from L2 again for each of them.
// Or a block of weights as wide as a tile meets all tiles: then the image is read again for each
// block. Whichever reads less; in doubt the first, which writes each output pixel at once.
HWY_INLINE void ConvDense(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  const size_t outputs = GroupOutputs(s);
  const size_t depth = s.kernel_h * s.kernel_w * GroupChannels(s);
  const size_t pixels = args.pixels + (args.longer != 0 ? 1 : 0);
  size_t width = VectorsFor(pixels) * hn::Lanes(DF());
  // A block of weights that would leave no room in L2 is halved.
  if (depth * width * sizeof(float) > args.large_weights && width > kPanel) width /= 2;
  const size_t weights = depth * outputs * sizeof(float);
  const size_t row_bytes = pixels * s.stride_w * args.x.pixel_stride * sizeof(float);  // of a tile
  const size_t together =
      std::max(Quotient(args.tile_inputs, std::max(s.kernel_h * row_bytes, size_t{1})), size_t{1});
  const size_t units = end - begin;
  const bool weights_stay = weights <= args.tile_inputs || units < together;
  const bool image_stays = units * row_bytes <= args.tile_inputs;
  // units / together * weights against outputs / width * units * row_bytes, twice.
  const bool weights_are_less = depth * width * sizeof(float) <= 2 * together * row_bytes;
  const bool all_weights =
      weights <= args.small_weights && (weights_stay || (!image_stays && weights_are_less));
  // Groups that are small together take turns at each tile, which reads all channels of its pixels
  // once, and whose addresses serve them all. Zeros of the padding move with the channels.
  if (s.groups > 1 && s.groups * weights <= args.small_weights && s.channels <= kZeroRun) {
    return ConvDenseBlock(args, begin, end, {0, s.groups, 0, outputs, width}, together);
  }
  const size_t block = all_weights ? outputs : width;
  const bool large = 2 * depth * width * sizeof(float) > args.large_weights;
  const bool asks = kPrefetchNext && !all_weights && !large;
  for (size_t g = 0; g < s.groups; ++g) {
    for (size_t n = 0; n < outputs; n += block) {
      DenseBlock part{g, g + 1, n, std::min(n + block, outputs), width};
      part.own = kAskOwn && large;
      if (asks && n + block < outputs) part.next = std::min(block, outputs - n - block);
      ConvDenseBlock(args, begin, end, part, all_weights ? together : args.tiles);
    }
  }
}

// A tile whose lanes are outputs of several small groups, `first[i]` channels behind `offset` the
// first that lane i reads; its sums go to `tile`. kTables: vectors from `offset` on that have all
// inputs of a tap, one or two; or 0, and every input is gathered. `live`: channels from there on.
template <size_t kTables>
HWY_INLINE void GroupedTile(RunTable& table, size_t offset, const int32_t* first, size_t live,
                            const float* w, float* tile) {
  static_assert(kRowTile == 5 || kRowTile == 6);
  const DF d;
  const hn::RebindToSigned<DF> di;
  const size_t lanes = hn::Lanes(d);
  const auto index = hn::Load(di, first);
  const VF zero = hn::Zero(d);
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero;
  table.Rewind();
  do {
    for (size_t i = 0; i < table.runs(); ++i) {
      const float* const* row = table.rows(i);
      const auto at = [&](size_t r)
                          HWY_ATTR { return row[r] == kZeros ? kZeros : row[r] + offset; };
      const auto load = [&](const float* from, size_t count) HWY_ATTR {
        return count >= lanes ? hn::LoadU(d, from) : hn::LoadN(d, from, count);
      };
      const auto keep = [&](size_t r) HWY_ATTR { return kTables == 1 ? load(at(r), live) : zero; };
      const VF v0 = keep(0), v1 = keep(1), v2 = keep(2), v3 = keep(3), v4 = keep(4);
      const VF v5 = kRowTile > 5 ? keep(5) : zero;
      for (size_t c = 0; c < table.length(i); ++c, w += kPanel) {
        const VF weights = hn::LoadU(d, w);
        const auto here = hn::Add(index, hn::Set(di, static_cast<int32_t>(c)));
        const auto add = [&](size_t r, VF v, VF& sum) HWY_ATTR {
          if constexpr (kTables == 1) {
            sum = Fma(hn::TableLookupLanes(v, hn::IndicesFromVec(d, here)), weights, sum);
          } else if constexpr (kTables == 2) {
            const VF low = load(at(r), live);
            const VF high = load(at(r) + lanes, live - lanes);
            sum = Fma(hn::TwoTablesLookupLanes(d, low, high, hn::IndicesFromVec(d, here)), weights,
                      sum);
          } else if (row[r] == kZeros) {
            sum = Fma(zero, weights, sum);
          } else {
            sum = Fma(hn::GatherIndex(d, row[r] + offset, here), weights, sum);
          }
        };
        add(0, v0, s0);
        add(1, v1, s1);
        add(2, v2, s2);
        add(3, v3, s3);
        add(4, v4, s4);
        if constexpr (kRowTile > 5) add(5, v5, s5);
      }
    }
  } while (table.Next());
  hn::Store(s0, d, tile);
  hn::Store(s1, d, tile + lanes);
  hn::Store(s2, d, tile + 2 * lanes);
  hn::Store(s3, d, tile + 3 * lanes);
  hn::Store(s4, d, tile + 4 * lanes);
  if constexpr (kRowTile > 5) hn::Store(s5, d, tile + 5 * lanes);
}

// The first input of each lane, where lane 0 is output n: channels behind the first of lane 0.
HWY_INLINE void FirstChannels(const Conv2dShape& s, size_t n, size_t lanes, int32_t* first) {
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t offset = n / outputs * channels;
  for (size_t i = 0; i < lanes; ++i) {
    // Lanes behind the last output repeat it, so that they read what may be read.
    const size_t output = std::min(n + i, s.outputs - 1);
    first[i] = static_cast<int32_t>(output / outputs * channels - offset);
  }
}

// Small groups: every lane is an output and reads the inputs of its own group.
HWY_NOINLINE inline void ConvGrouped(const ConvArgs& args, size_t begin, size_t end) {
  const size_t lanes = hn::Lanes(DF());
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  RunTable table = TableFor(args, 0, channels, false);
  // Where no group is cut, all vectors of outputs but the last are alike.
  HWY_ALIGN int32_t each[kPanel], last[kPanel];
  const bool whole_groups = lanes % outputs == 0;
  FirstChannels(s, 0, lanes, each);
  TileCursor cursor(args, begin);
  for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
    const ConvTile& t = cursor.tile();
    table.Seek(t.image, t.row, t.pixel);
    table.Take(t.pixels);
    size_t offset = 0;
    for (size_t n = 0; n < s.outputs; n += lanes) {
      const int32_t* first = each;
      if (n != 0 && (!whole_groups || n + lanes > s.outputs)) {
        FirstChannels(s, n, lanes, last);
        first = last;
        offset = n / outputs * channels;
      }
      const float* w = args.panels + n / kPanel * panel_stride + n % kPanel;
      const size_t live = s.channels - offset;
      HWY_ALIGN float tile[kRowTile * kPanel];
      const size_t span = static_cast<size_t>(first[lanes - 1]) + channels;
      if (span <= lanes) {
        GroupedTile<1>(table, offset, first, live, w, tile);
      } else if (!kSmallCode && span <= 2 * lanes) {
        GroupedTile<kSmallCode ? 0 : 2>(table, offset, first, live, w, tile);
      } else {
        GroupedTile<0>(table, offset, first, live, w, tile);
      }
      FinishTile(ConvOut(args, t, n, std::min(lanes, s.outputs - n)), t.pixels, tile, lanes);
      offset += lanes / outputs * channels;
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_CONV_INL_H_

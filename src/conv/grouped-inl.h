// Convolution in small groups: lanes are outputs of several groups, and each lane meets the inputs
// of its own. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_GROUPED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_GROUPED_INL_H_
#undef LANEFUSE_SRC_CONV_GROUPED_INL_H_
#else
#define LANEFUSE_SRC_CONV_GROUPED_INL_H_
#endif

#include <utility>

#include "src/conv/conv-inl.h"
#include "src/conv/group_strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Groups of kFour inputs and outputs, three taps wide at stride 1. A row of taps of a tile reads
// kRowTile + 2 columns of the image. Each of their channels is brought to the lanes that it meets
// once, for all taps that read it. Columns come in ascending order, so a pixel's taps do too.
constexpr size_t kFour = 4;
constexpr size_t kFoursColumns = kRowTile + 2;

// Finishes up to kRowTile pixels of kVectors <= 2 vectors: in registers, where a tile has its full
// height, or else by way of L1.
template <size_t kVectors>
HWY_INLINE void FinishPixels(const TileOut& out, size_t pixels, VF s0, VF t0, VF s1, VF t1, VF s2,
                             VF t2, VF s3, VF t3, VF s4, VF t4, VF s5, VF t5) {
  if (HWY_LIKELY(pixels == kRowTile)) {
    return FinishColumns<kRowTile, kVectors>(out, Finish(out), 0, 0, s0, t0, s1, t1, s2, t2, s3, t3,
                                             s4, t4, s5, t5);
  }
  HWY_ALIGN float tile[kRowTile * kVectors * kPanel];
  StoreRows<kRowTile, kVectors>(tile, s0, t0, s0, s0, s1, t1, s0, s0, s2, t2, s0, s0, s3, t3, s0,
                                s0, s4, t4, s0, s0, s5, t5, s0, s0);
  FinishTile(out, pixels, tile, kVectors * hn::Lanes(DF()));
}

// Column kColumn of a row of taps: its channels meet pixel p as tap kColumn - p. Two vectors of
// outputs, whose sums wait for each other less.
template <size_t kColumn>
HWY_INLINE void AddFoursColumn(const float* column, const float* w, const float* v, VF& s0, VF& s1,
                               VF& s2, VF& s3, VF& s4, VF& s5, VF& t0, VF& t1, VF& t2, VF& t3,
                               VF& t4, VF& t5) {
  const DF d;
  const VF low = hn::LoadU(d, column);
  const VF high = hn::LoadU(d, column + hn::Lanes(d));
  const auto channel = [&]<size_t kChannel>(std::index_sequence<kChannel>) HWY_ATTR
      __attribute__((always_inline)) {
    const VF x = hn::Per4LaneBlockShuffle<kChannel, kChannel, kChannel, kChannel>(low);
    const VF y = hn::Per4LaneBlockShuffle<kChannel, kChannel, kChannel, kChannel>(high);
    const auto add = [&]<size_t kPixel>(std::index_sequence<kPixel>, VF & s, VF & t) HWY_ATTR
        __attribute__((always_inline)) {
      if constexpr (kPixel <= kColumn && kColumn - kPixel < 3 && kPixel < kRowTile) {
        constexpr size_t kAt = ((kColumn - kPixel) * kFour + kChannel) * kPanel;
        s = Fma(x, hn::LoadU(d, w + kAt), s);
        t = Fma(y, hn::LoadU(d, v + kAt), t);
      }
    };
    add(std::index_sequence<0>(), s0, t0);
    add(std::index_sequence<1>(), s1, t1);
    add(std::index_sequence<2>(), s2, t2);
    add(std::index_sequence<3>(), s3, t3);
    add(std::index_sequence<4>(), s4, t4);
    add(std::index_sequence<5>(), s5, t5);
  };
  channel(std::index_sequence<0>());
  channel(std::index_sequence<1>());
  channel(std::index_sequence<2>());
  channel(std::index_sequence<3>());
}

// Two vectors of outputs of kRowTile pixels. `columns`: what the rows of taps read, `offset`
// channels further on. The second vector's weights are `second` floats behind the first's.
HWY_NOINLINE inline void FoursTile(size_t kernel_h, const float* const (*columns)[kFoursColumns],
                                   size_t offset, const float* w, size_t second, const TileOut& out,
                                   size_t pixels) {
  const DF d;
  const VF zero = hn::Zero(d);
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero;
  VF t0 = zero, t1 = zero, t2 = zero, t3 = zero, t4 = zero, t5 = zero;
  for (size_t ky = 0; ky < kernel_h; ++ky, w += 3 * kFour * kPanel) {
    const auto each = [&]<size_t... kColumn>(std::index_sequence<kColumn...>) HWY_ATTR
        __attribute__((always_inline)) {
      (AddFoursColumn<kColumn>(columns[ky][kColumn] + offset, w, w + second, s0, s1, s2, s3, s4, s5,
                               t0, t1, t2, t3, t4, t5),
       ...);
    };
    each(std::make_index_sequence<kFoursColumns>());
  }
  FinishPixels<2>(out, pixels, s0, t0, s1, t1, s2, t2, s3, t3, s4, t4, s5, t5);
}

// Six tenths of the time that it takes to look up the inputs of each tap. As many outputs at a time
// as leave their weights in L1.
HWY_NOINLINE inline void ConvFours(const ConvArgs& args, size_t begin, size_t end) {
  const size_t step = 2 * hn::Lanes(DF());
  const Conv2dShape& s = *args.shape;
  const size_t depth = s.kernel_h * 3 * kFour;
  const size_t second = step == kPanel ? kPanel / 2 : depth * kPanel;
  const size_t most = std::max(args.tile_inputs / (depth * sizeof(float)) / step, size_t{1}) * step;
  for (size_t block = 0; block < s.outputs; block += most) {
    const size_t last = std::min(block + most, s.outputs);
    RunTable table = TableFor(args, 0, kFour);
    TileCursor cursor(args, begin);
    for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
      const ConvTile& t = cursor.tile();
      table.Seek(t.image, t.row, t.pixel);
      table.Take(t.pixels);
      static_assert(3 * 3 <= RunTable::kRuns);  // all taps at once
      const float* columns[3][kFoursColumns];
      for (size_t ky = 0; ky < s.kernel_h; ++ky) {
        for (size_t j = 0; j < kFoursColumns; ++j) {
          const size_t pixel = std::min(j, t.pixels - 1);
          columns[ky][j] = table.rows(3 * ky + std::min<size_t>(j - pixel, 2))[pixel];
        }
      }
      for (size_t n = block; n < last; n += step) {
        FoursTile(s.kernel_h, columns, n, args.panels + n / kPanel * depth * kPanel, second,
                  ConvOut(args, t, n, step), t.pixels);
      }
    }
  }
}

// Whether ConvFours has code for such groups, and the padding zeros for as many channels.
HWY_INLINE bool FoursFit(const Conv2dShape& s) {
  return GroupChannels(s) == kFour && GroupOutputs(s) == kFour &&
         s.outputs % (2 * hn::Lanes(DF())) == 0 && s.kernel_w == 3 && s.kernel_h <= 3 &&
         s.stride_w == 1 && s.dilation_w == 1 && s.channels <= kZeroRun;
}

// Two groups of eight inputs and outputs, packed one by one, as a vector of sixteen: `offset`
// channels behind those that the table points to. `second`: how far the weights of the second group
// lie behind those of the first.
HWY_NOINLINE inline void EightsTile(RunTable& table, size_t offset, const float* w, size_t second,
                                    const TileOut& out, size_t pixels) {
  const DF d;
  const hn::Half<DF> dh;
  const hn::RebindToSigned<DF> di;
  const auto group = hn::And(hn::Iota(di, 0), hn::Set(di, -8));
  const auto lanes_of = [&](int32_t c) HWY_ATTR {
    return hn::IndicesFromVec(d, hn::Add(group, hn::Set(di, c)));
  };
  const auto i0 = lanes_of(0), i1 = lanes_of(1), i2 = lanes_of(2), i3 = lanes_of(3);
  const auto i4 = lanes_of(4), i5 = lanes_of(5), i6 = lanes_of(6), i7 = lanes_of(7);
  const VF zero = hn::Zero(d);
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero;
  table.Rewind();
  do {
    for (size_t i = 0; i < table.runs(); ++i, w += 8 * kPanel) {
      const float* const* row = table.rows(i);
      const VF v0 = hn::LoadU(d, row[0] + offset), v1 = hn::LoadU(d, row[1] + offset);
      const VF v2 = hn::LoadU(d, row[2] + offset), v3 = hn::LoadU(d, row[3] + offset);
      const VF v4 = hn::LoadU(d, row[4] + offset), v5 = hn::LoadU(d, row[5] + offset);
      const auto step = [&](size_t c, auto from) HWY_ATTR __attribute__((always_inline)) {
        const float* at = w + c * kPanel;
        const VF weights = hn::Combine(d, hn::LoadU(dh, at + second), hn::LoadU(dh, at));
        s0 = Fma(hn::TableLookupLanes(v0, from), weights, s0);
        s1 = Fma(hn::TableLookupLanes(v1, from), weights, s1);
        s2 = Fma(hn::TableLookupLanes(v2, from), weights, s2);
        s3 = Fma(hn::TableLookupLanes(v3, from), weights, s3);
        s4 = Fma(hn::TableLookupLanes(v4, from), weights, s4);
        s5 = Fma(hn::TableLookupLanes(v5, from), weights, s5);
      };
      step(0, i0);
      step(1, i1);
      step(2, i2);
      step(3, i3);
      step(4, i4);
      step(5, i5);
      step(6, i6);
      step(7, i7);
    }
  } while (table.Next());
  FinishPixels<1>(out, pixels, s0, s0, s1, s1, s2, s2, s3, s3, s4, s4, s5, s5);
}

// Two thirds to nine tenths of the time of tiles of 8 lanes, each of which loads every input of its
// pixels on its own.
HWY_NOINLINE inline void ConvEights(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  const size_t panel = s.kernel_h * s.kernel_w * 8 * kPanel;
  RunTable table = TableFor(args, 0, 8);
  TileCursor cursor(args, begin);
  if (args.scattered) SeekScattered(args, cursor.tile(), table);
  for (size_t unit = begin; unit < end; ++unit, cursor.Next()) {
    const ConvTile& t = cursor.tile();
    if (!args.scattered) table.Seek(t.image, t.row, t.pixel);
    table.Take(t.pixels);
    for (size_t n = 0; n < s.outputs; n += kPanel) {
      EightsTile(table, n, args.panels + n / 8 * panel, panel, ConvOut(args, t, n, kPanel),
                 t.pixels);
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
HWY_NOINLINE inline void ConvSmallGroups(const ConvArgs& args, size_t begin, size_t end) {
  const size_t lanes = hn::Lanes(DF());
  const Conv2dShape& s = *args.shape;
  const size_t channels = GroupChannels(s);
  const size_t outputs = GroupOutputs(s);
  const size_t panel_stride = s.kernel_h * s.kernel_w * channels * kPanel;
  RunTable table = TableFor(args, 0, channels);
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

HWY_INLINE void ConvGrouped(const ConvArgs& args, size_t begin, size_t end) {
  if constexpr (kGroupStrips) {
    if (args.kind == TileKind::kStrips && args.plan == ConvPlan::kGrouped) {
      return ConvGroupStrips<4, VF>(args, begin, end);
    }
  }
  if constexpr (kPairsOfEights) {
    if (args.kind == TileKind::kStrips) return ConvGroupStrips<8, VF>(args, begin, end);
    if (args.plan == ConvPlan::kEights) return ConvEights(args, begin, end);
  }
  if constexpr (!kSmallCode) {
    if (FoursFit(*args.shape)) return ConvFours(args, begin, end);
  }
  ConvSmallGroups(args, begin, end);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_GROUPED_INL_H_

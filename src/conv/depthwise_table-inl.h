// Depthwise convolution with small kernels and stride 1 or 2, where neither strips nor pairs of
// rows run. The addresses of a tile are looked up once for all channels. kStride: pixels of the
// image from one of the output to the next, 0 where that is not known. kTaps: of a row, three, or 0
// for any number. Three of them at stride 1 load a vector of a pixel once for all that read it.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_TABLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_TABLE_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_TABLE_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_TABLE_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "src/common/run_tiles-inl.h"
#include "src/conv/conv_args.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// What one step of channels is: a part of a vector, one vector, or two that share addresses.
enum class Channels : uint8_t { kPart, kOne, kTwo };

// The first vector of a step: `rest` lanes of a part.
template <Channels kWhat>
HWY_INLINE VF LoadChannels(const float* from, size_t rest) {
  return kWhat == Channels::kPart ? hn::LoadN(DF(), from, rest) : hn::LoadU(DF(), from);
}

template <size_t kPixels>
struct Pixels {};

// run(Pixels<pixels>()), for kLeast to kMost of them.
template <size_t kLeast = 1, size_t kMost = kRowTile, class Run>
HWY_INLINE void ForPixels(size_t pixels, const Run& run) {
  if constexpr (kLeast < kMost) {
    if (pixels == kLeast) return run(Pixels<kLeast>());
    return ForPixels<kLeast + 1, kMost>(pixels, run);
  } else {
    run(Pixels<kMost>());
  }
}

// The last vector of channels, which ends with the last channel and overlaps the one before, where
// they do not fill it, and loads of a part are branches: such channels took a pixel at a time as
// long as five whole vectors.
struct LastVector {
  const float* weights = nullptr;  // none where it may not overlap
  size_t row = 0;                  // floats of a row of taps
};

// Of those weights: 7x7. The rest of the stack is the table's.
constexpr size_t kLastVectorFloats = kMaskedLoads || kSmallCode ? 0 : 440;

// The weights of a vector of channels that begins anywhere, in one panel and perhaps the next. Taps
// are kPanel floats apart. Rows are an odd number of vectors of eight, so that every second one
// lies between those of others.
HWY_NOINLINE inline size_t CopyWeights(const float* panels, size_t kernel_h, size_t kernel_w,
                                       size_t channel, float* to) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t lane = channel % kPanel;
  const size_t here = std::min(lanes, kPanel - lane);
  const size_t panel = kernel_h * kernel_w * kPanel;
  const size_t row = (kernel_w | 1) * lanes;
  const auto first = hn::FirstN(d, here);
  const float* from = panels + channel / kPanel * panel + lane;
  // Of the next panel, so that its lanes follow those of this one. Both loads read on, or from
  // before, within the two.
  const size_t next = here < lanes ? panel - lane - here : 0;
  for (size_t ky = 0; ky < kernel_h; ++ky, to += row) {
    for (size_t kx = 0; kx < kernel_w; ++kx, from += kPanel) {
      const VF rest = hn::LoadU(d, from + next);
      hn::StoreU(hn::IfThenElse(first, hn::LoadU(d, from), rest), d, to + kx * kPanel);
    }
  }
  return row;
}

// The last vector of args, whose weights go to `copy`, kLastVectorFloats of them at most.
HWY_NOINLINE inline LastVector LastVectorOf(const ConvArgs& args, float* copy) {
  if constexpr (kLastVectorFloats != 0) {
    const Conv2dShape& s = *args.shape;
    const size_t lanes = hn::Lanes(DF());
    const size_t rows = (s.kernel_h - 1) * (s.kernel_w | 1) * lanes;
    const bool fits = rows + (s.kernel_w - 1) * kPanel + lanes <= kLastVectorFloats;
    // What is added might be the output, which channels that run twice would read twice.
    const bool plain = args.chain->in_registers && args.chain->add == nullptr;
    if (fits && plain && s.channels % lanes != 0 && s.channels >= lanes) {
      return {copy, CopyWeights(args.panels, s.kernel_h, s.kernel_w, s.channels - lanes, copy)};
    }
  }
  return {};
}

// Where a tile of one row goes.
struct DepthwiseOut {
  TileOut out;
  Finish finish;
  LastVector last;

  explicit DepthwiseOut(const TileOut& to) : out(to), finish(to) {}

  // On to the tile `rows` rows of the output further down, from its first pixel.
  HWY_INLINE void Down(size_t rows, size_t row_stride) {
    out.pos.row += rows;
    finish.y = out.y += rows * row_stride;
    if (finish.add != nullptr) finish.add += rows * out.chain->add->row_stride;
  }
};

// Where pixels have few inputs in common: sum += w * one or two vectors of a pixel.
template <Channels kWhat>
HWY_INLINE void AddPixel(const float* from, size_t rest, VF w, VF v, VF& s, VF& t) {
  const DF d;
  s = Fma(LoadChannels<kWhat>(from, rest), w, s);
  if constexpr (kWhat == Channels::kTwo) t = Fma(hn::LoadU(d, from + hn::Lanes(d)), v, t);
}

// One tap of up to six pixels. Neighbouring multiply-adds belong to different sums: a sum that came
// twice in a row would wait for the adder.
template <size_t kPixels, Channels kWhat>
HWY_INLINE void AddTapOfPixels(const float* const* column, size_t stride, const float* weights,
                               size_t panel, size_t at, size_t rest, VF& s0, VF& s1, VF& s2, VF& s3,
                               VF& s4, VF& s5, VF& t0, VF& t1, VF& t2, VF& t3, VF& t4, VF& t5) {
  const DF d;
  const VF w = hn::LoadU(d, weights);
  const VF v = kWhat == Channels::kTwo ? hn::LoadU(d, weights + panel) : w;
  AddPixel<kWhat>(column[0] + at, rest, w, v, s0, t0);
  if constexpr (kPixels > 1) AddPixel<kWhat>(column[stride] + at, rest, w, v, s1, t1);
  if constexpr (kPixels > 2) AddPixel<kWhat>(column[2 * stride] + at, rest, w, v, s2, t2);
  if constexpr (kPixels > 3) AddPixel<kWhat>(column[3 * stride] + at, rest, w, v, s3, t3);
  if constexpr (kPixels > 4) AddPixel<kWhat>(column[4 * stride] + at, rest, w, v, s4, t4);
  if constexpr (kPixels > 5) AddPixel<kWhat>(column[5 * stride] + at, rest, w, v, s5, t5);
}

// s += x * the weight of tap kTap of three; nothing where there is no such tap.
template <size_t kTap>
HWY_INLINE void AddTap(VF x, VF w0, VF w1, VF w2, VF& s) {
  if constexpr (kTap == 0) s = Fma(x, w0, s);
  if constexpr (kTap == 1) s = Fma(x, w1, s);
  if constexpr (kTap == 2) s = Fma(x, w2, s);
}

// A vector of column kColumn is loaded once for the pixels that read it: pixel p as its tap
// kColumn - p. Columns come in ascending order, so a pixel's taps do too, and neighbouring
// multiply-adds belong to different sums: a sum that came twice in a row would wait for the adder.
template <size_t kPixels, size_t kColumn>
HWY_INLINE void AddColumn(VF x, VF w0, VF w1, VF w2, VF& s0, VF& s1, VF& s2, VF& s3, VF& s4,
                          VF& s5) {
  AddTap<kColumn>(x, w0, w1, w2, s0);
  if constexpr (kPixels > 1) AddTap<kColumn - 1>(x, w0, w1, w2, s1);
  if constexpr (kPixels > 2) AddTap<kColumn - 2>(x, w0, w1, w2, s2);
  if constexpr (kPixels > 3) AddTap<kColumn - 3>(x, w0, w1, w2, s3);
  if constexpr (kPixels > 4) AddTap<kColumn - 4>(x, w0, w1, w2, s4);
  if constexpr (kPixels > 5) AddTap<kColumn - 5>(x, w0, w1, w2, s5);
}

HWY_INLINE VF TapWeight(const float* weights, size_t tap) {
  return InRegister(hn::LoadU(DF(), weights + tap * kPanel));
}

// Columns kColumn and up of AddTapRow, with the weights w0 to w2 of the first vector. Not a loop
// over lambdas: with a sanitizer each access to what they capture is a check, which made this the
// third of the time to compile everything.
template <size_t kPixels, Channels kWhat, size_t kColumn>
HWY_INLINE void AddColumns(const float* const* row, size_t at, size_t rest, const float* second,
                           VF w0, VF w1, VF w2, VF& s0, VF& s1, VF& s2, VF& s3, VF& s4, VF& s5,
                           VF& t0, VF& t1, VF& t2, VF& t3, VF& t4, VF& t5) {
  const DF d;
  const float* from = row[kColumn] + at;
  AddColumn<kPixels, kColumn>(LoadChannels<kWhat>(from, rest), w0, w1, w2, s0, s1, s2, s3, s4, s5);
  if constexpr (kWhat == Channels::kTwo) {
    // Twelve sums, three weights and a column are all registers there are: those of the second
    // vector are loaded again for each column. Or they would be loaded ahead.
    if constexpr (kVectorRegisters == 16) asm volatile("" : "+r"(second));
    AddColumn<kPixels, kColumn>(hn::LoadU(d, from + hn::Lanes(d)), TapWeight(second, 0),
                                TapWeight(second, 1), TapWeight(second, 2), t0, t1, t2, t3, t4, t5);
  }
  if constexpr (kColumn + 1 < kPixels + 2) {
    AddColumns<kPixels, kWhat, kColumn + 1>(row, at, rest, second, w0, w1, w2, s0, s1, s2, s3, s4,
                                            s5, t0, t1, t2, t3, t4, t5);
  }
}

// Row `row` of a table meets the tile's up to six pixels as the three taps at `weights`, and their
// next vector of channels, if there are two, as those at `second`.
template <size_t kPixels, Channels kWhat>
HWY_INLINE void AddTapRow(const float* const* row, size_t at, size_t rest, const float* weights,
                          const float* second, VF& s0, VF& s1, VF& s2, VF& s3, VF& s4, VF& s5,
                          VF& t0, VF& t1, VF& t2, VF& t3, VF& t4, VF& t5) {
  AddColumns<kPixels, kWhat, 0>(row, at, rest, second, TapWeight(weights, 0), TapWeight(weights, 1),
                                TapWeight(weights, 2), s0, s1, s2, s3, s4, s5, t0, t1, t2, t3, t4,
                                t5);
}

// One step of channels, from c on, for one tile of pixels, whose addresses are those of the table
// from pixel `at_pixel` on plus `shift`. A row of taps is `down` floats behind the one before, the
// second vector's weights `panel` floats behind the first's.
template <size_t kTaps, size_t kPixels, size_t kStride, Channels kWhat>
HWY_INLINE void DepthwiseTable(const TapTable::Row* table, const Conv2dShape& shape,
                               size_t at_pixel, size_t shift, const float* weights, size_t down,
                               size_t panel, size_t c, const TileOut& out, const Finish& finish) {
  const DF d;
  const size_t rest = out.cols - c;
  VF s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  VF t0 = s0, t1 = s0, t2 = s0, t3 = s0, t4 = s0, t5 = s0;
  const size_t at = c + shift;
  const size_t kernel_h = shape.kernel_h;
  const size_t kernel_w = kTaps != 0 ? kTaps : shape.kernel_w;
  constexpr size_t kVectors = kWhat == Channels::kTwo ? 2 : 1;
  for (size_t ky = 0; ky < kernel_h; ++ky, weights += down) {
    const size_t stride = kStride != 0 ? kStride : shape.stride_w;
    const float* const* row = table[ky] + at_pixel * stride;
    if constexpr (SharesColumns(kTaps, kStride)) {
      AddTapRow<kPixels, kWhat>(row, at, rest, weights, weights + panel, s0, s1, s2, s3, s4, s5, t0,
                                t1, t2, t3, t4, t5);
    } else {
      for (size_t kx = 0; kx < kernel_w; ++kx, row += kTaps != 0 ? 1 : shape.dilation_w) {
        AddTapOfPixels<kPixels, kWhat>(row, stride, weights + kx * kPanel, panel, at, rest, s0, s1,
                                       s2, s3, s4, s5, t0, t1, t2, t3, t4, t5);
      }
    }
  }
  FinishColumns<kPixels, kVectors>(out, finish, at_pixel, c, s0, t0, s1, t1, s2, t2, s3, t3, s4, t4,
                                   s5, t5);
}

// The channels behind the last whole vector, one pixel after the other.
HWY_NOINLINE inline void DepthwiseTablePart(const TapTable::Row* table, const Conv2dShape& shape,
                                            size_t at_pixel, size_t pixels, size_t shift,
                                            const float* weights, size_t c, const TileOut& out,
                                            Finish finish) {
  for (size_t p = at_pixel; p < at_pixel + pixels; ++p, finish.Advance(1)) {
    DepthwiseTable<0, 1, 0, Channels::kPart>(table, shape, p, shift, weights,
                                             shape.kernel_w * kPanel, 0, c, out, finish);
  }
}

// All channels of one tile: to.out.cols from `first` on. `to` is where its first pixel goes.
template <size_t kTaps, size_t kPixels, size_t kStride>
HWY_INLINE void DepthwiseTableRow(const TapTable::Row* table, const ConvArgs& args, size_t first,
                                  size_t at_pixel, size_t shift, const DepthwiseOut& to) {
  const size_t lanes = hn::Lanes(DF());
  const Conv2dShape& shape = *args.shape;
  const size_t panel_stride = shape.kernel_h * shape.kernel_w * kPanel;
  const size_t panel = lanes == kPanel ? panel_stride : lanes;  // to the second vector's weights
  const size_t down = (kTaps != 0 ? kTaps : shape.kernel_w) * kPanel;
  const auto weights = [&](size_t c) HWY_ATTR {
    return args.panels + (first + c) / kPanel * panel_stride + (first + c) % kPanel;
  };
  const size_t cols = to.out.cols;
  size_t c = 0;
  if constexpr (kDepthwiseVectors == 2) {
    for (; c + 2 * lanes <= cols; c += 2 * lanes) {
      DepthwiseTable<kTaps, kPixels, kStride, Channels::kTwo>(
          table, shape, at_pixel, shift, weights(c), down, panel, c, to.out, to.finish);
    }
  }
  if constexpr (!kSmallCode && kTaps != 3 && kVectorRegisters == 32) {
    // Loads that stop at any lane cost no more than others: they do for whole vectors as well.
    for (; c < cols; c += lanes) {
      DepthwiseTable<kTaps, kPixels, kStride, Channels::kPart>(
          table, shape, at_pixel, shift, weights(c), down, panel, c, to.out, to.finish);
    }
  } else {
    for (;; c += lanes) {
      LastVector vector = {weights(c), down};
      if (c + lanes > cols) {
        if (kLastVectorFloats == 0 || c == cols || !to.last.weights) break;
        vector = to.last;
        c = cols - lanes;
      }
      DepthwiseTable<kTaps, kPixels, kStride, Channels::kOne>(
          table, shape, at_pixel, shift, vector.weights, vector.row, panel, c, to.out, to.finish);
    }
    if (c == cols) return;
    // Code of their own is not worth its size: few networks have such channels.
    DepthwiseTablePart(table, shape, at_pixel, kPixels, shift, weights(c), c, to.out, to.finish);
  }
}

// The same for this tile and those below it, `rows` in all: one where code is small.
template <size_t kTaps, size_t kPixels, size_t kStride>
HWY_NOINLINE void DepthwiseTableChannels(const TapTable::Row* table, const ConvArgs& args,
                                         size_t first, size_t at_pixel, size_t shift,
                                         DepthwiseOut& to, size_t rows) {
  if constexpr (kSmallCode) {
    DepthwiseTableRow<kTaps, kPixels, kStride>(table, args, first, at_pixel, shift, to);
  } else {
    for (; rows != 0; --rows, table += args.shape->stride_h, to.Down(1, args.y.row_stride)) {
      DepthwiseTableRow<kTaps, kPixels, kStride>(table, args, first, at_pixel, shift, to);
    }
  }
}

// Pixels from which on tiles have code of their own for kernels three taps wide: narrower ones are
// whole rows, of images that take a few microseconds (1.1 to 1.6 of the time).
constexpr size_t KnownTapsFrom(size_t taps) { return taps == 0 ? 1 : 4; }

template <size_t kTaps, size_t kStride>
HWY_NOINLINE void DepthwiseTablePixels(const TapTable::Row* table, const ConvArgs& args,
                                       size_t pixels, size_t first, size_t shift, DepthwiseOut& to,
                                       size_t rows) {
  const auto run = [&]<size_t kPixels>(Pixels<kPixels>, size_t at) HWY_ATTR {
    DepthwiseTableChannels<kTaps, kPixels, kStride>(table, args, first, at, shift, to, rows);
  };
  if constexpr (kSmallCode) {
    for (size_t at = 0; at < pixels;) {
      const size_t piece = PieceOf(pixels - at);
      if (piece == 1) run(Pixels<1>(), at);
      if (piece == 2) run(Pixels<2>(), at);
      if (piece == 4) run(Pixels<4>(), at);
      if (piece == kRowTile) run(Pixels<kRowTile>(), at);
      at += piece;
      to.finish.Advance(piece);
    }
  } else {
    constexpr size_t kLeast = KnownTapsFrom(kTaps);
    if (pixels < kLeast) {
      return DepthwiseTablePixels<0, 0>(table, args, pixels, first, shift, to, rows);
    }
    ForPixels<kLeast>(pixels, [&]<size_t kPixels>(Pixels<kPixels> p) HWY_ATTR { run(p, 0); });
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_TABLE_INL_H_

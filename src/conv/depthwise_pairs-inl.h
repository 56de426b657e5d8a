// Depthwise convolution in pairs of rows of the output: kernels five and seven taps wide.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_PAIRS_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_PAIRS_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_PAIRS_INL_H_
#endif

#include <algorithm>

#include "src/common/tall_tile-inl.h"
#include "src/conv/depthwise_table-inl.h"
#include "src/conv/depthwise_tile-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A row of the image is a row of taps of two rows of the output: a vector of it is loaded once and
// meets all pixels of both, each with another weight. With 32 registers the weights of both rows of
// taps are registers, too. With 16, twelve sums and that vector leave three, which keep the weights
// of three taps of the upper row; the others are operands in memory, a load each. Those are 64
// bytes apart, and Golden Cove loads two vectors a cycle from the same half of lines, more from
// both: with no weight in a register, 5x5 would take 1.2 of the time. No address is looked up, and
// no multiply-add is spent on the padding.

// What two rows of a tile read and write, from channel 0 on; or one row, or two tiles beside each
// other, whose kernels have one row.
struct PairRows {
  const ConvArgs* args;
  ConvTile tile, below;
  bool two;            // whether there is one below
  size_t step, down;   // floats to the next column and row of the image
  size_t before, end;  // the columns that are in it
  size_t first, last;  // the rows of taps of both that are in it
  const float* image;  // the first column of the first of them
  float* y;
  size_t y_down;  // floats to the outputs below
};

// What tiles of five pixels, rare where seven are the most, are made of: six, one of them nobody's.
constexpr size_t kPixelsOfFive = kVectorRegisters == 32 ? 6 : 5;

// The taps of one vector.
template <size_t kTaps, size_t kStride, size_t kPixels, bool kPart, class V>
struct RowPair {
  using D = hn::DFromV<V>;
  using Sums = TallSums<kPixels, 1, V>;
  static constexpr size_t kColumns = kStride * (kPixels - 1) + kTaps;
  static constexpr bool kKeepsAll = kVectorRegisters == 32;
  static constexpr size_t kKept = kKeepsAll ? kTaps : std::min<size_t>(3, 15 - 2 * kPixels);
  static constexpr size_t kFirstKept = (kTaps - kKept) / 2;
  // Pixels that a tile may not have; columns that may be padding: before kLeft, from kRight on.
  static constexpr bool kMayLack = kPixels == kLeastOfPairs || (kPixels == 6 && kPixelsOfFive == 6);
  static constexpr size_t kDummies = kPart ? kPixels - 3 : kMayLack ? 1 : 0;
  static constexpr size_t kLeft = kTaps - 1;
  static constexpr size_t kRight = kColumns - kLeft - kDummies * kStride;

  size_t step, down, before, end, first, last, kernel_h;
  bool two;
  const float* image;
  const float* weights;  // of the first row of taps
  size_t weights_down;   // floats to those of the next
  hn::Mask<D> live;      // lanes of a part

  template <size_t kColumn>
  HWY_INLINE bool Inside() const {
    return (kColumn >= kLeft || kColumn >= before) && (kColumn < kRight || kColumn < end);
  }

  // s += x * the weight of tap kTap, if there is such a tap.
  template <size_t kTap>
  static HWY_INLINE void AddTap(V x, const float* w, const V (&kept)[kKept], bool keeps, V& s) {
    if constexpr (kTap < kTaps) {
      constexpr size_t kAt = kTap - kFirstKept;
      if (keeps && kAt < kKept) {
        s = Fma(x, kept[kAt < kKept ? kAt : 0], s);
      } else {
        s = Fma(x, hn::LoadU(D(), w + kTap * kPanel), s);
      }
    }
  }
  template <size_t kColumn, size_t... kPixel>
  static HWY_INLINE void AddColumn(V x, const float* w, const V (&kept)[kKept], bool keeps, Sums& s,
                                   std::index_sequence<kPixel...>) {
    (AddTap<kColumn - kStride * kPixel>(x, w, kept, keeps, s.row[kPixel][0]), ...);
  }

  // Columns kColumn and up, as row of taps `w` of the upper row and `above` of the lower one.
  template <bool kUpper, bool kLower, size_t kColumn = 0>
  HWY_INLINE void AddColumns(const float* a, const float* w, const float* above,
                             const V (&kept)[kKept], const V (&kept_above)[kKept], Sums& upper,
                             Sums& lower) const {
    constexpr auto kEach = Indices<kPixels>();
    if (Inside<kColumn>()) {
      const V x = InRegister(kPart ? hn::MaskedLoad(live, D(), a) : hn::LoadU(D(), a));
      a += step;
      // Or weights would be loaded ahead, and sums pushed out of their registers.
      if constexpr (!kKeepsAll) asm volatile("" : "+r"(w), "+r"(above));
      if constexpr (kUpper) AddColumn<kColumn>(x, w, kept, true, upper, kEach);
      if constexpr (kLower) {
        AddColumn<kColumn>(x, above, kept_above, kKeepsAll || !kUpper, lower, kEach);
      }
    }
    if constexpr (kColumn + 1 < kColumns) {
      AddColumns<kUpper, kLower, kColumn + 1>(a, w, above, kept, kept_above, upper, lower);
    }
  }

  // One row of the image, and on to the next.
  template <bool kUpper, bool kLower>
  HWY_INLINE void AddRow(const float*& a, const float*& w, Sums& upper, Sums& lower) const {
    const float* above = At(w, size_t{0} - kStride * weights_down);
    V kept[kKept], kept_above[kKept];
    for (size_t i = 0; i < kKept; ++i) {
      const size_t at = (kFirstKept + i) * kPanel;
      if (kUpper) kept[i] = InRegister(hn::LoadU(D(), w + at));
      if (kLower && (kKeepsAll || !kUpper)) kept_above[i] = InRegister(hn::LoadU(D(), above + at));
    }
    AddColumns<kUpper, kLower>(a, w, above, kept, kept_above, upper, lower);
    a = Below(a, down);
    w = Below(w, weights_down);
  }

  // False where a sum is -0, which taps in the padding, which are left out, may make +0.
  HWY_INLINE bool Run(Sums& upper, Sums& lower) const {
    for (auto& sum : upper.row) sum[0] = hn::Zero(D());
    for (auto& sum : lower.row) sum[0] = hn::Zero(D());
    const float* a = image;
    const float* w = weights;
    size_t ky = first;
    const size_t both = std::min(last, kernel_h);
    const size_t alone = std::min(both, two ? kStride : kernel_h);
#pragma GCC unroll 1
    for (; ky < alone; ++ky) AddRow<true, false>(a, w, upper, lower);
#pragma GCC unroll 1
    for (; ky < both; ++ky) AddRow<true, true>(a, w, upper, lower);
    if constexpr (kStride == 1) {
      if (ky < last) AddRow<false, true>(a, w, upper, lower);
    } else {
      if (HWY_UNLIKELY(kernel_h < kStride && two)) {
        // What lies between the rows of taps of both.
        a = At(a, (kStride - ky) * down);
        w += (kStride - ky) * weights_down;
        ky = kStride;
      }
#pragma GCC unroll 1
      for (; ky < last; ++ky) AddRow<false, true>(a, w, upper, lower);
    }
    const bool all =
        before == 0 && end >= kColumns && first == 0 && last == kernel_h + (two ? kStride : 0);
    return HWY_LIKELY(all) || !(NegativeZero(upper) || NegativeZero(lower));
  }

  // The frequent end of a row of outputs.
  HWY_INLINE void Finish(float* y, size_t across, V add, V lower_end, V upper_end, size_t pixels,
                         const Sums& s) const {
    const D d;
    for (size_t p = 0; p < kPixels; ++p, y += across) {
      if (p >= kPixels - kDummies && p >= pixels) break;
      const V end_of = MinKeepNaN(MaxKeepNaN(hn::Add(s.row[p][0], add), lower_end), upper_end);
      if constexpr (kPart) {
        hn::BlendedStore(end_of, live, d, y);
      } else {
        hn::StoreU(end_of, d, y);
      }
    }
  }
};

// Any other end of a vector of `cols` channels, by way of memory.
HWY_NOINLINE inline void FinishPair(const PairRows& rows, size_t c, size_t cols, float* upper,
                                    float* lower) {
  const size_t lanes = hn::Lanes(DF());
  const size_t pixels = rows.tile.pixels;
  FinishTile(ConvOut(*rows.args, rows.tile, c, cols), pixels, upper, lanes);
  if (rows.two) FinishTile(ConvOut(*rows.args, rows.below, c, cols), pixels, lower, lanes);
}

// Channels [c, end), tap by tap.
HWY_NOINLINE inline void PairPixels(const PairRows& rows, size_t c, size_t end) {
  DepthwisePixels(*rows.args, rows.tile, c, end);
  if (rows.two) DepthwisePixels(*rows.args, rows.below, c, end);
}

// Channels [begin, end): kPart, less than a vector. Else, where they do not fill their last vector,
// it ends with the last of them, whose weights are `last`, if it may overlap the one before. How
// many channels are left.
using PairRun = size_t (*)(const PairRows& rows, size_t begin, size_t end, const LastVector& last);
template <size_t kTaps, size_t kStride, size_t kPixels, bool kPart, class V>
HWY_NOINLINE size_t PairChannels(const PairRows& rows, size_t begin, size_t end,
                                 const LastVector& last) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const ConvArgs& args = *rows.args;
  const Chain& chain = *args.chain;
  // All that a vector wants, in variables of this function: a store to the output might change
  // what a reference leads to, for all that the compiler knows.
  RowPair<kTaps, kStride, kPixels, kPart, V> pair;
  pair.step = rows.step;
  pair.down = rows.down;
  pair.before = rows.before;
  pair.end = rows.end;
  pair.first = rows.first;
  pair.last = rows.last;
  pair.kernel_h = args.shape->kernel_h;
  pair.two = rows.two;
  pair.weights_down = kTaps * kPanel;
  pair.live = hn::FirstN(d, end - begin);
  const bool plain = chain.in_registers && chain.add == nullptr;
  const float* const bias = chain.bias;
  const float lo = chain.lo;
  const float hi = chain.hi;
  const size_t across = args.y.pixel_stride;
  const size_t y_down = rows.y_down;
  const size_t pixels = rows.tile.pixels;
  const size_t panel = pair.kernel_h * kTaps * kPanel;
  const float* const image = rows.image;
  float* const y = rows.y;
  const float* weights =
      args.panels + begin / kPanel * panel + begin % kPanel + pair.first * pair.weights_down;
  size_t stop = kPart ? end : end - (end - begin) % lanes;
  for (size_t c = begin;; c += lanes, weights += c % kPanel == 0 ? panel - kPanel + lanes : lanes) {
    if (HWY_UNLIKELY(c >= stop)) {
      if (stop == end || last.weights == nullptr) break;
      c = end - lanes;
      stop = end;
      weights = last.weights + pair.first * last.row;
      pair.weights_down = last.row;
    }
    pair.weights = weights;
    pair.image = At(image, c);
    typename decltype(pair)::Sums upper, lower;
    const size_t cols = kPart ? end - begin : lanes;
    if (HWY_UNLIKELY(!pair.Run(upper, lower))) {
      PairPixels(rows, c % lanes == 0 ? c : end - end % lanes, c + cols);
    } else if (HWY_LIKELY(plain)) {
      const V add = bias == nullptr ? hn::LoadU(d, kNoBias)
                    : kPart         ? hn::MaskedLoad(pair.live, d, bias + c)
                                    : hn::LoadU(d, bias + c);
      const V lower_end = hn::Set(d, lo);
      const V upper_end = hn::Set(d, hi);
      float* const out = y + c;
      pair.Finish(out, across, add, lower_end, upper_end, pixels, upper);
      if (pair.two) pair.Finish(out + y_down, across, add, lower_end, upper_end, pixels, lower);
    } else {
      HWY_ALIGN float sums[2][kPixels * kPanel];
      StoreTall(sums[0], lanes, upper);
      StoreTall(sums[1], lanes, lower);
      FinishPair(rows, c, cols, sums[0], sums[1]);
    }
  }
  return end - stop;
}

// The same of less than a vector, where loads cannot leave lanes out.
HWY_NOINLINE inline size_t PairPart(const PairRows& rows, size_t c, size_t end, const LastVector&) {
  PairPixels(rows, c, end);
  return 0;
}

// The code of a kernel: by pixels, and for what channels they leave.
struct PairCode {
  PairRun run[kMostOfPairs - kLeastOfPairs + 1];
  PairRun rest;
};
template <size_t kTaps, size_t kStride, class V>
HWY_INLINE PairCode PairCodeOf() {
  PairCode code = {{PairChannels<kTaps, kStride, 4, false, V>,
                    PairChannels<kTaps, kStride, kPixelsOfFive, false, V>,
                    PairChannels<kTaps, kStride, 6, false, V>,
                    PairChannels<kTaps, kStride, kMostOfPairs, false, V>},
                   PairPart};
  if constexpr (kMaskedLoads) code.rest = PairChannels<kTaps, kStride, kMostOfPairs, true, V>;
  return code;
}
template <class V>
HWY_NOINLINE PairCode PairCodeFor(const Conv2dShape& s) {
  const bool one = s.stride_w == 1;
  if (s.kernel_w == 5) return one ? PairCodeOf<5, 1, V>() : PairCodeOf<5, 2, V>();
  return one ? PairCodeOf<7, 1, V>() : PairCodeOf<7, 2, V>();
}

// What all pairs of a call have in common, and where one of them reads and writes.
template <class V>
struct PairCall {
  const ConvArgs& args;
  const PairCode code;
  const LastVector last;
  PairRows at;

  PairCall(const ConvArgs& of, float* copy)
      : args(of), code(PairCodeFor<V>(*of.shape)), last(LastVectorOf(of, copy)) {
    at.args = &of;
    at.step = of.x.pixel_stride;
    at.down = of.x.row_stride;
    at.y_down = of.y.row_stride;
  }

  // Where at.tile and, if `two`, the one below it read and write. Field by field: a copy of a tile
  // would load in large words what has just been stored in small ones, and wait for them.
  HWY_INLINE void Seek(bool two) {
    const ConvTile& t = at.tile;
    const Conv2dShape& s = *args.shape;
    const ImageView<const float>& x = args.x;
    const size_t left = s.padding.left;
    const size_t top = s.padding.top;
    const size_t column = t.pixel * s.stride_w;  // of the image, if it began with the padding
    const size_t row = t.row * s.stride_h;
    at.below.image = t.image;
    at.below.row = t.row + 1;
    at.below.pixel = t.pixel;
    at.below.pixels = t.pixels;
    at.two = two;
    at.before = left - std::min(left, column);
    at.end = std::min((t.pixels - 1) * s.stride_w + s.kernel_w, x.width + left - column);
    at.first = top - std::min(top, row);
    at.last = std::min(s.kernel_h + (two ? s.stride_h : 0),
                       x.height + top - std::min(x.height + top, row));
    // Unsigned: -1 is beyond the image, and wraps back.
    at.image = At(x.data, t.image * x.image_stride + (row + at.first - top) * x.row_stride +
                              (column + at.before - left) * x.pixel_stride);
    at.y = OutputOf(args, t, 0);
  }

  HWY_INLINE void Run(size_t begin, size_t end) const {
    const size_t pixels = std::max(at.tile.pixels, kLeastOfPairs);
    const size_t parts = code.run[pixels - kLeastOfPairs](at, begin, end, last);
    if (parts != 0) code.rest(at, end - parts, end, last);
  }
};

// All channels of `rows` rows of tile t, a block of them at a time for all rows.
template <class V>
HWY_NOINLINE void RunRowPairs(const ConvArgs& args, const ConvTile& t, size_t rows,
                              bool /*alone*/) {
  const Conv2dShape& s = *args.shape;
  // What one pair reads is not read again.
  const size_t block = rows <= 2 ? s.channels : DepthwiseBlockFor(args).channels;
  HWY_ALIGN float copy[std::max<size_t>(kLastVectorFloats, 1)];
  PairCall<V> call(args, copy);
  // Rows that have no row of the image in common, or lie otherwise, come one by one.
  const bool pairs = s.stride_h == s.stride_w && s.kernel_h >= s.stride_h;
  for (size_t c = 0; c < s.channels; c += block) {
    call.at.tile = t;
    for (size_t r = 0; r < rows; call.at.tile.row = t.row + r) {
      call.Seek(pairs && r + 1 < rows);
      r += call.at.two ? 2 : 1;
      call.Run(c, std::min(c + block, s.channels));
    }
  }
}

// Units (tiles) [begin, end) of a kernel of one row on images of one row: tiles beside each other
// are pairs where neither meets the padding. 1x1000x64 with 1x5 taps takes 0.66 (AVX512) and 0.77
// (AVX2) of the time of single ones.
template <class V>
HWY_NOINLINE void ConvTilePairs(const ConvArgs& args, size_t begin, size_t end) {
  const Conv2dShape& s = *args.shape;
  HWY_ALIGN float copy[std::max<size_t>(kLastVectorFloats, 1)];
  PairCall<V> call(args, copy);
  TileCursor cursor(args, begin);
  while (begin < end) {
    PairRows& at = call.at;
    const ConvTile& t = at.tile;
    at.tile = cursor.tile();
    call.Seek(false);
    const bool inner = at.before == 0 && at.first == 0 && at.last == 1;
    const size_t count =
        inner ? std::min<size_t>(cursor.Together(end - begin, args.inner_end), 2) : 1;
    if (count == 2) {
      at.below.row = t.row;
      at.below.pixel = t.pixel + t.pixels;
      at.two = true;
      at.last = 1 + s.stride_w;
      at.down = t.pixels * args.x.pixel_stride;
      at.y_down = t.pixels * args.y.pixel_stride;
    }
    call.Run(0, s.channels);
    begin += count;
    cursor.Advance(count);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_PAIRS_INL_H_

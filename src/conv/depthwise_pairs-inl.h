// Depthwise convolution where registers are few: pairs of rows of the output, for kernels three,
// five and seven taps wide. Per-target header: include it after hwy/foreach_target.h.
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
// meets all pixels of both, each with another weight. Twelve sums and that vector leave three
// registers, which keep the weights of three taps of the upper row; the others are operands in
// memory, a load each. Those are 64 bytes apart, and Golden Cove loads two vectors a cycle from the
// same half of lines, more from both: with no weight in a register, 5x5 would take 1.2 of the
// time. No address is looked up, and no multiply-add is spent on the padding.
template <size_t kTaps, size_t kStride, size_t kPixels, class V>
struct RowPair {
  using D = hn::DFromV<V>;
  using Sums = TallSums<kPixels, 1, V>;
  static constexpr size_t kColumns = kStride * (kPixels - 1) + kTaps;
  static constexpr size_t kKept = std::min<size_t>(3, 15 - 2 * kPixels);
  static constexpr size_t kFirstKept = (kTaps - kKept) / 2;
  // Columns before kLeft and from kRight on may be padding. From there on are also those of a pixel
  // that a tile may not have.
  static constexpr size_t kLeft = kTaps - 1;
  static constexpr size_t kRight = kColumns - kLeft - (kPixels == kLeastOfPairs ? kStride : 0);

  size_t step, down;   // floats to the next column and row of the image
  size_t before, end;  // the columns that are in it
  size_t kernel_h;
  bool two;              // rows of the output
  size_t first, last;    // their rows of taps that are in the image
  const float* image;    // the first column of the first of them
  const float* weights;  // of that row of taps
  size_t weights_down;   // floats to those of the next

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
                             const V (&kept)[kKept], Sums& upper, Sums& lower) const {
    constexpr auto kEach = Indices<kPixels>();
    if (Inside<kColumn>()) {
      const V x = InRegister(hn::LoadU(D(), a));
      a += step;
      // Or weights would be loaded ahead, and sums pushed out of their registers.
      asm volatile("" : "+r"(w), "+r"(above));
      if constexpr (kUpper) AddColumn<kColumn>(x, w, kept, true, upper, kEach);
      if constexpr (kLower) AddColumn<kColumn>(x, above, kept, !kUpper, lower, kEach);
    }
    if constexpr (kColumn + 1 < kColumns) {
      AddColumns<kUpper, kLower, kColumn + 1>(a, w, above, kept, upper, lower);
    }
  }

  // One row of the image, and on to the next.
  template <bool kUpper, bool kLower>
  HWY_INLINE void AddRow(const float*& a, const float*& w, Sums& upper, Sums& lower) const {
    const float* above = w - kStride * weights_down;
    const float* from = (kUpper ? w : above) + kFirstKept * kPanel;
    V kept[kKept];
    for (size_t i = 0; i < kKept; ++i) kept[i] = InRegister(hn::LoadU(D(), from + i * kPanel));
    AddColumns<kUpper, kLower>(a, w, above, kept, upper, lower);
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
    const size_t alone = std::min(last, two ? kStride : kernel_h);
    const size_t both = std::min(last, kernel_h);
#pragma GCC unroll 1
    for (; ky < alone; ++ky) AddRow<true, false>(a, w, upper, lower);
    // The two rows of three that most tiles have in common. As a loop, large images would take 1.02
    // to 1.05 of the time.
    if (kTaps == 3 && HWY_LIKELY(ky == 1 && both == 3)) {
      AddRow<true, true>(a, w, upper, lower);
      AddRow<true, true>(a, w, upper, lower);
      ky = both;
    }
#pragma GCC unroll 1
    for (; ky < both; ++ky) AddRow<true, true>(a, w, upper, lower);
    if (ky < last) AddRow<false, true>(a, w, upper, lower);
    if constexpr (kStride == 2) {
      if (ky + 1 < last) AddRow<false, true>(a, w, upper, lower);
    }
    const bool all =
        before == 0 && end >= kColumns && first == 0 && last == kernel_h + (two ? kStride : 0);
    return HWY_LIKELY(all) || !(NegativeZero(upper) || NegativeZero(lower));
  }
};

// The frequent end of a row of outputs.
template <size_t kPixels, class V>
HWY_INLINE void FinishPairRow(float* y, size_t across, V add, V lower, V upper, bool all,
                              const TallSums<kPixels, 1, V>& s) {
  for (size_t p = 0; p < kPixels; ++p, y += across) {
    if (kPixels == kLeastOfPairs && p + 1 == kPixels && !all) break;
    hn::StoreU(MinKeepNaN(MaxKeepNaN(hn::Add(s.row[p][0], add), lower), upper), hn::DFromV<V>(), y);
  }
}

// Any other end of a vector of tile t and, if `two`, of the one below it, by way of memory.
HWY_NOINLINE inline void FinishPair(const ConvArgs& args, ConvTile t, bool two, size_t c,
                                    float* upper, float* lower) {
  const size_t lanes = hn::Lanes(DF());
  FinishTile(ConvOut(args, t, c, lanes), t.pixels, upper, lanes);
  ++t.row;
  if (two) FinishTile(ConvOut(args, t, c, lanes), t.pixels, lower, lanes);
}

// Channels [c, end) of the same, tap by tap.
HWY_NOINLINE inline void PairPixels(const ConvArgs& args, ConvTile t, bool two, size_t c,
                                    size_t end) {
  DepthwisePixels(args, t, c, end);
  ++t.row;
  if (two) DepthwisePixels(args, t, c, end);
}

// Channels [begin, end) of `rows` rows of tile t. Where they do not fill their last vector, it ends
// with the last of them, whose weights are `last`, if it may overlap the one before.
template <size_t kTaps, size_t kStride, size_t kPixels, class V>
HWY_NOINLINE void PairChannels(const ConvArgs& args, const ConvTile& t, size_t rows, size_t begin,
                               size_t end, const LastVector& last) {
  using Pair = RowPair<kTaps, kStride, kPixels, V>;
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& x = args.x;
  const Chain& chain = *args.chain;
  // All that a vector wants, in variables of this function: a store to the output might change
  // what a reference leads to, for all that the compiler knows.
  const bool plain = chain.in_registers && chain.add == nullptr;
  const float* const bias = chain.bias;
  const float lo = chain.lo;
  const float hi = chain.hi;
  const size_t across = args.y.pixel_stride;
  const size_t y_down = args.y.row_stride;
  const size_t panel = s.kernel_h * kTaps * kPanel;
  const float* const panels = args.panels + begin / kPanel * panel;
  const size_t left = s.padding.left;
  const size_t top = s.padding.top;
  const size_t column = t.pixel * kStride;  // of the image, if it began with the padding
  const bool all = t.pixels >= kPixels;
  Pair pair;
  pair.step = x.pixel_stride;
  pair.down = x.row_stride;
  pair.before = left - std::min(left, column);
  pair.end = std::min((t.pixels - 1) * kStride + kTaps, x.width + left - column);
  pair.kernel_h = s.kernel_h;
  ConvTile tile = t;
  // Rows that have no row of the image in common, or lie otherwise, come one by one.
  const bool pairs = s.stride_h == kStride && s.kernel_h >= kStride;
  for (size_t r = 0, next; r < rows; tile.row += next - r, r = next) {
    const size_t row = tile.row * s.stride_h;
    const bool two = pairs && r + 1 < rows;
    next = r + (two ? 2 : 1);
    pair.two = two;
    pair.first = top - std::min(top, row);
    pair.last =
        std::min(s.kernel_h + (two ? kStride : 0), x.height + top - std::min(x.height + top, row));
    // Unsigned: -1 is beyond the image, and wraps back.
    const float* const image =
        At(x.data, t.image * x.image_stride + (row + pair.first - top) * x.row_stride +
                       (column + pair.before - left) * x.pixel_stride);
    float* const y = OutputOf(args, tile, 0);
    const float* weights = panels + pair.first * (kTaps * kPanel);
    pair.weights_down = kTaps * kPanel;
    size_t stop = end - (end - begin) % lanes;
    for (size_t c = begin;;
         c += lanes, weights += c % kPanel == 0 ? panel - kPanel + lanes : lanes) {
      if (HWY_UNLIKELY(c >= stop)) {
        if (stop == end) break;
        if (last.weights == nullptr) {
          PairPixels(args, tile, two, stop, end);
          break;
        }
        c = end - lanes;
        stop = end;
        weights = last.weights + pair.first * last.row;
        pair.weights_down = last.row;
      }
      pair.weights = weights;
      pair.image = At(image, c);
      typename Pair::Sums upper, lower;
      if (HWY_UNLIKELY(!pair.Run(upper, lower))) {
        PairPixels(args, tile, two, c % lanes == 0 ? c : end - end % lanes, c + lanes);
      } else if (HWY_LIKELY(plain)) {
        const V add = hn::LoadU(d, bias == nullptr ? kNoBias : bias + c);
        const V lower_end = hn::Set(d, lo);
        const V upper_end = hn::Set(d, hi);
        float* const out = y + c;
        FinishPairRow(out, across, add, lower_end, upper_end, all, upper);
        if (two) FinishPairRow(out + y_down, across, add, lower_end, upper_end, all, lower);
      } else {
        HWY_ALIGN float sums[2][kPixels * kPanel];
        StoreTall<0>(sums[0], lanes, upper);
        StoreTall<0>(sums[1], lanes, lower);
        FinishPair(args, tile, two, c, sums[0], sums[1]);
      }
    }
  }
}

// All channels of `rows` rows of tile t.
template <size_t kTaps, size_t kStride, class V>
HWY_NOINLINE void RunRowPairs(const ConvArgs& args, const ConvTile& t, size_t rows,
                              bool /*alone*/) {
  const size_t lanes = hn::Lanes(hn::DFromV<V>());
  const Conv2dShape& s = *args.shape;
  const size_t block = DepthwiseBlockFor(args).channels;
  HWY_ALIGN float copy[std::max<size_t>(kLastVectorFloats, 1)];
  const LastVector last = LastVectorOf(args, copy);
  constexpr size_t kMost = kTaps == 3 ? kRowTile : kMostOfPairs;
  const auto run = [&]<size_t kPixels>(Pixels<kPixels>) HWY_ATTR {
    for (size_t c = 0, end; c < s.channels; c = end) {
      end = std::min(c + block, s.channels);
      PairChannels<kTaps, kStride, kPixels, V>(args, t, rows, c, end, last);
    }
  };
  ForPixels<kLeastOfPairs, kMost>(std::max(t.pixels, kLeastOfPairs), run);
}

template <class V>
HWY_INLINE StripRun RowPairsFor(const Conv2dShape& s) {
  const bool one = s.stride_w == 1;
  if (s.kernel_w == 3) return RunRowPairs<3, 1, V>;
  if (s.kernel_w == 5) return one ? RunRowPairs<5, 1, V> : RunRowPairs<5, 2, V>;
  return one ? RunRowPairs<7, 1, V> : RunRowPairs<7, 2, V>;
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_PAIRS_INL_H_

// Depthwise convolution, three by three taps, stride 1 or 2: strips of outputs from the top down.
// With 32 registers a vector of the image is loaded once for all outputs of the strip that read it:
// nine weights, the sums of three rows of seven pixels and that vector are 31 registers. With 16,
// the sums of one row of six pixels leave as many for the weights at stride 1, and the image is
// loaded for each row of outputs: 24 loads for 54 multiply-adds, where four pixels of three rows
// would want 42 for 36. At stride 2 weights are operands in memory. An address goes across each row
// of the image, so that no table of them is filled.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#endif

#include <algorithm>

#include "src/common/tall_tile-inl.h"
#include "src/conv/depthwise_table-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A row of a strip's sums.
template <size_t kPixels, class V>
using StripSums = TallSums<kPixels, 1, V>;

// The weights of nine taps, or where they are.
template <class V, bool kKept>
struct StripWeights {
  V of[kKept ? 9 : 1];
  const float* from;

  HWY_INLINE void Load(const float* weights) {
    from = weights;
    if constexpr (kKept) {
      for (size_t tap = 0; tap < 9; ++tap)
        of[tap] = hn::LoadU(hn::DFromV<V>(), from + tap * kPanel);
    }
  }
  template <size_t kTap>
  HWY_INLINE V Of() const {
    if constexpr (kKept) {
      return of[kTap];
    } else {
      return hn::LoadU(hn::DFromV<V>(), from + kTap * kPanel);
    }
  }
};

// Which rows of taps a row of the image is, each of them for another row of outputs.
template <bool kFirst, bool kSecond, bool kThird>
struct TapRows {};

// s += x * the weight of tap kTap of a row of taps; nothing where there is no such tap.
template <size_t kRow, size_t kTap, class V, bool kKept>
HWY_INLINE void AddStripTap(V x, const StripWeights<V, kKept>& w, V& s) {
  if constexpr (kTap < 3) s = Fma(x, w.template Of<3 * kRow + kTap>(), s);
}
template <size_t kRow, size_t kStride, size_t kColumn, size_t kPixels, class V, bool kKept,
          size_t... kPixel>
HWY_INLINE void AddStripColumn(V x, const StripWeights<V, kKept>& w, StripSums<kPixels, V>& s,
                               std::index_sequence<kPixel...>) {
  (AddStripTap<kRow, kColumn - kStride * kPixel>(x, w, s.row[kPixel][0]), ...);
}

// The end of row `row` of a strip by way of L1, which is less code than one of its own in each row:
// outputs [c, c + cols) of its pixels, which go to y.
HWY_NOINLINE inline void FinishStripRow(const TileOut& to, size_t row, float* y, size_t c,
                                        size_t cols, size_t pixels, float* tile, size_t stride) {
  TileOut here = to;
  here.pos.row += row;
  here.pos.channel += c;
  here.y = y;
  here.cols = cols;
  FinishTile(here, pixels, tile, stride);
}

// One vector of channels of a strip; or of pairs of pixels of eight channels each, at stride 1.
template <size_t kPixels, size_t kStride, class V, bool kPairs = false>
struct StripVector {
  using D = hn::DFromV<V>;
  using Sums = StripSums<kPixels, V>;
  static constexpr size_t kAcross = kPairs ? 2 : kStride;  // columns to the next
  static constexpr size_t kColumns = kAcross * (kPixels - 1) + 3;
  static constexpr bool kByRows = kStripsByRows && kStride == 1;

  StripWeights<V, kVectorRegisters == 32> w;
  StripRow row;  // of the image
  size_t down, first_down, last_down;
  StripSteps steps;
  float* y;
  size_t across, y_down;
  const float* bias;
  float lo, hi;
  hn::Mask<D> live;   // the lanes that are outputs: those from `skip` on
  const TileOut* to;  // of the strip
  bool plain;         // such lanes can be stored, and the chain is a frequent one without a tensor
  size_t c, skip;     // channel and lane of the first output
  size_t done;        // rows, where they are not plain
  hn::Mask<D> first_live, last_live;  // lanes of such columns of pairs that are no padding

  // Columns kColumn and up of row `from`, the next of which is at `at`: as the first row of taps of
  // `newest`, the second of those outputs above it, `middle`, and the third of the ones above
  // those, `oldest`.
  template <bool kFirst, bool kSecond, bool kThird, size_t kColumn = 0, class Weights>
  HWY_INLINE void AddColumns(const StripRow& from, const float* at, const Weights& weights,
                             Sums& oldest, Sums& middle, Sums& newest) const {
    constexpr bool kLast = kColumn + 1 == kColumns;
    constexpr size_t kIndex = kColumn == 0 ? 0 : (kColumn - 1) % 4;
    const float* column = kColumn == 0 ? from.first
                          : kLast      ? from.last
                                       : ColumnOf<kIndex>(at, steps);
    V x = kPairs && kColumn == 0 ? hn::MaskedLoad(first_live, D(), column)
          : kPairs && kLast      ? hn::MaskedLoad(last_live, D(), column)
                                 : hn::LoadU(D(), column);
    // Loaded once, where several multiply-adds read it: GCC would make it the operand of each.
    if constexpr (kFirst + kSecond + kThird > 1 || kColumn % kAcross == 0) asm("" : "+v"(x.raw));
    constexpr auto kEach = Indices<kPixels>();
    if constexpr (kThird) AddStripColumn<2, kAcross, kColumn>(x, weights, oldest, kEach);
    if constexpr (kSecond) AddStripColumn<1, kAcross, kColumn>(x, weights, middle, kEach);
    if constexpr (kFirst) AddStripColumn<0, kAcross, kColumn>(x, weights, newest, kEach);
    if constexpr (!kLast) {
      const float* next = kIndex == 3 ? Below(at, 2 * steps.two) : at;
      AddColumns<kFirst, kSecond, kThird, kColumn + 1>(from, next, weights, oldest, middle, newest);
    }
  }

  static HWY_INLINE void Clear(Sums& s) {
    for (auto& sum : s.row) sum[0] = hn::Zero(D());
  }

  HWY_INLINE void Finished(const Sums& s) {
    if (kPairs || HWY_LIKELY(plain)) {
      const D d;
      const V add = hn::LoadU(d, bias);
      V lower, upper;
      if constexpr (kByRows) {
        // Weights and sums are all registers that a row has: as what the loop leaves alone, each of
        // these would be an operand in memory for each pixel.
        const Chain* chain = to->chain;
        asm volatile("" : "+r"(chain));
        lower = hn::Set(d, chain->lo);
        upper = hn::Set(d, chain->hi);
      } else {
        lower = hn::Set(d, lo);
        upper = hn::Set(d, hi);
      }
      float* out = y;
      for (size_t p = 0; p < kPixels; ++p, out += across) {
        const V end = MinKeepNaN(MaxKeepNaN(hn::Add(s.row[p][0], add), lower), upper);
        if constexpr (kMaskedLoads && !kPairs) {
          hn::BlendedStore(end, live, d, out);
        } else {
          hn::StoreU(end, d, out);
        }
      }
    } else {
      HWY_ALIGN float tile[kPixels * kPanel];
      const size_t lanes = hn::Lanes(D());
      for (size_t p = 0; p < kPixels; ++p) hn::StoreU(s.row[p][0], D(), tile + p * lanes);
      FinishStripRow(*to, done++, y + skip, c, lanes - skip, kPixels, tile + skip, lanes);
    }
    y += y_down;
  }

  HWY_INLINE void Down(StripRow& at) const {
    at.first = Below(at.first, first_down);
    at.second = Below(at.second, down);
    at.last = Below(at.last, last_down);
  }

  // What lies below the image adds +0 or -0, always the same, which changes a sum that is -0.
  HWY_INLINE void AddBelow(Sums& s) const {
    const V none = hn::Zero(D());
    V zero = hn::Set(D(), -0.0f);
    zero = Fma(none, w.template Of<6>(), zero);
    zero = Fma(none, w.template Of<7>(), zero);
    zero = Fma(none, w.template Of<8>(), zero);
    for (auto& sum : s.row) sum[0] = hn::Add(sum[0], zero);
  }

  // The next row of the image; where it is the third row of taps of some outputs, they are done.
  template <bool kFirst, bool kSecond, bool kThird>
  HWY_INLINE void Add(TapRows<kFirst, kSecond, kThird>, Sums& oldest, Sums& middle, Sums& newest) {
    if constexpr (kFirst) Clear(newest);
    AddColumns<kFirst, kSecond, kThird>(row, row.second, w, oldest, middle, newest);
    Down(row);
    if constexpr (kThird) Finished(oldest);
  }

  // The last row of taps of the last row of outputs.
  HWY_INLINE void Last(const Strip& strip, Sums& sums) {
    if (strip.below) {
      AddBelow(sums);
      return Finished(sums);
    }
    Sums none;
    Add(TapRows<false, false, true>(), sums, none, none);
  }

  // Row `at` of the image, as row kRow of taps of one row of outputs, and on to the next.
  template <size_t kRow, class Weights>
  HWY_INLINE void AddRow(StripRow& at, const Weights& weights, Sums& s) const {
    AddColumns<kRow == 0, kRow == 1, kRow == 2>(at, at.second, weights, s, s, s);
    Down(at);
  }

  // One row of outputs after the other. What lies above the image adds nothing to them, as sums
  // begin with +0.
  HWY_INLINE void RunRows(const Strip& strip) {
    size_t r = strip.rows;
    if (strip.above) {
      Sums s;
      Clear(s);
      Down(row);
      StripRow at = row;
      AddRow<1>(at, w, s);
      if (strip.below && r == 1) {
        AddBelow(s);
      } else {
        AddRow<2>(at, w, s);
      }
      Finished(s);
      if (--r == 0) return;
    }
    StripWeights<V, true> kept;
    kept.Load(w.from);
    for (const size_t end = strip.below ? 1 : 0; r != end; --r) {
      Sums s;
      Clear(s);
      StripRow at = row;
      AddRow<0>(at, kept, s);
      row = at;
      AddRow<1>(at, kept, s);
      AddRow<2>(at, kept, s);
      Finished(s);
    }
    if (strip.below) {
      Sums s;
      Clear(s);
      AddRow<0>(row, kept, s);
      AddRow<1>(row, kept, s);
      AddBelow(s);
      Finished(s);
    }
  }

  // Sums change names from row to row instead of moving, which the ports of multiply-adds would
  // have to do.
  HWY_INLINE void Run(const Strip& strip) {
    if constexpr (kByRows) return RunRows(strip);
    constexpr TapRows<true, false, false> kTop;
    Sums a, b, none;
    if (strip.above) {
      Clear(a);
      Down(row);
    } else {
      Add(kTop, none, none, a);
    }
    if constexpr (kStride == 1) {
      constexpr TapRows<true, true, true> kAll;
      Sums e;
      Add(TapRows<true, true, false>(), none, a, b);
      if (strip.rows == 1) {
        b = a;
      } else {
        size_t r = strip.rows - 2;
        for (; r % 3 != 0; --r) {
          Add(kAll, a, b, e);
          a = b;
          b = e;
        }
        for (; r != 0; r -= 3) {
          Add(kAll, a, b, e);
          Add(kAll, b, e, a);
          Add(kAll, e, a, b);
        }
        Add(TapRows<false, true, true>(), a, b, none);
      }
      Last(strip, b);
    } else {
      constexpr TapRows<false, true, false> kMiddle;
      constexpr TapRows<true, false, true> kBottomAndTop;
      size_t r = strip.rows - 1;
      if (r % 2 != 0) {
        Add(kMiddle, none, a, none);
        Add(kBottomAndTop, a, none, b);
        a = b;
        --r;
      }
      for (; r != 0; r -= 2) {
        Add(kMiddle, none, a, none);
        Add(kBottomAndTop, a, none, b);
        Add(kMiddle, none, b, none);
        Add(kBottomAndTop, b, none, a);
      }
      Add(kMiddle, none, a, none);
      Last(strip, a);
    }
  }
};

// All channels of a strip, one vector or more. The lanes of the last vector end with the last
// channel, so that all loads are whole vectors in the image. `to`: where its first pixel goes.
template <size_t kPixels, size_t kStride, class V>
HWY_NOINLINE void StripChannels(const Strip& strip, const ConvArgs& args, size_t channels,
                                const TileOut& to) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const Chain& chain = *to.chain;
  // All that a vector wants, in variables of this function: a store to the output might change what
  // a reference leads to, for all that the compiler knows.
  const Strip whole = strip;
  StripVector<kPixels, kStride, V> v;
  v.down = whole.down;
  v.first_down = whole.first_down;
  v.last_down = whole.last_down;
  v.steps = StepsOf(whole.top.step);
  v.across = to.y_stride;
  v.y_down = args.y.row_stride;
  v.lo = chain.lo;
  v.hi = chain.hi;
  v.to = &to;
  const bool plain = chain.in_registers && chain.add == nullptr;
  float* const y = to.y;
  const float* const bias = chain.bias;
  const float* const panels = args.panels;
  HWY_ALIGN float last[kMaskedLoads ? 1 : 9 * kPanel];
  for (size_t c = 0; c < channels; c += lanes) {
    const size_t skip = lanes - std::min(channels - c, lanes);
    const size_t channel = c - skip;
    const float* weights = panels + c / kPanel * (9 * kPanel) + c % kPanel - skip;
    // Where stores cannot leave lanes out, those before the first output are made once more.
    if (!kMaskedLoads && skip != 0) {
      CopyWeights(panels, 1, 9, channel, last);
      weights = last;
    }
    v.w.Load(weights);
    v.row = {whole.top.first + (whole.first_down == 0 ? 0 : channel), At(whole.top.second, channel),
             whole.top.last + (whole.last_down == 0 ? 0 : channel), whole.top.step};
    v.y = y + channel;
    v.bias = bias == nullptr ? kNoBias : bias + channel;
    v.live = hn::Not(hn::FirstN(d, skip));
    v.plain = plain;
    v.c = c;
    v.skip = skip;
    v.done = 0;
    v.Run(whole);
  }
}

// All channels of `rows` rows of tile t.
template <size_t kStride>
HWY_NOINLINE void RunStrip(const ConvArgs& args, const ConvTile& t, size_t rows, bool /*alone*/) {
  const size_t channels = args.shape->channels;
  const Strip strip = StripAt(args, t, rows);
  const TileOut to = ConvOut(args, t, 0, channels);
  ForPixels<kLeastStrip, DepthwiseStripPixels(kStride)>(
      t.pixels, [&]<size_t kPixels>(Pixels<kPixels>)
                    HWY_ATTR { StripChannels<kPixels, kStride, VF>(strip, args, channels, to); });
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_

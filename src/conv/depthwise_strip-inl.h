// Depthwise convolution, three by three taps, stride 1 or 2: a strip of outputs from the top down.
// A vector of the image is loaded once for all outputs of the strip that read it, and the weights
// once for the strip: nine of them and the sums of three rows of six pixels fill 32 registers.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#endif

#include "src/conv/depthwise_table-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A row of a strip's sums, and one of its weights. Templates, because SVE's vectors cannot be
// members; where there are strips, they can.
template <class V>
struct StripSums {
  V s0, s1, s2, s3, s4, s5;
};
template <class V>
struct StripWeights {
  V w0, w1, w2;
};

// Which rows of taps a row of the image is, each of them for another row of outputs.
template <bool kFirst, bool kSecond, bool kThird>
struct TapRows {};

template <size_t kPixels, size_t kStride, size_t kColumn, class V>
HWY_INLINE void AddStripColumn(V x, const StripWeights<V>& w, StripSums<V>& s) {
  AddColumn<3, kPixels, kStride, kColumn>(x, w.w0, w.w1, w.w2, x, x, x, x, s.s0, s.s1, s.s2, s.s3,
                                          s.s4, s.s5);
}

// Columns kColumn and up of a row of the image: as the first row of taps of `newest`, the second of
// those outputs above it, `middle`, and the third of the ones above those, `oldest`.
template <size_t kPixels, size_t kStride, bool kFirst, bool kSecond, bool kThird,
          size_t kColumn = 0, class V>
HWY_INLINE void AddImageRow(const float* const* row, size_t at, const StripWeights<V>& first,
                            const StripWeights<V>& second, const StripWeights<V>& third,
                            StripSums<V>& oldest, StripSums<V>& middle, StripSums<V>& newest) {
  const V x = hn::LoadU(DF(), row[kColumn] + at);
  if constexpr (kThird) AddStripColumn<kPixels, kStride, kColumn>(x, third, oldest);
  if constexpr (kSecond) AddStripColumn<kPixels, kStride, kColumn>(x, second, middle);
  if constexpr (kFirst) AddStripColumn<kPixels, kStride, kColumn>(x, first, newest);
  if constexpr (kColumn + 1 < kStride * (kPixels - 1) + 3) {
    AddImageRow<kPixels, kStride, kFirst, kSecond, kThird, kColumn + 1>(
        row, at, first, second, third, oldest, middle, newest);
  }
}

// The end of a row of a strip, and on to the row below. `plain`: a frequent chain that adds no
// tensor. Others go by way of L1, which is less code than one of their own in each row.
template <size_t kPixels, class V>
HWY_INLINE void FinishStripRow(DepthwiseOut& to, size_t down, size_t c, bool plain,
                               const StripSums<V>& s) {
  if (HWY_LIKELY(plain)) {
    FinishVectors<kPixels, true, false>(to.finish, c, s.s0, s.s1, s.s2, s.s3, s.s4, s.s5);
  } else {
    HWY_ALIGN float tile[kPixels * kPanel];
    StoreRows<kPixels, 1>(tile, s.s0, s.s0, s.s0, s.s0, s.s1, s.s1, s.s1, s.s1, s.s2, s.s2, s.s2,
                          s.s2, s.s3, s.s3, s.s3, s.s3, s.s4, s.s4, s.s4, s.s4, s.s5, s.s5, s.s5,
                          s.s5);
    FinishCopied(to.out, to.finish, 0, c, kPixels, tile, hn::Lanes(DF()));
  }
  to.Down(1, down);
}

// One vector of channels, from c on, of `rows` >= 2 rows of kPixels outputs, `down` apart, the
// first at `to`. The first row of `table` is that of their taps. Sums change names from row to row
// instead of moving, which the ports of multiply-adds would have to do.
template <size_t kPixels, size_t kStride, class V = VF>
HWY_INLINE void DepthwiseStrip(const TapTable::Row* table, size_t rows, size_t shift,
                               const float* weights, size_t c, DepthwiseOut to, size_t down) {
  const bool plain = to.out.chain->in_registers && to.finish.add == nullptr;
  const auto weight = [&](size_t tap) HWY_ATTR __attribute__((always_inline)) {
    return hn::LoadU(DF(), weights + tap * kPanel);
  };
  const StripWeights<V> w0 = {weight(0), weight(1), weight(2)};
  const StripWeights<V> w1 = {weight(3), weight(4), weight(5)};
  const StripWeights<V> w2 = {weight(6), weight(7), weight(8)};
  const V zero = hn::Zero(DF());
  StripSums<V> a = {zero, zero, zero, zero, zero, zero}, b = a, none = a;
  // The next row of the image; where it is the third row of taps of some outputs, they are done.
  const auto add = [&]<bool kFirst, bool kSecond, bool kThird>(
      TapRows<kFirst, kSecond, kThird>, StripSums<V> & oldest, StripSums<V> & middle,
      StripSums<V> & newest) HWY_ATTR __attribute__((always_inline)) {
    if constexpr (kFirst) newest = {zero, zero, zero, zero, zero, zero};
    AddImageRow<kPixels, kStride, kFirst, kSecond, kThird>(*table++, c + shift, w0, w1, w2, oldest,
                                                           middle, newest);
    if constexpr (kThird) FinishStripRow<kPixels>(to, down, c, plain, oldest);
  };
  constexpr TapRows<true, false, false> kTop;
  constexpr TapRows<false, false, true> kBottom;
  add(kTop, none, none, a);
  if constexpr (kStride == 1) {
    constexpr TapRows<true, true, true> kAll;
    StripSums<V> d = none;
    add(TapRows<true, true, false>(), none, a, b);
    size_t r = rows - 2;
    for (; r % 3 != 0; --r) {
      add(kAll, a, b, d);
      a = b;
      b = d;
    }
    for (; r != 0; r -= 3) {
      add(kAll, a, b, d);
      add(kAll, b, d, a);
      add(kAll, d, a, b);
    }
    add(TapRows<false, true, true>(), a, b, none);
    add(kBottom, b, none, none);
  } else {
    constexpr TapRows<false, true, false> kMiddle;
    constexpr TapRows<true, false, true> kBottomAndTop;
    size_t r = rows - 1;
    if (r % 2 != 0) {
      add(kMiddle, none, a, none);
      add(kBottomAndTop, a, none, b);
      a = b;
      --r;
    }
    for (; r != 0; r -= 2) {
      add(kMiddle, none, a, none);
      add(kBottomAndTop, a, none, b);
      add(kMiddle, none, b, none);
      add(kBottomAndTop, b, none, a);
    }
    add(kMiddle, none, a, none);
    add(kBottom, a, none, none);
  }
}

// All channels of a strip: to.out.cols from `first` on, whole vectors.
template <size_t kPixels, size_t kStride>
HWY_NOINLINE void DepthwiseStripChannels(const TapTable::Row* table, size_t rows,
                                         const ConvArgs& args, size_t first, size_t shift,
                                         const DepthwiseOut& to) {
  const size_t lanes = hn::Lanes(DF());
  constexpr size_t kPanelStride = 3 * 3 * kPanel;
  const auto weights = [&](size_t c) HWY_ATTR {
    return args.panels + (first + c) / kPanel * kPanelStride + (first + c) % kPanel;
  };
  const size_t cols = to.out.cols;
  const size_t down = args.y.row_stride;
  for (size_t c = 0; c < cols; c += lanes) {
    DepthwiseStrip<kPixels, kStride>(table, rows, shift, weights(c), c, to, down);
  }
}

// Strips of so many pixels and more: narrower ones are rare, and not worth their code.
constexpr size_t kMinStrip = 4;

template <size_t kStride>
HWY_INLINE void DepthwiseStripPixels(const TapTable::Row* table, size_t rows, const ConvArgs& args,
                                     size_t pixels, size_t first, size_t shift,
                                     const DepthwiseOut& to) {
  const auto run = [&]<size_t kPixels>(Pixels<kPixels>) HWY_ATTR {
    DepthwiseStripChannels<kPixels, kStride>(table, rows, args, first, shift, to);
  };
  ForPixels<kMinStrip>(pixels, run);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_

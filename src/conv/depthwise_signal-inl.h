// Depthwise convolution of signals: kernels of one row at stride 1. A block of taps keeps its
// weights in registers, and a vector of the image is loaded once for all pixels of a tile that read
// it with one of them. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_SIGNAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_SIGNAL_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_SIGNAL_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_SIGNAL_INL_H_
#endif

#include <algorithm>

#include "src/common/tall_tile-inl.h"
#include "src/conv/depthwise_tile-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

template <class V>
using SignalSums = TallSums<kSignalPixels, 1, V>;

// x as tap kN of pixel kColumn - kN, where there is such a pixel.
template <size_t kColumn, size_t kN, class V>
HWY_INLINE void AddSignalTap(V x, const V* w, SignalSums<V>& s) {
  constexpr size_t kPixel = kColumn - kN;
  if constexpr (kPixel < kSignalPixels) s.row[kPixel][0] = Fma(x, w[kN], s.row[kPixel][0]);
}
template <size_t kColumn, class V, size_t... kTap>
HWY_INLINE void AddSignalColumn(V x, const V* w, SignalSums<V>& s, std::index_sequence<kTap...>) {
  (AddSignalTap<kColumn, kTap>(x, w, s), ...);
}

// Columns kColumn and up of a block of kTaps taps; `a` is the last with an address.
template <size_t kColumn, size_t kTaps, class V>
HWY_INLINE void AddSignalColumns(const float* a, const StripSteps& steps, const V* w,
                                 SignalSums<V>& s) {
  V x = hn::LoadU(hn::DFromV<V>(), ColumnOf<kColumn>(a, steps));
  // Loaded once: GCC would make it the operand of each multiply-add.
  if constexpr (kTaps > 1) asm("" : "+v"(x.raw));
  AddSignalColumn<kColumn>(x, w, s, Indices<kTaps>());
  if constexpr (kColumn + 2 < kSignalPixels + kTaps) {
    const float* next = kColumn % 4 == 3 ? Below(a, 2 * steps.two) : a;
    AddSignalColumns<kColumn + 1, kTaps>(next, steps, w, s);
  }
}

// A block of taps, and on to the next.
template <size_t kTaps, class V>
HWY_INLINE void AddSignalTaps(const float*& a, const StripSteps& steps, const float*& w,
                              SignalSums<V>& s) {
  V weights[kTaps];
  for (size_t i = 0; i < kTaps; ++i) weights[i] = hn::LoadU(hn::DFromV<V>(), w + i * kPanel);
  AddSignalColumns<0, kTaps>(a, steps, weights, s);
  a += kTaps * steps.one;
  w += kTaps * kPanel;
}

// Channels [begin, end) of a tile, of which `from` is what the first pixel's first tap reads, and
// pixels are `step` floats apart. Where it has too few pixels, `front` of another come first, which
// are not written. A last vector that the channels do not fill is zeros behind them.
template <class V>
HWY_NOINLINE void SignalChannels(const ConvArgs& args, const ConvTile& t, size_t front,
                                 const float* from, size_t step, size_t begin, size_t end) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const size_t kernel_w = args.shape->kernel_w;
  const StripSteps steps = StepsOf(step);
  const Chain& chain = *args.chain;
  const bool plain = chain.in_registers && chain.add == nullptr;
  const float* const bias = chain.bias;
  const V lower = hn::Set(d, chain.lo);
  const V upper = hn::Set(d, chain.hi);
  const float* const panels = args.panels;
  const size_t across = args.y.pixel_stride;
  float* const y = OutputOf(args, t, 0);
  for (size_t c = begin; c < end; c += lanes, from += lanes) {
    const float* a = from;
    const float* w = panels + c / kPanel * (kernel_w * kPanel) + c % kPanel;
    SignalSums<V> s;
    for (auto& sum : s.row) sum[0] = hn::Zero(d);
    size_t taps = kernel_w;
#pragma GCC unroll 1
    for (; taps >= kSignalTaps; taps -= kSignalTaps) AddSignalTaps<kSignalTaps>(a, steps, w, s);
    if constexpr (kSignalTaps > 4) {
      if ((taps & 4) != 0) AddSignalTaps<4>(a, steps, w, s);
    }
    if ((taps & 2) != 0) AddSignalTaps<2>(a, steps, w, s);
    if ((taps & 1) != 0) AddSignalTaps<1>(a, steps, w, s);
    if (HWY_LIKELY(plain && end - c >= lanes)) {
      const V add = hn::LoadU(d, bias == nullptr ? kNoBias : bias + c);
      float* out = y + c;
      for (size_t p = 0; p < kSignalPixels; ++p) {
        if (p < front) continue;
        hn::StoreU(MinKeepNaN(MaxKeepNaN(hn::Add(s.row[p][0], add), lower), upper), d, out);
        out += across;
      }
    } else {
      HWY_ALIGN float tile[kSignalPixels * kPanel];
      StoreTall(tile, lanes, s);
      FinishTile(ConvOut(args, t, c, std::min(lanes, end - c)), t.pixels, tile + front * lanes,
                 lanes);
    }
  }
}

// Tile t. At the padding, and where channels end within a vector, what a vector of channels reads
// is copied.
template <class V>
HWY_NOINLINE void RunSignal(const ConvArgs& args, const ConvTile& t, size_t /*rows*/,
                            bool /*alone*/) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  const Conv2dShape& s = *args.shape;
  const ImageView<const float>& image = args.x;
  const size_t first = std::max(t.pixel + t.pixels, kSignalPixels) - kSignalPixels;
  const size_t front = t.pixel - first;
  const size_t columns = kSignalPixels - 1 + s.kernel_w;
  // Unsigned: what lies before the image is huge, and wraps back.
  const size_t x = first - s.padding.left;
  const size_t y = t.row - s.padding.top;
  const bool inner = y < image.height && x < image.width && columns <= image.width - x;
  const size_t whole = inner ? Quotient(s.channels, lanes) * lanes : 0;
  const size_t step = image.pixel_stride;
  const float* row = At(image.data, t.image * image.image_stride + y * image.row_stride);
  if (whole != 0) SignalChannels<V>(args, t, front, At(row, x * step), step, 0, whole);
  HWY_ALIGN float copy[kSignalColumns * kPanel];
  for (size_t c = whole, cols; c < s.channels; c += cols) {
    cols = std::min(s.channels - c, lanes);
    for (size_t i = 0; i < columns; ++i) {
      const bool inside = y < image.height && x + i < image.width;
      const float* from = inside ? At(row, (x + i) * step + c) : kZeros;
      hn::StoreU(cols == lanes ? hn::LoadU(d, from) : hn::LoadN(d, from, cols), d,
                 copy + i * lanes);
    }
    SignalChannels<V>(args, t, front, copy, lanes, c, c + cols);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_SIGNAL_INL_H_

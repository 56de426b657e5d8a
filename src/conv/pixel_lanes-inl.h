// Dense convolution with few outputs of few inputs, as the first layers of small networks: lanes
// are pixels of a row, and weights are broadcast, so that vectors are full where up to eight
// outputs would fill half of one of sixteen lanes, or up to four half of one of eight. The rows
// that a row of outputs reads are taken apart into planes of every n-th float, where n is the
// distance of two pixels: what the pixels of a vector read as one tap lies side by side there.
// Tiles go down the image, so that each row is taken apart once. Per-target header: include it
// after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_PIXEL_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_PIXEL_LANES_INL_H_
#undef LANEFUSE_SRC_CONV_PIXEL_LANES_INL_H_
#else
#define LANEFUSE_SRC_CONV_PIXEL_LANES_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "src/conv/pixel_planes-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

HWY_INLINE bool UsesPixelLanes(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  const size_t apart = s.stride_w * s.channels;
  return kPixelLanes && s.groups == 1 && s.outputs <= kPixelOutputs && apart <= 8 && apart != 5 &&
         apart != 7 && s.kernel_w > 1 && s.kernel_h <= kPixelRows &&
         s.kernel_w * s.channels <= kPixelTaps && (s.dilation_h | s.dilation_w) == 1 &&
         args.x.pixel_stride == s.channels && args.x.width <= kPixelMostWidth &&
         args.y.width <= kPixelMostWidth && args.chain->in_registers &&
         args.chain->add == nullptr && args.y.width >= kPixelWidth &&
         PixelVectors(s, args.y.width) != 0;
}

// A tile of pixels, whose rows are `out` and those below.
struct PixelTile {
  const ConvArgs* args;
  RowTaker take;
  const float* x;  // the first row that is read; it may lie above the image
  size_t at;       // the first float that its first pixel reads; it may lie left of the image
  size_t y;        // that row
  size_t rows, pixels;
  float* out;
  float bias[kPixelOutputs];
  uint16_t tap[kPixelTaps];  // where they lie in the planes of a row
  size_t vectors;
  PixelPlanes planes;

  PixelTile(const ConvArgs& of, size_t of_pixels)
      : args(&of),
        pixels(of_pixels),
        bias(),
        vectors(QuotientUp(pixels, kPixelLane)),
        planes(*of.shape, vectors) {}
};

// Transposes 4x4 lanes of each 128 bits.
template <class V>
HWY_INLINE void TransposeLanes(V& a, V& b, V& c, V& e) {
  const hn::DFromV<V> d;
  const hn::RepartitionToWide<decltype(d)> wide;
  const auto ab = hn::BitCast(wide, hn::InterleaveLower(d, a, b));
  const auto ce = hn::BitCast(wide, hn::InterleaveLower(d, c, e));
  const auto ab2 = hn::BitCast(wide, hn::InterleaveUpper(d, a, b));
  const auto ce2 = hn::BitCast(wide, hn::InterleaveUpper(d, c, e));
  a = hn::BitCast(d, hn::InterleaveLower(wide, ab, ce));
  b = hn::BitCast(d, hn::InterleaveUpper(wide, ab, ce));
  c = hn::BitCast(d, hn::InterleaveLower(wide, ab2, ce2));
  e = hn::BitCast(d, hn::InterleaveUpper(wide, ab2, ce2));
}

// Transposes 4x4 parts of 128 bits.
template <class V>
HWY_INLINE void TransposeBlocks(V& a, V& b, V& c, V& e) {
  const hn::DFromV<V> d;
  const hn::RebindToSigned<decltype(d)> di;
  alignas(64) static constexpr int32_t kLower[16] = {0, 1, 2, 3, 16, 17, 18, 19,
                                                     4, 5, 6, 7, 20, 21, 22, 23};
  const auto lower = hn::IndicesFromVec(d, hn::Load(di, kLower));
  const auto upper = hn::IndicesFromVec(d, hn::Xor(hn::Load(di, kLower), hn::Set(di, 8)));
  const V ab = hn::TwoTablesLookupLanes(d, a, b, lower);
  const V ce = hn::TwoTablesLookupLanes(d, c, e, lower);
  const V ab2 = hn::TwoTablesLookupLanes(d, a, b, upper);
  const V ce2 = hn::TwoTablesLookupLanes(d, c, e, upper);
  a = hn::ConcatLowerLower(d, ce, ab);
  b = hn::ConcatUpperUpper(d, ce, ab);
  c = hn::ConcatLowerLower(d, ce2, ab2);
  e = hn::ConcatUpperUpper(d, ce2, ab2);
}

// Writes up to eight outputs of 16 pixels, the first `pixels` of them.
template <class V>
HWY_INLINE void StorePixels(V (&s)[8], const ConvArgs& args, size_t pixels, float* y) {
  const hn::DFromV<V> d;
  const hn::Half<decltype(d)> half;
  const size_t stride = args.y.pixel_stride;
  // Four outputs of pixels 0, 4, 8 and 12 in one vector, of 1, 5, 9 and 13 in the next; then all of
  // two neighbours.
  TransposeLanes(s[0], s[1], s[2], s[3]);
  TransposeLanes(s[4], s[5], s[6], s[7]);
  TransposeBlocks(s[0], s[4], s[1], s[5]);
  TransposeBlocks(s[2], s[6], s[3], s[7]);
  const V pair[] = {s[0], s[2], s[4], s[6], s[1], s[3], s[5], s[7]};
  if (HWY_LIKELY(pixels >= 16 && stride == 8 && args.y.channels == 8)) {
    for (size_t i = 0; i < 8; ++i) hn::StoreU(pair[i], d, y + i * 16);
    return;
  }
  const auto live = hn::FirstN(half, args.y.channels);
  for (size_t i = 0; i < 8; ++i) {
    auto upper = hn::UpperHalf(half, pair[i]);
    // Its own instruction: an extraction straight to memory would touch the lanes left out, too.
    asm("" : "+v"(upper.raw));
    if (2 * i < pixels) hn::BlendedStore(hn::LowerHalf(half, pair[i]), live, half, y);
    if (2 * i + 1 < pixels) hn::BlendedStore(upper, live, half, y + stride);
    y += 2 * stride;
  }
}

// Writes up to four outputs of eight pixels, the first `pixels` of them.
template <class V>
HWY_INLINE void StorePixels(V (&s)[4], const ConvArgs& args, size_t pixels, float* y) {
  const hn::DFromV<V> d;
  const hn::Half<decltype(d)> half;
  const size_t stride = args.y.pixel_stride;
  // All outputs of pixels 0 and 4, of 1 and 5, ...
  TransposeLanes(s[0], s[1], s[2], s[3]);
  const bool whole = args.y.channels >= 4;
  for (size_t i = 0; i < 4; ++i, y += stride) {
    const auto lower = hn::LowerHalf(half, s[i]);
    const auto upper = hn::UpperHalf(half, s[i]);
    if (HWY_LIKELY(whole && pixels >= 8)) {
      hn::StoreU(lower, half, y);
      hn::StoreU(upper, half, y + 4 * stride);
      continue;
    }
    if (i < pixels) hn::StoreN(lower, half, y, args.y.channels);
    if (i + 4 < pixels) hn::StoreN(upper, half, y + 4 * stride, args.y.channels);
  }
}

// The end of a vector of pixels, `pixels` of them or all, which go to y.
template <class V>
HWY_INLINE void FinishPixels(V (&s)[kPixelOutputs], const float* bias, const ConvArgs& args,
                             size_t pixels, float* y) {
  const hn::DFromV<V> d;
  const V lo = hn::Set(d, args.chain->lo);
  const V hi = hn::Set(d, args.chain->hi);
  for (size_t o = 0; o < kPixelOutputs; ++o) {
    s[o] = MinKeepNaN(MaxKeepNaN(hn::Add(s[o], hn::Set(d, bias[o])), lo), hi);
  }
  StorePixels(s, args, pixels, y);
}

// s += the inputs x of an output's pixels * a weight of that output.
template <size_t kVectors, class V, size_t... kVector>
HWY_INLINE void AddInputs(const V* x, V w, V* s, std::index_sequence<kVector...>) {
  ((s[kVector] = Fma(x[kVector], w, s[kVector])), ...);
}
template <size_t kVectors, class V, size_t... kOutput>
HWY_INLINE void AddTapOfPixels(const V* x, const float* w, V (*s)[kVectors],
                               std::index_sequence<kOutput...>) {
  (AddInputs<kVectors>(x, hn::Set(hn::DFromV<V>(), w[kOutput]), s[kOutput], Indices<kVectors>()),
   ...);
}

// A row of outputs, which reads the planes at `rows`.
template <size_t kVectors, class V>
HWY_NOINLINE void PixelsOfRow(const PixelTile& t, const float* const* rows, float* y) {
  const hn::DFromV<V> d;
  V s[kPixelOutputs][kVectors];
  for (auto& sums : s) {
    for (V& sum : sums) sum = hn::Zero(d);
  }
  const float* w = t.args->panels;
  for (size_t ky = 0; ky < t.args->shape->kernel_h; ++ky) {
    const float* row = rows[ky];
    const uint16_t* tap = t.tap;
    const uint16_t* const end = tap + t.planes.length;
    for (; tap != end; ++tap, w += kPanel) {
      V x[kVectors];
      for (size_t v = 0; v < kVectors; ++v) x[v] = hn::LoadU(d, row + *tap + v * kPixelLane);
      AddTapOfPixels<kVectors>(x, w, s, Indices<kPixelOutputs>());
    }
  }
  size_t pixels = t.pixels;
  for (size_t v = 0; v < kVectors; ++v) {
    V sums[kPixelOutputs];
    for (size_t o = 0; o < kPixelOutputs; ++o) sums[o] = s[o][v];
    FinishPixels(sums, t.bias, *t.args, pixels, y);
    y += kPixelLane * t.args->y.pixel_stride;
    pixels -= std::min(pixels, kPixelLane);
  }
}

// All rows of a tile. Rows of the image stay in their place, each as long as it is wanted.
template <class V>
HWY_NOINLINE void PixelsOfRows(const PixelTile& t) {
  HWY_ALIGN float planes[kPlaneFloats];
  const float* rows[kPixelRows];
  const Conv2dShape& s = *t.args->shape;
  const ImageView<const float>& x = t.args->x;
  const size_t size = t.planes.row;
  const size_t end = s.kernel_h * size;
  size_t taken = 0;  // rows of the image
  float* out = t.out;
  for (size_t r = 0; r < t.rows; ++r) {
    size_t place = r * s.stride_h % s.kernel_h * size;  // of the first row of taps
    for (size_t ky = 0; ky < s.kernel_h; ++ky) {
      float* const to = planes + place;
      const size_t row = r * s.stride_h + ky;
      if (row >= taken) {
        const size_t here = t.y + row;
        t.take({At(t.x, row * x.row_stride), here < x.height ? x.width * s.channels : 0}, t.at,
               t.vectors, t.planes, to);
        taken = row + 1;
      }
      rows[ky] = to;
      place = place + size == end ? 0 : place + size;
    }
    if (t.vectors == 3) {
      PixelsOfRow<3, V>(t, rows, out);
    } else if (t.vectors == 2) {
      PixelsOfRow<2, V>(t, rows, out);
    } else {
      PixelsOfRow<1, V>(t, rows, out);
    }
    out += t.args->y.row_stride;
  }
}

// `rows` rows of a tile.
template <class V>
HWY_NOINLINE void RunPixelTile(const ConvArgs& args, const ConvTile& tile, size_t rows,
                               bool /*alone*/) {
  const Conv2dShape& s = *args.shape;
  PixelTile t(args, tile.pixels);
  std::copy_n(args.chain->bias == nullptr ? kNoBias : args.chain->bias, s.outputs, t.bias);
  t.take = RowTakerFor<V>(t.planes.apart);
  t.y = tile.row * s.stride_h - s.padding.top;
  t.x = At(args.x.data, tile.image * args.x.image_stride + t.y * args.x.row_stride);
  t.at = (tile.pixel * s.stride_w - s.padding.left) * s.channels;
  t.rows = rows;
  t.out = OutputOf(args, tile, 0);
  for (size_t i = 0, plane = 0, behind = 0; i < t.planes.length; ++i) {
    t.tap[i] = static_cast<uint16_t>(plane * t.planes.stride + behind);
    if (++plane == t.planes.apart) {
      plane = 0;
      ++behind;
    }
  }
  PixelsOfRows<V>(t);
}

// Units (tiles) [begin, end).
template <class V>
HWY_INLINE void ConvPixelLanes(const ConvArgs& args, size_t begin, size_t end) {
  ForStrips(args, args.y.height, begin, end, RunPixelTile<V>);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_PIXEL_LANES_INL_H_

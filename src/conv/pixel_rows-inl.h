// Dense convolution with up to four outputs of many inputs, as the last layers of networks that
// make images: lanes are pixels of a row, of which eight make a vector. Each row of the image is
// transposed once for a tile, or, where channels are many, once for each tap of a row, and added to
// all rows of outputs that read it. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_PIXEL_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_PIXEL_ROWS_INL_H_
#undef LANEFUSE_SRC_CONV_PIXEL_ROWS_INL_H_
#else
#define LANEFUSE_SRC_CONV_PIXEL_ROWS_INL_H_
#endif

#include <algorithm>

#include "src/conv/pixel_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Sums of a tile: those of one output row and output are kRowVectors vectors, or one.
constexpr size_t kRowVectors = 2;
constexpr size_t kRowSums = 28;  // of rows of taps and outputs: 1.8 KB of stack
static_assert(!kPixelRowTiles || (kPixelLane == 8 && kPixelOutputs == kPixelRowOutputs));
// Of them at a time: 12 sums, two vectors of pixels and a weight, or as many as there are
// addresses.
constexpr size_t RowGroup(size_t vectors) { return vectors == 2 ? 6 : 9; }

constexpr size_t kMostRowChannels = size_t{1} << 24;  // so that floats of a row can be counted

// Floats from one channel of a transposed row to the next.
HWY_INLINE size_t RowPlane(const Conv2dShape& s, size_t vectors) {
  return vectors * kPixelLane + s.kernel_w - 1;
}

// Whether a row is transposed anew for each tap: all columns of all channels would take too much of
// the stack.
HWY_INLINE bool TransposesForTaps(const Conv2dShape& s, size_t vectors) {
  return s.channels * RowPlane(s, vectors) > kPlaneFloats;
}

// Vectors of pixels that a tile may have.
HWY_INLINE size_t RowVectors(const Conv2dShape& s, size_t width) {
  if (width <= kPixelLane) return 1;
  // 64 channels: two vectors, transposed for each tap, would take 1.0 to 1.2.
  return TransposesForTaps(s, 2) && !TransposesForTaps(s, 1) ? 1 : 2;
}

// Rows of taps that lie in the image, of all rows of outputs.
HWY_INLINE size_t RowsInside(const ConvArgs& args) {
  size_t rows = 0;
  for (size_t ky = 0; ky < args.shape->kernel_h; ++ky) {
    const size_t top = args.shape->padding.top;
    const size_t first = top - std::min(top, ky);
    const size_t last =
        std::min(args.x.height + top - std::min(args.x.height + top, ky), args.y.height);
    rows += last - std::min(first, last);
  }
  return rows;
}

// Whether that gains: full vectors of pixels take so many sixteenths of the time of vectors of
// outputs, with nine taps, and do not leave out what lies above and below the image; others do so
// in part, a sixteenth is for that. With one vector, where channels are many, sums wait for each
// other; with more, transposing takes as long as multiplying (64x64x128, AVX512 and AVX2: one
// output 0.49 and 0.42, two 0.62 and 0.50; 64x64x96, three 0.75 and 0.62; 32x32x128, four 0.85 and
// 0.81).
HWY_INLINE bool GainsByPixelRows(const ConvArgs& args) {
  constexpr size_t kTime[3][kPixelRowOutputs] = {{8, 10, 10, 16}, {8, 8, 10, 12}, {7, 9, 11, 13}};
  const Conv2dShape& s = *args.shape;
  const size_t width = args.y.width;
  const size_t vectors = RowVectors(s, width);
  const size_t taps = s.kernel_h * s.kernel_w;
  if (taps == 1 && s.outputs != 1) return false;  // would take 1.1 to 1.25
  const size_t time = kTime[TransposesForTaps(s, vectors) ? 2 : vectors - 1][s.outputs - 1] +
                      (taps < 9 ? 6 : 0) - (taps < 25 ? 0 : 4);
  const size_t lanes = vectors * kPixelLane;
  return QuotientUp(width, lanes) * lanes * time * s.kernel_h * args.y.height <=
         width * 17 * RowsInside(args);
}

HWY_NOINLINE inline bool UsesPixelRows(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  return kPixelRowTiles && s.groups == 1 && s.outputs <= kPixelRowOutputs && s.channels >= 4 &&
         s.channels <= kMostRowChannels && s.kernel_w <= kPlaneFloats / kPixelLane &&
         s.kernel_h <= kRowSums && s.kernel_h * s.outputs <= kRowSums && s.stride_h == 1 &&
         s.stride_w == 1 && (s.dilation_h | s.dilation_w) == 1 && args.y.width >= kPixelLane &&
         args.y.width <= kPixelMostWidth && args.chain->in_registers &&
         args.chain->add == nullptr && GainsByPixelRows(args);
}

// Columns [at, at + 8) of a row of the image, whose column x is `row` + x * stride if x < width,
// and padding otherwise: lane i of plane c is channel c of column i.
template <class V>
HWY_INLINE void TransposePixels(const float* row, size_t stride, size_t width, size_t at,
                                size_t channels, size_t plane, float* to) {
  const hn::DFromV<V> d;
  const hn::Half<decltype(d)> half;
  const float* from[kPixelLane];
  for (size_t i = 0; i < kPixelLane; ++i) {
    from[i] = at + i < width ? At(row, (at + i) * stride) : kZeros;
  }
  // The last four channels may be some of those before once more.
  for (size_t next = 0; next < channels; next += 4) {
    const size_t c = std::min(next, channels - 4);
    const auto pixels = [&](size_t i) HWY_ATTR __attribute__((always_inline)) {
      return hn::Combine(d, hn::LoadU(half, from[i + 4] + c), hn::LoadU(half, from[i] + c));
    };
    V v0 = pixels(0), v1 = pixels(1), v2 = pixels(2), v3 = pixels(3);
    TransposeLanes(v0, v1, v2, v3);
    float* p = to + c * plane;
    hn::StoreU(v0, d, p);
    hn::StoreU(v1, d, p + plane);
    hn::StoreU(v2, d, p + 2 * plane);
    hn::StoreU(v3, d, p + 3 * plane);
  }
}

// Where the sums of some pairs of a row of outputs and an output are, and their first weights.
struct RowPairs {
  const float* weights[RowGroup(1)];
  float* sums[RowGroup(1)];
};

// Transposed channels of a row, `apart` floats from each other, and the taps of a row that they
// are.
struct Planes {
  const float* data;
  size_t apart, channels, taps;
};

// These taps of kPairs pairs, each with its own weights, which meets the planes of a row.
template <size_t kPairs, size_t kVectors, class V>
HWY_NOINLINE void AddRowPairs(const RowPairs& pairs, const Planes& planes) {
  const hn::DFromV<V> d;
  V s[kPairs][kVectors];
  const float* w[kPairs];
  for (size_t i = 0; i < kPairs; ++i) {
    w[i] = pairs.weights[i];
    for (size_t v = 0; v < kVectors; ++v) s[i][v] = hn::LoadU(d, pairs.sums[i] + v * kPixelLane);
  }
  size_t at = 0;
  const size_t plane = planes.apart, channels = planes.channels;
  for (size_t kx = 0; kx < planes.taps; ++kx) {
    const float* x = planes.data + kx;
#pragma GCC unroll 1
    for (size_t c = 0; c < channels; ++c, x += plane, at += kPanel) {
      V pixels[kVectors];
      for (size_t v = 0; v < kVectors; ++v) pixels[v] = hn::LoadU(d, x + v * kPixelLane);
      for (size_t i = 0; i < kPairs; ++i) {
        const V weight = hn::Set(d, w[i][at]);
        for (size_t v = 0; v < kVectors; ++v) s[i][v] = Fma(pixels[v], weight, s[i][v]);
      }
    }
  }
  for (size_t i = 0; i < kPairs; ++i) {
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(s[i][v], d, pairs.sums[i] + v * kPixelLane);
  }
}

// The same for 1 to RowGroup(kVectors) of them.
template <size_t kVectors, class V, size_t kPairs = RowGroup(kVectors)>
HWY_INLINE void AddSomePairs(size_t count, const RowPairs& pairs, const Planes& planes) {
  if constexpr (kPairs > 1) {
    if (count < kPairs) return AddSomePairs<kVectors, V, kPairs - 1>(count, pairs, planes);
  }
  AddRowPairs<kPairs, kVectors, V>(pairs, planes);
}

// A row of the image, and the rows of taps [first, last) that it is for the outputs of a tile: 0
// for the lowest of them, 1 for the one above. Their sums lie in a ring of kernel_h places.
struct RowOfImage {
  const float* data;  // column 0
  size_t width;       // columns; 0 above and below the image
  size_t at;          // the first column that the tile's first pixel reads; may be left of column 0
  size_t first, last;
  size_t ring;  // the place of row of taps 0; the row above has the one before
};

// Planes of `row` for all rows of outputs that read it. Their first weight of each row of taps is
// `first` floats behind that row's.
template <class V>
HWY_INLINE void AddPlanes(const ConvArgs& args, const RowOfImage& row, size_t vectors,
                          const Planes& planes, size_t first, float* sums) {
  const Conv2dShape& s = *args.shape;
  const size_t taps = s.kernel_w * s.channels * kPanel;
  const size_t all = (row.last - row.first) * s.outputs;
  size_t left = all, ky = row.first, output = 0;
  // In groups of nearly equal size.
  for (size_t groups = QuotientUp(all, RowGroup(vectors)); groups != 0; --groups) {
    const size_t count = QuotientUp(left, groups);
    RowPairs pairs;
    for (size_t i = 0; i < count; ++i) {
      const size_t place = row.ring + (row.ring < ky ? s.kernel_h : 0) - ky;
      pairs.weights[i] = args.panels + ky * taps + first + output;
      pairs.sums[i] = sums + (place * s.outputs + output) * (kRowVectors * kPixelLane);
      if (++output == s.outputs) {
        output = 0;
        ++ky;
      }
    }
    left -= count;
    if (vectors == 2) {
      AddSomePairs<2, V>(count, pairs, planes);
    } else {
      AddSomePairs<1, V>(count, pairs, planes);
    }
  }
}

template <class V>
HWY_NOINLINE void AddRowOfImage(const ConvArgs& args, const RowOfImage& row, size_t vectors,
                                float* sums) {
  const Conv2dShape& s = *args.shape;
  HWY_ALIGN float data[kPlaneFloats];
  const bool for_taps = TransposesForTaps(s, vectors);
  const size_t apart = for_taps ? vectors * kPixelLane : RowPlane(s, vectors);
  // As many channels at a time as there is room for, in nearly equal parts: four or more, as the
  // last are transposed with some of those before.
  const size_t most = kPlaneFloats / kPixelLane / (vectors == 2 ? 2 : 1);
  const size_t parts = for_taps ? QuotientUp(s.channels, most) : 1;
  const size_t taps = for_taps ? s.kernel_w : 1;
  for (size_t kx = 0; kx < taps; ++kx) {
    size_t c = 0;
    for (size_t left = parts; left != 0; --left) {
      const size_t channels = left == 1 ? s.channels - c : QuotientUp(s.channels - c, left);
      for (size_t next = 0; next < apart; next += kPixelLane) {
        const size_t column = std::min(next, apart - kPixelLane);
        TransposePixels<V>(At(row.data, c), args.x.pixel_stride, row.width, row.at + kx + column,
                           channels, apart, data + column);
      }
      const Planes planes = {data, apart, channels, for_taps ? 1 : s.kernel_w};
      AddPlanes<V>(args, row, vectors, planes, (kx * s.channels + c) * kPanel, sums);
      c += channels;
    }
  }
}

// The end of a row of outputs, of which `pixels` are the tile's.
template <class V>
HWY_NOINLINE void FinishPixelRow(const ConvArgs& args, const float* sums, size_t pixels, float* y) {
  const size_t outputs = args.shape->outputs;
  float bias[kPixelOutputs] = {};
  std::copy_n(args.chain->bias == nullptr ? kNoBias : args.chain->bias, outputs, bias);
  for (size_t v = 0; pixels != 0; ++v, y += kPixelLane * args.y.pixel_stride) {
    V s[kPixelOutputs];
    for (size_t o = 0; o < kPixelOutputs; ++o) {
      const size_t from = std::min(o, outputs - 1);  // those that there are
      s[o] = hn::LoadU(hn::DFromV<V>(), sums + (from * kRowVectors + v) * kPixelLane);
    }
    FinishPixels(s, bias, args, pixels, y);
    pixels -= std::min(pixels, kPixelLane);
  }
}

// `rows` rows of a tile.
template <class V>
HWY_NOINLINE void RunPixelRows(const ConvArgs& args, const ConvTile& t, size_t rows,
                               bool /*alone*/) {
  const Conv2dShape& s = *args.shape;
  HWY_ALIGN float sums[kRowSums * kRowVectors * kPixelLane];
  const size_t vectors = t.pixels > kPixelLane ? 2 : 1;
  const size_t size = s.outputs * kRowVectors * kPixelLane;  // of a row of outputs
  const size_t top = t.row - s.padding.top;                  // may wrap
  float* y = OutputOf(args, t, 0);
  RowOfImage row;
  row.at = t.pixel - s.padding.left;
  row.ring = 0;
  for (size_t r = 0; r < rows + s.kernel_h - 1; ++r) {
    const size_t here = top + r;
    row.data = At(args.x.data, t.image * args.x.image_stride + here * args.x.row_stride);
    row.width = here < args.x.height ? args.x.width : 0;
    row.first = r < rows ? 0 : r + 1 - rows;
    row.last = std::min(r + 1, s.kernel_h);
    if (row.first == 0) std::fill_n(sums + row.ring * size, size, 0.0f);
    AddRowOfImage<V>(args, row, vectors, sums);
    if (++row.ring == s.kernel_h) row.ring = 0;
    if (r + 1 >= s.kernel_h) {
      FinishPixelRow<V>(args, sums + row.ring * size, t.pixels, y);
      y += args.y.row_stride;
    }
  }
}

// Units (tiles) [begin, end).
template <class V>
HWY_INLINE void ConvPixelRows(const ConvArgs& args, size_t begin, size_t end) {
  ForStrips(args, args.y.height, begin, end, RunPixelRows<V>);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_PIXEL_ROWS_INL_H_

// Rows of an image taken apart, for lanes that are pixels (src/conv/pixel_lanes-inl.h): planes of
// every n-th float, where n is the distance of two pixels.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_PIXEL_PLANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_PIXEL_PLANES_INL_H_
#undef LANEFUSE_SRC_CONV_PIXEL_PLANES_INL_H_
#else
#define LANEFUSE_SRC_CONV_PIXEL_PLANES_INL_H_
#endif

#include <algorithm>

#include "arch/tiles-inl.h"
#include "src/common/ops-inl.h"
#include "src/common/taps.h"
#include "src/conv/conv_args.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Pixels of a vector.
constexpr size_t kPixelLane = hn::MaxLanes(DF());

// What a tile of a shape needs, in floats.
struct PixelPlanes {
  size_t apart;   // two pixels; as many planes does a row have
  size_t length;  // of a row of taps
  size_t stride;  // from a plane to the next: all pixels and the taps behind the last
  size_t row;     // all planes of a row

  PixelPlanes(const Conv2dShape& s, size_t vectors)
      : apart(s.stride_w * s.channels),
        length(s.kernel_w * s.channels),
        stride(vectors * kPixelLane +
               static_cast<uint32_t>(length - 1) / static_cast<uint32_t>(apart)),
        row(apart * stride) {}
};

// The widest row of pixels: sizes of less than 32 bits.
constexpr size_t kPixelMostWidth = size_t{1} << 24;

// The time of a vector of pixels in tiles of one, two and three, in fifteenths of the last. Sums
// wait for each other: eight, of one vector and eight outputs, take 4/3 of the time; with four
// outputs, one vector has half of the sums that hide the adder, two have as many and no more.
constexpr uint32_t kTimeOfVectors[] = {kPixelOutputs == 8 ? 20 : 30, kPixelOutputs == 8 ? 15 : 18,
                                       15};

// Vectors of pixels that a tile of `width` pixels has: what leaves the fewest lanes empty. 0: too
// many rows of taps.
HWY_NOINLINE inline size_t PixelVectors(const Conv2dShape& s, size_t width) {
  size_t best = 0;
  uint32_t least = 0;
  for (uint32_t vectors = kPixelVectors; vectors != 0; --vectors) {
    if (s.kernel_h * PixelPlanes(s, vectors).row > kPlaneFloats) continue;
    const auto pixels = static_cast<uint32_t>(width);
    constexpr uint32_t kLanes = kPixelLane;
    const uint32_t tiles = (pixels + vectors * kLanes - 1) / (vectors * kLanes);
    const uint32_t each = ((pixels + tiles - 1) / tiles + kLanes - 1) / kLanes;
    const uint32_t work = tiles * each * kTimeOfVectors[vectors - 1];
    if (best != 0 && work >= least) continue;
    best = vectors;
    least = work;
  }
  return best;
}

// Every third float of three vectors, from one of them on: 3 has an inverse modulo the number of
// lanes, so that no two lie in the same lane. `vector` says whose lane it is, and `from` where the
// lanes of the result are.
template <size_t kLanes>
struct Thirds {
  alignas(64) int32_t vector[3][kLanes], from[3][kLanes];
  constexpr Thirds() : vector(), from() {
    for (size_t plane = 0; plane < 3; ++plane) {
      for (size_t i = 0; i < kLanes; ++i) {
        const size_t at = plane + 3 * i;
        vector[plane][at % kLanes] = static_cast<int32_t>(at / kLanes);
        from[plane][i] = static_cast<int32_t>(at % kLanes);
      }
    }
  }
};

// Plane i of kPlanes vectors: every kPlanes-th float, from float i on.
template <size_t kPlanes, class V>
HWY_INLINE void TakeApart(V* v) {
  const hn::DFromV<V> d;
  if constexpr (kPlanes == 3) {
    static constexpr Thirds<hn::MaxLanes(d)> kThirds;
    const hn::RebindToSigned<hn::DFromV<V>> di;
    const V a = v[0], b = v[1], c = v[2];
    for (size_t i = 0; i < 3; ++i) {
      const auto vector = hn::Load(di, kThirds.vector[i]);
      const auto second = hn::RebindMask(d, hn::Eq(vector, hn::Set(di, 1)));
      const auto third = hn::RebindMask(d, hn::Eq(vector, hn::Set(di, 2)));
      const V all = hn::IfThenElse(third, c, hn::IfThenElse(second, b, a));
      v[i] = hn::TableLookupLanes(all, hn::SetTableIndices(d, kThirds.from[i]));
    }
  } else if constexpr (kPlanes > 1) {
    constexpr size_t kHalf = kPlanes / 2;
    V even[kHalf], odd[kHalf];
    for (size_t i = 0; i < kHalf; ++i) {
      even[i] = hn::ConcatEven(d, v[2 * i + 1], v[2 * i]);
      odd[i] = hn::ConcatOdd(d, v[2 * i + 1], v[2 * i]);
    }
    TakeApart<kHalf>(even);
    TakeApart<kHalf>(odd);
    for (size_t i = 0; i < kHalf; ++i) {
      v[2 * i] = even[i];
      v[2 * i + 1] = odd[i];
    }
  }
}

// A row of the image: `floats` of them, and zeros on both sides.
struct PixelRow {
  const float* data;
  size_t floats;
};

// Floats of `row` from `at` on, which may lie before the row, and is then huge.
template <size_t kVectors, class V>
HWY_INLINE void LoadRow(const PixelRow& row, size_t at, V* v) {
  const hn::DFromV<V> d;
  constexpr size_t kFloats = kVectors * kPixelLane;
  if (HWY_LIKELY(at < row.floats && row.floats - at >= kFloats)) {
    for (size_t i = 0; i < kVectors; ++i) v[i] = hn::LoadU(d, row.data + at + i * kPixelLane);
  } else if constexpr (kMaskedLoads) {
    const hn::RebindToUnsigned<decltype(d)> du;
    for (size_t i = 0; i < kVectors; ++i, at += kPixelLane) {
      const auto lanes = hn::Add(hn::Iota(du, 0), hn::Set(du, static_cast<uint32_t>(at)));
      const auto inside = hn::Lt(lanes, hn::Set(du, static_cast<uint32_t>(row.floats)));
      v[i] = hn::MaskedLoad(hn::RebindMask(d, inside), d, At(row.data, at));
    }
  } else {
    HWY_ALIGN float part[kFloats] = {};
    const size_t before = at < row.floats ? 0 : std::min(size_t{0} - at, kFloats);
    at += before;
    if (at < row.floats) {
      std::copy_n(row.data + at, std::min(row.floats - at, kFloats - before), part + before);
    }
    for (size_t i = 0; i < kVectors; ++i) v[i] = hn::Load(d, part + i * kPixelLane);
  }
}

// Takes floats of `row` from `at` on apart: kPlanes of them for each pixel of `vectors` vectors,
// and those of the last pixel's taps that lie behind.
template <size_t kPlanes, class V>
HWY_NOINLINE void TakeRowApart(const PixelRow& row, size_t at, size_t vectors,
                               const PixelPlanes& planes, float* to) {
  const hn::DFromV<V> d;
  for (size_t n = 0; n < vectors; ++n, at += kPlanes * kPixelLane, to += kPixelLane) {
    V v[kPlanes];
    LoadRow<kPlanes>(row, at, v);
    TakeApart<kPlanes>(v);
    for (size_t i = 0; i < kPlanes; ++i) hn::StoreU(v[i], d, to + i * planes.stride);
  }
  for (size_t i = 0; i + kPlanes < planes.length; ++i, ++at) {
    to[i % kPlanes * planes.stride + i / kPlanes] = at < row.floats ? row.data[at] : 0.0f;
  }
}

using RowTaker = void (*)(const PixelRow& row, size_t at, size_t vectors, const PixelPlanes& planes,
                          float* to);
template <class V>
HWY_INLINE RowTaker RowTakerFor(size_t planes) {
  switch (planes) {
    case 1:
      return TakeRowApart<1, V>;
    case 2:
      return TakeRowApart<2, V>;
    case 3:
      return TakeRowApart<3, V>;
    case 4:
      return TakeRowApart<4, V>;
    case 6:
      return TakeRowApart<6, V>;
    default:
      return TakeRowApart<8, V>;
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_PIXEL_PLANES_INL_H_

// Dense convolution with one vector of outputs of one or three channels, as the first layers of
// small networks: three by three taps, stride 1 or 2. An input is broadcast once for all pixels of
// a tile that read it, instead of once for each of them. The columns of a tile are read in several
// parts beside each other, so that sums wait for each other less. Per-target header: include it
// after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_COLUMN_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_COLUMN_TILE_INL_H_
#undef LANEFUSE_SRC_CONV_COLUMN_TILE_INL_H_
#else
#define LANEFUSE_SRC_CONV_COLUMN_TILE_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A row of outputs of a tile.
template <size_t kChannels, size_t kStride, class V>
struct ColumnTile {
  using D = hn::DFromV<V>;
  static constexpr size_t kPixels = kColumnPixels;
  // A column of the image meets three pixels, or one or two.
  static constexpr size_t kParts = kStride == 1 ? 3 : 4;
  static constexpr size_t kPart = kPixels / kParts;
  static constexpr size_t kPartColumns = kStride * (kPart - 1) + 3;

  V sum[kPixels];

  template <size_t kPixel, size_t kTap>
  HWY_INLINE void AddTap(V x, const V* w) {
    // Column kTap - kStride * pixel of a part is before its pixel's first one, and wraps.
    if constexpr (kTap < 3) sum[kPixel] = Fma(x, w[kTap], sum[kPixel]);
  }
  template <size_t kFirst, size_t kColumn, size_t... kPixel>
  HWY_INLINE void AddPixels(V x, const V* w, std::index_sequence<kPixel...>) {
    (AddTap<kFirst + kPixel, kColumn - kStride * kPixel>(x, w), ...);
  }

  // Channel kChannel of column kColumn of all parts, for the taps of a row whose weights are `w`.
  // An input that two parts read is loaded once, if the compiler likes; an address of its own for
  // each part would take 1.04 of the time.
  template <size_t kColumn, size_t kChannel, size_t... kAt>
  HWY_INLINE void AddParts(const StripRow& row, const V* w, std::index_sequence<kAt...>) {
    const auto part = [&]<size_t kN>(std::index_sequence<kN>) HWY_ATTR
        __attribute__((always_inline)) {
      constexpr size_t kImage = kN * kPart * kStride + kColumn;  // column of the tile
      constexpr size_t kLast = kStride * (kPixels - 1) + 2;
      const float* at = kImage == 0       ? row.first
                        : kImage == kLast ? row.last
                                          : row.second + (kImage - 1) * kChannels;
      AddPixels<kN * kPart, kColumn>(hn::Set(D(), at[kChannel]), w, Indices<kPart>());
    };
    (part(std::index_sequence<kAt>()), ...);
  }
  template <size_t kColumn, size_t... kChannel>
  HWY_INLINE void AddColumn(const StripRow& row, const float* w, std::index_sequence<kChannel...>) {
    const auto channel = [&]<size_t kC>(std::index_sequence<kC>) HWY_ATTR
        __attribute__((always_inline)) {
      const D d;
      const V taps[3] = {hn::LoadU(d, w + kC * kPanel), hn::LoadU(d, w + (kChannels + kC) * kPanel),
                         hn::LoadU(d, w + (2 * kChannels + kC) * kPanel)};
      AddParts<kColumn, kC>(row, taps, Indices<kParts>());
    };
    (channel(std::index_sequence<kChannel>()), ...);
  }
  template <size_t... kColumn>
  HWY_INLINE void AddRow(const StripRow& row, const float* w, std::index_sequence<kColumn...>) {
    (AddColumn<kColumn>(row, w, Indices<kChannels>()), ...);
  }
};

// `rows` rows of tile t. Where it has too few pixels it begins further left, and writes pixels of
// the tile before once more; alone, where those may be another thread's, it writes its own.
template <size_t kChannels, size_t kStride, class V>
HWY_NOINLINE void RunColumnTile(const ConvArgs& args, const ConvTile& t, size_t rows, bool alone) {
  using Tile = ColumnTile<kChannels, kStride, V>;
  constexpr size_t kPixels = Tile::kPixels;
  const typename Tile::D d;
  ConvTile all = t;
  all.pixel = std::max(t.pixel + t.pixels, kPixels) - kPixels;
  all.pixels = kPixels;
  const Strip strip = StripAt(args, all, rows);
  const Chain& chain = *args.chain;
  const V bias = hn::LoadU(d, chain.bias == nullptr ? kNoBias : chain.bias);
  const V lo = hn::Set(d, chain.lo);
  const V hi = hn::Set(d, chain.hi);
  const size_t front = t.pixel - all.pixel;
  float* y = OutputOf(args, all, 0);
  for (size_t r = 0; r < rows; ++r, y += args.y.row_stride) {
    Tile tile;
    for (V& sum : tile.sum) sum = hn::Zero(d);
    const float* w = args.panels;
#pragma GCC unroll 1
    for (size_t ky = 0; ky < 3; ++ky, w += 3 * kChannels * kPanel) {
      const size_t down = r * kStride + ky;
      const StripRow& top = strip.top;
      StripRow row = {top.first + down * strip.first_down, At(top.second, down * strip.down),
                      top.last + down * strip.last_down, 0};
      if (HWY_UNLIKELY(t.row * kStride - args.shape->padding.top + down >= args.x.height)) {
        row = {kZeros, kZeros, kZeros, 0};
      }
      tile.AddRow(row, w, Indices<Tile::kPartColumns>());
    }
    float* to = y;
    for (size_t p = 0; p < kPixels; ++p, to += args.y.pixel_stride) {
      if (alone && p - front >= t.pixels) continue;
      hn::StoreU(MinKeepNaN(MaxKeepNaN(hn::Add(tile.sum[p], bias), lo), hi), d, to);
    }
  }
}

HWY_INLINE bool UsesColumnTiles(const ConvArgs& args) {
  const Conv2dShape& s = *args.shape;
  return kColumnTiles && s.groups == 1 && s.outputs == hn::Lanes(DF()) &&
         (s.channels == 1 || s.channels == 3) && args.x.pixel_stride == s.channels &&
         args.chain->in_registers && args.chain->add == nullptr && args.y.width >= kColumnPixels &&
         FitsStrips(args, 1);
}

// Units (tiles) [begin, end).
template <class V>
HWY_INLINE void ConvColumnTiles(const ConvArgs& args, size_t begin, size_t end) {
  const bool one = args.shape->stride_w == 1;
  ForStrips(args, args.y.height, begin, end,
            args.shape->channels == 1 ? (one ? RunColumnTile<1, 1, V> : RunColumnTile<1, 2, V>)
                                      : (one ? RunColumnTile<3, 1, V> : RunColumnTile<3, 2, V>));
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_COLUMN_TILE_INL_H_

// Depthwise convolution, three by three taps, stride 1 or 2: four lines of the cache of each pixel
// at a time, whose rows of the image are read once.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_ROLLING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_ROLLING_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_ROLLING_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_ROLLING_INL_H_
#endif

#include <algorithm>
#include <utility>

#include "src/common/tall_tile-inl.h"
#include "src/conv/depthwise_strip-inl.h"
#include "src/conv/strips-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Four lines of each pixel come from L2 together, and outputs go there together. One line of each
// is slow where pixels lie a power of two apart: all fall into a few sets of L1, and push each
// other out (14x14x512 took 1.5 of the time of 14x14x528). It is slow, too, where the image is much
// of L2. What the next row of outputs reads again, two rows of the image or one at stride 2, is
// kept in a copy, where it lies side by side; every row of the image is read once. Zeros of the
// padding are read like others.

// Channels of a block: four lines.
constexpr size_t kRollingChannels = 4 * kPanel;

// Columns of the image that a strip reads.
template <size_t kPixels, size_t kStride>
constexpr size_t kRollingColumns = kStride*(kPixels - 1) + 3;

// A row of the image that is kept: each column has room for a block.
template <size_t kPixels, size_t kStride>
constexpr size_t kKeptFloats = kRollingColumns<kPixels, kStride>* kRollingChannels;

// Columns kColumn and up of a row of the image, or of a kept one, meet the three taps w.
template <size_t kStride, bool kImage, bool kKeep, size_t kColumn, size_t kPixels, class V,
          size_t... kPixel>
HWY_INLINE void RollingColumns(const StripRow& from, const float* at, const V (&w)[3], float* keep,
                               StripSums<kPixels, V>& s, std::index_sequence<kPixel...> each) {
  constexpr size_t kLast = kRollingColumns<kPixels, kStride> - 1;
  const hn::DFromV<V> d;
  V x = hn::LoadU(d, kColumn == 0 ? from.first : kColumn == kLast ? from.last : at);
  asm("" : "+v"(x.raw));  // or GCC would make it the operand of each multiply-add
  if constexpr (kKeep) hn::StoreU(x, d, keep + kColumn * kRollingChannels);
  const auto add = [&]<size_t kTap>(RowIndex<kTap>, auto& sum) HWY_ATTR
      __attribute__((always_inline)) {
    if constexpr (kTap < 3) sum[0] = Fma(x, w[kTap], sum[0]);
  };
  (add(RowIndex<kColumn - kStride * kPixel>(), s.row[kPixel]), ...);
  if constexpr (kColumn < kLast) {
    const float* next = kColumn == 0 ? at : kImage ? Below(at, from.step) : at + kRollingChannels;
    RollingColumns<kStride, kImage, kKeep, kColumn + 1>(from, next, w, keep, s, each);
  }
}

// A row of taps, whose weights are at `weights`. kImage: of the image, and with kKeep kept.
template <size_t kStride, bool kImage, bool kKeep, size_t kPixels, class V>
HWY_INLINE void RollingTaps(const float* first, const float* second, const float* last, size_t step,
                            const float* weights, float* keep, StripSums<kPixels, V>& s) {
  const hn::DFromV<V> d;
  V w[3] = {hn::LoadU(d, weights), hn::LoadU(d, weights + kPanel),
            hn::LoadU(d, weights + 2 * kPanel)};
  asm("" : "+v"(w[0].raw), "+v"(w[1].raw), "+v"(w[2].raw));
  RollingColumns<kStride, kImage, kKeep, 0>({first, second, last, step}, second, w, keep, s,
                                            Indices<kPixels>());
}

// What a strip makes at a time.
struct RollingBlock {
  size_t channel;         // of the first vector
  size_t width;           // channels of its vectors
  size_t skip;            // lanes of the only vector that are outputs of another block
  const float* weights;   // of the first vector
  float *upper, *middle;  // rows that are kept: of the first taps, and at stride 1 of the second
};

// Keeps `width` channels of a row of the image, or as many zeros.
template <class V>
HWY_NOINLINE void KeepColumns(const StripRow& row, size_t columns, size_t width, bool zeros,
                              float* keep) {
  const hn::DFromV<V> d;
  const float* at = row.second;
  for (size_t column = 0; column < columns; ++column, keep += kRollingChannels) {
    const float* pixel = column == 0 ? row.first : column + 1 == columns ? row.last : at;
    if (column != 0) at = At(at, row.step);
    if (zeros) pixel = kZeros;
    for (size_t c = 0; c < width; c += hn::Lanes(d)) {
      hn::StoreU(hn::LoadU(d, pixel + c), d, keep + c);
    }
  }
}

template <size_t kPixels, size_t kStride, class V>
HWY_NOINLINE void RunRollingBlock(const Strip& strip, const ConvArgs& args, const TileOut& to,
                                  const RollingBlock& block) {
  const hn::DFromV<V> d;
  const size_t lanes = hn::Lanes(d);
  constexpr size_t kLastKept = (kRollingColumns<kPixels, kStride> - 1) * kRollingChannels;
  const Chain& chain = *to.chain;
  const bool plain = chain.in_registers && chain.add == nullptr;
  const size_t width = block.width, skip = block.skip, channel = block.channel;
  const size_t step = strip.top.step, down = strip.down;
  const size_t first_down = strip.first_down, last_down = strip.last_down;
  const float* first = strip.top.first + (first_down == 0 ? 0 : channel);
  const float* second = At(strip.top.second, channel);
  const float* last = strip.top.last + (last_down == 0 ? 0 : channel);
  float *upper = block.upper, *middle = block.middle;
  const auto next = [&]() HWY_ATTR __attribute__((always_inline)) {
    first = At(first, first_down);
    second = At(second, down);
    last = At(last, last_down);
  };
  constexpr size_t kColumns = kRollingColumns<kPixels, kStride>;
  KeepColumns<V>({first, second, last, step}, kColumns, width, strip.above, upper);
  next();
  if constexpr (kStride == 1) {
    KeepColumns<V>({first, second, last, step}, kColumns, width, false, middle);
    next();
  }
  const float* const bias = chain.bias == nullptr ? nullptr : chain.bias + channel;
  const float lo = chain.lo, hi = chain.hi;
  const size_t across = to.y_stride, y_down = args.y.row_stride;
  const float* const all_weights = block.weights;
  float* y = to.y + channel;
  for (size_t row = 0; row < strip.rows; ++row, y += y_down) {
    const float *first2 = first, *second2 = second, *last2 = last;
    if constexpr (kStride == 2) next();
    const float *first3 = first, *second3 = second, *last3 = last;
    size_t step3 = step;
    if (strip.below && row + 1 == strip.rows) {
      first3 = second3 = last3 = kZeros;
      step3 = 0;
    }
    const float* weights = all_weights;
    for (size_t c = 0; c < width; c += lanes) {
      float* const keep = upper + c;
      StripSums<kPixels, V> s;
      for (auto& sum : s.row) sum[0] = hn::Zero(d);
      RollingTaps<kStride, false, false>(keep, keep + kRollingChannels, keep + kLastKept, 0,
                                         weights, keep, s);
      if constexpr (kStride == 1) {
        const float* const at = middle + c;
        RollingTaps<kStride, false, false>(at, at + kRollingChannels, at + kLastKept, 0,
                                           weights + 3 * kPanel, keep, s);
      } else {
        RollingTaps<kStride, true, false>(first2 + c, second2 + c, last2 + c, step,
                                          weights + 3 * kPanel, keep, s);
      }
      RollingTaps<kStride, true, true>(first3 + c, second3 + c, last3 + c, step3,
                                       weights + 6 * kPanel, keep, s);
      // Two vectors of eight lanes, or one of sixteen, lie side by side.
      weights += (c + lanes) % kPanel == 0 ? 9 * kPanel - (kPanel - lanes) : lanes;
      float* out = y + c;
      if (HWY_LIKELY(plain)) {
        const V add = hn::LoadU(d, bias == nullptr ? kNoBias : bias + c);
        const V lower = hn::Set(d, lo), higher = hn::Set(d, hi);
        for (auto& sum : s.row) {
          sum[0] = MinKeepNaN(MaxKeepNaN(hn::Add(sum[0], add), lower), higher);
        }
        StoreTall(out, across, s);  // lanes of another block once more, as they are
      } else {
        HWY_ALIGN float tile[kPixels * kPanel];
        StoreTall(tile, lanes, s);
        FinishStripRow(to, row, out + skip, channel + c + skip, lanes - skip, kPixels, tile + skip,
                       lanes);
      }
    }
    next();
    if constexpr (kStride == 1) std::swap(upper, middle);
  }
}

// All channels of a strip, a block after the other. `kept`: for a row. Another is here: both in one
// frame would be more than 4 KB.
template <size_t kPixels, size_t kStride, class V>
HWY_NOINLINE void RollingChannels(const Strip& strip, const ConvArgs& args, const TileOut& to,
                                  float* kept) {
  const size_t lanes = hn::Lanes(hn::DFromV<V>());
  const size_t channels = args.shape->channels;
  const size_t rest = channels % lanes;
  HWY_ALIGN float middle[kStride == 1 ? kKeptFloats<kPixels, 1> : 1];
  RollingBlock block{0, 0, 0, args.panels, kept, middle};
  for (; block.channel < channels - rest; block.channel += block.width) {
    block.width = std::min(kRollingChannels, channels - rest - block.channel);
    RunRollingBlock<kPixels, kStride, V>(strip, args, to, block);
    block.weights += kRollingChannels / kPanel * (9 * kPanel);
  }
  // The last vector ends with the last channel, and begins with some that are done.
  if (rest != 0) {
    HWY_ALIGN float last[9 * kPanel];
    CopyWeights(args.panels, 1, 9, channels - lanes, last);
    block = {channels - lanes, lanes, lanes - rest, last, kept, middle};
    RunRollingBlock<kPixels, kStride, V>(strip, args, to, block);
  }
}

// All channels of `rows` rows of tile t.
template <size_t kStride>
HWY_NOINLINE void RunRolling(const ConvArgs& args, const ConvTile& t, size_t rows, bool /*alone*/) {
  const Strip strip = StripAt(args, t, rows);
  const TileOut to = ConvOut(args, t, 0, args.shape->channels);
  HWY_ALIGN float kept[kKeptFloats<kRollingPixels, kStride>];
  ForPixels<kLeastRolling, kRollingPixels>(t.pixels, [&]<size_t kPixels>(Pixels<kPixels>) HWY_ATTR {
    RollingChannels<kPixels, kStride, VF>(strip, args, to, kept);
  });
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_ROLLING_INL_H_

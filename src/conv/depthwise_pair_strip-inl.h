// Depthwise convolution of eight channels, three by three taps at stride 1: strips whose vectors of
// sixteen lanes are pairs of pixels. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_PAIR_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_PAIR_STRIP_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_PAIR_STRIP_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_PAIR_STRIP_INL_H_
#endif

#include <algorithm>

#include "src/conv/depthwise_strip-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// All channels, which are eight, of `rows` rows of tile t, kPairs pairs of pixels or fewer. Where
// it has too few pixels its strip begins further left, and writes pixels of the tile before once
// more; alone, where those may be another thread's, it has one row, and writes its own.
template <size_t kPairs>
HWY_NOINLINE void RunPairStrip(const ConvArgs& args, const ConvTile& t, size_t rows, bool alone) {
  constexpr size_t kPixels = 2 * kPairs;
  constexpr size_t kEight = kPanel / 2;
  const DF d;
  ConvTile all = t;
  all.pixel = std::max(t.pixel + t.pixels, kPixels) - kPixels;
  all.pixels = kPixels;
  const Strip strip = StripAt(args, all, rows);
  const Chain& chain = *args.chain;
  StripVector<kPairs, 1, VF, true> v;
  for (size_t tap = 0; tap < 9; ++tap) {
    const VF w = hn::LoadU(d, args.panels + tap * kPanel);
    v.w.of[tap] = hn::ConcatLowerLower(d, w, w);
  }
  const float* second = strip.top.second;
  v.row = {At(second, -kEight), second, At(second, (kPixels - 1) * kEight), kEight};
  v.down = v.first_down = v.last_down = strip.down;
  v.steps = StepsOf(kEight);
  v.first_live = strip.first_down == 0 ? hn::Not(hn::FirstN(d, kEight)) : hn::FirstN(d, kPanel);
  v.last_live = hn::FirstN(d, strip.last_down == 0 ? kEight : kPanel);
  float* const y = OutputOf(args, all, 0);
  alignas(64) float row[kPixels * kEight];
  v.y = alone ? row : y;
  v.across = kPanel;
  v.y_down = args.y.row_stride;
  alignas(64) float bias[kPanel];
  for (float* half : {bias, bias + kEight}) {
    std::copy_n(chain.bias == nullptr ? kNoBias : chain.bias, kEight, half);
  }
  v.bias = bias;
  v.lo = chain.lo;
  v.hi = chain.hi;
  v.Run(strip);
  if (alone) {
    const size_t front = (t.pixel - all.pixel) * kEight;
    std::copy_n(row + front, t.pixels * kEight, y + front);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_PAIR_STRIP_INL_H_

// Depthwise convolution with kernels three taps wide, stride 1 or 2, no dilation: the frequent
// ones. The addresses of a tile are looked up once for all channels, and two vectors of channels
// share each of them. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_
#endif

#include "src/common/tile-inl.h"
#include "src/conv/conv_args.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// What one step of channels is: a part of a vector, one vector, or two that share addresses.
enum class Channels : uint8_t { kPart, kOne, kTwo };

// sum += w * one or two vectors of a pixel.
template <Channels kWhat>
HWY_INLINE void AddPixel(const float* from, size_t rest, VF w, VF v, VF& s, VF& t) {
  const DF d;
  s = Fma(kWhat == Channels::kPart ? hn::LoadN(d, from, rest) : hn::LoadU(d, from), w, s);
  if constexpr (kWhat == Channels::kTwo) t = Fma(hn::LoadU(d, from + hn::Lanes(d)), v, t);
}

template <size_t kPixels>
struct Pixels {};

// One tap of up to six pixels. Neighbouring multiply-adds belong to different sums: a sum that came
// twice in a row would wait for the adder.
template <size_t kPixels, size_t kStride, Channels kWhat>
HWY_INLINE void AddTap(const float* const* column, const float* weights, size_t panel, size_t at,
                       size_t rest, VF& s0, VF& s1, VF& s2, VF& s3, VF& s4, VF& s5, VF& t0, VF& t1,
                       VF& t2, VF& t3, VF& t4, VF& t5) {
  const DF d;
  const VF w = hn::LoadU(d, weights);
  const VF v = kWhat == Channels::kTwo ? hn::LoadU(d, weights + panel) : w;
  AddPixel<kWhat>(column[0] + at, rest, w, v, s0, t0);
  if constexpr (kPixels > 1) AddPixel<kWhat>(column[kStride] + at, rest, w, v, s1, t1);
  if constexpr (kPixels > 2) AddPixel<kWhat>(column[2 * kStride] + at, rest, w, v, s2, t2);
  if constexpr (kPixels > 3) AddPixel<kWhat>(column[3 * kStride] + at, rest, w, v, s3, t3);
  if constexpr (kPixels > 4) AddPixel<kWhat>(column[4 * kStride] + at, rest, w, v, s4, t4);
  if constexpr (kPixels > 5) AddPixel<kWhat>(column[5 * kStride] + at, rest, w, v, s5, t5);
}

// One step of channels, from c on, for one tile of pixels, whose addresses are those of the table
// from pixel `at_pixel` on plus `shift`. The second vector's weights are `panel` floats behind the
// first's.
template <size_t kPixels, size_t kStride, Channels kWhat>
HWY_INLINE void DepthwiseThree(const TapTable& table, size_t kernel_h, size_t at_pixel,
                               size_t shift, const float* weights, size_t panel, size_t c,
                               const TileOut& out, const Finish& finish) {
  const DF d;
  const size_t rest = out.cols - c;
  VF s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  VF t0 = s0, t1 = s0, t2 = s0, t3 = s0, t4 = s0, t5 = s0;
  const size_t at = c + shift;
  for (size_t ky = 0; ky < kernel_h; ++ky, weights += 3 * kPanel) {
    const float* const* row = table.pixel[ky] + at_pixel * kStride;
    AddTap<kPixels, kStride, kWhat>(row, weights, panel, at, rest, s0, s1, s2, s3, s4, s5, t0, t1,
                                    t2, t3, t4, t5);
    AddTap<kPixels, kStride, kWhat>(row + 1, weights + kPanel, panel, at, rest, s0, s1, s2, s3, s4,
                                    s5, t0, t1, t2, t3, t4, t5);
    AddTap<kPixels, kStride, kWhat>(row + 2, weights + 2 * kPanel, panel, at, rest, s0, s1, s2, s3,
                                    s4, s5, t0, t1, t2, t3, t4, t5);
  }
  FinishColumns<kPixels, kWhat == Channels::kTwo ? 2 : 1>(out, finish, at_pixel, c, s0, t0, s1, t1,
                                                          s2, t2, s3, t3, s4, t4, s5, t5);
}

// The channels behind the last whole vector, one pixel after the other.
template <size_t kStride>
HWY_NOINLINE void DepthwiseThreePart(const TapTable& table, size_t kernel_h, size_t at_pixel,
                                     size_t pixels, size_t shift, const float* weights, size_t c,
                                     const TileOut& out, Finish finish) {
  for (size_t p = at_pixel; p < at_pixel + pixels; ++p, finish.Advance(1)) {
    DepthwiseThree<1, kStride, Channels::kPart>(table, kernel_h, p, shift, weights, 0, c, out,
                                                finish);
  }
}

// All channels of one tile: out.cols from `first` on. `finish` is that of its first pixel.
template <size_t kPixels, size_t kStride>
HWY_NOINLINE void DepthwiseThreeChannels(const TapTable& table, const ConvArgs& args, size_t first,
                                         size_t at_pixel, size_t shift, const TileOut& out,
                                         const Finish& finish) {
  const size_t lanes = hn::Lanes(DF());
  const size_t kernel_h = args.shape->kernel_h;
  const size_t panel_stride = kernel_h * 3 * kPanel;
  const size_t panel = lanes == kPanel ? panel_stride : lanes;  // to the second vector's weights
  const auto weights = [&](size_t c) HWY_ATTR {
    return args.panels + (first + c) / kPanel * panel_stride + (first + c) % kPanel;
  };
  size_t c = 0;
  for (; c + 2 * lanes <= out.cols; c += 2 * lanes) {
    DepthwiseThree<kPixels, kStride, Channels::kTwo>(table, kernel_h, at_pixel, shift, weights(c),
                                                     panel, c, out, finish);
  }
  if (c + lanes <= out.cols) {
    DepthwiseThree<kPixels, kStride, Channels::kOne>(table, kernel_h, at_pixel, shift, weights(c),
                                                     panel, c, out, finish);
    c += lanes;
  }
  if (c == out.cols) return;
  if constexpr (kSmallCode) {
    DepthwiseThreePart<kStride>(table, kernel_h, at_pixel, kPixels, shift, weights(c), c, out,
                                finish);
  } else {
    DepthwiseThree<kPixels, kStride, Channels::kPart>(table, kernel_h, at_pixel, shift, weights(c),
                                                      panel, c, out, finish);
  }
}

template <size_t kStride>
HWY_INLINE void DepthwiseThreePixels(const TapTable& table, const ConvArgs& args, size_t pixels,
                                     size_t first, size_t shift, const TileOut& out,
                                     Finish finish) {
  const auto run = [&]<size_t kPixels>(Pixels<kPixels>, size_t at_pixel) HWY_ATTR {
    DepthwiseThreeChannels<kPixels, kStride>(table, args, first, at_pixel, shift, out, finish);
  };
  if constexpr (kSmallCode) {
    for (size_t at = 0; at < pixels;) {
      const size_t piece = PieceOf(pixels - at);
      if (piece == 1) run(Pixels<1>(), at);
      if (piece == 2) run(Pixels<2>(), at);
      if (piece == 4) run(Pixels<4>(), at);
      if (piece == kRowTile) run(Pixels<kRowTile>(), at);
      at += piece;
      finish.Advance(piece);
    }
  } else {
    if (pixels == 1) return run(Pixels<1>(), 0);
    if (pixels == 2) return run(Pixels<2>(), 0);
    if (pixels == 3) return run(Pixels<3>(), 0);
    if (pixels == 4) return run(Pixels<4>(), 0);
    if (pixels == 5) return run(Pixels<5>(), 0);
    return run(Pixels<kRowTile>(), 0);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_

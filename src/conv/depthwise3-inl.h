// Depthwise convolution with kernels three taps wide, stride 1 or 2, no dilation: the frequent
// ones. The addresses of a tile are looked up once for all channels, two vectors of channels share
// each of them, and neighbouring multiply-adds belong to different sums: a sum that came twice in a
// row would wait for the adder. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_
#endif

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

// Twelve sums: up to six pixels, up to two vectors each.
template <size_t kPixels, size_t kStride, Channels kWhat>
HWY_INLINE void AddTap(const float* const* column, const float* weights, size_t panel, size_t c,
                       size_t rest, VF& s0, VF& s1, VF& s2, VF& s3, VF& s4, VF& s5, VF& t0, VF& t1,
                       VF& t2, VF& t3, VF& t4, VF& t5) {
  const DF d;
  const VF w = hn::LoadU(d, weights);
  const VF v = kWhat == Channels::kTwo ? hn::LoadU(d, weights + panel) : w;
  AddPixel<kWhat>(column[0] + c, rest, w, v, s0, t0);
  if constexpr (kPixels > 1) AddPixel<kWhat>(column[kStride] + c, rest, w, v, s1, t1);
  if constexpr (kPixels > 2) AddPixel<kWhat>(column[2 * kStride] + c, rest, w, v, s2, t2);
  if constexpr (kPixels > 3) AddPixel<kWhat>(column[3 * kStride] + c, rest, w, v, s3, t3);
  if constexpr (kPixels > 4) AddPixel<kWhat>(column[4 * kStride] + c, rest, w, v, s4, t4);
  if constexpr (kPixels > 5) AddPixel<kWhat>(column[5 * kStride] + c, rest, w, v, s5, t5);
}

// The columns of all rows of taps of one tile, `columns` to a row.
struct TapTable {
  static constexpr size_t kColumns = 16;  // (6 - 1) * 2 + 3 = 13 at most
  static constexpr size_t kRows = 7;
  const float* pixel[kRows][kColumns];
};

// One row of results.
template <Channels kWhat>
HWY_INLINE void FinishPixel(const Finish& finish, size_t row, size_t c, VF s, VF t) {
  FinishVector<kWhat != Channels::kPart>(finish, row, c, s);
  if constexpr (kWhat == Channels::kTwo) FinishVector<true>(finish, row, c + hn::Lanes(DF()), t);
}

// One step of channels, from c on, for one tile of pixels. The second vector's weights are `panel`
// floats behind the first's.
template <size_t kPixels, size_t kStride, Channels kWhat>
HWY_INLINE void DepthwiseThree(const TapTable& table, size_t kernel_h, const float* weights,
                               size_t panel, size_t c, const TileOut& out, const Finish& finish) {
  const DF d;
  const size_t rest = out.cols - c;
  VF s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  VF t0 = s0, t1 = s0, t2 = s0, t3 = s0, t4 = s0, t5 = s0;
  for (size_t ky = 0; ky < kernel_h; ++ky, weights += 3 * kPanel) {
    const float* const* row = table.pixel[ky];
    AddTap<kPixels, kStride, kWhat>(row, weights, panel, c, rest, s0, s1, s2, s3, s4, s5, t0, t1,
                                    t2, t3, t4, t5);
    AddTap<kPixels, kStride, kWhat>(row + 1, weights + kPanel, panel, c, rest, s0, s1, s2, s3, s4,
                                    s5, t0, t1, t2, t3, t4, t5);
    AddTap<kPixels, kStride, kWhat>(row + 2, weights + 2 * kPanel, panel, c, rest, s0, s1, s2, s3,
                                    s4, s5, t0, t1, t2, t3, t4, t5);
  }
  if (HWY_LIKELY(out.chain->in_registers)) {
    FinishPixel<kWhat>(finish, 0, c, s0, t0);
    if constexpr (kPixels > 1) FinishPixel<kWhat>(finish, 1, c, s1, t1);
    if constexpr (kPixels > 2) FinishPixel<kWhat>(finish, 2, c, s2, t2);
    if constexpr (kPixels > 3) FinishPixel<kWhat>(finish, 3, c, s3, t3);
    if constexpr (kPixels > 4) FinishPixel<kWhat>(finish, 4, c, s4, t4);
    if constexpr (kPixels > 5) FinishPixel<kWhat>(finish, 5, c, s5, t5);
    return;
  }
  constexpr size_t kVectors = kWhat == Channels::kTwo ? 2 : 1;
  HWY_ALIGN float tile[kPixels * kVectors * kPanel];
  StoreRow<kVectors>(tile, 0, s0, t0, s0, s0);
  if constexpr (kPixels > 1) StoreRow<kVectors>(tile, 1, s1, t1, s1, s1);
  if constexpr (kPixels > 2) StoreRow<kVectors>(tile, 2, s2, t2, s2, s2);
  if constexpr (kPixels > 3) StoreRow<kVectors>(tile, 3, s3, t3, s3, s3);
  if constexpr (kPixels > 4) StoreRow<kVectors>(tile, 4, s4, t4, s4, s4);
  if constexpr (kPixels > 5) StoreRow<kVectors>(tile, 5, s5, t5, s5, s5);
  TileOut part = out;
  part.y += c;
  part.pos.channel += c;
  part.cols = kWhat == Channels::kPart ? rest : kVectors * hn::Lanes(d);
  FinishTile(part, kPixels, tile, kVectors * hn::Lanes(d));
}

// All channels of one table: out.cols from `first` on.
template <size_t kPixels, size_t kStride>
HWY_NOINLINE void DepthwiseThreeChannels(const TapTable& table, const ConvArgs& args, size_t first,
                                         const TileOut& out) {
  const size_t lanes = hn::Lanes(DF());
  const size_t kernel_h = args.shape->kernel_h;
  const size_t panel_stride = kernel_h * 3 * kPanel;
  const size_t panel = lanes == kPanel ? panel_stride : lanes;  // to the second vector's weights
  const Finish finish(out);
  const auto weights = [&](size_t c) HWY_ATTR {
    return args.panels + (first + c) / kPanel * panel_stride + (first + c) % kPanel;
  };
  size_t c = 0;
  for (; c + 2 * lanes <= out.cols; c += 2 * lanes) {
    DepthwiseThree<kPixels, kStride, Channels::kTwo>(table, kernel_h, weights(c), panel, c, out,
                                                     finish);
  }
  if (c + lanes <= out.cols) {
    DepthwiseThree<kPixels, kStride, Channels::kOne>(table, kernel_h, weights(c), panel, c, out,
                                                     finish);
    c += lanes;
  }
  if (c < out.cols) {
    DepthwiseThree<kPixels, kStride, Channels::kPart>(table, kernel_h, weights(c), panel, c, out,
                                                      finish);
  }
}

template <size_t kStride>
HWY_INLINE void DepthwiseThreePixels(const TapTable& table, const ConvArgs& args, size_t pixels,
                                     size_t first, const TileOut& out) {
  switch (pixels) {
    case 1:
      return DepthwiseThreeChannels<1, kStride>(table, args, first, out);
    case 2:
      return DepthwiseThreeChannels<2, kStride>(table, args, first, out);
    case 3:
      return DepthwiseThreeChannels<3, kStride>(table, args, first, out);
    case 4:
      return DepthwiseThreeChannels<4, kStride>(table, args, first, out);
    case 5:
      return DepthwiseThreeChannels<5, kStride>(table, args, first, out);
    default:
      return DepthwiseThreeChannels<6, kStride>(table, args, first, out);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE3_INL_H_

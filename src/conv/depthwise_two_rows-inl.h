// Depthwise convolution, three by three taps at stride 1: a tile and the one below it, which share
// rows of the image. Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_TWO_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_TWO_ROWS_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_TWO_ROWS_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_TWO_ROWS_INL_H_
#endif

#include "src/conv/depthwise_table-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// One vector of channels of a tile and of the one below it, for a kernel of three rows: a row of
// the image that both read is loaded once.
template <size_t kPixels, Channels kWhat>
HWY_INLINE void DepthwiseTableTwoRows(const TapTable::Row* table, size_t shift,
                                      const float* weights, size_t c, const DepthwiseOut& to,
                                      const DepthwiseOut& below) {
  const DF d;
  const size_t rest = to.out.cols - c;
  VF s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  VF t0 = s0, t1 = s0, t2 = s0, t3 = s0, t4 = s0, t5 = s0;
  const size_t at = c + shift;
  AddTapRow<3, kPixels, 1, kWhat, true, false>(table[0], at, rest, weights, weights, s0, s1, s2, s3,
                                               s4, s5, t0, t1, t2, t3, t4, t5);
#pragma GCC unroll 2
  for (size_t ky = 1; ky < 3; ++ky, weights += 3 * kPanel) {
    AddTapRow<3, kPixels, 1, kWhat, true, true>(table[ky], at, rest, weights + 3 * kPanel, weights,
                                                s0, s1, s2, s3, s4, s5, t0, t1, t2, t3, t4, t5);
  }
  AddTapRow<3, kPixels, 1, kWhat, false, true>(table[3], at, rest, weights, weights, s0, s1, s2, s3,
                                               s4, s5, t0, t1, t2, t3, t4, t5);
  FinishColumns<kPixels, 1>(to.out, to.finish, 0, c, s0, s0, s1, s1, s2, s2, s3, s3, s4, s4, s5,
                            s5);
  FinishColumns<kPixels, 1>(below.out, below.finish, 0, c, t0, t0, t1, t1, t2, t2, t3, t3, t4, t4,
                            t5, t5);
}

// All channels of a tile and the one below it, `pairs` of them below each other.
template <size_t kPixels>
HWY_NOINLINE void DepthwiseTableTwoRowsChannels(const TapTable::Row* table, const ConvArgs& args,
                                                size_t first, size_t shift, DepthwiseOut& to,
                                                DepthwiseOut& below, size_t pairs) {
  const size_t lanes = hn::Lanes(DF());
  constexpr size_t kPanelStride = 3 * 3 * kPanel;
  const auto weights = [&](size_t c) HWY_ATTR {
    return args.panels + (first + c) / kPanel * kPanelStride + (first + c) % kPanel;
  };
  const size_t cols = to.out.cols;
  const size_t down = args.y.row_stride;
  for (; pairs != 0; --pairs, table += 2, to.Down(2, down), below.Down(2, down)) {
    size_t c = 0;
    for (; c + lanes <= cols; c += lanes) {
      DepthwiseTableTwoRows<kPixels, Channels::kOne>(table, shift, weights(c), c, to, below);
    }
    if (c != cols) {
      DepthwiseTableTwoRows<kPixels, Channels::kLast>(table, shift, weights(c), c, to, below);
    }
  }
}

// Pixels from which on a tile and the one below run together. Narrower ones are rare, and two
// vectors of theirs hide as much.
constexpr size_t kLeastOfPairs = 4;

HWY_INLINE void DepthwiseTableTwoRowsPixels(const TapTable::Row* table, const ConvArgs& args,
                                            size_t pixels, size_t first, size_t shift,
                                            DepthwiseOut& to, DepthwiseOut& below, size_t pairs) {
  const auto run = [&]<size_t kPixels>(Pixels<kPixels>) HWY_ATTR {
    DepthwiseTableTwoRowsChannels<kPixels>(table, args, first, shift, to, below, pairs);
  };
  ForPixels<kLeastOfPairs>(pixels, run);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_TWO_ROWS_INL_H_

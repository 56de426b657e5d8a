// Depthwise convolution, three by three taps, stride 1 or 2: a strip of outputs from the top down.
// A vector of the image is loaded once for all outputs of the strip that read it, and the weights
// once for the strip: nine of them and the sums of three rows of six pixels fill 32 registers.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#undef LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#else
#define LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_
#endif

#include "src/conv/depthwise_table-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Which rows of taps a row of the image is, each of them for another row of outputs.
template <bool kFirst, bool kSecond, bool kThird>
struct TapRows {};

// Columns kColumn and up of a row of the image, as taps w00 to w02 of the outputs whose sums are
// c0 to c5, as w10 to w12 of those above, b0 to b5, and as w20 to w22 of a0 to a5, above those.
template <size_t kPixels, size_t kStride, bool kFirst, bool kSecond, bool kThird,
          size_t kColumn = 0>
HWY_INLINE void AddImageRow(const float* const* row, size_t at, VF w00, VF w01, VF w02, VF w10,
                            VF w11, VF w12, VF w20, VF w21, VF w22, VF& a0, VF& a1, VF& a2, VF& a3,
                            VF& a4, VF& a5, VF& b0, VF& b1, VF& b2, VF& b3, VF& b4, VF& b5, VF& c0,
                            VF& c1, VF& c2, VF& c3, VF& c4, VF& c5) {
  const DF d;
  const VF x = hn::LoadU(d, row[kColumn] + at);
  if constexpr (kThird) {
    AddColumn<3, kPixels, kStride, kColumn>(x, w20, w21, w22, x, x, x, x, a0, a1, a2, a3, a4, a5);
  }
  if constexpr (kSecond) {
    AddColumn<3, kPixels, kStride, kColumn>(x, w10, w11, w12, x, x, x, x, b0, b1, b2, b3, b4, b5);
  }
  if constexpr (kFirst) {
    AddColumn<3, kPixels, kStride, kColumn>(x, w00, w01, w02, x, x, x, x, c0, c1, c2, c3, c4, c5);
  }
  if constexpr (kColumn + 1 < kStride * (kPixels - 1) + 3) {
    AddImageRow<kPixels, kStride, kFirst, kSecond, kThird, kColumn + 1>(
        row, at, w00, w01, w02, w10, w11, w12, w20, w21, w22, a0, a1, a2, a3, a4, a5, b0, b1, b2,
        b3, b4, b5, c0, c1, c2, c3, c4, c5);
  }
}

// The end of a row of a strip, and on to the row below.
template <size_t kPixels>
HWY_INLINE void FinishStripRow(DepthwiseOut& to, size_t down, size_t c, bool plain, VF s0, VF s1,
                               VF s2, VF s3, VF s4, VF s5) {
  if (HWY_LIKELY(plain)) {
    FinishVectors<kPixels, true, false>(to.finish, c, s0, s1, s2, s3, s4, s5);
  } else {
    HWY_ALIGN float tile[kPixels * kPanel];
    StoreRows<kPixels, 1>(tile, s0, s0, s0, s0, s1, s1, s1, s1, s2, s2, s2, s2, s3, s3, s3, s3, s4,
                          s4, s4, s4, s5, s5, s5, s5);
    FinishCopied(to.out, to.finish, 0, c, kPixels, tile, hn::Lanes(DF()));
  }
  to.Down(1, down);
}

// One vector of channels, from c on, of `rows` >= 2 rows of kPixels outputs, `down` apart, the
// first at `to`. The first row of `table` is that of their taps. Sums change names from row to row
// instead of moving, which the ports of multiply-adds would have to do.
template <size_t kPixels, size_t kStride>
HWY_INLINE void DepthwiseStrip(const TapTable::Row* table, size_t rows, size_t shift,
                               const float* weights, size_t c, DepthwiseOut to, size_t down) {
  const DF d;
  const size_t at = c + shift;
  const bool plain = to.out.chain->in_registers && to.finish.add == nullptr;
  const VF w00 = hn::LoadU(d, weights), w01 = hn::LoadU(d, weights + kPanel);
  const VF w02 = hn::LoadU(d, weights + 2 * kPanel), w10 = hn::LoadU(d, weights + 3 * kPanel);
  const VF w11 = hn::LoadU(d, weights + 4 * kPanel), w12 = hn::LoadU(d, weights + 5 * kPanel);
  const VF w20 = hn::LoadU(d, weights + 6 * kPanel), w21 = hn::LoadU(d, weights + 7 * kPanel);
  const VF w22 = hn::LoadU(d, weights + 8 * kPanel);
  const VF zero = hn::Zero(d);
  VF a0 = zero, a1 = zero, a2 = zero, a3 = zero, a4 = zero, a5 = zero;
  VF b0 = zero, b1 = zero, b2 = zero, b3 = zero, b4 = zero, b5 = zero;
  VF c0 = zero, c1 = zero, c2 = zero, c3 = zero, c4 = zero, c5 = zero;
  // The next row of the image; where it is the third row of taps of some outputs, they are done.
  const auto add = [&]<bool kFirst, bool kSecond, bool kThird>(
      TapRows<kFirst, kSecond, kThird>, VF & r0, VF & r1, VF & r2, VF & r3, VF & r4, VF & r5,
      VF & s0, VF & s1, VF & s2, VF & s3, VF & s4, VF & s5, VF & t0, VF & t1, VF & t2, VF & t3,
      VF & t4, VF & t5) HWY_ATTR __attribute__((always_inline)) {
    if constexpr (kFirst) t0 = t1 = t2 = t3 = t4 = t5 = zero;
    AddImageRow<kPixels, kStride, kFirst, kSecond, kThird>(
        *table++, at, w00, w01, w02, w10, w11, w12, w20, w21, w22, r0, r1, r2, r3, r4, r5, s0, s1,
        s2, s3, s4, s5, t0, t1, t2, t3, t4, t5);
    if constexpr (kThird) {
      FinishStripRow<kPixels>(to, down, c, plain, r0, r1, r2, r3, r4, r5);
    }
  };
  const TapRows<true, false, false> first;
  const TapRows<false, true, false> second;
  const TapRows<true, true, false> first_two;
  const TapRows<true, false, true> first_and_third;
  const TapRows<false, true, true> last_two;
  const TapRows<false, false, true> third;
  const TapRows<true, true, true> all;
  if constexpr (kStride == 1) {
    add(first, c0, c1, c2, c3, c4, c5, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5);
    add(first_two, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5);
    size_t r = rows - 2;
    for (; r % 3 != 0; --r) {
      add(all, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5);
      a0 = b0, a1 = b1, a2 = b2, a3 = b3, a4 = b4, a5 = b5;
      b0 = c0, b1 = c1, b2 = c2, b3 = c3, b4 = c4, b5 = c5;
    }
    for (; r != 0; r -= 3) {
      add(all, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5);
      add(all, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5);
      add(all, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5);
    }
    add(last_two, a0, a1, a2, a3, a4, a5, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5);
    add(third, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5, c0, c1, c2, c3, c4, c5);
  } else {
    add(first, c0, c1, c2, c3, c4, c5, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5);
    size_t r = rows - 1;
    if (r % 2 != 0) {
      add(second, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5, c0, c1, c2, c3, c4, c5);
      add(first_and_third, a0, a1, a2, a3, a4, a5, c0, c1, c2, c3, c4, c5, b0, b1, b2, b3, b4, b5);
      a0 = b0, a1 = b1, a2 = b2, a3 = b3, a4 = b4, a5 = b5;
      --r;
    }
    for (; r != 0; r -= 2) {
      add(second, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5, c0, c1, c2, c3, c4, c5);
      add(first_and_third, a0, a1, a2, a3, a4, a5, c0, c1, c2, c3, c4, c5, b0, b1, b2, b3, b4, b5);
      add(second, c0, c1, c2, c3, c4, c5, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5);
      add(first_and_third, b0, b1, b2, b3, b4, b5, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5);
    }
    add(second, c0, c1, c2, c3, c4, c5, a0, a1, a2, a3, a4, a5, c0, c1, c2, c3, c4, c5);
    add(third, a0, a1, a2, a3, a4, a5, c0, c1, c2, c3, c4, c5, c0, c1, c2, c3, c4, c5);
  }
}

// All channels of a strip: to.out.cols from `first` on, whole vectors.
template <size_t kPixels, size_t kStride>
HWY_NOINLINE void DepthwiseStripChannels(const TapTable::Row* table, size_t rows,
                                         const ConvArgs& args, size_t first, size_t shift,
                                         const DepthwiseOut& to) {
  const size_t lanes = hn::Lanes(DF());
  constexpr size_t kPanelStride = 3 * 3 * kPanel;
  const auto weights = [&](size_t c) HWY_ATTR {
    return args.panels + (first + c) / kPanel * kPanelStride + (first + c) % kPanel;
  };
  const size_t cols = to.out.cols;
  const size_t down = args.y.row_stride;
  for (size_t c = 0; c < cols; c += lanes) {
    DepthwiseStrip<kPixels, kStride>(table, rows, shift, weights(c), c, to, down);
  }
}

// Strips of so many pixels and more: narrower ones are rare, and not worth their code.
constexpr size_t kMinStrip = 4;

template <size_t kStride>
HWY_INLINE void DepthwiseStripPixels(const TapTable::Row* table, size_t rows, const ConvArgs& args,
                                     size_t pixels, size_t first, size_t shift,
                                     const DepthwiseOut& to) {
  const auto run = [&]<size_t kPixels>(Pixels<kPixels>) HWY_ATTR {
    DepthwiseStripChannels<kPixels, kStride>(table, rows, args, first, shift, to);
  };
  if (pixels == 4) return run(Pixels<4>());
  if (pixels == 5) return run(Pixels<5>());
  return run(Pixels<kRowTile>());
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_CONV_DEPTHWISE_STRIP_INL_H_

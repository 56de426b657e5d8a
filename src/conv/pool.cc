#include <algorithm>
#include <limits>

#include "arch/target.h"
#include "lanefuse/conv.h"
#include "src/common/check.h"
#include "src/common/partition.h"
#include "src/conv/conv_args.h"
#include "src/conv/pool_args.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/conv/pool.cc"
#include "hwy/foreach_target.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {
namespace {

// Channels whose chain runs at once.
constexpr size_t kBlock = kSmallCode ? 256 : kMaxTileCols;
constexpr size_t kUnroll = kSmallCode ? 1 : 2;

// The larger value; NaN wins, and of two equal values the earlier.
struct MaxStep {
  HWY_INLINE void operator()(VF v, VF& best, VF&) const {
    best = hn::IfThenElse(hn::Or(hn::Lt(best, v), hn::IsNaN(v)), v, best);
  }
};
// The same in half the instructions where there is no NaN, which `sum` tells: a NaN makes it one.
struct NumberMaxStep {
  HWY_INLINE void operator()(VF v, VF& best, VF& sum) const {
    best = hn::Max(v, best);
    sum = hn::Add(sum, v);
  }
};
struct SumStep {
  HWY_INLINE void operator()(VF v, VF& sum, VF&) const { sum = hn::Add(sum, v); }
};

// All pixels of a window for kVectors vectors of channels, eight (whose sums 4 to 7 are n0 to n3),
// four or one, from c on, so that their chains overlap. kPart: of the one vector, the first `rest`
// lanes. kSide: the window's height and width, 0 where the compiler does not know them.
template <size_t kVectors, bool kPart, size_t kSide, class Step>
HWY_INLINE void Window(const PoolWindow& w, size_t c, size_t rest, const Step& step, VF& s0, VF& s1,
                       VF& s2, VF& s3, VF& n0, VF& n1, VF& n2, VF& n3) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t height = kSide != 0 ? kSide : w.height;
  const size_t width = kSide != 0 ? kSide : w.width;
  const float* row = w.data + c;
#pragma GCC unroll kUnroll
  for (size_t y = 0; y < height; ++y, row += w.row_stride) {
    const float* p = row;
#pragma GCC unroll kUnroll
    for (size_t x = 0; x < width; ++x, p += w.pixel_stride) {
      if constexpr (kPart) {
        step(hn::LoadN(d, p, rest), s0, n0);
      } else {
        step(hn::LoadU(d, p), s0, n0);
        if constexpr (kVectors > 1) {
          step(hn::LoadU(d, p + lanes), s1, n1);
          step(hn::LoadU(d, p + 2 * lanes), s2, n2);
          step(hn::LoadU(d, p + 3 * lanes), s3, n3);
        }
        if constexpr (kVectors > 4) {
          step(hn::LoadU(d, p + 4 * lanes), n0, s0);
          step(hn::LoadU(d, p + 5 * lanes), n1, s1);
          step(hn::LoadU(d, p + 6 * lanes), n2, s2);
          step(hn::LoadU(d, p + 7 * lanes), n3, s3);
        }
      }
    }
  }
}

// One output pixel, `pixel` behind `out`, for kVectors vectors of channels from c on. Where code is
// small, the chain comes later and finds them in `sums`.
template <bool kMax, size_t kVectors, bool kPart, size_t kSide>
HWY_INLINE void PoolVectors(const PoolWindow& w, const TileOut& out, const Finish& finish,
                            size_t pixel, size_t c, float* sums) {
  const DF d;
  const VF zero = hn::Zero(d);
  const size_t rest = out.cols - c;
  VF s0 = zero, s1 = zero, s2 = zero, s3 = zero;
  VF n0 = zero, n1 = zero, n2 = zero, n3 = zero;
  if constexpr (kMax) {
    const VF least = hn::Set(d, -std::numeric_limits<float>::infinity());
    s0 = s1 = s2 = s3 = least;
    bool numbers = false;
    if constexpr (kMinMaxReturnSecond && !kSmallCode) {
      Window<kVectors, kPart, kSide>(w, c, rest, NumberMaxStep(), s0, s1, s2, s3, n0, n1, n2, n3);
      const VF sum = hn::Add(hn::Add(n0, n1), hn::Add(n2, n3));
      numbers = hn::AllFalse(d, hn::IsNaN(sum));
      if (!numbers) s0 = s1 = s2 = s3 = least;
    }
    if (!numbers) {
      Window<kVectors, kPart, 0>(w, c, rest, MaxStep(), s0, s1, s2, s3, n0, n1, n2, n3);
    }
  } else {
    Window<kVectors, kPart, kSide>(w, c, rest, SumStep(), s0, s1, s2, s3, n0, n1, n2, n3);
    if (!kSmallCode && w.power_of_two) {  // then the product is the quotient, to the last bit
      const VF part = hn::Set(d, 1.0f / w.count);
      s0 = hn::Mul(s0, part);
      s1 = hn::Mul(s1, part);
      s2 = hn::Mul(s2, part);
      s3 = hn::Mul(s3, part);
      n0 = hn::Mul(n0, part);
      n1 = hn::Mul(n1, part);
      n2 = hn::Mul(n2, part);
      n3 = hn::Mul(n3, part);
    } else {
      const VF count = hn::Set(d, w.count);
      s0 = hn::Div(s0, count);
      if constexpr (kVectors > 1) {
        s1 = hn::Div(s1, count);
        s2 = hn::Div(s2, count);
        s3 = hn::Div(s3, count);
      }
      if constexpr (kVectors > 4) {
        n0 = hn::Div(n0, count);
        n1 = hn::Div(n1, count);
        n2 = hn::Div(n2, count);
        n3 = hn::Div(n3, count);
      }
    }
  }
  if constexpr (kSmallCode) {
    StoreRow<kVectors>(sums + c, 0, s0, s1, s2, s3);
  } else {
    FinishRow<std::min<size_t>(kVectors, 4)>(out, finish, pixel, c, s0, s1, s2, s3);
    if constexpr (kVectors > 4) {
      FinishRow<4>(out, finish, pixel, c + 4 * hn::Lanes(d), n0, n1, n2, n3);
    }
  }
}

template <bool kMax, size_t kSide>
HWY_INLINE void PoolPixel(const PoolWindow& w, const TileOut& out, const Finish& finish,
                          size_t pixel, float* sums) {
  const size_t lanes = hn::Lanes(DF());
  size_t c = 0;
  if constexpr (!kSmallCode && !kMax && kSide == 0) {
    // Pixels of many channels are pages apart: as many lines of each as there are registers for.
    // 7x7x2048 takes 0.66 (AVX512) and 0.37 (AVX2) of the time.
    for (; c + 8 * lanes <= out.cols; c += 8 * lanes) {
      PoolVectors<kMax, 8, false, kSide>(w, out, finish, pixel, c, sums);
    }
  }
  for (; c + 4 * lanes <= out.cols; c += 4 * lanes) {
    PoolVectors<kMax, 4, false, kSide>(w, out, finish, pixel, c, sums);
  }
  if constexpr (!kSmallCode) {
    for (; c + lanes <= out.cols; c += lanes) {
      PoolVectors<kMax, 1, false, 0>(w, out, finish, pixel, c, sums);
    }
  }
  for (; c < out.cols; c += lanes) PoolVectors<kMax, 1, true, 0>(w, out, finish, pixel, c, sums);
  if constexpr (kSmallCode) FinishCopied(out, finish, pixel, 0, 1, sums, out.cols);
}

template <size_t kSide>
HWY_INLINE void PoolPixel(bool max, const PoolWindow& w, const TileOut& out, const Finish& finish,
                          size_t pixel, float* sums) {
  if (max) return PoolPixel<true, kSide>(w, out, finish, pixel, sums);
  return PoolPixel<false, kSide>(w, out, finish, pixel, sums);
}

// One row of the output, for the channels that `out` has.
HWY_INLINE void PoolRow(const PoolArgs& args, const TileOut& out) {
  const Pool2dShape& s = *args.shape;
  const size_t step = s.stride_w * args.x.pixel_stride;
  HWY_ALIGN float sums[kSmallCode ? kBlock + kPanel : 1];
  Finish finish(out);
  for (size_t pixel = 0; pixel < args.y.width;) {
    PoolWindow w = WindowAt(args, out.pos.image, out.pos.row, pixel);
    w.data += out.pos.channel;
    size_t count = w.width == s.kernel_w ? InnerPixels(args, pixel) : 1;  // windows of this size
    for (; count != 0; --count, ++pixel, finish.Advance(1), w.data += step) {
      if (!kSmallCode && w.height == 2 && w.width == 2) {
        PoolPixel<kSmallCode ? 0 : 2>(args.max, w, out, finish, pixel, sums);
      } else {
        PoolPixel<0>(args.max, w, out, finish, pixel, sums);
      }
    }
  }
}

}  // namespace

// Output rows [begin, end) of all images.
void PoolF32(const PoolArgs& args, size_t begin, size_t end) {
  for (size_t line = begin; line < end; ++line) {
    const size_t image = line / args.y.height;
    const size_t row = line % args.y.height;
    float* y = args.y.data + image * args.y.image_stride + row * args.y.row_stride;
    for (size_t c = 0; c < args.y.channels; c += kBlock) {
      const size_t channels = std::min(kBlock, args.y.channels - c);
      PoolRow(args, {args.chain, {image, row, 0, c}, y + c, args.y.pixel_stride, channels});
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(PoolF32);

namespace {

struct PoolPart {
  decltype(&HWY_STATIC_DISPATCH(PoolF32)) kernel;
  const PoolArgs& args;
  void operator()(size_t begin, size_t end) const { kernel(args, begin, end); }
};

Status CheckPoolShape(const Pool2dShape& s) {
  const auto bad = [](const char* text, size_t value) {
    return Status(StatusCode::kInvalidArgument, text, static_cast<int64_t>(value));
  };
  constexpr size_t kMax = size_t{1} << 24;
  const auto wrong = [](size_t value) { return value == 0 || value > kMax; };
  if (wrong(s.kernel_h)) return bad("shape.kernel_h is #, must be 1 to 2^24", s.kernel_h);
  if (wrong(s.kernel_w)) return bad("shape.kernel_w is #, must be 1 to 2^24", s.kernel_w);
  if (wrong(s.stride_h)) return bad("shape.stride_h is #, must be 1 to 2^24", s.stride_h);
  if (wrong(s.stride_w)) return bad("shape.stride_w is #, must be 1 to 2^24", s.stride_w);
  // A window that lies in the padding alone has neither a maximum nor an average.
  const Padding& p = s.padding;
  if (p.top >= s.kernel_h) return bad("shape.padding.top is #, must be below kernel_h", p.top);
  if (p.bottom >= s.kernel_h) {
    return bad("shape.padding.bottom is #, must be below kernel_h", p.bottom);
  }
  if (p.left >= s.kernel_w) return bad("shape.padding.left is #, must be below kernel_w", p.left);
  if (p.right >= s.kernel_w) {
    return bad("shape.padding.right is #, must be below kernel_w", p.right);
  }
  return {};
}

Status CheckPoolImages(const ImageView<const float>& x, const Pool2dShape& s,
                       const ImageView<const float>& y) {
  if (y.channels != x.channels) {
    return SizeMismatch("y.channels is #, x.channels is #", y.channels, x.channels);
  }
  const size_t height =
      OutputSize(x.height, s.padding.top, s.padding.bottom, s.kernel_h, s.stride_h, 1);
  const size_t width =
      OutputSize(x.width, s.padding.left, s.padding.right, s.kernel_w, s.stride_w, 1);
  if (Status status = CheckPixels(x, y, height, width); !status.ok()) return status;
  if (y.images != 0 && y.height != 0 && y.width != 0 && (x.height == 0 || x.width == 0)) {
    return {StatusCode::kInvalidArgument, "x has no pixels"};
  }
  Extent output;
  return CheckViews(x, y, output);
}

Status Pool(bool max, const ImageView<const float>& x, const Pool2dShape& shape,
            const Epilogue& epilogue, const ImageView<float>& y, const Parallel& parallel,
            int target) {
  const ImageView<const float> output = y;
  if (Status status = CheckPoolImages(x, shape, output); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  Chain chain;
  if (Status status = CompileChain(
          epilogue, nullptr, [&] { return output; }, false, target, chain);
      !status.ok()) {
    return status;
  }
  if (y.images == 0 || y.height == 0 || y.width == 0 || y.channels == 0) return {};
  const PoolArgs args{x, y, &shape, &chain, max};
  const size_t lines = y.images * y.height;
  size_t work;
  if (!MulAddSize(shape.kernel_h, shape.kernel_w, 0, work) ||
      !MulAddSize(work, lines * y.width, 0, work) || !MulAddSize(work, y.channels, 0, work)) {
    work = kMaxElements;
  }
  const PoolPart part{HWY_DISPATCH_TABLE(PoolF32)[target], args};
  ForEachPart(parallel, work, kMinMulAdds, lines, part);
  return {};
}

}  // namespace

Status MaxPool2d(const ImageView<const float>& x, const Pool2dShape& shape,
                 const Epilogue& epilogue, const ImageView<float>& y, const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (Status status = CheckPoolShape(shape); !status.ok()) return status;
  return Pool(true, x, shape, epilogue, y, parallel, target);
}

Status AveragePool2d(const ImageView<const float>& x, const Pool2dShape& shape,
                     const Epilogue& epilogue, const ImageView<float>& y,
                     const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (Status status = CheckPoolShape(shape); !status.ok()) return status;
  return Pool(false, x, shape, epilogue, y, parallel, target);
}

Status GlobalAveragePool(const ImageView<const float>& x, const Epilogue& epilogue,
                         const ImageView<float>& y, const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (x.images != 0 && (x.height == 0 || x.width == 0)) {
    return {StatusCode::kInvalidArgument, "x has no pixels"};
  }
  const Pool2dShape whole{.kernel_h = x.height, .kernel_w = x.width};
  return Pool(false, x, whole, epilogue, y, parallel, target);
}

}  // namespace lanefuse
#endif  // HWY_ONCE

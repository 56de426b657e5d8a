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

// The larger value; NaN wins, and of two equal values the earlier.
struct MaxStep {
  HWY_INLINE VF operator()(VF best, VF v) const {
    return hn::IfThenElse(hn::Or(hn::Lt(best, v), hn::IsNaN(v)), v, best);
  }
};
struct SumStep {
  HWY_INLINE VF operator()(VF sum, VF v) const { return hn::Add(sum, v); }
};

// All pixels of a window, four vectors of channels at a time so that their chains overlap.
template <class Op>
void Window(const PoolWindow& w, size_t channels, float start, const Op& op, float* to) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  size_t c = 0;
  for (; c + 4 * lanes <= channels; c += 4 * lanes) {
    VF s0 = hn::Set(d, start), s1 = s0, s2 = s0, s3 = s0;
    for (size_t y = 0; y < w.height; ++y) {
      for (size_t x = 0; x < w.width; ++x) {
        const float* p = w.data + y * w.row_stride + x * w.pixel_stride + c;
        s0 = op(s0, hn::LoadU(d, p));
        s1 = op(s1, hn::LoadU(d, p + lanes));
        s2 = op(s2, hn::LoadU(d, p + 2 * lanes));
        s3 = op(s3, hn::LoadU(d, p + 3 * lanes));
      }
    }
    hn::StoreU(s0, d, to + c);
    hn::StoreU(s1, d, to + c + lanes);
    hn::StoreU(s2, d, to + c + 2 * lanes);
    hn::StoreU(s3, d, to + c + 3 * lanes);
  }
  for (; c < channels; c += lanes) {
    const size_t rest = std::min(lanes, channels - c);
    VF s = hn::Set(d, start);
    for (size_t y = 0; y < w.height; ++y) {
      for (size_t x = 0; x < w.width; ++x) {
        s = op(s, hn::LoadN(d, w.data + y * w.row_stride + x * w.pixel_stride + c, rest));
      }
    }
    hn::StoreN(s, d, to + c, rest);
  }
}

}  // namespace

// Output rows [begin, end) of all images, a block of channels in L1 at a time.
void PoolF32(const PoolArgs& args, size_t begin, size_t end) {
  constexpr size_t kBlock = 256;
  const DF d;
  HWY_ALIGN float block[kBlock];
  for (size_t line = begin; line < end; ++line) {
    const size_t image = line / args.y.height;
    const size_t row = line % args.y.height;
    for (size_t pixel = 0; pixel < args.y.width; ++pixel) {
      PoolWindow w = WindowAt(args, image, row, pixel);
      float* y = args.y.data + image * args.y.image_stride + row * args.y.row_stride +
                 pixel * args.y.pixel_stride;
      for (size_t c = 0; c < args.y.channels; c += kBlock, w.data += kBlock) {
        const size_t channels = std::min(kBlock, args.y.channels - c);
        if (args.max) {
          Window(w, channels, -std::numeric_limits<float>::infinity(), MaxStep(), block);
        } else {
          Window(w, channels, 0.0f, SumStep(), block);
          const VF count = hn::Set(d, w.count);
          for (size_t i = 0; i < channels; i += hn::Lanes(d)) {
            hn::StoreU(hn::Div(hn::LoadU(d, block + i), count), d, block + i);
          }
        }
        FinishOneRow({args.chain, {image, row, pixel, c}, y + c, 0, channels}, block);
      }
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

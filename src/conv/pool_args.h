// What the pooling entries hand to their kernel. No SIMD.
#ifndef LANEFUSE_SRC_CONV_POOL_ARGS_H_
#define LANEFUSE_SRC_CONV_POOL_ARGS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lanefuse/conv.h"
#include "src/epilogue/chain.h"

namespace lanefuse {

struct PoolArgs {
  ImageView<const float> x;
  ImageView<float> y;
  const Pool2dShape* shape;
  const Chain* chain;
  bool max;
};

// The part of a window that lies in the image, never empty.
struct PoolWindow {
  const float* data;
  size_t height, width;
  size_t row_stride, pixel_stride;
  float count;        // what an average divides by
  bool power_of_two;  // the count
};

inline PoolWindow WindowAt(const PoolArgs& args, size_t image, size_t row, size_t pixel) {
  const Pool2dShape& s = *args.shape;
  // Shifted by the padding, so that all numbers stay positive.
  const size_t y0 = std::max(row * s.stride_h, s.padding.top);
  const size_t y1 = std::min(row * s.stride_h + s.kernel_h, args.x.height + s.padding.top);
  const size_t x0 = std::max(pixel * s.stride_w, s.padding.left);
  const size_t x1 = std::min(pixel * s.stride_w + s.kernel_w, args.x.width + s.padding.left);
  const float* data = args.x.data + image * args.x.image_stride +
                      (y0 - s.padding.top) * args.x.row_stride +
                      (x0 - s.padding.left) * args.x.pixel_stride;
  // A window that reaches far into the padding may count more pixels than a 32-bit size_t does.
  const uint64_t count =
      s.count_padding ? uint64_t{s.kernel_h} * s.kernel_w : (y1 - y0) * (x1 - x0);
  return {data,
          y1 - y0,
          x1 - x0,
          args.x.row_stride,
          args.x.pixel_stride,
          static_cast<float>(count),
          (count & (count - 1)) == 0};
}

// How many pixels of a row of the output, from one whose window lies in the image on, are like it.
inline size_t InnerPixels(const PoolArgs& args, size_t pixel) {
  const Pool2dShape& s = *args.shape;
  const size_t behind = args.x.width + s.padding.left - s.kernel_w - pixel * s.stride_w;
  return std::min(behind / s.stride_w + 1, args.y.width - pixel);
}

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_CONV_POOL_ARGS_H_
